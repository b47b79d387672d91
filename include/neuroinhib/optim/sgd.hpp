#pragma once

#include <string>

#include <neuroinhib/optim/all_ranks.hpp>
#include <neuroinhib/optim/own_parameters.hpp>
#include <neuroinhib/optim/update_count.hpp>

namespace neuroinhib {

/// Of Sgd; the defaults are torch.optim.SGD's, with a learning rate.
struct SgdOptions {
  double learning_rate = 1e-2;  ///< ≥ 0
  double momentum = 0;          ///< in [0, 1)
  bool nesterov = false;        ///< Nesterov's momentum
  double weight_decay = 0;      ///< of the gradient, ≥ 0
};

/// Stochastic gradient descent with momentum, by torch.optim.SGD's rule (no dampening).
template <class T>
class Sgd {
 public:
  /// What a checkpoint keeps.
  struct State {
    Storage<T> velocity;  ///< laid out as the parameters
    UpdateCount steps;    ///< updates so far
  };

  /// `shard`: of a sharded optimizer, made by shard_of(). Throws ConfigError for options outside their range.
  Sgd(const Parameters<T>& parameters, const SgdOptions& options, const Shard& shard = {})
      : options_(options), own_("Sgd", parameters, shard) {
    const SgdOptions& o = options;
    require_option("Sgd", "learning_rate", o.learning_rate, detail::is_rate(o.learning_rate), "≥ 0", "begin with 0.01");
    require_option("Sgd", "momentum", o.momentum, o.momentum >= 0 && o.momentum < 1, "in [0, 1)", "0.9 is usual");
    require_option("Sgd", "weight_decay", o.weight_decay, detail::is_rate(o.weight_decay), "≥ 0", "0 is without decay");
    state_.velocity = Storage<T>(parameters.space());
    state_.velocity.assign_zeros(own_.shard().count());
    state_.steps = UpdateCount(parameters.space(), own_.shard().windows());
  }

  /// One update from the gradients (on several ranks, their sum), at `factor` times the learning rate; then the
  /// gradients start from zero again. Throws ConfigError for other parameters than the constructor's, and for a backend
  /// that cannot read them.
  template <class B>
  void step(B& backend, Parameters<T>& parameters, double factor = 1) {
    own_.require("Sgd", backend, parameters);
    const SgdOptions& o = options_;
    detail::update(backend, parameters, shard(), [&](T* values, const T* gradient, Index count, Index part, Index at) {
      return ops::SgdUpdate<T>{{values, state_.velocity.data() + at},
                               gradient,
                               count,
                               o.learning_rate,
                               o.momentum,
                               o.weight_decay,
                               o.nesterov,
                               {factor, state_.steps.data(part)}};
    });
  }

  /// Velocity and updates, to be saved or restored.
  [[nodiscard]] State& state() { return state_; }
  /// The elements of the parameters whose moments are here: all, unless it is sharded.
  [[nodiscard]] const Shard& shard() const { return own_.shard(); }
  /// As the constructor got them.
  [[nodiscard]] const SgdOptions& options() const { return options_; }

 private:
  SgdOptions options_;
  detail::OwnParameters<T> own_;
  State state_;
};

}  // namespace neuroinhib
