#pragma once

#include "training.hpp"

namespace mixed_numbers {

/// Training and evaluation on the CPU.
template <class T>
class CpuRunner {
 public:
  CpuRunner(const Settings& settings, Index seed, const data::ImageSet& set)
      : settings_(settings),
        set_(set),
        scaling_(set),
        cpu_({.threads = settings.threads, .seed = static_cast<std::uint64_t>(seed)}) {}

  [[nodiscard]] Cpu<T>& backend() { return cpu_; }

  template <class Network>
  void train(Network& network, Parameters<T>& parameters, Adam<T>& adam, std::span<const Index> order, RunLog& log,
             const papers::SaveClock& clock) {
    const std::string where = log.configuration() + ", epoch " + std::to_string(log.epoch());
    const auto all = static_cast<Index>(order.size());
    do {
      const auto start = Clock::now();
      const Index first = log.images(), count = std::min(settings_.batch, all - first);
      Recording ex(cpu_);
      const auto batch = data::gather(ex, set_, scaling_,
                                      order.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)));
      const auto loss = network.loss(ex, network.logits(ex, batch.images), batch.labels);
      ex.require_finite(loss, where);
      ex.backward(loss);
      adam.step(cpu_, parameters);
      log.advance(1, 1e3 * seconds_since(start), count, all, log.loss_sum() + static_cast<double>(loss[0]));
    } while (log.images() < all && !clock.due());
  }

  /// Calls visit(first, batch) for one batch of the numbered images after another, outside training.
  template <class Visit>
  void for_batches(std::span<const Index> numbers, const Visit& visit) {
    for_each_batch(numbers.size(), settings_.evaluation_batch, [&](std::size_t first, std::size_t count) {
      cpu_.begin_step();
      visit(first, data::gather(cpu_, set_, scaling_, numbers.subspan(first, count)));
    });
  }

  template <class Network>
  [[nodiscard]] std::vector<int> right(Network& network, std::span<const Index> numbers,
                                       [[maybe_unused]] std::span<const Index> others = {}) {
    std::vector<int> flags;
    for_batches(numbers, [&](std::size_t first, const auto& batch) {
      Tensor<T> logits;
      if constexpr (IsConditioned<Network>) {
        const auto other =
            data::gather(cpu_, set_, scaling_, others.subspan(first, static_cast<std::size_t>(batch.labels.size())));
        logits = network.conditioned_logits(cpu_, batch.images, other.images, other.labels);
      } else {
        logits = network.logits(cpu_, batch.images);
      }
      for (Index row = 0; row < logits.rows(); ++row) {
        const auto* scores = logits.data + row * kClasses;
        flags.push_back(std::max_element(scores, scores + kClasses) - scores == batch.labels[row]);
      }
    });
    return flags;
  }

 private:
  const Settings& settings_;
  const data::ImageSet& set_;
  data::Scaling scaling_;
  Cpu<T> cpu_;
};

}  // namespace mixed_numbers
