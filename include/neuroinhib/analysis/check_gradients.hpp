#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <neuroinhib/autodiff/recording.hpp>
#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/core/parameters.hpp>

/// Gradients of a user's module against finite differences.
namespace neuroinhib {

/// How check_gradients compares.
struct GradientCheckOptions {
  double step = 1e-5;       ///< of the central differences, relative to values above 1
  double tolerance = 1e-6;  ///< of an element's difference, relative to its gradient
  Index elements = 200;     ///< of a parameter at most, spread evenly; 0: all
  std::uint64_t seed = 1;   ///< of initial values and random numbers
};

/// The element whose gradient is farthest from the finite difference, measured by what is allowed: `element` of the
/// parameter called `parameter`, with its `shape`, the gradient of `backward` and the finite `difference`.
struct GradientCheck {
  std::string parameter;
  Index element = 0;
  Shape shape;
  double backward = 0, difference = 0;
  double excess = 0;   ///< |backward − difference| / what the tolerance and the sums' rounding allow
  Index compared = 0;  ///< elements of all parameters

  /// Whether all that was compared is as close as it must be, and something was.
  [[nodiscard]] bool passed() const { return compared > 0 && excess <= 1; }
  /// For people: what was compared, and the worst element.
  [[nodiscard]] std::string text() const {
    if (compared == 0) return "no gradient was compared: the module has no parameters";
    const auto digits = [](double value) {
      char text[32];
      std::snprintf(text, sizeof text, "%.6g", value);
      return std::string(text);
    };
    return std::to_string(compared) + " elements compared; " + (passed() ? "the farthest" : "WRONG") + ": " +
           parameter + " " + shape.text() + ", element " + std::to_string(element) + ": backward " + digits(backward) +
           ", finite differences " + digits(difference) + " (" + digits(excess) + " of what is allowed)";
  }
};

/// Compares the gradients of loss(ex) → Tensor<double>, a scalar, with central differences, element by element.
/// loss is called on recordings of Cpu<double>, twice an element, each time with the same random numbers and module
/// states. Values, states and gradients are as before afterwards, but for the gradients' being zero.
/// A loss that jumps, such as one whose top M changes, or has kinks, such as ReLU's, may be refused near those places.
template <class Loss>
[[nodiscard]] GradientCheck check_gradients(Parameters<double>& parameters, const Loss& loss,
                                            const GradientCheckOptions& options = {}) {
  Cpu<double> cpu({.seed = options.seed});
  std::vector<std::pair<Storage<double>, Shape>> states;
  for (const auto& state : parameters.states()) states.emplace_back(state.values, state.shape);
  const auto restore = [&] {
    for (std::size_t i = 0; i < states.size(); ++i) {
      parameters.states()[i].values = states[i].first;
      parameters.states()[i].shape = states[i].second;
    }
  };
  const auto record = [&](const auto& use) {
    restore();
    cpu.random() = {options.seed, 0};
    Recording ex(cpu);
    const Tensor<double> value = loss(ex);
    use(ex, value);
    return value[0];
  };
  const auto nothing = [](auto&, const auto&) {};

  parameters.zero_gradients();
  const double start = record([](auto& ex, const auto& value) { ex.backward(value); });
  (void)parameters.gradients();
  GradientCheck worst;
  for (const auto& entry : parameters.entries()) {
    const Tensor<double>& x = entry.tensor;
    const Index count = options.elements > 0 ? std::min(options.elements, x.size()) : x.size();
    for (Index n = 0; n < count; ++n) {
      const Index i = n * x.size() / count;
      const double kept = x[i], h = options.step * std::max(1.0, std::abs(kept));
      x[i] = kept + h;
      const double above = record(nothing);
      x[i] = kept - h;
      const double below = record(nothing);
      x[i] = kept;
      const double backward = x.gradient[i], difference = (above - below) / (2 * h);
      // The difference of two sums carries their roundings, however small the slope is.
      const double rounding = 16 * std::numeric_limits<double>::epsilon() * std::max(std::abs(start), 1.0) / h;
      const double allowed = options.tolerance * std::max({std::abs(backward), std::abs(difference), 1e-4}) + rounding;
      const double excess = std::abs(backward - difference) / allowed;
      if (worst.compared++ == 0 || !(excess <= worst.excess))
        worst = {entry.name, i, x.shape, backward, difference, excess, worst.compared};
    }
  }
  restore();
  parameters.zero_gradients();
  return worst;
}

/// The same for a module without Parameters, which it gets meanwhile: afterwards it has none.
template <class Module, class Loss>
  requires detail::Visitable<Module, detail::LeafVisitor<double>>
[[nodiscard]] GradientCheck check_gradients(Module& module, const Loss& loss,
                                            const GradientCheckOptions& options = {}) {
  Parameters<double> parameters(module, options.seed);
  GradientCheck result = check_gradients(parameters, loss, options);
  const auto leaves = detail::leaves_of<double>(module);
  for (const auto& [name, leaf] : leaves.parameters)
    leaf->tensor = Parameter<double>(leaf->tensor.shape, leaf->initializer).tensor;
  for (const auto& [name, leaf] : leaves.states) leaf->bound = nullptr;
  return result;
}

}  // namespace neuroinhib
