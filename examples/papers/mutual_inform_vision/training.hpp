#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "../training.hpp"
#include "corruptions.hpp"
#include "detection.hpp"
#include "evaluation.hpp"
#include "renditions.hpp"

namespace vision {

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

/// Trains one row with one seed. The runner, made anew for each run, is what papers::Run needs of a backend.
template <class Runner, class M>
nlohmann::json train(Runner& runner, M& model, const Settings& settings, const std::string& row, Index seed,
                     const Images& images, const std::filesystem::path& checkpoint) {
  const Network& network = settings.network;
  const papers::Extent extent{network.steps, network.epoch_steps, network.batch, std::ssize(network.experts_in),
                              images.validation.count() * model.config().tokens()};
  papers::RunLog log(row, seed, settings.key() + ", images " + images.name(), extent);
  papers::Run run(runner.backend(), model, log, settings, checkpoint, seed, adamw(network.learning_rate, network.decay),
                  Rate{network.warmup, network.steps});
  Evaluator evaluator(runner.backend(), model, run.parameters, runner.scaling(), network.batch);
  const auto validate = [&] { return evaluator.ask(images.validation); };
  if (log.step() == 0) log.start(papers::chosen_experts(run.evaluated(validate).layers));
  run.train(
      runner, [&](Index epoch) { return papers::order_of(extent, epoch, images.training.count(), seed); },
      [&] {
        const Answers answers = validate();
        const double accuracy = answers.accuracy(images.validation);
        log.end_epoch(papers::chosen_experts(answers.layers), accuracy, papers::text("%.2f %%", 100 * accuracy));
      });
  nlohmann::json result{{"row", row},
                        {"seed", seed},
                        {"parameters", run.parameters.count()},
                        {"steps", extent.steps},
                        {"images", images.name()},
                        {"training_images", images.training.count()},
                        {"test_images", images.test.count()},
                        {"validation", log.validation().back()},
                        {"fluctuation", log.fluctuation()},
                        {"step_ms", log.step_ms()},
                        {"validation_curve", log.validation()},
                        {"loss_curve", log.loss()}};
  result.update(run.evaluated([&] { return evaluate(evaluator, settings, images); }));
  result["seconds"] = log.seconds();
  return result;
}

/// The same of a kind of network.
template <class Kind, class Runner>
nlohmann::json train_kind(Runner&& runner, const Settings& settings, const std::string& row, Index seed,
                          const Images& images, const std::filesystem::path& checkpoint) {
  typename Kind::Model model(Kind::configuration(settings, images));
  return train(runner, model, settings, row, seed, images, checkpoint);
}

/// The same on the CPU, a unit for each kind.
template <class Kind>
struct CpuTraining {
  static nlohmann::json train(const Settings& settings, const std::string& row, Index seed, const Images& images,
                              const std::filesystem::path& checkpoint);
};

/// The same for a row by its name on a GPU, where this program was built with CUDA.
nlohmann::json train_on_cuda(const Settings& settings, const std::string& row, Index seed, const Images& images,
                             const std::filesystem::path& checkpoint);

}  // namespace vision
