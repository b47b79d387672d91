#pragma once

#include <algorithm>

#include <neuroinhib/backend/cpu.hpp>

/// Folds with an associative and commutative operation, in an order fixed by the shape.
/// Elements come in runs: run(row, column, count, buffer) gives `count` neighbours of a row, in `buffer` or where they
/// lie.
namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

/// Elements of a run at most.
inline constexpr Index kRun = 256;

/// The part of a row that one thread folds, and of a column.
inline constexpr Index kFoldedColumns = 1 << 14, kFoldedRows = 512;

/// Folds `count` elements of a row from `column` on, in lanes that do not wait for each other.
template <class U, class Op, class Run>
U fold_run(Index row, Index column, Index count, const Op& op, const Run& run) {
  constexpr Index kLanes = 16;
  U lanes[kLanes] = {}, buffer[kRun];
  for (Index done = 0; done < count; done += kRun) {
    const Index n = std::min(kRun, count - done);
    const U* values = run(row, column + done, n, buffer);
    Index i = 0;
    if (done == 0) std::copy_n(values, i = std::min(n, kLanes), lanes);
    for (; i + kLanes <= n; i += kLanes)
      for (Index lane = 0; lane < kLanes; ++lane) lanes[lane] = op(lanes[lane], values[i + lane]);
    for (Index lane = 0; i < n; ++i, ++lane) lanes[lane] = op(lanes[lane], values[i]);
  }
  U total = lanes[0];
  for (Index lane = 1; lane < std::min(count, kLanes); ++lane) total = op(total, lanes[lane]);
  return total;
}

/// store(row, the fold of that row) for rows [rows, columns] of run's elements, of which each costs `cost`.
template <class U, class T, class Op, class Run, class Store>
void fold_rows(Cpu<T>& cpu, Index rows, Index columns, Index cost, const Op& op, const Run& run, const Store& store) {
  const Index parts = (columns + kFoldedColumns - 1) / kFoldedColumns;
  const ArenaScope scope(cpu.arena());
  U* partial = cpu.template kernel_memory<U>(rows * parts);
  cpu.parallel_for(rows * parts, std::min(columns, kFoldedColumns) * cost, [&](Index i) {
    const Index begin = i % parts * kFoldedColumns;
    partial[i] = fold_run<U>(i / parts, begin, std::min(kFoldedColumns, columns - begin), op, run);
  });
  for (Index row = 0; row < rows; ++row) {
    U total = partial[row * parts];
    for (Index part = 1; part < parts; ++part) total = op(total, partial[row * parts + part]);
    store(row, total);
  }
}

/// store(column, the fold of that column).
template <class U, class T, class Op, class Run, class Store>
void fold_columns(Cpu<T>& cpu, Index rows, Index columns, Index cost, const Op& op, const Run& run,
                  const Store& store) {
  const Index parts = (rows + kFoldedRows - 1) / kFoldedRows, runs = (columns + kRun - 1) / kRun;
  const ArenaScope scope(cpu.arena());
  U* partial = cpu.template kernel_memory<U>(parts * columns);
  cpu.parallel_for(parts * runs, std::min(rows, kFoldedRows) * std::min(columns, kRun) * cost, [&](Index i) {
    const Index part = i / runs, first = i % runs * kRun, count = std::min(kRun, columns - first);
    const Index begin = part * kFoldedRows, end = std::min(rows, begin + kFoldedRows);
    U* total = partial + part * columns + first;
    U buffer[kRun];
    for (Index row = begin; row < end; ++row) {
      const U* values = run(row, first, count, buffer);
      if (row == begin)
        std::copy_n(values, count, total);
      else
        for (Index c = 0; c < count; ++c) total[c] = op(total[c], values[c]);
    }
  });
  for (Index part = 1; part < parts; ++part)
    for (Index c = 0; c < columns; ++c) partial[c] = op(partial[c], partial[part * columns + c]);
  for (Index c = 0; c < columns; ++c) store(c, partial[c]);
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
