#pragma once

#include <type_traits>

#include <neuroinhib/ops/activation/scalar.hpp>
#include <neuroinhib/ops/map/cpu.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

/// Calls use(kind) with the kind as a constant.
template <class Use>
void with_constant(Activation kind, const Use& use) {
  const auto as = [&]<Activation kKind>() { use(std::integral_constant<Activation, kKind>{}); };
  switch (kind) {
    case Activation::identity: return as.template operator()<Activation::identity>();
    case Activation::relu: return as.template operator()<Activation::relu>();
    case Activation::tanh: return as.template operator()<Activation::tanh>();
    case Activation::sigmoid: return as.template operator()<Activation::sigmoid>();
    case Activation::gelu: return as.template operator()<Activation::gelu>();
    case Activation::silu: return as.template operator()<Activation::silu>();
    case Activation::softplus: return as.template operator()<Activation::softplus>();
    case Activation::log_sigmoid: return as.template operator()<Activation::log_sigmoid>();
  }
}

/// f over `count` elements; x and y may be the same.
template <class T>
void apply_activation(Activation kind, const T* x, T* y, Index count) {
  with_constant(kind, [&](auto constant) {
    for_each_line<T>(
        count, [&](Index i, auto lanes) { activation_of(constant, Lanes<T>::load(x + i, lanes)).store(y + i, lanes); });
  });
}

/// dx = dy ⊙ f′, from the output; kinds with derivative_from_output.
template <class T>
void times_slope(Activation kind, const T* dy, const T* y, T* dx, Index count) {
  for_each_line<T>(count, [&](Index i, auto lanes) {
    const auto slope = slope_from_output(kind, Lanes<T>::load(y + i, lanes));
    (Lanes<T>::load(dy + i, lanes) * slope).store(dx + i, lanes);
  });
}

/// dx from y, where that is enough, or from x, and dy.
struct ActivationGradient {
  static constexpr int kInputs = 2, kOutputs = 1;
  static constexpr bool kVectorised = true;
  Activation kind;

  template <class X>
  Partials<X, 1> operator()(const X* x) const {
    return {{x[1] * (derivative_from_output(kind) ? slope_from_output(kind, x[0]) : slope_from_input(kind, x[0]))}};
  }
};

/// dother and dx from x, other and dy.
struct GatedActivationGradients {
  static constexpr int kInputs = 3, kOutputs = 2;
  static constexpr bool kVectorised = true;
  Activation kind;

  template <class X>
  Partials<X, 2> operator()(const X* x) const {
    return {{x[2] * activation_of(kind, x[0]), x[2] * slope_from_input(kind, x[0]) * x[1]}};
  }
};

template <class T>
void forward(Cpu<T>& cpu, const Activate<T>& op) {
  cpu.parallel_blocks(op.x.size(), cost::exponential, kElementBlock, [&](Index begin, Index end) {
    apply_activation(op.kind, op.x.data + begin, op.y.data + begin, end - begin);
    if (op.other.defined())
      for (Index i = begin; i < end; ++i) op.y[i] *= op.other[i];
  });
}

template <class T>
void backward(Cpu<T>& cpu, const Activate<T>& op) {
  const View<const T> dy{op.y.gradient, op.y.shape}, source = derivative_from_output(op.kind) ? op.y : op.x;
  const auto dother = op.other.claim_gradient();
  const auto dx = op.x.claim_gradient();
  if (op.other.defined())
    evaluate(cpu, Operands<T, 3>(op.y.shape, {op.x, op.other, dy}), GatedActivationGradients{op.kind}, {dother, dx});
  else
    evaluate(cpu, Operands<T, 2>(op.y.shape, {source, dy}), ActivationGradient{op.kind}, {dx});
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
