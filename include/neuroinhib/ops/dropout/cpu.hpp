#pragma once

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/dropout/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

/// Calls visit(i, factor) for every element, factor 0 or 1 / (1 − p); one random block serves four elements.
template <class T, class Visit>
void for_each_kept(const Cpu<T>& cpu, const Dropout<T>& op, const Visit& visit) {
  const T kept = 1 / (1 - op.p);
  const Index count = op.x.size();
  cpu.parallel_blocks((count + 3) / 4, cost::random, 1024, [&](Index begin, Index end) {
    for (Index block = begin; block < end; ++block) {
      const auto words = op.random.block(block);
      for (Index i = 4 * block; i < std::min(count, 4 * block + 4); ++i)
        visit(i, unit_uniform<T>(words[i - 4 * block]) < op.p ? T{0} : kept);
    }
  });
}

template <class T>
void forward(Cpu<T>& cpu, const Dropout<T>& op) {
  for_each_kept(cpu, op, [&](Index i, T factor) { op.y[i] = op.x[i] * factor; });
}

template <class T>
void backward(Cpu<T>& cpu, const Dropout<T>& op) {
  const auto dx = op.x.gradient_slot();
  for_each_kept(cpu, op, [&](Index i, T factor) { dx.put(i, op.y.gradient[i] * factor); });
}

template <class T>
void forward(Cpu<T>& cpu, const AddNoise<T>& op) {
  cpu.parallel_for(op.x.size(), cost::random,
                   [&](Index i) { op.y[i] = op.x[i] + op.scale[i] * op.random.template normal<T>(i); });
}

template <class T>
void backward(Cpu<T>& cpu, const AddNoise<T>& op) {
  const auto dx = op.x.gradient_slot();
  const auto dscale = op.scale.gradient_slot();
  cpu.parallel_for(op.x.size(), cost::random, [&](Index i) {
    if (dx) dx.put(i, op.y.gradient[i]);
    if (dscale) dscale.put(i, op.y.gradient[i] * op.random.template normal<T>(i));
  });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
