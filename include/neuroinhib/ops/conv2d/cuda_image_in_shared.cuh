#pragma once

#include <concepts>

#include <neuroinhib/ops/activation/scalar.hpp>
#include <neuroinhib/ops/conv2d/cuda_extents.cuh>
#include <neuroinhib/ops/gemm/cuda_maps.cuh>
#include <neuroinhib/ops/gemm/cuda_scaled_halves.cuh>
#include <neuroinhib/ops/gemm/cuda_wgmma.cuh>
#include <neuroinhib/ops/max_pool2d/cuda.cuh>

/// Convolution on Hopper's matrix units where a whole image fits into shared memory: one block an image. All pixels of
/// a window position are the image moved by a few rows of 16 bytes, so the products read the image itself, and columns
/// of windows never exist; activation, pooling and their gradients happen on the way in or out.
///
/// Factors are two-byte floats, which have the ten bits of mantissa of tf32: a power of two scales an image's numbers
/// to a largest of 2¹⁴ to 2¹⁵, so that what is lost lies 2²⁹ below it, beyond a float sum's last bit.
namespace neuroinhib::ops {

/// Extents of such a convolution, and what its kernels need. A raster is an image with its borders as one line of
/// pixels; results between two rows of it are computed and not kept.
struct ImageInShared : KernelExtents {
  static constexpr int kThreads = 512, kGroups = kThreads / wgmma::kWarpgroup;
  static constexpr int kIn = 64, kOut = 32;  ///< channels: the products' other sides
  static constexpr int kTile = 64;           ///< pixels of a raster that a warpgroup multiplies at once
  static constexpr int kMaxTiles = 2;        ///< of a forward pass, a warpgroup
  static constexpr int kHeld = 9;       ///< pieces of image or weights that a thread holds between reading and rounding
  static constexpr int kHeldCells = 8;  ///< the same of the pooled gradient, numbers
  static constexpr int kHeldPixels = 4;  ///< the same of the result's gradient

  bool pools;
  gemm::Divisor by_in_width, by_width, by_frame_width, by_pooled_width, by_pool, by_turns, by_columns;

  ImageInShared(const Conv2d<float>& op, const ConvExtents& e)
      : KernelExtents(e),
        pools(op.pools()),
        by_in_width(in_width),
        by_width(width),
        by_frame_width(frame_width()),
        by_pooled_width(pooled_width),
        by_pool(pool),
        by_turns(turns()),
        by_columns(window() / wgmma::kPiece) {}

  /// Windows that lie over one pixel, along one axis.
  NEUROINHIB_DEVICE [[nodiscard]] int turns() const { return pools ? (pool + pool_stride - 1) / pool_stride : 1; }

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
  NEUROINHIB_DEVICE [[nodiscard]] static constexpr int result_stride(int channels) { return channels + 8; }

  NEUROINHIB_DEVICE [[nodiscard]] int image_pieces(int piece_stride) const { return in / wgmma::kPiece * piece_stride; }
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
  /// Frame, image and reversed weights; before these two come, the gradient in floats.
  [[nodiscard]] std::size_t gradient_bytes() const {
    const std::size_t weights = bytes(positions() * out / wgmma::kPiece * weight_stride(in));
    const std::size_t pixels = sizeof(float) * static_cast<std::size_t>(height * width * out);
    return bytes(frame_pieces()) + std::max(bytes(image_pieces(image_stride())) + weights, pixels) + overread();
  }
  /// Whether the kernels below can do it on a device with so much shared memory a block: without padding and with the
  /// channels that they have been compared with the CPU for.
  [[nodiscard]] bool fits(std::size_t shared) const {
    constexpr std::size_t kStatic = 4096;
    const int most = kHeld * kThreads * wgmma::kPiece;
    const bool held = in_height * in_width * in <= most && window() * out <= most &&
                      height * width * out <= kHeldPixels * kThreads * wgmma::kPiece;
    return held && stride == 1 && padding == 0 && in == kIn && out == kOut && forward_tiles() <= kMaxTiles * kGroups &&
           std::max(forward_bytes(), gradient_bytes()) + kStatic <= shared;
  }
};

/// Where number i stands in rows that are as long as the divisor.
struct RowColumn {
  int row, column;
  __device__ RowColumn(int i, const gemm::Divisor& length)
      : row(static_cast<int>(length.divide(static_cast<unsigned>(i)))),
        column(i - row * static_cast<int>(length.value)) {}
};

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

/// Rounds `count` pieces, at most Held a thread, whose numbers read(i, numbers) brings, to scaled two-byte floats at
/// place(i). Returns what their products are to be multiplied by.
template <int Held, class Read, class PieceAt>
__device__ float put_scaled(int count, const Read& read, const PieceAt& place) {
  float numbers[Held][wgmma::kPiece] = {};
  float largest = 0;
  // Blocks begin at different pieces: where all read the same ones, they do not read them at the same time.
  const auto piece = [](int k) {
    return static_cast<int>(threadIdx.x + (k + blockIdx.x) % Held * ImageInShared::kThreads);
  };
#pragma unroll
  for (int k = 0; k < Held; ++k)
    if (const int i = piece(k); i < count) read(i, numbers[k]);
#pragma unroll
  for (const auto& eight : numbers)
#pragma unroll
    for (const float number : eight) largest = fmaxf(largest, fabsf(number));
  const float scale = scale_for(block_largest(largest));
#pragma unroll
  for (int k = 0; k < Held; ++k)
    if (const int i = piece(k); i < count) *place(i) = packed(numbers[k], scale);
  return 1 / scale;
}

__device__ inline void clear(uint4* target, int count) {
  for (int i = static_cast<int>(threadIdx.x); i < count; i += ImageInShared::kThreads) target[i] = {};
}

/// Has the block's image brought to the cache while the block does something else.
template <int In>
__device__ void prefetch_image(const ImageInShared& r, const float* images) {
  constexpr int kLine = 32;  // numbers
  const int size = r.in_height * r.in_width * In;
  const float* image = images + static_cast<Index>(blockIdx.x) * size;
  for (int i = static_cast<int>(threadIdx.x) * kLine; i < size; i += ImageInShared::kThreads * kLine)
    asm volatile("prefetch.global.L2 [%0];" ::"l"(image + i));
}

/// The block's image as a raster `width` wide with zeros outside; columns of pieces `stride` apart.
template <int In>
__device__ float put_image(const ImageInShared& r, const float* images, int width, int stride, uint4* target) {
  constexpr int kColumns = In / wgmma::kPiece;
  const float* image = images + static_cast<Index>(blockIdx.x) * r.in_height * r.in_width * In;
  clear(target, kColumns * stride);
  return put_scaled<ImageInShared::kHeld>(
      r.in_height * r.in_width * kColumns,
      [&](int i, float(&numbers)[wgmma::kPiece]) { read_eight(image + i * wgmma::kPiece, numbers); },
      [&](int i) {
        const RowColumn at(i / kColumns, r.by_in_width);
        return target + i % kColumns * stride + (at.row + r.padding) * width + at.column + r.padding;
      });
}

/// The kernel [out, window]: rows are results, pieces go along the window.
template <int Out>
__device__ float put_weights(const ImageInShared& r, const float* weight, uint4* target) {
  constexpr int kStride = ImageInShared::weight_stride(Out);
  return put_scaled<ImageInShared::kHeld>(
      r.window() / wgmma::kPiece * Out,
      [&](int i, float(&numbers)[wgmma::kPiece]) { read_eight(weight + i * wgmma::kPiece, numbers); },
      [&](int i) {
        const RowColumn at(i, r.by_columns);
        return target + at.column * kStride + at.row;
      });
}

/// The kernel walked backwards, [in, positions, out]: rows are the input's channels, pieces go along the results.
template <int In, int Out>
__device__ float put_reversed_weights(const ImageInShared& r, const float* weight, uint4* target) {
  constexpr int kColumns = Out / wgmma::kPiece, kStride = ImageInShared::weight_stride(In);
  return put_scaled<ImageInShared::kHeld>(
      r.positions() * kColumns * In,
      [&](int i, float(&numbers)[wgmma::kPiece]) {
        const int c = i % In, piece = i / In, position = r.positions() - 1 - piece / kColumns;
        const float* source = weight + (piece % kColumns * wgmma::kPiece * r.positions() + position) * In + c;
#pragma unroll
        for (int j = 0; j < wgmma::kPiece; ++j) numbers[j] = source[j * r.window()];
      },
      [&](int i) { return target + i / In * kStride + i % In; });
}

/// sums += windows of a raster times weights: the tile's pixels from `image` on, positions row by row.
template <int Channels, int Lines>
__device__ void multiply_windows(float (&sums)[Lines / 2], const ImageInShared& r, const uint4* image, int width,
                                 int stride, const uint4* weights) {
  using wgmma::Pieces;
  constexpr int kWeightStride = ImageInShared::weight_stride(Lines), kColumns = Channels / wgmma::kPiece;
  wgmma::begin(sums);
  int column = 0;
#pragma unroll 1
  for (int position = 0; position < r.positions(); ++position, weights += kColumns * kWeightStride) {
    wgmma::order();
#pragma unroll
    for (int c = 0; c < kColumns; c += 2)
      wgmma::multiply<Pieces::along_depth, Pieces::along_depth>(
          sums, wgmma::factor<Pieces::along_depth>(image + c * stride, stride),
          wgmma::factor<Pieces::along_depth>(weights + c * kWeightStride, kWeightStride));
    ++image;
    if (++column < r.kernel_width) continue;
    column = 0;
    image += width - r.kernel_width;
  }
  wgmma::finish(sums);
}

/// sums [In, Out] += the image moved by one position of the window, times the gradient in the frame.
template <int Count>
__device__ void multiply_gradient(float (&sums)[Count], const ImageInShared& r, const uint4* moved, int image_stride,
                                  const uint4* gradient, int stride) {
  using wgmma::Pieces;
  wgmma::begin(sums);
#pragma unroll 1
  for (int pixel = 0; pixel < r.gradient_depth(); pixel += ImageInShared::kTile) {
    wgmma::order();
#pragma unroll
    for (int k = pixel; k < pixel + ImageInShared::kTile; k += 2 * wgmma::kPiece)
      wgmma::multiply<Pieces::along_lines, Pieces::along_lines>(
          sums, wgmma::factor<Pieces::along_lines>(moved + k, image_stride),
          wgmma::factor<Pieces::along_lines>(gradient + k, stride));
  }
  wgmma::finish(sums);
}

#endif

/// y and winner of an image.
template <int In, int Out>
__global__ void __launch_bounds__(ImageInShared::kThreads, 1)
    image_in_shared_forward_kernel(ImageInShared r, Activation activation, const float* x, const float* weight,
                                   const float* bias, float* y, std::uint16_t* winner) {
  detail::pdl_begin();
#ifdef NEUROINHIB_WGMMA
  extern __shared__ __align__(128) uint4 pieces[];
  uint4 *const image = pieces, *const weights = pieces + r.forward_weights_at();
  const int width = r.padded_width(), stride = r.forward_stride();
  const float scale = put_image<In>(r, x, width, stride, image) * put_weights<Out>(r, weight, weights);
  wgmma::publish();
  __syncthreads();
  const int group = static_cast<int>(threadIdx.x) / wgmma::kWarpgroup;
  float sums[ImageInShared::kMaxTiles][Out / 2] = {};
#pragma unroll
  for (int i = 0; i < ImageInShared::kMaxTiles; ++i)
    if (const int tile = group + i * ImageInShared::kGroups; tile < r.forward_tiles())
      multiply_windows<In, Out>(sums[i], r, image + tile * ImageInShared::kTile, width, stride, weights);
  __syncthreads();  // the image makes room for the results
  float* const results = reinterpret_cast<float*>(image);
  constexpr int kStride = ImageInShared::result_stride(Out);
#pragma unroll
  for (int i = 0; i < ImageInShared::kMaxTiles; ++i)
    if (const int tile = group + i * ImageInShared::kGroups; tile < r.forward_tiles())
      wgmma::each(sums[i], [&](int row, int c, float sum, float next) {
        const float2 start = bias != nullptr ? make_float2(bias[c], bias[c + 1]) : make_float2(0, 0);
        *reinterpret_cast<float2*>(results + (tile * ImageInShared::kTile + row) * kStride + c) =
            make_float2(sum * scale + start.x, next * scale + start.y);
      });
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < r.cells() * Out; i += ImageInShared::kThreads) {
    const int c = i % Out;
    const RowColumn cell(i / Out, r.by_pooled_width);
    const Index at = static_cast<Index>(blockIdx.x) * r.cells() * Out + i;
    const float* first = results + (cell.row * width + cell.column) * r.pool_stride * kStride + c;
    int chosen;
    const float best = r.pool == 3 ? largest_of(first, 3, width * kStride, kStride, chosen)  // unrolled
                                   : largest_of(first, r.pool, width * kStride, kStride, chosen);
    y[at] = activation_of(activation, best);
    if (winner != nullptr) winner[at] = static_cast<std::uint16_t>(chosen);
  }
#endif
}

/// What the gradient kernel reads and writes. Undefined parts are not computed.
struct ImageInSharedGradients {
  const float *x, *weight, *y, *dy;
  const std::uint16_t* winner;
  Activation activation;
  GradientSlot<float> dx;
  float* parts;     ///< [images, part_size]: each image's share of the weight's gradient and, behind it, the bias's
  Index part_size;  ///< 0: none wanted

  [[nodiscard]] __device__ float* part() const { return parts + static_cast<Index>(blockIdx.x) * part_size; }
};

#ifdef NEUROINHIB_WGMMA

/// The image's gradient before pooling and activation, [pixels, Out], in cleared memory, and its share of the bias's
/// gradient. Windows overlap: they are taken in turns of windows that do not, so that every sum has one order.
template <int Out>
__device__ void unpool(const ImageInShared& r, const ImageInSharedGradients& g, float* pixels) {
  constexpr int kLanes = ImageInShared::kThreads / Out;
  __shared__ float lanes[kLanes][Out];
  const Index first = static_cast<Index>(blockIdx.x) * r.cells() * Out;
  const int c = static_cast<int>(threadIdx.x) % Out, lane = static_cast<int>(threadIdx.x) / Out;
  const int turns = r.turns();
  float total = 0;
  for (int begin = lane; begin - lane < r.cells(); begin += ImageInShared::kHeldCells * kLanes) {
    float gradient[ImageInShared::kHeldCells];
    int pixel[ImageInShared::kHeldCells], turn_of[ImageInShared::kHeldCells];
#pragma unroll
    for (int k = 0; k < ImageInShared::kHeldCells; ++k) {
      const int number = begin + k * kLanes;
      turn_of[k] = -1;
      if (number >= r.cells()) continue;
      const RowColumn cell(number, r.by_pooled_width);
      const Index at = first + number * Out + c;
      const RowColumn won(r.pools ? g.winner[at] : 0, r.by_pool);
      turn_of[k] = RowColumn(cell.row, r.by_turns).column * turns + RowColumn(cell.column, r.by_turns).column;
      gradient[k] = g.dy[at] * slope_from_output(g.activation, g.y[at]);
      pixel[k] = (cell.row * r.pool_stride + won.row) * r.width + cell.column * r.pool_stride + won.column;
      total += gradient[k];
    }
    for (int turn = 0; turn < turns * turns; ++turn) {
#pragma unroll
      for (int k = 0; k < ImageInShared::kHeldCells; ++k)
        if (turn_of[k] == turn) pixels[pixel[k] * Out + c] += gradient[k];
      __syncthreads();
    }
  }
  if (g.part_size == 0) return;
  lanes[lane][c] = total;
  __syncthreads();
  if (lane != 0) return;
  for (int other = 1; other < kLanes; ++other) total += lanes[other][c];
  g.part()[Out * r.window() + c] = total;
}

/// Lays that gradient into the cleared frame.
template <int Out>
__device__ float put_frame(const ImageInShared& r, const float* pixels, uint4* frame) {
  constexpr int kColumns = Out / wgmma::kPiece;
  return put_scaled<ImageInShared::kHeldPixels>(
      r.height * r.width * kColumns,
      [&](int i, float(&numbers)[wgmma::kPiece]) { read_eight(pixels + i * wgmma::kPiece, numbers); },
      [&](int i) {
        const RowColumn at(i / kColumns, r.by_width);
        return frame + i % kColumns * r.frame_stride() + (at.row + r.kernel_height - 1) * r.frame_width() + at.column +
               r.kernel_width - 1;
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
  uint4 *const frame = pieces, *const image = frame + r.frame_pieces();
  uint4* const weights = image + r.image_pieces(r.image_stride());
  float* const pixels = reinterpret_cast<float*>(image);
  const int width = r.frame_width(), stride = r.frame_stride(), image_stride = r.image_stride();
  const int group = static_cast<int>(threadIdx.x) / wgmma::kWarpgroup;

  if (g.part_size != 0) prefetch_image<In>(r, g.x);
  clear(frame, r.frame_pieces());
  clear(image, r.height * r.width * Out / 4);
  __syncthreads();
  unpool<Out>(r, g, pixels);
  const float scale = put_frame<Out>(r, pixels, frame);
  __syncthreads();  // the gradient makes room for image and weights
  const float weight_scale = g.dx ? scale * put_reversed_weights<In, Out>(r, g.weight, weights) : 0;
  const float image_scale = g.part_size != 0 ? scale * put_image<In>(r, g.x, width, image_stride, image) : 0;
  wgmma::publish();
  __syncthreads();

  if (g.part_size != 0)
    for (int position = group; position < r.positions(); position += ImageInShared::kGroups) {
      float sums[Out / 2] = {};
      const uint4* moved = image + position / r.kernel_width * width + position % r.kernel_width;
      const uint4* gradient = frame + (r.kernel_height - 1) * width + r.kernel_width - 1;
      multiply_gradient(sums, r, moved, image_stride, gradient, stride);
      float* part = g.part() + position * In;
      wgmma::each(sums, [&](int c, int o, float sum, float next) {
        if (c >= In) return;
        part[o * r.window() + c] = sum * image_scale;
        part[(o + 1) * r.window() + c] = next * image_scale;
      });
    }
  if (g.dx)
    for (int tile = group; tile < r.input_tiles(); tile += ImageInShared::kGroups) {
      float sums[In / 2] = {};
      multiply_windows<Out, In>(sums, r, frame + tile * ImageInShared::kTile, width, stride, weights);
      wgmma::each(sums, [&](int row, int c, float sum, float next) {
        const RowColumn pixel(tile * ImageInShared::kTile + row, r.by_frame_width);
        const int y = pixel.row - r.padding, x = pixel.column - r.padding;
        if (y < 0 || y >= r.in_height || x < 0 || x >= r.in_width) return;
        const Index at = ((static_cast<Index>(blockIdx.x) * r.in_height + y) * r.in_width + x) * In + c;
        g.dx.put(at, sum * weight_scale);
        g.dx.put(at + 1, next * weight_scale);
      });
    }
#endif
}

template <class... Parameters, class... Arguments>
void launch_image_in_shared(Cuda<float>& cuda, const ImageInShared& r, std::size_t shared,
                            void (*kernel)(Parameters...), Arguments&&... arguments) {
  cuda.allow_shared(kernel, shared);
  cuda.launch_pdl(dim3(static_cast<unsigned>(r.images)), dim3(ImageInShared::kThreads), shared, kernel, r,
                  std::forward<Arguments>(arguments)...);
}

template <std::same_as<Cuda<float>> B>
void image_in_shared_forward(B& cuda, const Conv2d<float>& op, const ImageInShared& r) {
  launch_image_in_shared(cuda, r, r.forward_bytes(),
                         image_in_shared_forward_kernel<ImageInShared::kIn, ImageInShared::kOut>, op.options.activation,
                         op.x.data, op.weight.data, op.bias.data, op.y.data, op.winner);
}

/// dw and db, of each image's share of them: `part_size` numbers, the first `size` of which are dw's.
template <std::same_as<Cuda<float>> B>
void sum_shares(B& cuda, const float* parts, Index images, Index part_size, Index size, const GradientSlot<float>& dw,
                const GradientSlot<float>& db) {
  cuda.sum_columns(
      images, part_size, [=] __device__(Index image, Index i) { return parts[image * part_size + i]; },
      [=] __device__(Index i, float sum) {
        if (i < size && dw) dw.put(i, sum);
        if (i >= size && db) db.put(i - size, sum);
      });
}

template <std::same_as<Cuda<float>> B>
void image_in_shared_backward(B& cuda, const Conv2d<float>& op, const ImageInShared& r) {
  const auto dx = op.x.claim_gradient(), dw = op.weight.claim_gradient(), db = op.bias.claim_gradient();
  const Index size = op.weight.size(), part_size = dw || db ? size + r.out : 0;
  float* parts =
      cuda.template kernel_memory<float>(r.images * part_size);  // until the step's end: they are added up beside it
  const ImageInSharedGradients g{op.x.data, op.weight.data, op.y.data, op.y.gradient, op.winner, op.options.activation,
                                 dx,        parts,          part_size};
  launch_image_in_shared(cuda, r, r.gradient_bytes(),
                         image_in_shared_gradient_kernel<ImageInShared::kIn, ImageInShared::kOut>, g);
  if (part_size == 0) return;
  cuda.write_beside(r.images * part_size, {dw.data, db.data},
                    [&] { sum_shares(cuda, parts, r.images, part_size, size, dw, db); });
  if (op.weight.space == nullptr) cuda.join();
}

}  // namespace neuroinhib::ops
