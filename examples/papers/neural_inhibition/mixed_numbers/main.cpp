// Table 1 of the Neural Inhibition paper: does inhibition improve a Mixture of Experts on digits and squares at once?

#include <cstdio>
#include <exception>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

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
  const auto train = settings.on_cuda()           ? train_row_on_cuda
                     : settings.recipe == "paper" ? train_row<PaperRecipe>
                                                  : train_row<CleanRecipe>;
  RunLog log(settings, row, seed);
  auto result = log.result(train(settings, row, seed, set, checkpoint, log), set.count());
  std::filesystem::remove(checkpoint);
  return result;
}

struct Task {
  Index seed;
  std::string row;
};

/// Works off the runs that the report lacks, several at a time; the first error ends all, after the runs under way.
class RunQueue {
 public:
  RunQueue(const Settings& settings, const data::ImageSet& set, Report& report)
      : settings_(settings), set_(set), report_(report) {
    for (Index seed = 0; seed < settings.seeds; ++seed)
      for (const std::string& row : settings.rows)
        if (!report.has(row, seed)) tasks_.push_back({seed, row});
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
    while (const auto task = next()) {
      try {
        const auto result = run(settings_, task->row, task->seed, set_);
        const std::lock_guard lock(mutex_);
        std::printf("%-9s seed %td: test %.2f %% (digits %.2f, squares %.2f), %.0f s, %.2f ms a step\n",
                    task->row.c_str(), task->seed, 100 * result["test"].get<double>(),
                    100 * result["digits"].get<double>(), 100 * result["squares"].get<double>(),
                    result["seconds"].get<double>(), result["step_ms"].get<double>());
        report_.add(result);
      } catch (...) {
        const std::lock_guard lock(mutex_);
        if (!error_) error_ = std::current_exception();
      }
    }
  }
  std::optional<Task> next() {
    const std::lock_guard lock(mutex_);
    if (error_ || next_ == tasks_.size()) return std::nullopt;
    return tasks_[next_++];
  }

  const Settings& settings_;
  const data::ImageSet& set_;
  Report& report_;
  std::vector<Task> tasks_;
  std::size_t next_ = 0;
  std::mutex mutex_;
  std::exception_ptr error_;
};

int run_all(Settings settings) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // a log shows each run as it ends
  const std::string machine =
      settings.on_cuda() ? describe_cuda(settings) : Cpu<float>({.threads = settings.threads}).describe();
  const data::ImageSet set = load_data(settings);
  std::printf("%s; %s\n", machine.c_str(), settings.key().c_str());
  papers::catch_interrupts();
  Report report(settings, set.source, machine);
  RunQueue(settings, set, report).work_off(settings.on_cuda() ? settings.replicas : 1);
  report.show();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return papers::run_program(argc, argv, [](const auto& arguments) { return run_all(read_settings(arguments)); });
}
