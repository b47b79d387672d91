#pragma once

#include <exception>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "interrupts.hpp"
#include "results.hpp"

namespace papers {

/// A run's entry in results.json, made of its row, its seed and its checkpoint.
using Train =
    std::function<nlohmann::json(const std::string& row, Index seed, const std::filesystem::path& checkpoint)>;

/// A run of a call, as one rank tells it to the others.
struct RunOfCall {
  std::string row;
  Index seed = 0;
  std::filesystem::path checkpoint;

  [[nodiscard]] std::string text() const { return nlohmann::json{row, seed, checkpoint.string()}.dump(); }
  static RunOfCall of(const std::string& text) {
    const auto json = nlohmann::json::parse(text);
    return {json.at(0), json.at(1), json.at(2).get<std::string>()};
  }
};

/// The runs of a call that its report lacks: every row with seed 0, then with seed 1, … Ranks behind the first
/// follow().
template <class Report>
class RunQueue {
 public:
  /// A checkpoint's name is that of the run behind `prefix`.
  RunQueue(const Call& call, const OutputFolder& folder, const std::string& prefix, Report& report, const Train& train)
      : report_(report), train_(train) {
    for (Index seed = 0; seed < call.seeds; ++seed)
      for (const std::string& row : call.rows) {
        auto checkpoint = folder.checkpoint(prefix + row + "-" + std::to_string(seed));
        if (report.has(row, seed))
          std::filesystem::remove(checkpoint);  // of a call that ended in between
        else
          runs_.push_back({row, seed, std::move(checkpoint)});
      }
  }

  /// So many at a time; on several ranks one. The first error ends all, after the runs under way.
  void work_off(int at_a_time) {
    std::vector<std::thread> workers;
    for (int i = 1; i < at_a_time; ++i) workers.emplace_back([this] { work(); });
    work();
    for (std::thread& worker : workers) worker.join();
    if (error_) std::rethrow_exception(error_);
    (void)job().of_first("");
  }

 private:
  void work() {
    while (const auto run = next()) {
      try {
        (void)job().of_first(run->text());
        stop_if_interrupted();
        auto result = train_(run->row, run->seed, run->checkpoint);
        const std::lock_guard lock(mutex_);
        report_.add(std::move(result));
        std::filesystem::remove(run->checkpoint);  // only now, with the result saved
      } catch (...) {
        const std::lock_guard lock(mutex_);
        if (!error_) error_ = std::current_exception();
      }
    }
  }
  std::optional<RunOfCall> next() {
    const std::lock_guard lock(mutex_);
    if (error_ || next_ == runs_.size()) return std::nullopt;
    return runs_[next_++];
  }

  Report& report_;
  const Train& train_;
  std::vector<RunOfCall> runs_;
  std::size_t next_ = 0;
  std::mutex mutex_;
  std::exception_ptr error_;
};

/// An experiment from its data on: trains what the report lacks, and shows it. The exit status.
template <class Report>
int work_off(const Call& call, const OutputFolder& folder, Report& report, const Train& train,
             const std::string& prefix = "", int at_a_time = 1) {
  return run_interruptible([&] {
    RunQueue(call, folder, prefix, report, train).work_off(at_a_time);
    report.show();
  });
}
/// The same on a rank behind the first: trains with the others what the first one's report lacks.
inline int follow(const Train& train) {
  return run_interruptible([&] {
    for (;;) {
      const std::string told = job().of_first("");
      if (told.empty()) return;
      stop_if_interrupted();
      const RunOfCall run = RunOfCall::of(told);
      (void)train(run.row, run.seed, run.checkpoint);
    }
  });
}

}  // namespace papers
