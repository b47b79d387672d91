#pragma once

#include <filesystem>
#include <span>

#include <neuroinhib/data/mixed_numbers.hpp>
#include <neuroinhib/io/checkpoint.hpp>

#include "run_log.hpp"

namespace language_model {

/// A paper's text as its network reads it.
struct Data {
  const Corpus* corpus = nullptr;
  Rows training, validation, test, attacked;
  double floor = 0;  ///< of the test rows' loss, where it is known

  /// Tells the text apart from others.
  [[nodiscard]] std::string name() const {
    return corpus->source + ", fingerprint " + papers::fingerprint(training.ids) + papers::fingerprint(test.ids);
  }
  /// Of a run: the network's steps, or three epochs.
  [[nodiscard]] Extent extent(const Network& n, const Row& row) const {
    const Index steps = n.steps > 0 ? n.steps : 3 * ((training.count() + n.batch - 1) / n.batch);
    const auto words = std::count_if(validation.labels.begin(), validation.labels.end(), [](int l) { return l >= 0; });
    return {steps, n.epoch_steps > 0 ? n.epoch_steps : (steps + 2) / 3, row.router == "none" ? 0 : n.blocks / row.every,
            words};
  }
};

/// Row numbers of training steps [first, first + count), each `batch` long: passes over all rows, each in its own
/// order.
inline std::vector<Index> order_of(const Data& data, Index batch, Index first, Index count, std::uint64_t seed) {
  const Index rows = data.training.count(), a_pass = std::max<Index>(rows / batch, 1);
  std::vector<Index> numbers, pass;
  for (Index step = first; step < first + count; ++step) {
    if (pass.empty() || step % a_pass == 0) {
      pass.resize(static_cast<std::size_t>(rows));
      for (Index i = 0; i < rows; ++i) pass[static_cast<std::size_t>(i)] = i;
      neuroinhib::data::shuffle(pass, seed, static_cast<std::uint32_t>(step / a_pass));
    }
    for (Index b = 0; b < batch; ++b)
      numbers.push_back(pass[static_cast<std::size_t>((step % a_pass * batch + b) % rows)]);
  }
  return numbers;
}

/// The factor on the learning rate: rising linearly over so many steps, then 1.
struct WarmUp {
  Index steps;
  [[nodiscard]] double operator()(Index step) const {
    return steps > 0 ? std::min(1.0, static_cast<double>(step + 1) / static_cast<double>(steps)) : 1.0;
  }
};

nlohmann::json measures(const Evaluation& evaluation);

/// Trains one row with one seed. A run that was interrupted or killed goes on from its checkpoint, to the same bits.
/// The runner, made anew for each run, is what this needs of a backend: train() goes on in an epoch's order from where
/// the log stands until the epoch ends or a checkpoint is due, evaluate() measures a split.
template <class Runner, class M>
nlohmann::json train(Runner& runner, M& model, const Settings& settings, const Row& row, Index seed, const Data& data,
                     const std::filesystem::path& checkpoint) {
  using T = typename M::Scalar;
  const Network& network = settings.network(row.task);
  const Extent extent = data.extent(network, row);
  const auto key = static_cast<std::uint64_t>(seed);
  Parameters<T> parameters(model, key, runner.backend().space());
  Adam<T> adam(parameters, {.learning_rate = network.learning_rate});
  const WarmUp rate{network.warmup};
  RunLog log(settings, row, seed, extent, data.name());
  if (settings.resumes() && std::filesystem::exists(checkpoint))
    io::load_checkpoint(checkpoint, parameters, adam, runner.backend().random(), log.configuration(),
                        [&](const std::string& notes) { log.load({checkpoint, notes}); });
  const auto save = [&] {
    io::save_checkpoint(checkpoint, parameters, adam, runner.backend().random(), {log.configuration(), log.save()});
  };
  const auto evaluate = [&](const Rows& rows) {
    try {
      return runner.evaluate(model, rows);
    } catch (const papers::Interrupted&) {
      save();  // an evaluation changes nothing that a checkpoint keeps
      throw;
    }
  };
  papers::SaveClock clock(settings.save_seconds);
  if (log.step() == 0) log.start(evaluate(data.validation));
  while (log.epochs() < extent.epochs()) {
    const Index first = extent.first_step(log.epochs()), count = extent.first_step(log.epochs() + 1) - first;
    const auto order = order_of(data, network.batch, first, count, key);
    while (log.step_of_epoch() < count) {
      runner.train(model, parameters, adam, order, log, rate, clock);
      clock(save);
    }
    log.end_epoch(evaluate(data.validation));
  }
  const Evaluation test = evaluate(data.test), attack = evaluate(data.attacked);
  return {{"row", row.name},
          {"seed", seed},
          {"parameters", parameters.count()},
          {"steps", extent.steps},
          {"vocabulary", data.corpus->vocabulary.size()},
          {"training_words", data.corpus->words(Split::training)},
          {"unknown", data.corpus->unknown},
          {"data", data.name()},
          {"validation", log.validation().back()},
          {"test", test.nats},
          {"attacked", attack.nats},
          {"floor", data.floor},
          {"domains", test.domain_nats},
          {"layers", measures(test)},
          {"fluctuation", log.fluctuation()},
          {"seconds", log.seconds()},
          {"step_ms", log.step_ms()},
          {"validation_curve", log.validation()},
          {"loss_curve", log.loss()}};
}

/// The same for a row by its name on the CPU: one function an inhibition, each in a file of its own.
template <class Inhibition>
nlohmann::json train_row(const Settings& settings, const Row& row, Index seed, const Data& data,
                         const std::filesystem::path& checkpoint);

/// The same on a GPU, where this program was built with CUDA.
nlohmann::json train_row_on_cuda(const Settings& settings, const Row& row, Index seed, const Data& data,
                                 const std::filesystem::path& checkpoint);
/// What runs there, for people to read. Throws CudaError.
std::string describe_cuda(const Settings& settings);

}  // namespace language_model
