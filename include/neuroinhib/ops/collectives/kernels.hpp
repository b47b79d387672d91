#pragma once

#include <algorithm>
#include <span>
#include <type_traits>

#include <neuroinhib/ops/collectives/op.hpp>

namespace neuroinhib::ops {

/// y[i] = the part that ranks first, winner[i]: whose it is. parts [ranks, count].
template <class T>
NEUROINHIB_DEVICE void first_of_ranks(const T* parts, Index ranks, Index count, Index i, T* y, int* winner) {
  Index best = 0;
  for (Index r = 1; r < ranks; ++r)
    if (Ranked<T>(parts[r * count + i], r).before(Ranked<T>(parts[best * count + i], best))) best = r;
  y[i] = parts[best * count + i];
  winner[i] = static_cast<int>(best);
}

/// The collectives on any backend, made of exchanges and of a backend's loops: copy(backend, from, count, to),
/// sum(backend, parts, ranks, count, y) in the order of the ranks, first(backend, parts, ranks, count, y, winner), and
/// put(backend, slot, count, values, winner, own): values, where there is a winner only where it is `own`.
template <class Loops>
struct CollectiveKernels {
  /// Numbers for every rank, and from every rank: out(r) goes to rank r, where it is that rank's in(own). Both give
  /// `View<U>`; this rank's own is copied, and carry(outgoing, incoming) has the others' parcels.
  template <class U, class B, class C, class Carry, class Out, class In>
  static void exchange_by(B& backend, C& communicator, const Carry& carry, const Out& out, const In& in) {
    const int ranks = communicator.size(), own = communicator.rank();
    Parcel* const outgoing = backend.arena().template allocate<Parcel>(ranks);
    Parcel* const incoming = backend.arena().template allocate<Parcel>(ranks);
    const auto parcel = [](int peer, const View<U>& part) {
      return Parcel{peer, part.data, static_cast<std::size_t>(part.size()) * sizeof(U)};
    };
    for (int step = 1; step < ranks; ++step) {  // each rank begins with its neighbours
      const int to = (own + step) % ranks, from = (own + ranks - step) % ranks;
      outgoing[step - 1] = parcel(to, out(to));
      incoming[step - 1] = parcel(from, in(from));
    }
    if (in(own).data != out(own).data) Loops::copy(backend, out(own).data, out(own).size(), in(own).data);
    const auto others = static_cast<std::size_t>(ranks - 1);
    carry(std::span<const Parcel>(outgoing, others), std::span<const Parcel>(incoming, others));
  }
  /// The same at once.
  template <class U, class B, class C, class Out, class In>
  static void exchange(B& backend, C& communicator, const char* name, const Out& out, const In& in) {
    exchange_by<U>(
        backend, communicator,
        [&](const auto& outgoing, const auto& incoming) { communicator.exchange(backend, name, outgoing, incoming); },
        out, in);
  }

  /// x and y may be one.
  template <class B, class T, class C>
  static void all_reduce(B& backend, const AllReduce<T, C>& op, T* x, T* y, int* winner) {
    const auto scope = backend.scope();
    C& communicator = *op.communicator;
    const SumShares shares{op.x.size(), communicator.size()};
    const Share own = shares.of(communicator.rank());
    T* const parts = backend.template kernel_memory<T>(shares.room(communicator.rank()));
    exchange<T>(
        backend, communicator, op.name, [&](Index r) { return shares.part(x, r); },
        [&](Index r) { return View<T>(parts + r * own.count(), Shape{own.count()}); });
    if (winner != nullptr)
      Loops::first(backend, parts, shares.ranks, own.count(), y + own.begin, winner + own.begin);
    else
      Loops::sum(backend, parts, shares.ranks, own.count(), y + own.begin);
    const auto hand_out = [&](auto* numbers) {
      exchange<std::remove_pointer_t<decltype(numbers)>>(
          backend, communicator, op.name, [&](Index) { return shares.part(numbers, communicator.rank()); },
          [&](Index r) { return shares.part(numbers, r); });
    };
    if (shares.whole()) return;
    hand_out(y);
    if (winner != nullptr) hand_out(winner);
  }
  /// The steps of all_reduce in place, as far as parcels have arrived, or to the end.
  template <class B, class T, class C>
  static void advance(B& backend, const AdvanceSum<T, C>& op) {
    SideSum<T>& sum = *op.sum;
    C& communicator = *op.communicator;
    T* const numbers = sum.numbers.data;
    const SumShares shares{sum.numbers.size(), communicator.size(), sum.of_rank};
    const Share own = shares.of(communicator.rank());
    const auto start = [&](const auto& out, const auto& in) {
      exchange_by<T>(
          backend, communicator,
          [&](const auto& outgoing, const auto& incoming) {
            communicator.start(backend, op.name, sum.channel, outgoing, incoming);
          },
          out, in);
    };
    using enum SumStage;
    if (sum.stage == waiting) {
      start([&](Index r) { return shares.part(numbers, r); },
            [&](Index r) { return View<T>(sum.parts + r * own.count(), Shape{own.count()}); });
      sum.stage = gathering;
    }
    while (sum.stage != done && (op.wait || communicator.arrived(backend, op.name, sum.channel))) {
      communicator.finish(backend, op.name, sum.channel);
      const bool gathered = sum.stage == gathering;
      sum.stage = done;
      if (!gathered) return;
      Loops::sum(backend, sum.parts, shares.ranks, own.count(), numbers + own.begin);
      if (shares.whole() || sum.of_rank != nullptr) return;
      start([&](Index) { return shares.part(numbers, communicator.rank()); },
            [&](Index r) { return shares.part(numbers, r); });
      sum.stage = handing_out;
    }
  }
  /// x.gradient += Σ_r y.gradient of rank r, of a maximum where it is this rank's.
  template <class B, class T, class C>
  static void all_reduce_back(B& backend, const AllReduce<T, C>& op) {
    const auto scope = backend.scope();
    T* const total = backend.template kernel_memory<T>(op.x.size());
    all_reduce(backend, op, op.y.gradient, total, nullptr);
    Loops::put(backend, op.x.claim_gradient(), op.x.size(), total, op.winner.data, op.communicator->rank());
  }

  /// The part of a tensor's numbers that is rank r's.
  template <class T>
  static View<T> rows_of_rank(T* numbers, const RankRows& rows, Index width, Index r) {
    return {numbers + rows.before(r) * width, Shape{rows.of(r) * width}};
  }
  /// all ← own of every rank.
  template <class B, class T, class Op>
  static void gather(B& backend, const Op& op, Index width, T* own, T* all) {
    exchange<T>(
        backend, *op.communicator, op.name,
        [&](Index) { return View<T>(own, Shape{op.rows.of(op.communicator->rank()) * width}); },
        [&](Index r) { return rows_of_rank(all, op.rows, width, r); });
  }
  /// own ← Σ over the ranks of this rank's part of all.
  template <class B, class T, class Op>
  static void scatter(B& backend, const Op& op, Index width, T* all, T* own) {
    const auto scope = backend.scope();
    const Index count = op.rows.of(op.communicator->rank()) * width, ranks = op.communicator->size();
    T* const parts = backend.template kernel_memory<T>(ranks * count);
    exchange<T>(
        backend, *op.communicator, op.name, [&](Index r) { return rows_of_rank(all, op.rows, width, r); },
        [&](Index r) { return View<T>(parts + r * count, Shape{count}); });
    Loops::sum(backend, parts, ranks, count, own);
  }
  /// Rows to all ranks and from them; where they are to travel beside other work, until finish().
  template <class B, class T, class C>
  static void send(B& backend, const AllToAll<T, C>& op, const RankRows& sent, T* from, const RankRows& received, T* to,
                   bool beside = false) {
    exchange_by<T>(
        backend, *op.communicator,
        [&](const auto& outgoing, const auto& incoming) {
          if constexpr (SideCommunicator<C, B>)
            if (beside) return op.communicator->start(backend, op.name, kRowsChannel, outgoing, incoming);
          op.communicator->exchange(backend, op.name, outgoing, incoming);
        },
        [&](Index r) { return rows_of_rank(from, sent, op.x.cols(), r); },
        [&](Index r) { return rows_of_rank(to, received, op.x.cols(), r); });
  }
  template <class B, class T, class C>
  static void finish(B& backend, const AllToAll<T, C>& op) {
    if constexpr (SideCommunicator<C, B>) op.communicator->finish(backend, op.name, kRowsChannel);
  }
  /// The forward pass of AllToAll: rows behind those that came are zero.
  template <class B, class T, class C>
  static void send_rows(B& backend, const AllToAll<T, C>& op, bool beside = false) {
    send(backend, op, op.sent, op.x.data, op.received, op.y.data, beside);
    const Index filled = op.received.before(op.communicator->size()) * op.x.cols();
    if (filled < op.y.size()) backend.fill(op.y.data + filled, op.y.size() - filled, T{0});
  }

  /// The gradients' rows set out, into memory of the step.
  template <class B, class T, class C>
  static void send_back(B& backend, const ArrivingRows<T, C>& op) {
    *op.returned = backend.template kernel_memory<T>(op.x.size());
    send(backend, op, op.received, op.y.gradient, op.sent, *op.returned, true);
  }
  /// They are there.
  template <class B, class T, class C>
  static void take_back(B& backend, const DepartingRows<T, C>& op) {
    finish(backend, op);
    Loops::put(backend, op.x.claim_gradient(), op.x.size(), *op.returned, nullptr, 0);
  }

  /// Puts numbers that `fill(target)` writes into a tensor's gradient.
  template <class B, class T, class Fill>
  static void put_gradient(B& backend, const Tensor<T>& x, const Fill& fill) {
    const auto dx = x.claim_gradient();
    if (!dx.add) return fill(dx.data);
    const auto scope = backend.scope();
    T* const numbers = backend.template kernel_memory<T>(x.size());
    fill(numbers);
    Loops::put(backend, dx, x.size(), numbers, nullptr, 0);
  }

  /// Counts are the host's, on every backend.
  template <class B, class T, class C>
  static void counts(B& backend, const ExchangeCounts<T, C>& op) {
    Alone host;
    const Index ranks = op.communicator->size(), own = op.communicator->rank();
    Parcel* const parcels = backend.arena().template allocate<Parcel>(2 * ranks);
    const auto bytes = static_cast<std::size_t>(op.each) * sizeof(Index);
    Index others = 0;
    for (Index r = 0; r < ranks; ++r) {
      Index* const sent = const_cast<Index*>(op.sent) + r * op.each;
      if (r == own) {
        std::copy_n(sent, op.each, op.received + r * op.each);
        continue;
      }
      parcels[others] = {static_cast<int>(r), sent, bytes};
      parcels[ranks + others++] = {static_cast<int>(r), op.received + r * op.each, bytes};
    }
    const auto count = static_cast<std::size_t>(others);
    op.communicator->exchange(host, op.name, std::span<const Parcel>(parcels, count),
                              std::span<const Parcel>(parcels + ranks, count));
  }
};

}  // namespace neuroinhib::ops
