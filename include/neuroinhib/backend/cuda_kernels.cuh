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
__global__ void __launch_bounds__(kThreads) each_kernel(Index count, Body body) {
  pdl_begin();
  const Index stride = static_cast<Index>(gridDim.x) * blockDim.x;
  for (Index i = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride) body(i);
}
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

template <class T, int Size, class Body>
__global__ void __launch_bounds__(kThreads) team_kernel(Index count, Body body) {
  pdl_begin();
  __shared__ T scratch[kThreads / kWarp];
  constexpr int kTeams = kThreads / Size;
  const Index stride = static_cast<Index>(gridDim.x) * kTeams;
  for (Index i = static_cast<Index>(blockIdx.x) * kTeams + threadIdx.x / Size; i < count; i += stride)
    body(i, Team<T>{static_cast<int>(threadIdx.x % Size), Size, scratch});
}

struct RowRange {
  Index begin, end;
};
struct AllRows {
  Index count;
  __device__ RowRange operator()(Index) const { return {0, count}; }
};

/// Sums of value(row, column) over `count` ranges of rows, one for each column: a block takes 32 columns, its warps the
/// rows in turn; the order of every sum is fixed by the range alone.
template <class T, class Ranges, class Value, class Store>
__global__ void __launch_bounds__(kThreads)
    column_kernel(Index count, Index columns, Ranges ranges, Value value, Store store) {
  pdl_begin();
  constexpr int kRows = kThreads / kWarp;
  __shared__ T partial[kRows][kWarp];
  const Index column = static_cast<Index>(blockIdx.x) * kWarp + threadIdx.x;
  for (Index i = blockIdx.y; i < count; i += gridDim.y) {
    const RowRange range = ranges(i);
    T sum = 0;
    if (column < columns)
      for (Index row = range.begin + threadIdx.y; row < range.end; row += kRows) sum += value(row, column);
    partial[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && column < columns) {
      T total = 0;
      for (int row = 0; row < kRows; ++row) total += partial[row][threadIdx.x];
      store(i, column, total);
    }
    __syncthreads();  // the sums of this range have been read
  }
}

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
