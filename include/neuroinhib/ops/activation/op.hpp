#pragma once

#include <string_view>

#include <neuroinhib/backend/executor.hpp>

namespace neuroinhib {

/// Functions f that layers apply elementwise. Each has a struct of its name with its `kind`, as policies' template
/// arguments: TwoLayerRouter<Tanh>, Mlp<Relu>.
enum class Activation { identity, relu, tanh, sigmoid, gelu, silu, softplus, log_sigmoid };

/// The name of an activation, as in "log_sigmoid".
[[nodiscard]] constexpr std::string_view text_of(Activation kind) {
  constexpr std::string_view kTexts[]{"identity", "relu", "tanh", "sigmoid", "gelu", "silu", "softplus", "log_sigmoid"};
  return kTexts[static_cast<int>(kind)];
}

/// x itself.
struct Identity {
  static constexpr Activation kind = Activation::identity;
};
/// max(x, 0).
struct Relu {
  static constexpr Activation kind = Activation::relu;
};
/// tanh x.
struct Tanh {
  static constexpr Activation kind = Activation::tanh;
};
/// σ(x) = 1 / (1 + exp(−x)).
struct Sigmoid {
  static constexpr Activation kind = Activation::sigmoid;
};
/// x Φ(x), with the exact normal distribution function (Hendrycks and Gimpel 2016).
struct Gelu {
  static constexpr Activation kind = Activation::gelu;
};
/// x σ(x), also called swish.
struct Silu {
  static constexpr Activation kind = Activation::silu;
};
/// log(1 + exp x).
struct Softplus {
  static constexpr Activation kind = Activation::softplus;
};
/// log σ(x).
struct LogSigmoid {
  static constexpr Activation kind = Activation::log_sigmoid;
};

/// Whether f′(x) can be had from f(x) alone, so that an operation may apply f in place.
[[nodiscard]] constexpr bool derivative_from_output(Activation kind) {
  return kind == Activation::identity || kind == Activation::relu || kind == Activation::tanh ||
         kind == Activation::sigmoid;
}

namespace ops {

/// y = f(x), or y = f(x) ⊙ other where `other` is given (GLU variants, Shazeer 2020). All of one shape.
/// dx = dy ⊙ f′(x) [⊙ other],  dother = dy ⊙ f(x).
template <class T>
struct Activate {
  static constexpr const char* name = "activation";
  Tensor<T> x, other, y;
  Activation kind;  ///< f
};

}  // namespace ops

/// f(x), elementwise; any shape.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> activate(Ex& ex, const TensorOf<Ex>& x, Activation kind) {
  if (kind == Activation::identity) return x;
  auto y = ex.tensor(x.shape, x.wants_gradient());
  ex.run(ops::Activate<ScalarOf<Ex>>{x, {}, y, kind});
  return y;
}

/// f(x) ⊙ other: the hidden layer of a gated expert.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> gated_activation(Ex& ex, const TensorOf<Ex>& x, const TensorOf<Ex>& other, Activation kind) {
  require_shape("gated activation", x.shape, other.shape, "make both halves with layers of one width");
  auto y = ex.tensor(x.shape, any_wants_gradient(x, other));
  ex.run(ops::Activate<ScalarOf<Ex>>{x, other, y, kind});
  return y;
}

}  // namespace neuroinhib
