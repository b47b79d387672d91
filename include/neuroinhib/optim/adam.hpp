#pragma once

#include <neuroinhib/optim/all_ranks.hpp>
#include <neuroinhib/optim/own_parameters.hpp>
#include <neuroinhib/optim/update_count.hpp>

namespace neuroinhib {

/// Of Adam; the defaults are torch.optim.Adam's.
struct AdamOptions {
  double learning_rate = 1e-3;  ///< ≥ 0
  double beta1 = 0.9;           ///< decay of the first moment, in [0, 1)
  double beta2 = 0.999;         ///< decay of the second moment, in [0, 1)
  double epsilon = 1e-8;        ///< added to the second moment's root
  double weight_decay = 0;      ///< ≥ 0; of the gradient, or of the weights where `decoupled`
  bool decoupled = false;       ///< AdamW (Loshchilov and Hutter 2019): decay the weights, not the gradient
};

/// Options of AdamW; the default is torch.optim.AdamW's.
[[nodiscard]] inline AdamOptions adamw(double learning_rate, double weight_decay = 0.01) {
  return {.learning_rate = learning_rate, .weight_decay = weight_decay, .decoupled = true};
}

/// Adam (Kingma and Ba 2015) over the flat buffers, with torch.optim.Adam's rule and defaults.
template <class T>
class Adam {
 public:
  /// What a checkpoint keeps.
  struct State {
    Storage<T> first, second;  ///< the moments, laid out as the parameters
    UpdateCount steps;         ///< updates so far
  };

  /// `shard`: of a sharded optimizer, made by shard_of(). Throws ConfigError for options outside their range.
  Adam(const Parameters<T>& parameters, const AdamOptions& options, const Shard& shard = {})
      : options_(options), own_("Adam", parameters, shard) {
    const AdamOptions& o = options;
    const auto require = [](const char* name, double value, bool in_range, const char* range, const char* remedy) {
      require_option("Adam", name, value, in_range, range, remedy);
    };
    require("learning_rate", o.learning_rate, detail::is_rate(o.learning_rate), "≥ 0", "begin with 0.001");
    require("beta1", o.beta1, in_unit(o.beta1), "in [0, 1)", "the paper's is 0.9");
    require("beta2", o.beta2, in_unit(o.beta2), "in [0, 1)", "the paper's is 0.999");
    require("epsilon", o.epsilon, detail::is_rate(o.epsilon) && o.epsilon > 0, "> 0", "the paper's is 1e-8");
    require("weight_decay", o.weight_decay, detail::is_rate(o.weight_decay), "≥ 0", "0 is without decay");
    state_.first = Storage<T>(parameters.space());
    state_.first.assign_zeros(own_.shard().count());
    state_.second = state_.first;
    state_.steps = UpdateCount(parameters.space(), own_.shard().windows());
  }

  /// One update from the gradients (on several ranks, their sum), at `factor` times the learning rate; then the
  /// gradients start from zero again. Throws ConfigError for other parameters than the constructor's, and for a backend
  /// that cannot read them.
  template <class B>
  void step(B& backend, Parameters<T>& parameters, double factor = 1) {
    own_.require("Adam", backend, parameters);
    const AdamOptions& o = options_;
    detail::update(backend, parameters, shard(), [&](T* values, const T* gradient, Index count, Index part, Index at) {
      return ops::AdamUpdate<T>{{values, state_.first.data() + at, state_.second.data() + at},
                                gradient,
                                count,
                                o.learning_rate,
                                o.beta1,
                                o.beta2,
                                o.epsilon,
                                o.weight_decay,
                                o.decoupled,
                                {factor, state_.steps.data(part)}};
    });
  }

  /// Moments and updates, to be saved or restored.
  [[nodiscard]] State& state() { return state_; }
  /// The elements of the parameters whose moments are here: all, unless it is sharded.
  [[nodiscard]] const Shard& shard() const { return own_.shard(); }
  /// As the constructor got them.
  [[nodiscard]] const AdamOptions& options() const { return options_; }

 private:
  static bool in_unit(double beta) { return beta >= 0 && beta < 1; }

  AdamOptions options_;
  detail::OwnParameters<T> own_;
  State state_;
};

}  // namespace neuroinhib
