#pragma once

#include <filesystem>

#include <neuroinhib/io/model.hpp>

#include "../training.hpp"
#include "evaluation.hpp"
#include "passes.hpp"

namespace language_model {

/// A paper's text as its network reads it.
struct Data {
  const Corpus* corpus = nullptr;
  Rows training, validation, test;
  std::vector<Rows> attacked;  ///< the test rows by share of words swapped
  double floor = 0;            ///< of the test rows' loss, where it is known
  Index classes = 0;           ///< where labels are classes

  /// Tells the text apart from others.
  [[nodiscard]] std::string name() const {
    return corpus->source + ", fingerprint " + papers::fingerprint(training.ids) + papers::fingerprint(test.ids);
  }
  /// Of a run: the network's steps, or three epochs.
  [[nodiscard]] papers::Extent extent(const Network& n, const Row& row) const {
    const Index steps = n.steps > 0 ? n.steps : 3 * ((training.count() + n.batch - 1) / n.batch);
    const auto words = std::count_if(validation.labels.begin(), validation.labels.end(), [](int l) { return l >= 0; });
    return {steps, n.epoch_steps > 0 ? n.epoch_steps : (steps + 2) / 3,
            training.streams > 0 ? training.streams : n.batch, row.router == "none" ? 0 : n.blocks / row.every, words};
  }
};

/// Where a run begins, and what is left of it.
struct Files {
  std::filesystem::path checkpoint;
  std::filesystem::path pretrained{};  ///< a model to start from; empty: none
  std::filesystem::path model{};       ///< where the trained model is kept; empty: nowhere
};

/// Rows for an epoch's steps: those of papers::order_of(), or of streams one block after another, over and over.
inline std::vector<Index> order_of(const papers::Extent& extent, Index epoch, const Rows& rows, Index seed) {
  if (rows.streams == 0) return papers::order_of(extent, epoch, rows.count(), seed);
  const Index first = extent.first_step(epoch);
  std::vector<Index> order(static_cast<std::size_t>((extent.first_step(epoch + 1) - first) * extent.batch));
  for (std::size_t i = 0; i < order.size(); ++i)
    order[i] = (first * extent.batch + static_cast<Index>(i)) % rows.count();
  return order;
}

/// The factor on the learning rate: rising linearly over so many steps, then 1.
struct WarmUp {
  Index steps;
  [[nodiscard]] double operator()(Index step) const {
    return steps > 0 ? std::min(1.0, static_cast<double>(step + 1) / static_cast<double>(steps)) : 1.0;
  }
};

nlohmann::json measures(const Evaluation& evaluation);

/// Trains one row with one seed. The runner, made anew for each run, is what this needs of a backend: train() as
/// papers::Run wants it, evaluate() measures a split.
template <class Runner, class M>
nlohmann::json train(Runner& runner, M& model, const Settings& settings, const Row& row, Index seed, const Data& data,
                     const Files& files) {
  const Network network = settings.network(row.task);
  const papers::Extent extent = data.extent(network, row);
  papers::RunLog log(row.name, seed, settings.key() + ", data " + data.name(), extent);
  papers::Run run(runner.backend(), model, log, settings, files.checkpoint, seed,
                  {.learning_rate = network.learning_rate}, WarmUp{network.warmup});
  if (log.step() == 0 && !files.pretrained.empty())
    io::load_model(files.pretrained, run.parameters, {.file_name = [](const std::string& name) {
                     return name.starts_with("head") ? std::string() : name;
                   }});
  const auto evaluate = [&](const Rows& rows) { return run.evaluated([&] { return runner.evaluate(model, rows); }); };
  if (log.step() == 0) log.start(papers::chosen_experts(evaluate(data.validation).layers));
  run.train(
      runner, [&](Index epoch) { return order_of(extent, epoch, data.training, seed); },
      [&] {
        const Evaluation validation = runner.evaluate(model, data.validation);
        log.end_epoch(papers::chosen_experts(validation.layers), validation.nats,
                      papers::text("%.4f", validation.nats) +
                          (data.classes > 0 ? papers::text(", %.1f %%", 100 * validation.accuracy) : ""));
      });
  const Evaluation test = evaluate(data.test);
  std::vector<double> attacked, attacked_accuracy;
  for (const Rows& rows : data.attacked) {
    const Evaluation evaluation = evaluate(rows);
    attacked.push_back(evaluation.nats);
    attacked_accuracy.push_back(evaluation.accuracy);
  }
  if (!files.model.empty() && papers::job().leads()) io::save_model(files.model, run.parameters);
  nlohmann::json result{{"row", row.name},
                        {"seed", seed},
                        {"parameters", run.parameters.count()},
                        {"steps", extent.steps},
                        {"vocabulary", data.corpus->vocabulary.size()},
                        {"training_words", data.corpus->words(Split::training)},
                        {"unknown", data.corpus->unknown},
                        {"data", data.name()},
                        {"validation", log.validation().back()},
                        {"test", test.nats},
                        {"attacked", attacked.front()},
                        {"attacks", attacked},
                        {"floor", data.floor},
                        {"domains", test.domain_nats},
                        {"layers", measures(test)},
                        {"fluctuation", log.fluctuation()},
                        {"seconds", log.seconds()},
                        {"step_ms", log.step_ms()},
                        {"validation_curve", log.validation()},
                        {"loss_curve", log.loss()}};
  if (data.classes > 0) result.update({{"accuracy", test.accuracy}, {"attacked_accuracy", attacked_accuracy.front()}});
  return result;
}

/// The same of the row's router, with one of the inhibitions.
template <class Inhibition, class Runner>
nlohmann::json train_model(Runner& runner, const Settings& settings, const Row& row, Index seed, const Data& data,
                           const Files& files) {
  return with_router(row, [&]<class Router>() {
    using M = Model<Router, Inhibition, float, typename Runner::Telemetry>;
    const auto configured = [&]<class Of>(const Row& of) {
      auto config = configuration<Of>(settings, of, static_cast<Index>(data.corpus->vocabulary.size()),
                                      data.extent(settings.network(of.task), of).steps);
      config.classes = data.classes;
      return config;
    };
    auto config = configured.template operator()<M>(row);
    runner.watch(config.moe.telemetry);
    M model(config);
    nlohmann::json result = train(runner, model, settings, row, seed, data, files);
    if (row.inform != "none" && data.classes == 0) {
      using Base = Model<BaseRouter, Inhibition, float, typename Runner::Telemetry>;
      Row base = row;
      base.inform = "none";
      result.update(time_passes<M, Base>(runner, configured.template operator()<M>(row),
                                         configured.template operator()<Base>(base), seed));
    }
    return result;
  });
}

/// The same on the CPU, a unit for each inhibition.
template <class Inhibition>
struct CpuTraining {
  static nlohmann::json train(const Settings& settings, const Row& row, Index seed, const Data& data,
                              const Files& files);
};

/// The same on a GPU, where this program was built with CUDA.
nlohmann::json train_on_cuda(const Settings& settings, const Row& row, Index seed, const Data& data,
                             const Files& files);

/// The same on what the call names.
nlohmann::json train_row(const Settings& settings, const Row& row, Index seed, const Data& data, const Files& files);

}  // namespace language_model
