#pragma once

#include <algorithm>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/max_pool2d/op.hpp>

namespace neuroinhib::ops {

template <class T>
void forward(Cpu<T>& cpu, const MaxPool2d<T>& op) {
  const Index height = op.y.shape[1], width = op.y.shape[2], channels = op.y.shape[3];
  const Index kernel = op.options.kernel, stride = op.options.stride, in_width = op.x.shape[2];
  cpu.parallel_for(op.y.shape[0] * height, [&](Index line) {
    const Index image = line / height, row = line % height;
    for (Index column = 0; column < width; ++column) {
      const T* window = op.x.data + ((image * op.x.shape[1] + row * stride) * in_width + column * stride) * channels;
      T* y = op.y.data + (line * width + column) * channels;
      std::uint16_t* winner = op.winner + (line * width + column) * channels;
      std::copy_n(window, channels, y);
      std::fill_n(winner, channels, std::uint16_t{0});
      for (Index k = 1; k < kernel * kernel; ++k) {
        const T* x = window + ((k / kernel) * in_width + k % kernel) * channels;
        for (Index c = 0; c < channels; ++c) {
          const bool larger = !(x[c] <= y[c]) && y[c] == y[c];
          y[c] = larger ? x[c] : y[c];
          winner[c] = larger ? static_cast<std::uint16_t>(k) : winner[c];
        }
      }
    }
  });
}

/// Every input pixel gathers from the windows that hold it, in order: no two threads write to one place.
template <class T>
void backward(Cpu<T>& cpu, const MaxPool2d<T>& op) {
  const auto dx = op.x.gradient_slot();
  const Index in_height = op.x.shape[1], in_width = op.x.shape[2], channels = op.x.shape[3];
  const Index height = op.y.shape[1], width = op.y.shape[2];
  const Index kernel = op.options.kernel, stride = op.options.stride;
  const auto first_window = [&](Index at) { return std::max<Index>(0, (at - kernel + stride) / stride); };
  cpu.parallel_for(op.x.shape[0] * in_height, [&](Index line) {
    const Index image = line / in_height, y = line % in_height;
    for (Index x = 0; x < in_width; ++x) {
      T* sum = dx.data + (line * in_width + x) * channels;
      if (!dx.add) std::fill_n(sum, channels, T{0});
      for (Index row = first_window(y); row < height && row * stride <= y; ++row)
        for (Index column = first_window(x); column < width && column * stride <= x; ++column) {
          const auto k = static_cast<std::uint16_t>((y - row * stride) * kernel + x - column * stride);
          const Index at = ((image * height + row) * width + column) * channels;
          const T* dy = op.y.gradient + at;
          const std::uint16_t* winner = op.winner + at;
          for (Index c = 0; c < channels; ++c) sum[c] += winner[c] == k ? dy[c] : T{0};
        }
    }
  });
}

}  // namespace neuroinhib::ops
