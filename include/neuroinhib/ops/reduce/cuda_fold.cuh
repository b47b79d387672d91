#pragma once

#include <neuroinhib/backend/cuda.cuh>

/// Folds with an associative and commutative operation, in an order fixed by the shape: no atomics. Elements are
/// value(row, column). Thrust folds rows too (reduce_by_key), but waits for the device to tell how many there were.
namespace neuroinhib::ops {

/// The part of a row that threads of one warp fold, and of a column that one thread does; larger ones are folded again.
inline constexpr Index kFoldedByTeam = 1 << 12, kFoldedByThread = 64;

/// Folds of parts, [rows, columns], as the elements of the next fold.
template <class U>
struct FoldedParts {
  U* data;
  Index columns;
  __device__ U operator()(Index row, Index column) const { return data[row * columns + column]; }
};
/// Stores the fold of number i.
template <class U>
struct StoreFolded {
  U* data;
  __device__ void operator()(Index i, U value) const { data[i] = value; }
};

/// store(row · parts + part, the fold of that part of the row), each by `1 << bits` neighbouring threads of a warp.
template <class U, class T, class Op, class Value, class Store>
void fold_row_parts(Cuda<T>& cuda, Index rows, Index columns, Index parts, const Op& op, const Value& value,
                    const Store& store) {
  int bits = 0;
  while ((1 << bits) < detail::kWarp && (Index{1} << bits) < columns) ++bits;
  const Index team = Index{1} << bits, count = rows * parts;
  const Index threads = (count * team + detail::kWarp - 1) / detail::kWarp * detail::kWarp;  // whole warps
  cuda.parallel_for(threads, [=] __device__(Index thread) {
    const Index i = thread >> bits, lane = thread & (team - 1);
    const Index row = i / parts, begin = i % parts * kFoldedByTeam;
    const Index length = i >= count ? 0 : columns - begin < kFoldedByTeam ? columns - begin : kFoldedByTeam;
    U total{};
    if (lane < length) {
      total = value(row, begin + lane);
#pragma unroll 4
      for (Index c = lane + team; c < length; c += team) total = op(total, value(row, begin + c));
    }
    for (Index step = 1; step < team; step *= 2) {
      const U other = __shfl_down_sync(0xffffffffu, total, static_cast<unsigned>(step), static_cast<int>(team));
      if (lane + step < team && lane + step < length) total = op(total, other);
    }
    if (lane == 0 && i < count) store(i, total);
  });
}

/// store(row, the fold of that row).
template <class U, class T, class Op, class Value, class Store>
void fold_rows(Cuda<T>& cuda, Index rows, Index columns, const Op& op, const Value& value, const Store& store) {
  const Index parts = (columns + kFoldedByTeam - 1) / kFoldedByTeam;
  if (parts == 1) return fold_row_parts<U>(cuda, rows, columns, 1, op, value, store);
  const ArenaScope scope(cuda.device_arena());
  U* partial = cuda.template kernel_memory<U>(rows * parts);
  fold_row_parts<U>(cuda, rows, columns, parts, op, value, StoreFolded<U>{partial});
  fold_rows<U>(cuda, rows, parts, op, FoldedParts<U>{partial, parts}, store);
}

/// store(part · columns + column, the fold of that part of the column), each by one thread.
template <class U, class T, class Op, class Value, class Store>
void fold_column_parts(Cuda<T>& cuda, Index rows, Index columns, const Op& op, const Value& value, const Store& store) {
  const Index parts = (rows + kFoldedByThread - 1) / kFoldedByThread;
  cuda.parallel_for(parts * columns, [=] __device__(Index i) {
    const Index column = i % columns, begin = i / columns * kFoldedByThread;
    const Index end = begin + kFoldedByThread < rows ? begin + kFoldedByThread : rows;
    U total = value(begin, column);
#pragma unroll 8
    for (Index row = begin + 1; row < end; ++row) total = op(total, value(row, column));
    store(i, total);
  });
}

/// store(column, the fold of that column).
template <class U, class T, class Op, class Value, class Store>
void fold_columns(Cuda<T>& cuda, Index rows, Index columns, const Op& op, const Value& value, const Store& store) {
  const Index parts = (rows + kFoldedByThread - 1) / kFoldedByThread;
  if (parts == 1) return fold_column_parts<U>(cuda, rows, columns, op, value, store);
  const ArenaScope scope(cuda.device_arena());
  U* partial = cuda.template kernel_memory<U>(parts * columns);
  fold_column_parts<U>(cuda, rows, columns, op, value, StoreFolded<U>{partial});
  fold_columns<U>(cuda, parts, columns, op, FoldedParts<U>{partial, columns}, store);
}

}  // namespace neuroinhib::ops
