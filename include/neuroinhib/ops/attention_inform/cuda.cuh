#pragma once

#include <concepts>

#include <neuroinhib/ops/attention/cuda.cuh>
#include <neuroinhib/ops/attention_inform/op.hpp>
#include <neuroinhib/ops/linear/cuda_narrow.cuh>

namespace neuroinhib::ops {
namespace inform {

using similarity::HeadNumber;

/// Queries, keys and biases of one head, in the step's memory, with W_h and, for the backward pass, v and v G (G =
/// WᵀW).
template <class T>
struct CudaFactors {
  HeadNumber head;
  Index rows, keys, d, dv, width, features;
  T *queries, *keys_values, *biases, *weight, *values, *projected;

  CudaFactors(Cuda<T>& cuda, const AttentionInform<T>& op, Index number)
      : head{op.head.data, static_cast<int>(number)},
        rows(op.y.rows()),
        keys(op.e.rows()),
        d(op.head_width()),
        dv(op.value_width()),
        width(op.width()),
        features(op.u.cols()) {
    const auto memory = [&](Index count) { return cuda.template kernel_memory<T>(count); };
    queries = memory(rows * width);
    keys_values = memory(keys * width);
    biases = memory(keys);
    weight = memory(features * dv);
    values = memory(keys * dv);
    projected = memory(keys * dv);
    gather(cuda, op);
    const ArenaScope scope(cuda.device_arena());
    T *gram = memory(dv * dv), *of_u = memory(rows * dv);
    multiply(cuda, false, false, rows, dv, features, op.u.data, weight, of_u, false);
    multiply(cuda, true, false, dv, dv, features, weight, weight, gram, false);
    multiply(cuda, false, false, keys, dv, dv, values, gram, projected, false);
    finish(cuda, op, of_u);
  }
  /// c [m, n] (+)= op(a) op(b), all in one piece. Exact: these products are small, and routing is made of them.
  static void multiply(Cuda<T>& cuda, bool transpose_a, bool transpose_b, Index m, Index n, Index k, const T* a,
                       const T* b, T* c, bool add) {
    flash::multiply_each<T>(cuda, 1, transpose_a, transpose_b, m, n, k, {a, transpose_a ? m : k, 0},
                            {b, transpose_b ? k : n, 0}, {c, n, 0}, add, true);
  }

  // For the constructor: nvcc wants functions with device lambdas to be public.
  /// The head's columns of W_O and v, each in one piece.
  void gather(Cuda<T>& cuda, const AttentionInform<T>& op) {
    const CudaFactors f = *this;
    const T *output = op.output.data, *v = op.v.tensor.data + op.v.first;
    const Index output_stride = op.output.cols(), v_stride = op.v.tensor.cols();
    cuda.parallel_grid(features, dv, [=] __device__(Index row, Index c) {
      f.weight[row * f.dv + c] = output[row * output_stride + f.head() * f.dv + c];
    });
    cuda.parallel_grid(keys, dv, [=] __device__(Index row, Index c) {
      f.values[row * f.dv + c] = v[row * v_stride + f.head() * f.dv + c];
    });
  }
  void finish(Cuda<T>& cuda, const AttentionInform<T>& op, const T* of_u) {
    const CudaFactors f = *this;
    const T on_u = op.factor / op.variance, on_q = 1 / std::sqrt(static_cast<T>(d)), on_bias = -op.factor * on_u / 2;
    const auto q = columns_of(op.q.tensor, op.q.first, d), k = columns_of(op.k.tensor, op.k.first, d);
    cuda.parallel_grid(rows, width, [=] __device__(Index row, Index c) {
      f.queries[row * f.width + c] = c < f.d ? on_q * q.at(row, f.head())[c] : on_u * of_u[row * f.dv + c - f.d];
    });
    cuda.parallel_rows(keys, width, [=] __device__(Index row, const detail::Team<T>& team) {
      T length = 0;
      for (Index c = team.lane; c < f.width; c += team.size) {
        const Index at = row * f.dv + c - f.d;
        f.keys_values[row * f.width + c] = c < f.d ? k.at(row, f.head())[c] : f.values[at];
        if (c >= f.d) length += f.values[at] * f.projected[at];
      }
      length = team.sum(length);
      if (team.lane == 0) f.biases[row] = on_bias * length;
    });
  }
};

/// The attention of the head at place `at` on Hopper's matrix unit, which reads q, k and v where they are.
template <std::same_as<Cuda<float>> B>
void run_on_wgmma(B& cuda, const AttentionInform<float>& op, const FlashAttention<float>& s, Index at) {
  const ArenaScope scope(cuda.device_arena());
  const Index rows = op.y.rows(), d = op.head_width(), dv = op.value_width(), features = op.u.cols();
  const Index padded = similarity::QuadraticBias::padded(dv);
  const HeadNumber head{op.head.data, static_cast<int>(at)};
  const auto memory = [&](Index count) { return cuda.template kernel_memory<float>(count); };
  float *const weight = memory(dv * features), *const gram = memory(dv * padded), *const of_u = memory(rows * dv);
  const float* const output = op.output.data;
  const Index stride = op.output.cols();
  const auto of_head = [=] __device__(Index row, Index c) { return output[row * stride + head() * dv + c]; };
  const auto gathered = detail::elements(
      features * dv, [=] __device__(Index i) { weight[i % dv * features + i / dv] = of_head(i / dv, i % dv); });
  const auto product = [=] __device__(Index row, Index i) {
    const Index c = i % padded;
    return c < dv ? of_head(row, i / padded) * of_head(row, c) : 0.f;
  };
  const auto put = [=] __device__(Index, Index i, float sum) { gram[i] = sum; };
  const detail::ColumnSums<float, detail::kThreads, detail::Chunks, decltype(product), decltype(put)> grams{
      1, dv * padded, {features, features}, product, put};
  cuda.launch_together(gathered, grams);
  if (narrow::suits(cuda, rows, dv))
    narrow::multiply(cuda, {op.u.data, weight, nullptr, of_u, rows, features, dv,
                            reinterpret_cast<std::uintptr_t>(op.u.data) % 16 == 0 && features % 4 == 0});
  else
    CudaFactors<float>::multiply(cuda, false, true, rows, dv, features, op.u.data, weight, of_u, false);
  const float on_u = op.factor / op.variance, on_q = 1 / std::sqrt(static_cast<float>(d));
  const auto rows_of = [](const Columns<float>& columns, Index width) {
    return columns_of(columns.tensor, columns.first, width);
  };
  similarity::run_forward<1>(cuda, similarity::Rows<similarity::PairedRows, similarity::QuadraticBias>{
                                       s,
                                       {rows_of(op.q, d), {of_u, dv, 0}, d, dv, on_q, on_u, head, {}},
                                       {rows_of(op.k, d), rows_of(op.v, dv), d, dv, 1, 1, head, head},
                                       {gram, -op.factor * on_u / 2},
                                       false});
}

/// What the attention's gradients of one head mean for q, k, v, u and W_h.
template <class T>
void pass_on(Cuda<T>& cuda, const AttentionInform<T>& op, const CudaFactors<T>& f, const T* dqueries, const T* dkeys,
             const T* dbiases, const FlashGradient<T>& slots, const GradientSlot<T>& du, const GradientSlot<T>& dw) {
  const T on_q = 1 / std::sqrt(static_cast<T>(f.d)), on_u = op.factor / op.variance, on_v = op.factor * on_u;
  const auto memory = [&](Index count) { return cuda.template kernel_memory<T>(count); };
  T *dt = memory(f.rows * f.dv), *weighted = memory(f.keys * f.dv);
  cuda.parallel_grid(f.rows, f.width, [=] __device__(Index row, Index c) {
    const T value = dqueries[row * f.width + c];
    if (c >= f.d)
      dt[row * f.dv + c - f.d] = on_u * value;
    else if (slots.dq)
      slots.dq.put(row, f.head(), c, on_q * value);
  });
  cuda.parallel_grid(f.keys, f.width, [=] __device__(Index row, Index c) {
    const T value = dkeys[row * f.width + c], slope = on_v * dbiases[row];
    const Index at = row * f.dv + c - f.d;
    if (c < f.d) {
      if (slots.dk) slots.dk.put(row, f.head(), c, value);
      return;
    }
    if (slots.dv) slots.dv.put(row, f.head(), c - f.d, value - slope * f.projected[at]);
    weighted[at] = -slope * f.values[at];
  });
  if (du) CudaFactors<T>::multiply(cuda, false, true, f.rows, f.features, f.dv, dt, f.weight, du.data, du.add);
  if (!dw) return;
  T *moments = memory(f.dv * f.dv), *of_weight = memory(f.features * f.dv);
  CudaFactors<T>::multiply(cuda, true, false, f.features, f.dv, f.rows, op.u.data, dt, of_weight, false);
  CudaFactors<T>::multiply(cuda, true, false, f.dv, f.dv, f.keys, f.values, weighted, moments, false);
  CudaFactors<T>::multiply(cuda, false, false, f.features, f.dv, f.dv, f.weight, moments, of_weight, true);
  const Index stride = op.output.cols();
  cuda.parallel_grid(f.features, f.dv, [=] __device__(Index row, Index c) {
    dw.put(row * stride + f.head() * f.dv + c, of_weight[row * f.dv + c]);
  });
}

}  // namespace inform

/// `flash` does a head's work.
template <class T, class Flash>
void inform_forward(Cuda<T>& cuda, const AttentionInform<T>& op, Flash&& flash) {
  const ArenaScope scope(cuda.device_arena());
  const Index rows = op.y.rows(), experts = op.e.cols(), counted = op.counted();
  const bool joined = counted > 1;
  const auto memory = [&](Index count) { return cuda.template kernel_memory<T>(count); };
  T* parts = joined ? memory(counted * rows * experts) : op.y.data;
  T* log_sums = joined ? memory(counted * rows) : op.log_sum.data;
  T* entropies = joined ? memory(counted * rows) : op.entropy.data;
  T* selves = joined ? memory(counted * rows) : op.self.data;
  for (Index at = 0; at < counted; ++at) {
    const ArenaScope head_scope(cuda.device_arena());
    const auto results_in = [&](FlashAttention<T> s) {
      s.y = {parts + at * rows * experts, experts, 0};
      s.log_sum = {log_sums + at * rows, 1, 0};
      s.entropy = {entropies + at * rows, 1, 0};
      s.self = {selves + at * rows, 1, 0};
      return s;
    };
    if constexpr (std::is_same_v<Flash, flash::CudaFlash<float>>)
      if (const auto s = results_in(op.flash(nullptr, nullptr, nullptr, at)); similarity::suits(cuda, s)) {
        inform::run_on_wgmma(cuda, op, s, at);
        continue;
      }
    const inform::CudaFactors<T> f(cuda, op, at);
    flash.forward(results_in(op.flash(f.queries, f.keys_values, f.biases, at)));
  }
  if (!joined) return;
  const T* attention = op.attention_log_sum.data;
  flash::join(
      cuda, flash::Parts<T>{counted, rows, experts, parts, entropies, selves},
      [=] __device__(Index h, Index row) { return log_sums[h * rows + row] - attention[row * counted + h]; },
      [=] __device__(Index row, Index k, T value) { op.y[row * experts + k] = value; },
      [=] __device__(Index row, T total, T entropy, T self) {
        for (Index h = 0; h < counted; ++h) op.log_sum[row * counted + h] = total + attention[row * counted + h];
        op.entropy[row] = entropy;
        op.self[row] = self;
      });
}

template <class T>
void forward(Cuda<T>& cuda, const AttentionInform<T>& op) {
  refuse_relative(op);
  inform_forward(cuda, op, flash::CudaFlash<T>{cuda});
}

template <class T, class Flash>
void inform_backward(Cuda<T>& cuda, const AttentionInform<T>& op, Flash&& flash) {
  const ArenaScope scope(cuda.device_arena());
  const Index rows = op.y.rows(), keys = op.e.rows(), experts = op.e.cols(), width = op.width(), heads = op.heads;
  const auto memory = [&](Index count) { return cuda.template kernel_memory<T>(count); };
  T *delta = memory(rows), *dqueries = memory(rows * width), *dkeys = memory(keys * width), *dbiases = memory(keys);
  T* row_sums = memory(rows);

  // Columns of one tensor are claimed together.
  const auto of_q = cleared_slot(cuda, op.q.tensor);
  const auto of_k = cleared_slot(cuda, op.k.tensor), of_v = cleared_slot(cuda, op.v.tensor);
  const auto dw = cleared_slot(cuda, op.output);
  const auto da = op.counted() > 1 ? cleared_slot(cuda, op.attention_log_sum) : GradientSlot<T>{};
  auto du = op.u.claim_gradient(), de = op.covers_keys() ? op.e.claim_gradient() : cleared_slot(cuda, op.e);
  const FlashGradient<T> slots = op.columns(of_q, of_k, of_v);

  FlashAttention<T> whole = op.flash(nullptr, nullptr, nullptr, 0);
  whole.y = {op.y.data, experts, 0};
  flash::inner_products<T>(cuda, whole, {op.y.gradient, experts, 0}, nullptr, delta);
  for (Index at = 0; at < op.counted(); ++at) {
    const ArenaScope head_scope(cuda.device_arena());
    const inform::CudaFactors<T> f(cuda, op, at);
    FlashGradient<T> g = op.gradient(at, delta, dqueries, dkeys, dbiases, de);
    if (da) g.row_sum = {row_sums, 1, 0};
    if (!op.covers_keys()) {
      cuda.fill(dkeys, keys * width, T{0});
      cuda.fill(dbiases, keys, T{0});
    }
    flash.backward(op.flash(f.queries, f.keys_values, f.biases, at), g);
    if (da) cuda.parallel_for(rows, [=] __device__(Index row) { da.put(row * heads + at, -row_sums[row]); });
    inform::pass_on(cuda, op, f, dqueries, dkeys, dbiases, slots, du, dw);
    du.add = de.add = true;
  }
}
template <class T>
void backward(Cuda<T>& cuda, const AttentionInform<T>& op) {
  inform_backward(cuda, op, flash::CudaFlash<T>{cuda});
}

}  // namespace neuroinhib::ops
