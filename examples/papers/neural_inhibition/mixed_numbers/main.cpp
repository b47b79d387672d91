// Table 1 of the Neural Inhibition paper: does inhibition improve a Mixture of Experts on digits and squares at once?

#include <cstdio>
#include <exception>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "data.hpp"
#include "report.hpp"
#include "training.hpp"

namespace {

using namespace mixed_numbers;

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

/// The experiment's images, and where its results go.
struct Experiment {
  const Settings& settings;
  const papers::OutputFolder& folder;
  const std::vector<Images>& drawings;

  [[nodiscard]] const Images& images(Index seed) const {
    return drawings[static_cast<std::size_t>(seed % settings.drawings)];
  }
};

struct Run {
  Index seed;
  std::string row;

  [[nodiscard]] std::filesystem::path checkpoint(const Experiment& e) const {
    return e.folder.checkpoint(e.settings.recipe + "-" + row + "-" + std::to_string(seed));
  }
  /// The run's entry in results.json. Its checkpoint stays until that is saved.
  [[nodiscard]] nlohmann::json train(const Experiment& e) const {
    const auto train = e.settings.on_cuda()           ? train_row_on_cuda
                       : e.settings.is_research()     ? train_research_row
                       : e.settings.recipe == "paper" ? train_row<PaperRecipe>
                                                      : train_row<CleanRecipe>;
    const auto& [set, name] = e.images(seed);
    RunLog log(e.settings, row, seed, name);
    return log.result(train(e.settings, row, seed, set, checkpoint(e), log), set.count());
  }
};

/// Works off the runs that the report lacks, several at a time; the first error ends all, after the runs under way.
class RunQueue {
 public:
  RunQueue(const Experiment& experiment, Report& report) : experiment_(experiment), report_(report) {
    for (Index seed = 0; seed < experiment.settings.seeds; ++seed)
      for (const std::string& row : experiment.settings.rows) {
        const Run run{seed, row};
        if (report.has(row, seed))
          std::filesystem::remove(run.checkpoint(experiment));  // of a call that ended in between
        else
          runs_.push_back(run);
      }
  }

  void work_off(int at_a_time) {
    std::vector<std::thread> workers;
    for (int i = 1; i < at_a_time; ++i) workers.emplace_back([this] { work(); });
    work();
    for (std::thread& worker : workers) worker.join();
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void work() {
    while (const auto run = next()) {
      try {
        papers::stop_if_interrupted();
        const auto result = run->train(experiment_);
        const std::lock_guard lock(mutex_);
        std::printf("%-9s seed %td: test %.2f %% (digits %.2f, squares %.2f), %.0f s, %.2f ms a step\n",
                    run->row.c_str(), run->seed, 100 * result["test"].get<double>(),
                    100 * result["digits"].get<double>(), 100 * result["squares"].get<double>(),
                    result["seconds"].get<double>(), result["step_ms"].get<double>());
        report_.add(result);
        std::filesystem::remove(run->checkpoint(experiment_));
      } catch (...) {
        const std::lock_guard lock(mutex_);
        if (!error_) error_ = std::current_exception();
      }
    }
  }
  std::optional<Run> next() {
    const std::lock_guard lock(mutex_);
    if (error_ || next_ == runs_.size()) return std::nullopt;
    return runs_[next_++];
  }

  const Experiment& experiment_;
  Report& report_;
  std::vector<Run> runs_;
  std::size_t next_ = 0;
  std::mutex mutex_;
  std::exception_ptr error_;
};

int run_all(Settings settings) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // a log shows each run as it ends
  const std::string machine =
      settings.on_cuda() ? describe_cuda(settings) : Cpu<float>({.threads = settings.threads}).describe();
  const papers::OutputFolder folder(settings);
  const std::vector<Images> drawings = load_drawings(settings);
  std::printf("%s; %s\n", machine.c_str(), settings.key().c_str());
  const Experiment experiment{settings, folder, drawings};
  papers::catch_interrupts();
  Report report(folder, settings, drawings[0].set.source, drawings[0].name, machine);
  RunQueue(experiment, report).work_off(settings.on_cuda() ? settings.replicas : 1);
  report.show();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return papers::run_program(argc, argv, [](const auto& arguments) { return run_all(read_settings(arguments)); });
}
