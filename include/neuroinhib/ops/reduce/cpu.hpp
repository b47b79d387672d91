#pragma once

#include <neuroinhib/ops/map/cpu.hpp>
#include <neuroinhib/ops/reduce/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

/// store(i, the fold of row or column i), as the operation says.
template <class U, class T, class Op, class Fold, class Run, class Store>
void fold(Cpu<T>& cpu, const Reduce<T, Op>& op, const Fold& by, const Run& run, const Store& store) {
  if (op.of_rows)
    fold_rows<U>(cpu, op.x.rows(), op.x.cols(), 1, by, run, store);
  else
    fold_columns<U>(cpu, op.x.rows(), op.x.cols(), 1, by, run, store);
}

template <class T, class Op>
void forward(Cpu<T>& cpu, const Reduce<T, Op>& op) {
  const Index columns = op.x.cols();
  fold<T>(
      cpu, op, op.op,
      [&](Index row, Index column, Index, T*) { return static_cast<const T*>(op.x.data + row * columns + column); },
      [&](Index i, T value) { op.y[i] = value; });
}

template <class T, class Op>
void backward(Cpu<T>& cpu, const Reduce<T, Op>& op) {
  const auto dx = op.x.claim_gradient();
  const Index columns = op.x.cols(), none = op.x.size();
  if constexpr (Reduce<T, Op>::selects()) {
    const ArenaScope scope(cpu.arena());
    auto* place = cpu.template kernel_memory<Index>(op.y.size());
    const auto places = [&](Index row, Index column, Index count, Index* buffer) {
      for (Index i = 0, at = row * columns + column; i < count; ++i, ++at)
        buffer[i] = selected(op.x[at], op.y[op.of_rows ? row : column + i], at, none);
      return static_cast<const Index*>(buffer);
    };
    fold<Index>(cpu, op, Minimum{}, places, [&](Index i, Index at) { place[i] = at; });
    cpu.parallel_for(op.x.rows(), columns, [&](Index row) {
      for (Index c = 0; c < columns; ++c) {
        const Index i = row * columns + c, of = op.of_rows ? row : c;
        dx.put(i, place[of] == i ? op.y.gradient[of] : T{0});
      }
    });
  } else {
    evaluate(cpu, op.gradient_operands(), ReduceGradient<Op>{op.op}, {dx});
  }
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
