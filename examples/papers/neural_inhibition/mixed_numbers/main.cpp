// Table 1 of the Neural Inhibition paper: does inhibition improve a Mixture of Experts on digits and squares at once?

#include <cstdio>
#include <nlohmann/json.hpp>

#include <neuroinhib/data/built_in_digits.hpp>
#include <neuroinhib/data/idx.hpp>

#include "report.hpp"
#include "training.hpp"

namespace {

using namespace mixed_numbers;

data::Squares squares_kind(const std::string& name) {
  if (name == "paper") return data::Squares::paper;
  return name == "clean" ? data::Squares::clean : data::Squares::stoianov_zorzi;
}

/// The experiment's images: the same for every row and seed.
data::ImageSet load_data(Settings& settings) {
  constexpr std::uint64_t kDataSeed = 1;
  constexpr Index kDigits = 60000;
  data::ImageSet digits;
  if (settings.data.empty()) {
    digits = data::make_built_in_digits(settings.samples > 0 ? settings.samples / 2 : kDigits, kDataSeed);
    std::printf("data: %s; name a folder with --data for MNIST\n", data::kBuiltInDigits);
  } else {
    digits = data::load_images(settings.data, "train");
    std::printf("data: %td digits from %s\n", digits.count(), settings.data.string().c_str());
  }
  if (settings.samples == 0) settings.samples = 2 * digits.count();
  return data::make_mixed_numbers(digits, squares_kind(settings.squares), settings.samples, kDataSeed);
}

nlohmann::json run(const Settings& settings, const std::string& row, Index seed, const data::ImageSet& set) {
  const auto checkpoint = settings.out / (settings.recipe + "-" + row + "-" + std::to_string(seed) + ".safetensors");
  const auto train = settings.recipe == "paper" ? train_row<PaperRecipe> : train_row<CleanRecipe>;
  RunLog log(settings, row, seed);
  auto result = log.result(train(settings, row, seed, set, checkpoint, log), set.count());
  std::filesystem::remove(checkpoint);
  return result;
}

int run_all(Settings settings) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // a log shows each run as it ends
  const data::ImageSet set = load_data(settings);
  const std::string machine = Cpu<float>({.threads = settings.threads}).describe();
  std::printf("%s; %s\n", machine.c_str(), settings.key().c_str());
  Report report(settings, set.source, machine);
  for (Index seed = 0; seed < settings.seeds; ++seed)
    for (const std::string& row : settings.rows) {
      if (report.has(row, seed)) continue;
      const auto result = run(settings, row, seed, set);
      std::printf("%-9s seed %td: test %.2f %% (digits %.2f, squares %.2f), %.0f s, %.1f ms a step\n", row.c_str(),
                  seed, 100 * result["test"].get<double>(), 100 * result["digits"].get<double>(),
                  100 * result["squares"].get<double>(), result["seconds"].get<double>(),
                  result["step_ms"].get<double>());
      report.add(result);
    }
  report.show();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGINT, [](int) { interrupt_wanted = 1; });
  std::signal(SIGTERM, [](int) { interrupt_wanted = 1; });
  try {
    return run_all(read_settings(argc, argv));
  } catch (const Interrupted&) {
    std::fprintf(stderr, "\ninterrupted; the same command with --resume goes on from the last epoch\n");
    return 130;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
