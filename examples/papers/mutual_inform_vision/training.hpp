#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <neuroinhib/io/checkpoint.hpp>

#include "corruptions.hpp"
#include "detection.hpp"
#include "renditions.hpp"
#include "run_log.hpp"

namespace vision {

/// Numbers of the training images of steps [first, first + count), each `batch` long: passes over all images, each in
/// its own order.
inline std::vector<Index> order_of(Index images, Index batch, Index first, Index count, std::uint64_t seed) {
  const Index a_pass = std::max<Index>(images / batch, 1);
  std::vector<Index> numbers, pass;
  for (Index step = first; step < first + count; ++step) {
    if (pass.empty() || step % a_pass == 0) {
      pass.resize(static_cast<std::size_t>(images));
      for (Index i = 0; i < images; ++i) pass[static_cast<std::size_t>(i)] = i;
      data::shuffle(pass, seed, static_cast<std::uint32_t>(step / a_pass));
    }
    for (Index b = 0; b < batch; ++b)
      numbers.push_back(pass[static_cast<std::size_t>((step % a_pass * batch + b) % images)]);
  }
  return numbers;
}

/// The factor on the learning rate.
struct Rate {
  Index warmup, steps;
  [[nodiscard]] double operator()(Index step) const { return schedule::warmup_cosine(step, warmup, steps); }
};

nlohmann::json measures(const Answers& answers);

/// Everything of table 2 and figure 4, of a trained model.
template <class Evaluator>
nlohmann::json evaluate(Evaluator& evaluator, const Settings& settings, const Images& images) {
  const auto accuracy = [&](const data::ImageSet& set) { return evaluator.ask(set).accuracy(set); };
  const Answers test = evaluator.ask(images.test), outliers = evaluator.ask(images.outliers);
  nlohmann::json result{{"test", test.accuracy(images.test)},
                        {"outliers", average_precision(outliers.doubts, test.doubts)},
                        {"layers", measures(test)}};
  for (std::size_t r = 0; r < kRenditions.size(); ++r)
    result["renditions"][std::string(kRenditions[r])] = accuracy(rendered(images.test, r));
  for (std::size_t c = 0; c < kCorruptions.size(); ++c)
    for (int severity = 1; severity <= kSeverities; ++severity)
      result["corruptions"][std::string(kCorruptions[c])].push_back(accuracy(corrupted(images.test, c, severity)));
  const data::ImageSet victims = some_of(images.test, settings.attacked_images);
  result["fgsm"] = evaluator.accuracy_under(Attack::fgsm(settings.epsilon), victims);
  result["pgd"] = evaluator.accuracy_under(Attack::pgd(settings.epsilon), victims);
  if (images.renditions) result["imagenet_r"] = accuracy(*images.renditions);
  if (images.adversarial) result["imagenet_a"] = accuracy(*images.adversarial);
  return result;
}

/// Trains one row with one seed. A run that was interrupted or killed goes on from its checkpoint, to the same bits.
/// The runner, made anew for each run, is what this needs of a backend: train() goes on in an epoch's order from where
/// the log stands until the epoch ends or a checkpoint is due.
template <class Runner, class M>
nlohmann::json train(Runner& runner, M& model, const Settings& settings, const std::string& row, Index seed,
                     const Images& images, const std::filesystem::path& checkpoint) {
  using T = typename M::Scalar;
  const Network& network = settings.network;
  const auto key = static_cast<std::uint64_t>(seed);
  const Extent extent{network.steps, network.epoch_steps, static_cast<Index>(network.experts_in.size()),
                      images.validation.count() * model.config().tokens()};
  Parameters<T> parameters(model, key, runner.backend().space());
  Adam<T> adam(parameters, adamw(network.learning_rate, network.decay));
  Evaluator evaluator(runner.backend(), model, parameters, runner.scaling(), network.batch);
  RunLog log(settings, row, seed, extent, images.name());
  if (settings.resumes() && std::filesystem::exists(checkpoint))
    io::load_checkpoint(checkpoint, parameters, adam, runner.backend().random(), log.configuration(),
                        [&](const std::string& notes) { log.load({checkpoint, notes}); });
  const auto save = [&] {
    io::save_checkpoint(checkpoint, parameters, adam, runner.backend().random(), {log.configuration(), log.save()});
  };
  /// Saves where the end was asked for: an evaluation changes nothing that a checkpoint keeps.
  const auto saved = [&](const auto& action) {
    try {
      return action();
    } catch (const papers::Interrupted&) {
      save();
      throw;
    }
  };
  const auto validate = [&] { return evaluator.ask(images.validation); };
  const Rate rate{network.warmup, network.steps};
  papers::SaveClock clock(settings.save_seconds);
  if (log.step() == 0) log.start(saved(validate));
  while (log.epochs() < extent.epochs()) {
    const Index first = extent.first_step(log.epochs()), count = extent.first_step(log.epochs() + 1) - first;
    const auto order = order_of(images.training.count(), network.batch, first, count, key);
    while (log.step_of_epoch() < count) {
      runner.train(model, parameters, adam, order, log, rate, clock);
      clock(save);
    }
    const Answers answers = saved(validate);
    log.end_epoch(answers, answers.accuracy(images.validation));
  }
  nlohmann::json run{{"row", row},
                     {"seed", seed},
                     {"parameters", parameters.count()},
                     {"steps", extent.steps},
                     {"images", images.name()},
                     {"training_images", images.training.count()},
                     {"test_images", images.test.count()},
                     {"validation", log.validation().back()},
                     {"fluctuation", log.fluctuation()},
                     {"step_ms", log.step_ms()},
                     {"validation_curve", log.validation()},
                     {"loss_curve", log.loss()}};
  run.update(saved([&] { return evaluate(evaluator, settings, images); }));
  run["seconds"] = log.seconds();
  return run;
}

/// The same on the CPU: one function a kind of network, each in a file of its own.
template <class Kind>
nlohmann::json train_row(const Settings& settings, const std::string& row, Index seed, const Images& images,
                         const std::filesystem::path& checkpoint);

/// The same for a row by its name on a GPU, where this program was built with CUDA.
nlohmann::json train_row_on_cuda(const Settings& settings, const std::string& row, Index seed, const Images& images,
                                 const std::filesystem::path& checkpoint);
/// What runs there, for people to read. Throws CudaError.
std::string describe_cuda(const Settings& settings);

}  // namespace vision
