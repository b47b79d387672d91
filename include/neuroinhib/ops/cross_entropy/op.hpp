#pragma once

#include <neuroinhib/ops/softmax/op.hpp>
#include <neuroinhib/parallel/communicator.hpp>

namespace neuroinhib {
namespace ops {

/// y = 1 / all · Σ_i log Σ_c exp(logits[i, c]) − logits[i, label_i].   logits [rows, classes], labels [rows],
/// probabilities [rows, classes] kept for the backward pass, all: the rows of all ranks.
/// dlogits = dy · (softmax − one-hot) / all.
template <class T>
struct CrossEntropy {
  static constexpr const char* name = "cross_entropy";
  Tensor<T> logits, probabilities, y;
  View<const int> labels;
  Index all;
};

}  // namespace ops

/// Mean cross-entropy from logits, in nats: a scalar, or this rank's part of it. Throws ShapeError, and ConfigError for
/// a label out of range.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> cross_entropy(Ex& ex, const TensorOf<Ex>& logits, const View<const int>& labels) {
  require_rows("cross-entropy", logits.shape);
  if (labels.size() != logits.rows())
    fail<ShapeError>("cross-entropy", std::to_string(logits.rows()) + " labels", labels.shape.text(),
                     "pass one label a row of logits");
  auto probabilities = ex.tensor(logits.shape, false);
  auto y = ex.tensor(Shape::scalar(), logits.wants_gradient());
  ex.run(ops::CrossEntropy<ScalarOf<Ex>>{logits, probabilities, y, labels, share_of(ex, logits.rows()).total});
  return y;
}

/// The loss of the Neural Inhibition research code: the softmax output is fed to a cross-entropy that applies softmax
/// again. Kept for replication; its gradient vanishes for confident mistakes.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> softmax_then_cross_entropy(Ex& ex, const TensorOf<Ex>& logits,
                                                      const View<const int>& labels) {
  return cross_entropy(ex, softmax(ex, logits), labels);
}

}  // namespace neuroinhib
