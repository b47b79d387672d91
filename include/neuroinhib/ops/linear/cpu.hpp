#pragma once

#include <algorithm>

#include <neuroinhib/ops/gemm/cpu.hpp>
#include <neuroinhib/ops/linear/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

/// Adds up the rows of a [rows, columns] matrix, first row first.
template <class T>
void sum_rows(const Cpu<T>& cpu, const T* matrix, Index rows, Index columns, const GradientSlot<T>& sum) {
  cpu.parallel_blocks(columns, rows, 256, [&](Index begin, Index end) {
    if (!sum.add) std::fill(sum.data + begin, sum.data + end, T{0});
    for (Index row = 0; row < rows; ++row)
      for (Index c = begin; c < end; ++c) sum.data[c] += matrix[row * columns + c];
  });
}

template <class T>
void forward(Cpu<T>& cpu, const Linear<T>& op) {
  const Index in = op.weight.shape[1], out = op.weight.shape[0];
  if (op.bias.defined())
    cpu.parallel_for(op.x.rows(), out, [&](Index row) { std::copy_n(op.bias.data, out, op.y.data + row * out); });
  gemm::multiply(
      cpu, op.x.rows(), out, in, 1, [&](Index m) { return op.x.data + m * in; },
      [&](Index k0, Index k1, Index n, Index columns, T* panel) {
        gemm::pack_columns(k1 - k0, columns, op.weight.data + n * in + k0, in, panel);
      },
      [&](Index m) { return op.y.data + m * out; }, op.bias.defined());
}

template <class T>
void backward(Cpu<T>& cpu, const Linear<T>& op) {
  const Index in = op.weight.shape[1], out = op.weight.shape[0], rows = op.x.rows();
  const T* dy = op.y.gradient;
  if (const auto dx = op.x.claim_gradient())
    gemm::multiply(
        cpu, rows, in, out, 1, [&](Index m) { return dy + m * out; },
        [&](Index k0, Index k1, Index n, Index columns, T* panel) {
          gemm::pack_rows<T>(k1 - k0, columns, [&](Index k) { return op.weight.data + (k0 + k) * in + n; }, panel);
        },
        [&](Index m) { return dx.data + m * in; }, dx.add);
  if (const auto dw = op.weight.claim_gradient())
    gemm::multiply(
        cpu, out, in, rows, out, [&](Index m) { return dy + m; },
        [&](Index k0, Index k1, Index n, Index columns, T* panel) {
          gemm::pack_rows<T>(k1 - k0, columns, [&](Index k) { return op.x.data + (k0 + k) * in + n; }, panel);
        },
        [&](Index m) { return dw.data + m * in; }, dw.add);
  if (const auto db = op.bias.claim_gradient()) sum_rows(cpu, dy, rows, out, db);
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
