#pragma once

#include <algorithm>
#include <type_traits>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/backend/simd.hpp>
#include <neuroinhib/ops/max_pool2d/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

/// Calls visit(first channel, lanes) for a register's worth of channels at a time; a full one as a constant.
template <class T, class Visit>
void for_each_lane_block(Index channels, const Visit& visit) {
  constexpr Index kLanes = simd::Vector<T>::kLanes;
  Index c = 0;
  for (; c + kLanes <= channels; c += kLanes) visit(c, std::integral_constant<int, simd::Vector<T>::kLanes>{});
  if (c < channels) visit(c, static_cast<int>(channels - c));
}

/// x [in_height, in_width, channels] to y and winner [height, width, channels].
template <class T>
void pool_image(const PoolExtents& e, const T* x, T* y, std::uint16_t* winners) {
  using Vec = simd::Vector<T>;
  using Mask = typename Vec::Mask;
  for (Index pixel = 0; pixel < e.height * e.width; ++pixel) {
    const Index row = pixel / e.width, column = pixel % e.width;
    const T* window = x + (row * e.in_width + column) * e.stride * e.channels;
    for_each_lane_block<T>(e.channels, [&](Index c, auto lanes) {
      auto best = Vec::load(window + c, lanes);
      Mask winner{}, number{};
      for (Index i = 0; i < e.kernel; ++i)
        for (Index j = 0; j < e.kernel; ++j, number += 1) {
          const auto value = Vec::load(window + (i * e.in_width + j) * e.channels + c, lanes);
          const Mask not_nan = best == best;               // NOLINT(misc-redundant-expression)
          const Mask larger = ~(value <= best) & not_nan;  // NaN wins, and stays
          best = larger ? value : best;
          winner = larger ? number : winner;
        }
      Vec::store(best, y + pixel * e.channels + c, lanes);
      Vec::store(__builtin_convertvector(winner, typename Vec::Short), winners + pixel * e.channels + c, lanes);
    });
  }
}

/// dy and winner of the windows to dx of the image: every pixel gathers from the windows that hold it, in order.
template <class T>
void unpool_image(const PoolExtents& e, const T* dy, const std::uint16_t* winners, T* dx, bool add) {
  using Vec = simd::Vector<T>;
  using Mask = typename Vec::Mask;
  using Value = typename Vec::Value;
  for (Index pixel = 0; pixel < e.in_height * e.in_width; ++pixel) {
    const Index y = pixel / e.in_width, x = pixel % e.in_width;
    const Index first_row = first_window(y, e.kernel, e.stride), last_row = std::min(e.height - 1, y / e.stride);
    const Index first_column = first_window(x, e.kernel, e.stride), last_column = std::min(e.width - 1, x / e.stride);
    for_each_lane_block<T>(e.channels, [&](Index c, auto lanes) {
      T* target = dx + pixel * e.channels + c;
      Value sum = add ? Vec::load(target, lanes) : Value{};
      for (Index row = first_row; row <= last_row; ++row)
        for (Index column = first_column; column <= last_column; ++column) {
          const Index at = (row * e.width + column) * e.channels + c;
          const auto number = static_cast<std::uint16_t>((y - row * e.stride) * e.kernel + x - column * e.stride);
          const auto winner = Vec::template load<typename Vec::Short>(winners + at, lanes);
          const Mask hit = __builtin_convertvector(winner, Mask) == (Mask{} + number);
          sum += hit ? Vec::load(dy + at, lanes) : Value{};
        }
      Vec::store(sum, target, lanes);
    });
  }
}

template <class T>
void forward(Cpu<T>& cpu, const MaxPool2d<T>& op) {
  const PoolExtents e = pool_extents(op);
  cpu.parallel_for(op.x.shape[0], e.out_size() * e.kernel * e.kernel, [&](Index image) {
    pool_image(e, op.x.data + image * e.in_size(), op.y.data + image * e.out_size(), op.winner + image * e.out_size());
  });
}

template <class T>
void backward(Cpu<T>& cpu, const MaxPool2d<T>& op) {
  const PoolExtents e = pool_extents(op);
  const auto dx = op.x.claim_gradient();
  cpu.parallel_for(op.x.shape[0], e.out_size() * e.kernel * e.kernel, [&](Index image) {
    unpool_image(e, op.y.gradient + image * e.out_size(), op.winner + image * e.out_size(),
                 dx.data + image * e.in_size(), dx.add);
  });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
