#pragma once

#include <cmath>
#include <string>

#include <neuroinhib/nn/linear.hpp>
#include <neuroinhib/ops/elementwise/op.hpp>
#include <neuroinhib/ops/l2_normalise/op.hpp>
#include <neuroinhib/ops/learned_scale/op.hpp>
#include <neuroinhib/routing/router.hpp>

namespace neuroinhib {

/// r_k(u) = cos(P u, E_k) / t: a low-dimensional projection P against expert embeddings E on the sphere, with a learned
/// temperature t (X-MoE, Chi et al. 2022). Inhibition acts on z = P u.
struct XMoeRouter {
  static constexpr ScoreKind kScoreKind = ScoreKind::logits;
  struct Config {
    Index dimension = 8;              ///< of the sphere's space
    double temperature = 0.5;         ///< t at the start
    double min_temperature = 0.01;    ///< least t, so that training cannot make logits overflow
    bool learned_temperature = true;  ///< whether t is trained
    bool normalise_input = true;      ///< the reference code of Mutual-Inform's base leaves P u as it is
  };

  template <class T>
  struct Module {
    nn::Linear<T> project;    ///< P
    Parameter<T> embedding;   ///< E [experts, dimension]
    Parameter<T> log_factor;  ///< log 1/t
    Config config;            ///< as the layer was given

    /// Throws ConfigError unless the dimension and the temperatures are positive.
    Module(const Config& options, Index features, Index experts)
        : project(features, options.dimension, false, LinearUse::routing),
          embedding({experts, options.dimension}, init::normal(1)),
          log_factor({1}, init::constant(-std::log(options.temperature))),
          config(options) {
      const Config& o = options;
      require_option("X-MoE router", "dimension", o.dimension, o.dimension >= 1, "≥ 1", "the paper's is 8");
      require_option("X-MoE router", "temperature", o.temperature, std::isfinite(o.temperature) && o.temperature > 0,
                     "> 0", "begin with 0.5");
      require_option("X-MoE router", "min_temperature", o.min_temperature,
                     std::isfinite(o.min_temperature) && o.min_temperature > 0, "> 0",
                     "0.01 keeps the learned temperature from vanishing");
    }
    void visit(auto&& v) {
      v("project", project);
      v("embedding", embedding);
      if (config.learned_temperature) v("log_factor", log_factor);
    }
    [[nodiscard]] Index gated_width() const { return config.dimension; }
    template <Executor Ex>
    [[nodiscard]] Tensor<T> gated(Ex& ex, const Tensor<T>& x) const {
      return project(ex, x);
    }
    template <Executor Ex>
    [[nodiscard]] RouterOutput<T> scores(Ex& ex, const Tensor<T>& z) const {
      const Tensor<T> hidden = config.normalise_input ? l2_normalise(ex, z) : z;
      const Tensor<T> cosines = linear(ex, hidden, l2_normalise<Ex>(ex, embedding), {}, LinearUse::routing);
      if (config.learned_temperature)
        return {learned_scale<Ex>(ex, cosines, log_factor, -std::log(config.min_temperature)), hidden};
      return {scale(ex, cosines, 1 / config.temperature), hidden};
    }
  };
};

}  // namespace neuroinhib
