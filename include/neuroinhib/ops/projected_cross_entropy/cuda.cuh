#pragma once

#include <neuroinhib/ops/attention/cuda.cuh>
#include <neuroinhib/ops/projected_cross_entropy/cuda_wgmma.cuh>
#include <neuroinhib/ops/projected_cross_entropy/op.hpp>

namespace neuroinhib {

/// Whether a projected cross-entropy's forward pass finds what x's gradient is made of.
[[nodiscard]] inline bool keeps_pull(const Cuda<float>& cuda, const Tensor<float>& x) {
  return ops::classes::suit(cuda, x.rows(), x.cols());
}

namespace ops {

/// Log Σ exp of the rows' logits, and what is kept beside it.
template <class T>
void find_log_sums(Cuda<T>& cuda, const ProjectedCrossEntropy<T>& op) {
  if constexpr (std::is_same_v<T, float>)
    if (classes::suit(cuda, op.x.rows(), op.x.cols())) return classes::forward(cuda, op);
  flash::run_forward(cuda, op.flash());
}

/// A label beyond the classes makes the loss NaN and is told by Cuda::check. After the log-sums: each row's loss beside
/// the count of rows, in chunks; the sums of losses beside the chunks' counts; the mean beside the rows' slopes.
template <class T>
void forward(Cuda<T>& cuda, const ProjectedCrossEntropy<T>& op) {
  find_log_sums(cuda, op);
  const Index rows = op.x.rows(), width = op.x.cols(), classes = op.weight.rows();
  const ArenaScope scope(cuda.device_arena());
  T* counted = cuda.template kernel_memory<T>(1);
  CudaControl* control = cuda.control();
  const auto loss_of = [=] __device__(Index row, const detail::Team<T>& team) {
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
  };
  const auto slope_of = [=] __device__(Index row) {
    op.delta[row] = row < rows && op.labels[row] < 0 ? T{0} : -1 / *counted;
  };
  const auto count = cuda.template ready_columns<detail::kThreads>(
      rows, 1, [=] __device__(Index row, Index) { return op.labels[row] >= 0 ? T{1} : T{0}; },
      [=] __device__(Index, T sum) {
        *counted = op.counted.marks.data != nullptr ? op.counted.number(rows) : sum > 0 ? sum : T{1};
      });
  const auto mean = cuda.template ready_columns<detail::kThreads>(
      rows, 1, [=] __device__(Index row, Index) { return op.losses[row]; },
      [=] __device__(Index, T sum) { op.y[0] = sum / *counted; });
  cuda.launch_together(detail::row_teams<T, detail::kWarp>(rows, loss_of), count.of_chunks);
  cuda.launch_together(mean.of_chunks, count.of_all);
  cuda.launch_together(mean.of_all, detail::elements(rows + 1, slope_of));
}

template <class T>
void backward(Cuda<T>& cuda, const ProjectedCrossEntropy<T>& op) {
  if constexpr (std::is_same_v<T, float>)
    if (op.pull.defined()) return classes::backward(cuda, op);
  const ArenaScope scope(cuda.device_arena());
  T* scaled = cuda.template kernel_memory<T>(op.x.rows());
  cuda.parallel_for(op.x.rows(), [=] __device__(Index row) { scaled[row] = op.y.gradient[0] * op.delta[row]; });
  flash::run_backward(cuda, op.flash(), op.gradient(scaled));
}

}  // namespace ops
}  // namespace neuroinhib
