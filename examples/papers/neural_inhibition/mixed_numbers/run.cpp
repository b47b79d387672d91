#include "run.hpp"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "../../machine.hpp"
#include "../../work_off.hpp"
#include "data.hpp"
#include "has_cuda.hpp"
#include "report.hpp"
#include "training.hpp"

namespace mixed_numbers {
namespace {

/// Images, and what tells them apart from others.
struct Images {
  data::ImageSet set;
  std::string name;
};

std::vector<Images> load_drawings(Settings& settings) {
  const data::ImageSet digits = load_digits(settings);
  std::vector<Images> all;
  for (Index drawing = 0; drawing < settings.drawings; ++drawing) {
    data::ImageSet set = draw_images(settings, digits, drawing);
    std::string name = identity(set);
    all.push_back({std::move(set), std::move(name)});
  }
  return all;
}

}  // namespace

int run_all(Settings settings) {
  const papers::Job job(settings);
  const std::string machine = papers::describe_machine(settings);
  std::optional<papers::OutputFolder> folder;
  if (job.leads()) folder.emplace(settings);
  const std::vector<Images> drawings = load_drawings(settings);
  const data::Split split = split_of(settings, settings.samples, 0);
  const auto require_shares = [](const char* images, const std::vector<Index>& numbers, Index batch) {
    papers::require_shares(images, std::ssize(numbers), batch);
  };
  require_shares("training images", order_of(settings, split.training, 0, 0), settings.batch);
  require_shares("validation images", split.validation, settings.evaluation_batch);
  require_shares("test images", split.test, settings.evaluation_batch);
  std::printf("%s; %s\n", machine.c_str(), settings.key().c_str());
  const auto train = [&](const std::string& row, Index seed, const auto& checkpoint) {
    const Images& drawing = drawings[static_cast<std::size_t>(seed % settings.drawings)];
    RunLog log(settings, row, seed, drawing.name);
    if constexpr (papers::kHasCuda)
      if (settings.on_cuda()) return train_on_cuda(settings, row, seed, drawing.set, checkpoint, log);
    return with_kind(settings.recipe, row, [&]<class Kind>() {
      return CpuTraining<Kind>::train(settings, row, seed, drawing.set, checkpoint, log);
    });
  };
  if (!job.leads()) return papers::follow(train);
  Report report(*folder, settings, drawings[0].set.source, drawings[0].name, machine);
  const int at_a_time = settings.on_cuda() ? settings.replicas : 1;
  return papers::work_off(settings, *folder, report, train, settings.recipe + "-", at_a_time);
}

}  // namespace mixed_numbers
