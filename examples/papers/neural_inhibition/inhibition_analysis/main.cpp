// Section 5 of the Neural Inhibition paper: does inhibition suppress the neurons that digits and squares have in
// common?

#include <cstdio>

#include "../../machine.hpp"
#include "../../work_off.hpp"
#include "../mixed_numbers/data.hpp"
#include "has_cuda.hpp"
#include "neurons.hpp"
#include "report.hpp"

namespace {

using namespace inhibition_analysis;

int run_all(Settings settings) {
  const std::string machine = papers::describe_machine(settings);
  const papers::OutputFolder folder(settings);
  const data::ImageSet set = mixed_numbers::load_data(settings);
  std::printf("%s; %s\n", machine.c_str(), settings.key().c_str());
  Report report(folder, settings, set, machine);
  const auto train = [&](const std::string& row, Index seed, const auto& checkpoint) {
    RunLog log(settings, row, seed, mixed_numbers::identity(set));
    if constexpr (papers::kHasCuda)
      if (settings.on_cuda()) return inhibition_analysis::train_on_cuda(settings, row, seed, set, checkpoint, log);
    return with_recipe(settings.recipe, [&]<class Recipe>() {
      return CpuTraining<Recipe>::train(settings, row, seed, set, checkpoint, log);
    });
  };
  return papers::work_off(settings, folder, report, train, settings.recipe + "-");
}

}  // namespace

int main(int argc, char** argv) {
  return papers::run_program(argc, argv, [](const auto& arguments) { return run_all(read_settings(arguments)); });
}
