#pragma once

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/patches/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>& cpu, const Patches<T>& op) {
  const PatchPlaces places(op);
  const Index width = op.y.cols();
  cpu.parallel_for(op.y.rows(), width, [&](Index row) {
    for (Index c = 0; c < width; ++c) {
      const Index source = places.source(row, c);
      op.y[row * width + c] = source < 0 ? T{0} : op.x[source];
    }
  });
}

template <class T>
void backward(Cpu<T>& cpu, const Patches<T>& op) {
  const PatchPlaces places(op);
  const Index width = op.y.cols();
  const auto dx = op.x.claim_gradient();
  cpu.parallel_for(op.y.rows(), width, [&](Index row) {
    for (Index c = 0; c < width; ++c)
      if (const Index source = places.source(row, c); source >= 0) dx.put(source, op.y.gradient[row * width + c]);
  });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
