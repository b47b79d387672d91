#pragma once

#include <algorithm>

#include <neuroinhib/ops/batch_pool/op.hpp>
#include <neuroinhib/ops/reduce/cpu_fold.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

/// Runs of rows for a fold: those that count where they lie, `other` in the place of the rest.
template <class T>
auto counted_rows(const BatchPool<T>& op, T other) {
  return [&op, other](Index row, Index column, Index count, T* buffer) {
    if (op.counted(row)) return static_cast<const T*>(op.x.data + row * op.x.cols() + column);
    std::fill_n(buffer, count, other);
    return static_cast<const T*>(buffer);
  };
}

/// The first row that holds each column's largest number, then that number.
template <class T>
void pool_largest(Cpu<T>& cpu, const BatchPool<T>& op) {
  const Index rows = op.x.rows(), width = op.x.cols();
  const auto none = static_cast<int>(rows);
  const auto candidates = [&](Index row, Index column, Index count, int* buffer) {
    const T *x = op.x.data + row * width + column, *largest = op.y.data + column;
    for (Index c = 0; c < count; ++c) buffer[c] = selected(x[c], largest[c], static_cast<int>(row), none);
    if (!op.counted(row)) std::fill_n(buffer, count, none);
    return static_cast<const int*>(buffer);
  };
  fold_columns<T>(cpu, rows, width, 1, Maximum{}, counted_rows(op, kMaximumOfNothing<T>),
                  [&](Index c, T largest) { op.y[c] = largest; });
  fold_columns<int>(cpu, rows, width, 1, Minimum{}, candidates, [&](Index c, int row) {
    op.winner[c] = row < none ? row : -1;
    if (row == none) op.y[c] = op.nothing;
  });
}

template <class T>
void forward(Cpu<T>& cpu, const BatchPool<T>& op) {
  const Index rows = op.x.rows(), width = op.x.cols();
  switch (op.pooling) {
    case Pooling::max: return pool_largest(cpu, op);
    case Pooling::mean:
      return fold_columns<T>(cpu, rows, width, 1, Plus{}, counted_rows(op, T{0}),
                             [&](Index c, T sum) { op.y[c] = sum / op.counted.number(rows); });
    case Pooling::row:
      return cpu.parallel_for(op.y.rows(), width, [&](Index b) {
        T* y = op.y.data + b * width;
        if (op.counted(b % rows))
          std::copy_n(op.x.data + b % rows * width, width, y);
        else
          std::fill_n(y, width, T{0});
      });
  }
}

template <class T>
void backward(Cpu<T>& cpu, const BatchPool<T>& op) {
  const auto dx = op.x.claim_gradient();
  const Index rows = op.x.rows(), width = op.x.cols();
  const T* dy = op.y.gradient;
  cpu.parallel_for(rows, 2 * width, [&](Index row) {
    const auto put = [&](const auto& slope) {
      for (Index c = 0; c < width; ++c) dx.put(row * width + c, slope(c));
    };
    const T share = 1 / op.counted.number(rows);
    if (!op.counted(row)) return put([](Index) { return T{0}; });
    if (op.pooling == Pooling::mean) return put([&](Index c) { return share * dy[c]; });
    if (op.pooling == Pooling::max) return put([&](Index c) { return op.winner[c] == row ? dy[c] : T{0}; });
    put([&](Index c) { return row < op.y.rows() ? dy[row * width + c] : T{0}; });
    for (Index b = row + rows; b < op.y.rows(); b += rows)
      for (Index c = 0; c < width; ++c) dx.data[row * width + c] += dy[b * width + c];
  });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
