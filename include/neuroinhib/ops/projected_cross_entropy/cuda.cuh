#pragma once

#include <neuroinhib/ops/attention/cuda.cuh>
#include <neuroinhib/ops/projected_cross_entropy/op.hpp>

namespace neuroinhib::ops {

/// A label beyond the classes makes the loss NaN and is told by Cuda::check.
template <class T>
void forward(Cuda<T>& cuda, const ProjectedCrossEntropy<T>& op) {
  flash::run_forward(cuda, op.flash());
  const Index rows = op.x.rows(), width = op.x.cols(), classes = op.weight.rows();
  const ArenaScope scope(cuda.device_arena());
  T* counted = cuda.template kernel_memory<T>(1);
  CudaControl* control = cuda.control();
  cuda.parallel_rows(rows, width, [=] __device__(Index row, const detail::Team<T>& team) {
    const int label = op.labels[row];
    const bool valid = label < classes;
    T logit = 0;
    if (label >= 0 && valid)
      for (Index c = team.lane; c < width; c += team.size)
        logit += op.x[row * width + c] * op.weight[label * width + c];
    logit = team.sum(logit);
    if (team.lane != 0) return;
    if (!valid) note_fault(control, CudaFault::label_out_of_range, label, row);
    if (label >= 0 && valid && op.bias.data != nullptr) logit += op.bias[label];
    op.losses[row] = !valid ? static_cast<T>(NAN) : label < 0 ? T{0} : op.log_sum[row] - logit;
  });
  cuda.sum_columns(
      rows, 1, [=] __device__(Index row, Index) { return op.labels[row] >= 0 ? T{1} : T{0}; },
      [=] __device__(Index, T sum) {
        *counted = op.counted.marks.data != nullptr ? op.counted.number(rows) : sum > 0 ? sum : T{1};
      });
  cuda.sum_columns(
      rows, 1, [=] __device__(Index row, Index) { return op.losses[row]; },
      [=] __device__(Index, T sum) { op.y[0] = sum / *counted; });
  cuda.parallel_for(rows, [=] __device__(Index row) { op.delta[row] = op.labels[row] < 0 ? T{0} : -1 / *counted; });
}

template <class T>
void backward(Cuda<T>& cuda, const ProjectedCrossEntropy<T>& op) {
  const ArenaScope scope(cuda.device_arena());
  T* scaled = cuda.template kernel_memory<T>(op.x.rows());
  cuda.parallel_for(op.x.rows(), [=] __device__(Index row) { scaled[row] = op.y.gradient[0] * op.delta[row]; });
  flash::run_backward(cuda, op.flash(), op.gradient(scaled));
}

}  // namespace neuroinhib::ops
