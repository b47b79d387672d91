#pragma once

#include <string>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/cross_entropy/op.hpp>
#include <neuroinhib/ops/softmax/cpu.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>& cpu, const CrossEntropy<T>& op) {
  const Index rows = op.logits.rows(), classes = op.logits.cols();
  const T total = sum_over_rows(cpu, rows, classes * cost::exponential, [&](Index row) {
    const int label = op.labels[row];
    if (label < 0 || label >= classes)
      fail<ConfigError>("cross-entropy", "labels from 0 to " + std::to_string(classes - 1),
                        std::to_string(label) + " in row " + std::to_string(row),
                        "mend the label, or give the model more classes");
    const T* logits = op.logits.data + row * classes;
    return softmax_row(logits, op.probabilities.data + row * classes, classes) - logits[label];
  });
  op.y[0] = total / static_cast<T>(op.all);
}

template <class T>
void backward(Cpu<T>& cpu, const CrossEntropy<T>& op) {
  const auto dlogits = op.logits.claim_gradient();
  const Index rows = op.logits.rows(), classes = op.logits.cols();
  const T factor = op.y.gradient[0] / static_cast<T>(op.all);
  cpu.parallel_for(rows, 2 * classes, [&](Index row) {
    const T* p = op.probabilities.data + row * classes;
    const Index label = op.labels[row];
    const auto put = [&](Index begin, Index end, T of_label) {
      for (Index c = begin; c < end; ++c) dlogits.put(row * classes + c, factor * (p[c] - of_label));
    };
    put(0, label, 0);
    put(label, label + 1, 1);
    put(label + 1, classes, 0);
  });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
