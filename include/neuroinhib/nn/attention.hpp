#pragma once

#include <neuroinhib/nn/linear.hpp>
#include <neuroinhib/ops/append/op.hpp>
#include <neuroinhib/ops/attention_inform/op.hpp>
#include <neuroinhib/ops/ring_attention/op.hpp>

namespace neuroinhib::nn {

/// Keys and values of the tokens before, while decoding.
template <class T>
struct AttentionCache {
  TokenCache<T> keys, values;  ///< [sequences · capacity, width] each
};

/// Throws ConfigError unless that many heads divide the width.
inline void require_heads(Index width, Index heads) {
  if (heads < 1 || width % heads != 0)
    fail<ConfigError>("attention", "a number of heads that divides the width " + std::to_string(width),
                      std::to_string(heads), "set heads to a divisor of the width");
}

/// Multi-head self-attention (Vaswani et al. 2017): y = W_O [softmax(q_h kᵀ_h / √d) v_h]_h, with memory linear in the
/// sequence. W_O has no bias, so that every token's output is the mean that Attention-Inform routing takes it for.
template <class T>
struct Attention {
  Linear<T> qkv;     ///< [3 · width, width]: queries, keys, values, heads side by side in each
  Linear<T> output;  ///< W_O [width, width]
  Index heads = 1;   ///< how many heads the width is divided into

  Attention() = default;
  /// Throws ConfigError unless the heads divide the width.
  Attention(Index width, Index head_count, bool bias = false)
      : qkv(width, 3 * width, bias), output(width, width, false), heads(head_count) {
    require_heads(width, head_count);
  }
  void visit(auto&& v) {
    v("qkv", qkv);
    v("output", output);
  }

  /// x [rows, width], whole sequences. The result's `output` is y; with a cache, the new tokens join those in it.
  template <Executor Ex>
  [[nodiscard]] AttentionTrace<T> operator()(Ex& ex, const Tensor<T>& x, const Sequences& sequences,
                                             AttentionCache<T>* cache = nullptr) const {
    require_sequences("attention", sequences, x.rows());
    const Index width = x.cols();
    const Tensor<T> all = qkv(ex, x);
    AttentionTrace<T> trace;
    trace.q = {all, 0, width};
    trace.k = {all, width, width};
    trace.v = {all, 2 * width, width};
    trace.key_rows = sequences.length;
    AttentionResult<T> attended;
    if (cache != nullptr && (sequences.spread > 0 || sequences.kept >= 0)) {
      const Sequences kept = detail::kept_tokens(ex, sequences);
      if (kept.length > kept.past) {
        append<Ex>(ex, trace.k, cache->keys, kept);
        append<Ex>(ex, trace.v, cache->values, kept);
      }
      if (sequences.kept >= 0)
        attended = cache_attention(ex, trace.q, cache->keys.tensor(), cache->values.tensor(), sequences, heads);
    } else if (cache != nullptr) {
      append<Ex>(ex, trace.k, cache->keys, sequences);
      append<Ex>(ex, trace.v, cache->values, sequences);
      trace.k = cache->keys.tensor();
      trace.v = cache->values.tensor();
      trace.key_rows = cache->keys.capacity;
    }
    if (sequences.kept < 0)
      attended = ring_attention(ex, trace.q, trace.k, trace.v, sequences, heads, {}, trace.key_rows);
    trace.log_sum = attended.log_sum;
    trace.entropy = attended.entropy;
    trace.output_weight = output.weight.tensor;
    trace.output = output(ex, attended.y);
    trace.heads = heads;
    trace.mask = sequences.mask;
    return trace;
  }
};

}  // namespace neuroinhib::nn
