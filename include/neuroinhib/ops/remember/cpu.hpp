#pragma once

#include <algorithm>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/remember/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>&, const Remember<T>& op) {
  ModuleState<T>& state = *op.state;
  if (op.decay == 0 || state.shape.size() == 0) {
    state.assign({op.x.data, {op.x.rows(), op.x.cols()}});
    return;
  }
  for (Index i = 0; i < op.x.size(); ++i) {
    T& kept = state.values.data()[i];
    kept = op.decay * kept + (1 - op.decay) * op.x[i];
  }
}

template <class T>
void backward(Cpu<T>&, const Remember<T>&) {}

template <class T>
void forward(Cpu<T>&, const Recall<T>& op) {
  std::copy_n(op.state->values.data(), op.state->values.size(), op.y.data);
}

template <class T>
void backward(Cpu<T>&, const Recall<T>&) {}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
