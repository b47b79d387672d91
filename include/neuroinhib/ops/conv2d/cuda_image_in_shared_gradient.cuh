#pragma once

#include <concepts>

#include <neuroinhib/ops/activation/scalar.hpp>
#include <neuroinhib/ops/conv2d/cuda_image_in_shared.cuh>

/// All gradients of cuda_image_in_shared.cuh, an image a block, from what the forward pass has rounded.
///
/// The frame, the result's gradient with its zeros, is gathered from the pooled gradient. It stands in shared memory
/// twice, the second time one pixel further on:
///
///   weights: [in, 2 · out] for two neighbouring positions = image, moved   · [frame, frame − 1 pixel]   over all
///   pixels input:   [in, pixels]  144 pixels a warpgroup         = weightsᵀ       · frame, moved               over
///   all positions
///
/// The copy engine brings the image while the frame is made, and the weights while the weights' gradient is multiplied.
namespace neuroinhib::ops {

/// What the gradient kernel reads and writes. Undefined parts are not computed.
struct ImageInSharedGradients {
  const float *y, *dy;
  const std::uint16_t* winner;
  Activation activation;
  RoundedImages rounded;
  GradientSlot<float> dx;
  float* parts;     ///< [images, part_size]: each image's share of the weight's gradient and, behind it, the bias's
  Index part_size;  ///< 0: none wanted

  [[nodiscard]] __device__ float* part() const { return parts + static_cast<Index>(blockIdx.x) * part_size; }
};

/// Where number i of an image's share lies in the weight's gradient [out, positions, in]; −1 where nowhere. A share has
/// sums as threads hold them: [pairs of positions, 8 parts of 8 columns, threads, 4].
struct ShareOfWeights {
  int kernel_width, pairs_a_row, window;

  __device__ Index operator()(int i) const {
    constexpr int kSums = ImageInShared::kLines * 2 * ImageInShared::kOut;
    const int pair = i / kSums, part = i % kSums / (4 * wgmma::kWarpgroup), number = i % 4;
    const int thread = i / 4 % wgmma::kWarpgroup, lane = thread % detail::kWarp;
    const int c = thread / detail::kWarp * 16 + lane / 4 + number / 2 * 8, n = 8 * part + lane % 4 * 2 + number % 2;
    const int column = pair % pairs_a_row * 2 + n / ImageInShared::kOut;
    if (column >= kernel_width) return -1;
    const int position = pair / pairs_a_row * kernel_width + column;
    return static_cast<Index>(n % ImageInShared::kOut) * window + position * ImageInShared::kIn + c;
  }
};

#ifdef NEUROINHIB_WGMMA

/// The image's pooled gradient before activation to shared memory, [cells, Out], with its winners behind it, and its
/// share of the bias's gradient. Returns the largest number.
template <int Out>
__device__ float put_cells(const ImageInShared& r, const ImageInSharedGradients& g, float* cells) {
  constexpr int kLanes = ImageInShared::kThreads / Out, kHeld = ImageInShared::kHeldCells;
  __shared__ float lanes[kLanes][Out];
  const int count = r.cells() * Out, thread = static_cast<int>(threadIdx.x);
  const Index first = static_cast<Index>(blockIdx.x) * count;
  auto* const winners = reinterpret_cast<std::uint16_t*>(cells + count);
  float largest = 0, total = 0;
  for (int begin = thread; begin < count; begin += kHeld * ImageInShared::kThreads) {
    float gradient[kHeld] = {}, result[kHeld] = {};
    std::uint16_t won[kHeld] = {};
#pragma unroll
    for (int k = 0; k < kHeld; ++k)
      if (const int i = begin + k * ImageInShared::kThreads; i < count) {
        gradient[k] = g.dy[first + i];
        result[k] = g.y[first + i];
        if (r.pools) won[k] = g.winner[first + i];
      }
#pragma unroll
    for (int k = 0; k < kHeld; ++k)
      if (const int i = begin + k * ImageInShared::kThreads; i < count) {
        gradient[k] *= slope_from_output(g.activation, result[k]);
        largest = fmaxf(largest, fabsf(gradient[k]));
        total += gradient[k];
        cells[i] = gradient[k];
        if (r.pools) winners[i] = won[k];
      }
  }
  lanes[thread / Out][thread % Out] = total;
  largest = block_largest(largest);
  if (g.part_size == 0 || thread >= Out) return largest;
  for (int lane = 1; lane < kLanes; ++lane) total += lanes[lane][thread];
  g.part()[g.part_size - Out + thread] = total;
  return largest;
}

/// Eight channels of the result's gradient at (y, x): what the pooled pixels pass on whose windows that pixel won.
template <int Out>
__device__ void gather(const ImageInShared& r, const float* cells, int y, int x, int channel,
                       float (&numbers)[wgmma::kPiece]) {
  const auto* const winners = reinterpret_cast<const std::uint16_t*>(cells + r.cells() * Out);
  const auto first_window = [&](int at) {
    return at < r.pool ? 0 : static_cast<int>(r.by_pool_stride.divide(static_cast<unsigned>(at - r.pool))) + 1;
  };
  for (int row = first_window(y); row < r.pooled_height && row * r.pool_stride <= y; ++row)
    for (int column = first_window(x); column < r.pooled_width && column * r.pool_stride <= x; ++column) {
      const int cell = (row * r.pooled_width + column) * Out + channel;
      const int place = (y - row * r.pool_stride) * r.pool + x - column * r.pool_stride;
      float gradient[wgmma::kPiece];
      read_eight(cells + cell, gradient);
      const uint4 won = r.pools ? *reinterpret_cast<const uint4*>(winners + cell) : uint4{};
      const unsigned pairs[4]{won.x, won.y, won.z, won.w};
#pragma unroll
      for (int j = 0; j < wgmma::kPiece; ++j)
        if (static_cast<int>(pairs[j / 2] >> 16 * (j % 2) & 0xffff) == place) numbers[j] += gradient[j];
    }
}

/// Both frames, of what put_cells has left. Returns what their products are to be multiplied by.
template <int Out>
__device__ float put_frames(const ImageInShared& r, const ImageInSharedGradients& g, float* cells, uint4* frames) {
  constexpr int kColumns = Out / wgmma::kPiece;
  const int stride = r.frame_stride();
  const float scale = scale_for(put_cells<Out>(r, g, cells) * static_cast<float>(r.overlap() * r.overlap()));
  if (threadIdx.x < kColumns) frames[(kColumns + static_cast<int>(threadIdx.x)) * stride] = {};
  for (int i = static_cast<int>(threadIdx.x); i < stride * kColumns; i += ImageInShared::kThreads) {
    const int column = i % kColumns, at = i / kColumns;
    float numbers[wgmma::kPiece] = {};
    if (const int pixel = at - r.origin(); pixel >= 0 && pixel < r.result_pixels()) {
      const RowColumn result(pixel, r.by_in_width);
      if (result.column < r.width) gather<Out>(r, cells, result.row, result.column, column * wgmma::kPiece, numbers);
    }
    const uint4 piece = packed(numbers, scale);
    frames[column * stride + at] = piece;
    if (at + 1 < stride) frames[(kColumns + column) * stride + at + 1] = piece;
  }
  return 1 / scale;
}

/// sums [In, 2 · Out] = the image, moved, times both frames.
template <int Count>
__device__ __forceinline__ void multiply_gradient(float (&sums)[Count], const uint4* moved, int image_stride,
                                                  const uint4* frames, int stride, int depth) {
  using wgmma::Major;
  using wgmma::Pieces;
  constexpr int kDeep = 2 * wgmma::kPiece, kTogether = 64;
  std::uint64_t a = wgmma::factor<Pieces::along_lines>(moved, image_stride);
  std::uint64_t b = wgmma::factor<Pieces::along_lines>(frames, stride);
  wgmma::begin(sums);
#pragma unroll 1
  for (int pixel = 0; pixel < depth; pixel += kTogether, a += kTogether, b += kTogether) {
    wgmma::order();
#pragma unroll
    for (int k = 0; k < kTogether; k += kDeep)
      wgmma::multiply<__half, Major::lines, Major::lines>(sums, a + k, b + k, pixel + k > 0);
  }
  wgmma::finish(sums);
}

/// The block's share of the weight's gradient.
template <int In, int Out>
__device__ __forceinline__ void put_share(const ImageInShared& r, const ImageInSharedGradients& g, const uint4* image,
                                          const uint4* frames, float scale) {
  for (int pair = static_cast<int>(threadIdx.x) / wgmma::kWarpgroup; pair < r.pairs(); pair += ImageInShared::kGroups) {
    float sums[Out];
    const int row = pair / r.pairs_a_row(), column = pair % r.pairs_a_row() * 2;
    multiply_gradient(sums, image + row * r.in_width + column, r.image_pixels(), frames + r.origin(), r.frame_stride(),
                      r.gradient_depth());
    float4* const part = reinterpret_cast<float4*>(g.part() + pair * In * 2 * Out) + threadIdx.x % wgmma::kWarpgroup;
#pragma unroll
    for (int j = 0; j < Out; j += 4)
      part[j / 4 * wgmma::kWarpgroup] =
          make_float4(sums[j] * scale, sums[j + 1] * scale, sums[j + 2] * scale, sums[j + 3] * scale);
  }
}

/// The gradient of the block's image.
template <int In, int Out>
__device__ __forceinline__ void put_input_gradient(const ImageInShared& r, const GradientSlot<float>& dx,
                                                   const uint4* weights, const uint4* frame, float scale) {
  const int first = static_cast<int>(threadIdx.x) / wgmma::kWarpgroup * ImageInShared::kTile;
  float sums[ImageInShared::kTile / 2];
  multiply_windows<Out>(sums, r.kernel_height, r.kernel_width, weights, In, frame + first, r.frame_stride(),
                        r.in_width);
  auto* const gradient = reinterpret_cast<float2*>(dx.data + static_cast<Index>(blockIdx.x) * r.image_pixels() * In);
  each_pixel(sums, [&](int pixel, float sum, float next) {
    if (first + pixel >= r.image_pixels()) return;
    float2& to = gradient[((first + pixel) * In + own_channels()) / 2];
    const float2 before = dx.add ? to : make_float2(0, 0);
    to = make_float2(before.x + sum * scale, before.y + next * scale);
  });
}

#endif

/// All gradients of an image.
template <int In, int Out>
__global__ void __launch_bounds__(ImageInShared::kThreads, 1)
    image_in_shared_gradient_kernel(ImageInShared r, ImageInSharedGradients g) {
  detail::pdl_begin();
#ifdef NEUROINHIB_WGMMA
  extern __shared__ __align__(128) uint4 pieces[];
  __shared__ tiles::Barrier image_there, weights_there;
  uint4 *const frames = pieces, *const image = frames + r.frame_pieces();
  uint4* const weights = pieces + r.gradient_weights_at();
  const auto fetch = [](uint4* target, const uint4* source, int count, tiles::Barrier& there) {
    const int bytes = count * static_cast<int>(sizeof(uint4));
    there.arrive_and_expect(bytes);
    tiles::load_bytes(target, source, there, bytes);
  };
  if (threadIdx.x == 0) {
    image_there.init(1);
    weights_there.init(1);
    tiles::publish_barriers();
    if (g.part_size != 0)
      fetch(image, g.rounded.images + static_cast<Index>(blockIdx.x) * r.image_pieces(), r.image_pieces(), image_there);
  }
  clear(image + r.image_pieces(), r.image_margin());
  const float scale = put_frames<Out>(r, g, reinterpret_cast<float*>(weights), frames);
  wgmma::publish();
  __syncthreads();  // the pooled gradient makes room for the weights
  if (threadIdx.x == 0 && g.dx) fetch(weights, g.rounded.weights, r.weight_pieces(), weights_there);
  if (g.part_size != 0) {
    image_there.wait(0);
    put_share<In, Out>(r, g, image, frames, scale * g.rounded.scales[blockIdx.x]);
  }
  if (g.dx) {
    weights_there.wait(0);
    put_input_gradient<In, Out>(r, g.dx, weights, frames, scale * g.rounded.scales[r.images]);
  }
#endif
}

/// dw and db, of each image's share of them.
template <std::same_as<Cuda<float>> B>
void sum_shares(B& cuda, const ImageInSharedGradients& g, const ImageInShared& r, const GradientSlot<float>& dw,
                const GradientSlot<float>& db) {
  const float* parts = g.parts;
  const Index part_size = g.part_size, size = part_size - r.out;
  const ShareOfWeights place{r.kernel_width, r.pairs_a_row(), r.window()};
  cuda.sum_columns(
      r.images, part_size, [=] __device__(Index image, Index i) { return parts[image * part_size + i]; },
      [=] __device__(Index i, float sum) {
        if (i >= size) {
          if (db) db.put(i - size, sum);
        } else if (const Index at = place(static_cast<int>(i)); dw && at >= 0) {
          dw.put(at, sum);
        }
      });
}

template <std::same_as<Cuda<float>> B>
void image_in_shared_backward(B& cuda, const Conv2d<float>& op, const ImageInShared& r) {
  const auto dx = op.x.claim_gradient(), dw = op.weight.claim_gradient(), db = op.bias.claim_gradient();
  const Index part_size = dw || db ? static_cast<Index>(r.pairs()) * r.in * 2 * r.out + r.out : 0;
  float* parts =
      cuda.template kernel_memory<float>(r.images * part_size);  // until the step's end: they are added up beside it
  const ImageInSharedGradients g{op.y.data, op.y.gradient, op.winner, op.options.activation, RoundedImages(r, op.kept),
                                 dx,        parts,         part_size};
  launch_image_in_shared(cuda, r, r.gradient_pieces(),
                         image_in_shared_gradient_kernel<ImageInShared::kIn, ImageInShared::kOut>, g);
  if (part_size == 0) return;
  cuda.write_beside(r.images * part_size, {dw.data, db.data}, [&] { sum_shares(cuda, g, r, dw, db); });
  if (op.weight.space == nullptr) cuda.join();
}

}  // namespace neuroinhib::ops
