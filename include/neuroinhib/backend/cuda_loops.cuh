#pragma once

#include <algorithm>

#include <neuroinhib/backend/cuda_kernels.cuh>
#include <neuroinhib/backend/cuda_memory.cuh>
#include <neuroinhib/core/arena.hpp>

namespace neuroinhib::detail {

/// A grid's second and third extents end here; kernels go round from there.
[[nodiscard]] inline unsigned at_most_blocks(Index count) {
  return static_cast<unsigned>(std::min<Index>(count, 65535));
}
[[nodiscard]] inline dim3 blocks(Index count) {
  return dim3(static_cast<unsigned>(std::min<Index>(count, Index{1} << 20)));
}

/// The loops over elements, rows and columns that operations run on the device: members of the backend that launches
/// them. Bodies are functors of the device; every sum is added up in one order.
template <class Backend, class T>
class CudaLoops {
 public:
  /// body(i) for i in [0, count), on the device.
  template <class Body>
  void parallel_for(Index count, const Body& body) {
    if (count > 0)
      own().launch_pdl(blocks((count + kThreads - 1) / kThreads), dim3(kThreads), 0, each_kernel<Body>, count, body);
  }
  /// body(row, column), neighbouring columns in neighbouring threads.
  template <class Body>
  void parallel_grid(Index rows, Index columns, const Body& body) {
    if (rows == 0 || columns == 0) return;
    unsigned width = kWarp;
    while (width < kThreads && width < columns) width *= 2;
    const dim3 block(width, kThreads / width);
    const dim3 grid(static_cast<unsigned>((columns + width - 1) / width),
                    at_most_blocks((rows + block.y - 1) / block.y));
    own().launch_pdl(grid, block, 0, grid_kernel<Body>, rows, columns, body);
  }
  /// body(image, y, x, channel), neighbouring channels in neighbouring threads.
  template <class Body>
  void parallel_pixels(Index images, Index height, Index width, Index channels, const Body& body) {
    unsigned across = 1;
    while (across < 64 && across < channels) across *= 2;
    const dim3 block(across, kThreads / across);
    const dim3 grid(static_cast<unsigned>((width + block.y - 1) / block.y), at_most_blocks(height),
                    at_most_blocks(images));
    if (images == 0) return;
    own().launch_pdl(grid, block, 0, pixel_kernel<Body>, static_cast<int>(images), static_cast<int>(height),
                     static_cast<int>(width), static_cast<int>(channels), body);
  }
  /// body(i, team) for i in [0, count): each by a warp, or by a block where a row is long and rows are few.
  template <class Body>
  void parallel_rows(Index count, Index length, const Body& body) {
    if (count == 0) return;
    constexpr Index kTeams = kThreads / kWarp;
    if (length >= 4 * kThreads && count < 64 * static_cast<Index>(own().multiprocessors()))
      own().launch_pdl(blocks(count), dim3(kThreads), 0, team_kernel<T, kThreads, Body>, count, body);
    else
      own().launch_pdl(blocks((count + kTeams - 1) / kTeams), dim3(kThreads), 0, team_kernel<T, kWarp, Body>, count,
                       body);
  }
  /// store(column, Σ_row value(row, column)), in one order whatever the device.
  template <class Value, class Store>
  void sum_columns(Index rows, Index columns, const Value& value, const Store& store) {
    const auto finish = [=] __device__(Index, Index c, T sum) { store(c, sum); };
    const Index chunks = (rows + kColumnChunk - 1) / kColumnChunk;
    if (chunks <= 1) return sum_ranges(1, columns, AllRows{rows}, value, finish);
    const ArenaScope scope(own().device_arena());
    T* partial = own().template kernel_memory<T>(chunks * columns);
    sum_ranges(
        chunks, columns,
        [=] __device__(Index chunk) {
          const Index begin = chunk * kColumnChunk;
          return RowRange{begin, begin + kColumnChunk < rows ? begin + kColumnChunk : rows};
        },
        value, [=] __device__(Index chunk, Index c, T sum) { partial[chunk * columns + c] = sum; });
    sum_ranges(
        1, columns, AllRows{chunks}, [=] __device__(Index chunk, Index c) { return partial[chunk * columns + c]; },
        finish);
  }
  /// store(i, column, Σ value(row, column)) over the rows of ranges(i), for i in [0, count).
  template <class Ranges, class Value, class Store>
  void sum_ranges(Index count, Index columns, const Ranges& ranges, const Value& value, const Store& store) {
    if (columns == 0 || count == 0) return;
    own().launch_pdl(dim3(static_cast<unsigned>((columns + kWarp - 1) / kWarp), at_most_blocks(count)),
                     dim3(kWarp, kThreads / kWarp), 0, column_kernel<T, Ranges, Value, Store>, count, columns, ranges,
                     value, store);
  }

 private:
  static constexpr Index kColumnChunk = 512;

  [[nodiscard]] Backend& own() { return static_cast<Backend&>(*this); }
};

}  // namespace neuroinhib::detail
