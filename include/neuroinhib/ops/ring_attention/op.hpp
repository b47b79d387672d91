#pragma once

#include <algorithm>
#include <optional>

#include <neuroinhib/ops/attention_inform/op.hpp>
#include <neuroinhib/ops/collectives/op.hpp>

namespace neuroinhib {
namespace ops {

/// A text of `length` tokens in two chunks for each of `ranks`, in the order of the tokens: the halves of its rows. The
/// halves are computed with by other ranks than those that have them: chunk c and its mirror image from the end by one,
/// so that all ranks have as many pairs of tokens (zigzag).
struct RingChunks {
  Index length, ranks;

  /// Tokens of a chunk.
  [[nodiscard]] Index rows(Index chunk) const {
    return Share::of(Share::of(length, chunk / 2, ranks).count(), chunk % 2, 2).count();
  }
  /// The first token of a chunk.
  [[nodiscard]] Index begin(Index chunk) const {
    return Share::of(length, chunk / 2, ranks).begin + (chunk % 2 == 0 ? 0 : rows(chunk - 1));
  }
  /// Who computes with a chunk.
  [[nodiscard]] Index worker(Index chunk) const { return std::min(chunk, 2 * ranks - 1 - chunk); }
  /// The even (half 0) or odd (half 1) chunk that a rank computes with.
  [[nodiscard]] Index chunk(Index rank, Index half) const { return rank % 2 == half ? rank : 2 * ranks - 1 - rank; }
  /// Tokens that a rank computes with: first the even chunk's.
  [[nodiscard]] Index rows_at_work(Index rank) const { return rows(chunk(rank, 0)) + rows(chunk(rank, 1)); }
};

/// A text that lies over ranks.
template <class C>
struct SpreadText {
  Index length;          ///< tokens of the text
  const int* documents;  ///< of each token, in host memory; null: it is one document
  const int* document;   ///< of this rank's rows, where it computes
  C* communicator;       ///< outlives the recording
};

/// Attention whose causal text lies over ranks: as Attention of the whole text, for this rank's rows of q, k, v and y.
/// Keys and values travel round a ring of the ranks and meet each one's queries; in the backward pass their gradients
/// travel with them (Liu et al. 2023, Ring Attention).
template <class T, class C>
struct RingAttention {
  static constexpr const char* name = "ring_attention";
  Attention<T> local;  ///< of this rank's rows
  Tensor<T> y;         ///< the local one's
  SpreadText<C> text;

  /// Whether a gradient came back.
  [[nodiscard]] bool reached() const { return local.reached(); }
};

/// Attention-Inform routing of such a text: as AttentionInform of the whole. Keys, values, their biases and the expert
/// probabilities travel.
template <class T, class C>
struct RingInform {
  static constexpr const char* name = "ring_inform";
  AttentionInform<T> local;  ///< of this rank's rows
  Tensor<T> y;               ///< the local one's
  SpreadText<C> text;
};

/// Attention of a new token, which all ranks have, to a text whose keys and values lie in the caches of all ranks: each
/// attends to its own, and the results are joined by their log-sums, in the order of the ranks, the new token's keeper
/// first. For inference.
template <class T, class C>
struct CacheAttention {
  static constexpr const char* name = "cache_attention";
  Attention<T> local;  ///< to this rank's keys
  Tensor<T> y;         ///< the local one's
  Index keeper;        ///< the rank whose last key is the new token's
  C* communicator;     ///< outlives the call
};

}  // namespace ops

namespace detail {

template <class Ex>
[[nodiscard]] ops::SpreadText<CommunicatorType<Ex>> spread_text(Ex& ex, const Sequences& sequences) {
  return {sequences.spread, sequences.documents.data, sequences.document.data, &ex.backend().communicator()};
}

}  // namespace detail

/// As attention(), for one causal text that lies over all ranks; q, k and v have this rank's rows. Every rank must call
/// it. Without `sequences.spread` it is attention(). Throws ShapeError, ConfigError.
template <Executor Ex>
[[nodiscard]] AttentionResult<ScalarOf<Ex>> ring_attention(Ex& ex, const Columns<ScalarOf<Ex>>& q,
                                                           const Columns<ScalarOf<Ex>>& k,
                                                           const Columns<ScalarOf<Ex>>& v, const Sequences& sequences,
                                                           Index heads = 1, std::optional<double> scale = {},
                                                           Index key_rows = 0, LinearUse use = LinearUse::features) {
  const Index rows = q.tensor.rows();
  require_sequences("attention", sequences, rows);
  if (sequences.spread == 0) return attention(ex, q, k, v, sequences, heads, scale, key_rows, use);
  if constexpr (kAlone<Ex>) {
    detail::refuse_spread();
  } else {
    using T = ScalarOf<Ex>;
    const auto checked = detail::attention_operation(ex, q, k, v, {.length = rows}, heads, scale, rows, use);
    ex.run(ops::RingAttention<T, detail::CommunicatorType<Ex>>{checked.operation, checked.result.y,
                                                               detail::spread_text(ex, sequences)});
    return checked.result;
  }
}

namespace detail {

/// The rank that keeps token number `past` of a text whose cache lies over all ranks: each in its turn.
template <class Ex>
[[nodiscard]] Index keeper(Ex& ex, Index past) {
  if constexpr (kAlone<Ex>)
    return 0;
  else
    return past % ex.backend().size();
}

/// What this rank keeps of the tokens that are new: of a text that lies over the ranks its rows, of a token that all
/// have the token or nothing. `past`: those that it has.
template <class Ex>
[[nodiscard]] Sequences kept_tokens(Ex& ex, const Sequences& sequences) {
  if constexpr (kAlone<Ex>) {
    refuse_spread();
  } else {
    if (sequences.spread > 0) return {.length = sequences.rows()};
    const bool keeps = keeper(ex, sequences.past) == ex.backend().rank();
    return {.length = sequences.kept + (keeps ? 1 : 0), .past = sequences.kept};
  }
}

}  // namespace detail

/// attention() of one token, which all ranks have, to the tokens of a cache that lies over them: k and v are this
/// rank's, of which the last is the token's own on the rank that keeps it. `sequences.kept` says how many they were
/// before. Every rank must call it, and have a token. Throws ShapeError, ConfigError.
template <Executor Ex>
[[nodiscard]] AttentionResult<ScalarOf<Ex>> cache_attention(Ex& ex, const Columns<ScalarOf<Ex>>& q,
                                                            const Columns<ScalarOf<Ex>>& k,
                                                            const Columns<ScalarOf<Ex>>& v, const Sequences& sequences,
                                                            Index heads = 1) {
  require_sequences("cache attention", sequences, q.tensor.rows());
  if constexpr (kAlone<Ex>) {
    detail::refuse_spread();
  } else if constexpr (!kInference<Ex>) {
    fail<ConfigError>("cache attention", "inference", "a recording", "decode with the backend itself");
  } else {
    using T = ScalarOf<Ex>;
    const Index keys = detail::kept_tokens(ex, sequences).length;
    if (keys < 1)
      fail<ConfigError>("cache attention", "a token of the text on each rank", "none on this one",
                        "put the text's first words, at least one a rank, into the cache together");
    const auto checked = detail::attention_operation(ex, q, k, v, {.length = keys, .past = keys - 1}, heads, {}, keys,
                                                     LinearUse::features);
    ex.run(ops::CacheAttention<T, detail::CommunicatorType<Ex>>{
        checked.operation, checked.result.y, detail::keeper(ex, sequences.past), &ex.backend().communicator()});
    return checked.result;
  }
}

/// As attention_inform(), for one causal text that lies over all ranks; the trace and e have this rank's rows. Every
/// rank must call it. Without `sequences.spread` it is attention_inform(). Throws ConfigError, ShapeError.
template <Executor Ex>
[[nodiscard]] InformResult<ScalarOf<Ex>> ring_inform(Ex& ex, AttentionTrace<ScalarOf<Ex>> trace, const TensorOf<Ex>& e,
                                                     const Sequences& sequences, const View<const int>& head,
                                                     double factor, double deviation) {
  const Index rows = trace.q.tensor.rows();
  require_sequences("attention-inform", sequences, rows);
  if (sequences.spread == 0) return attention_inform(ex, trace, e, sequences, head, factor, deviation);
  if constexpr (kAlone<Ex>) {
    detail::refuse_spread();
  } else {
    using T = ScalarOf<Ex>;
    trace.key_rows = rows;
    const auto checked = detail::inform_operation(ex, trace, e, {.length = rows}, head, factor, deviation);
    ex.run(ops::RingInform<T, detail::CommunicatorType<Ex>>{checked.operation, checked.result.y,
                                                            detail::spread_text(ex, sequences)});
    return checked.result;
  }
}

}  // namespace neuroinhib
