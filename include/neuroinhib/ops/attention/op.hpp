#pragma once

#include <array>
#include <cmath>
#include <optional>
#include <string>

#include <neuroinhib/backend/executor.hpp>
#include <neuroinhib/ops/attention/flash.hpp>
#include <neuroinhib/ops/linear/op.hpp>

namespace neuroinhib {

/// Columns [first, first + width) of a matrix, such as the queries in a projection of queries, keys and values.
/// `tensor` is the matrix.
template <class T>
struct Columns {
  Tensor<T> tensor;
  Index first = 0, width = 0;

  Columns() = default;
  /// All columns of `matrix`, or `count` of them from `begin` on.
  Columns(const Tensor<T>& matrix) : tensor(matrix), width(matrix.cols()) {}  // NOLINT(google-explicit-constructor)
  Columns(const Tensor<T>& matrix, Index begin, Index count) : tensor(matrix), first(begin), width(count) {}
  /// The column after the last.
  [[nodiscard]] Index end() const { return first + width; }
  /// Whether they are the same columns of the same memory.
  [[nodiscard]] bool operator==(const Columns& other) const {
    return tensor.data == other.tensor.data && first == other.first && width == other.width;
  }
  /// Whether a column is in both.
  [[nodiscard]] bool overlaps(const Columns& other) const {
    return tensor.data == other.tensor.data && first < other.end() && other.first < end();
  }
};

namespace ops {

/// For each head h: S_ij = scale · ⟨q_ih, k_jh⟩ over the tokens j that i sees, P = softmax_j(S), y_ih = Σ_j P_ij v_jh.
/// q [rows, heads · d], k [key rows, heads · d], v [key rows, heads · d_v], y [rows, heads · d_v];
/// log_sum, entropy, self [rows, heads]: log Σ_j exp S_ij, H(P_i), P_ii. A gradient of log_sum joins that of y.
/// dS = P ∘ (dy vᵀ − ⟨dy, y⟩ + dlog_sum), dq = scale · dS k, dk = scale · dSᵀ q, dv = Pᵀ dy.
template <class T>
struct Attention {
  static constexpr const char* name = "attention";
  Columns<T> q, k, v;
  Tensor<T> y, log_sum, entropy, self;
  Sequences sequences;  ///< of the queries' rows
  Index key_rows;       ///< from sequence to sequence
  Index heads;
  T scale;
  LinearUse use;         ///< what the result is for: CUDA's precision follows it
  Tensor<T> relative{};  ///< [rows, heads · span]: S_ij has + relative_ih at place i − j − 1; none: there is no span

  /// Whether a gradient came back.
  [[nodiscard]] bool reached() const { return y.has_gradient() || log_sum.has_gradient(); }
  /// What the kernels compute.
  [[nodiscard]] FlashAttention<T> flash() const {
    const Index d = q.width / heads, dv = v.width / heads, span = relative.cols() / heads;
    return {visibility(sequences, y.rows(), key_rows),
            heads,
            d,
            dv,
            scale,
            columns_of(q.tensor, q.first, d),
            columns_of(k.tensor, k.first, d),
            columns_of(v.tensor, v.first, dv),
            {},
            {y.data, y.cols(), dv},
            {log_sum.data, heads, 1},
            {entropy.data, heads, 1},
            {self.data, heads, 1},
            use == LinearUse::routing,
            {relative.data, heads * span, span},
            span};
  }
  /// The gradient's rows, given ⟨dy, y⟩ − dlog_sum. Claims the slots: the same columns once for each use, different
  /// columns of one tensor together.
  template <class B>
  [[nodiscard]] FlashGradient<T> gradient(B& backend, const T* delta) const {
    const Index d = q.width / heads, dv = v.width / heads;
    FlashGradient<T> g;
    g.dy = {y.gradient, y.cols(), dv};
    g.log_sum = {log_sum.data, heads, 1};
    g.delta = {delta, heads, 1};
    g.of_log_sum = log_sum.has_gradient();
    const GradientSlot<T> of_q = claim(backend, q);
    const GradientSlot<T> of_k = shares(k, q) ? of_q : claim(backend, k);
    const GradientSlot<T> of_v = v == q || v == k ? claim(backend, v)
                                 : shares(v, q)   ? of_q
                                 : shares(v, k)   ? of_k
                                                  : claim(backend, v);
    g.dq = {of_q, q.first, q.tensor.cols(), d};
    g.dk = {of_k, k.first, k.tensor.cols(), d};
    g.dv = {of_v, v.first, v.tensor.cols(), dv};
    if (relative.wants_gradient())
      g.drelative = {cleared_slot(backend, relative), 0, relative.cols(), relative.cols() / heads};
    return g;
  }

 private:
  static bool shares(const Columns<T>& a, const Columns<T>& b) { return a.tensor.data == b.tensor.data && !(a == b); }
  /// Stores where q, k and v write every element of the tensor, and different columns none twice; else adds to zeros.
  template <class B>
  [[nodiscard]] GradientSlot<T> claim(B& backend, const Columns<T>& columns) const {
    return tiled(columns.tensor) ? columns.tensor.claim_gradient() : cleared_slot(backend, columns.tensor);
  }
  [[nodiscard]] bool tiled(const Tensor<T>& tensor) const {
    const std::array<const Columns<T>*, 3> uses{&q, &k, &v};
    Index columns = 0;
    for (std::size_t i = 0; i < uses.size(); ++i) {
      if (uses[i]->tensor.data != tensor.data) continue;
      bool again = false;
      for (std::size_t j = 0; j < i; ++j) {
        if (uses[i]->overlaps(*uses[j]) && !(*uses[i] == *uses[j])) return false;
        again |= *uses[i] == *uses[j];
      }
      if (!again) columns += uses[i]->width;
    }
    return columns == tensor.cols() && tensor.rows() == y.rows() / sequences.rows() * sequences.length;
  }
};

}  // namespace ops

/// What attention() gives.
template <class T>
struct AttentionResult {
  Tensor<T> y;        ///< [rows, heads · d_v]
  Tensor<T> log_sum;  ///< [rows, heads] log Σ_j exp S_ij
  Tensor<T> entropy;  ///< [rows, heads] of each row's softmax, in nats; no gradient
  Tensor<T> self;     ///< [rows, heads] the weight of a token on itself; no gradient
};

namespace detail {

/// An attention that is yet to run, and what it will give.
template <class T>
struct AttentionToRun {
  AttentionResult<T> result;
  ops::Attention<T> operation;
};

/// Throws ShapeError, or ConfigError, unless tokens can have scores by distance, where they have some.
template <class T>
void require_relative(std::string_view where, const Tensor<T>& relative, Index rows, Index heads, const Sequences& s) {
  if (!relative.defined()) return;
  if (relative.rows() != rows || relative.cols() % heads != 0)
    fail<ShapeError>(where,
                     "relative scores [" + std::to_string(rows) + ", " + std::to_string(heads) + " heads · span]",
                     relative.shape.text(), "give each head of each token one score for every distance");
  if (s.mask != Mask::causal || s.document.data != nullptr || s.spread > 0)
    fail<ConfigError>(where, "a span within causal sequences that are one document, whole on a rank",
                      s.mask != Mask::causal       ? "Mask::none"
                      : s.document.data != nullptr ? "document numbers"
                                                   : "a sequence over ranks",
                      "leave them out, or the span");
}

/// See attention().
template <class Ex>
[[nodiscard]] AttentionToRun<ScalarOf<Ex>> attention_operation(Ex& ex, const Columns<ScalarOf<Ex>>& q,
                                                               const Columns<ScalarOf<Ex>>& k,
                                                               const Columns<ScalarOf<Ex>>& v,
                                                               const Sequences& sequences, Index heads,
                                                               std::optional<double> scale, Index key_rows,
                                                               LinearUse use, const TensorOf<Ex>& relative = {}) {
  using T = ScalarOf<Ex>;
  const Index rows = q.tensor.rows();
  require_sequences("attention", sequences, rows);
  if (heads < 1 || q.width % heads != 0 || v.width % heads != 0)
    fail<ConfigError>(
        "attention",
        "a number of heads that divides the widths " + std::to_string(q.width) + " and " + std::to_string(v.width),
        std::to_string(heads), "set heads to a divisor of both widths");
  if (k.width != q.width)
    fail<ShapeError>("attention", "keys as wide as queries, " + std::to_string(q.width), std::to_string(k.width),
                     "project both to one width");
  for (const auto* columns : {&q, &k, &v})
    if (columns->first < 0 || columns->width < 1 || columns->end() > columns->tensor.cols())
      fail<ShapeError>("attention", "columns within " + columns->tensor.shape.text(),
                       std::to_string(columns->first) + " to " + std::to_string(columns->end()),
                       "say in Columns where they begin and how many they are");
  const Index needed = (rows / sequences.rows() - 1) * key_rows + sequences.length;
  if (k.tensor.rows() < needed || v.tensor.rows() < needed)
    fail<ShapeError>("attention", std::to_string(needed) + " keys and values",
                     std::to_string(k.tensor.rows()) + " and " + std::to_string(v.tensor.rows()),
                     "give one for every token of the sequences");
  require_relative("attention", relative, rows, heads, sequences);
  const bool wants = any_wants_gradient(q.tensor, k.tensor, v.tensor, relative);
  AttentionResult<T> result;
  result.log_sum = ex.tensor({rows, heads}, wants);
  result.entropy = ex.tensor({rows, heads}, false);
  result.self = ex.tensor({rows, heads}, false);
  result.y = ex.tensor({rows, v.width}, wants);
  const double used = scale.value_or(1 / std::sqrt(static_cast<double>(q.width / heads)));
  if (!std::isfinite(used))
    fail<ConfigError>("attention", "a finite scale", std::to_string(used), "scale by 1/√d, or by 1/τ with τ > 0");
  return {result,
          {q, k, v, result.y, result.log_sum, result.entropy, result.self, sequences, key_rows, heads,
           static_cast<T>(used), use, relative}};
}

}  // namespace detail

/// Softmax attention with memory linear in the sequence's length. Without a `scale` it is 1/√d; 0 weighs all alike.
/// Keys and values of other rows than the queries (a cache) are `key_rows` apart from sequence to sequence.
/// `relative` [rows, heads · span], on the CPU alone: a token sees the `span` tokens before it and not itself, and
/// place c is added to what it scores the token c + 1 before it with (relative positions, Sukhbaatar et al. 2019). The
/// first token of all sees itself. Throws ShapeError, ConfigError.
template <Executor Ex>
[[nodiscard]] AttentionResult<ScalarOf<Ex>> attention(Ex& ex, const Columns<ScalarOf<Ex>>& q,
                                                      const Columns<ScalarOf<Ex>>& k, const Columns<ScalarOf<Ex>>& v,
                                                      const Sequences& sequences, Index heads = 1,
                                                      std::optional<double> scale = {}, Index key_rows = 0,
                                                      LinearUse use = LinearUse::features,
                                                      const TensorOf<Ex>& relative = {}) {
  if (key_rows == 0) key_rows = sequences.length;
  const auto [result, operation] =
      detail::attention_operation(ex, q, k, v, sequences, heads, scale, key_rows, use, relative);
  ex.run(operation);
  return result;
}

}  // namespace neuroinhib
