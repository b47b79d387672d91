// Section 5 of the Neural Inhibition paper: does inhibition suppress the neurons that digits and squares have in
// common?

#include <cstdio>
#include <filesystem>

#include "../mixed_numbers/data.hpp"
#include "neurons.hpp"
#include "report.hpp"

namespace {

using namespace inhibition_analysis;

int run_all(Settings settings) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // a log shows each run as it ends
  const std::string machine = settings.on_cuda() ? inhibition_analysis::describe_cuda(settings)
                                                 : Cpu<float>({.threads = settings.threads}).describe();
  const papers::OutputFolder folder(settings);
  const data::ImageSet set = mixed_numbers::load_data(settings);
  std::printf("%s; %s\n", machine.c_str(), settings.key().c_str());
  papers::catch_interrupts();
  Report report(folder, settings, set, machine);
  const auto train = settings.on_cuda()           ? train_row_on_cuda
                     : settings.recipe == "paper" ? train_row<mixed_numbers::PaperRecipe>
                                                  : train_row<mixed_numbers::CleanRecipe>;
  for (Index seed = 0; seed < settings.seeds; ++seed)
    for (const std::string& row : settings.rows) {
      const auto checkpoint = folder.checkpoint(settings.recipe + "-" + row + "-" + std::to_string(seed));
      if (!report.has(row, seed)) {
        papers::stop_if_interrupted();
        RunLog log(settings, row, seed, mixed_numbers::identity(set));
        report.add(train(settings, row, seed, set, checkpoint, log));
      }
      std::filesystem::remove(checkpoint);  // only now, with the result saved
    }
  report.show();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return papers::run_program(argc, argv, [](const auto& arguments) { return run_all(read_settings(arguments)); });
}
