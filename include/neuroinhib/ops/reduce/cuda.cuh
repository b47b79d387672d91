#pragma once

#include <neuroinhib/ops/map/cuda.cuh>
#include <neuroinhib/ops/reduce/op.hpp>

namespace neuroinhib::ops {

/// store(i, the fold of row or column i), as the operation says.
template <class U, class T, class Op, class Fold, class Value, class Store>
void fold(Cuda<T>& cuda, const Reduce<T, Op>& op, const Fold& by, const Value& value, const Store& store) {
  if (op.of_rows)
    fold_rows<U>(cuda, op.x.rows(), op.x.cols(), by, value, store);
  else
    fold_columns<U>(cuda, op.x.rows(), op.x.cols(), by, value, store);
}

template <class T>
struct ElementOf {
  const T* data;
  Index columns;
  __device__ T operator()(Index row, Index column) const { return data[row * columns + column]; }
};

template <class T, class Op>
void forward(Cuda<T>& cuda, const Reduce<T, Op>& op) {
  fold<T>(cuda, op, op.op, ElementOf<T>{op.x.data, op.x.cols()}, StoreFolded<T>{op.y.data});
}

/// Where an element lies if it was selected, as the elements of a fold.
template <class T>
struct SelectedAt {
  const T *x, *y;
  Index columns, none;
  bool of_rows;
  __device__ Index operator()(Index row, Index column) const {
    const Index i = row * columns + column;
    return selected(x[i], y[of_rows ? row : column], i, none);
  }
};

template <class T, class Op>
void backward(Cuda<T>& cuda, const Reduce<T, Op>& op) {
  const auto dx = op.x.claim_gradient();
  if constexpr (Reduce<T, Op>::selects()) {
    const ArenaScope scope(cuda.device_arena());
    Index* place = cuda.template kernel_memory<Index>(op.y.size());
    const Index columns = op.x.cols();
    const bool of_rows = op.of_rows;
    const T* dy = op.y.gradient;
    fold<Index>(cuda, op, Minimum{}, SelectedAt<T>{op.x.data, op.y.data, columns, op.x.size(), of_rows},
                StoreFolded<Index>{place});
    cuda.parallel_grid(op.x.rows(), columns, [=] __device__(Index row, Index c) {
      const Index i = row * columns + c, of = of_rows ? row : c;
      dx.put(i, place[of] == i ? dy[of] : T{0});
    });
  } else {
    evaluate(cuda, op.gradient_operands(), ReduceGradient<Op>{op.op}, {dx});
  }
}

}  // namespace neuroinhib::ops
