#pragma once

#include <algorithm>
#include <string>

#include <neuroinhib/ops/attention/cpu.hpp>
#include <neuroinhib/ops/projected_cross_entropy/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>& cpu, const ProjectedCrossEntropy<T>& op) {
  const Index width = op.x.cols(), classes = op.weight.rows();
  Index counted = 0;
  for (Index row = 0; row < op.x.rows(); ++row) {
    if (op.labels[row] >= classes)
      fail<ConfigError>("projected cross-entropy", "labels below " + std::to_string(classes),
                        std::to_string(op.labels[row]) + " in row " + std::to_string(row),
                        "mend the label, or give the model more classes");
    counted += op.labels[row] >= 0;
  }
  const T number = op.counted.defined() ? op.counted.number(op.x.rows()) : static_cast<T>(std::max<Index>(counted, 1));
  op.delta[op.x.rows()] = T{-1} / number;
  flash::run_forward(cpu, op.flash());
  cpu.parallel_for(op.x.rows(), width, [&](Index row) {
    const Index label = op.labels[row];
    op.delta[row] = label < 0 ? T{0} : T{-1} / number;
    op.losses[row] = 0;
    if (label < 0) return;
    T logit = op.bias.defined() ? op.bias[label] : T{0};
    for (Index c = 0; c < width; ++c) logit += op.x[row * width + c] * op.weight[label * width + c];
    op.losses[row] = op.log_sum[row] - logit;
  });
  T total = 0;
  for (const T loss : op.losses) total += loss;
  op.y[0] = total / number;
}

template <class T>
void backward(Cpu<T>& cpu, const ProjectedCrossEntropy<T>& op) {
  const ArenaScope scope(cpu.arena());
  T* scaled = cpu.template kernel_memory<T>(op.x.rows());
  cpu.parallel_for(op.x.rows(), [&](Index row) { scaled[row] = op.y.gradient[0] * op.delta[row]; });
  flash::run_backward(cpu, op.flash(), op.gradient(scaled));
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
