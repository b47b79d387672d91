#pragma once

#include "training.hpp"

namespace vision {

/// Training on the CPU.
class CpuRunner {
 public:
  CpuRunner(const Settings& settings, Index seed, const Images& images)
      : images_(images),
        scaling_(images.training),
        cpu_({.threads = settings.threads, .seed = static_cast<std::uint64_t>(seed)}) {}

  [[nodiscard]] Cpu<float>& backend() { return cpu_; }
  [[nodiscard]] const data::Scaling& scaling() const { return scaling_; }

  void train(auto& run, std::span<const Index> order) {
    papers::train_steps(cpu_, run, order, [&](auto& ex, std::span<const Index> numbers) {
      const auto batch = data::gather(ex, images_.training, scaling_, numbers);
      return run.model.loss(ex, batch.images, batch.labels);
    });
  }

 private:
  const Images& images_;
  data::Scaling scaling_;
  Cpu<float> cpu_;
};

template <class Kind>
nlohmann::json CpuTraining<Kind>::train(const Settings& settings, const std::string& row, Index seed,
                                        const Images& images, const std::filesystem::path& checkpoint) {
  return train_kind<Kind>(CpuRunner(settings, seed, images), settings, row, seed, images, checkpoint);
}

}  // namespace vision
