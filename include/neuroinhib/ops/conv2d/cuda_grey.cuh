#pragma once

#include <neuroinhib/ops/activation/scalar.hpp>
#include <neuroinhib/ops/conv2d/cuda_extents.cuh>
#include <neuroinhib/ops/max_pool2d/cuda.cuh>
#include <neuroinhib/ops/product/cuda.cuh>

/// Convolution of one-channel images with small windows, pooled: a network's first layer. A window has so few numbers
/// that a product is the wrong shape for it; a block keeps a band of the image in shared memory, and what is not pooled
/// never leaves it.
namespace neuroinhib::ops {

/// Extents of such a convolution, and how it is cut into bands of pooled rows.
struct GreyWindows : KernelExtents {
  static constexpr int kMostNumbers = 16, kChannels = 64, kLanes = detail::kThreads / kChannels;
  static constexpr std::size_t kMostShared = 64 * 1024, kMostWithSums = 48 * 1024;

  int band;  ///< pooled rows of a block; 0: none fits
  std::size_t number_bytes;

  template <class T>
  GreyWindows(const Conv2d<T>& op, const ConvExtents& e) : KernelExtents(e), band(4), number_bytes(sizeof(T)) {
    if (in != 1 || !op.pools() || numbers() > kMostNumbers) band = 0;
    while (band > 0 && (shared_bytes() > kMostShared || image_bytes() + sums_bytes() > kMostWithSums)) --band;
  }

  [[nodiscard]] bool fit() const { return band > 0; }
  NEUROINHIB_DEVICE [[nodiscard]] int numbers() const { return kernel_height * kernel_width; }
  NEUROINHIB_DEVICE [[nodiscard]] int bands() const { return (pooled_height + band - 1) / band; }
  /// Rows before pooling, and of the padded image, that a band reads.
  NEUROINHIB_DEVICE [[nodiscard]] int rows() const { return (band - 1) * pool_stride + pool; }
  NEUROINHIB_DEVICE [[nodiscard]] int image_rows() const { return (rows() - 1) * stride + kernel_height; }
  [[nodiscard]] std::size_t image_bytes() const {
    return number_bytes * static_cast<std::size_t>(image_rows() * padded_width());
  }
  [[nodiscard]] std::size_t shared_bytes() const {
    return image_bytes() + number_bytes * static_cast<std::size_t>(rows() * width * kChannels);
  }
  /// The backward kernel's sums of weight and bias, beside the image.
  [[nodiscard]] std::size_t sums_bytes() const { return number_bytes * kLanes * (kMostNumbers + 1) * kChannels; }
  /// Blocks: bands of images, and channels.
  [[nodiscard]] dim3 grid() const {
    return dim3(static_cast<unsigned>(images * bands()), static_cast<unsigned>((out + kChannels - 1) / kChannels));
  }
};

/// A thread's place in its block: a channel, and one of the lanes that share out the pixels.
struct GreyThread {
  int image, first_row, channel, lane;

  __device__ explicit GreyThread(const GreyWindows& g)
      : image(static_cast<int>(blockIdx.x) / g.bands()),
        first_row(static_cast<int>(blockIdx.x) % g.bands() * g.band),
        channel(static_cast<int>(blockIdx.y) * GreyWindows::kChannels +
                static_cast<int>(threadIdx.x) % GreyWindows::kChannels),
        lane(static_cast<int>(threadIdx.x) / GreyWindows::kChannels) {}
};

/// The rows of the padded image that the band's windows read, into shared memory.
template <class T>
__device__ void load_band(const GreyWindows& g, const GreyThread& t, const T* images, T* band) {
  const T* image = images + static_cast<Index>(t.image) * g.in_height * g.in_width;
  const int first = t.first_row * g.pool_stride * g.stride - g.padding, width = g.padded_width();
  for (int i = static_cast<int>(threadIdx.x); i < g.image_rows() * width; i += detail::kThreads) {
    const int row = first + i / width, column = i % width - g.padding;
    const bool inside = row >= 0 && row < g.in_height && column >= 0 && column < g.in_width;
    band[i] = inside ? image[row * g.in_width + column] : T{0};
  }
}

/// Extents that the kernels unroll by: those of a 3 × 3 kernel and pool, or (Known = false) whatever g says.
template <bool Known>
struct GreyCounts {
  int numbers, pool;
  __device__ explicit GreyCounts(const GreyWindows& g) : numbers(Known ? 9 : g.numbers()), pool(Known ? 3 : g.pool) {}
  [[nodiscard]] static bool hold(const GreyWindows& g) {
    return g.kernel_height == 3 && g.kernel_width == 3 && g.pool == 3;
  }
};

/// Where a window's numbers lie behind its first one, in the band.
struct GreyOffsets {
  int at[GreyWindows::kMostNumbers];

  __device__ explicit GreyOffsets(const GreyWindows& g) {
#pragma unroll
    for (int k = 0; k < GreyWindows::kMostNumbers; ++k)
      at[k] = k < g.numbers() ? k / g.kernel_width * g.padded_width() + k % g.kernel_width : 0;
  }
};

template <bool Known, class T>
__global__ void __launch_bounds__(detail::kThreads)
    grey_forward_kernel(GreyWindows g, Activation activation, const T* x, const T* weight, const T* bias, T* y,
                        std::uint16_t* winner) {
  extern __shared__ __align__(16) unsigned char shared[];
  T* const band = reinterpret_cast<T*>(shared);
  T* const results = band + g.image_rows() * g.padded_width();
  const GreyThread t(g);
  const GreyCounts<Known> counts(g);
  const GreyOffsets offsets(g);
  load_band(g, t, x, band);
  T numbers[GreyWindows::kMostNumbers];
  const bool valid = t.channel < g.out;
#pragma unroll
  for (int k = 0; k < GreyWindows::kMostNumbers; ++k)
    numbers[k] = valid && k < g.numbers() ? weight[t.channel * g.numbers() + k] : T{0};
  const T start = valid && bias != nullptr ? bias[t.channel] : T{0};
  __syncthreads();
  const int channel = t.channel % GreyWindows::kChannels;
  for (int row = 0; row < g.rows(); ++row)
    for (int column = t.lane; column < g.width; column += GreyWindows::kLanes) {
      const T* window = band + row * g.stride * g.padded_width() + column * g.stride;
      T sum = start;
#pragma unroll
      for (int k = 0; k < GreyWindows::kMostNumbers; ++k)
        if (k < counts.numbers) sum += numbers[k] * window[offsets.at[k]];
      results[(row * g.width + column) * GreyWindows::kChannels + channel] = sum;
    }
  __syncthreads();
  if (!valid) return;
  for (int row = 0; row < g.band && t.first_row + row < g.pooled_height; ++row)
    for (int column = t.lane; column < g.pooled_width; column += GreyWindows::kLanes) {
      const T* window = results + (row * g.width + column) * g.pool_stride * GreyWindows::kChannels + channel;
      const Index at =
          ((static_cast<Index>(t.image) * g.pooled_height + t.first_row + row) * g.pooled_width + column) * g.out +
          t.channel;
      int chosen;
      const T best = largest_of(window, counts.pool, g.width * GreyWindows::kChannels, GreyWindows::kChannels, chosen);
      y[at] = activation_of(activation, best);
      winner[at] = static_cast<std::uint16_t>(chosen);
    }
}

template <class T>
void grey_forward(Cuda<T>& cuda, const Conv2d<T>& op, const GreyWindows& g) {
  auto* kernel = GreyCounts<true>::hold(g) ? grey_forward_kernel<true, T> : grey_forward_kernel<false, T>;
  require_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, GreyWindows::kMostShared),
               "conv2d");
  cuda.launch(g.grid(), dim3(detail::kThreads), g.shared_bytes(), kernel, g, op.options.activation, op.x.data,
              op.weight.data, op.bias.data, op.y.data, op.winner);
}

/// One band's share of the gradients of weight and bias: every pooled pixel adds to the window that won it.
/// sums [bands of images, out, numbers + 1].
template <bool Known, class T>
__global__ void __launch_bounds__(detail::kThreads)
    grey_backward_kernel(GreyWindows g, product::Divisor pool, Activation activation, const T* x, const T* y,
                         const T* dy, const std::uint16_t* winner, T* sums) {
  constexpr int kMost = GreyWindows::kMostNumbers;
  __shared__ T lanes[GreyWindows::kLanes][kMost + 1][GreyWindows::kChannels];
  extern __shared__ __align__(16) unsigned char shared[];
  T* const band = reinterpret_cast<T*>(shared);
  const GreyThread t(g);
  const GreyCounts<Known> counts(g);
  const GreyOffsets offsets(g);
  load_band(g, t, x, band);
  __syncthreads();
  T weight[kMost] = {}, bias = 0;
  const bool valid = t.channel < g.out;
  for (int row = 0; valid && row < g.band && t.first_row + row < g.pooled_height; ++row)
    for (int column = t.lane; column < g.pooled_width; column += GreyWindows::kLanes) {
      const Index at =
          ((static_cast<Index>(t.image) * g.pooled_height + t.first_row + row) * g.pooled_width + column) * g.out +
          t.channel;
      const T gradient = dy[at] * slope_from_output(activation, y[at]);
      const unsigned number = winner[at], down = pool.divide(number), right = number - down * pool.value;
      const T* window = band + (row * g.pool_stride + static_cast<int>(down)) * g.stride * g.padded_width() +
                        (column * g.pool_stride + static_cast<int>(right)) * g.stride;
      bias += gradient;
#pragma unroll
      for (int k = 0; k < kMost; ++k)
        if (k < counts.numbers) weight[k] += gradient * window[offsets.at[k]];
    }
  const int channel = t.channel % GreyWindows::kChannels;
#pragma unroll
  for (int k = 0; k < kMost; ++k) lanes[t.lane][k][channel] = weight[k];
  lanes[t.lane][kMost][channel] = bias;
  __syncthreads();
  if (!valid) return;
  for (int k = t.lane; k <= g.numbers(); k += GreyWindows::kLanes) {
    const int slot = k < g.numbers() ? k : kMost;
    T sum = 0;
    for (int lane = 0; lane < GreyWindows::kLanes; ++lane) sum += lanes[lane][slot][channel];
    sums[(static_cast<Index>(blockIdx.x) * g.out + t.channel) * (g.numbers() + 1) + k] = sum;
  }
}

template <class T>
void grey_backward(Cuda<T>& cuda, const Conv2d<T>& op, const GreyWindows& g) {
  const auto dw = op.weight.gradient_slot(), db = op.bias.gradient_slot();
  const ArenaScope scope(cuda.device_arena());
  const int numbers = g.numbers();
  const Index bands = static_cast<Index>(g.images) * g.bands(), columns = static_cast<Index>(g.out) * (numbers + 1);
  T* sums = cuda.template kernel_memory<T>(bands * columns);
  auto* kernel = GreyCounts<true>::hold(g) ? grey_backward_kernel<true, T> : grey_backward_kernel<false, T>;
  cuda.launch(g.grid(), dim3(detail::kThreads), g.image_bytes(), kernel, g, product::Divisor(g.pool),
              op.options.activation, op.x.data, op.y.data, op.y.gradient, op.winner, sums);
  cuda.sum_columns(
      bands, columns, [=] __device__(Index band, Index c) { return sums[band * columns + c]; },
      [=] __device__(Index c, T sum) {
        const Index channel = c / (numbers + 1), k = c % (numbers + 1);
        if (k < numbers && dw) dw.put(channel * numbers + k, sum);
        if (k == numbers && db) db.put(channel, sum);
      });
}

}  // namespace neuroinhib::ops
