#pragma once

#include <concepts>

#include <neuroinhib/ops/conv2d/cuda_one_channel.cuh>
#include <neuroinhib/ops/gemm/cuda_scaled_halves.cuh>

/// The forward pass of cuda_one_channel.cuh on the matrix units, an image a block, for products in ten bits or fewer.
///
/// A number times a power of two is the sum of two two-byte floats, a high and a low one, to 22 bits. A window's nine
/// numbers, each a pair of them, times the kernel's high and low numbers are 36 products, which one tile of 16 windows
/// × 16 channels adds up in float:
///
///   depth            0 … 7: two for each m = lane % 4   products
///   windows  [16]    high, low of an m-th number         two of the first four numbers of a window, two of the next
///   kernel   [16]    high, high, or low, low             four, one of the last number
///
/// The 16 windows lie in 16 strips: one pooled row of one half of the image each. A warp walks along them with the
/// columns of results and of their largest in registers, a thread with two strips and four channels. So it has all
/// that its pools need, and stores 16 bytes at a time.
namespace neuroinhib::ops {

/// Extents of such a convolution, and how it is cut into strips.
struct OneChannelTiles : KernelExtents {
  static constexpr int kKernel = OneChannelWindows::kKernel, kPool = OneChannelWindows::kPool;
  static constexpr int kThreads = 384, kWarps = kThreads / detail::kWarp;
  static constexpr int kStrips = 16, kChannels = 16;  ///< of a warp's tile
  static constexpr int kHalves = 2;                   ///< of pooled rows
  static constexpr int kOwn = 8;                      ///< of a thread: two strips' four channels
  static constexpr std::size_t kMaxShared = 48 * 1024 - 1024;

  explicit OneChannelTiles(const ConvExtents& e) : KernelExtents(e) {}

  /// Whether it takes a convolution that fits OneChannelWindows.
  [[nodiscard]] bool fit(Activation activation) const {
    return out % kChannels == 0 && (activation == Activation::relu || activation == Activation::identity) &&
           shared_bytes() <= kMaxShared;
  }
  /// Pooled columns of a strip.
  NEUROINHIB_DEVICE [[nodiscard]] int columns() const { return (pooled_width + kHalves - 1) / kHalves; }
  NEUROINHIB_DEVICE [[nodiscard]] int strips() const { return kHalves * pooled_height; }
  NEUROINHIB_DEVICE [[nodiscard]] int tiles() const { return (strips() + kStrips - 1) / kStrips * (out / kChannels); }
  /// From one row of the image in shared memory to the next; odd, and one pixel is read beyond a row.
  NEUROINHIB_DEVICE [[nodiscard]] int pitch() const { return (padded_width() + 1) | 1; }
  NEUROINHIB_DEVICE [[nodiscard]] int pixels() const { return padded_height() * pitch(); }
  [[nodiscard]] std::size_t shared_bytes() const { return sizeof(std::uint32_t) * static_cast<std::size_t>(pixels()); }
};

/// A float as the sum of two two-byte floats, the high one in the lower half.
__device__ inline std::uint32_t high_and_low(float number) {
  const __half high = __float2half_rn(number);
  const __half2 both = __halves2half2(high, __float2half_rn(number - __half2float(high)));
  return *reinterpret_cast<const std::uint32_t*>(&both);
}

/// sum += a b on the matrix unit, 16 × 8 × 8, in half precision with float sums.
__device__ __forceinline__ void multiply_eight(float (&sum)[4], const std::uint32_t (&a)[2], std::uint32_t b) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(b));
}

/// A warp's 16 channels of the kernel, as its lanes hold them for the products.
struct OneChannelKernel {
  std::uint32_t numbers[3][2][2];  ///< [product, half of the channels, high and low]
  float bias[4];                   ///< of a thread's channels
  float scale;                     ///< what sums are to be multiplied by

  /// Numbers of the window that lane % 4 = m multiplies in product i: row and column.
  __device__ static int row(int i, int m) { return i == 0 ? m / 3 : i == 1 ? 1 + m / 2 : 2; }
  __device__ static int column(int i, int m) { return i == 0 ? m % 3 : i == 1 ? 1 - m / 2 + m % 2 : 2; }

  __device__ OneChannelKernel(const float* weight, const float* start, int channel, float image_scale) {
    const int lane = static_cast<int>(threadIdx.x) % detail::kWarp, m = lane % 4, n = lane / 4;
    float own[3][2], largest = 0;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float* window = weight + (channel + n / 2 * 4 + half * 2 + n % 2) * OneChannelWindows::kNumbers;
#pragma unroll
      for (int i = 0; i < 3; ++i) {
        own[i][half] = window[row(i, m) * OneChannelTiles::kKernel + column(i, m)];
        largest = fmaxf(largest, fabsf(own[i][half]));
      }
    }
    const float own_scale = scale_for(detail::warp_max(largest));
    scale = 1 / image_scale * (1 / own_scale);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int i = 0; i < 3; ++i) {
        const std::uint32_t both = high_and_low(own[i][half] * own_scale);
        numbers[i][half][0] = __byte_perm(both, 0, 0x1010);
        numbers[i][half][1] = __byte_perm(both, 0, 0x3232);
      }
      // The last number of the window is all lanes': one multiplies it with the high one, one with the low one.
      if (m == 1) numbers[2][half][0] = numbers[2][half][1];
      if (m > 1) numbers[2][half][0] = 0;
    }
#pragma unroll
    for (int k = 0; k < 4; ++k) bias[k] = start != nullptr ? start[channel + m * 4 + k] : 0;
  }
};

/// What a thread has of its warp's tile: two strips, 8 apart, and four channels from `channel` on.
struct OneChannelStrips {
  int first[2];    ///< of each strip, the first pixel of its first window in shared memory
  Index out[2];    ///< and its place in the result
  int columns[2];  ///< how many of its pooled columns there are

  __device__ OneChannelStrips(const OneChannelTiles& g, int tile, int channel) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int strip = tile * OneChannelTiles::kStrips + static_cast<int>(threadIdx.x) % detail::kWarp / 4 + 8 * h;
      const bool there = strip < g.strips();
      const int half = there ? strip / g.pooled_height : 0, row = there ? strip % g.pooled_height : 0;
      const int column = half * g.columns();
      first[h] = row * g.pitch() + column;
      out[h] = ((static_cast<Index>(blockIdx.x) * g.pooled_height + row) * g.pooled_width + column) * g.out + channel;
      columns[h] = there ? min(g.columns(), g.pooled_width - column) : 0;
    }
  }
};

/// The block's image, with its borders, to shared memory as pairs of two-byte floats. Returns their scale.
__device__ inline float put_pairs(const OneChannelTiles& g, const float* images, std::uint32_t* pixels) {
  __shared__ float scratch[OneChannelTiles::kWarps];
  const float* image = images + static_cast<Index>(blockIdx.x) * g.in_height * g.in_width;
  const int thread = static_cast<int>(threadIdx.x);
  float largest = 0;
  for (int i = thread; i < g.pixels(); i += OneChannelTiles::kThreads) {
    const int row = i / g.pitch() - g.padding, column = i % g.pitch() - g.padding;
    const bool inside = row >= 0 && row < g.in_height && column >= 0 && column < g.in_width;
    const float number = inside ? image[row * g.in_width + column] : 0;
    largest = fmaxf(largest, fabsf(number));
    pixels[i] = __float_as_uint(number);
  }
  largest = detail::warp_max(largest);
  if (thread % detail::kWarp == 0) scratch[thread / detail::kWarp] = largest;
  __syncthreads();
  for (const float other : scratch) largest = fmaxf(largest, other);
  const float scale = scale_for(largest);
  for (int i = thread; i < g.pixels(); i += OneChannelTiles::kThreads)
    pixels[i] = high_and_low(__uint_as_float(pixels[i]) * scale);
  __syncthreads();
  return scale;
}

/// The largest of each column of three results, at one column of the image, and its place in a pool's first column.
__device__ __forceinline__ void largest_of_column(Largest<float> (&column)[OneChannelTiles::kOwn],
                                                  const OneChannelKernel& kernel, const std::uint32_t* (&at)[3],
                                                  const OneChannelStrips& strips, int pitch) {
  constexpr int kPool = OneChannelTiles::kPool;
#pragma unroll
  for (int row = 0; row < kPool; ++row) {
    float sums[2][4] = {};
#pragma unroll
    for (int i = 0; i < 3; ++i) {
      const std::uint32_t windows[2]{at[i][strips.first[0] + row * pitch], at[i][strips.first[1] + row * pitch]};
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const auto& numbers = kernel.numbers[i][half];
        multiply_eight(sums[half], windows, numbers[0]);
        if (i < 2) multiply_eight(sums[half], windows, numbers[1]);
      }
    }
#pragma unroll
    for (int k = 0; k < OneChannelTiles::kOwn; ++k) {
      const float sum = sums[k / 2 % 2][k / 4 * 2 + k % 2] * kernel.scale + kernel.bias[k % 4];
      if (row == 0) {
        column[k] = {sum, 0};
      } else {
        if (sum > column[k].value) column[k].place = row * kPool;
        column[k].value = larger_or_nan(column[k].value, sum);
      }
    }
  }
}

/// One pooled column of a strip: four channels of results and winners.
template <bool Relu>
__device__ __forceinline__ void put_pooled(const Largest<float>* best, float* y, std::uint16_t* winner) {
  float results[4];
  unsigned places[4];
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    const float value = best[k].value;
    results[k] = Relu && value <= 0 ? 0 : value;
    places[k] = static_cast<unsigned>(best[k].place | (Relu && !(value > 0) ? OneChannelWindows::kSilent : 0));
  }
  *reinterpret_cast<float4*>(y) = make_float4(results[0], results[1], results[2], results[3]);
  *reinterpret_cast<uint2*>(winner) = make_uint2(places[0] | places[1] << 16, places[2] | places[3] << 16);
}

template <bool Relu>
__global__ void __launch_bounds__(OneChannelTiles::kThreads)
    one_channel_tiles_kernel(OneChannelTiles g, const float* x, const float* weight, const float* bias, float* y,
                             std::uint16_t* winner) {
  detail::pdl_begin();
  constexpr int kOwn = OneChannelTiles::kOwn, kPool = OneChannelTiles::kPool;
  extern __shared__ __align__(16) std::uint32_t pixels[];
  const float image_scale = put_pairs(g, x, pixels);
  const int lane = static_cast<int>(threadIdx.x) % detail::kWarp, groups = g.out / OneChannelTiles::kChannels;
  for (int tile = static_cast<int>(threadIdx.x) / detail::kWarp; tile < g.tiles(); tile += OneChannelTiles::kWarps) {
    const int channel = tile % groups * OneChannelTiles::kChannels;
    const OneChannelKernel kernel(weight, bias, channel, image_scale);
    const OneChannelStrips strips(g, tile / groups, channel + lane % 4 * 4);
    const std::uint32_t* at[3];
#pragma unroll
    for (int i = 0; i < 3; ++i)
      at[i] = pixels + OneChannelKernel::row(i, lane % 4) * g.pitch() + OneChannelKernel::column(i, lane % 4);
    const auto next_column = [&](Largest<float>(&column)[kOwn]) {
      largest_of_column(column, kernel, at, strips, g.pitch());
#pragma unroll
      for (auto& pixel : at) ++pixel;
    };
    Largest<float> columns[kPool][kOwn];
    next_column(columns[0]);
    next_column(columns[1]);
    for (int begin = 0; begin < g.columns(); begin += kPool)
#pragma unroll
      for (int k = 0; k < kPool; ++k) {
        if (begin + k >= g.columns()) break;
        next_column(columns[(k + 2) % kPool]);
        Largest<float> best[kOwn];
#pragma unroll
        for (int i = 0; i < kOwn; ++i) {
          best[i] = columns[k][i];
          best[i].take(columns[(k + 1) % kPool][i].value, columns[(k + 1) % kPool][i].place + 1);
          best[i].take(columns[(k + 2) % kPool][i].value, columns[(k + 2) % kPool][i].place + 2);
        }
#pragma unroll
        for (int h = 0; h < 2; ++h)
          if (const Index to = strips.out[h] + static_cast<Index>(begin + k) * g.out; begin + k < strips.columns[h])
            put_pooled<Relu>(best + 4 * h, y + to, winner + to);
      }
  }
}

template <std::same_as<Cuda<float>> B>
void one_channel_tiles_forward(B& cuda, const Conv2d<float>& op, const OneChannelTiles& g) {
  const auto launch = [&](auto* kernel) {
    cuda.launch_pdl(dim3(static_cast<unsigned>(g.images)), dim3(OneChannelTiles::kThreads), g.shared_bytes(), kernel, g,
                    op.x.data, op.weight.data, op.bias.data, op.y.data, op.winner);
  };
  launch(op.options.activation == Activation::relu ? one_channel_tiles_kernel<true> : one_channel_tiles_kernel<false>);
}

}  // namespace neuroinhib::ops
