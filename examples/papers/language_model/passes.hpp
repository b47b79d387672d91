#pragma once

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "../interrupts.hpp"
#include "model.hpp"

/// Time and memory of forward passes outside of training (Mutual-Inform SMoE, table 7).
namespace language_model {

/// A model with its starting values on a backend of its own. The runner's first_loss(backend, model) is that of its
/// first training rows.
template <class Runner, class M>
class ForwardPasses {
 public:
  ForwardPasses(Runner& runner, const typename M::Config& config, Index seed)
      : runner_(runner),
        backend_(runner.options()),
        model_(config),
        parameters_(model_, static_cast<std::uint64_t>(seed), backend_.space()) {}

  void once() {
    const auto start = papers::Clock::now();
    backend_.begin_step();
    const Tensor<float> mean = runner_.first_loss(backend_, model_).mean;
    (void)backend_.read(View<float>(mean));
    times_.push_back(1e3 * papers::seconds_since(start));
  }
  /// The median.
  [[nodiscard]] double milliseconds() {
    const auto middle = times_.begin() + std::ssize(times_) / 2;
    std::nth_element(times_.begin(), middle, times_.end());
    return *middle;
  }
  /// Of a pass at its most, and of the parameters.
  [[nodiscard]] double mebibytes() {
    return (static_cast<double>(peak_bytes()) + sizeof(float) * static_cast<double>(parameters_.size())) / (1 << 20);
  }

 private:
  [[nodiscard]] std::size_t peak_bytes() {
    if constexpr (requires { backend_.peak_bytes(); })
      return backend_.peak_bytes();
    else
      return backend_.arena().peak_bytes();
  }

  Runner& runner_;
  typename Runner::Backend backend_;
  M model_;
  Parameters<float> parameters_;
  std::vector<double> times_;
};

/// Entries of a run: passes of a model and of the one whose router it decorates, in turns, so that what slows the
/// machine for a while slows both.
template <class M, class Base, class Runner>
nlohmann::json time_passes(Runner& runner, const typename M::Config& config, const typename Base::Config& base,
                           Index seed) {
  constexpr int kRounds = 11, kFewest = 3;
  constexpr double kSeconds = 2;
  ForwardPasses<Runner, M> own(runner, config, seed);
  ForwardPasses<Runner, Base> decorated(runner, base, seed);
  const auto start = papers::Clock::now();
  const auto in_time = [&] { return !papers::job().any(papers::seconds_since(start) >= kSeconds); };
  for (int round = 0; round < kRounds && (round < kFewest || in_time()); ++round) {
    papers::stop_if_interrupted();
    own.once();
    decorated.once();
  }
  return {{"pass_ms", own.milliseconds()},
          {"pass_base_ms", decorated.milliseconds()},
          {"pass_mebibytes", own.mebibytes()},
          {"pass_base_mebibytes", decorated.mebibytes()}};
}

}  // namespace language_model
