#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/activation/scalar.hpp>
#include <neuroinhib/ops/max_pool2d/op.hpp>

namespace neuroinhib::ops {

/// The largest of a window that starts at `window`, rows `row_stride` apart; its number in `chosen`.
template <class T>
__device__ T largest_of(const T* window, int kernel, int row_stride, int column_stride, int& chosen) {
  T best = *window;
  chosen = 0;
  for (int i = 0, number = 0; i < kernel; ++i)
    for (int j = 0; j < kernel; ++j, ++number) {
      const T value = window[i * row_stride + j * column_stride];
      if (value <= best || best != best) continue;  // NaN wins, and stays
      best = value;
      chosen = number;
    }
  return best;
}

/// y = f(pool(x)) and winner of images × e. f rises: it may as well come after the pool, to fewer numbers.
template <class T>
void pool_images(Cuda<T>& cuda, const PoolExtents& e, Index images, const T* x, T* y, std::uint16_t* winner,
                 Activation activation = Activation::identity) {
  cuda.parallel_pixels(images, e.height, e.width, e.channels, [=] __device__(int image, int row, int column, int c) {
    const auto channels = static_cast<int>(e.channels);
    const T* window = x + image * e.in_size() + (row * e.in_width + column) * e.stride * channels + c;
    const Index at = image * e.out_size() + (row * e.width + column) * channels + c;
    int chosen;
    const T best =
        largest_of(window, static_cast<int>(e.kernel), static_cast<int>(e.in_width) * channels, channels, chosen);
    y[at] = activation_of(activation, best);
    winner[at] = static_cast<std::uint16_t>(chosen);
  });
}

/// The sum of value(place of the window's element in the image's y) over the windows that pixel (y, x) won.
template <class T, class Value>
__device__ T sum_won(const PoolExtents& e, const std::uint16_t* winner, int y, int x, int c, const Value& value) {
  const int stride = static_cast<int>(e.stride), kernel = static_cast<int>(e.kernel);
  const int height = static_cast<int>(e.height), width = static_cast<int>(e.width);
  T sum = 0;
  for (int row = first_window(y, kernel, stride); row < height && row * stride <= y; ++row)
    for (int column = first_window(x, kernel, stride); column < width && column * stride <= x; ++column) {
      const int at = (row * width + column) * static_cast<int>(e.channels) + c;
      if (winner[at] == (y - row * stride) * kernel + x - column * stride) sum += value(at);
    }
  return sum;
}

template <class T>
void forward(Cuda<T>& cuda, const MaxPool2d<T>& op) {
  pool_images(cuda, pool_extents(op), op.x.shape[0], op.x.data, op.y.data, op.winner);
}

template <class T>
void backward(Cuda<T>& cuda, const MaxPool2d<T>& op) {
  const PoolExtents e = pool_extents(op);
  const auto dx = op.x.claim_gradient();
  const T* dy = op.y.gradient;
  const std::uint16_t* winner = op.winner;
  cuda.parallel_pixels(op.x.shape[0], e.in_height, e.in_width, e.channels,
                       [=] __device__(int image, int y, int x, int c) {
                         const Index first = image * e.out_size();
                         dx.put(image * e.in_size() + (y * e.in_width + x) * e.channels + c,
                                sum_won<T>(e, winner + first, y, x, c, [&](int at) { return dy[first + at]; }));
                       });
}

}  // namespace neuroinhib::ops
