#pragma once

#include <neuroinhib/ops/attention_inform/cpu.hpp>
#include <neuroinhib/ops/collectives/cpu.hpp>
#include <neuroinhib/ops/ring_attention/kernels.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

/// What RingFlash asks of the CPU.
struct CpuRingLoops : CpuRankLoops {
  template <class T>
  static void attend(Cpu<T>& cpu, const FlashAttention<T>& s) {
    flash::run_forward(cpu, s);
  }
  template <class T>
  static void attend_back(Cpu<T>& cpu, const FlashAttention<T>& s, const FlashGradient<T>& g) {
    flash::run_backward(cpu, s, g);
  }
  template <class T>
  static void join(const Cpu<T>& cpu, const FlashResult<T>& all, const FlashResult<T>& part, Index rows, Index heads,
                   Index width) {
    cpu.parallel_for(rows, heads * (width + 4 * cost::exponential), [&](Index row) {
      for (Index h = 0; h < heads; ++h) all.join(part, row, h, width);
    });
  }
  template <class T>
  static void add(const Cpu<T>& cpu, const T* x, Index count, T* sum) {
    cpu.parallel_for(count, [&](Index i) { sum[i] += x[i]; });
  }
  template <class T, class U>
  static void pack(const Cpu<T>& cpu, const HeadRows<U>& from, Index rows, Index heads, Index width,
                   const HeadRows<T>& to) {
    cpu.parallel_for(rows, heads * width, [&](Index row) {
      for (Index h = 0; h < heads; ++h) std::copy_n(from.at(row, h), width, to.at(row, h));
    });
  }
  template <class T>
  static void put(const Cpu<T>& cpu, const HeadRows<T>& from, Index rows, Index heads, Index width,
                  const HeadSlot<T>& slot) {
    cpu.parallel_for(rows, heads * width, [&](Index row) {
      for (Index h = 0; h < heads; ++h)
        for (Index c = 0; c < width; ++c) slot.put(row, h, c, from.at(row, h)[c]);
    });
  }
};

template <class T, class C>
using CpuRing = RingFlash<CpuRingLoops, Cpu<T>, C, T>;

template <class T, class C>
void forward(Cpu<T>& cpu, const RingAttention<T, C>& op) {
  CpuRing<T, C>(cpu, op.text, op.name).forward(op.local.flash());
}
template <class T, class C>
void backward(Cpu<T>& cpu, const RingAttention<T, C>& op) {
  attention_backward(cpu, op.local, CpuRing<T, C>(cpu, op.text, op.name));
}

template <class T, class C>
void forward(Cpu<T>& cpu, const RingInform<T, C>& op) {
  inform_forward(cpu, op.local, CpuRing<T, C>(cpu, op.text, op.name));
}
template <class T, class C>
void backward(Cpu<T>& cpu, const RingInform<T, C>& op) {
  inform_backward(cpu, op.local, CpuRing<T, C>(cpu, op.text, op.name));
}

template <class T, class C>
void forward(Cpu<T>& cpu, const CacheAttention<T, C>& op) {
  attend_over_caches<CpuRingLoops>(cpu, op);
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
