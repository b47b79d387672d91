#pragma once

#include <algorithm>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/reduce/op.hpp>

/// Folds with an associative and commutative operation, in an order fixed by the shape.
/// Elements come in runs: run(row, column, count, buffer) gives `count` neighbours of a row, in `buffer` or where they
/// lie.
namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

/// Elements of a run at most.
inline constexpr Index kRun = 256;

/// The part of a row that one thread folds; of columns, how many and how far: neighbouring runs, so that memory is read
/// in its order.
inline constexpr Index kFoldedColumns = 1 << 14, kStrip = 8 * kRun, kFoldedRows = 128;

/// Folds `count` elements of a row from `column` on, in lanes that do not wait for each other.
template <class U, class Op, class Run>
U fold_run(Index row, Index column, Index count, const Op& op, const Run& run) {
  constexpr Index kLanes = 32;  // more than compilers unroll: a loop that they vectorise
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
  if (count >= kLanes)
    for (Index half = kLanes / 2; half > 0; half /= 2)
      for (Index lane = 0; lane < half; ++lane) lanes[lane] = op(lanes[lane], lanes[lane + half]);
  else
    for (Index lane = 1; lane < count; ++lane) lanes[0] = op(lanes[0], lanes[lane]);
  return lanes[0];
}

/// The fold of `count` neighbours.
template <class T, class Op>
T fold_line(const T* x, Index count, const Op& op) {
  return fold_run<T>(0, 0, count, op, [&](Index, Index column, Index, T*) { return x + column; });
}

/// ⟨a, b⟩ of `count` neighbours.
template <class T>
T inner_product(const T* a, const T* b, Index count) {
  const auto products = [&](Index, Index column, Index n, T* buffer) {
    for (Index i = 0; i < n; ++i) buffer[i] = a[column + i] * b[column + i];
    return static_cast<const T*>(buffer);
  };
  return fold_run<T>(0, 0, count, Plus{}, products);
}

/// Σ of(row) over so many rows, each of which costs `cost`.
template <class T, class Of>
T sum_over_rows(Cpu<T>& cpu, Index rows, Index cost, const Of& of) {
  const ArenaScope scope(cpu.arena());
  T* each = cpu.template kernel_memory<T>(rows);
  cpu.parallel_for(rows, cost, [&](Index row) { each[row] = of(row); });
  return fold_line(each, rows, Plus{});
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
  const Index parts = (rows + kFoldedRows - 1) / kFoldedRows, strips = (columns + kStrip - 1) / kStrip;
  const ArenaScope scope(cpu.arena());
  U* partial = cpu.template kernel_memory<U>(parts * columns);
  cpu.parallel_for(parts * strips, std::min(rows, kFoldedRows) * std::min(columns, kStrip) * cost, [&](Index i) {
    const Index part = i / strips, first = i % strips * kStrip, last = std::min(columns, first + kStrip);
    const Index begin = part * kFoldedRows, end = std::min(rows, begin + kFoldedRows);
    U buffer[kRun];
    for (Index row = begin; row < end; ++row)
      for (Index column = first; column < last; column += kRun) {
        U* total = partial + part * columns + column;
        const Index count = std::min(kRun, last - column);
        const U* values = run(row, column, count, buffer);
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
