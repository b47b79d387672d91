#pragma once

#include <neuroinhib/backend/executor.hpp>
#include <neuroinhib/ops/expert_load/op.hpp>

/// The terms that auxiliary losses are made of. Tokens that do not count add nothing to them and get no gradient. Of
/// several ranks, each has its part of the z-loss and the balance loss, and all have the importance and the load of the
/// whole batch, so that a loss of these counts once().
namespace neuroinhib {
namespace ops {

/// y[k] = Σ of the gates of expert k's slots.   gates [tokens, chosen], y [experts].  dgates[slot] = dy[expert].
template <class T>
struct Importance {
  static constexpr const char* name = "importance";
  Tensor<T> gates, y;
  RoutingPlan plan;          ///< whose slots the gates belong to
  CountedTokens<T> counted;  ///< tokens that count

  /// Whether a slot has an expert, and its token counts.
  NEUROINHIB_DEVICE [[nodiscard]] bool counts(Index slot) const {
    return plan.expert[slot] < plan.experts && counted(slot / plan.chosen());
  }
};

/// y[k] = Σ_tokens Φ((clean[i, k] − threshold[i, k]) / scale[i, k]): the smooth load of Shazeer et al. 2017, eq. 8–10.
/// The threshold is the M-th largest of the noisy scores of the other experts. clean, noisy, scale [tokens, experts];
/// a scale below kFloor, such as a softplus that underflowed, counts as kFloor, without a gradient.
template <class T>
struct SmoothLoad {
  static constexpr const char* name = "smooth_load";
  static constexpr T kFloor = T(1e-6);
  Tensor<T> clean, noisy, scale, y;
  Index chosen;              ///< M
  CountedTokens<T> counted;  ///< tokens that count

  NEUROINHIB_DEVICE [[nodiscard]] bool counts(Index i) const { return counted(i / clean.cols()); }
  /// Whether a scale is below kFloor.
  NEUROINHIB_DEVICE [[nodiscard]] bool floored(Index i) const { return scale[i] < kFloor; }
  /// The scale, or kFloor.
  NEUROINHIB_DEVICE [[nodiscard]] T deviation(Index i) const { return floored(i) ? kFloor : scale[i]; }
};

/// y = variance(x) / (mean(x)² + 1e-10), the squared coefficient of variation of a vector; a scalar.
template <class T>
struct CvSquared {
  static constexpr const char* name = "cv_squared";
  static constexpr T kFloor = T(1e-10);  ///< 1e-10
  Tensor<T> x, y;
};

/// y = mean over tokens of (log Σ_k exp logits[i, k])²; a scalar (Zoph et al. 2022, eq. 5).
template <class T>
struct ZLoss {
  static constexpr const char* name = "z_loss";
  /// [tokens, experts] logits and their softmax, log Σ exp of each token, and y
  Tensor<T> logits, probabilities, log_sums, y;
  CountedTokens<T> counted;  ///< tokens that count
};

/// y = K Σ_k f_k P_k: f_k the share of slots that expert k got, P_k its mean probability; a scalar (Fedus et al.
/// 2022, eq. 4). probabilities [tokens, experts], load [experts]: the slots.
template <class T>
struct BalanceLoss {
  static constexpr const char* name = "balance_loss";
  Tensor<T> probabilities, load, y;
  CountedTokens<T> counted;  ///< tokens that count

  /// K / Σ load.
  NEUROINHIB_DEVICE [[nodiscard]] T per_slot() const {
    T total = 0;
    for (Index k = 0; k < load.size(); ++k) total += load[k];
    return static_cast<T>(load.size()) / (total > 0 ? total : T{1});
  }
};

}  // namespace ops

/// Each expert's importance, the sum of its gates [experts] (Shazeer et al. 2017, eq. 6); tokens that do not count add
/// nothing.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> importance(Ex& ex, const TensorOf<Ex>& gates, const RoutingPlan& plan,
                                      const CountedTokens<ScalarOf<Ex>>& counted = {}) {
  auto y = ex.tensor({plan.experts}, gates.wants_gradient());
  ex.run(ops::Importance<ScalarOf<Ex>>{gates, y, plan, detail::counted_of(ex, "importance", counted, plan.tokens())});
  return all_reduce(ex, y);
}

/// Throws ConfigError unless chosen < experts: with all experts chosen there is no threshold.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> smooth_load(Ex& ex, const TensorOf<Ex>& clean, const TensorOf<Ex>& noisy,
                                       const TensorOf<Ex>& scale, Index chosen,
                                       const CountedTokens<ScalarOf<Ex>>& counted = {}) {
  if (chosen >= clean.cols())
    fail<ConfigError>("load loss", "M < K = " + std::to_string(clean.cols()), "M = " + std::to_string(chosen),
                      "turn the load loss off where every expert is chosen");
  auto y = ex.tensor({clean.cols()}, any_wants_gradient(clean, noisy, scale));
  ex.run(ops::SmoothLoad<ScalarOf<Ex>>{clean, noisy, scale, y, chosen,
                                       detail::counted_of(ex, "load loss", counted, clean.rows())});
  return all_reduce(ex, y);
}

/// The squared coefficient of variation of x [n], a scalar: the importance loss of importance(), the load loss of
/// smooth_load().
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> cv_squared(Ex& ex, const TensorOf<Ex>& x) {
  auto y = ex.tensor(Shape::scalar(), x.wants_gradient());
  ex.run(ops::CvSquared<ScalarOf<Ex>>{x, y});
  return y;
}

/// The mean of (log Σ exp)² over logits [tokens, experts] of the tokens that count, a scalar (Zoph et al. 2022, eq. 5).
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> z_loss(Ex& ex, const TensorOf<Ex>& logits, const CountedTokens<ScalarOf<Ex>>& counted = {}) {
  auto probabilities = ex.tensor(logits.shape, false);
  auto log_sums = ex.tensor({logits.rows()}, false);
  auto y = ex.tensor(Shape::scalar(), logits.wants_gradient());
  ex.run(ops::ZLoss<ScalarOf<Ex>>{logits, probabilities, log_sums, y,
                                  detail::counted_of(ex, "z-loss", counted, logits.rows())});
  return y;
}

/// K Σ_k f_k P_k of probabilities [tokens, experts], a scalar: 1 where loads are even (Fedus et al. 2022, eq. 4).
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> balance_loss(Ex& ex, const TensorOf<Ex>& probabilities, const RoutingPlan& plan,
                                        const CountedTokens<ScalarOf<Ex>>& counted = {}) {
  auto y = ex.tensor(Shape::scalar(), probabilities.wants_gradient());
  ex.run(ops::BalanceLoss<ScalarOf<Ex>>{probabilities, expert_load(ex, plan, counted), y,
                                        detail::counted_of(ex, "balance loss", counted, probabilities.rows())});
  return y;
}

}  // namespace neuroinhib
