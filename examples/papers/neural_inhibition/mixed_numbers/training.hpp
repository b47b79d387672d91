#pragma once

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <span>
#include <string>

#include <neuroinhib/data/mixed_numbers.hpp>
#include <neuroinhib/io/checkpoint.hpp>

#include "network.hpp"
#include "run_log.hpp"
#include "settings.hpp"

namespace mixed_numbers {

/// Thrown between two steps after Ctrl-C; the last epoch's checkpoint stays.
struct Interrupted {};

/// Set by the signal handler.
inline volatile std::sig_atomic_t interrupt_wanted = 0;

/// Shares of right answers over the images of the given numbers.
template <class Network>
Accuracy evaluate(Network& network, Cpu<typename Network::Scalar>& cpu, const data::ImageSet& set,
                  const data::Scaling& scaling, std::span<const Index> numbers, Index batch_size) {
  Index right[2] = {0, 0}, count[2] = {0, 0};
  for (std::size_t first = 0; first < numbers.size(); first += static_cast<std::size_t>(batch_size)) {
    const auto part = numbers.subspan(first, std::min(numbers.size() - first, static_cast<std::size_t>(batch_size)));
    cpu.begin_step();
    const auto batch = data::gather(cpu, set, scaling, part);
    const auto logits = network.logits(cpu, batch.images);
    for (Index row = 0; row < logits.rows(); ++row) {
      const auto* scores = logits.data + row * kClasses;
      const auto answer = std::max_element(scores, scores + kClasses) - scores;
      const auto kind = set.kinds[static_cast<std::size_t>(part[static_cast<std::size_t>(row)])];
      ++count[kind];
      right[kind] += answer == batch.labels[row];
    }
  }
  const auto share = [](Index r, Index n) { return n > 0 ? static_cast<double>(r) / static_cast<double>(n) : 0.0; };
  return {share(right[0] + right[1], count[0] + count[1]), share(right[0], count[0]), share(right[1], count[1])};
}

/// One pass over the training images in the epoch's order; the mean loss.
template <class Network, class T>
double train_epoch(Network& network, Cpu<T>& cpu, Parameters<T>& parameters, Adam<T>& adam, const Settings& settings,
                   const data::ImageSet& set, const data::Scaling& scaling, std::span<const Index> order, RunLog& log) {
  const auto batch_size = static_cast<std::size_t>(settings.batch);
  const std::string where = log.configuration() + ", epoch " + std::to_string(log.epoch());
  double loss_sum = 0;
  Index steps = 0;
  for (std::size_t first = 0; first < order.size(); first += batch_size, ++steps) {
    if (interrupt_wanted != 0) throw Interrupted{};
    const auto start = Clock::now();
    Recording ex(cpu);
    const auto part = order.subspan(first, std::min(batch_size, order.size() - first));
    const auto batch = data::gather(ex, set, scaling, part);
    const auto loss = network.loss(ex, network.logits(ex, batch.images), batch.labels);
    ex.require_finite(loss, where);
    ex.backward(loss);
    adam.step(cpu, parameters);
    loss_sum += static_cast<double>(loss[0]);
    log.step(1e3 * seconds_since(start), static_cast<double>(first + part.size()) / static_cast<double>(order.size()),
             static_cast<Index>(order.size()));
  }
  return loss_sum / static_cast<double>(steps);
}

/// Trains one row with one seed; the accuracy on the test images. An interrupted run goes on from its last epoch, to
/// the same bits.
template <class Network>
Accuracy train(Network& network, const Settings& settings, Index seed, const data::ImageSet& set,
               const std::filesystem::path& checkpoint, RunLog& log) {
  using T = typename Network::Scalar;
  const auto key = static_cast<std::uint64_t>(seed);
  Cpu<T> cpu({.threads = settings.threads, .seed = key});
  Parameters<T> parameters(network, key);
  Adam<T> adam(parameters, {.learning_rate = settings.learning_rate});
  const data::Scaling scaling(set);
  const data::Split split = data::split(set.count(), key);
  const auto accuracy = [&](std::span<const Index> numbers) {
    return evaluate(network, cpu, set, scaling, numbers, settings.evaluation_batch);
  };
  if (settings.resume && std::filesystem::exists(checkpoint))
    log.load(io::load_checkpoint(checkpoint, parameters, adam, cpu.random(), log.configuration()));
  while (log.epoch() < settings.epochs) {
    std::vector<Index> order = split.training;
    data::shuffle(order, key, static_cast<std::uint32_t>(log.epoch()));
    const double loss = train_epoch(network, cpu, parameters, adam, settings, set, scaling, order, log);
    log.end_epoch(loss, accuracy(split.validation).all, static_cast<Index>(order.size()));
    io::save_checkpoint(checkpoint, parameters, adam, cpu.random(), {log.configuration(), log.save()});
  }
  return accuracy(split.test);
}

/// The same for a row by its name, one function a recipe, each in a file of its own.
template <class Recipe>
Accuracy train_row(const Settings& settings, const std::string& row, Index seed, const data::ImageSet& set,
                   const std::filesystem::path& checkpoint, RunLog& log);

}  // namespace mixed_numbers
