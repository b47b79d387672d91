#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/gemm/cuda.cuh>
#include <neuroinhib/ops/grouped_linear/op.hpp>

namespace neuroinhib::ops {

/// Zeros in the rows of slots that no expert serves.
template <class T>
void clear_unused(Cuda<T>& cuda, const RoutingPlan& plan, T* rows, Index width) {
  if (!plan.partial) return;
  cuda.parallel_grid(plan.slots(), width, [=] __device__(Index row, Index c) {
    if (row >= plan.offsets[plan.experts]) rows[row * width + c] = 0;
  });
}

/// The rows of x, `stride` apart, that the plan's places read, as an address map.
template <class T>
[[nodiscard]] gemm::Gathered source_rows(const GroupedLinear<T>& op, Index stride) {
  return {op.gathers ? op.plan.order.data : nullptr, gemm::Divisor(op.plan.chosen()), stride};
}

template <class T>
[[nodiscard]] gemm::Rows<T> inputs(const GroupedLinear<T>& op) {
  return gemm::plain_rows<T>(op.x.data, op.x.rows(), op.in());
}
/// The same in the plan's order. Where they are rounded, they are gathered on the way: the weight's gradient reads them
/// row by row, and would wait for each row's address.
template <class T>
[[nodiscard]] gemm::Rows<T, gemm::Gathered> gathered_inputs(const GroupedLinear<T>& op) {
  return {op.x.data, op.plan.slots(), op.in(), op.in(), source_rows(op, op.in())};
}
template <class T>
[[nodiscard]] gemm::Rows<T> weights(const GroupedLinear<T>& op) {
  return gemm::plain_rows<T>(op.weight.data, op.plan.experts * op.out(), op.in());
}
template <class T>
[[nodiscard]] gemm::Rows<T> output_gradients(const GroupedLinear<T>& op) {
  return gemm::plain_rows<T>(op.y.gradient, op.plan.slots(), op.out());
}

/// Extents with one group an expert.
template <class T>
[[nodiscard]] gemm::Extents expert_extents(const GroupedLinear<T>& op, gemm::Groups kind, Index m, Index n, Index k) {
  return {m, n, k, kind, static_cast<int>(op.plan.experts), op.plan.offsets.data};
}

template <class T>
void forward(Cuda<T>& cuda, const GroupedLinear<T>& op) {
  const Index in = op.in(), out = op.out();
  const T* bias = op.bias.data;
  T* y = op.y.data;
  clear_unused(cuda, op.plan, y, out);
  const auto store = [=] __device__(int expert, Index row, Index c, T sum) {
    y[row * out + c] = sum + (bias != nullptr ? bias[expert * out + c] : T{0});
  };
  const auto multiply = [&](const auto& x, const auto& w) {
    gemm::multiply<gemm::Form::experts>(cuda, expert_extents(op, gemm::Groups::rows, op.plan.slots(), out, in),
                                        gemm::factor<true>(x.data, 0, source_rows(op, x.stride), gemm::Line{1}),
                                        gemm::factor<true>(w.data, out * w.stride, w.row_at, gemm::Line{1}),
                                        gemm::Alignment{}.rows(x).rows(w), store);
  };
  gemm::with_factors(cuda, multiply, inputs(op), weights(op));
}

/// dy · weight in the plan's order: dx [slots, in].
template <class T, class Dy, class W>
void slot_gradients(Cuda<T>& cuda, const GroupedLinear<T>& op, const Dy& dy, const W& w, const GradientSlot<T>& dx) {
  const Index in = op.in(), out = op.out();
  if (!dx.add) clear_unused(cuda, op.plan, dx.data, in);
  gemm::multiply<gemm::Form::experts>(cuda, expert_extents(op, gemm::Groups::rows, op.plan.slots(), in, out),
                                      gemm::factor<true>(dy.data, 0, dy.row_at, gemm::Line{1}),
                                      gemm::factor<false>(w.data, out * w.stride, w.row_at, gemm::Line{1}),
                                      gemm::Alignment{}.rows(dy).rows(w),
                                      [=] __device__(int, Index row, Index c, T sum) { dx.put(row * in + c, sum); });
}

/// dx, in the plan's order or, where x has a row a token, the sum over each token's slots.
template <class T, class Dy, class W>
void input_gradients(Cuda<T>& cuda, const GroupedLinear<T>& op, const Dy& dy, const W& w, const GradientSlot<T>& dx) {
  if (!op.gathers) return slot_gradients(cuda, op, dy, w, dx);
  const Index in = op.in(), chosen = op.plan.chosen();
  const ArenaScope scope(cuda.device_arena());
  T* slots = cuda.template kernel_memory<T>(op.plan.slots() * in);
  slot_gradients(cuda, op, dy, w, GradientSlot<T>{slots, false});
  const int* position = op.plan.position.data;
  cuda.parallel_grid(op.plan.tokens(), in, [=] __device__(Index token, Index c) {
    T sum = 0;
    for (Index slot = token * chosen; slot < (token + 1) * chosen; ++slot) sum += slots[position[slot] * in + c];
    dx.put(token * in + c, sum);
  });
}

/// dw [experts, out, in].
template <class T, class Dy, class X>
void weight_gradients(Cuda<T>& cuda, const GroupedLinear<T>& op, const Dy& dy, const X& x, const GradientSlot<T>& dw) {
  const Index in = op.in(), out = op.out();
  gemm::multiply<gemm::Form::experts>(
      cuda, expert_extents(op, gemm::Groups::depth, out, in, op.plan.slots()),
      gemm::factor<false>(dy.data, 0, dy.row_at, gemm::Line{1}),
      gemm::factor<false>(x.data, 0, x.row_at, gemm::Line{1}), gemm::Alignment{}.rows(dy).rows(x),
      [=] __device__(int expert, Index row, Index c, T sum) { dw.put((expert * out + row) * in + c, sum); });
}

/// db [experts, out].
template <class T>
void bias_gradients(Cuda<T>& cuda, const GroupedLinear<T>& op, const GradientSlot<T>& db) {
  const Index out = op.out();
  const T* dy = op.y.gradient;
  const int* offsets = op.plan.offsets.data;
  cuda.sum_ranges(
      op.plan.experts, out,
      [=] __device__(Index expert) { return detail::RowRange{offsets[expert], offsets[expert + 1]}; },
      [=] __device__(Index r, Index c) { return dy[r * out + c]; },
      [=] __device__(Index expert, Index c, T sum) { db.put(expert * out + c, sum); });
}

template <class T>
void backward(Cuda<T>& cuda, const GroupedLinear<T>& op) {
  const auto multiply = [&](const auto& dy, const auto& x, const auto& w) {
    const auto dw = op.weight.claim_gradient(), db = op.bias.claim_gradient();
    if (dw || db)
      cuda.write_beside(op.plan.slots() * op.in() * op.out(), {dw.data, db.data}, [&] {
        if (dw) weight_gradients(cuda, op, dy, x, dw);
        if (db) bias_gradients(cuda, op, db);
      });
    if (const auto dx = op.x.claim_gradient()) input_gradients(cuda, op, dy, w, dx);
    if (op.weight.space == nullptr || !std::is_same_v<T, typename std::remove_cvref_t<decltype(x)>::Scalar>)
      cuda.join();  // the weight is a result itself, or what was rounded goes with this operation
  };
  gemm::with_factors(cuda, multiply, output_gradients(op), gathered_inputs(op), weights(op));
}

}  // namespace neuroinhib::ops
