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

}  // namespace detail

/// The loops over elements, rows and columns that operations run on the device: members of the backend that launches
/// them, `B`. Bodies are functors of the device; every sum is added up in one order.
template <class B, class T>
class CudaLoops {
 public:
  /// body(i) for i in [0, count), on the device.
  template <class Body>
  void parallel_for(Index count, const Body& body) {
    own().launch_together(detail::elements(count, body));
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
    if (needs_blocks(count, length))
      own().launch_together(detail::row_teams<T, detail::kThreads>(count, body));
    else
      own().launch_together(detail::row_teams<T, detail::kWarp>(count, body));
  }
  /// Whether a block works on a row rather than a warp.
  [[nodiscard]] bool needs_blocks(Index count, Index length) {
    return length >= 4 * detail::kThreads && count < 64 * static_cast<Index>(own().multiprocessors());
  }
  /// store(column, Σ_row value(row, column)), in one order whatever the device.
  template <class Value, class Store>
  void sum_columns(Index rows, Index columns, const Value& value, const Store& store) {
    const ArenaScope scope(own().device_arena());
    const auto sums = ready_columns<detail::kThreads>(rows, columns, value, store);
    own().launch_together(sums.of_chunks);
    own().launch_together(sums.of_all);
  }
  /// The same as parts of kernels whose blocks have so many threads: the second comes after the first.
  template <int Threads, class Value, class Store>
  [[nodiscard]] detail::ColumnSumsInTwo<T, Threads, Value, Store> ready_columns(Index rows, Index columns,
                                                                                const Value& value,
                                                                                const Store& store) {
    const Index chunks = rows > kOneChunk ? (rows + kColumnChunk - 1) / kColumnChunk : 1;
    T* partial = chunks > 1 ? own().template kernel_memory<T>(chunks * columns) : nullptr;
    const detail::ChunkSums<T, Store> of_chunk{partial, columns, store}, last{nullptr, columns, store};
    return {{chunks, columns, {rows, chunks > 1 ? kColumnChunk : rows}, value, of_chunk},
            {partial == nullptr ? 0 : 1, columns, {chunks, chunks}, of_chunk, last}};
  }
  /// store(i, column, Σ value(row, column)) over the rows of ranges(i), for i in [0, count).
  template <class Ranges, class Value, class Store>
  void sum_ranges(Index count, Index columns, const Ranges& ranges, const Value& value, const Store& store) {
    own().launch_together(
        detail::ColumnSums<T, detail::kThreads, Ranges, Value, Store>{count, columns, ranges, value, store});
  }

 private:
  static constexpr Index kColumnChunk = 128, kOneChunk = 512;  ///< rows: of a chunk, and up to which there is one

  [[nodiscard]] B& own() { return static_cast<B&>(*this); }
};

}  // namespace neuroinhib
