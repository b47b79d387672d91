#pragma once

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/count_tokens/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>&, const CountTokens<T>& op) {
  const Index tokens = op.marks.size() - 1;
  Index counted = 0;
  for (Index token = 0; token < tokens; ++token) counted += (op.marks[token] = op.mark(token)) > 0;
  op.marks[tokens] = static_cast<T>(counted);
}

template <class T>
void backward(Cpu<T>&, const CountTokens<T>&) {}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
