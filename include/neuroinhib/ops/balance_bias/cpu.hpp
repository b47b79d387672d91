#pragma once

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/balance_bias/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>&, const BalanceBias<T>& op) {
  for (Index k = 0; k < op.load.size(); ++k) op.update(k);
}

template <class T>
void backward(Cpu<T>&, const BalanceBias<T>&) {}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
