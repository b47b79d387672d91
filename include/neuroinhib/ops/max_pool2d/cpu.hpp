#pragma once

#include <algorithm>
#include <type_traits>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/backend/simd.hpp>
#include <neuroinhib/ops/max_pool2d/op.hpp>

namespace neuroinhib::ops {

/// Calls visit(first channel, lanes) for a register's worth of channels at a time; a full one as a constant.
template <class T, class Visit>
void for_each_lane_block(Index channels, const Visit& visit) {
  constexpr Index kLanes = simd::Vector<T>::kLanes;
  Index c = 0;
  for (; c + kLanes <= channels; c += kLanes) visit(c, std::integral_constant<int, simd::Vector<T>::kLanes>{});
  if (c < channels) visit(c, static_cast<int>(channels - c));
}

template <class T>
void forward(Cpu<T>& cpu, const MaxPool2d<T>& op) {
  using Vec = simd::Vector<T>;
  using Mask = typename Vec::Mask;
  const Index height = op.y.shape[1], width = op.y.shape[2], channels = op.y.shape[3];
  const Index kernel = op.options.kernel, stride = op.options.stride, in_width = op.x.shape[2];
  cpu.parallel_for(op.y.shape[0] * height, [&](Index line) {
    const Index image = line / height, row = line % height;
    for (Index column = 0; column < width; ++column) {
      const T* window = op.x.data + ((image * op.x.shape[1] + row * stride) * in_width + column * stride) * channels;
      const Index at = (line * width + column) * channels;
      for_each_lane_block<T>(channels, [&](Index c, auto lanes) {
        auto best = Vec::load(window + c, lanes);
        Mask winner{}, number{};
        for (Index y = 0; y < kernel; ++y)
          for (Index x = 0; x < kernel; ++x, number += 1) {
            const auto value = Vec::load(window + (y * in_width + x) * channels + c, lanes);
            const Mask larger = ~(value <= best) & (best == best);  // NaN wins, and stays
            best = larger ? value : best;
            winner = larger ? number : winner;
          }
        Vec::store(best, op.y.data + at + c, lanes);
        Vec::store(__builtin_convertvector(winner, typename Vec::Short), op.winner + at + c, lanes);
      });
    }
  });
}

/// Every input pixel gathers from the windows that hold it, in order: no two threads write to one place.
template <class T>
void backward(Cpu<T>& cpu, const MaxPool2d<T>& op) {
  using Vec = simd::Vector<T>;
  using Mask = typename Vec::Mask;
  using Value = typename Vec::Value;
  const auto dx = op.x.gradient_slot();
  const Index in_height = op.x.shape[1], in_width = op.x.shape[2], channels = op.x.shape[3];
  const Index height = op.y.shape[1], width = op.y.shape[2];
  const Index kernel = op.options.kernel, stride = op.options.stride;
  const auto first_window = [&](Index at) { return std::max<Index>(0, (at - kernel + stride) / stride); };
  cpu.parallel_for(op.x.shape[0] * in_height, [&](Index line) {
    const Index image = line / in_height, y = line % in_height;
    const Index first_row = first_window(y), last_row = std::min(height - 1, y / stride);
    for (Index x = 0; x < in_width; ++x) {
      const Index first_column = first_window(x), last_column = std::min(width - 1, x / stride);
      for_each_lane_block<T>(channels, [&](Index c, auto lanes) {
        T* target = dx.data + (line * in_width + x) * channels + c;
        Value sum = dx.add ? Vec::load(target, lanes) : Value{};
        for (Index row = first_row; row <= last_row; ++row)
          for (Index column = first_column; column <= last_column; ++column) {
            const Index at = ((image * height + row) * width + column) * channels + c;
            const auto number = static_cast<std::uint16_t>((y - row * stride) * kernel + x - column * stride);
            const auto winner = Vec::template load<typename Vec::Short>(op.winner + at, lanes);
            const Mask hit = __builtin_convertvector(winner, Mask) == (Mask{} + number);
            sum += hit ? Vec::load(op.y.gradient + at, lanes) : Value{};
          }
        Vec::store(sum, target, lanes);
      });
    }
  });
}

}  // namespace neuroinhib::ops
