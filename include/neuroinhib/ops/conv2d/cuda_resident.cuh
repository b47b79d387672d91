#pragma once

#include <cuda_fp16.h>

#include <neuroinhib/ops/activation/scalar.hpp>
#include <neuroinhib/ops/conv2d/cuda_extents.cuh>
#include <neuroinhib/ops/max_pool2d/cuda.cuh>
#include <neuroinhib/ops/product/cuda_wgmma.cuh>

/// Convolution on Hopper's matrix units where a whole image fits into shared memory: one block an image. All pixels of
/// a window position are the image moved by a few rows of 16 bytes, so the products read the image itself, and columns
/// of windows never exist; activation, pooling and their gradients happen on the way in or out.
///
/// Factors are two-byte floats, which have the ten bits of mantissa of tf32: a power of two scales an image's numbers
/// to a largest of 2¹⁴ to 2¹⁵, so that what is lost lies 2²⁹ below it, beyond a float sum's last bit.
namespace neuroinhib::ops {

/// Extents of such a convolution, and what its kernels need. A raster is an image with its borders as one line of
/// pixels; results between two rows of it are computed and not kept.
struct Resident : KernelExtents {
  static constexpr int kThreads = 512, kGroups = kThreads / wgmma::kWarpgroup;
  static constexpr int kTile = 64;      ///< pixels of a raster that a warpgroup multiplies at once
  static constexpr int kMostTiles = 2;  ///< of a forward pass, a warpgroup

  bool pools;

  Resident(const Conv2d<float>& op, const ConvExtents& e) : KernelExtents(e), pools(op.pools()) {}

  NEUROINHIB_DEVICE [[nodiscard]] int positions() const { return kernel_height * kernel_width; }
  NEUROINHIB_DEVICE [[nodiscard]] int window() const { return positions() * in; }
  NEUROINHIB_DEVICE [[nodiscard]] int cells() const { return pooled_height * pooled_width; }

  /// Pixels of the forward pass's raster, as wide as the padded image.
  NEUROINHIB_DEVICE [[nodiscard]] int forward_pixels() const { return (height - 1) * padded_width() + width; }
  NEUROINHIB_DEVICE [[nodiscard]] int forward_tiles() const { return (forward_pixels() + kTile - 1) / kTile; }

  /// The gradient kernel's raster: the result's gradient with zeros on all sides, so that the input's gradient is a
  /// correlation with the kernel reversed.
  NEUROINHIB_DEVICE [[nodiscard]] int frame_width() const { return padded_width() + kernel_width - 1; }
  NEUROINHIB_DEVICE [[nodiscard]] int frame_pixels() const {
    return (padded_height() + kernel_height - 1) * frame_width();
  }
  NEUROINHIB_DEVICE [[nodiscard]] int input_pixels() const { return padded_height() * frame_width(); }
  NEUROINHIB_DEVICE [[nodiscard]] int input_tiles() const { return (input_pixels() + kTile - 1) / kTile; }
  /// Depth of the weight gradient: the result's pixels in the frame's raster, in whole tiles.
  NEUROINHIB_DEVICE [[nodiscard]] int gradient_depth() const {
    return ((height - 1) * frame_width() + width + kTile - 1) / kTile * kTile;
  }

  /// Pieces of an image's column, whose number is odd: neighbouring channels fall into different banks. A tile may read
  /// past the last pixel; what it finds there adds to results that are not kept, or is multiplied by zero.
  NEUROINHIB_DEVICE [[nodiscard]] int forward_stride() const { return padded_height() * padded_width() | 1; }
  NEUROINHIB_DEVICE [[nodiscard]] int frame_stride() const { return frame_pixels() | 1; }
  NEUROINHIB_DEVICE [[nodiscard]] int image_stride() const {
    return gradient_depth() + (kernel_height - 1) * frame_width() + kernel_width | 1;
  }
  NEUROINHIB_DEVICE [[nodiscard]] static constexpr int weight_stride(int lines) { return lines | 1; }
  /// Rows of results in shared memory begin eight banks apart.
  NEUROINHIB_DEVICE [[nodiscard]] static int result_stride(int channels) { return channels + 8; }

  NEUROINHIB_DEVICE [[nodiscard]] int image_pieces(int stride) const { return in / wgmma::kPiece * stride; }
  NEUROINHIB_DEVICE [[nodiscard]] int frame_pieces() const { return out / wgmma::kPiece * frame_stride(); }

  [[nodiscard]] static std::size_t bytes(int pieces) { return sizeof(uint4) * static_cast<std::size_t>(pieces); }
  [[nodiscard]] static std::size_t overread() { return bytes(2 * kTile); }
  /// The image, which makes room for the results, and the weights.
  NEUROINHIB_DEVICE [[nodiscard]] int forward_weights_at() const {
    const int results = forward_tiles() * kTile * result_stride(out) / 4, image = image_pieces(forward_stride());
    return image > results ? image : results;
  }
  [[nodiscard]] std::size_t forward_bytes() const {
    return bytes(forward_weights_at() + window() / wgmma::kPiece * weight_stride(out)) + overread();
  }
  /// The gradient of the pooled results, before activation: one row of floats a cell, then the winners.
  NEUROINHIB_DEVICE [[nodiscard]] int cell_stride() const { return out + 1; }
  [[nodiscard]] std::size_t cell_bytes() const {
    return static_cast<std::size_t>(cells() * cell_stride()) * (sizeof(float) + (pools ? sizeof(std::uint16_t) : 0));
  }
  /// Frame, image, and the reversed weights in the place of the pooled gradient.
  [[nodiscard]] std::size_t gradient_bytes() const {
    return bytes(frame_pieces() + image_pieces(image_stride())) +
           std::max(cell_bytes(), bytes(positions() * out / wgmma::kPiece * weight_stride(in))) + overread();
  }
  /// Whether the kernels below can do it on a device with so much shared memory a block.
  [[nodiscard]] bool fits(std::size_t shared) const {
    const auto is_width = [](int channels) { return channels == 32 || channels == 64; };
    constexpr std::size_t kStatic = 4096;
    return stride == 1 && is_width(in) && is_width(out) && forward_tiles() <= kMostTiles * kGroups &&
           std::max(forward_bytes(), gradient_bytes()) + kStatic <= shared;
  }
};

#ifdef NEUROINHIB_WGMMA

/// The largest of the block's values.
__device__ inline float block_largest(float value) {
  __shared__ float scratch[Resident::kThreads / detail::kWarp];
  value = detail::warp_max(value);
  __syncthreads();
  if (threadIdx.x % detail::kWarp == 0) scratch[threadIdx.x / detail::kWarp] = value;
  __syncthreads();
  float largest = scratch[0];
#pragma unroll
  for (int i = 1; i < Resident::kThreads / detail::kWarp; ++i) largest = fmaxf(largest, scratch[i]);
  return largest;
}

/// The power of two that brings numbers up to `largest` below 2¹⁵; 1 where that is zero or not finite.
__device__ inline float scale_for(float largest) {
  const int exponent = static_cast<int>(__float_as_uint(largest) >> 23) - 127;
  if (largest == 0 || exponent > 127) return 1;
  return exp2f(static_cast<float>(min(14 - exponent, 126)));
}

__device__ inline uint4 packed(const float (&numbers)[wgmma::kPiece], float scale) {
  uint4 piece;
  auto* pairs = reinterpret_cast<__half2*>(&piece);
#pragma unroll
  for (int i = 0; i < wgmma::kPiece / 2; ++i)
    pairs[i] = __floats2half2_rn(scale * numbers[2 * i], scale * numbers[2 * i + 1]);
  return piece;
}

/// Rounds `count` pieces, whose numbers read(i, numbers) brings, to scaled two-byte floats at place(i). Returns what
/// their products are to be multiplied by.
template <class Read, class Place>
__device__ float put_scaled(int count, const Read& read, const Place& place) {
  float largest = 0;
#pragma unroll 2
  for (int i = static_cast<int>(threadIdx.x); i < count; i += Resident::kThreads) {
    float numbers[wgmma::kPiece];
    read(i, numbers);
#pragma unroll
    for (const float number : numbers) largest = fmaxf(largest, fabsf(number));
  }
  const float scale = scale_for(block_largest(largest));
#pragma unroll 2
  for (int i = static_cast<int>(threadIdx.x); i < count; i += Resident::kThreads) {
    float numbers[wgmma::kPiece];
    read(i, numbers);
    *place(i) = packed(numbers, scale);
  }
  return 1 / scale;
}

/// The block's image as a raster `width` wide, `pixels` long, zeros outside; columns of pieces `stride` apart.
__device__ inline float put_image(const Resident& r, const float* images, int width, int stride, uint4* target) {
  const float* image = images + static_cast<Index>(blockIdx.x) * r.in_height * r.in_width * r.in;
  const int columns = r.in / wgmma::kPiece;
  return put_scaled(
      stride * columns,
      [&](int i, float(&numbers)[wgmma::kPiece]) {
        const int pixel = i / columns, row = pixel / width;
        const int y = row - r.padding, x = pixel - row * width - r.padding;
        float4 low{}, high{};
        if (y >= 0 && y < r.in_height && x >= 0 && x < r.in_width) {
          const auto* source = reinterpret_cast<const float4*>(image + (y * r.in_width + x) * r.in) + i % columns * 2;
          low = source[0];
          high = source[1];
        }
        numbers[0] = low.x, numbers[1] = low.y, numbers[2] = low.z, numbers[3] = low.w;
        numbers[4] = high.x, numbers[5] = high.y, numbers[6] = high.z, numbers[7] = high.w;
      },
      [&](int i) { return target + i % columns * stride + i / columns; });
}

/// The kernel [out, window]: rows are results, pieces go along the window.
__device__ inline float put_weights(const Resident& r, const float* weight, uint4* target) {
  const int columns = r.window() / wgmma::kPiece, stride = Resident::weight_stride(r.out);
  return put_scaled(
      columns * r.out,
      [&](int i, float(&numbers)[wgmma::kPiece]) {
        const auto* source = reinterpret_cast<const float4*>(weight) + 2 * i;
        const float4 low = source[0], high = source[1];
        numbers[0] = low.x, numbers[1] = low.y, numbers[2] = low.z, numbers[3] = low.w;
        numbers[4] = high.x, numbers[5] = high.y, numbers[6] = high.z, numbers[7] = high.w;
      },
      [&](int i) { return target + i % columns * stride + i / columns; });
}

/// The kernel walked backwards, [in, positions, out]: rows are the input's channels, pieces go along the results.
__device__ inline float put_reversed_weights(const Resident& r, const float* weight, uint4* target) {
  const int columns = r.out / wgmma::kPiece, stride = Resident::weight_stride(r.in);
  return put_scaled(
      r.positions() * columns * r.in,
      [&](int i, float(&numbers)[wgmma::kPiece]) {
        const int c = i % r.in, piece = i / r.in, position = r.positions() - 1 - piece / columns;
        const float* source = weight + (piece % columns * wgmma::kPiece * r.positions() + position) * r.in + c;
#pragma unroll
        for (int j = 0; j < wgmma::kPiece; ++j) numbers[j] = source[j * r.window()];
      },
      [&](int i) { return target + i / r.in * stride + i % r.in; });
}

/// sums += windows of a raster times weights: the tile's pixels from `image` on, positions row by row.
template <int Channels, int Lines>
__device__ void multiply_windows(float (&sums)[Lines / 2], const Resident& r, const uint4* image, int width, int stride,
                                 const uint4* weights) {
  using wgmma::Pieces;
  constexpr int kWeightStride = Resident::weight_stride(Lines), kColumns = Channels / wgmma::kPiece;
  for (int row = 0; row < r.kernel_height; ++row)
    for (int column = 0; column < r.kernel_width; ++column, weights += kColumns * kWeightStride) {
      const uint4* moved = image + row * width + column;
      wgmma::begin(sums);
#pragma unroll
      for (int c = 0; c < kColumns; c += 2)
        wgmma::multiply<Pieces::along_depth, Pieces::along_depth>(
            sums, wgmma::factor<Pieces::along_depth>(moved + c * stride, stride),
            wgmma::factor<Pieces::along_depth>(weights + c * kWeightStride, kWeightStride));
      wgmma::finish(sums);
    }
}

/// sums [In, Out] += the image moved by one position of the window, times the gradient in the frame.
template <int Count>
__device__ void multiply_gradient(float (&sums)[Count], const Resident& r, const uint4* moved, int image_stride,
                                  const uint4* gradient, int stride) {
  using wgmma::Pieces;
  for (int pixel = 0; pixel < r.gradient_depth(); pixel += Resident::kTile) {
    wgmma::begin(sums);
#pragma unroll
    for (int k = pixel; k < pixel + Resident::kTile; k += 2 * wgmma::kPiece)
      wgmma::multiply<Pieces::along_lines, Pieces::along_lines>(
          sums, wgmma::factor<Pieces::along_lines>(moved + k, image_stride),
          wgmma::factor<Pieces::along_lines>(gradient + k, stride));
    wgmma::finish(sums);
  }
}

#endif

/// y and winner of an image.
template <int In, int Out>
__global__ void __launch_bounds__(Resident::kThreads, 1)
    resident_forward_kernel(Resident r, Activation activation, const float* x, const float* weight, const float* bias,
                            float* y, std::uint16_t* winner) {
#ifdef NEUROINHIB_WGMMA
  extern __shared__ __align__(128) uint4 pieces[];
  uint4 *const image = pieces, *const weights = pieces + r.forward_weights_at();
  const int width = r.padded_width(), stride = r.forward_stride();
  const float scale = put_image(r, x, width, stride, image) * put_weights(r, weight, weights);
  wgmma::publish();
  __syncthreads();
  const int group = static_cast<int>(threadIdx.x) / wgmma::kWarpgroup;
  float sums[Resident::kMostTiles][Out / 2] = {};
#pragma unroll
  for (int i = 0; i < Resident::kMostTiles; ++i)
    if (const int tile = group + i * Resident::kGroups; tile < r.forward_tiles())
      multiply_windows<In, Out>(sums[i], r, image + tile * Resident::kTile, width, stride, weights);
  __syncthreads();  // the image makes room for the results
  float* const results = reinterpret_cast<float*>(image);
  constexpr int kStride = Out + 8;
#pragma unroll
  for (int i = 0; i < Resident::kMostTiles; ++i)
    if (const int tile = group + i * Resident::kGroups; tile < r.forward_tiles())
      wgmma::each(sums[i], [&](int row, int c, float sum, float next) {
        const float2 start = bias != nullptr ? make_float2(bias[c], bias[c + 1]) : make_float2(0, 0);
        *reinterpret_cast<float2*>(results + (tile * Resident::kTile + row) * kStride + c) =
            make_float2(sum * scale + start.x, next * scale + start.y);
      });
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < r.cells() * Out; i += Resident::kThreads) {
    const int c = i % Out, cell = i / Out, row = cell / r.pooled_width, column = cell % r.pooled_width;
    const Index at = static_cast<Index>(blockIdx.x) * r.cells() * Out + i;
    int chosen;
    const float best = largest_of(results + (row * width + column) * r.pool_stride * kStride + c, r.pool,
                                  width * kStride, kStride, chosen);
    y[at] = activation_of(activation, best);
    if (winner != nullptr) winner[at] = static_cast<std::uint16_t>(chosen);
  }
#endif
}

/// What the gradient kernel reads and writes. Undefined parts are not computed.
struct ResidentGradients {
  const float *x, *weight, *y, *dy;
  const std::uint16_t* winner;
  Activation activation;
  GradientSlot<float> dx;
  float* weight_parts;  ///< [images, out, window]: each image's share
  float* bias_parts;    ///< [images, out]
};

#ifdef NEUROINHIB_WGMMA

/// The pooled results' gradient before activation, into `cells`, and the winners behind it. Returns a bound on the size
/// of a pixel's gradient.
template <int Out>
__device__ float put_cells(const Resident& r, const ResidentGradients& g, float* cells, std::uint16_t* winners) {
  const Index first = static_cast<Index>(blockIdx.x) * r.cells() * Out;
  float largest = 0;
  for (int i = static_cast<int>(threadIdx.x); i < r.cells() * Out; i += Resident::kThreads) {
    const float gradient = g.dy[first + i] * slope_from_output(g.activation, g.y[first + i]);
    const int at = i / Out * (Out + 1) + i % Out;
    cells[at] = gradient;
    if (r.pools) winners[at] = g.winner[first + i];
    largest = fmaxf(largest, fabsf(gradient));
  }
  const int across = r.pools ? (r.pool + r.pool_stride - 1) / r.pool_stride : 1;
  return block_largest(largest) * static_cast<float>(across * across);  // windows over one pixel
}

/// Lays the gradient of the unpooled results into the frame; returns what products with it are to be multiplied by.
template <int Out>
__device__ float put_frame(const Resident& r, const float* cells, const std::uint16_t* winners, float bound,
                           uint4* frame) {
  const float scale = scale_for(bound);
  const int width = r.frame_width(), stride = r.frame_stride();
  for (int i = static_cast<int>(threadIdx.x); i < stride * (Out / wgmma::kPiece); i += Resident::kThreads) {
    const int pixel = i % stride, first = i / stride * wgmma::kPiece;
    const int y = pixel / width - r.kernel_height + 1, x = pixel % width - r.kernel_width + 1;
    float numbers[wgmma::kPiece] = {};
    if (y >= 0 && y < r.height && x >= 0 && x < r.width) {
      const int last_row = min(r.pooled_height - 1, y / r.pool_stride);
      const int last_column = min(r.pooled_width - 1, x / r.pool_stride);
      for (int row = first_window(y, r.pool, r.pool_stride); row <= last_row; ++row)
        for (int column = first_window(x, r.pool, r.pool_stride); column <= last_column; ++column) {
          const int at = (row * r.pooled_width + column) * (Out + 1) + first;
          const int number = (y - row * r.pool_stride) * r.pool + x - column * r.pool_stride;
#pragma unroll
          for (int j = 0; j < wgmma::kPiece; ++j)
            if (!r.pools || winners[at + j] == number) numbers[j] += cells[at + j];
        }
    }
    frame[i] = packed(numbers, scale);
  }
  return 1 / scale;
}

/// The image's share of the bias's gradient.
template <int Out>
__device__ void sum_cells(const Resident& r, const float* cells, float* bias_part) {
  constexpr int kLanes = Resident::kThreads / Out;
  __shared__ float lanes[kLanes][Out];
  const int c = static_cast<int>(threadIdx.x) % Out, lane = static_cast<int>(threadIdx.x) / Out;
  float sum = 0;
  for (int cell = lane; cell < r.cells(); cell += kLanes) sum += cells[cell * (Out + 1) + c];
  lanes[lane][c] = sum;
  __syncthreads();
  if (lane != 0) return;
  for (int other = 1; other < kLanes; ++other) sum += lanes[other][c];
  bias_part[c] = sum;
}

#endif

/// All gradients of an image.
template <int In, int Out>
__global__ void __launch_bounds__(Resident::kThreads, 1) resident_gradient_kernel(Resident r, ResidentGradients g) {
#ifdef NEUROINHIB_WGMMA
  extern __shared__ __align__(128) uint4 pieces[];
  uint4 *const frame = pieces, *const image = frame + r.frame_pieces();
  uint4* const weights = image + r.image_pieces(r.image_stride());
  float* const cells = reinterpret_cast<float*>(weights);
  auto* const winners = reinterpret_cast<std::uint16_t*>(cells + r.cells() * (Out + 1));
  const int width = r.frame_width(), stride = r.frame_stride(), image_stride = r.image_stride();
  const int group = static_cast<int>(threadIdx.x) / wgmma::kWarpgroup;

  const float bound = put_cells<Out>(r, g, cells, winners);
  const float scale = put_frame<Out>(r, cells, winners, bound, frame);
  if (g.bias_parts != nullptr) sum_cells<Out>(r, cells, g.bias_parts + static_cast<Index>(blockIdx.x) * Out);
  __syncthreads();  // the pooled gradient makes room for the weights
  const float weight_scale = g.dx ? scale * put_reversed_weights(r, g.weight, weights) : 0;
  const float image_scale = g.weight_parts != nullptr ? scale * put_image(r, g.x, width, image_stride, image) : 0;
  wgmma::publish();
  __syncthreads();

  if (g.weight_parts != nullptr)
    for (int position = group; position < r.positions(); position += Resident::kGroups) {
      float sums[Out / 2] = {};
      const uint4* moved = image + position / r.kernel_width * width + position % r.kernel_width;
      const uint4* gradient = frame + (r.kernel_height - 1) * width + r.kernel_width - 1;
      multiply_gradient(sums, r, moved, image_stride, gradient, stride);
      float* part = g.weight_parts + static_cast<Index>(blockIdx.x) * Out * r.window() + position * In;
      wgmma::each(sums, [&](int c, int o, float sum, float next) {
        if (c >= In) return;
        part[o * r.window() + c] = sum * image_scale;
        part[(o + 1) * r.window() + c] = next * image_scale;
      });
    }
  if (g.dx)
    for (int tile = group; tile < r.input_tiles(); tile += Resident::kGroups) {
      float sums[In / 2] = {};
      multiply_windows<Out, In>(sums, r, frame + tile * Resident::kTile, width, stride, weights);
      wgmma::each(sums, [&](int row, int c, float sum, float next) {
        const int pixel = tile * Resident::kTile + row, y = pixel / width - r.padding, x = pixel % width - r.padding;
        if (y < 0 || y >= r.in_height || x < 0 || x >= r.in_width) return;
        const Index at = ((static_cast<Index>(blockIdx.x) * r.in_height + y) * r.in_width + x) * In + c;
        g.dx.put(at, sum * weight_scale);
        g.dx.put(at + 1, next * weight_scale);
      });
    }
#endif
}

/// Calls use(in, out) with the numbers of channels, 32 or 64, as constants.
template <class Use>
void with_channels(const Resident& r, const Use& use) {
  const auto with = [](int channels, const auto& then) {
    if (channels == 32)
      then(std::integral_constant<int, 32>{});
    else
      then(std::integral_constant<int, 64>{});
  };
  with(r.in, [&](auto in) { with(r.out, [&](auto out) { use(in, out); }); });
}

template <class... Parameters, class... Arguments>
void launch_resident(Cuda<float>& cuda, const Resident& r, std::size_t shared, void (*kernel)(Parameters...),
                     Arguments&&... arguments) {
  require_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)),
               "conv2d");
  cuda.launch(dim3(static_cast<unsigned>(r.images)), dim3(Resident::kThreads), shared, kernel, r,
              std::forward<Arguments>(arguments)...);
}

inline void resident_forward(Cuda<float>& cuda, const Conv2d<float>& op, const Resident& r) {
  with_channels(r, [&](auto in, auto out) {
    launch_resident(cuda, r, r.forward_bytes(), resident_forward_kernel<decltype(in)::value, decltype(out)::value>,
                    op.options.activation, op.x.data, op.weight.data, op.bias.data, op.y.data, op.winner);
  });
}

inline void resident_backward(Cuda<float>& cuda, const Conv2d<float>& op, const Resident& r) {
  const auto dx = op.x.gradient_slot(), dw = op.weight.gradient_slot(), db = op.bias.gradient_slot();
  const ArenaScope scope(cuda.device_arena());
  const Index size = op.weight.size(), out = r.out;
  float* parts = dw ? cuda.kernel_memory<float>(r.images * size) : nullptr;
  float* bias_parts = db ? cuda.kernel_memory<float>(r.images * out) : nullptr;
  const ResidentGradients g{op.x.data, op.weight.data, op.y.data, op.y.gradient, op.winner, op.options.activation,
                            dx,        parts,          bias_parts};
  with_channels(r, [&](auto in, auto out_channels) {
    launch_resident(cuda, r, r.gradient_bytes(),
                    resident_gradient_kernel<decltype(in)::value, decltype(out_channels)::value>, g);
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
