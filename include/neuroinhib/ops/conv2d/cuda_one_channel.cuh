#pragma once

#include <neuroinhib/ops/activation/scalar.hpp>
#include <neuroinhib/ops/conv2d/cuda_extents.cuh>
#include <neuroinhib/ops/gemm/cuda_maps.cuh>

/// Convolution of one-channel images with a 3 × 3 kernel, pooled 3 × 3 one pixel at a time: a network's first layer. A
/// window has so few numbers that a product is the wrong shape for it: a thread has one channel and a strip of rows,
/// and walks along it with windows and pools in its registers, so that what is not pooled is never stored.
namespace neuroinhib::ops {

/// Extents of such a convolution, and how it is cut into strips of pooled rows.
struct OneChannelWindows : KernelExtents {
  static constexpr int kKernel = 3, kPool = 3, kNumbers = kKernel * kKernel;
  static constexpr int kRows = 2;  ///< pooled rows of a strip
  static constexpr int kChannels = 64, kStrips = detail::kThreads / kChannels, kBand = kRows * kStrips;
  static constexpr int kResultRows = kRows + kPool - 1, kImageRows = kResultRows + kKernel - 1;
  static constexpr std::size_t kMaxShared = 16 * 1024;
  /// Beside the place of a pool's winner: relu's slope is zero there, so that the gradient need not read the result.
  static constexpr int kSilent = 0x8000;

  std::size_t number_bytes;

  template <class T>
  OneChannelWindows(const Conv2d<T>&, const ConvExtents& e) : KernelExtents(e), number_bytes(sizeof(T)) {}

  [[nodiscard]] bool fit() const {
    return in == 1 && kernel_height == kKernel && kernel_width == kKernel && stride == 1 && pool == kPool &&
           pool_stride == 1 && shared_bytes() <= kMaxShared;
  }
  NEUROINHIB_DEVICE [[nodiscard]] int bands() const { return (pooled_height + kBand - 1) / kBand; }
  /// Rows of the padded image that a band reads.
  NEUROINHIB_DEVICE [[nodiscard]] static int image_rows() { return kBand + kPool - 1 + kKernel - 1; }
  [[nodiscard]] std::size_t shared_bytes() const {
    return number_bytes * static_cast<std::size_t>(image_rows() * padded_width());
  }
  /// Blocks: bands of images, and channels.
  [[nodiscard]] dim3 grid() const {
    return dim3(static_cast<unsigned>(images * bands()), static_cast<unsigned>((out + kChannels - 1) / kChannels));
  }
};

/// A thread's place: a channel, and a strip of its block's band.
struct OneChannelThread {
  int image, band_row, first_row, channel;

  __device__ explicit OneChannelThread(const OneChannelWindows& g)
      : image(static_cast<int>(blockIdx.x) / g.bands()),
        band_row(static_cast<int>(blockIdx.x) % g.bands() * OneChannelWindows::kBand),
        first_row(band_row + strip() * OneChannelWindows::kRows),
        channel(static_cast<int>(blockIdx.y) * OneChannelWindows::kChannels + column()) {}

  __device__ static int column() { return static_cast<int>(threadIdx.x) % OneChannelWindows::kChannels; }
  __device__ static int strip() { return static_cast<int>(threadIdx.x) / OneChannelWindows::kChannels; }
  /// Where pooled row `row` of the strip begins.
  __device__ Index pooled_at(const OneChannelWindows& g, int row) const {
    return (static_cast<Index>(image) * g.pooled_height + first_row + row) * g.pooled_width * g.out + channel;
  }
};

/// The rows of the padded image that the band's windows read, into shared memory. Returns the strip's first one.
template <class T>
__device__ const T* load_band(const OneChannelWindows& g, const OneChannelThread& t, const T* images, T* band) {
  const T* image = images + static_cast<Index>(t.image) * g.in_height * g.in_width;
  const int width = g.padded_width();
  for (int i = static_cast<int>(threadIdx.x); i < g.image_rows() * width; i += detail::kThreads) {
    const int row = t.band_row + i / width - g.padding, column = i % width - g.padding;
    const bool inside = row >= 0 && row < g.in_height && column >= 0 && column < g.in_width;
    band[i] = inside ? image[row * g.in_width + column] : T{0};
  }
  __syncthreads();
  return band + OneChannelThread::strip() * OneChannelWindows::kRows * width;
}

__device__ inline float larger_or_nan(float a, float b) {
  float larger;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(larger) : "f"(a), "f"(b));
  return larger;
}
__device__ inline double larger_or_nan(double a, double b) {
  return a > b || a != a ? a : b;
}

/// The largest number so far and its place in a window. Of equal ones the first place is kept, and NaN wins.
template <class T>
struct Largest {
  T value;
  int place;

  __device__ void take(T other, int at) {
    const bool wins = (other > value) | ((other == value) & (at < place));  // without a branch
    place = wins ? at : place;
    value = larger_or_nan(value, other);
  }
};

template <class T>
__global__ void __launch_bounds__(detail::kThreads)
    one_channel_forward_kernel(OneChannelWindows g, Activation activation, const T* x, const T* weight, const T* bias,
                               T* y, std::uint16_t* winner) {
  detail::pdl_begin();
  constexpr int kKernel = OneChannelWindows::kKernel, kPool = OneChannelWindows::kPool,
                kRows = OneChannelWindows::kRows;
  extern __shared__ __align__(16) unsigned char shared[];
  const OneChannelThread t(g);
  const T* strip = load_band(g, t, x, reinterpret_cast<T*>(shared));
  if (t.channel >= g.out) return;
  T numbers[OneChannelWindows::kNumbers];
#pragma unroll
  for (int k = 0; k < OneChannelWindows::kNumbers; ++k)
    numbers[k] = weight[t.channel * OneChannelWindows::kNumbers + k];
  const T start = bias != nullptr ? bias[t.channel] : T{0};

  T window[OneChannelWindows::kImageRows][kKernel] = {};  // the image's columns up to the one just read
  Largest<T> columns[kRows][kPool] = {};                  // of results, up to the one just computed
  const Index first = t.pooled_at(g, 0);
  const int row_step = g.pooled_width * g.out;
#pragma unroll 3
  for (int at = 0; at < g.padded_width(); ++at) {
    T results[OneChannelWindows::kResultRows];
#pragma unroll
    for (int row = 0; row < OneChannelWindows::kImageRows; ++row) {
#pragma unroll
      for (int k = 0; k + 1 < kKernel; ++k) window[row][k] = window[row][k + 1];
      window[row][kKernel - 1] = strip[row * g.padded_width() + at];
    }
#pragma unroll
    for (int row = 0; row < OneChannelWindows::kResultRows; ++row) {
      results[row] = start;
#pragma unroll
      for (int k = 0; k < OneChannelWindows::kNumbers; ++k)
        results[row] += numbers[k] * window[row + k / kKernel][k % kKernel];
    }
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
#pragma unroll
      for (int k = 0; k + 1 < kPool; ++k) columns[row][k] = columns[row][k + 1];
      Largest<T>& newest = columns[row][kPool - 1];
      newest = {results[row], 0};
#pragma unroll
      for (int k = 1; k < kPool; ++k) newest.take(results[row + k], k * kPool);
    }
    const int column = at - (kKernel - 1) - (kPool - 1);
    if (column < 0) continue;
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      if (t.first_row + row >= g.pooled_height) break;
      Largest<T> best = columns[row][0];
#pragma unroll
      for (int k = 1; k < kPool; ++k) best.take(columns[row][k].value, columns[row][k].place + k);
      const Index to = first + row * row_step + column * g.out;
      const bool silent = activation == Activation::relu && !(best.value > 0);
      y[to] = activation == Activation::relu ? best.value <= 0 ? T{0} : best.value  // spares the others' branches
                                             : activation_of(activation, best.value);
      winner[to] = static_cast<std::uint16_t>(best.place | (silent ? OneChannelWindows::kSilent : 0));
    }
  }
}

template <class T>
void one_channel_forward(Cuda<T>& cuda, const Conv2d<T>& op, const OneChannelWindows& g) {
  cuda.launch_pdl(g.grid(), dim3(detail::kThreads), g.shared_bytes(), one_channel_forward_kernel<T>, g,
                  op.options.activation, op.x.data, op.weight.data, op.bias.data, op.y.data, op.winner);
}

/// One band's share of the gradients of weight and bias: every pooled pixel adds to the window that won it.
/// sums [bands of images, out, numbers + 1].
template <class T>
__global__ void __launch_bounds__(detail::kThreads)
    one_channel_backward_kernel(OneChannelWindows g, Activation activation, const T* x, const T* y, const T* dy,
                                const std::uint16_t* winner, T* sums) {
  detail::pdl_begin();
  constexpr int kNumbers = OneChannelWindows::kNumbers, kKernel = OneChannelWindows::kKernel,
                kPool = OneChannelWindows::kPool;
  constexpr int kAhead = 6;  // pixels whose numbers are on their way at once
  __shared__ T strips[OneChannelWindows::kStrips][kNumbers + 1][OneChannelWindows::kChannels];
  extern __shared__ __align__(16) unsigned char shared[];
  const OneChannelThread t(g);
  const T* strip = load_band(g, t, x, reinterpret_cast<T*>(shared));
  T weight[kNumbers] = {}, bias = 0;
  const bool valid = t.channel < g.out, relu = activation == Activation::relu;
  for (int row = 0; valid && row < OneChannelWindows::kRows && t.first_row + row < g.pooled_height; ++row) {
    const Index first = t.pooled_at(g, row);
    const T *row_y = y + first, *row_dy = dy + first;
    const std::uint16_t* row_winner = winner + first;
    for (int column = 0; column < g.pooled_width; column += kAhead) {
      T value[kAhead], gradient[kAhead];
      int place[kAhead];
#pragma unroll
      for (int k = 0; k < kAhead; ++k) {
        const int at = min(column + k, g.pooled_width - 1) * g.out;
        value[k] = relu ? T{1} : row_y[at];
        gradient[k] = row_dy[at];
        place[k] = row_winner[at];
      }
#pragma unroll
      for (int k = 0; k < kAhead; ++k) {
        if (column + k >= g.pooled_width) break;
        const bool silent = place[k] >= OneChannelWindows::kSilent;
        const int at = place[k] % OneChannelWindows::kSilent;
        const T* window = strip + (row + at / kPool) * g.padded_width() + column + k + at % kPool;
        const T change = silent ? T{0} : relu ? gradient[k] : gradient[k] * slope_from_output(activation, value[k]);
        bias += change;
#pragma unroll
        for (int i = 0; i < kNumbers; ++i) weight[i] += change * window[i / kKernel * g.padded_width() + i % kKernel];
      }
    }
  }
  const int column = OneChannelThread::column();
#pragma unroll
  for (int k = 0; k < kNumbers; ++k) strips[OneChannelThread::strip()][k][column] = weight[k];
  strips[OneChannelThread::strip()][kNumbers][column] = bias;
  __syncthreads();
  if (!valid) return;
  for (int k = OneChannelThread::strip(); k <= kNumbers; k += OneChannelWindows::kStrips) {
    T sum = 0;
    for (int other = 0; other < OneChannelWindows::kStrips; ++other) sum += strips[other][k][column];
    sums[(static_cast<Index>(blockIdx.x) * g.out + t.channel) * (kNumbers + 1) + k] = sum;
  }
}

template <class T>
void one_channel_backward(Cuda<T>& cuda, const Conv2d<T>& op, const OneChannelWindows& g) {
  const auto dw = op.weight.claim_gradient(), db = op.bias.claim_gradient();
  const ArenaScope scope(cuda.device_arena());
  constexpr int kNumbers = OneChannelWindows::kNumbers;
  const Index bands = static_cast<Index>(g.images) * g.bands(), columns = static_cast<Index>(g.out) * (kNumbers + 1);
  T* sums = cuda.template kernel_memory<T>(bands * columns);
  cuda.launch_pdl(g.grid(), dim3(detail::kThreads), g.shared_bytes(), one_channel_backward_kernel<T>, g,
                  op.options.activation, op.x.data, op.y.data, op.y.gradient, op.winner, sums);
  cuda.sum_columns(
      bands, columns, [=] __device__(Index band, Index c) { return sums[band * columns + c]; },
      [=] __device__(Index c, T sum) {
        const Index channel = c / (kNumbers + 1), k = c % (kNumbers + 1);
        if (k < kNumbers && dw) dw.put(channel * kNumbers + k, sum);
        if (k == kNumbers && db) db.put(channel, sum);
      });
}

}  // namespace neuroinhib::ops
