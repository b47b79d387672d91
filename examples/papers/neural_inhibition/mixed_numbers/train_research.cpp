#include "cpu_runner.hpp"

namespace mixed_numbers {

Accuracy train_research_row(const Settings& settings, const std::string& row, Index seed, const data::ImageSet& set,
                            const std::filesystem::path& checkpoint, RunLog& log) {
  if (row != "global") return train_row<PaperRecipe>(settings, row, seed, set, checkpoint, log);
  CpuRunner<float> runner(settings, seed, set);
  ResearchGlobalNetwork<float> network(Sizes{});
  return train(runner, network, settings, seed, set, checkpoint, log);
}

}  // namespace mixed_numbers
