#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <neuroinhib/backend/backend.hpp>
#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/experts/mlp.hpp>
#include <neuroinhib/inhibition/none.hpp>
#include <neuroinhib/mix/top_m.hpp>
#include <neuroinhib/moe/telemetry.hpp>
#include <neuroinhib/ops/combine/op.hpp>
#include <neuroinhib/ops/elementwise/op.hpp>
#include <neuroinhib/ops/router_losses/op.hpp>
#include <neuroinhib/routing/linear_router.hpp>

namespace neuroinhib {

/// What the experts read.
enum class ExpertInput {
  features,  ///< the un-inhibited features (default, as in the paper)
  inhibited  ///< z*, where it has the features' width: inhibition then acts on router and experts alike
};

/// Weights of the losses that any router and mix can have; zero, as in the papers, turns one off. Padding does not
/// count in them.
struct AuxiliaryWeights {
  double importance = 0;  ///< CV(Σ gates)², Shazeer et al. 2017, eq. 6–7
  double balance = 0;     ///< K Σ f_k P_k, Fedus et al. 2022, eq. 4; needs a mix that forms all probabilities
  double z = 0;           ///< mean (log Σ exp)², Zoph et al. 2022, eq. 5; needs a router that gives logits
};

/// What a layer gives, with what it decided on the way.
template <class T>
struct MoeOutput {
  Tensor<T> y;             ///< [tokens, output]
  Tensor<T> auxiliary;     ///< weighted sum of the auxiliary losses, for the task's; undefined where all are off
  Routing<T> routing;      ///< experts and gates of each token
  RouterOutput<T> router;  ///< the router's scores
  Tensor<T> gated;         ///< z [tokens, gated], before the inhibition
  Inhibited<T> inhibited;  ///< z* and the gate
};

/// What a layer shows to its telemetry at the end of a forward, valid as long as the step.
template <class Router, class T>
struct MoeTrace {
  const typename Router::template Module<T>& router;  ///< whose scores `out` has
  const Tensor<T>& x;                                 ///< [tokens, width]
  const TokenContext<T>& context;                     ///< sequences, words and what else the router saw
  const MoeOutput<T>& out;                            ///< of the forward that ends
};

/// A Mixture-of-Experts layer made of policies: x → router's z → inhibition → scores → mix → experts → y.
template <class Router, class Inhibition = NoInhibition, class Mix = TopM<2>, class Experts = Mlp<Relu>,
          class Backend = Cpu<float>, class Telemetry = NoTelemetry>
class MoeLayer {
  static_assert(detail::is_backend<Backend>());
  static_assert(detail::is_router<Router>());
  static_assert(HasConfig<Inhibition>,
                "an inhibition needs a default-constructible Config; see docs/write-a-policy.md");
  static_assert(InhibitionHasModule<Inhibition>,
                "an inhibition needs a template Module<T>(Config, InhibitionSizes); see docs/write-a-policy.md");
  static_assert(InhibitionInhibits<Inhibition>,
                "an inhibition's Module<T> needs inhibit(executor, z, inputs) const returning Inhibited<T>; "
                "see docs/write-a-policy.md");
  static_assert(InhibitionHasTap<Inhibition>,
                "an inhibition's Module<T> needs tap(executor, name, tensor) const; see docs/write-a-policy.md");
  static_assert(MixHasModule<Mix>, "a mix needs a template Module<T>(Config, MixSizes); see docs/write-a-policy.md");
  static_assert(MixHasRoute<Mix>,
                "a mix's Module<T> needs route(executor, RouterOutput<T>, ScoreKind) const returning Routing<T>; "
                "see docs/write-a-policy.md");
  static_assert(
      detail::kScoreKindOf<Router> == ScoreKind::logits || MixTakesProbabilities<Mix>,
      "the router gives probabilities, and the mix does not say that it takes them: use a mix that does, such "
      "as TopM, or set kTakesProbabilities = true in your own; see docs/write-a-policy.md");
  static_assert(TelemetryPolicy<Telemetry>,
                "telemetry needs kWatches and a default-constructible Config; see docs/report.md");
  static_assert(ExpertHasModule<Experts>,
                "experts need a template Module<T>(Config, ExpertSizes); see docs/write-a-policy.md");
  static_assert(ExpertHasForward<Experts>,
                "an expert Module<T> needs forward(executor, x, plan) const returning Tensor<T>; "
                "see docs/write-a-policy.md");

 public:
  using Scalar = typename Backend::Scalar;

  struct Config {
    Index width = 0;                                   ///< features of a token
    Index experts = 0;                                 ///< K
    std::vector<Index> hidden{};                       ///< widths of an expert's hidden layers
    Index output = 0;                                  ///< width of the output; 0: as the input
    Index shared = 0;                                  ///< further experts that serve every token (DeepSeekMoE)
    ExpertInput expert_input = ExpertInput::features;  ///< what the experts read
    AuxiliaryWeights auxiliary{};                      ///< weights of the auxiliary losses
    typename Router::Config router{};                  ///< of the router
    typename Inhibition::Config inhibition{};          ///< of the inhibition
    typename Mix::Config mix{};                        ///< of the mix
    typename Experts::Config expert{};                 ///< of the experts
    [[no_unique_address]] typename Telemetry::Config telemetry{};  ///< of the telemetry
  };

  /// Its parameters get memory and values from Parameters(layer, seed). Throws ConfigError.
  explicit MoeLayer(const Config& config)
      : config_(checked(config)),
        router_(config.router, config.width, config.experts),
        inhibition_(config.inhibition, inhibition_sizes()),
        mix_(config.mix, MixSizes{hidden_width(), config.experts}),
        experts_(config.expert, ExpertSizes{config.width, output_width(), config.experts, config.hidden}) {
    if (config.shared > 0)
      shared_.emplace(OnEveryRank::config(config.expert),
                      ExpertSizes{config.width, output_width(), config.shared, config.hidden});
    if (config.expert_input == ExpertInput::inhibited && router_.gated_width() != config.width)
      fail<ConfigError>("MoE layer", "a router that gates the features themselves, " + std::to_string(config.width),
                        "one whose gated vector is " + std::to_string(router_.gated_width()) + " wide",
                        "use LinearRouter, or ExpertInput::features");
  }

  void visit(auto&& v) {
    v("router", router_);
    v("inhibition", inhibition_);
    v("mix", mix_);
    v("experts", experts_);
    if (shared_) v("shared", *shared_);
  }

  /// x [tokens ≥ 1, width]; `earlier`: activations for pre-text terms, each with one row a token; `context`: what
  /// routers that look at other tokens need. Throws ShapeError, and ConfigError where the layer's parameters have no
  /// memory yet.
  template <Executor Ex>
  [[nodiscard]] MoeOutput<Scalar> forward(Ex& ex, const Tensor<Scalar>& x, std::span<const Tensor<Scalar>> earlier = {},
                                          TokenContext<Scalar> context = {}) const {
    constexpr bool kOfThisScalar = std::same_as<ScalarOf<Ex>, Scalar>;
    static_assert(kOfThisScalar, "the executor's scalar is not the layer's: match their backends");
    if constexpr (kOfThisScalar)
      return computed(ex, x, earlier, std::move(context));
    else
      return {};
  }

  /// Shows an activation from outside the layer (logits, labels, loss) to the inhibition's post-text memory.
  template <Executor Ex>
  void tap(Ex& ex, std::string_view name, const Tensor<Scalar>& activation) const {
    inhibition_.tap(ex, name, activation);
  }

  /// What the router leaves behind for tokens decoded later: room for `tokens` of each of `sequences`.
  [[nodiscard]] InformCache<Scalar> make_cache(Index sequences, Index tokens, const MemorySpace& space) const {
    InformCache<Scalar> cache;
    if constexpr (requires { Router::kKeepsKeys; }) {
      cache.scores = {sequences, tokens, config_.experts, space};
      if (Router::kKeepsKeys) cache.keys = {sequences, tokens, config_.width, space};
    }
    return cache;
  }

  /// As the constructor got it.
  [[nodiscard]] const Config& config() const { return config_; }

 private:
  template <Executor Ex>
  [[nodiscard]] MoeOutput<Scalar> computed(Ex& ex, const Tensor<Scalar>& x, std::span<const Tensor<Scalar>> earlier,
                                           TokenContext<Scalar> context) const {
    require_width("MoE layer", config_.width, x.shape, "pass tokens of that width, or set Config::width to theirs");
    for (const auto& activation : earlier)
      if (activation.rows() != x.rows())
        fail<ShapeError>("MoE layer, earlier activation", std::to_string(x.rows()) + " rows", activation.shape.text(),
                         "pass activations of the same tokens, one row each");
    MoeOutput<Scalar> out;
    out.gated = router_.gated(ex, x);
    if (!context.counted.defined()) context.counted = count_tokens(ex, x.rows(), context.sequences.document);
    out.inhibited = inhibition_.inhibit(ex, out.gated, {x, out.gated, earlier, context.counted});
    out.router = detail::router_scores(ex, router_, out.inhibited.z, x, context);
    out.routing = route(ex, out.router, context);
    const Tensor<Scalar>& seen = config_.expert_input == ExpertInput::features ? x : out.inhibited.z;
    Tensor<Scalar> shared;
    const auto meanwhile = [&] {
      if (shared_) shared = of_shared(ex, seen);
    };
    if constexpr (requires { experts_.forward(ex, seen, out.routing.plan, meanwhile); }) {
      out.y = combine(ex, experts_.forward(ex, seen, out.routing.plan, meanwhile), out.routing.gates, out.routing.plan);
    } else {
      out.y = detail::combined(ex, experts_, seen, out.routing.gates, out.routing.plan);
      meanwhile();
    }
    if (shared_) out.y = sum(ex, {out.y, shared});
    out.auxiliary = auxiliary(ex, out, context.counted);
    if (out.inhibited.mask.defined()) tap(ex, neuroinhib::tap::mask, out.inhibited.mask);
    tap(ex, neuroinhib::tap::hidden, out.router.hidden);
    tap(ex, neuroinhib::tap::output, out.y);
    if constexpr (Telemetry::kWatches)
      config_.telemetry.observe(ex, MoeTrace<Router, Scalar>{router_, x, context, out});
    return out;
  }
  static const Config& checked(const Config& config) {
    const auto require = [](const std::string& name, Index value, Index least, const char* remedy) {
      require_option("MoE layer", name, value, value >= least, "≥ " + std::to_string(least), remedy);
    };
    require("width", config.width, 1, "set the features of a token");
    require("experts", config.experts, 1, "set the number of experts, K");
    require("shared", config.shared, 0, "0 is without shared experts");
    require("output", config.output, 0, "0 makes the output as wide as the input");
    for (std::size_t i = 0; i < config.hidden.size(); ++i)
      require("hidden[" + std::to_string(i) + "]", config.hidden[i], 1, "leave the width out for a linear expert");
    const AuxiliaryWeights& weights = config.auxiliary;
    for (const auto& [name, weight] : {std::pair<const char*, double>{"auxiliary.importance", weights.importance},
                                       {"auxiliary.balance", weights.balance},
                                       {"auxiliary.z", weights.z}})
      require_option("MoE layer", name, weight, std::isfinite(weight) && weight >= 0, "≥ 0", "0 turns the loss off");
    if (weights.z > 0 && detail::kScoreKindOf<Router> != ScoreKind::logits)
      fail<ConfigError>("MoE layer", "a router that gives logits for the z-loss", "one that gives probabilities",
                        "set auxiliary.z to 0, or use a router of logits, such as LinearRouter");
    return config;
  }
  using OnEveryRank = detail::OnEveryRank<Experts>;

  [[nodiscard]] Index output_width() const { return config_.output > 0 ? config_.output : config_.width; }
  /// A router's hidden vector is the gated one after its activation.
  [[nodiscard]] Index hidden_width() const { return router_.gated_width(); }
  [[nodiscard]] InhibitionSizes inhibition_sizes() const {
    return {config_.width, router_.gated_width(), hidden_width(), output_width()};
  }

  template <Executor Ex>
  Routing<Scalar> route(Ex& ex, const RouterOutput<Scalar>& scores, const TokenContext<Scalar>& context) const {
    if constexpr (requires { mix_.route(ex, scores, detail::kScoreKindOf<Router>, context); })
      return mix_.route(ex, scores, detail::kScoreKindOf<Router>, context);
    else
      return mix_.route(ex, scores, detail::kScoreKindOf<Router>);
  }
  /// Σ_s g_s(u) over the shared experts, without gates.
  template <Executor Ex>
  Tensor<Scalar> of_shared(Ex& ex, const Tensor<Scalar>& x) const {
    const auto all = every_expert(ex, x.rows(), config_.shared);
    return detail::combined(ex, *shared_, x, all.gates, all.plan);
  }

  template <Executor Ex>
  Tensor<Scalar> auxiliary(Ex& ex, const MoeOutput<Scalar>& out, const CountedTokens<Scalar>& counted) const {
    const AuxiliaryWeights& weights = config_.auxiliary;
    const auto weighted = [&](double weight, auto loss) {
      return weight > 0 ? scale(ex, loss(), weight) : Tensor<Scalar>{};
    };
    if (weights.balance > 0 && !out.routing.probabilities.defined())
      fail<ConfigError>("MoE layer", "a mix that forms all probabilities for the balance loss", "one that does not",
                        "use TopM, or set auxiliary.importance instead of auxiliary.balance");
    return sum<Ex>(
        ex, {out.routing.auxiliary,
             weighted(weights.importance,
                      [&] {
                        return once(ex, cv_squared(ex, importance(ex, out.routing.gates, out.routing.plan, counted)));
                      }),
             weighted(weights.balance,
                      [&] { return balance_loss(ex, out.routing.probabilities, out.routing.plan, counted); }),
             weighted(weights.z, [&] { return z_loss(ex, out.router.scores, counted); })});
  }

  Config config_;
  typename Router::template Module<Scalar> router_;
  typename Inhibition::template Module<Scalar> inhibition_;
  typename Mix::template Module<Scalar> mix_;
  typename Experts::template Module<Scalar> experts_;
  std::optional<typename OnEveryRank::Type::template Module<Scalar>> shared_;
};

}  // namespace neuroinhib
