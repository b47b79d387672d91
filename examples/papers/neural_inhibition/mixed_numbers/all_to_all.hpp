#pragma once

#include "network.hpp"

namespace mixed_numbers {

/// Row "all-to-all": MoeNetwork with its three layers gated by one another: the image's features, the router's hidden
/// vector and the experts' output (Neural Inhibition, sections 3.1 and 6.1, which leave it as future work).
template <class Recipe, class T>
struct AllToAllNetwork {
  using Scalar = T;
  using Router = typename TwoLayerRouter<typename Recipe::Activation>::template Module<T>;
  using Mix = typename Recipe::Mix::template Module<T>;
  using Experts = typename Mlp<typename Recipe::Activation>::template Module<T>;
  Body<T> body;
  Router router;
  Mix mix;
  Experts experts;
  nn::Linear<T> output;
  AllToAll<T> inhibition;

  explicit AllToAllNetwork(const Sizes& s)
      : body(s),
        router({.hidden = s.hidden}, s.features(), s.experts),
        mix({}, MixSizes{s.hidden, s.experts}),
        experts({.output = Recipe::kExpertOutput}, ExpertSizes{s.features(), s.hidden, s.experts, {s.hidden}}),
        output(s.hidden, kClasses),
        inhibition({s.features(), s.hidden, s.hidden}) {}

  void visit(auto&& v) {
    v("body", body);
    v("router", router);
    v("mix", mix);
    v("experts", experts);
    v("output", output);
    v("inhibition", inhibition);
  }
  template <Executor Ex>
  [[nodiscard]] Tensor<T> logits(Ex& ex, const Tensor<T>& images) const {
    auto pass = inhibition.begin(ex);
    const Tensor<T> features = pass.inhibit(layer_norm<Ex>(ex, body.forward(ex, images).features));
    const auto scores = router.scores(ex, pass.inhibit(router.gated(ex, features)));
    const auto routing = mix.route(ex, scores, ScoreKind::logits);
    const Tensor<T> of_experts = experts.forward(ex, features, routing.plan);
    return output(ex, pass.inhibit(combine(ex, of_experts, routing.gates, routing.plan)));
  }
  template <Executor Ex>
  [[nodiscard]] Tensor<T> loss(Ex& ex, const Tensor<T>& logits, const View<int>& labels) const {
    return Recipe::loss(ex, logits, labels);
  }
};

}  // namespace mixed_numbers
