#pragma once

#include <vector>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/core/parameters.hpp>

namespace neuroinhib {

struct SgdOptions {
  double learning_rate = 1e-2;
  double momentum = 0;
  bool nesterov = false;
  double weight_decay = 0;
};

/// Stochastic gradient descent with momentum, by torch.optim.SGD's rule (no dampening).
template <class T>
class Sgd {
 public:
  struct State {
    std::vector<T> velocity;
    Index steps = 0;
  };

  /// Throws ConfigError for options outside their range.
  Sgd(const Parameters<T>& parameters, const SgdOptions& options) : options_(options) {
    if (!(options.learning_rate >= 0) || !(options.momentum >= 0 && options.momentum < 1) ||
        !(options.weight_decay >= 0))
      fail<ConfigError>("Sgd", "rates ≥ 0 and momentum in [0, 1)", "one outside its range", "correct the options");
    state_.velocity.assign(static_cast<std::size_t>(parameters.size()), T{0});
  }

  /// One update from the gradients, at `factor` times the learning rate; then the gradients start from zero again.
  void step(Cpu<T>& cpu, Parameters<T>& parameters, double factor = 1) {
    ++state_.steps;
    const T rate = static_cast<T>(options_.learning_rate * factor), momentum = static_cast<T>(options_.momentum);
    const T decay = static_cast<T>(options_.weight_decay);
    const bool nesterov = options_.nesterov;
    T* const __restrict value = parameters.values().data;
    const T* const __restrict gradient = parameters.gradients().data;
    T* const __restrict velocity = state_.velocity.data();
    cpu.parallel_blocks(parameters.size(), kBlock, [=](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) {
        const T g = gradient[i] + decay * value[i];
        velocity[i] = momentum * velocity[i] + g;
        value[i] -= rate * (nesterov ? g + momentum * velocity[i] : velocity[i]);
      }
    });
    parameters.zero_gradients();
  }

  [[nodiscard]] State& state() { return state_; }
  [[nodiscard]] const SgdOptions& options() const { return options_; }

 private:
  static constexpr Index kBlock = 16384;

  SgdOptions options_;
  State state_;
};

}  // namespace neuroinhib
