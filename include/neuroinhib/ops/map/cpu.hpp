#pragma once

#include <algorithm>

#include <neuroinhib/ops/map/lanes.hpp>
#include <neuroinhib/ops/map/scalar.hpp>
#include <neuroinhib/ops/reduce/cpu_fold.hpp>
#include <neuroinhib/ops/reduce/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

/// Up to kRun neighbouring elements of a grid, every input contiguous: where it lies, or copied where it is repeated.
template <class T, int N>
class InputRun {
 public:
  InputRun(const Operands<T, N>& in, Index first, Index count) : count_(count) {
    for (int k = 0; k < N; ++k) start_[k] = lay(in.grid, in.x[k], first, copied_[k]);
  }

  /// store(output, offset, lanes, how many of them) for every line of every output of `g`.
  template <class G, class Store>
  void compute(const G& g, const Store& store) const {
    for_each_line<T>(count_, [&](Index i, auto count) { compute_line(g, store, i, count); });
  }

 private:
  static constexpr Index kLanes = Lanes<T>::kCount;

  const T* lay(const Grid& grid, const Operand<T>& x, Index first, T* copy) const {
    if (x.column_step == 1 && (grid.rows == 1 || x.row_step == grid.columns)) return x.data + first;
    auto [row, column] = grid.place(first);
    for (Index i = 0, count = 0; i < count_; i += count, ++row, column = 0) {
      count = std::min(grid.columns - column, count_ - i);
      const T* from = x.data + row * x.row_step + column * x.column_step;
      if (x.column_step == 1)
        std::copy_n(from, count, copy + i);
      else
        std::fill_n(copy + i, count, *from);
    }
    return copy;
  }
  template <class G, class Store, class Count>
  void compute_line(const G& g, const Store& store, Index i, Count count) const {
    Lanes<T> x[N], y[G::kOutputs];
    for (int k = 0; k < N; ++k) x[k] = Lanes<T>::load(start_[k] + i, count);
    call(g, x, y);
    for (int k = 0; k < G::kOutputs; ++k) store(k, i, y[k], count);
  }
  template <class G>
  static void call(const G& g, const Lanes<T> (&x)[N], Lanes<T> (&y)[G::kOutputs]) {
    if constexpr (G::kVectorised) {
      const auto all = g(x);
      for (int k = 0; k < G::kOutputs; ++k) y[k] = all.value[k];
    } else {
      for (Index lane = 0; lane < kLanes; ++lane) {
        T numbers[N];
        for (int k = 0; k < N; ++k) numbers[k] = x[k].value[lane];
        const auto all = g(static_cast<const T*>(numbers));
        for (int k = 0; k < G::kOutputs; ++k) y[k].value[lane] = all.value[k];
      }
    }
  }

  Index count_;
  const T* start_[N];
  T copied_[N][kRun];
};

/// What an element costs, in units of namespace cost.
template <class G>
constexpr Index cost_of() {
  return G::kInputs + (G::kVectorised ? cost::exponential : 0);
}

/// slots[k] (+)= g(x…)'s output k over the grid; empty slots are left out.
template <class T, class G, int N, int M>
void evaluate(Cpu<T>& cpu, const Operands<T, N>& in, const G& g, const GradientSlot<T> (&slots)[M]) {
  if (std::none_of(slots, slots + M, [](const auto& slot) { return static_cast<bool>(slot); })) return;
  cpu.parallel_blocks(in.grid.rows * in.grid.columns, cost_of<G>(), kElementBlock, [&](Index begin, Index end) {
    for (Index first = begin; first < end; first += kRun)
      InputRun<T, N>(in, first, std::min(kRun, end - first))
          .compute(g, [&](int k, Index offset, const Lanes<T>& y, auto count) {
            if (!slots[k]) return;
            T* to = slots[k].data + first + offset;
            (slots[k].add ? Lanes<T>::load(to, count) + y : y).store(to, count);
          });
  });
}

template <class T, class F, int N>
void forward(Cpu<T>& cpu, const Map<T, F, N>& op) {
  evaluate(cpu, op.operands(), MapValue<F, N>{op.f}, {GradientSlot<T>{op.y.data}});
}

/// slot (+)= g(x…)'s output k, the gradient of an input of that shape that was repeated: folded over the rows, columns
/// or elements of the grid that it was repeated for.
template <class T, class G, int N>
void fold_output(Cpu<T>& cpu, const Operands<T, N>& in, const Grid& grid, const G& g, int k, const Shape& shape,
                 const GradientSlot<T>& slot) {
  const auto run = [&](Index columns) {
    return [&, columns](Index row, Index column, Index count, T* buffer) {
      InputRun<T, N>(in, row * columns + column, count)
          .compute(g, [&](int output, Index offset, const Lanes<T>& y, auto n) {
            if (output == k) y.store(buffer + offset, n);
          });
      return static_cast<const T*>(buffer);
    };
  };
  const auto store = [&](Index i, T sum) { slot.put(i, sum); };
  const Index all = grid.rows * grid.columns;
  if (shape.size() == 1)
    fold_rows<T>(cpu, 1, all, cost_of<G>(), Plus{}, run(all), store);
  else if (shape.rows() == 1)
    fold_columns<T>(cpu, grid.rows, grid.columns, cost_of<G>(), Plus{}, run(grid.columns), store);
  else
    fold_rows<T>(cpu, grid.rows, grid.columns, cost_of<G>(), Plus{}, run(grid.columns), store);
}

template <class T, class F, int N>
void backward(Cpu<T>& cpu, const Map<T, F, N>& op) {
  const auto in = op.operands_and_gradient();
  const MapGradients<F, N> g{op.f};
  GradientSlot<T> whole[N], repeated[N];
  op.claim(whole, repeated);
  evaluate(cpu, in, g, whole);
  for (int k = 0; k < N; ++k)
    if (repeated[k]) fold_output(cpu, in, in.grid, g, k, op.x[k].shape, repeated[k]);
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
