#pragma once

#include <algorithm>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/collectives/kernels.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

/// What CollectiveKernels asks of the CPU.
struct CpuRankLoops {
  static constexpr Index kBlock = 4096;

  template <class T, class U>
  static void copy(const Cpu<T>&, const U* from, Index count, U* to) {
    std::copy_n(from, count, to);
  }
  template <class T>
  static void sum(const Cpu<T>& cpu, const T* parts, Index ranks, Index count, T* y) {
    cpu.parallel_blocks(count, ranks, kBlock, [&](Index begin, Index end) {
      std::copy(parts + begin, parts + end, y + begin);
      for (Index r = 1; r < ranks; ++r)
        for (Index i = begin; i < end; ++i) y[i] += parts[r * count + i];
    });
  }
  template <class T>
  static void first(const Cpu<T>& cpu, const T* parts, Index ranks, Index count, T* y, int* winner) {
    cpu.parallel_for(count, ranks, [&](Index i) { first_of_ranks(parts, ranks, count, i, y, winner); });
  }
  template <class T>
  static void put(const Cpu<T>& cpu, const GradientSlot<T>& slot, Index count, const T* values, const int* winner,
                  int own) {
    cpu.parallel_for(count, [&](Index i) { slot.put(i, winner == nullptr || winner[i] == own ? values[i] : T{0}); });
  }
};

template <class T, class C>
void forward(Cpu<T>& cpu, const AllReduce<T, C>& op) {
  CollectiveKernels<CpuRankLoops>::all_reduce(cpu, op, op.x.data, op.y.data, op.winner.data);
}
template <class T, class C>
void backward(Cpu<T>& cpu, const AllReduce<T, C>& op) {
  CollectiveKernels<CpuRankLoops>::all_reduce_back(cpu, op);
}

template <class T, class C>
void forward(Cpu<T>& cpu, const AdvanceSum<T, C>& op) {
  CollectiveKernels<CpuRankLoops>::advance(cpu, op);
}

template <class T, class C>
void forward(Cpu<T>& cpu, const AllGather<T, C>& op) {
  CollectiveKernels<CpuRankLoops>::gather(cpu, op, op.y.cols(), op.x.data, op.y.data);
}
template <class T, class C>
void backward(Cpu<T>& cpu, const AllGather<T, C>& op) {
  CollectiveKernels<CpuRankLoops>::put_gradient(
      cpu, op.x, [&](T* dx) { CollectiveKernels<CpuRankLoops>::scatter(cpu, op, op.y.cols(), op.y.gradient, dx); });
}

template <class T, class C>
void forward(Cpu<T>& cpu, const ReduceScatter<T, C>& op) {
  CollectiveKernels<CpuRankLoops>::scatter(cpu, op, op.x.cols(), op.x.data, op.y.data);
}
template <class T, class C>
void backward(Cpu<T>& cpu, const ReduceScatter<T, C>& op) {
  CollectiveKernels<CpuRankLoops>::put_gradient(
      cpu, op.x, [&](T* dx) { CollectiveKernels<CpuRankLoops>::gather(cpu, op, op.x.cols(), op.y.gradient, dx); });
}

template <class T, class C>
void forward(Cpu<T>& cpu, const AllToAll<T, C>& op) {
  CollectiveKernels<CpuRankLoops>::send_rows(cpu, op);
}
template <class T, class C>
void backward(Cpu<T>& cpu, const AllToAll<T, C>& op) {
  CollectiveKernels<CpuRankLoops>::put_gradient(cpu, op.x, [&](T* dx) {
    CollectiveKernels<CpuRankLoops>::send(cpu, op, op.received, op.y.gradient, op.sent, dx);
  });
}

template <class T, class C>
void forward(Cpu<T>& cpu, const DepartingRows<T, C>& op) {
  CollectiveKernels<CpuRankLoops>::send_rows(cpu, op, true);
}
template <class T, class C>
void backward(Cpu<T>& cpu, const DepartingRows<T, C>& op) {
  CollectiveKernels<CpuRankLoops>::take_back(cpu, op);
}

template <class T, class C>
void forward(Cpu<T>& cpu, const ArrivingRows<T, C>& op) {
  CollectiveKernels<CpuRankLoops>::finish(cpu, op);
}
template <class T, class C>
void backward(Cpu<T>& cpu, const ArrivingRows<T, C>& op) {
  CollectiveKernels<CpuRankLoops>::send_back(cpu, op);
}

template <class T, class C>
void forward(Cpu<T>& cpu, const ExchangeCounts<T, C>& op) {
  CollectiveKernels<CpuRankLoops>::counts(cpu, op);
}
template <class T, class C>
void backward(Cpu<T>&, const ExchangeCounts<T, C>&) {}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
