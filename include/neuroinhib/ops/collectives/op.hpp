#pragma once

#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include <neuroinhib/core/memory.hpp>
#include <neuroinhib/core/sequences.hpp>
#include <neuroinhib/ops/elementwise/op.hpp>
#include <neuroinhib/ops/ranked.hpp>
#include <neuroinhib/parallel/communicator.hpp>

/// Sums and exchanges over ranks. The loss of a job is the sum of its ranks' losses, so each gradient is the transpose
/// of its operation, without a factor. All sums are in the order of the ranks: the same bits in every run and on every
/// rank, whatever the network does. Every rank must call them, in the same order.
namespace neuroinhib {

/// What all_reduce makes of the ranks' numbers.
enum class Reduction {
  sum,
  max  ///< NaN before all numbers; the gradient is the lowest rank's that has it
};

namespace ops {

/// How many rows a rank has, of a tensor whose rows are laid out rank by rank. On the host.
struct RankRows {
  const Index* count = nullptr;  ///< [ranks]; none: `each`
  Index each = 0;                ///< of every rank, where there is no count

  [[nodiscard]] Index of(Index rank) const { return count != nullptr ? count[rank] : each; }
  /// Rows of all lower ranks.
  [[nodiscard]] Index before(Index rank) const {
    if (count == nullptr) return rank * each;
    Index sum = 0;
    for (Index r = 0; r < rank; ++r) sum += count[r];
    return sum;
  }
};

/// y = Σ_r x_r, or the largest of them, elementwise: any shape, the same on all ranks. winner [size]: the rank that has
/// the largest.  dx = Σ_r dy_r, of a maximum at the winner only.
template <class T, class C>
struct AllReduce {
  static constexpr const char* name = "all_reduce";
  Tensor<T> x, y;       ///< of one shape
  C* communicator;      ///< outlives the recording
  Reduction reduction;  ///< sum or max
  View<int> winner;
};

/// How far a sum that is made beside other work has come.
enum class SumStage { waiting, gathering, handing_out, done };

/// Σ_r numbers_r in their place, made beside other work.
template <class T>
struct SideSum {
  View<T> numbers;                     ///< that nothing else reads or writes from the first step to the last
  int channel = 0;                     ///< of a SideCommunicator
  const Share* of_rank = nullptr;      ///< [ranks] the part that each alone gets the sum of; null: all get the whole
  SumStage stage = SumStage::waiting;  ///< reached so far
  T* parts = nullptr;                  ///< SumShares::room() numbers, from the first step to the last
};

/// How ranks share a sum of `size` numbers. A few numbers are sent to all ranks whole; of many, each rank adds up a
/// share and hands it out. Where each is to have the sum of a part alone, `of_rank` says which.
struct SumShares {
  Index size, ranks;
  const Share* of_rank = nullptr;  ///< [ranks], or null

  /// Whether all ranks add up all of it.
  [[nodiscard]] bool whole() const { return of_rank == nullptr && (ranks == 2 || size <= kFew); }
  /// What rank r adds up.
  [[nodiscard]] Share of(Index r) const {
    if (of_rank != nullptr) return of_rank[r];
    return whole() ? Share{0, size, size} : Share::of(size, r, ranks);
  }
  /// Rank r's share of `numbers`.
  template <class U>
  [[nodiscard]] View<U> part(U* numbers, Index r) const {
    return {numbers + of(r).begin, Shape{of(r).count()}};
  }
  /// Numbers of all ranks that rank r adds up.
  [[nodiscard]] Index room(Index r) const { return ranks * of(r).count(); }

 private:
  static constexpr Index kFew = 1024;
};

/// Takes such a sum further: the first time it sets out, later it goes on where parcels have arrived, with `wait` to
/// the end. The bits are AllReduce's. y is undefined.
template <class T, class C>
struct AdvanceSum {
  static constexpr const char* name = "all_reduce";
  SideSum<T>* sum;  ///< outlives the backward pass
  C* communicator;  ///< outlives the recording
  bool wait;        ///< for all parcels
  Tensor<T> y;
};

/// y = all ranks' x, one below the other: x [own rows, …], y [Σ rows, …].  dx = Σ_r dy_r over this rank's rows.
template <class T, class C>
struct AllGather {
  static constexpr const char* name = "all_gather";
  Tensor<T> x, y;
  C* communicator;  ///< outlives the recording
  RankRows rows;
};

/// y = Σ_r x_r over this rank's rows: x [Σ rows, …], y [own rows, …].  dx = all ranks' dy, one below the other.
template <class T, class C>
struct ReduceScatter {
  static constexpr const char* name = "reduce_scatter";
  Tensor<T> x, y;
  C* communicator;  ///< outlives the recording
  RankRows rows;

  /// Other ranks wait for the gradients that go back, and a rank without rows has none.
  [[nodiscard]] bool reached() const { return y.has_gradient() || y.size() == 0; }
};

/// The rows of x [Σ sent, …] that are for rank r, sent[r] of them, go there; those that rank r has for this one,
/// received[r], come to y; rows of y [≥ Σ received, …] behind them are zero. dx: the same way back.
template <class T, class C>
struct AllToAll {
  static constexpr const char* name = "all_to_all";
  Tensor<T> x, y;
  C* communicator;  ///< outlives the recording
  RankRows sent, received;

  /// As ReduceScatter::reached().
  [[nodiscard]] bool reached() const { return y.has_gradient() || received.before(communicator->size()) == 0; }
};

/// AllToAll in two operations, between which other work is done: here rows set out. dx: here they are back.
template <class T, class C>
struct DepartingRows : AllToAll<T, C> {
  T** returned;  ///< where ArrivingRows has dx's rows come to
};

/// The second of them, with the members of the first: here rows are there. dx: here those of dy set out.
template <class T, class C>
struct ArrivingRows : DepartingRows<T, C> {};

/// received[r, i] = sent[own, i] of rank r: [ranks, each] both, on the host. y is undefined.
template <class T, class C>
struct ExchangeCounts {
  static constexpr const char* name = "exchange_counts";
  const Index* sent;
  Index* received;
  Index each;
  C* communicator;  ///< outlives the recording
  Tensor<T> y;
};

}  // namespace ops

namespace detail {

template <class Ex>
using CommunicatorType = typename CommunicatorOf<Ex>::Type;

/// A tensor's shape with other rows.
[[nodiscard]] inline Shape with_rows(const Shape& shape, Index rows) {
  switch (shape.rank()) {
    case 4: return {rows, shape[1], shape[2], shape[3]};
    case 3: return {rows, shape[1], shape[2]};
    case 2: return {rows, shape[1]};
    default: return {rows};
  }
}

/// Counts that live as long as the step. Throws ShapeError unless there is one a rank, none negative.
template <class Ex>
[[nodiscard]] ops::RankRows kept_rows(Ex& ex, std::string_view where, std::span<const Index> rows, Index each) {
  if (rows.empty()) return {nullptr, each};
  const auto ranks = static_cast<Index>(ex.backend().communicator().size());
  if (static_cast<Index>(rows.size()) != ranks)
    fail<ShapeError>(where, "a number of rows for each of " + std::to_string(ranks) + " ranks",
                     std::to_string(rows.size()), "give one a rank, or none where all are alike");
  Index* const count = ex.backend().arena().template allocate<Index>(ranks);
  for (Index r = 0; r < ranks; ++r) {
    count[r] = rows[static_cast<std::size_t>(r)];
    if (count[r] < 0)
      fail<ShapeError>(where, "numbers of rows ≥ 0", std::to_string(count[r]) + " for rank " + std::to_string(r),
                       "0 is without rows");
  }
  return {count, each};
}

/// Throws ShapeError unless a tensor has so many rows.
inline void require_row_count(std::string_view where, Index rows, const Shape& actual, std::string_view remedy) {
  if (actual.rows() != rows) fail<ShapeError>(where, std::to_string(rows) + " rows", actual.text(), remedy);
}
/// Rows of one of `ranks` equal parts. Throws ShapeError where they are not whole.
[[nodiscard]] inline Index even_rows(std::string_view where, const Shape& shape, Index ranks) {
  if (shape.rows() % ranks != 0)
    fail<ShapeError>(where, "as many rows for each of " + std::to_string(ranks) + " ranks", shape.text(),
                     "say how many rows each rank has");
  return shape.rows() / ranks;
}

/// Puts Σ over the ranks in x's place; no gradient flows.
template <class Ex>
void all_reduce_in_place(Ex& ex, const TensorOf<Ex>& x) {
  if constexpr (!kAlone<Ex>)
    if (!alone(ex))
      ex.run(ops::AllReduce<ScalarOf<Ex>, CommunicatorType<Ex>>{
          x.detached(), x.detached(), &ex.backend().communicator(), Reduction::sum, {}});
}

/// Nothing to do beside an exchange.
struct Idle {
  void operator()() const {}
};

/// all_to_all, whose result has at least so many rows: those behind what is received are zero.
template <class Ex, class Meanwhile = Idle>
[[nodiscard]] TensorOf<Ex> all_to_all_rows(Ex& ex, const TensorOf<Ex>& x, std::span<const Index> sent,
                                           std::span<const Index> received, Index least,
                                           const Meanwhile& meanwhile = {}) {
  auto& communicator = ex.backend().communicator();
  if (sent.empty() != received.empty())
    fail<ShapeError>("all_to_all", "both what is sent and what is received", "one of them",
                     "ask exchange_counts() for the other");
  const Index each = sent.empty() ? even_rows("all_to_all", x.shape, communicator.size()) : 0;
  const ops::RankRows out = kept_rows(ex, "all_to_all", sent, each);
  const ops::RankRows in = kept_rows(ex, "all_to_all", received, each);
  require_row_count("all_to_all", out.before(communicator.size()), x.shape, "send every row somewhere");
  const Index rows = in.before(communicator.size());
  const auto y = ex.tensor(with_rows(x.shape, rows < least ? least : rows), x.wants_gradient());
  using T = ScalarOf<Ex>;
  using C = CommunicatorType<Ex>;
  const ops::AllToAll<T, C> whole{x, y, &communicator, out, in};
  if constexpr (std::is_same_v<Meanwhile, Idle>) {
    ex.run(whole);
  } else {
    const ops::DepartingRows<T, C> departing{whole, ex.backend().arena().template allocate<T*>(1)};
    ex.run(departing);
    meanwhile();
    ex.run(ops::ArrivingRows<T, C>{departing});
  }
  return y;
}

}  // namespace detail

/// Σ over the ranks, or the largest, elementwise; x itself where a process is alone.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> all_reduce(Ex& ex, const TensorOf<Ex>& x, Reduction reduction = Reduction::sum) {
  if constexpr (kAlone<Ex>) {
    return x;
  } else {
    if (alone(ex)) return x;
    const auto y = ex.tensor(x.shape, x.wants_gradient());
    const View<int> winner = reduction == Reduction::max ? ex.integers(x.shape) : View<int>{};
    ex.run(ops::AllReduce<ScalarOf<Ex>, detail::CommunicatorType<Ex>>{x, y, &ex.backend().communicator(), reduction,
                                                                      winner});
    return y;
  }
}

/// All ranks' rows, in the order of the ranks. `rows`: how many each rank has; none: all have as many as this one.
/// Throws ShapeError.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> all_gather(Ex& ex, const TensorOf<Ex>& x, std::span<const Index> rows = {}) {
  if constexpr (kAlone<Ex>) {
    return x;
  } else {
    auto& communicator = ex.backend().communicator();
    const ops::RankRows kept = detail::kept_rows(ex, "all_gather", rows, x.rows());
    detail::require_row_count("all_gather", kept.of(communicator.rank()), x.shape, "say how many rows this rank has");
    const auto y = ex.tensor(detail::with_rows(x.shape, kept.before(communicator.size())), x.wants_gradient());
    ex.run(ops::AllGather<ScalarOf<Ex>, detail::CommunicatorType<Ex>>{x, y, &communicator, kept});
    return y;
  }
}

/// The sum over the ranks of this rank's rows. `rows`: how many are each rank's; none: as many for each. Throws
/// ShapeError.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> reduce_scatter(Ex& ex, const TensorOf<Ex>& x, std::span<const Index> rows = {}) {
  if constexpr (kAlone<Ex>) {
    return x;
  } else {
    auto& communicator = ex.backend().communicator();
    const Index each = rows.empty() ? detail::even_rows("reduce_scatter", x.shape, communicator.size()) : 0;
    const ops::RankRows kept = detail::kept_rows(ex, "reduce_scatter", rows, each);
    detail::require_row_count("reduce_scatter", kept.before(communicator.size()), x.shape,
                              "give the rows of all ranks");
    const auto y = ex.tensor(detail::with_rows(x.shape, kept.of(communicator.rank())), x.wants_gradient());
    ex.run(ops::ReduceScatter<ScalarOf<Ex>, detail::CommunicatorType<Ex>>{x, y, &communicator, kept});
    return y;
  }
}

/// The counts that every rank has for this one: sent [ranks · each] on the host, `each` for every rank; as many come,
/// in the order of the ranks, and live as long as the step. Throws ShapeError.
template <Executor Ex>
[[nodiscard]] std::span<const Index> exchange_counts(Ex& ex, std::span<const Index> sent) {
  if constexpr (kAlone<Ex>) {
    return sent;
  } else {
    auto& communicator = ex.backend().communicator();
    const auto count = static_cast<Index>(sent.size());
    const Index each = detail::even_rows("exchange_counts", {count}, communicator.size());
    Index* const received = ex.backend().arena().template allocate<Index>(count);
    ex.run(ops::ExchangeCounts<ScalarOf<Ex>, detail::CommunicatorType<Ex>>{
        sent.data(), received, each, &communicator, {}});
    return {received, sent.size()};
  }
}

/// Rows for every rank from every rank: sent[r] of x, in the order of the ranks, go to rank r, and received[r] come
/// from there; none: as many for each. exchange_counts() tells what comes. Throws ShapeError.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> all_to_all(Ex& ex, const TensorOf<Ex>& x, std::span<const Index> sent = {},
                                      std::span<const Index> received = {}) {
  if constexpr (kAlone<Ex>)
    return x;
  else
    return detail::all_to_all_rows(ex, x, sent, received, 0);
}

/// The same, while meanwhile() records other work, which may ask other ranks for anything but this. In the backward
/// pass gradients travel while those of that work are made. Beside it in truth with a SideCommunicator; else before it.
template <Executor Ex, class Meanwhile>
[[nodiscard]] TensorOf<Ex> all_to_all_beside(Ex& ex, const TensorOf<Ex>& x, const Meanwhile& meanwhile,
                                             std::span<const Index> sent = {}, std::span<const Index> received = {}) {
  if constexpr (kAlone<Ex>) {
    meanwhile();
    return x;
  } else {
    return detail::all_to_all_rows(ex, x, sent, received, 0, meanwhile);
  }
}

/// One sequence of `length` tokens that lies over all ranks, in the order of the ranks: what its tokens see, for the
/// rows of this rank's share, [past, past + rows()). Says to the backend that this is the batch. Throws ConfigError for
/// fewer tokens than ranks.
template <Executor Ex>
[[nodiscard]] Sequences spread_sequence(Ex& ex, Index length) {
  if constexpr (kAlone<Ex>) {
    return {.length = length};
  } else {
    const Share share = ex.backend().share_batch(length);
    if (alone(ex)) return {.length = length};
    return {.length = share.end, .past = share.begin, .spread = length};
  }
}

/// The same of a text of several documents, one after another. documents [length]: the number of each token's, rising,
/// below zero for padding; in host memory that outlives the step. `own` takes those of this rank's rows. Throws
/// ConfigError for a document that comes back after another, too.
template <Executor Ex>
[[nodiscard]] Sequences spread_sequence(Ex& ex, const View<const int>& documents, Storage<int>& own) {
  for (Index i = 1, largest = documents.size() > 0 ? documents[0] : 0; i < documents.size(); ++i) {
    if (documents[i] >= 0 && documents[i] != documents[i - 1] && documents[i] <= largest)
      fail<ConfigError>("sequence over ranks", "documents whose numbers rise",
                        std::to_string(documents[i]) + " behind " + std::to_string(largest),
                        "number the documents of the text from its beginning");
    largest = std::max<Index>(largest, documents[i]);
  }
  Sequences sequences = spread_sequence(ex, documents.size());
  own.assign(documents.data + sequences.past, sequences.rows());
  sequences.document = {own.data(), {sequences.rows()}};
  if (sequences.spread > 0) sequences.documents = documents;
  return sequences;
}

namespace detail {

[[noreturn]] inline void refuse_spread() {
  fail<ConfigError>("sequence over ranks", "a backend of several ranks", "one process",
                    "make Sequences for this backend, with spread_sequence()");
}

}  // namespace detail

/// The rows of all ranks, of a sequence that lies over them.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> gather_sequence(Ex& ex, const TensorOf<Ex>& x, const Sequences& sequences) {
  if constexpr (kAlone<Ex>) {
    detail::refuse_spread();
  } else {
    const Index ranks = ex.backend().size();
    Index* const rows = ex.backend().arena().template allocate<Index>(ranks);
    for (Index r = 0; r < ranks; ++r) rows[r] = Share::of(sequences.spread, r, ranks).count();
    return all_gather(ex, x, std::span<const Index>(rows, static_cast<std::size_t>(ranks)));
  }
}

/// A value that every rank computes alike, such as a loss of statistics of all ranks, as part of a sum over ranks: it
/// counts on rank 0 alone.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> once(Ex& ex, const TensorOf<Ex>& x) {
  if constexpr (kAlone<Ex>)
    return x;
  else
    return x.defined() && !alone(ex) ? scale(ex, x, ex.backend().communicator().rank() == 0 ? 1 : 0) : x;
}

}  // namespace neuroinhib
