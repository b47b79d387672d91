#pragma once

#include "training.hpp"

namespace vision {

/// Training on the CPU.
class CpuRunner {
 public:
  CpuRunner(const Settings& settings, Index seed, const Images& images)
      : batch_(settings.network.batch),
        images_(images),
        scaling_(images.training),
        cpu_({.threads = settings.threads, .seed = static_cast<std::uint64_t>(seed)}) {}

  [[nodiscard]] Cpu<float>& backend() { return cpu_; }
  [[nodiscard]] const data::Scaling& scaling() const { return scaling_; }

  template <class M>
  void train(M& model, Parameters<float>& parameters, Adam<float>& adam, std::span<const Index> order, RunLog& log,
             const Rate& rate, const papers::SaveClock& clock) {
    const auto steps = static_cast<Index>(order.size()) / batch_;
    do {
      const auto start = papers::Clock::now();
      Recording ex(cpu_);
      const auto numbers =
          order.subspan(static_cast<std::size_t>(log.step_of_epoch() * batch_), static_cast<std::size_t>(batch_));
      const auto batch = data::gather(ex, images_.training, scaling_, numbers);
      const auto loss = model.loss(ex, batch.images, batch.labels);
      ex.require_finite(loss.total, log.configuration() + ", step " + std::to_string(log.step()));
      ex.backward(loss.total);
      adam.step(cpu_, parameters, rate(log.step()));
      log.advance(1, papers::seconds_since(start), log.loss_sum() + static_cast<double>(loss.mean[0]));
    } while (log.step_of_epoch() < steps && !clock.due());
  }

 private:
  Index batch_;
  const Images& images_;
  data::Scaling scaling_;
  Cpu<float> cpu_;
};

/// What the files of single rows hold.
template <class Kind>
nlohmann::json train_on_cpu(const Settings& settings, const std::string& row, Index seed, const Images& images,
                            const std::filesystem::path& checkpoint) {
  typename Kind::Model model(Kind::configuration(settings, images));
  CpuRunner runner(settings, seed, images);
  return train(runner, model, settings, row, seed, images, checkpoint);
}

}  // namespace vision
