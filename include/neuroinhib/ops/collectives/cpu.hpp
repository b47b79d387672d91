#pragma once

#include <algorithm>
#include <span>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/collectives/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

/// Numbers for every rank, and from every rank: out(r) goes to rank r, where it is that rank's in(own). Both give
/// View<U>; this rank's own is copied.
template <class U, class T, class C, class Out, class In>
void exchange(Cpu<T>& cpu, C& communicator, const char* name, const Out& out, const In& in) {
  const ArenaScope scope(cpu.arena());
  const int ranks = communicator.size(), own = communicator.rank();
  Parcel* const outgoing = cpu.arena().template allocate<Parcel>(ranks);
  Parcel* const incoming = cpu.arena().template allocate<Parcel>(ranks);
  const auto parcel = [](int peer, const View<U>& part) {
    return Parcel{peer, part.data, static_cast<std::size_t>(part.size()) * sizeof(U)};
  };
  for (int step = 1; step < ranks; ++step) {  // each rank begins with its neighbours
    const int to = (own + step) % ranks, from = (own + ranks - step) % ranks;
    outgoing[step - 1] = parcel(to, out(to));
    incoming[step - 1] = parcel(from, in(from));
  }
  if (in(own).data != out(own).data) std::copy_n(out(own).data, out(own).size(), in(own).data);
  const auto others = static_cast<std::size_t>(ranks - 1);
  communicator.exchange(cpu, name, std::span<const Parcel>(outgoing, others),
                        std::span<const Parcel>(incoming, others));
}

/// y = Σ parts, in the order of the ranks; parts [ranks, count].
template <class T>
void sum_of_ranks(const Cpu<T>& cpu, const T* parts, Index ranks, Index count, T* y) {
  constexpr Index kBlock = 4096;
  cpu.parallel_blocks(count, ranks, kBlock, [&](Index begin, Index end) {
    std::copy(parts + begin, parts + end, y + begin);
    for (Index r = 1; r < ranks; ++r)
      for (Index i = begin; i < end; ++i) y[i] += parts[r * count + i];
  });
}
/// y = the part that ranks first, winner: whose it is.
template <class T>
void first_of_ranks(const T* parts, Index ranks, Index count, T* y, int* winner) {
  for (Index i = 0; i < count; ++i) {
    Index best = 0;
    for (Index r = 1; r < ranks; ++r)
      if (Ranked<T>(parts[r * count + i], r).before(Ranked<T>(parts[best * count + i], best))) best = r;
    y[i] = parts[best * count + i];
    winner[i] = static_cast<int>(best);
  }
}

/// x and y may be one. A few numbers are sent to all ranks whole; of many, each rank adds up a share and hands it out.
template <class T, class C>
void all_reduce_numbers(Cpu<T>& cpu, const AllReduce<T, C>& op, T* x, T* y) {
  constexpr Index kFew = 1024;
  const ArenaScope scope(cpu.arena());
  C& communicator = *op.communicator;
  const Index ranks = communicator.size(), size = op.x.size();
  const bool whole = ranks == 2 || size <= kFew;
  const auto share = [&](Index r) { return whole ? Share{0, size, size} : Share::of(size, r, ranks); };
  const auto part_of = [&](auto* numbers, Index r) { return View(numbers + share(r).begin, Shape{share(r).count()}); };
  const Share own = share(communicator.rank());
  T* const parts = cpu.template kernel_memory<T>(ranks * own.count());
  exchange<T>(
      cpu, communicator, op.name, [&](Index r) { return part_of(x, r); },
      [&](Index r) { return View<T>(parts + r * own.count(), Shape{own.count()}); });
  int* const winner = op.winner.data;
  if (winner != nullptr)
    first_of_ranks(parts, ranks, own.count(), y + own.begin, winner + own.begin);
  else
    sum_of_ranks(cpu, parts, ranks, own.count(), y + own.begin);
  const auto hand_out = [&](auto* numbers) {
    exchange<std::remove_pointer_t<decltype(numbers)>>(
        cpu, communicator, op.name, [&](Index) { return part_of(numbers, communicator.rank()); },
        [&](Index r) { return part_of(numbers, r); });
  };
  if (whole) return;
  hand_out(y);
  if (winner != nullptr) hand_out(winner);
}

template <class T, class C>
void forward(Cpu<T>& cpu, const AllReduce<T, C>& op) {
  all_reduce_numbers(cpu, op, op.x.data, op.y.data);
}

template <class T, class C>
void backward(Cpu<T>& cpu, const AllReduce<T, C>& op) {
  const ArenaScope scope(cpu.arena());
  AllReduce<T, C> sum = op;
  sum.winner = {};
  T* const total = cpu.template kernel_memory<T>(op.x.size());
  all_reduce_numbers(cpu, sum, op.y.gradient, total);
  const auto dx = op.x.claim_gradient();
  const int own = op.communicator->rank();
  for (Index i = 0; i < op.x.size(); ++i) dx.put(i, op.winner.data == nullptr || op.winner[i] == own ? total[i] : T{0});
}

/// The part of a tensor's numbers that is rank r's.
template <class T>
[[nodiscard]] View<T> rows_of_rank(T* numbers, const RankRows& rows, Index width, Index r) {
  return {numbers + rows.before(r) * width, Shape{rows.of(r) * width}};
}

template <class T, class C>
void gather_numbers(Cpu<T>& cpu, C& communicator, const char* name, const RankRows& rows, Index width, T* own, T* all) {
  exchange<T>(
      cpu, communicator, name, [&](Index) { return View<T>(own, Shape{rows.of(communicator.rank()) * width}); },
      [&](Index r) { return rows_of_rank(all, rows, width, r); });
}
template <class T, class C>
void scatter_numbers(Cpu<T>& cpu, C& communicator, const char* name, const RankRows& rows, Index width, T* all,
                     T* own) {
  const ArenaScope scope(cpu.arena());
  const Index count = rows.of(communicator.rank()) * width, ranks = communicator.size();
  T* const parts = cpu.template kernel_memory<T>(ranks * count);
  exchange<T>(
      cpu, communicator, name, [&](Index r) { return rows_of_rank(all, rows, width, r); },
      [&](Index r) { return View<T>(parts + r * count, Shape{count}); });
  sum_of_ranks(cpu, parts, ranks, count, own);
}

/// Puts numbers that `fill(target)` writes into a tensor's gradient.
template <class T, class Fill>
void put_gradient(Cpu<T>& cpu, const Tensor<T>& x, const Fill& fill) {
  const auto dx = x.claim_gradient();
  if (!dx.add) return fill(dx.data);
  const ArenaScope scope(cpu.arena());
  T* const numbers = cpu.template kernel_memory<T>(x.size());
  fill(numbers);
  for (Index i = 0; i < x.size(); ++i) dx.put(i, numbers[i]);
}

template <class T, class C>
void forward(Cpu<T>& cpu, const AllGather<T, C>& op) {
  gather_numbers(cpu, *op.communicator, op.name, op.rows, op.y.cols(), op.x.data, op.y.data);
}
template <class T, class C>
void backward(Cpu<T>& cpu, const AllGather<T, C>& op) {
  put_gradient(cpu, op.x, [&](T* dx) {
    scatter_numbers(cpu, *op.communicator, op.name, op.rows, op.y.cols(), op.y.gradient, dx);
  });
}

template <class T, class C>
void forward(Cpu<T>& cpu, const ReduceScatter<T, C>& op) {
  scatter_numbers(cpu, *op.communicator, op.name, op.rows, op.x.cols(), op.x.data, op.y.data);
}
template <class T, class C>
void backward(Cpu<T>& cpu, const ReduceScatter<T, C>& op) {
  put_gradient(cpu, op.x,
               [&](T* dx) { gather_numbers(cpu, *op.communicator, op.name, op.rows, op.x.cols(), op.y.gradient, dx); });
}

template <class T, class C>
void send_rows(Cpu<T>& cpu, const AllToAll<T, C>& op, const RankRows& sent, T* from, const RankRows& received, T* to) {
  const Index width = op.x.cols();
  exchange<T>(
      cpu, *op.communicator, op.name, [&](Index r) { return rows_of_rank(from, sent, width, r); },
      [&](Index r) { return rows_of_rank(to, received, width, r); });
}
template <class T, class C>
void forward(Cpu<T>& cpu, const AllToAll<T, C>& op) {
  send_rows(cpu, op, op.sent, op.x.data, op.received, op.y.data);
  const Index filled = op.received.before(op.communicator->size()) * op.x.cols();
  std::fill_n(op.y.data + filled, op.y.size() - filled, T{0});
}
template <class T, class C>
void backward(Cpu<T>& cpu, const AllToAll<T, C>& op) {
  put_gradient(cpu, op.x, [&](T* dx) { send_rows(cpu, op, op.received, op.y.gradient, op.sent, dx); });
}

template <class T, class C>
void forward(Cpu<T>& cpu, const ExchangeCounts<T, C>& op) {
  const auto part_of = [&](const Index* counts, Index r) {
    return View<Index>(const_cast<Index*>(counts) + r * op.each, Shape{op.each});
  };
  exchange<Index>(
      cpu, *op.communicator, op.name, [&](Index r) { return part_of(op.sent, r); },
      [&](Index r) { return part_of(op.received, r); });
}
template <class T, class C>
void backward(Cpu<T>&, const ExchangeCounts<T, C>&) {}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
