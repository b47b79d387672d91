#pragma once

#include <algorithm>
#include <cstdint>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/gemm/cpu.hpp>
#include <neuroinhib/ops/gemm/cpu_bf16.hpp>
#include <neuroinhib/ops/grouped_linear/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

/// Numbers [rows, columns] as bf16_pairs [rows, ⌈columns / 2⌉] in the step's memory.
template <class T>
const std::uint32_t* bf16_rows(Cpu<T>& cpu, const T* numbers, Index rows, Index columns) {
  const Index pairs = (columns + 1) / 2;
  auto* const rounded = cpu.template kernel_memory<std::uint32_t>(rows * pairs);
  cpu.parallel_for(rows, columns, [&](Index row) {
    for (Index pair = 0; pair < pairs; ++pair)
      rounded[row * pairs + pair] = bf16_pair(numbers + row * columns, pair, columns);
  });
  return rounded;
}

/// Experts that have rows, in rising order.
template <class T>
View<int> busy_experts(Cpu<T>& cpu, const RoutingPlan& plan) {
  auto* const busy = cpu.template kernel_memory<int>(plan.experts);
  Index count = 0;
  for (int e = 0; e < plan.experts; ++e)
    if (plan.offsets[e + 1] > plan.offsets[e]) busy[count++] = e;
  return {busy, {count}};
}

/// As the float product, with both factors rounded to bf16. Throws ConfigError where a gradient is wanted.
template <class T>
void forward_in_bf16(Cpu<T>& cpu, const Bf16Weights& weights, const GroupedLinear<T>& op) {
  if (op.y.wants_gradient())
    fail<ConfigError>("expert layer in bf16", "inference", "a recording",
                      "train on a Cpu without bf16_weights, and round the result");
  const Bf16Panels weight = weights.of(op.weight);
  const ArenaScope scope(cpu.arena());
  const std::uint32_t* const x = bf16_rows(cpu, op.x.data, op.x.rows(), op.in());
  const View<int> busy = busy_experts(cpu, op.plan);
  const Index out = op.out(), tasks = gemm::ceil_div(out, gemm::kBf16Columns);
  // An expert of few rows costs the reading of its weights.
  const Index rows_each = std::max<Index>(4, op.plan.slots() / std::max<Index>(1, busy.size()));
  const Index cost = cost::multiply_adds(rows_each * gemm::kBf16Columns * op.in());
  cpu.parallel_for(busy.size() * tasks, cost, [&](Index task) {
    const Index e = busy[task / tasks], first = op.plan.offsets[e], rows = op.plan.offsets[e + 1] - first;
    const Index begin = task % tasks * gemm::kBf16Columns, end = std::min(out, begin + gemm::kBf16Columns);
    for (Index r = first; op.bias.defined() && r < first + rows; ++r)
      std::copy(op.bias.data + e * out + begin, op.bias.data + e * out + end, op.y.data + r * out + begin);
    gemm::bf16_columns(
        weights.unit(), weight, e, begin / Bf16Panels::kColumns, rows,
        [&](Index m) { return x + op.source(first + m) * weight.pairs(); },
        [&](Index m) { return op.y.data + (first + m) * out; }, op.bias.defined());
  });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
