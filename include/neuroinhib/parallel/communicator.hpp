#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include <neuroinhib/backend/executor.hpp>

/// How the processes of a job talk to one another. Each is a rank, from 0 to size − 1; all run the same program.
namespace neuroinhib {

/// Bytes for another rank, or from it.
struct Parcel {
  int peer = 0;           ///< the other rank
  void* data = nullptr;   ///< in memory that the backend computes in
  std::size_t bytes = 0;  ///< may be 0
};

/// What carries parcels between ranks that compute on backend B. `exchange` sends and receives them all, and returns,
/// or on a GPU goes on in the stream, when all are there: the only thing that a network must be able to do. All ranks
/// call it in the same order, with parcels that match: of several between two ranks, the first sent is the first
/// received. Throws CommunicationError where an answer does not come in time or has another size.
template <class C, class B>
concept Communicator = requires(C& c, B& backend, const char* operation, std::span<const Parcel> parcels) {
  { c.rank() } -> std::convertible_to<int>;
  { c.size() } -> std::convertible_to<int>;
  c.exchange(backend, operation, parcels, parcels);
};

/// A communicator that also carries parcels while its process computes. `start` begins an exchange, `arrived` looks
/// whether it is over, `finish` waits for it, as `exchange` does. Parcels of a channel, a number from 0 on, match those
/// of the same channel alone; there is one exchange at a time in each. All ranks start them in the same order.
template <class C, class B>
concept SideCommunicator = Communicator<C, B> && requires(C& c, B& backend, const char* operation, int channel,
                                                          std::span<const Parcel> parcels) {
  c.start(backend, operation, channel, parcels, parcels);
  { c.arrived(backend, operation, channel) } -> std::convertible_to<bool>;
  c.finish(backend, operation, channel);
};

/// The channels of keys that travel round a ring, of rows that travel to their experts, and, from here on, of buckets
/// of gradients.
inline constexpr int kRingChannel = 0, kRowsChannel = 1, kBucketChannels = 2;

/// The communicator of a process by itself.
struct Alone {
  /// Rank 0 of 1.
  [[nodiscard]] static constexpr int rank() { return 0; }
  /// One process.
  [[nodiscard]] static constexpr int size() { return 1; }
  template <class B>
  static void exchange(B&, const char*, std::span<const Parcel>, std::span<const Parcel>) {}
};

namespace detail {

template <class Ex>
struct CommunicatorOf {
  using Type = Alone;
};
template <class Ex>
  requires requires(Ex& ex) { ex.backend().communicator(); }
struct CommunicatorOf<Ex> {
  using Type = std::remove_cvref_t<decltype(std::declval<Ex&>().backend().communicator())>;
};

}  // namespace detail

/// Whether a process computes by itself, so that nothing need be asked of others.
template <class Ex>
inline constexpr bool kAlone = std::same_as<typename detail::CommunicatorOf<Ex>::Type, Alone>;

/// The same, asked of a communicator too: on one rank of one, where all is what a plain backend does, to the bit.
template <class Ex>
[[nodiscard]] constexpr bool alone(Ex& ex) {
  if constexpr (kAlone<Ex>)
    return true;
  else
    return ex.backend().communicator().size() == 1;
}

/// Part of the elements of all ranks, in order of the ranks: [begin, end) of `total`.
struct Share {
  Index begin = 0, end = 0, total = 0;

  [[nodiscard]] Index count() const { return end - begin; }
  /// Rank's part of `total` things: as even as can be, the first ranks having one more.
  [[nodiscard]] static Share of(Index total, Index rank, Index size) {
    const Index each = total / size, more = total % size;
    const Index begin = rank * each + (rank < more ? rank : more);
    return {begin, begin + each + (rank < more ? 1 : 0), total};
  }
};

/// The elements of flat buffers whose moments one of several ranks keeps, where an optimizer is sharded: of every
/// window an even part, in whole lines of a cache. So a sum that travels window by window keeps all ranks as busy.
struct Shard {
  static constexpr Index kWindow = Index{1} << 22;  ///< elements
  Index size = 0;                                   ///< elements of all ranks
  Index rank = 0, ranks = 1;                        ///< whose it is; of one rank it is all, without windows

  [[nodiscard]] bool whole() const { return ranks == 1; }
  /// Parts that follow one another.
  [[nodiscard]] Index windows() const { return whole() ? 1 : (size + kWindow - 1) / kWindow; }
  /// A rank's part of a window.
  [[nodiscard]] Share piece(Index window, Index of_rank) const {
    if (whole()) return {0, size, size};
    constexpr Index kLine = 16;
    const Index begin = window * kWindow, end = std::min(size, begin + kWindow);
    const Share lines = Share::of((end - begin + kLine - 1) / kLine, of_rank, ranks);
    return {std::min(end, begin + lines.begin * kLine), std::min(end, begin + lines.end * kLine), size};
  }
  /// Calls f(this rank's part, its number, elements of the parts before) for every window.
  template <class F>
  void for_each_piece(const F& f) const {
    Index before = 0;
    for (Index window = 0; window < windows(); ++window) {
      const Share own = piece(window, rank);
      f(own, window, before);
      before += own.count();
    }
  }
  /// Elements of this rank.
  [[nodiscard]] Index count() const {
    Index sum = 0;
    for_each_piece([&](const Share& own, Index, Index) { sum += own.count(); });
    return sum;
  }
};

/// Which of all ranks' elements these `elements` of a batch are.
template <Executor Ex>
[[nodiscard]] Share share_of(Ex& ex, Index elements) {
  if constexpr (kAlone<Ex>)
    return {0, elements, elements};
  else
    return ex.backend().share_of(elements);
}

/// Says to the backend that the batches from now on have so many samples over all ranks, and which are this rank's; see
/// Ranks::share_batch(). Throws ConfigError for fewer samples than ranks.
template <class B>
Share share_batch(B& backend, Index samples) {
  if constexpr (kAlone<B>)
    return {0, samples, samples};
  else
    return backend.share_batch(samples);
}

/// The next random stream of the step, for `elements` of a batch: each gets the numbers that it would get on one rank.
template <Executor Ex>
[[nodiscard]] RandomStream random_stream(Ex& ex, Index elements) {
  RandomStream random = ex.random_stream();
  random.first = share_of(ex, elements).begin;
  return random;
}

}  // namespace neuroinhib
