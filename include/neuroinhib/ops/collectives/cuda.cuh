#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/collectives/kernels.hpp>

namespace neuroinhib::ops {

/// What CollectiveKernels asks of the GPU.
struct CudaRankLoops {
  template <class T, class U>
  static void copy(Cuda<T>& cuda, const U* from, Index count, U* to) {
    if (count > 0) cuda.parallel_for(count, [=] __device__(Index i) { to[i] = from[i]; });
  }
  template <class T>
  static void sum(Cuda<T>& cuda, const T* parts, Index ranks, Index count, T* y) {
    if (count == 0) return;
    cuda.parallel_for(count, [=] __device__(Index i) {
      T total = parts[i];
      for (Index r = 1; r < ranks; ++r) total += parts[r * count + i];
      y[i] = total;
    });
  }
  template <class T>
  static void first(Cuda<T>& cuda, const T* parts, Index ranks, Index count, T* y, int* winner) {
    if (count > 0)
      cuda.parallel_for(count, [=] __device__(Index i) { first_of_ranks(parts, ranks, count, i, y, winner); });
  }
  template <class T>
  static void put(Cuda<T>& cuda, const GradientSlot<T>& slot, Index count, const T* values, const int* winner,
                  int own) {
    if (count > 0)
      cuda.parallel_for(
          count, [=] __device__(Index i) { slot.put(i, winner == nullptr || winner[i] == own ? values[i] : T{0}); });
  }
};

template <class T, class C>
void forward(Cuda<T>& cuda, const AllReduce<T, C>& op) {
  CollectiveKernels<CudaRankLoops>::all_reduce(cuda, op, op.x.data, op.y.data, op.winner.data);
}
template <class T, class C>
void backward(Cuda<T>& cuda, const AllReduce<T, C>& op) {
  CollectiveKernels<CudaRankLoops>::all_reduce_back(cuda, op);
}

template <class T, class C>
void forward(Cuda<T>& cuda, const AdvanceSum<T, C>& op) {
  CollectiveKernels<CudaRankLoops>::advance(cuda, op);
}

template <class T, class C>
void forward(Cuda<T>& cuda, const AllGather<T, C>& op) {
  CollectiveKernels<CudaRankLoops>::gather(cuda, op, op.y.cols(), op.x.data, op.y.data);
}
template <class T, class C>
void backward(Cuda<T>& cuda, const AllGather<T, C>& op) {
  CollectiveKernels<CudaRankLoops>::put_gradient(
      cuda, op.x, [&](T* dx) { CollectiveKernels<CudaRankLoops>::scatter(cuda, op, op.y.cols(), op.y.gradient, dx); });
}

template <class T, class C>
void forward(Cuda<T>& cuda, const ReduceScatter<T, C>& op) {
  CollectiveKernels<CudaRankLoops>::scatter(cuda, op, op.x.cols(), op.x.data, op.y.data);
}
template <class T, class C>
void backward(Cuda<T>& cuda, const ReduceScatter<T, C>& op) {
  CollectiveKernels<CudaRankLoops>::put_gradient(
      cuda, op.x, [&](T* dx) { CollectiveKernels<CudaRankLoops>::gather(cuda, op, op.x.cols(), op.y.gradient, dx); });
}

template <class T, class C>
void forward(Cuda<T>& cuda, const AllToAll<T, C>& op) {
  CollectiveKernels<CudaRankLoops>::send_rows(cuda, op);
}
template <class T, class C>
void backward(Cuda<T>& cuda, const AllToAll<T, C>& op) {
  CollectiveKernels<CudaRankLoops>::put_gradient(cuda, op.x, [&](T* dx) {
    CollectiveKernels<CudaRankLoops>::send(cuda, op, op.received, op.y.gradient, op.sent, dx);
  });
}

template <class T, class C>
void forward(Cuda<T>& cuda, const DepartingRows<T, C>& op) {
  CollectiveKernels<CudaRankLoops>::send_rows(cuda, op, true);
}
template <class T, class C>
void backward(Cuda<T>& cuda, const DepartingRows<T, C>& op) {
  CollectiveKernels<CudaRankLoops>::take_back(cuda, op);
}

template <class T, class C>
void forward(Cuda<T>& cuda, const ArrivingRows<T, C>& op) {
  CollectiveKernels<CudaRankLoops>::finish(cuda, op);
}
template <class T, class C>
void backward(Cuda<T>& cuda, const ArrivingRows<T, C>& op) {
  CollectiveKernels<CudaRankLoops>::send_back(cuda, op);
}

template <class T, class C>
void forward(Cuda<T>& cuda, const ExchangeCounts<T, C>& op) {
  CollectiveKernels<CudaRankLoops>::counts(cuda, op);
}
template <class T, class C>
void backward(Cuda<T>&, const ExchangeCounts<T, C>&) {}

}  // namespace neuroinhib::ops
