#pragma once

#include <neuroinhib/ops/attention/op.hpp>

namespace neuroinhib {
namespace ops {

/// p_i = Σ_h Σ_j A'_h[i, j] e_j over the heads that count: one, chosen on the device, or all, in one softmax over (h,
/// j) (Mutual-Inform SMoE, eq. 13 and 16). A'_h[i, j] ∝ exp(q_ih·k_jh/√d − a_ih) N(u_i | c W_h v_jh, σ²I), a the
/// attention's log Σ exp and W_h the head's columns of the output weight. As flash attention, for each head: queries
/// [q/√d, c Wᵀu/σ²], keys [k, v], biases −c² |W v|²/(2σ²), values e.
/// q, k, v [rows, heads · d]; output [width, heads · d]; u [rows, width]; e [key rows, experts]; y [rows, experts];
/// attention_log_sum [rows, heads]; log_sum, entropy, self [rows, heads that count].
template <class T>
struct AttentionInform {
  static constexpr const char* name = "attention_inform";
  Columns<T> q, k, v;
  Tensor<T> attention_log_sum, output, u, e, y;
  Tensor<T> log_sum;        ///< of head h: log Σ_h'j + a_ih, so that exp(S − log_sum) is the joint weight
  Tensor<T> entropy, self;  ///< [rows]
  View<const int> head;     ///< [1] the head that counts; none: all do
  Sequences sequences;      ///< of the rows
  Index key_rows, heads;    ///< rows of k, v and e from sequence to sequence; heads of q, k and v
  T factor, variance;       ///< c, and σ²
  Tensor<T> relative{};     ///< of the attention: added to the exponents of A'

  /// Columns of a head's queries and keys.
  [[nodiscard]] Index head_width() const { return q.width / heads; }
  /// Columns of a head's values.
  [[nodiscard]] Index value_width() const { return v.width / heads; }
  [[nodiscard]] Index width() const { return head_width() + value_width(); }
  /// Whether every row of the keys and of e is a token of the sequences.
  [[nodiscard]] bool covers_keys() const { return e.rows() == y.rows() / sequences.rows() * sequences.length; }
  /// Heads that count.
  [[nodiscard]] Index counted() const { return head.data != nullptr ? 1 : heads; }
  /// The flash attention of one head, without its y.
  [[nodiscard]] FlashAttention<T> flash(const T* queries, const T* keys, const T* biases, Index at) const {
    FlashAttention<T> s{visibility(sequences, y.rows(), key_rows), 1, width(), e.cols(), T{1}};
    s.q = {queries, width(), 0};
    s.k = {keys, width(), 0};
    s.v = {e.data, e.cols(), 0};
    s.bias = {biases, 1, 0};
    s.log_sum = {log_sum.data + at, counted(), 0};
    s.routing = true;
    return s;
  }
  /// The attention's span, for the flash attention of one of its heads.
  void set_span(FlashAttention<T>& s, Index of_head) const {
    s.span = relative.cols() / heads;
    s.relative = {relative.data + of_head * s.span, relative.cols(), 0};
  }
  /// What the flash attention of the head at place `at` needs of the backward pass, and where its gradients go: memory
  /// of the kernels', but for the values'.
  [[nodiscard]] FlashGradient<T> gradient(Index at, const T* delta, T* dqueries, T* dkeys, T* dbiases,
                                          const GradientSlot<T>& de) const {
    FlashGradient<T> g;
    g.dy = {y.gradient, e.cols(), 0};
    g.log_sum = {log_sum.data + at, counted(), 0};
    g.delta = {delta, 1, 0};
    g.dq = {GradientSlot<T>{dqueries, false}, 0, width()};
    g.dk = {GradientSlot<T>{dkeys, false}, 0, width()};
    g.dbias = {GradientSlot<T>{dbiases, false}, 0, 1};
    g.dv = {de, 0, e.cols()};
    return g;
  }
  /// The heads' columns of q, k and v in the slots claimed for their tensors.
  [[nodiscard]] FlashGradient<T> columns(const GradientSlot<T>& of_q, const GradientSlot<T>& of_k,
                                         const GradientSlot<T>& of_v) const {
    FlashGradient<T> g;
    g.dq = {of_q, q.first, q.tensor.cols(), head_width()};
    g.dk = {of_k, k.first, k.tensor.cols(), head_width()};
    g.dv = {of_v, v.first, v.tensor.cols(), value_width()};
    return g;
  }
};

}  // namespace ops

/// What attention_inform() gives.
template <class T>
struct InformResult {
  Tensor<T> y;        ///< [rows, experts] p_i
  Tensor<T> entropy;  ///< [rows] H of a token's weights on others, in nats; no gradient
  Tensor<T> self;     ///< [rows] a token's weight on itself; no gradient
};

/// What an attention layer shows to those who route by it.
template <class T>
struct AttentionTrace {
  Columns<T> q, k, v;          ///< [rows, heads · d] each
  Tensor<T> log_sum, entropy;  ///< [rows, heads]
  Tensor<T> output_weight;     ///< W_O [width, heads · d]
  Tensor<T> output;            ///< [rows, width] before the residual
  Index heads = 0;             ///< of the attention
  Index key_rows = 0;          ///< from sequence to sequence
  Mask mask = Mask::causal;    ///< that log_sum and entropy are under
  Tensor<T> relative{};        ///< [rows, heads · span] where the attention has a span

  /// Whether an attention showed itself.
  [[nodiscard]] bool defined() const { return heads > 0; }
};

namespace detail {

/// Attention-Inform routing that is yet to run, and what it will give.
template <class T>
struct InformToRun {
  InformResult<T> result;
  ops::AttentionInform<T> operation;
};

/// See attention_inform().
template <class Ex>
[[nodiscard]] InformToRun<ScalarOf<Ex>> inform_operation(Ex& ex, const AttentionTrace<ScalarOf<Ex>>& trace,
                                                         const TensorOf<Ex>& e, const Sequences& sequences,
                                                         const View<const int>& head, double factor, double deviation) {
  using T = ScalarOf<Ex>;
  const Index rows = trace.q.tensor.rows();
  require_sequences("attention-inform", sequences, rows);
  require_option("attention-inform", "deviation σ", deviation, deviation > 0, "> 0", "the paper's runs use 1");
  require_relative("attention-inform", trace.relative, rows, trace.heads, sequences);
  if (e.rows() != trace.v.tensor.rows())
    fail<ShapeError>("attention-inform", std::to_string(trace.v.tensor.rows()) + " rows of expert scores",
                     e.shape.text(), "give one row for every key of the attention");
  const bool wants = any_wants_gradient(trace.q.tensor, trace.k.tensor, trace.v.tensor, trace.output_weight,
                                        trace.output, e, trace.relative);
  const Index counted = head.data != nullptr ? 1 : trace.heads;
  Tensor<T> log_sum = trace.log_sum;
  if (counted > 1 && trace.mask != sequences.mask)  // what a head's weights add up to depends on what it sees
    log_sum = attention(ex, trace.q, trace.k, trace.v, sequences, trace.heads, {}, trace.key_rows, LinearUse::routing)
                  .log_sum;
  const InformResult<T> result{ex.tensor({rows, e.cols()}, wants), ex.tensor({rows}, false), ex.tensor({rows}, false)};
  return {result,
          {trace.q, trace.k, trace.v, log_sum, trace.output_weight, trace.output, e, result.y,
           ex.tensor({rows, counted}, false), result.entropy, result.self, head, sequences, trace.key_rows, trace.heads,
           static_cast<T>(factor), static_cast<T>(deviation * deviation), trace.relative}};
}

}  // namespace detail

/// p_i of Attention-Inform routing for expert probabilities e [key rows, experts]. `head` [1] on the backend, or none
/// for the posterior over all heads; `factor` c, `deviation` σ. Throws ConfigError, ShapeError.
template <Executor Ex>
[[nodiscard]] InformResult<ScalarOf<Ex>> attention_inform(Ex& ex, const AttentionTrace<ScalarOf<Ex>>& trace,
                                                          const TensorOf<Ex>& e, const Sequences& sequences,
                                                          const View<const int>& head, double factor,
                                                          double deviation) {
  const auto [result, operation] = detail::inform_operation(ex, trace, e, sequences, head, factor, deviation);
  ex.run(operation);
  return result;
}

}  // namespace neuroinhib
