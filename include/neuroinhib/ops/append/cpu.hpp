#pragma once

#include <algorithm>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/append/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>& cpu, const Append<T>& op) {
  cpu.parallel_for(op.x.tensor.rows(), op.x.width, [&](Index row) {
    const Index target = row / op.rows * op.capacity + op.past + row % op.rows;
    std::copy_n(op.x.tensor.data + row * op.x.tensor.cols() + op.x.first, op.x.width,
                op.cache.data + target * op.x.width);
  });
}

template <class T>
void backward(Cpu<T>&, const Append<T>&) {}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
