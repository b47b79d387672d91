#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>

#include <neuroinhib/backend/cuda_tiles.cuh>
#include <neuroinhib/ops/conv2d/cuda_extents.cuh>
#include <neuroinhib/ops/gemm/cuda_maps.cuh>
#include <neuroinhib/ops/gemm/cuda_scaled_halves.cuh>
#include <neuroinhib/ops/gemm/cuda_wgmma_widths.cuh>

/// Convolution on Hopper's matrix units where a whole image fits into shared memory: one block an image. All pixels of
/// a window position are the image moved by a few rows of 16 bytes, so the products read the image itself, and columns
/// of windows never exist; activation, pooling and their gradients happen on the way in or out.
///
/// Image, result and the result's gradient are rasters as wide as the image, W pixels. A row of the result is
/// kernel_width − 1 pixels shorter; what is computed for the others is not kept, and in the gradient's raster, the
/// frame, they are the zeros that the windows over an image's edges need, on the right of one row and on the left of
/// the next:
///
///        image             result              frame
///      ┌────────┐        ┌──────┬──┐       ┌────────┐ ┐ kernel_height − 1
///      │        │        │      │ -│       │0 0 0 0 │ ┘ rows, and kernel_width − 1 pixels
///      │        │        │      │ -│       │  ┌─────┤
///      │        │        └──────┘--│       │0 │     │
///      └────────┘                          └──┴─────┘ …
///
/// Factors are two-byte floats, which have the ten bits of mantissa of tf32: a power of two scales an image's numbers
/// to a largest of at most 2¹⁵, so that what is lost lies 2²⁷ below it, about a float sum's last bit.
namespace neuroinhib::ops {

/// Extents of such a convolution, and what its kernels need.
struct ImageInShared : KernelExtents {
  static constexpr int kThreads = 512, kGroups = kThreads / wgmma::kWarpgroup;
  static constexpr int kIn = 64, kOut = 32;  ///< channels
  static constexpr int kLines = 64;          ///< of every product: two halves of the kernel's results, or all inputs
  static constexpr int kTile = 144;          ///< pixels of a raster that a warpgroup multiplies
  static constexpr int kHeld = 18;           ///< fours of image or weights that a thread holds until they are rounded
  static constexpr int kHeldCells = 8;       ///< the same of the pooled gradient, numbers

  bool pools;
  gemm::Divisor by_in_width, by_pooled_width, by_pool_stride;

  ImageInShared(const Conv2d<float>& op, const ConvExtents& e)
      : KernelExtents(e),
        pools(op.pools()),
        by_in_width(in_width),
        by_pooled_width(pooled_width),
        by_pool_stride(pool_stride) {}

  /// Windows of the pool that lie over one pixel, along one axis.
  NEUROINHIB_DEVICE [[nodiscard]] int overlap() const { return (pool + pool_stride - 1) / pool_stride; }
  NEUROINHIB_DEVICE [[nodiscard]] int positions() const { return kernel_height * kernel_width; }
  NEUROINHIB_DEVICE [[nodiscard]] int window() const { return positions() * in; }
  NEUROINHIB_DEVICE [[nodiscard]] int cells() const { return pooled_height * pooled_width; }
  NEUROINHIB_DEVICE [[nodiscard]] int image_pixels() const { return in_height * in_width; }
  NEUROINHIB_DEVICE [[nodiscard]] int image_pieces() const { return image_pixels() * in / wgmma::kPiece; }
  /// The result's raster, from its first pixel to its last.
  NEUROINHIB_DEVICE [[nodiscard]] int result_pixels() const { return (height - 1) * in_width + width; }
  /// Where the result's first pixel stands in the frame, and how far apart a window's first and last pixel are.
  NEUROINHIB_DEVICE [[nodiscard]] int origin() const { return (kernel_height - 1) * in_width + kernel_width - 1; }

  /// Rows of the kernel's upper half, and where the lower one begins, which has as many: in a kernel of odd height the
  /// first of them is zero.
  NEUROINHIB_DEVICE [[nodiscard]] int half_rows() const { return (kernel_height + 1) / 2; }
  NEUROINHIB_DEVICE [[nodiscard]] int lower_row() const { return kernel_height / 2; }
  NEUROINHIB_DEVICE [[nodiscard]] int half_columns() const { return half_rows() * kernel_width * in / wgmma::kPiece; }
  /// Pairs of neighbouring positions of the kernel, the last of a row perhaps without its second.
  NEUROINHIB_DEVICE [[nodiscard]] int pairs_a_row() const { return (kernel_width + 1) / 2; }
  NEUROINHIB_DEVICE [[nodiscard]] int pairs() const { return kernel_height * pairs_a_row(); }
  /// Depth of the weight gradient: the result's raster and the pixel behind it.
  NEUROINHIB_DEVICE [[nodiscard]] int gradient_depth() const { return (result_pixels() + 64) / 64 * 64; }

  // Pieces from one column to the next: so many that threads which write neighbouring columns use different banks.
  NEUROINHIB_DEVICE [[nodiscard]] int image_stride() const { return image_pixels() | 1; }
  NEUROINHIB_DEVICE [[nodiscard]] static constexpr int weight_stride() { return kLines | 1; }
  NEUROINHIB_DEVICE [[nodiscard]] int frame_stride() const {
    const int read = image_pixels() > gradient_depth() ? image_pixels() : gradient_depth();
    return (read + origin() + 4) / 4 * 4 + 2;
  }
  /// Numbers from one pixel of the results to the next.
  NEUROINHIB_DEVICE [[nodiscard]] static constexpr int result_stride() { return kOut + 4; }

  // Pieces of shared memory in the forward pass: the image, which makes room for the results, and the weights.
  NEUROINHIB_DEVICE [[nodiscard]] int forward_weights_at() const {
    const int results = result_pixels() * result_stride() / 4, image = in / wgmma::kPiece * image_stride();
    return image > results ? image : results;
  }
  [[nodiscard]] int forward_pieces() const { return forward_weights_at() + half_columns() * weight_stride(); }
  // And in the gradient: the frame twice, the image, which the last products read beyond, and the reversed weights,
  // before which the pooled gradient stands there.
  NEUROINHIB_DEVICE [[nodiscard]] int frame_pieces() const { return 2 * out / wgmma::kPiece * frame_stride(); }
  NEUROINHIB_DEVICE [[nodiscard]] int image_margin() const {
    const int beyond = gradient_depth() + origin() - image_pixels();
    return beyond > 0 ? beyond : 0;
  }
  NEUROINHIB_DEVICE [[nodiscard]] int gradient_weights_at() const {
    return (frame_pieces() + image_pieces() + image_margin() + 7) / 8 * 8;
  }
  NEUROINHIB_DEVICE [[nodiscard]] int weight_pieces() const { return positions() * out * in / wgmma::kPiece; }
  [[nodiscard]] int gradient_pieces() const {
    const auto cell = static_cast<int>(sizeof(float) + (pools ? sizeof(std::uint16_t) : 0));
    return gradient_weights_at() + std::max(weight_pieces(), cells() * out * cell / static_cast<int>(sizeof(uint4)));
  }

  [[nodiscard]] static std::size_t bytes(int pieces) { return sizeof(uint4) * static_cast<std::size_t>(pieces); }
  /// Whether the kernels can do it on a device with so much shared memory a block: without padding, and with the
  /// channels that they have been compared with the CPU for.
  [[nodiscard]] bool fits(std::size_t shared) const {
    constexpr std::size_t kStatic = 4096;
    const bool held = positions() <= kHeld && image_pixels() <= kGroups * kTile;
    return held && stride == 1 && padding == 0 && in == kIn && out == kOut && kernel_height > 1 &&
           bytes(std::max(forward_pieces(), gradient_pieces())) + kStatic <= shared;
  }
};

/// What the forward pass leaves to the gradient: the images and the reversed weights in two-byte floats, as the matrix
/// unit reads them. Null where no gradient is wanted.
struct RoundedImages {
  uint4* images;   ///< [images, in / 8, pixels]
  uint4* weights;  ///< [positions, out / 8, in], positions from the last to the first
  float* scales;   ///< [images + 1]: what products of an image's numbers are to be multiplied by; the weights' last

  RoundedImages(const ImageInShared& r, std::byte* memory)
      : images(reinterpret_cast<uint4*>(memory)),
        weights(memory == nullptr ? nullptr : images + static_cast<Index>(r.images) * r.image_pieces()),
        scales(memory == nullptr ? nullptr : reinterpret_cast<float*>(weights + r.weight_pieces())) {}
  [[nodiscard]] static Index bytes(const ImageInShared& r) {
    return static_cast<Index>(sizeof(uint4)) * (static_cast<Index>(r.images) * r.image_pieces() + r.weight_pieces()) +
           static_cast<Index>(sizeof(float)) * (r.images + 1);
  }
};

/// Where number i stands in rows that are as long as the divisor.
struct RowColumn {
  int row, column;
  __device__ RowColumn(int i, const gemm::Divisor& length)
      : row(static_cast<int>(length.divide(static_cast<unsigned>(i)))),
        column(i - row * static_cast<int>(length.value)) {}
};

/// The line of a product that has channel c's sums. A thread has those of two lines, 8 apart: they are neighbouring
/// channels'.
__device__ inline int line_of(int c) {
  return c / 16 * 16 + c % 2 * 8 + c % 16 / 2;
}
/// The first of the two channels of this thread.
__device__ inline int own_channels() {
  const int thread = static_cast<int>(threadIdx.x) % wgmma::kWarpgroup;
  return thread / detail::kWarp * 16 + thread % detail::kWarp / 4 * 2;
}
/// visit(pixel, sum, the next channel's sum) for this thread's pixels of a tile.
template <class Visit>
__device__ __forceinline__ void each_pixel(const float (&sums)[ImageInShared::kTile / 2], const Visit& visit) {
  const int first = static_cast<int>(threadIdx.x) % 4 * 2;
  [&]<int... I>(std::integer_sequence<int, I...>) {
    (visit(first + I / 2 * 8 + I % 2, sums[I / 2 * 4 + I % 2], sums[I / 2 * 4 + I % 2 + 2]), ...);
  }(std::make_integer_sequence<int, ImageInShared::kTile / 4>{});
}

#ifdef NEUROINHIB_WGMMA

/// The largest of the block's values.
__device__ inline float block_largest(float value) {
  __shared__ float scratch[ImageInShared::kThreads / detail::kWarp];
  value = detail::warp_max(value);
  __syncthreads();
  if (threadIdx.x % detail::kWarp == 0) scratch[threadIdx.x / detail::kWarp] = value;
  __syncthreads();
  float largest = scratch[0];
#pragma unroll
  for (int i = 1; i < ImageInShared::kThreads / detail::kWarp; ++i) largest = fmaxf(largest, scratch[i]);
  return largest;
}

__device__ inline void clear(uint4* target, int count) {
  for (int i = static_cast<int>(threadIdx.x); i < count; i += ImageInShared::kThreads) target[i] = {};
}

/// sums [64, kTile] = weights times windows of a raster, whose first pixel is `raster`: `rows` × `columns` positions,
/// Channels deep each.
template <int Channels>
__device__ __forceinline__ void multiply_windows(float (&sums)[ImageInShared::kTile / 2], int rows, int columns,
                                                 const uint4* weights, int weight_stride, const uint4* raster,
                                                 int stride, int width) {
  using wgmma::Major;
  using wgmma::Pieces;
  constexpr int kColumns = Channels / wgmma::kPiece;
  std::uint64_t a = wgmma::factor<Pieces::along_depth>(weights, weight_stride);
  std::uint64_t b = wgmma::factor<Pieces::along_depth>(raster, stride);
  const int positions = rows * columns;
  int column = 0;
  wgmma::begin(sums);
#pragma unroll 1
  for (int position = 0; position < positions; ++position) {
    wgmma::order();
#pragma unroll
    for (int c = 0; c < kColumns; c += 2)
      wgmma::multiply<__half, Major::depth, Major::depth>(sums, a + static_cast<unsigned>(c * weight_stride),
                                                          b + static_cast<unsigned>(c * stride), position + c > 0);
    a += static_cast<unsigned>(kColumns * weight_stride);
    ++b;
    if (++column < columns) continue;
    column = 0;
    b += static_cast<unsigned>(width - columns);
  }
  wgmma::finish(sums);
}

#endif

template <class... Parameters, class... Arguments>
void launch_image_in_shared(Cuda<float>& cuda, const ImageInShared& r, int pieces, void (*kernel)(Parameters...),
                            Arguments&&... arguments) {
  const std::size_t shared = ImageInShared::bytes(pieces);
  cuda.allow_shared(kernel, shared);
  cuda.launch_pdl(dim3(static_cast<unsigned>(r.images)), dim3(ImageInShared::kThreads), shared, kernel, r,
                  std::forward<Arguments>(arguments)...);
}

}  // namespace neuroinhib::ops
