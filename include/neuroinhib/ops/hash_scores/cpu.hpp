#pragma once

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/hash_scores/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>& cpu, const HashScores<T>& op) {
  cpu.parallel_for(op.ids.size(), op.choices * (cost::random + op.y.cols()), [&](Index token) { op.fill(token); });
}

template <class T>
void backward(Cpu<T>&, const HashScores<T>&) {}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
