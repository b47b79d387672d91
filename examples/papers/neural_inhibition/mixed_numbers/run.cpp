#include "run.hpp"

#include <cstdio>
#include <nlohmann/json.hpp>

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
  const std::string machine = papers::describe_machine(settings);
  const papers::OutputFolder folder(settings);
  const std::vector<Images> drawings = load_drawings(settings);
  std::printf("%s; %s\n", machine.c_str(), settings.key().c_str());
  Report report(folder, settings, drawings[0].set.source, drawings[0].name, machine);
  const auto train = [&](const std::string& row, Index seed, const auto& checkpoint) {
    const Images& drawing = drawings[static_cast<std::size_t>(seed % settings.drawings)];
    RunLog log(settings, row, seed, drawing.name);
    if constexpr (papers::kHasCuda)
      if (settings.on_cuda()) return train_on_cuda(settings, row, seed, drawing.set, checkpoint, log);
    return with_kind(settings.recipe, row, [&]<class Kind>() {
      return CpuTraining<Kind>::train(settings, row, seed, drawing.set, checkpoint, log);
    });
  };
  papers::work_off(settings, folder, report, train, settings.recipe + "-", settings.on_cuda() ? settings.replicas : 1);
  return 0;
}

}  // namespace mixed_numbers
