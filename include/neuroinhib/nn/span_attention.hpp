#pragma once

#include <neuroinhib/nn/attention.hpp>
#include <neuroinhib/nn/linear.hpp>
#include <neuroinhib/ops/attention_inform/op.hpp>
#include <neuroinhib/ops/elementwise/op.hpp>
#include <neuroinhib/ops/join_rows/op.hpp>
#include <neuroinhib/ops/remember/op.hpp>

namespace neuroinhib::nn {

/// Multi-head attention to the `span` tokens before each one and not to itself, by content and distance (Sukhbaatar et
/// al. 2019, whose code the language models of Mutual-Inform SMoE build on): S_ij = q_iᵀ (k_j + p_{i−j}) / √d. A
/// sequence goes on from batch to batch: the inputs of its last `span` tokens are kept, without gradient, and keys and
/// values are made of them again. Before a sequence's first token they are zeros, which are seen. W_O has no bias, as
/// Attention's. On the CPU alone.
template <class T>
struct SpanAttention {
  Linear<T> query;                    ///< [width, width]: heads side by side
  Linear<T> keys_values;              ///< [2 · width, width]: keys, then values, heads side by side in each
  Linear<T> output;                   ///< W_O [width, width]
  Buffer<T> training{Shape{0, 1}};    ///< [sequences · span, width] inputs of the last training batch's last tokens
  Buffer<T> evaluation{Shape{0, 1}};  ///< the same of the last evaluation batch
  Index heads = 1;                    ///< how many heads the width is divided into

  SpanAttention() = default;
  /// Throws ConfigError unless the heads divide the width.
  SpanAttention(Index width, Index head_count, bool bias = false)
      : query(width, width, bias),
        keys_values(width, 2 * width, bias),
        output(width, width, false),
        training(Shape{0, width}),
        evaluation(Shape{0, width}),
        heads(head_count) {
    require_heads(width, head_count);
  }
  void visit(auto&& v) {
    v("query", query);
    v("keys_values", keys_values);
    v("output", output);
    v("training", training);
    v("evaluation", evaluation);
  }

  /// x [rows, width], whole sequences; positions [span, width / heads], p of distance 1 first. Where `sequences`
  /// continue, they go on where those of the last batch of training, or of evaluation, ended. The trace has the keys
  /// and values of these rows alone: a router that it informs looks no further back than they do. Throws ShapeError,
  /// ConfigError.
  template <Executor Ex>
  [[nodiscard]] AttentionTrace<T> operator()(Ex& ex, const Tensor<T>& x, const Tensor<T>& positions,
                                             const Sequences& sequences) const {
    require_sequences("attention with a span", sequences, x.rows());
    const Index width = x.cols(), span = positions.rows(), count = x.rows() / sequences.rows();
    if (sequences.past > 0)
      fail<ConfigError>("attention with a span", "whole sequences", "words behind those in a cache",
                        "decode with a model whose span is 0");
    require_width("attention with a span", width / heads, positions.shape, "give positions [span, width / heads]");
    const Tensor<T> before = memory(ex, count * span, width, sequences.continues);
    AttentionTrace<T> trace;
    trace.q = query(ex, x);
    const Tensor<T> own = keys_values(ex, x), all = join_rows(ex, keys_values(ex, before), own, count);
    trace.k = {own, 0, width};
    trace.v = {own, width, width};
    trace.key_rows = sequences.length;
    trace.relative = relative_scores(ex, trace.q.tensor, positions);
    Sequences seen = sequences;
    seen.past = span;
    seen.length = span + sequences.length;
    const auto attended = attention(ex, trace.q, Columns<T>(all, 0, width), Columns<T>(all, width, width), seen, heads,
                                    {}, seen.length, LinearUse::features, trace.relative);
    remember(ex, join_rows(ex, before, x.detached(), count, sequences.length), kept(ex));
    trace.log_sum = attended.log_sum;
    trace.entropy = attended.entropy;
    trace.output_weight = output.weight.tensor;
    trace.output = output(ex, attended.y);
    trace.heads = heads;
    trace.mask = sequences.mask;
    return trace;
  }

 private:
  template <Executor Ex>
  [[nodiscard]] const Buffer<T>& kept(const Ex& ex) const {
    return ex.training() ? training : evaluation;
  }
  /// The inputs before these.
  template <Executor Ex>
  [[nodiscard]] Tensor<T> memory(Ex& ex, Index rows, Index width, bool continues) const {
    const Tensor<T> before = continues ? recall(ex, kept(ex)) : Tensor<T>{};
    if (before.defined()) {
      require_shape("attention with a span", {rows, width}, before.shape,
                    "go on with as many sequences as the batch before had, or begin them anew");
      return before;
    }
    const Tensor<T> zeros = ex.tensor({rows, width}, false);
    ex.backend().fill(zeros.data, zeros.size(), T{0});
    return zeros;
  }
  /// q_iᵀ p_c / √d [rows, heads · span].
  template <Executor Ex>
  [[nodiscard]] Tensor<T> relative_scores(Ex& ex, const Tensor<T>& q, const Tensor<T>& positions) const {
    const Index rows = q.rows(), d = q.cols() / heads;
    const Tensor<T> scaled = scale(ex, positions, 1 / std::sqrt(static_cast<double>(d)));
    return linear(ex, q.reshaped({rows * heads, d}), scaled).reshaped({rows, heads * positions.rows()});
  }
};

}  // namespace neuroinhib::nn
