#pragma once

#include <algorithm>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <neuroinhib/data/mixed_numbers.hpp>
#include <neuroinhib/io/checkpoint.hpp>

#include "network.hpp"
#include "run_log.hpp"
#include "settings.hpp"

namespace mixed_numbers {

/// Shares of right answers, from one flag an image.
inline Accuracy accuracy_of(const data::ImageSet& set, std::span<const Index> numbers, std::span<const int> right) {
  Index sum[2] = {0, 0}, count[2] = {0, 0};
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto kind = set.kinds[static_cast<std::size_t>(numbers[i])];
    ++count[kind];
    sum[kind] += right[i];
  }
  const auto share = [](Index r, Index n) { return n > 0 ? static_cast<double>(r) / static_cast<double>(n) : 0.0; };
  return {share(sum[0] + sum[1], count[0] + count[1]), share(sum[0], count[0]), share(sum[1], count[1])};
}

/// Calls visit(first, count) for one batch after another of an evaluation. Throws Interrupted in between.
template <class Visit>
void for_each_batch(std::size_t images, Index batch, const Visit& visit) {
  const auto size = static_cast<std::size_t>(batch);
  for (std::size_t first = 0; first < images; first += size) {
    papers::stop_if_interrupted();
    visit(first, std::min(images - first, size));
  }
}

/// Trains one row with one seed; what finish(split) makes of the trained network. A run that was interrupted or killed,
/// in finish() too, goes on from its checkpoint, to the same bits. The runner, made anew for each run, is what this
/// needs of a backend: train() goes on in an epoch's order from where the log stands until the epoch ends or a
/// checkpoint is due, right() flags the right answers.
template <class Runner, class Network, class Finish>
auto train(Runner& runner, Network& network, const Settings& settings, Index seed, const data::ImageSet& set,
           const std::filesystem::path& checkpoint, RunLog& log, const Finish& finish) {
  using T = typename Network::Scalar;
  const auto key = static_cast<std::uint64_t>(seed);
  Parameters<T> parameters(network, key, runner.backend().space());
  Adam<T> adam(parameters, {.learning_rate = settings.learning_rate});
  const data::Split split = data::split(set.count(), key);
  const auto save = [&] {
    io::save_checkpoint(checkpoint, parameters, adam, runner.backend().random(), {log.configuration(), log.save()});
  };
  const auto evaluated = [&](const auto& evaluation) {
    try {
      return evaluation(split);
    } catch (const papers::Interrupted&) {
      save();  // an evaluation changes nothing that a checkpoint keeps
      throw;
    }
  };
  if (settings.resumes() && std::filesystem::exists(checkpoint))
    io::load_checkpoint(checkpoint, parameters, adam, runner.backend().random(), log.configuration(),
                        [&](const std::string& notes) { log.load({checkpoint, notes}); });
  papers::SaveClock clock(settings.save_seconds);
  while (log.epoch() < settings.epochs) {
    std::vector<Index> order = split.training;
    data::shuffle(order, key, static_cast<std::uint32_t>(log.epoch()));
    while (log.images() < static_cast<Index>(order.size())) {
      runner.train(network, parameters, adam, order, log, clock);
      clock(save);
    }
    log.end_epoch(evaluated(
        [&](const data::Split& of) { return accuracy_of(set, of.validation, runner.right(network, of.validation)); }));
  }
  return evaluated(finish);
}

/// The same; the accuracy on the test images.
template <class Runner, class Network>
Accuracy train(Runner& runner, Network& network, const Settings& settings, Index seed, const data::ImageSet& set,
               const std::filesystem::path& checkpoint, RunLog& log) {
  return train(runner, network, settings, seed, set, checkpoint, log, [&](const data::Split& split) {
    return accuracy_of(set, split.test, runner.right(network, split.test));
  });
}

/// The same for a row by its name, on the CPU: one function a recipe, each in a file of its own.
template <class Recipe>
Accuracy train_row(const Settings& settings, const std::string& row, Index seed, const data::ImageSet& set,
                   const std::filesystem::path& checkpoint, RunLog& log);

/// The same on a GPU, where this program was built with CUDA.
Accuracy train_row_on_cuda(const Settings& settings, const std::string& row, Index seed, const data::ImageSet& set,
                           const std::filesystem::path& checkpoint, RunLog& log);
/// What runs there, for people to read. Throws CudaError.
std::string describe_cuda(const Settings& settings);

}  // namespace mixed_numbers
