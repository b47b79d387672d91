#pragma once

#include <algorithm>
#include <type_traits>

#include <neuroinhib/ops/gemm/cpu.hpp>
#include <neuroinhib/ops/grouped_linear/cpu_bf16.hpp>
#include <neuroinhib/ops/grouped_linear/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

/// Zeros in the rows of slots that no expert serves.
template <class T>
void clear_unused(Cpu<T>& cpu, const RoutingPlan& plan, T* rows, Index width) {
  if (!plan.partial) return;
  const Index used = plan.offsets[plan.experts];
  cpu.fill(rows + used * width, (plan.slots() - used) * width, T{0});
}

/// One product an expert, of `columns` columns and at most `depth` deep, in tasks of some columns of one expert:
/// product(expert, begin, end, scratch).
template <class T, class Product>
void for_each_expert(Cpu<T>& cpu, const GroupedLinear<T>& op, Index columns, Index depth, const Product& product) {
  const Index experts = op.plan.experts, width = gemm::task_columns(cpu, columns, experts);
  const Index tasks = gemm::ceil_div(columns, width);
  const Index cost = cost::multiply_adds(op.plan.slots() * op.in() * op.out() / (experts * tasks));
  cpu.parallel_tasks(experts * tasks, cost, gemm::scratch_size<T>(depth), [&](Index task, T* scratch) {
    const Index begin = task % tasks * width;
    product(task / tasks, begin, std::min(columns, begin + width), scratch);
  });
}

template <class T>
void forward(Cpu<T>& cpu, const GroupedLinear<T>& op) {
  const Index in = op.in(), out = op.out();
  clear_unused(cpu, op.plan, op.y.data, out);
  if constexpr (std::is_same_v<T, float>)
    if (const auto& bf16 = cpu.bf16_experts(); bf16.weights != nullptr) return bf16.forward(cpu, *bf16.weights, op);
  for_each_expert(cpu, op, out, in, [&](Index e, Index begin, Index end, T* scratch) {
    const Index first = op.plan.offsets[e], rows = op.plan.offsets[e + 1] - first;
    const T* weight = op.weight.data + e * out * in;
    if (rows == 0) return;
    if (op.bias.defined())
      for (Index r = first; r < first + rows; ++r)
        std::copy(op.bias.data + e * out + begin, op.bias.data + e * out + end, op.y.data + r * out + begin);
    gemm::columns_of<T>(
        begin, end, rows, in, 1, [&](Index m) { return op.x.data + op.source(first + m) * in; },
        [&](Index k0, Index k1, Index n, Index columns, T* panel) {
          gemm::pack_columns(k1 - k0, columns, weight + n * in + k0, in, panel);
        },
        [&](Index m) { return op.y.data + (first + m) * out; }, op.bias.defined(), scratch);
  });
}

/// dy · weight in the plan's order: [slots, in].
template <class T>
void slot_gradients(Cpu<T>& cpu, const GroupedLinear<T>& op, T* dx, bool add) {
  const Index in = op.in(), out = op.out();
  if (!add) clear_unused(cpu, op.plan, dx, in);
  for_each_expert(cpu, op, in, out, [&](Index e, Index begin, Index end, T* scratch) {
    const Index first = op.plan.offsets[e], rows = op.plan.offsets[e + 1] - first;
    if (rows == 0) return;
    gemm::columns_of<T>(
        begin, end, rows, out, 1, [&](Index m) { return op.y.gradient + (first + m) * out; },
        [&](Index k0, Index k1, Index n, Index columns, T* panel) {
          gemm::pack_rows<T>(
              k1 - k0, columns, [&](Index k) { return op.weight.data + (e * out + k0 + k) * in + n; }, panel);
        },
        [&](Index m) { return dx + (first + m) * in; }, add, scratch);
  });
}

template <class T>
void backward(Cpu<T>& cpu, const GroupedLinear<T>& op) {
  const Index in = op.in(), out = op.out();
  if (const auto dx = op.x.claim_gradient()) {
    if (!op.gathers) {
      slot_gradients(cpu, op, dx.data, dx.add);
    } else {
      const ArenaScope scope(cpu.arena());
      T* slots = cpu.arena().template allocate<T>(op.plan.slots() * in);
      slot_gradients(cpu, op, slots, false);
      cpu.parallel_for(op.plan.tokens(), op.plan.chosen() * in, [&](Index token) {
        T* sum = dx.data + token * in;
        if (!dx.add) std::fill_n(sum, in, T{0});
        for (Index m = 0; m < op.plan.chosen(); ++m) {
          const T* slot = slots + op.plan.position[token * op.plan.chosen() + m] * in;
          for (Index c = 0; c < in; ++c) sum[c] += slot[c];
        }
      });
    }
  }
  if (const auto dw = op.weight.claim_gradient())
    for_each_expert(cpu, op, in, op.plan.slots(), [&](Index e, Index begin, Index end, T* scratch) {
      const Index first = op.plan.offsets[e], rows = op.plan.offsets[e + 1] - first;
      gemm::columns_of<T>(
          begin, end, out, rows, out, [&](Index m) { return op.y.gradient + first * out + m; },
          [&](Index k0, Index k1, Index n, Index columns, T* panel) {
            gemm::pack_rows<T>(
                k1 - k0, columns, [&](Index k) { return op.x.data + op.source(first + k0 + k) * in + n; }, panel);
          },
          [&](Index m) { return dw.data + (e * out + m) * in; }, dw.add, scratch);
    });
  if (const auto db = op.bias.claim_gradient())
    cpu.parallel_for(op.plan.experts, op.plan.slots() / op.plan.experts * out, [&](Index e) {
      T* sum = db.data + e * out;
      if (!db.add) std::fill_n(sum, out, T{0});
      for (Index r = op.plan.offsets[e]; r < op.plan.offsets[e + 1]; ++r)
        for (Index c = 0; c < out; ++c) sum[c] += op.y.gradient[r * out + c];
    });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
