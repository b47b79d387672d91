#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <neuroinhib/backend/cuda_control.cuh>
#include <neuroinhib/core/tensor.hpp>

/// What the backend's loops over elements, rows and columns run on the device.
namespace neuroinhib::detail {

inline constexpr int kWarp = 32, kThreads = 256;

template <class Body>
__global__ void __launch_bounds__(kThreads) grid_kernel(Index rows, Index columns, Body body) {
  pdl_begin();
  const Index column = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (column >= columns) return;
  for (Index row = static_cast<Index>(blockIdx.y) * blockDim.y + threadIdx.y; row < rows;
       row += static_cast<Index>(gridDim.y) * blockDim.y)
    body(row, column);
}
template <class Body>
__global__ void __launch_bounds__(kThreads) pixel_kernel(int images, int height, int width, int channels, Body body) {
  pdl_begin();
  const int x = static_cast<int>(blockIdx.x * blockDim.y + threadIdx.y);
  if (x >= width) return;
  for (int image = static_cast<int>(blockIdx.z); image < images; image += static_cast<int>(gridDim.z))
    for (int y = static_cast<int>(blockIdx.y); y < height; y += static_cast<int>(gridDim.y))
      for (int c = static_cast<int>(threadIdx.x); c < channels; c += static_cast<int>(blockDim.x)) body(image, y, x, c);
}

/// Sum over the warp's lanes, the same on all and in a fixed order.
template <class T>
__device__ T warp_sum(T value) {
  for (int step = kWarp / 2; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}
/// The largest, or NaN where there is one.
template <class T>
__device__ T warp_max(T value) {
  for (int step = kWarp / 2; step > 0; step /= 2) {
    const T other = __shfl_xor_sync(0xffffffffu, value, step);
    value = other <= value || value != value ? value : other;
  }
  return value;
}

/// The threads that work on one row together: a warp, or a whole block for long rows.
template <class T>
struct Team {
  int lane, size;
  T* scratch;  ///< one number a warp; unused by a team of one

  /// Sum over the team's threads, the same on all and in a fixed order.
  __device__ T sum(T value) const {
    value = warp_sum(value);
    if (size == kWarp) return value;
    __syncthreads();  // the scratch of the sum before has been read
    if (lane % kWarp == 0) scratch[lane / kWarp] = value;
    __syncthreads();
    T total = 0;
    for (int i = 0; i < size / kWarp; ++i) total += scratch[i];
    return total;
  }
  __device__ T max(T value) const {
    value = warp_max(value);
    if (size == kWarp) return value;
    __syncthreads();
    if (lane % kWarp == 0) scratch[lane / kWarp] = value;
    __syncthreads();
    T largest = scratch[0];
    for (int i = 1; i < size / kWarp; ++i) largest = scratch[i] <= largest || largest != largest ? largest : scratch[i];
    return largest;
  }
};

/// Parts of an operation, none of which needs what another writes, in one kernel: each has some of its blocks. A part
/// has kThreads, kSharedBytes, blocks() and, on the device, (block, shared memory).
template <int Threads, class... Parts>
__global__ void __launch_bounds__(Threads) together_kernel(Parts... parts) {
  pdl_begin();
  extern __shared__ __align__(16) unsigned char shared_by_parts[];
  int block = static_cast<int>(blockIdx.x);
  const auto is_of = [&](const auto& part) {
    const int count = static_cast<int>(part.count);
    if (block >= count) {
      block -= count;
      return false;
    }
    part.body(block, shared_by_parts);
    return true;
  };
  (void)(is_of(parts) || ...);
}
/// A part, and how many blocks are its.
template <class Body>
struct PartBlocks {
  Body body;
  unsigned count;
};

/// body(i) for i in [0, count).
template <class Body>
struct Elements {
  static constexpr int kThreads = detail::kThreads;
  static constexpr std::size_t kSharedBytes = 0;

  Index count;
  Body body;

  [[nodiscard]] Index blocks() const { return (count + kThreads - 1) / kThreads; }
  __device__ void operator()(int block, unsigned char*) const {
    const Index i = static_cast<Index>(block) * kThreads + threadIdx.x;
    if (i < count) body(i);
  }
};
template <class Body>
[[nodiscard]] Elements<Body> elements(Index count, const Body& body) {
  return {count, body};
}
/// body(i, team) for i in [0, count), teams of `Size` threads.
template <class T, int Size, class Body>
struct RowTeams {
  static constexpr int kThreads = detail::kThreads, kTeams = kThreads / Size;
  static constexpr std::size_t kSharedBytes = Size > kWarp ? sizeof(T) * (kThreads / kWarp) : 0;

  Index count;
  Body body;

  [[nodiscard]] Index blocks() const { return (count + kTeams - 1) / kTeams; }
  __device__ void operator()(int block, unsigned char* shared) const {
    const Index i = static_cast<Index>(block) * kTeams + threadIdx.x / Size;
    if (i < count) body(i, Team<T>{static_cast<int>(threadIdx.x % Size), Size, reinterpret_cast<T*>(shared)});
  }
};

template <class T, int Size, class Body>
[[nodiscard]] RowTeams<T, Size, Body> row_teams(Index count, const Body& body) {
  return {count, body};
}

struct RowRange {
  Index begin, end;
};
/// Range i of `rows` rows, `size` each.
struct Chunks {
  Index rows, size;
  __device__ RowRange operator()(Index i) const { return {i * size, (i + 1) * size < rows ? (i + 1) * size : rows}; }
};

/// Sums of value(row, column) over `count` ranges of rows, one for each column: a block takes 32 columns, its warps the
/// rows in turn; the order of every sum is fixed by the range alone.
template <class T, int Threads, class Ranges, class Value, class Store>
struct ColumnSums {
  static constexpr int kThreads = Threads, kRows = Threads / kWarp;
  static constexpr std::size_t kSharedBytes = sizeof(T) * kThreads;

  Index count, columns;
  Ranges ranges;
  Value value;
  Store store;

  [[nodiscard]] Index blocks() const { return count * ((columns + kWarp - 1) / kWarp); }
  __device__ void operator()(int block, unsigned char* shared) const {
    T* const partial = reinterpret_cast<T*>(shared);
    const auto across = static_cast<int>((columns + kWarp - 1) / kWarp);
    const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
    const Index i = block / across, column = static_cast<Index>(block % across) * kWarp + lane;
    const RowRange range = ranges(i);
    T sum = 0;
    if (column < columns)
      for (Index row = range.begin + warp; row < range.end; row += kRows) sum += value(row, column);
    partial[threadIdx.x] = sum;
    __syncthreads();
    if (warp > 0 || column >= columns) return;
    T total = 0;
    for (int row = 0; row < kRows; ++row) total += partial[row * kWarp + lane];
    store(i, column, total);
  }
};
/// Sums of a chunk's columns, and where they go: to store(column, sum) where one chunk is all, `partial` being null.
template <class T, class Store>
struct ChunkSums {
  T* partial;  ///< [chunks, columns]
  Index columns;
  Store store;

  __device__ T operator()(Index chunk, Index c) const { return partial[chunk * columns + c]; }
  __device__ void operator()(Index chunk, Index c, T sum) const {
    if (partial == nullptr)
      store(c, sum);
    else
      partial[chunk * columns + c] = sum;
  }
};
/// Sums of columns in two kernels: of chunks of rows, and of the chunks' sums; without blocks where one chunk is all.
template <class T, int Threads, class Value, class Store>
struct ColumnSumsInTwo {
  ColumnSums<T, Threads, Chunks, Value, ChunkSums<T, Store>> of_chunks;
  ColumnSums<T, Threads, Chunks, ChunkSums<T, Store>, ChunkSums<T, Store>> of_all;
};

/// Never launched: its bound on threads tells the host what the device's machine code was compiled for.
template <int = 0>  // a template, so that many units may hold it
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
__global__ void __launch_bounds__(2 * kThreads) features() {
}
#else
__global__ void __launch_bounds__(kThreads) features() {
}
#endif

}  // namespace neuroinhib::detail
