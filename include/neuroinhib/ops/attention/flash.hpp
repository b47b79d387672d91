#pragma once

#include <neuroinhib/core/sequences.hpp>
#include <neuroinhib/core/tensor.hpp>

/// Flash attention (Dao et al. 2022; entropy and bias: ours): P = softmax_j(scale · ⟨q_i, k_j⟩ + bias_j), y_i = Σ_j
/// P_ij v_j, by an online softmax, so that P is never stored as a whole. Attention, mutual-inform routing and a
/// projection's cross-entropy are all computed by it. Memory is linear in queries and keys.
namespace neuroinhib::ops {

/// One row for each token and head, somewhere in a matrix; data is null where there is none.
template <class T>
struct HeadRows {
  T* data = nullptr;
  Index stride = 0;  ///< from token to token
  Index head = 0;    ///< from head to head

  NEUROINHIB_DEVICE explicit operator bool() const { return data != nullptr; }
  NEUROINHIB_DEVICE [[nodiscard]] T* at(Index row, Index h) const { return data + row * stride + h * head; }
};

/// The same for a gradient; rows are added to, or stored.
template <class T>
struct HeadSlot : HeadRows<T> {
  bool add = false;

  HeadSlot() = default;
  HeadSlot(const GradientSlot<T>& slot, Index first, Index token_stride, Index head_stride = 0)
      : HeadRows<T>{slot ? slot.data + first : nullptr, token_stride, head_stride}, add(slot.add) {}
  NEUROINHIB_DEVICE void put(Index row, Index h, Index column, T value) const {
    T& target = this->at(row, h)[column];
    target = add ? target + value : value;
  }
};

/// What sees what: `count` sequences of `queries` rows and `keys` keys, key_rows apart.
struct Visibility {
  Index count, queries, keys, key_rows;
  Index past = 0;  ///< keys before the first query
  Mask mask = Mask::none;
  const int* document = nullptr;  ///< of each key row

  /// Whether query `query` of sequence `sequence` sees key `key`; a token always sees itself.
  NEUROINHIB_DEVICE [[nodiscard]] bool sees(Index sequence, Index query, Index key) const {
    const Index position = past + query;
    const bool masked = mask == Mask::causal && key > position;
    if (document == nullptr) return !masked;
    const int of_key = document[sequence * key_rows + key], of_query = document[sequence * key_rows + position];
    return !masked && (key == position || (of_key == of_query && of_key >= 0));
  }
  /// Keys that some query before `query_end` sees lie before this one.
  NEUROINHIB_DEVICE [[nodiscard]] Index keys_until(Index query_end) const {
    const Index end = past + query_end;
    return mask == Mask::causal && end < keys ? end : keys;
  }
  /// The first query that sees a key from `key` on.
  NEUROINHIB_DEVICE [[nodiscard]] Index first_query(Index key) const {
    return mask == Mask::causal && key > past ? key - past : 0;
  }
  /// Whether no key of [begin, end) is hidden from a query of [first, …).
  NEUROINHIB_DEVICE [[nodiscard]] bool open(Index first, Index end) const {
    return document == nullptr && (mask == Mask::none || end <= past + first + 1);
  }
};

[[nodiscard]] inline Visibility visibility(const Sequences& s, Index rows, Index key_rows) {
  return {rows / s.rows(), s.rows(), s.length, key_rows, s.past, s.mask, s.document.data};
}

template <class T>
struct FlashAttention {
  Visibility sight;
  Index heads, key_width, value_width;  ///< value_width 0: the normaliser alone
  T scale;
  HeadRows<const T> q{}, k{}, v{}, bias{};
  HeadRows<T> y{}, log_sum{};     ///< log_sum [queries, heads]: log Σ_j exp of row i
  HeadRows<T> entropy{}, self{};  ///< optional: H(P_i) in nats, and P_ii
  bool routing = false;           ///< its results decide between experts
  HeadRows<const T> relative{};   ///< [queries, span]: S_ij has the one at place i − j − 1 added
  Index span = 0;                 ///< a query sees so many keys before its own one, and not that; 0: as `sight` has it

  [[nodiscard]] Index rows() const { return sight.count * sight.queries; }
  /// As Visibility's, within the span; the first token of all, which has none before it, sees itself.
  [[nodiscard]] bool sees(Index sequence, Index query, Index key) const {
    const Index position = sight.past + query;
    if (span == 0) return sight.sees(sequence, query, key);
    return position == 0 ? key == 0 : key < position && key >= position - span;
  }
  /// Keys that a query from `query` on sees begin here, or later.
  [[nodiscard]] Index keys_from(Index query) const {
    const Index first = sight.past + query - span;
    return span > 0 && first > 0 ? first : 0;
  }
  /// Queries that see a key before `key_end` lie before this one.
  [[nodiscard]] Index queries_until(Index key_end) const {
    const Index end = key_end + span - sight.past;
    return span > 0 && end < sight.queries ? end : sight.queries;
  }
  /// As Visibility's.
  [[nodiscard]] bool open(Index first, Index end) const { return span == 0 && sight.open(first, end); }
};

/// dS_ij = P_ij (⟨dy_i, v_j⟩ − delta_i), P_ij = exp(S_ij − log_sum_i). log_sum may be of more keys than these.
template <class T>
struct FlashGradient {
  HeadRows<const T> dy, log_sum, delta;
  const int* label = nullptr;  ///< [queries] a key whose dS also gets + delta_i: the chosen class of a cross-entropy
  HeadSlot<T> dq, dk, dv, dbias;
  HeadRows<T> row_sum;      ///< optional: Σ_j dS_ij
  bool of_log_sum = false;  ///< delta has log-sums' gradients in it: dy and v do not bound it
  HeadSlot<T> drelative{};  ///< added to
};

/// A head's columns of a matrix that begins with column `first`.
template <class T>
[[nodiscard]] HeadRows<const T> columns_of(const Tensor<T>& tensor, Index first, Index head) {
  return {tensor.data + first, tensor.cols(), head};
}

}  // namespace neuroinhib::ops
