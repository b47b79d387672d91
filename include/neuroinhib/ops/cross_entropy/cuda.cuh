#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/cross_entropy/op.hpp>
#include <neuroinhib/ops/softmax/cuda.cuh>

namespace neuroinhib::ops {

/// A label out of range makes the loss NaN and is told by Cuda::check.
template <class T>
void forward(Cuda<T>& cuda, const CrossEntropy<T>& op) {
  const Index rows = op.logits.rows(), classes = op.logits.cols();
  const ArenaScope scope(cuda.device_arena());
  T* losses = cuda.template kernel_memory<T>(rows);
  CudaControl* control = cuda.control();
  cuda.parallel_rows(rows, classes, [=] __device__(Index row, const detail::Team<T>& team) {
    const T* logits = op.logits.data + row * classes;
    const T log_sum = softmax_row(logits, op.probabilities.data + row * classes, classes, team);
    if (team.lane != 0) return;
    const int label = op.labels[row];
    const bool valid = label >= 0 && label < classes;
    losses[row] = valid ? log_sum - logits[label] : static_cast<T>(NAN);
    if (!valid) note_fault(control, CudaFault::label_out_of_range, label, row);
  });
  cuda.sum_columns(
      rows, 1, [=] __device__(Index row, Index) { return losses[row]; },
      [=] __device__(Index, T sum) { op.y[0] = sum / static_cast<T>(op.all); });
}

template <class T>
void backward(Cuda<T>& cuda, const CrossEntropy<T>& op) {
  const auto dlogits = op.logits.claim_gradient();
  const Index rows = op.logits.rows(), classes = op.logits.cols();
  cuda.parallel_grid(rows, classes, [=] __device__(Index row, Index c) {
    const T factor = op.y.gradient[0] / static_cast<T>(op.all);
    const Index i = row * classes + c;
    dlogits.put(i, factor * (op.probabilities[i] - (op.labels[row] == c ? T{1} : T{0})));
  });
}

}  // namespace neuroinhib::ops
