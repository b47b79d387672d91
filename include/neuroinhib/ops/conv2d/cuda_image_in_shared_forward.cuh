#pragma once

#include <concepts>

#include <neuroinhib/ops/activation/scalar.hpp>
#include <neuroinhib/ops/conv2d/cuda_image_in_shared.cuh>
#include <neuroinhib/ops/max_pool2d/cuda.cuh>

/// The forward pass of cuda_image_in_shared.cuh: y and winner of an image.
///
/// A product has 64 lines, and 32 results are half of them. So the kernel's lower rows stand below its upper ones, and
/// one product with the image, over half of the kernel's rows, makes a pixel's upper sums and those lower ones that a
/// pixel further up needs, by as many rows as the lower half begins further down:
///
///             pixels, 144 a warpgroup
///      ┌ upper, 32 ┐ ┌───────────────────┐
///      │ lower, 32 │ │ image, moved by a │  →  result [pixel] = upper [pixel] + lower [pixel + lower_row · W]
///      └ in a row  ┘ └ window's position ┘
///
/// The block reads and rounds image and weights, multiplies, adds the halves up in shared memory, and pools. Where a
/// gradient is wanted, rounded image and weights go to memory beside the products.
namespace neuroinhib::ops {

#ifdef NEUROINHIB_WGMMA

/// Rounds a thread's numbers, four in each of `count` turns, to scaled two-byte floats: reads source(k), and writes
/// half a piece at place(k). Returns what products of the numbers are to be multiplied by.
template <class Source, class Place>
__device__ __forceinline__ float put_scaled(int count, const Source& source, const Place& place) {
  constexpr int kHeld = ImageInShared::kHeld;
  float4 fours[kHeld] = {};
  float largest = 0;
#pragma unroll
  for (int k = 0; k < kHeld; ++k)
    if (k < count) fours[k] = *source(k);
#pragma unroll
  for (const float4& four : fours)
    largest = fmaxf(fmaxf(fmaxf(largest, fabsf(four.x)), fmaxf(fabsf(four.y), fabsf(four.z))), fabsf(four.w));
  const float scale = scale_for(block_largest(largest));
#pragma unroll
  for (int k = 0; k < kHeld; ++k)
    if (k < count) *place(k) = packed(fours[k], scale);
  return 1 / scale;
}

/// A thread's part of what is rounded: four of the 64 channels, and every 32nd pixel or one result.
struct FourChannels {
  static constexpr int kThreads = ImageInShared::kIn / 4, kOthers = ImageInShared::kThreads / kThreads;
  int four = static_cast<int>(threadIdx.x) % kThreads, other = static_cast<int>(threadIdx.x) / kThreads;

  /// The half of piece `pieces` that its channels are, of columns `stride` pieces apart.
  __device__ uint2* half(uint4* pieces, int stride) const {
    return reinterpret_cast<uint2*>(pieces + four / 2 * stride) + four % 2;
  }
};

/// The block's image.
template <int In>
__device__ float put_image(const ImageInShared& r, const float* images, uint4* target) {
  const FourChannels own;
  const int pixels = r.image_pixels();
  const auto* const from =
      reinterpret_cast<const float4*>(images + (static_cast<Index>(blockIdx.x) * pixels + own.other) * In) + own.four;
  uint2* const to = own.half(target + own.other, r.image_stride());
  const int count = (pixels - own.other + FourChannels::kOthers - 1) / FourChannels::kOthers;
  return put_scaled(
      count, [&](int k) { return from + k * FourChannels::kOthers * FourChannels::kThreads; },
      [&](int k) { return to + k * FourChannels::kOthers * 2; });
}

/// Where a position of the kernel stands among the weights, in pieces.
template <int Out>
__device__ __forceinline__ int weights_at(const ImageInShared& r, int position) {
  constexpr int kPosition = ImageInShared::kIn / wgmma::kPiece * ImageInShared::weight_stride();
  const bool below = position >= r.half_rows() * r.kernel_width;
  return position * kPosition + (below ? Out - r.lower_row() * r.kernel_width * kPosition : 0);
}

/// The kernel [out, positions, in]: a thread has one result.
template <int Out>
__device__ float put_weights(const ImageInShared& r, const float* weight, uint4* target) {
  static_assert(FourChannels::kOthers == Out);
  if (r.kernel_height % 2 != 0) clear(target, r.half_columns() * ImageInShared::weight_stride());
  const FourChannels own;
  const auto* const from = reinterpret_cast<const float4*>(weight + own.other * r.window()) + own.four;
  uint2* const to = own.half(target + line_of(own.other), ImageInShared::weight_stride());
  // Blocks begin at different positions: all read the same numbers, but not at the same time.
  const int first = static_cast<int>(blockIdx.x) % r.positions();
  const auto position = [&](int k) { return first + k < r.positions() ? first + k : first + k - r.positions(); };
  return put_scaled(
      r.positions(), [&](int k) { return from + position(k) * FourChannels::kThreads; },
      [&](int k) { return to + weights_at<Out>(r, position(k)) * 2; });
}

/// Leaves the image, and the block's share of the weights, to the gradient. One thread must wait for the image's copies
/// before it is overwritten.
template <int In, int Out>
__device__ void keep_rounded(const ImageInShared& r, const RoundedImages& kept, const uint4* image, uint4* weights,
                             float image_scale, float weight_scale) {
  if (threadIdx.x == 0) {
    uint4* const target = kept.images + static_cast<Index>(blockIdx.x) * r.image_pieces();
    const int pixels = r.image_pixels();
    for (int c = 0; c < In / wgmma::kPiece; ++c)
      tiles::store_bytes(target + c * pixels, image + c * r.image_stride(), pixels * static_cast<int>(sizeof(uint4)));
    tiles::commit_stores();
    kept.scales[blockIdx.x] = image_scale;
    if (blockIdx.x == 0) kept.scales[r.images] = weight_scale;
  }
  constexpr int kColumns = Out / wgmma::kPiece;
  for (int i = static_cast<int>(blockIdx.x + gridDim.x * threadIdx.x); i < r.weight_pieces();
       i += static_cast<int>(gridDim.x) * ImageInShared::kThreads) {
    const int c = i % In, column = i / In, position = r.positions() - 1 - column / kColumns;
    union {
      uint4 piece;
      __half numbers[wgmma::kPiece];
    };
#pragma unroll
    for (int j = 0; j < wgmma::kPiece; ++j) {
      const uint4* from = weights + weights_at<Out>(r, position) + c / wgmma::kPiece * ImageInShared::weight_stride() +
                          line_of(column % kColumns * wgmma::kPiece + j);
      numbers[j] = reinterpret_cast<const __half*>(from)[c % wgmma::kPiece];
    }
    kept.weights[column * In + line_of(c)] = piece;
  }
}

/// A warpgroup's tile of sums to results [pixel, Out]: the upper half with the bias, then the lower half.
template <int Out>
__device__ __forceinline__ void put_results(const ImageInShared& r, const float (&sums)[ImageInShared::kTile / 2],
                                            int first, float scale, const float* bias, float* results) {
  constexpr int kStride = ImageInShared::result_stride();
  const int o = own_channels() % Out, end = r.result_pixels();
  const bool lower = own_channels() >= Out;
  const float2 start = bias != nullptr ? make_float2(bias[o], bias[o + 1]) : make_float2(0, 0);
  if (!lower)
    each_pixel(sums, [&](int pixel, float sum, float next) {
      const int at = first + pixel;
      if (at < end)
        *reinterpret_cast<float2*>(results + at * kStride + o) =
            make_float2(sum * scale + start.x, next * scale + start.y);
    });
  __syncthreads();
  if (lower)
    each_pixel(sums, [&](int pixel, float sum, float next) {
      const int at = first + pixel - r.lower_row() * r.in_width;
      if (at < 0 || at >= end) return;
      auto& result = *reinterpret_cast<float2*>(results + at * kStride + o);
      result = make_float2(result.x + sum * scale, result.y + next * scale);
    });
  __syncthreads();
}

#endif

template <int In, int Out>
__global__ void __launch_bounds__(ImageInShared::kThreads, 1)
    image_in_shared_forward_kernel(ImageInShared r, Activation activation, const float* x, const float* weight,
                                   const float* bias, float* y, std::uint16_t* winner, RoundedImages kept) {
  detail::pdl_begin();
#ifdef NEUROINHIB_WGMMA
  extern __shared__ __align__(128) uint4 pieces[];
  uint4 *const image = pieces, *const weights = pieces + r.forward_weights_at();
  const float image_scale = put_image<In>(r, x, image), weight_scale = put_weights<Out>(r, weight, weights);
  wgmma::publish();
  __syncthreads();
  if (kept.images != nullptr) keep_rounded<In, Out>(r, kept, image, weights, image_scale, weight_scale);

  const int first = static_cast<int>(threadIdx.x) / wgmma::kWarpgroup * ImageInShared::kTile;
  float sums[ImageInShared::kTile / 2];
  multiply_windows<In>(sums, r.half_rows(), r.kernel_width, weights, ImageInShared::weight_stride(), image + first,
                       r.image_stride(), r.in_width);
  if (threadIdx.x == 0) tiles::wait_stores_read();
  __syncthreads();  // the image makes room for the results
  float* const results = reinterpret_cast<float*>(image);
  put_results<Out>(r, sums, first, image_scale * weight_scale, bias, results);

  constexpr int kStride = ImageInShared::result_stride();
  for (int i = static_cast<int>(threadIdx.x); i < r.cells() * Out; i += ImageInShared::kThreads) {
    const int c = i % Out;
    const RowColumn cell(i / Out, r.by_pooled_width);
    const Index at = static_cast<Index>(blockIdx.x) * r.cells() * Out + i;
    const float* window = results + (cell.row * r.in_width + cell.column) * r.pool_stride * kStride + c;
    int chosen;
    const float best = r.pool == 3 ? largest_of(window, 3, r.in_width * kStride, kStride, chosen)  // unrolled
                                   : largest_of(window, r.pool, r.in_width * kStride, kStride, chosen);
    y[at] = activation_of(activation, best);
    if (winner != nullptr) winner[at] = static_cast<std::uint16_t>(chosen);
  }
#endif
}

template <std::same_as<Cuda<float>> B>
void image_in_shared_forward(B& cuda, const Conv2d<float>& op, const ImageInShared& r) {
  launch_image_in_shared(cuda, r, r.forward_pieces(),
                         image_in_shared_forward_kernel<ImageInShared::kIn, ImageInShared::kOut>, op.options.activation,
                         op.x.data, op.weight.data, op.bias.data, op.y.data, op.winner, RoundedImages(r, op.kept));
}

}  // namespace neuroinhib::ops
