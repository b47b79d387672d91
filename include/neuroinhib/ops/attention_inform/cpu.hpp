#pragma once

#include <algorithm>

#include <neuroinhib/ops/attention/cpu.hpp>
#include <neuroinhib/ops/attention_inform/op.hpp>

namespace neuroinhib::ops::inform::inline NEUROINHIB_TARGET {

/// A matrix in memory: rows `stride` apart, and what lies `step` apart within one.
template <class T>
struct Matrix {
  T* data;
  Index stride, step = 1;

  [[nodiscard]] T* row(Index i) const { return data + i * stride; }
  [[nodiscard]] Matrix transposed() const { return {data, step, stride}; }
};

/// c [m, n] (+)= a [m, k] b [k, n]; b's rows, or those of its transpose, lie in one piece.
template <class T>
void multiply(Cpu<T>& cpu, Index m, Index n, Index k, const Matrix<const T>& a, const Matrix<const T>& b,
              const Matrix<T>& c, bool add) {
  gemm::multiply(
      cpu, m, n, k, a.step, [&](Index i) { return a.row(i); },
      [&](Index k0, Index k1, Index first, Index columns, T* panel) {
        if (b.step == 1)
          gemm::pack_rows<T>(k1 - k0, columns, [&](Index i) { return b.row(k0 + i) + first; }, panel);
        else
          gemm::pack_columns(k1 - k0, columns, b.data + first * b.step + k0, b.step, panel);
      },
      [&](Index i) { return c.row(i); }, add);
}

/// Queries, keys and biases of one head, in the step's memory, with v G (G = WᵀW) for the backward pass.
template <class T>
struct Factors {
  Index head, rows, keys, d, dv;
  T *queries, *keys_values, *biases, *projected;

  Factors(Cpu<T>& cpu, const AttentionInform<T>& op, Index number)
      : head(number), rows(op.y.rows()), keys(op.e.rows()), d(op.head_width()), dv(op.value_width()) {
    const Index width = op.width(), features = op.u.cols();
    queries = cpu.template kernel_memory<T>(rows * width);
    keys_values = cpu.template kernel_memory<T>(keys * width);
    biases = cpu.template kernel_memory<T>(keys);
    projected = cpu.template kernel_memory<T>(keys * dv);
    const T of_u = op.factor / op.variance, of_q = 1 / std::sqrt(static_cast<T>(d));
    multiply<T>(cpu, rows, dv, features, {op.u.data, features}, weight(op), {queries + d, width}, false);
    const ArenaScope scope(cpu.arena());
    T* gram = cpu.template kernel_memory<T>(dv * dv);
    multiply<T>(cpu, dv, dv, features, weight(op).transposed(), weight(op), {gram, dv}, false);
    multiply<T>(cpu, keys, dv, dv, values(op), {gram, dv}, {projected, dv}, false);
    const auto q = columns_of(op.q.tensor, op.q.first, d), k = columns_of(op.k.tensor, op.k.first, d);
    cpu.parallel_for(rows, width, [&](Index row) {
      T* to = queries + row * width;
      for (Index c = 0; c < d; ++c) to[c] = of_q * q.at(row, head)[c];
      for (Index c = d; c < width; ++c) to[c] *= of_u;
    });
    cpu.parallel_for(keys, 2 * width, [&](Index row) {
      T *to = keys_values + row * width, length = 0;
      const T* v = values(op).row(row);
      std::copy_n(k.at(row, head), d, to);
      std::copy_n(v, dv, to + d);
      for (Index c = 0; c < dv; ++c) length += v[c] * projected[row * dv + c];
      biases[row] = -length * op.factor * of_u / 2;
    });
  }
  [[nodiscard]] Matrix<const T> weight(const AttentionInform<T>& op) const {
    return {op.output.data + head * dv, op.output.cols()};
  }
  [[nodiscard]] Matrix<const T> values(const AttentionInform<T>& op) const {
    return {op.v.tensor.data + op.v.first + head * dv, op.v.tensor.cols()};
  }
};

[[nodiscard]] inline Index number(const View<const int>& head, Index at) {
  return head.data != nullptr ? head[0] : at;
}

/// The flash attention of the factors' head, without its y.
template <class T>
[[nodiscard]] FlashAttention<T> flash(const AttentionInform<T>& op, const Factors<T>& f, Index at) {
  FlashAttention<T> s = op.flash(f.queries, f.keys_values, f.biases, at);
  if (op.relative.defined()) op.set_span(s, f.head);
  return s;
}

/// Joins the heads' distributions: of row i, head h counts as exp(log_sum_ih − a_ih).
template <class T>
void join(Cpu<T>& cpu, const AttentionInform<T>& op, const T* parts, const T* entropies, const T* selves) {
  const Index rows = op.y.rows(), experts = op.e.cols(), heads = op.heads;
  cpu.parallel_for(rows, heads * (experts + 2 * cost::exponential), [&](Index row) {
    T* log_sum = op.log_sum.data + row * heads;
    const T* attention = op.attention_log_sum.data + row * heads;
    T largest = log_sum[0] - attention[0], sum = 0;
    for (Index h = 1; h < heads; ++h) largest = std::max(largest, log_sum[h] - attention[h]);
    for (Index h = 0; h < heads; ++h) sum += std::exp(log_sum[h] - attention[h] - largest);
    const T total = largest + std::log(sum);
    T entropy = 0, self = 0;
    std::fill_n(op.y.data + row * experts, experts, T{0});
    for (Index h = 0; h < heads; ++h) {
      const T logarithm = log_sum[h] - attention[h] - total, weight = std::exp(logarithm);
      entropy += weight * (entropies[h * rows + row] - logarithm);
      self += weight * selves[h * rows + row];
      for (Index k = 0; k < experts; ++k) op.y(row, k) += weight * parts[(h * rows + row) * experts + k];
      log_sum[h] = total + attention[h];
    }
    op.entropy[row] = entropy;
    op.self[row] = self;
  });
}

}  // namespace neuroinhib::ops::inform::inline NEUROINHIB_TARGET

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

/// `flash` does a head's work.
template <class T, class Flash>
void inform_forward(Cpu<T>& cpu, const AttentionInform<T>& op, Flash&& flash) {
  const ArenaScope scope(cpu.arena());
  const Index rows = op.y.rows(), experts = op.e.cols(), counted = op.counted();
  const bool joined = counted > 1;
  T* parts = joined ? cpu.template kernel_memory<T>(counted * rows * experts) : op.y.data;
  T* entropies = joined ? cpu.template kernel_memory<T>(counted * rows) : op.entropy.data;
  T* selves = joined ? cpu.template kernel_memory<T>(counted * rows) : op.self.data;
  for (Index at = 0; at < counted; ++at) {
    const ArenaScope head_scope(cpu.arena());
    const inform::Factors<T> f(cpu, op, inform::number(op.head, at));
    FlashAttention<T> s = inform::flash(op, f, at);
    s.y = {parts + at * rows * experts, experts, 0};
    s.entropy = {entropies + at * rows, 1, 0};
    s.self = {selves + at * rows, 1, 0};
    flash.forward(s);
  }
  if (joined) inform::join(cpu, op, parts, entropies, selves);
}
template <class T>
void forward(Cpu<T>& cpu, const AttentionInform<T>& op) {
  inform_forward(cpu, op, flash::CpuFlash<T>{cpu});
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET

namespace neuroinhib::ops::inform::inline NEUROINHIB_TARGET {

/// What the attention's gradients of one head mean for q, k, v, u and W_h.
template <class T>
void pass_on(Cpu<T>& cpu, const AttentionInform<T>& op, const Factors<T>& f, T* dqueries, const T* dkeys, T* dbiases,
             const FlashGradient<T>& slots, const GradientSlot<T>& du, const GradientSlot<T>& dw) {
  const Index width = op.width(), features = op.u.cols();
  const T of_q = 1 / std::sqrt(static_cast<T>(f.d)), of_u = op.factor / op.variance, of_v = op.factor * of_u;
  cpu.parallel_for(f.rows, width, [&](Index row) {
    T* from = dqueries + row * width;
    if (slots.dq)
      for (Index c = 0; c < f.d; ++c) slots.dq.put(row, f.head, c, of_q * from[c]);
    for (Index c = f.d; c < width; ++c) from[c] *= of_u;
  });
  T* weighted = cpu.template kernel_memory<T>(f.keys * f.dv);
  cpu.parallel_for(f.keys, 2 * width, [&](Index row) {
    const T *from = dkeys + row * width, *v = f.values(op).row(row), slope = of_v * dbiases[row];
    if (slots.dk)
      for (Index c = 0; c < f.d; ++c) slots.dk.put(row, f.head, c, from[c]);
    for (Index c = 0; c < f.dv; ++c) {
      if (slots.dv) slots.dv.put(row, f.head, c, from[f.d + c] - slope * f.projected[row * f.dv + c]);
      weighted[row * f.dv + c] = -slope * v[c];
    }
  });
  const Matrix<const T> dt{dqueries + f.d, width};
  if (du) multiply<T>(cpu, f.rows, features, f.dv, dt, f.weight(op).transposed(), {du.data, features}, du.add);
  if (!dw) return;
  const Matrix<T> target{dw.data + f.head * f.dv, op.output.cols()};
  T* moments = cpu.template kernel_memory<T>(f.dv * f.dv);
  multiply<T>(cpu, features, f.dv, f.rows, Matrix<const T>{op.u.data, features}.transposed(), dt, target, true);
  multiply<T>(cpu, f.dv, f.dv, f.keys, f.values(op).transposed(), {weighted, f.dv}, {moments, f.dv}, false);
  multiply<T>(cpu, features, f.dv, f.dv, f.weight(op), {moments, f.dv}, target, true);
}

}  // namespace neuroinhib::ops::inform::inline NEUROINHIB_TARGET

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T, class Flash>
void inform_backward(Cpu<T>& cpu, const AttentionInform<T>& op, Flash&& flash) {
  const ArenaScope scope(cpu.arena());
  const Index rows = op.y.rows(), keys = op.e.rows(), experts = op.e.cols(), width = op.width();
  T* delta = cpu.template kernel_memory<T>(rows);
  T* dqueries = cpu.template kernel_memory<T>(rows * width);
  T* dkeys = cpu.template kernel_memory<T>(keys * width);
  T* dbiases = cpu.template kernel_memory<T>(keys);
  T* row_sums = cpu.template kernel_memory<T>(rows);

  // Columns of one tensor are claimed together.
  const auto of_q = cleared_slot(cpu, op.q.tensor);
  const auto of_k = cleared_slot(cpu, op.k.tensor), of_v = cleared_slot(cpu, op.v.tensor);
  const auto dw = cleared_slot(cpu, op.output);
  const auto da = op.counted() > 1 ? cleared_slot(cpu, op.attention_log_sum) : GradientSlot<T>{};
  const auto drelative = cleared_slot(cpu, op.relative);
  auto du = op.u.claim_gradient(), de = op.covers_keys() ? op.e.claim_gradient() : cleared_slot(cpu, op.e);
  const FlashGradient<T> slots = op.columns(of_q, of_k, of_v);

  FlashAttention<T> whole = op.flash(nullptr, nullptr, nullptr, 0);
  whole.y = {op.y.data, experts, 0};
  flash::inner_products<T>(cpu, whole, {op.y.gradient, experts, 0}, delta);
  for (Index at = 0; at < op.counted(); ++at) {
    const ArenaScope head_scope(cpu.arena());
    const inform::Factors<T> f(cpu, op, inform::number(op.head, at));
    FlashGradient<T> g = op.gradient(at, delta, dqueries, dkeys, dbiases, de);
    if (da) g.row_sum = {row_sums, 1, 0};
    if (!op.covers_keys()) {
      cpu.fill(dkeys, keys * width, T{0});
      cpu.fill(dbiases, keys, T{0});
    }
    if (drelative) {
      const Index span = op.relative.cols() / op.heads;
      g.drelative = {drelative, f.head * span, op.relative.cols()};
    }
    flash.backward(inform::flash(op, f, at), g);
    if (g.row_sum) cpu.parallel_for(rows, [&](Index row) { da.put(row * op.heads + f.head, -row_sums[row]); });
    inform::pass_on(cpu, op, f, dqueries, dkeys, dbiases, slots, du, dw);
    du.add = de.add = true;
  }
}
template <class T>
void backward(Cpu<T>& cpu, const AttentionInform<T>& op) {
  inform_backward(cpu, op, flash::CpuFlash<T>{cpu});
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
