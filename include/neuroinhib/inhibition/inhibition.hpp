#pragma once

#include <concepts>
#include <span>
#include <string_view>

#include <neuroinhib/backend/executor.hpp>
#include <neuroinhib/core/tensor.hpp>
#include <neuroinhib/ops/count_tokens/op.hpp>

/// What inhibition policies have in common. An inhibition acts on z, the vector before the router's scores.
namespace neuroinhib {

/// Widths that an inhibition connects.
struct InhibitionSizes {
  Index features = 0;  ///< of x, the layer's input
  Index gated = 0;     ///< of z
  Index hidden = 0;    ///< of the router's last hidden vector
  Index output = 0;    ///< of the layer's output
};

/// What a gate term may look at.
template <class T>
struct InhibitionInputs {
  Tensor<T> features;                  ///< x [tokens, features]
  Tensor<T> gated;                     ///< z [tokens, gated]
  std::span<const Tensor<T>> earlier;  ///< activations before this layer, each [tokens, …]
  CountedTokens<T> counted{};          ///< tokens that are not padding
};

/// What an inhibition makes of z.
template <class T>
struct Inhibited {
  Tensor<T> z;     ///< z* [tokens, gated]
  Tensor<T> mask;  ///< the gate's σ [tokens, gated]; undefined where the policy has none
};

/// Names under which a layer shows its activations to a post-text memory.
namespace tap {
inline constexpr std::string_view mask = "mask";      ///< the gate's σ
inline constexpr std::string_view hidden = "hidden";  ///< the router's last hidden vector
inline constexpr std::string_view output = "output";  ///< the MoE layer's output
}  // namespace tap

/// Has Module<T>(Config, InhibitionSizes).
template <class P>
concept InhibitionHasModule =
    std::constructible_from<typename P::template Module<float>, const typename P::Config&, const InhibitionSizes&>;

/// Its Module<float> has inhibit(executor, z, inputs).
template <class P>
concept InhibitionInhibits = requires(const typename P::template Module<float>& module, detail::AnyExecutor& ex,
                                      const Tensor<float>& z, const InhibitionInputs<float>& inputs) {
  { module.inhibit(ex, z, inputs) } -> std::same_as<Inhibited<float>>;
};

/// Its Module<float> has tap(executor, name, tensor).
template <class P>
concept InhibitionHasTap = requires(const typename P::template Module<float>& module, detail::AnyExecutor& ex,
                                    const Tensor<float>& activation) { module.tap(ex, tap::output, activation); };

/// A policy struct with a Config and a template Module<T>(Config, InhibitionSizes) that has
/// inhibit(executor, z, inputs) → Inhibited<T>, visit(visitor) for its parameters and tap(executor, name, tensor).
template <class P>
concept InhibitionPolicy = HasConfig<P> && InhibitionHasModule<P> && InhibitionInhibits<P> && InhibitionHasTap<P>;

}  // namespace neuroinhib
