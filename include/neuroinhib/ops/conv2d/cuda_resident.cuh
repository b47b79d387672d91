#pragma once

#include <neuroinhib/ops/activation/scalar.hpp>
#include <neuroinhib/ops/conv2d/cuda_extents.cuh>
#include <neuroinhib/ops/max_pool2d/cuda.cuh>
#include <neuroinhib/ops/product/cuda.cuh>

/// Convolution on the matrix units (tf32) where a whole image fits into shared memory: one block an image. A window's
/// numbers are read there by every output pixel that shares them, sixteen times over with a 4 × 4 kernel, instead of
/// from the second-level cache; activation, pooling and their gradients happen on the way in or out.
namespace neuroinhib::ops {

/// Extents of such a convolution, and what its kernels need.
struct Resident : KernelExtents {
  static constexpr int kRows = 48;  ///< output pixels of a warp: what its registers hold with three warps a scheduler
  static constexpr int kDepth = 64, kStages = 3, kMostWarps = 12;

  bool pools;

  Resident(const Conv2d<float>& op, const ConvExtents& e) : KernelExtents(e), pools(op.pools()) {}

  NEUROINHIB_DEVICE [[nodiscard]] int pixels() const { return height * width; }
  NEUROINHIB_DEVICE [[nodiscard]] int in_pixels() const { return in_height * in_width; }
  NEUROINHIB_DEVICE [[nodiscard]] int window() const { return kernel_height * kernel_width * in; }
  NEUROINHIB_DEVICE [[nodiscard]] int image_size() const { return padded_height() * padded_width() * in; }
  /// The frame in which the result's gradient is laid out for the input gradient, its pixels `stride` apart.
  NEUROINHIB_DEVICE [[nodiscard]] int frame_width() const { return padded_width() + kernel_width - 1; }
  NEUROINHIB_DEVICE [[nodiscard]] int frame_size() const {
    return (padded_height() + kernel_height - 1) * frame_width() * out;
  }
  /// Results of a forward pass, or the gradient of one without a frame: rounded up to whole steps of the sum.
  NEUROINHIB_DEVICE [[nodiscard]] int result_size() const { return (pixels() + 7) / 8 * 8 * out; }

  [[nodiscard]] static int warps(int rows) { return (rows + kRows - 1) / kRows; }
  [[nodiscard]] static std::size_t weight_bytes(int columns) {
    return sizeof(float) * static_cast<std::size_t>(kStages * columns * kDepth);
  }
  [[nodiscard]] std::size_t forward_bytes() const {
    return sizeof(float) * static_cast<std::size_t>(std::max(image_size(), result_size())) + weight_bytes(out);
  }
  [[nodiscard]] std::size_t input_gradient_bytes() const {
    return sizeof(float) * static_cast<std::size_t>(frame_size()) + weight_bytes(in);
  }
  [[nodiscard]] std::size_t weight_gradient_bytes() const {
    return sizeof(float) * static_cast<std::size_t>(image_size() + result_size()) +
           sizeof(int) * static_cast<std::size_t>(result_size() / out) + sizeof(float) * 512;
  }
  /// Whether the kernels below can do it on a device with so much shared memory a block.
  [[nodiscard]] bool fits(std::size_t shared) const {
    const auto is_width = [](int channels) { return channels == 32 || channels == 64; };
    return is_width(in) && is_width(out) && warps(pixels()) <= kMostWarps && warps(in_pixels()) <= kMostWarps &&
           forward_bytes() <= shared && input_gradient_bytes() <= shared && weight_gradient_bytes() <= shared;
  }
};

/// Where number c of a pixel stands in shared memory. Four neighbours stay together, and the halves of a bank row
/// change places from pixel to pixel: two pixels' four pieces are read at once.
__device__ inline int by_fours(int pixel, int c, int channels) {
  return pixel * channels + (c ^ (pixel % 2 * 16));
}
/// The same for reads of one number of four pixels at once.
__device__ inline int by_ones(int pixel, int c, int channels) {
  return pixel * channels + (c ^ (pixel % 4 * 8));
}

/// Starts copying an image with its border of zeros into shared memory; place(pixel, c, channels) says where.
template <class Place>
__device__ void load_image(const Resident& r, const float* images, float* shared, const Place& place) {
  const float* image = images + static_cast<Index>(blockIdx.x) * r.in_pixels() * r.in;
  const int shift = r.in == 32 ? 3 : 4, width = r.padded_width(), count = r.padded_height() * width << shift;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) {
    const int pixel = i >> shift, c = (i & ((1 << shift) - 1)) * 4;
    float* const target = shared + place(pixel, c, r.in);
    if (r.padding == 0) {
      product::copy_async<4>(target, image + 4 * i, true);
      continue;
    }
    const int y = pixel / width - r.padding, x = pixel % width - r.padding;
    const bool inside = y >= 0 && y < r.in_height && x >= 0 && x < r.in_width;
    product::copy_async<4>(target, inside ? image + (y * r.in_width + x) * r.in + c : image, inside);
  }
}

/// What the gradient kernels know of the result.
struct ResultGradient {
  const float *y, *dy;
  const std::uint16_t* winner;
  Activation activation;
};

/// Lays the image's gradient before pooling and activation into cleared shared memory; put(y, x, c) gives the place.
/// Windows overlap: they are taken in turns of windows that do not, so that every sum has one order.
template <class Put>
__device__ void scatter_gradient(const Resident& r, const ResultGradient& g, const Put& put) {
  const Index first = static_cast<Index>(blockIdx.x) * r.pooled_height * r.pooled_width * r.out;
  const int shift = r.out == 32 ? 5 : 6;
  const int turns = r.pools ? (r.pool + r.pool_stride - 1) / r.pool_stride : 1;
  for (int turn = 0; turn < turns * turns; ++turn) {
    const int row0 = turn / turns, column0 = turn % turns;
    const int rows = (r.pooled_height - row0 + turns - 1) / turns,
              columns = (r.pooled_width - column0 + turns - 1) / turns;
    for (int i = static_cast<int>(threadIdx.x); i < rows * columns * r.out; i += static_cast<int>(blockDim.x)) {
      const int c = i & (r.out - 1), window = i >> shift;
      const int row = window / columns * turns + row0, column = window % columns * turns + column0;
      const Index at = first + (row * r.pooled_width + column) * r.out + c;
      const int number = r.pools ? g.winner[at] : 0;
      *put(row * r.pool_stride + number / r.pool, column * r.pool_stride + number % r.pool, c) +=
          g.dy[at] * slope_from_output(g.activation, g.y[at]);
    }
    __syncthreads();
  }
}

/// A warp's 48 pixels × N results. The left factor's windows lie in shared memory: row_at[i] is the pixel at which that
/// of the warp's row i begins, and a window's positions follow kernel row by kernel row. The right factor, [N][depth]
/// in memory, is streamed past by all warps together.
template <int N>
struct ResidentProduct {
  static constexpr int kM = Resident::kRows / 16, kN = N / 8, kDepth = Resident::kDepth;
  using Panel = product::Panel<float, true, N, kDepth, 32, 4, product::Layout::fours>;

  float sums[kM][kN][4] = {};

  __device__ static void load_weights(const float* weight, int depth, int step, float* panels) {
    const int k = step * kDepth;
    if (k < depth)
      for (int i = static_cast<int>(threadIdx.x); i < N * kDepth / 4; i += static_cast<int>(blockDim.x)) {
        const int line = i / (kDepth / 4), piece = i % (kDepth / 4) * 4;
        const bool valid = k + piece < depth;
        product::copy_async<4>(panels + step % Resident::kStages * Panel::kSize + Panel::at(line, piece),
                               weight + static_cast<Index>(line) * depth + (valid ? k + piece : 0), valid);
      }
    product::commit_copies();
  }

  /// `channels`, a multiple of 32, numbers a position; `width` pixels from kernel row to kernel row.
  __device__ void multiply(const float* image, const int (&row_at)[kM][2], int channels, int kernel_width, int width,
                           const float* weight, int depth, float* panels) {
    int shift = 0, column = 0, c = 0;  // of the position, its place in the kernel row, and its number
    for (int step = 0; step * kDepth < depth; ++step) {
      product::wait_copies<Resident::kStages - 2>();
      __syncthreads();
      load_weights(weight, depth, step + Resident::kStages - 1, panels);
      const float* panel = panels + step % Resident::kStages * Panel::kSize;
#pragma unroll
      for (int k = 0; k < kDepth; k += 32) {
        if (step * kDepth + k >= depth) break;
        multiply_part(image, row_at, channels, shift, c, panel, k);
        multiply_part(image, row_at, channels, shift, c + 16, panel, k + 16);
        c += 32;
        if (c < channels) continue;
        c = 0;
        ++shift;
        if (++column < kernel_width) continue;
        column = 0;
        shift += width - kernel_width;
      }
    }
  }
  /// visit(row of the warp, column, sum, next column's sum).
  template <class Visit>
  __device__ void each(const Visit& visit) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int i = 0; i < kM; ++i)
#pragma unroll
      for (int j = 0; j < kN; ++j)
#pragma unroll
        for (int half = 0; half < 2; ++half)
          visit(16 * i + lane / 4 + 8 * half, 8 * j + lane % 4 * 2, sums[i][j][2 * half], sums[i][j][2 * half + 1]);
  }

 private:
  /// Sixteen numbers deep: from number c of the position `shift` on, and from k in the panel.
  __device__ void multiply_part(const float* image, const int (&row_at)[kM][2], int channels, int shift, int c,
                                const float* panel, int k) {
    const int lane = static_cast<int>(threadIdx.x) % 32, group = lane / 4, member = lane % 4;
    std::uint32_t fa[2][kM][4], fb[2][kN][2];
#pragma unroll
    for (int i = 0; i < kM; ++i)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float4 four =
            *reinterpret_cast<const float4*>(image + by_fours(row_at[i][half] + shift, c + 4 * member, channels));
        fa[0][i][half] = product::to_tf32(four.x);
        fa[0][i][half + 2] = product::to_tf32(four.y);
        fa[1][i][half] = product::to_tf32(four.z);
        fa[1][i][half + 2] = product::to_tf32(four.w);
      }
#pragma unroll
    for (int j = 0; j < kN; ++j) {
      const float4 four = *reinterpret_cast<const float4*>(panel + Panel::at(8 * j + group, k + 4 * member));
      fb[0][j][0] = product::to_tf32(four.x);
      fb[0][j][1] = product::to_tf32(four.y);
      fb[1][j][0] = product::to_tf32(four.z);
      fb[1][j][1] = product::to_tf32(four.w);
    }
#pragma unroll
    for (int part = 0; part < 2; ++part)
#pragma unroll
      for (int i = 0; i < kM; ++i)
#pragma unroll
        for (int j = 0; j < kN; ++j) product::multiply_tf32(sums[i][j], fa[part][i], fb[part][j]);
  }
};

/// The pixels at which the windows of a warp's rows begin; row_pixel(row) for rows below `rows`, else the first.
template <int M, class RowPixel>
__device__ void find_rows(int (&row_at)[M][2], int first, int rows, const RowPixel& row_pixel) {
  const int group = static_cast<int>(threadIdx.x) % 32 / 4;
#pragma unroll
  for (int i = 0; i < M; ++i)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = first + 16 * i + 8 * half + group;
      row_at[i][half] = row < rows ? row_pixel(row) : 0;
    }
}

template <int Out>
__global__ void __launch_bounds__(Resident::kMostWarps * 32, 1)
    resident_forward_kernel(Resident r, Activation activation, const float* x, const float* weight, const float* bias,
                            float* y, std::uint16_t* winner) {
  extern __shared__ __align__(16) float numbers[];
  float* const panels = numbers;
  float* const image = panels + Resident::kStages * Out * Resident::kDepth;
  using Product = ResidentProduct<Out>;
  load_image(r, x, image, by_fours);
  for (int step = 0; step < Resident::kStages - 1; ++step) Product::load_weights(weight, r.window(), step, panels);
  const int first = static_cast<int>(threadIdx.x) / 32 * Resident::kRows;
  int row_at[Product::kM][2];
  find_rows(row_at, first, r.pixels(),
            [&](int pixel) { return pixel / r.width * r.stride * r.padded_width() + pixel % r.width * r.stride; });
  Product product;
  product.multiply(image, row_at, r.in, r.kernel_width, r.padded_width(), weight, r.window(), panels);
  __syncthreads();  // the image makes room for the results
  product.each([&](int row, int c, float sum, float next) {
    const int pixel = first + row;
    if (pixel >= r.pixels()) return;
    image[pixel * Out + c] = sum + (bias != nullptr ? bias[c] : 0.f);
    image[pixel * Out + c + 1] = next + (bias != nullptr ? bias[c + 1] : 0.f);
  });
  __syncthreads();
  const int pooled = r.pooled_height * r.pooled_width;
  for (int i = static_cast<int>(threadIdx.x); i < pooled * Out; i += static_cast<int>(blockDim.x)) {
    const int c = i % Out, pixel = i / Out, row = pixel / r.pooled_width, column = pixel % r.pooled_width;
    const Index at = static_cast<Index>(blockIdx.x) * pooled * Out + i;
    int chosen;
    const float best =
        largest_of(image + (row * r.width + column) * r.pool_stride * Out + c, r.pool, r.width * Out, Out, chosen);
    y[at] = activation_of(activation, best);
    if (winner != nullptr) winner[at] = static_cast<std::uint16_t>(chosen);
  }
}

template <int In>
__global__ void __launch_bounds__(Resident::kMostWarps * 32, 1)
    resident_input_gradient_kernel(Resident r, ResultGradient g, const float* reversed, GradientSlot<float> dx) {
  extern __shared__ __align__(16) float numbers[];
  float* const panels = numbers;
  float* const frame = panels + Resident::kStages * In * Resident::kDepth;
  using Product = ResidentProduct<In>;
  const int depth = r.kernel_height * r.kernel_width * r.out, width = r.frame_width();
  for (int step = 0; step < Resident::kStages - 1; ++step) Product::load_weights(reversed, depth, step, panels);
  for (int i = static_cast<int>(threadIdx.x); i < r.frame_size(); i += static_cast<int>(blockDim.x)) frame[i] = 0;
  __syncthreads();
  scatter_gradient(r, g, [&](int y, int x, int c) {
    const int pixel = (y * r.stride + r.kernel_height - 1) * width + x * r.stride + r.kernel_width - 1;
    return frame + by_fours(pixel, c, r.out);
  });
  const int first = static_cast<int>(threadIdx.x) / 32 * Resident::kRows;
  int row_at[Product::kM][2];
  find_rows(row_at, first, r.in_pixels(),
            [&](int pixel) { return (pixel / r.in_width + r.padding) * width + pixel % r.in_width + r.padding; });
  Product product;
  product.multiply(frame, row_at, r.out, r.kernel_width, width, reversed, depth, panels);
  product.each([&](int row, int c, float sum, float next) {
    if (first + row >= r.in_pixels()) return;
    const Index at = (static_cast<Index>(blockIdx.x) * r.in_pixels() + first + row) * In + c;
    dx.put(at, sum);
    dx.put(at + 1, next);
  });
}

/// An image's share of the weight's gradient, parts [images, out, window], and of the bias's, [images, out].
/// 16 warps, each Columns of the window's numbers at a time.
template <int Out>
__global__ void __launch_bounds__(512, 1)
    resident_weight_gradient_kernel(Resident r, ResultGradient g, const float* x, float* parts, float* bias_parts) {
  constexpr int kM = Out / 16, kN = 2048 / Out / 8;
  __shared__ float bias_sums[512 / Out][Out];
  extern __shared__ __align__(16) float numbers[];
  float* const image = numbers;
  float* const gradient = image + r.image_size();
  int* const starts = reinterpret_cast<int*>(gradient + r.result_size());
  load_image(r, x, image, by_ones);
  product::commit_copies();
  for (int i = static_cast<int>(threadIdx.x); i < r.result_size(); i += 512) gradient[i] = 0;
  const int rows = r.result_size() / Out;
  for (int pixel = static_cast<int>(threadIdx.x); pixel < rows; pixel += 512)
    starts[pixel] = pixel < r.pixels() ? pixel / r.width * r.stride * r.padded_width() + pixel % r.width * r.stride : 0;
  __syncthreads();
  scatter_gradient(r, g, [&](int y, int x_at, int c) { return gradient + by_ones(y * r.width + x_at, c, Out); });
  if (bias_parts != nullptr) {
    constexpr int kLanes = 512 / Out;
    const int c = static_cast<int>(threadIdx.x) % Out, first = static_cast<int>(threadIdx.x) / Out;
    float sum = 0;
    for (int pixel = first; pixel < r.pixels(); pixel += kLanes) sum += gradient[by_ones(pixel, c, Out)];
    bias_sums[first][c] = sum;
    __syncthreads();
    if (first == 0) {
      sum = 0;
      for (int other = 0; other < kLanes; ++other) sum += bias_sums[other][c];
      bias_parts[static_cast<Index>(blockIdx.x) * Out + c] = sum;
    }
  }
  product::wait_copies<0>();
  __syncthreads();

  const int lane = static_cast<int>(threadIdx.x) % 32, group = lane / 4, member = lane % 4;
  for (int first = static_cast<int>(threadIdx.x) / 32 * kN * 8; first < r.window(); first += 16 * kN * 8) {
    int shift[kN], channel[kN];
#pragma unroll
    for (int j = 0; j < kN; ++j) {
      const int number = first + 8 * j < r.window() ? first + 8 * j : 0, position = number / r.in;
      shift[j] = position / r.kernel_width * r.padded_width() + position % r.kernel_width;
      channel[j] = number % r.in + group;
    }
    float sums[kM][kN][4] = {};
    for (int k = 0; k < rows; k += 8) {
      std::uint32_t fa[kM][4], fb[kN][2];
#pragma unroll
      for (int i = 0; i < kM; ++i)
#pragma unroll
        for (int part = 0; part < 4; ++part)
          fa[i][part] =
              product::to_tf32(gradient[by_ones(k + member + 4 * (part / 2), 16 * i + group + 8 * (part % 2), Out)]);
      const int start[2] = {starts[k + member], starts[k + member + 4]};
#pragma unroll
      for (int j = 0; j < kN; ++j)
#pragma unroll
        for (int part = 0; part < 2; ++part)
          fb[j][part] = product::to_tf32(image[by_ones(start[part] + shift[j], channel[j], r.in)]);
#pragma unroll
      for (int i = 0; i < kM; ++i)
#pragma unroll
        for (int j = 0; j < kN; ++j) product::multiply_tf32(sums[i][j], fa[i], fb[j]);
    }
#pragma unroll
    for (int i = 0; i < kM; ++i)
#pragma unroll
      for (int j = 0; j < kN; ++j)
#pragma unroll
        for (int part = 0; part < 4; ++part) {
          const int c = 16 * i + group + 8 * (part / 2), number = first + 8 * j + 2 * member + part % 2;
          if (number < r.window())
            parts[(static_cast<Index>(blockIdx.x) * Out + c) * r.window() + number] = sums[i][j][part];
        }
  }
}

/// Calls use(width) with 32 or 64 as a constant.
template <class Use>
void with_width(int width, const Use& use) {
  if (width == 32)
    use(std::integral_constant<int, 32>{});
  else
    use(std::integral_constant<int, 64>{});
}

inline void allow_shared(const void* kernel, std::size_t bytes) {
  require_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
               "conv2d");
}

inline void resident_forward(Cuda<float>& cuda, const Conv2d<float>& op, const Resident& r) {
  with_width(r.out, [&](auto out) {
    auto* kernel = resident_forward_kernel<decltype(out)::value>;
    allow_shared(reinterpret_cast<const void*>(kernel), r.forward_bytes());
    cuda.launch(dim3(static_cast<unsigned>(r.images)), dim3(static_cast<unsigned>(Resident::warps(r.pixels()) * 32)),
                r.forward_bytes(), kernel, r, op.options.activation, op.x.data, op.weight.data, op.bias.data, op.y.data,
                op.winner);
  });
}

/// `reversed`: the kernel walked backwards, [in, kernel_height, kernel_width, out]; undefined where no input gradient
/// is wanted.
inline void resident_backward(Cuda<float>& cuda, const Conv2d<float>& op, const Resident& r, const float* reversed) {
  const ResultGradient g{op.y.data, op.y.gradient, op.winner, op.options.activation};
  const auto grid = dim3(static_cast<unsigned>(r.images));
  if (const auto dx = op.x.gradient_slot())
    with_width(r.in, [&](auto in) {
      auto* kernel = resident_input_gradient_kernel<decltype(in)::value>;
      allow_shared(reinterpret_cast<const void*>(kernel), r.input_gradient_bytes());
      cuda.launch(grid, dim3(static_cast<unsigned>(Resident::warps(r.in_pixels()) * 32)), r.input_gradient_bytes(),
                  kernel, r, g, reversed, dx);
    });
  const auto dw = op.weight.gradient_slot(), db = op.bias.gradient_slot();
  if (!dw && !db) return;
  const Index size = op.weight.size(), out = r.out;
  float* parts = cuda.kernel_memory<float>(r.images * size);
  float* bias_parts = db ? cuda.kernel_memory<float>(r.images * out) : nullptr;
  with_width(r.out, [&](auto width) {
    auto* kernel = resident_weight_gradient_kernel<decltype(width)::value>;
    allow_shared(reinterpret_cast<const void*>(kernel), r.weight_gradient_bytes());
    cuda.launch(grid, dim3(512), r.weight_gradient_bytes(), kernel, r, g, op.x.data, parts, bias_parts);
  });
  if (dw)
    cuda.sum_columns(
        r.images, size, [=] __device__(Index image, Index i) { return parts[image * size + i]; },
        [=] __device__(Index i, float sum) { dw.put(i, sum); });
  if (db)
    cuda.sum_columns(
        r.images, out, [=] __device__(Index image, Index c) { return bias_parts[image * out + c]; },
        [=] __device__(Index c, float sum) { db.put(c, sum); });
}

}  // namespace neuroinhib::ops
