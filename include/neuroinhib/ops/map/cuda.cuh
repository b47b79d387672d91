#pragma once

#include <thrust/for_each.h>
#include <thrust/iterator/counting_iterator.h>

#include <utility>

#include <neuroinhib/backend/cuda_thrust.cuh>
#include <neuroinhib/ops/map/scalar.hpp>
#include <neuroinhib/ops/reduce/cuda_fold.cuh>
#include <neuroinhib/ops/reduce/op.hpp>

namespace neuroinhib::ops {

/// Elements of a thread, far apart, whose numbers are on their way at once.
inline constexpr int kMappedAtOnce = 4;

template <class T, int M>
struct Slots {
  GradientSlot<T> slot[M];
};

/// Computes the elements first, first + step, … of an elementwise function and puts its outputs.
template <class T, class G>
struct Evaluate {
  Operands<T, G::kInputs> in;
  G g;
  Slots<T, G::kOutputs> out;
  Index size, step;

  __device__ void operator()(Index first) const {
    T x[kMappedAtOnce][G::kInputs];
#pragma unroll
    for (int e = 0; e < kMappedAtOnce; ++e)
      if (const Index i = first + e * step; i < size) read(i, x[e]);
#pragma unroll
    for (int e = 0; e < kMappedAtOnce; ++e) {
      const Index i = first + e * step;
      if (i >= size) continue;
      const auto y = g(static_cast<const T*>(x[e]));
#pragma unroll
      for (int k = 0; k < G::kOutputs; ++k)
        if (out.slot[k]) out.slot[k].put(i, y.value[k]);
    }
  }

 private:
  __device__ void read(Index i, T (&x)[G::kInputs]) const {
    const auto place = in.grid.place(i);
#pragma unroll
    for (int k = 0; k < G::kInputs; ++k) x[k] = in.x[k].at(place);
  }
};

/// slots[k] (+)= g(x…)'s output k over the grid; empty slots are left out.
template <class T, class G, int N, int M>
void evaluate(Cuda<T>& cuda, const Operands<T, N>& in, const G& g, const GradientSlot<T> (&slots)[M]) {
  if (std::none_of(slots, slots + M, [](const auto& slot) { return static_cast<bool>(slot); })) return;
  Slots<T, M> out;
  std::copy_n(slots, M, out.slot);
  const Index size = in.grid.rows * in.grid.columns, step = (size + kMappedAtOnce - 1) / kMappedAtOnce;
  const Evaluate<T, G> each{in, g, out, size, step};
  cuda.uses(each);
  with_thrust(cuda,
              [&](const auto& policy) { thrust::for_each_n(policy, thrust::counting_iterator<Index>(0), step, each); });
}

template <class T, class F, int N>
void forward(Cuda<T>& cuda, const Map<T, F, N>& op) {
  evaluate(cuda, op.operands(), MapValue<F, N>{op.f}, {GradientSlot<T>{op.y.data}});
}

/// Output K of an elementwise function, at one place.
template <int K, class T, class G>
struct OutputAt {
  Operands<T, G::kInputs> in;
  G g;

  __device__ T operator()(Index row, Index column) const {
    T x[G::kInputs];
#pragma unroll
    for (int k = 0; k < G::kInputs; ++k) x[k] = in.x[k].at({row, column});
    return g(static_cast<const T*>(x)).value[K];
  }
};
/// The same, of the elements in a line.
template <int K, class T, class G>
struct OutputInLine {
  OutputAt<K, T, G> output;

  __device__ T operator()(Index, Index i) const {
    const auto place = output.in.grid.place(i);
    return output(place.row, place.column);
  }
};
template <class T>
struct PutFolded {
  GradientSlot<T> slot;
  __device__ void operator()(Index i, T value) const { slot.put(i, value); }
};

/// The gradient of input K, which was repeated: folded over the rows, columns or elements that it was repeated for.
template <int K, class T, class G, int N>
void fold_output(Cuda<T>& cuda, const Operands<T, N>& in, const G& g, const Shape& shape, const GradientSlot<T>& slot) {
  if (!slot) return;
  const OutputAt<K, T, G> output{in, g};
  const PutFolded<T> put{slot};
  const Grid& grid = in.grid;
  if (shape.size() == 1)
    fold_rows<T>(cuda, 1, grid.rows * grid.columns, Plus{}, OutputInLine<K, T, G>{output}, put);
  else if (shape.rows() == 1)
    fold_columns<T>(cuda, grid.rows, grid.columns, Plus{}, output, put);
  else
    fold_rows<T>(cuda, grid.rows, grid.columns, Plus{}, output, put);
}

template <class T, class F, int N>
void backward(Cuda<T>& cuda, const Map<T, F, N>& op) {
  const auto in = op.operands_and_gradient();
  const MapGradients<F, N> g{op.f};
  GradientSlot<T> whole[N], repeated[N];
  op.claim(whole, repeated);
  evaluate(cuda, in, g, whole);
  [&]<int... K>(std::integer_sequence<int, K...>) {
    (fold_output<K>(cuda, in, g, op.x[K].shape, repeated[K]), ...);
  }(std::make_integer_sequence<int, N>{});
}

}  // namespace neuroinhib::ops
