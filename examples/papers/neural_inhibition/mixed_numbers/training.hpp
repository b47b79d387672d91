#pragma once

#include <algorithm>
#include <array>
#include <filesystem>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include <neuroinhib/data/mixed_numbers.hpp>

#include "../../training.hpp"
#include "research.hpp"
#include "run_log.hpp"
#include "settings.hpp"

namespace mixed_numbers {

/// Shares of right answers, from one flag an image.
inline Accuracy accuracy_of(const data::ImageSet& set, std::span<const Index> numbers, std::span<const int> right) {
  std::array<std::array<Index, kClasses>, 2> sum{}, count{};
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto image = static_cast<std::size_t>(numbers[i]);
    const auto kind = set.kinds[image];
    const auto label = static_cast<std::size_t>(set.labels[image]);
    ++count[kind][label];
    sum[kind][label] += right[i];
  }
  const auto share = [](Index r, Index n) { return n > 0 ? static_cast<double>(r) / static_cast<double>(n) : 0.0; };
  const auto total = [](const auto& values) { return std::accumulate(values.begin(), values.end(), Index{0}); };
  Accuracy accuracy{share(total(sum[0]) + total(sum[1]), total(count[0]) + total(count[1])),
                    share(total(sum[0]), total(count[0])),
                    share(total(sum[1]), total(count[1])),
                    {}};
  for (std::size_t c = 0; c < kClasses; ++c) accuracy.of_squares[c] = share(sum[1][c], count[1][c]);
  return accuracy;
}

/// The images that a run trains on and measures. Recipe `research` has 80 and 20 %, and measures 5,120 of the latter;
/// its curves are of as many others.
inline data::Split split_of(const Settings& settings, Index count, std::uint64_t seed) {
  constexpr std::size_t kMeasured = 5120;
  data::Split split = data::split(count, seed);
  if (settings.is_research())
    for (auto* part : {&split.validation, &split.test}) part->resize(std::min(part->size(), kMeasured));
  return split;
}

/// So many of the images, drawn with replacement.
inline std::vector<Index> draws(std::span<const Index> images, Index count, std::uint64_t seed, std::uint32_t stream) {
  SequentialRandom random(seed, stream);
  std::vector<Index> drawn;
  for (Index i = 0; i < count; ++i)
    drawn.push_back(images[static_cast<std::size_t>(random.integer(0, static_cast<Index>(images.size()) - 1))]);
  return drawn;
}

/// What an epoch trains on: every training image once, in its own order; in recipe `research` as many fresh draws, in
/// whole batches, and none after the last multiple of 1,000 steps, where the research code reports.
inline std::vector<Index> order_of(const Settings& settings, const std::vector<Index>& training, std::uint64_t seed,
                                   Index epoch) {
  constexpr std::uint32_t kStream = 0xf2e54u;
  constexpr Index kReport = 1000;
  if (settings.is_research()) {
    const Index steps = std::max<Index>(1, static_cast<Index>(training.size()) / settings.batch);
    const Index over = settings.epochs * steps % kReport;
    const Index cut = epoch + 1 == settings.epochs && over < steps ? over : 0;
    return draws(training, (steps - cut) * settings.batch, seed, kStream + static_cast<std::uint32_t>(epoch));
  }
  std::vector<Index> order = training;
  data::shuffle(order, seed, static_cast<std::uint32_t>(epoch));
  return order;
}

/// A network whose evaluations are conditioned by other images, row by row.
template <class Network>
concept IsConditioned = Network::kIsConditioned;

/// Calls visit(first, count) for one batch after another of an evaluation. Throws Interrupted in between.
template <class Visit>
void for_each_batch(std::size_t images, Index batch, const Visit& visit) {
  const auto size = static_cast<std::size_t>(batch);
  for (std::size_t first = 0; first < images; first += size) {
    papers::stop_if_interrupted();
    visit(first, std::min(images - first, size));
  }
}

/// The accuracy on the numbered images. Training images condition them where the network wants it.
template <class Runner, class Network>
Accuracy accuracy(Runner& runner, Network& network, std::uint64_t seed, const data::ImageSet& set,
                  std::span<const Index> training, std::span<const Index> numbers) {
  constexpr std::uint32_t kStream = 0xc0d17u;
  std::vector<Index> others;
  if constexpr (IsConditioned<Network>) others = draws(training, static_cast<Index>(numbers.size()), seed, kStream);
  return accuracy_of(set, numbers, runner.right(network, numbers, others));
}

/// A batch's loss, as papers::train_steps() wants it.
struct Loss {
  Tensor<float> total, mean;
};
template <class Network>
Loss loss_of(auto& ex, const Network& network, const data::Batch<float>& batch) {
  const Tensor<float> loss = network.loss(ex, network.logits(ex, batch.images), batch.labels);
  return {loss, loss};
}

/// Trains one row with one seed; what finish(split) makes of the trained network. The runner, made anew for each run,
/// is what this needs of a backend: train() as papers::Run wants it, right() flags the right answers, given other
/// images where they condition a network.
template <class Runner, class Network, class Finish>
auto train(Runner& runner, Network& network, const Settings& settings, Index seed, const data::ImageSet& set,
           const std::filesystem::path& checkpoint, RunLog& log, const Finish& finish) {
  const auto key = static_cast<std::uint64_t>(seed);
  const data::Split split = split_of(settings, set.count(), key);
  papers::Run run(runner.backend(), network, log, settings, checkpoint, seed, {.learning_rate = settings.learning_rate},
                  [](Index) { return 1.0; });
  run.train(
      runner, [&](Index epoch) { return order_of(settings, split.training, key, epoch); },
      [&] { log.end_epoch(accuracy(runner, network, key, set, split.training, split.validation)); });
  return run.evaluated([&] { return finish(split); });
}

/// The same; the run's entry in results.json, with the accuracy on the test images.
template <class Runner, class Network>
nlohmann::json train(Runner& runner, Network& network, const Settings& settings, Index seed, const data::ImageSet& set,
                     const std::filesystem::path& checkpoint, RunLog& log) {
  const auto test = train(runner, network, settings, seed, set, checkpoint, log, [&](const data::Split& split) {
    return accuracy(runner, network, static_cast<std::uint64_t>(seed), set, split.training, split.test);
  });
  return log.result(test, set.count());
}

/// The same for a row by its name, on the CPU: a unit for each kind of network.
template <class Kind>
struct CpuTraining {
  static nlohmann::json train(const Settings& settings, const std::string& row, Index seed, const data::ImageSet& set,
                              const std::filesystem::path& checkpoint, RunLog& log);
};

/// The same on a GPU, where this program was built with CUDA.
nlohmann::json train_on_cuda(const Settings& settings, const std::string& row, Index seed, const data::ImageSet& set,
                             const std::filesystem::path& checkpoint, RunLog& log);

}  // namespace mixed_numbers
