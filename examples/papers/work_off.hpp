#pragma once

#include <exception>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "results.hpp"

namespace papers {

/// A run's entry in results.json, made of its row, its seed and its checkpoint.
using Train =
    std::function<nlohmann::json(const std::string& row, Index seed, const std::filesystem::path& checkpoint)>;

/// The runs of a call that its report lacks: every row with seed 0, then with seed 1, …
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

  /// So many at a time. The first error ends all, after the runs under way.
  void work_off(int at_a_time) {
    std::vector<std::thread> workers;
    for (int i = 1; i < at_a_time; ++i) workers.emplace_back([this] { work(); });
    work();
    for (std::thread& worker : workers) worker.join();
    if (error_) std::rethrow_exception(error_);
  }

 private:
  struct Run {
    std::string row;
    Index seed;
    std::filesystem::path checkpoint;
  };

  void work() {
    while (const auto run = next()) {
      try {
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
  std::optional<Run> next() {
    const std::lock_guard lock(mutex_);
    if (error_ || next_ == runs_.size()) return std::nullopt;
    return runs_[next_++];
  }

  Report& report_;
  const Train& train_;
  std::vector<Run> runs_;
  std::size_t next_ = 0;
  std::mutex mutex_;
  std::exception_ptr error_;
};

/// An experiment from its data on: trains what the report lacks, and shows it.
template <class Report>
void work_off(const Call& call, const OutputFolder& folder, Report& report, const Train& train,
              const std::string& prefix = "", int at_a_time = 1) {
  catch_interrupts();
  RunQueue(call, folder, prefix, report, train).work_off(at_a_time);
  report.show();
}

}  // namespace papers
