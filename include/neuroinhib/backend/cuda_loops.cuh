#pragma once

#include <algorithm>

#include <neuroinhib/backend/cuda_kernels.cuh>
#include <neuroinhib/backend/cuda_memory.cuh>
#include <neuroinhib/core/arena.hpp>

namespace neuroinhib {
namespace detail {

/// A grid's second and third extents end here; kernels go round from there.
[[nodiscard]] inline unsigned at_most_blocks(Index count) {
  return static_cast<unsigned>(std::min<Index>(count, 65535));
}
[[nodiscard]] inline dim3 blocks(Index count) {
  return dim3(static_cast<unsigned>(std::min<Index>(count, Index{1} << 20)));
}

}  // namespace detail

/// The loops over elements, rows and columns that operations run on the device: members of the backend that launches
/// them, `B`. Bodies are functors of the device; every sum is added up in one order.
template <class B, class T>
class CudaLoops {
 public:
  /// body(i) for i in [0, count), on the device.
  template <class Body>
  void parallel_for(Index count, const Body& body) {
    if (count > 0)
      own().launch_pdl(detail::blocks((count + detail::kThreads - 1) / detail::kThreads), dim3(detail::kThreads), 0,
                       detail::each_kernel<Body>, count, body);
  }
  /// body(row, column), neighbouring columns in neighbouring threads.
  template <class Body>
  void parallel_grid(Index rows, Index columns, const Body& body) {
    if (rows == 0 || columns == 0) return;
    unsigned width = detail::kWarp;
    while (width < detail::kThreads && width < columns) width *= 2;
    const dim3 block(width, detail::kThreads / width);
    const dim3 grid(static_cast<unsigned>((columns + width - 1) / width),
                    detail::at_most_blocks((rows + block.y - 1) / block.y));
    own().launch_pdl(grid, block, 0, detail::grid_kernel<Body>, rows, columns, body);
  }
  /// body(image, y, x, channel), neighbouring channels in neighbouring threads.
  template <class Body>
  void parallel_pixels(Index images, Index height, Index width, Index channels, const Body& body) {
    unsigned across = 1;
    while (across < 64 && across < channels) across *= 2;
    const dim3 block(across, detail::kThreads / across);
    const dim3 grid(static_cast<unsigned>((width + block.y - 1) / block.y), detail::at_most_blocks(height),
                    detail::at_most_blocks(images));
    if (images == 0) return;
    own().launch_pdl(grid, block, 0, detail::pixel_kernel<Body>, static_cast<int>(images), static_cast<int>(height),
                     static_cast<int>(width), static_cast<int>(channels), body);
  }
  /// body(i, team) for i in [0, count): each by a warp, or by a block where a row is long and rows are few.
  template <class Body>
  void parallel_rows(Index count, Index length, const Body& body) {
    if (count == 0) return;
    constexpr Index kTeams = detail::kThreads / detail::kWarp;
    if (length >= 4 * detail::kThreads && count < 64 * static_cast<Index>(own().multiprocessors()))
      own().launch_pdl(detail::blocks(count), dim3(detail::kThreads), 0, detail::team_kernel<T, detail::kThreads, Body>,
                       count, body);
    else
      own().launch_pdl(detail::blocks((count + kTeams - 1) / kTeams), dim3(detail::kThreads), 0,
                       detail::team_kernel<T, detail::kWarp, Body>, count, body);
  }
  /// store(column, Σ_row value(row, column)), in one order whatever the device.
  template <class Value, class Store>
  void sum_columns(Index rows, Index columns, const Value& value, const Store& store) {
    const auto finish = [=] __device__(Index, Index c, T sum) { store(c, sum); };
    const Index chunks = (rows + kColumnChunk - 1) / kColumnChunk;
    if (chunks <= 1) return sum_ranges(1, columns, detail::AllRows{rows}, value, finish);
    const ArenaScope scope(own().device_arena());
    T* partial = own().template kernel_memory<T>(chunks * columns);
    sum_ranges(
        chunks, columns,
        [=] __device__(Index chunk) {
          const Index begin = chunk * kColumnChunk;
          return detail::RowRange{begin, begin + kColumnChunk < rows ? begin + kColumnChunk : rows};
        },
        value, [=] __device__(Index chunk, Index c, T sum) { partial[chunk * columns + c] = sum; });
    sum_ranges(
        1, columns, detail::AllRows{chunks},
        [=] __device__(Index chunk, Index c) { return partial[chunk * columns + c]; }, finish);
  }
  /// store(i, column, Σ value(row, column)) over the rows of ranges(i), for i in [0, count).
  template <class Ranges, class Value, class Store>
  void sum_ranges(Index count, Index columns, const Ranges& ranges, const Value& value, const Store& store) {
    if (columns == 0 || count == 0) return;
    own().launch_pdl(
        dim3(static_cast<unsigned>((columns + detail::kWarp - 1) / detail::kWarp), detail::at_most_blocks(count)),
        dim3(detail::kWarp, detail::kThreads / detail::kWarp), 0, detail::column_kernel<T, Ranges, Value, Store>, count,
        columns, ranges, value, store);
  }

 private:
  static constexpr Index kColumnChunk = 512;

  [[nodiscard]] B& own() { return static_cast<B&>(*this); }
};

}  // namespace neuroinhib
