#pragma once

#include <neuroinhib/ops/attention_inform/cuda.cuh>
#include <neuroinhib/ops/collectives/cuda.cuh>
#include <neuroinhib/ops/ring_attention/kernels.hpp>

namespace neuroinhib::ops {

/// What RingFlash asks of the GPU.
struct CudaRingLoops : CudaRankLoops {
  template <class T>
  static void attend(Cuda<T>& cuda, const FlashAttention<T>& s) {
    flash::run_forward(cuda, s);
  }
  template <class T>
  static void attend_back(Cuda<T>& cuda, const FlashAttention<T>& s, const FlashGradient<T>& g) {
    flash::run_backward(cuda, s, g);
  }
  template <class T>
  static void join(Cuda<T>& cuda, const FlashResult<T>& all, const FlashResult<T>& part, Index rows, Index heads,
                   Index width) {
    cuda.parallel_for(rows * heads, [=] __device__(Index i) { all.join(part, i / heads, i % heads, width); });
  }
  template <class T>
  static void add(Cuda<T>& cuda, const T* x, Index count, T* sum) {
    cuda.parallel_for(count, [=] __device__(Index i) { sum[i] += x[i]; });
  }
  template <class T, class U>
  static void pack(Cuda<T>& cuda, const HeadRows<U>& from, Index rows, Index heads, Index width,
                   const HeadRows<T>& to) {
    cuda.parallel_grid(rows, heads * width, [=] __device__(Index row, Index c) {
      to.at(row, c / width)[c % width] = from.at(row, c / width)[c % width];
    });
  }
  template <class T>
  static void put(Cuda<T>& cuda, const HeadRows<T>& from, Index rows, Index heads, Index width,
                  const HeadSlot<T>& slot) {
    cuda.parallel_grid(rows, heads * width, [=] __device__(Index row, Index c) {
      slot.put(row, c / width, c % width, from.at(row, c / width)[c % width]);
    });
  }
};

template <class T, class C>
using CudaRing = RingFlash<CudaRingLoops, Cuda<T>, C, T>;

template <class T, class C>
void forward(Cuda<T>& cuda, const RingAttention<T, C>& op) {
  CudaRing<T, C>(cuda, op.text, op.name).forward(op.local.flash());
}
template <class T, class C>
void backward(Cuda<T>& cuda, const RingAttention<T, C>& op) {
  attention_backward(cuda, op.local, CudaRing<T, C>(cuda, op.text, op.name));
}

template <class T, class C>
void forward(Cuda<T>& cuda, const RingInform<T, C>& op) {
  inform_forward(cuda, op.local, CudaRing<T, C>(cuda, op.text, op.name));
}
template <class T, class C>
void backward(Cuda<T>& cuda, const RingInform<T, C>& op) {
  inform_backward(cuda, op.local, CudaRing<T, C>(cuda, op.text, op.name));
}

template <class T, class C>
void forward(Cuda<T>& cuda, const CacheAttention<T, C>& op) {
  attend_over_caches<CudaRingLoops>(cuda, op);
}

}  // namespace neuroinhib::ops
