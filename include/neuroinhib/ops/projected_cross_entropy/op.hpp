#pragma once

#include <neuroinhib/backend/executor.hpp>
#include <neuroinhib/ops/attention/flash.hpp>
#include <neuroinhib/ops/count_tokens/op.hpp>

namespace neuroinhib {
namespace ops {

/// y = mean over counted rows of log Σ_c exp(⟨x_i, w_c⟩ + b_c) − (⟨x_i, w_l⟩ + b_l), l = labels[i]; a row whose label
/// is below zero does not count. x [rows, width], weight [classes, width], bias [classes] or none. The logits are
/// flash attention's: no rows × classes matrix is ever stored. log_sum, losses [rows]: log Σ_c exp, and each row's
/// loss. delta [rows + 1]: −1 / counted rows, 0 where a row does not count; behind the rows, that of a row that does.
/// pull [rows, width]: Σ_c P_ic w_c − w_l, which a backend may keep for x's gradient, or none.
template <class T>
struct ProjectedCrossEntropy {
  static constexpr const char* name = "projected_cross_entropy";
  Tensor<T> x, weight, bias, log_sum, losses, delta, pull, y;
  View<const int> labels;
  CountedTokens<T> counted;  ///< of all ranks; none: those of `labels` count

  [[nodiscard]] FlashAttention<T> flash() const {
    const Index width = x.cols();
    FlashAttention<T> s{{1, x.rows(), weight.rows(), weight.rows()}, 1, width, 0, T{1}};
    s.q = {x.data, width, 0};
    s.k = {weight.data, width, 0};
    s.bias = {bias.data, 1, 0};
    s.log_sum = {log_sum.data, 1, 0};
    return s;
  }
  /// Given dy · delta.
  [[nodiscard]] FlashGradient<T> gradient(const T* scaled) const {
    FlashGradient<T> g;
    g.log_sum = {log_sum.data, 1, 0};
    g.delta = {scaled, 1, 0};
    g.label = labels.data;
    g.dq = {x.claim_gradient(), 0, x.cols()};
    g.dk = {weight.claim_gradient(), 0, x.cols()};
    g.dbias = {bias.claim_gradient(), 0, 1};
    return g;
  }
};

}  // namespace ops

/// What projected_cross_entropy() gives.
template <class T>
struct ProjectedLoss {
  Tensor<T> mean;    ///< a scalar, in nats; of several ranks, this one's part of it
  Tensor<T> losses;  ///< [rows] each row's, 0 where it does not count; no gradient
};

/// Mean cross-entropy, in nats, of the softmax over x Wᵀ + b: a language model's last layer and its loss. A label below
/// zero leaves its row out (padding). Throws ShapeError, and ConfigError for a label beyond the classes.
template <Executor Ex>
[[nodiscard]] ProjectedLoss<ScalarOf<Ex>> projected_cross_entropy(Ex& ex, const TensorOf<Ex>& x,
                                                                  const TensorOf<Ex>& weight, const TensorOf<Ex>& bias,
                                                                  const View<const int>& labels) {
  using T = ScalarOf<Ex>;
  require_memory(ex, "projected cross-entropy", weight);
  require_space(ex, "projected cross-entropy", x);
  require_width("projected cross-entropy", weight.shape[1], x.shape, "project rows of the width that the weight reads");
  if (labels.size() != x.rows())
    fail<ShapeError>("projected cross-entropy", std::to_string(x.rows()) + " labels", labels.shape.text(),
                     "pass one label a row");
  if (bias.defined())
    require_shape("projected cross-entropy, bias", {weight.shape[0]}, bias.shape, "pass one bias a class");
  const Shape rows{x.rows()};
  const ProjectedLoss<T> loss{ex.tensor(Shape::scalar(), any_wants_gradient(x, weight, bias)), ex.tensor(rows, false)};
  Tensor<T> pull;
  if constexpr (requires { keeps_pull(ex.backend(), x); })
    if (keeps_pull(ex.backend(), x) && loss.mean.wants_gradient()) pull = ex.tensor({x.rows(), x.cols()}, false);
  ex.run(ops::ProjectedCrossEntropy<T>{x, weight, bias, ex.tensor(rows, false), loss.losses,
                                       ex.tensor({x.rows() + 1}, false), pull, loss.mean, labels,
                                       alone(ex) ? CountedTokens<T>{} : count_tokens(ex, x.rows(), {}, labels)});
  return loss;
}

}  // namespace neuroinhib
