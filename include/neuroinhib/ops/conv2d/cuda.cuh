#pragma once

#include <concepts>

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/activation/scalar.hpp>
#include <neuroinhib/ops/conv2d/cuda_image_in_shared_forward.cuh>
#include <neuroinhib/ops/conv2d/cuda_image_in_shared_gradient.cuh>
#include <neuroinhib/ops/conv2d/cuda_one_channel.cuh>
#include <neuroinhib/ops/conv2d/cuda_one_channel_tiles.cuh>
#include <neuroinhib/ops/conv2d/op.hpp>
#include <neuroinhib/ops/gemm/cuda.cuh>
#include <neuroinhib/ops/max_pool2d/cuda.cuh>

namespace neuroinhib::ops {

/// The images with their border of zeros, in step memory; the images themselves where there is none.
template <class T>
[[nodiscard]] const T* padded_images(Cuda<T>& cuda, const Conv2d<T>& op, const ConvExtents& e) {
  if (e.padding == 0) return op.x.data;
  const Index height = e.padded_height(), width = e.padded_width();
  const T* x = op.x.data;
  T* padded = cuda.template kernel_memory<T>(e.images * e.padded_size());
  cuda.parallel_grid(e.images * height, width * e.in, [=] __device__(Index line, Index i) {
    const Index image = line / height, row = line % height - e.padding, column = i / e.in - e.padding;
    const bool inside = row >= 0 && row < e.in_height && column >= 0 && column < e.in_width;
    padded[line * width * e.in + i] =
        inside ? x[image * e.image_size() + (row * e.in_width + column) * e.in + i % e.in] : T{0};
  });
  return padded;
}

/// Output pixel ↦ where its window begins in the padded images.
[[nodiscard]] inline gemm::Digits window_starts(const ConvExtents& e) {
  return {gemm::Divisor(e.width), gemm::Divisor(e.height), e.stride * e.in, e.stride * e.padded_width() * e.in,
          e.padded_height() * e.padded_width() * e.in};
}
/// A window's number ↦ its place behind the window's start.
[[nodiscard]] inline gemm::Digits window_numbers(const ConvExtents& e) {
  return {gemm::Divisor(e.run()), gemm::Divisor(e.kernel_height), 1, e.padded_width() * e.in, 0};
}
/// Runs of a window begin at multiples of `in`, and so do windows.
template <class T>
[[nodiscard]] gemm::Alignment window_alignment(const ConvExtents& e, const T* x) {
  return gemm::Alignment{}.pointer(x).multiple(e.in);
}

/// Whether the kernels that keep a whole image in shared memory serve.
[[nodiscard]] inline bool serves_image_in_shared(const Cuda<float>& cuda, const Conv2d<float>& op,
                                                 const ConvExtents& e) {
  return cuda.has_wgmma() && cuda.precision() != Precision::strict && ImageInShared(op, e).fits(cuda.shared_bytes());
}

template <std::same_as<Cuda<float>> B>
[[nodiscard]] std::byte* kept_for_backward(B& cuda, const Conv2d<float>& op) {
  const ConvExtents e(op);
  if (!serves_image_in_shared(cuda, op, e)) return nullptr;
  return cuda.template kernel_memory<std::byte>(RoundedImages::bytes(ImageInShared(op, e)));
}

template <class T>
void forward(Cuda<T>& cuda, const Conv2d<T>& op) {
  const ConvExtents e(op);
  if (const OneChannelWindows g(op, e); g.fit()) {
    if constexpr (std::is_same_v<T, float>)
      if (const OneChannelTiles tiles(e); cuda.precision() != Precision::strict && tiles.fit(op.options.activation))
        return one_channel_tiles_forward(cuda, op, tiles);
    return one_channel_forward(cuda, op, g);
  }
  if constexpr (std::is_same_v<T, float>)
    if (serves_image_in_shared(cuda, op, e)) return image_in_shared_forward(cuda, op, ImageInShared(op, e));
  const ArenaScope scope(cuda.device_arena());
  const T* x = padded_images(cuda, op, e);
  T* y = op.pools() ? cuda.template kernel_memory<T>(e.images * e.result_size()) : op.y.data;
  const T* bias = op.bias.data;
  const Activation activation = op.options.activation;
  gemm::multiply<gemm::Form::pixels>(
      cuda, {e.images * e.pixels(), e.out, e.window()}, gemm::factor<true>(x, 0, window_starts(e), window_numbers(e)),
      gemm::factor<true>(op.weight.data, 0, gemm::Line{e.window()}, gemm::Line{1}),
      window_alignment(e, x).pointer(op.weight.data), [=] __device__(int, Index pixel, Index c, T sum) {
        y[pixel * e.out + c] = bias != nullptr ? sum + bias[c] : sum;
      });
  if (op.pools())
    pool_images(cuda, e.pool, e.images, y, op.y.data, op.winner, activation);
  else if (activation != Activation::identity)
    cuda.parallel_for(op.y.size(), [=] __device__(Index i) { y[i] = activation_of(activation, y[i]); });
}

/// The gradient before pooling and activation, [images, height, width, out], its pixels `step` apart in a frame of
/// zeros: so laid out, the input gradient is a plain correlation.
template <class T>
struct SpreadGradient {
  Index height, width, margin_y, margin_x, step;
  T* data;

  [[nodiscard]] gemm::Digits pixels(const ConvExtents& e) const {
    return {gemm::Divisor(e.width), gemm::Divisor(e.height), step * e.out, step * width * e.out,
            height * width * e.out};
  }
  [[nodiscard]] const T* first(const ConvExtents& e) const { return data + (margin_y * width + margin_x) * e.out; }
};

template <class T>
[[nodiscard]] SpreadGradient<T> spread_gradient(Cuda<T>& cuda, const Conv2d<T>& op, const ConvExtents& e, bool framed) {
  SpreadGradient<T> s{e.height, e.width, 0, 0, 1, nullptr};
  if (framed)
    s = {e.padded_height() + e.kernel_height - 1,
         e.padded_width() + e.kernel_width - 1,
         e.kernel_height - 1,
         e.kernel_width - 1,
         e.stride,
         nullptr};
  s.data = cuda.template kernel_memory<T>(e.images * s.height * s.width * e.out);
  const T *dy = op.y.gradient, *y = op.y.data;
  const std::uint16_t* winner = op.winner;
  const Activation activation = op.options.activation;
  cuda.parallel_pixels(e.images, s.height, s.width, e.out, [=] __device__(int image, int at_y, int at_x, int c) {
    const int step = static_cast<int>(s.step), row = at_y - static_cast<int>(s.margin_y),
              column = at_x - static_cast<int>(s.margin_x);
    T value = 0;
    if (row >= 0 && column >= 0 && row % step == 0 && column % step == 0 && row / step < e.height &&
        column / step < e.width) {
      const Index first = image * e.pool.out_size();
      const auto before_activation = [&](int at) {
        return dy[first + at] * slope_from_output(activation, y[first + at]);
      };
      value = winner != nullptr
                  ? sum_won<T>(e.pool, winner + first, row / step, column / step, c, before_activation)
                  : before_activation(static_cast<int>((row / step * e.width + column / step) * e.out) + c);
    }
    s.data[((image * s.height + at_y) * s.width + at_x) * e.out + c] = value;
  });
  return s;
}

/// The kernel walked backwards, [in, kernel_height, kernel_width, out]: the input gradient's right factor.
template <class T>
[[nodiscard]] const T* reversed_kernel(Cuda<T>& cuda, const Conv2d<T>& op, const ConvExtents& e) {
  const T* weight = op.weight.data;
  T* reversed = cuda.template kernel_memory<T>(op.weight.size());
  const Index numbers = e.kernel_height * e.kernel_width, in = e.in, out = e.out;
  cuda.parallel_grid(in * numbers, out, [=] __device__(Index row, Index o) {
    const Index c = row / numbers, number = numbers - 1 - row % numbers;
    reversed[row * out + o] = weight[(o * numbers + number) * in + c];
  });
  return reversed;
}

template <class T>
void input_gradient(Cuda<T>& cuda, const Conv2d<T>& op, const ConvExtents& e, const SpreadGradient<T>& s) {
  const auto dx = op.x.claim_gradient();
  const Index row_run = e.kernel_width * e.out, depth = e.kernel_height * row_run, in = e.in;
  gemm::multiply<gemm::Form::pixels>(
      cuda, {e.images * e.in_height * e.in_width, e.in, depth},
      gemm::factor<true>(s.data + (e.padding * s.width + e.padding) * e.out, 0,
                         gemm::Digits{gemm::Divisor(e.in_width), gemm::Divisor(e.in_height), e.out, s.width * e.out,
                                      s.height * s.width * e.out},
                         gemm::Digits{gemm::Divisor(row_run), gemm::Divisor(e.kernel_height), 1, s.width * e.out, 0}),
      gemm::factor<true>(reversed_kernel(cuda, op, e), 0, gemm::Line{depth}, gemm::Line{1}),
      gemm::Alignment{}.pointer(s.data).multiple(e.out),
      [=] __device__(int, Index pixel, Index c, T sum) { dx.put(pixel * in + c, sum); });
}

template <class T>
void backward(Cuda<T>& cuda, const Conv2d<T>& op) {
  const ConvExtents e(op);
  if (const OneChannelWindows g(op, e); g.fit() && !op.x.wants_gradient()) return one_channel_backward(cuda, op, g);
  if constexpr (std::is_same_v<T, float>)
    if (serves_image_in_shared(cuda, op, e)) return image_in_shared_backward(cuda, op, ImageInShared(op, e));
  const ArenaScope scope(cuda.device_arena());
  const SpreadGradient<T> s = spread_gradient(cuda, op, e, op.x.wants_gradient());
  if (op.x.wants_gradient()) input_gradient(cuda, op, e, s);
  if (const auto dw = op.weight.claim_gradient()) {
    const T* x = padded_images(cuda, op, e);
    const Index window = e.window();
    gemm::multiply<gemm::Form::weights>(
        cuda, {e.out, window, e.images * e.pixels()}, gemm::factor<false>(s.first(e), 0, s.pixels(e), gemm::Line{1}),
        gemm::factor<false>(x, 0, window_starts(e), window_numbers(e)),
        window_alignment(e, x).pointer(s.data).multiple(e.out),
        [=] __device__(int, Index c, Index number, T sum) { dw.put(c * window + number, sum); });
  }
  if (const auto db = op.bias.claim_gradient()) {
    const T* data = s.data;
    const Index out = e.out;
    cuda.sum_columns(
        e.images * s.height * s.width, out, [=] __device__(Index pixel, Index c) { return data[pixel * out + c]; },
        [=] __device__(Index c, T sum) { db.put(c, sum); });
  }
}

}  // namespace neuroinhib::ops
