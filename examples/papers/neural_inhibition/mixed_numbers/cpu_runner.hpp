#pragma once

#include "training.hpp"

namespace mixed_numbers {

/// Training and evaluation on the CPU.
class CpuRunner {
 public:
  CpuRunner(const Settings& settings, Index seed, const data::ImageSet& set)
      : settings_(settings),
        set_(set),
        scaling_(set),
        cpu_(papers::job(), CpuOptions{.threads = settings.threads, .seed = static_cast<std::uint64_t>(seed)}) {}

  [[nodiscard]] papers::Processor& backend() { return cpu_; }

  void train(auto& run, std::span<const Index> order) {
    papers::train_steps(cpu_, run, order, [&](auto& ex, std::span<const Index> numbers) {
      return loss_of(ex, run.model, data::gather(ex, set_, scaling_, numbers));
    });
  }

  /// Calls visit(first, batch) for one batch of the numbered images after another, outside training; on several ranks
  /// with this one's images of it.
  template <class Visit>
  void for_batches(std::span<const Index> numbers, const Visit& visit) {
    for_each_batch(numbers.size(), settings_.evaluation_batch, [&](std::size_t first, std::size_t count) {
      cpu_.begin_step();
      visit(first, data::gather(cpu_, set_, scaling_, papers::own_part(cpu_, numbers.subspan(first, count))));
    });
  }

  template <class Network>
  [[nodiscard]] std::vector<int> right(Network& network, std::span<const Index> numbers,
                                       [[maybe_unused]] std::span<const Index> others = {}) {
    std::vector<int> flags;
    for_batches(numbers, [&](std::size_t first, const auto& batch) {
      Tensor<float> logits;
      if constexpr (IsConditioned<Network>) {
        const auto other =
            data::gather(cpu_, set_, scaling_, others.subspan(first, static_cast<std::size_t>(batch.labels.size())));
        logits = network.conditioned_logits(cpu_, batch.images, other.images, other.labels);
      } else {
        logits = network.logits(cpu_, batch.images);
      }
      const std::vector<float> scores = papers::read_all(cpu_, View<float>(logits));
      for (auto of_image = scores.begin(); of_image != scores.end(); of_image += kClasses) {
        const auto image = static_cast<std::size_t>(numbers[flags.size()]);
        flags.push_back(std::max_element(of_image, of_image + kClasses) - of_image == set_.labels[image]);
      }
    });
    return flags;
  }

 private:
  const Settings& settings_;
  const data::ImageSet& set_;
  data::Scaling scaling_;
  papers::Processor cpu_;
};

template <class Kind>
nlohmann::json CpuTraining<Kind>::train(const Settings& settings, const std::string& row, Index seed,
                                        const data::ImageSet& set, const std::filesystem::path& checkpoint,
                                        RunLog& log) {
  CpuRunner runner(settings, seed, set);
  return Kind::with(
      row, [&](auto& network) { return mixed_numbers::train(runner, network, settings, seed, set, checkpoint, log); });
}

}  // namespace mixed_numbers
