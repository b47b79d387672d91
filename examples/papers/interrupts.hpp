#pragma once

#include <csignal>
#include <cstdio>

#include "common.hpp"
#include "job.hpp"

/// How a call is ended before its end, and goes on later. Of several ranks, all end together where one is asked to.
namespace papers {

/// Thrown after Ctrl-C or SIGTERM, once the run under way is saved.
struct Interrupted {};

/// The signal that asked for the end; 0: none.
inline volatile std::sig_atomic_t interrupt_wanted = 0;

/// For loops that can be left at any time, at the same place on all ranks.
inline void stop_if_interrupted() {
  if (job().any(interrupt_wanted != 0)) throw Interrupted{};
}

/// From here on the first Ctrl-C or SIGTERM asks for the end, which comes once runs are saved; the second ends at once.
inline void catch_interrupts() {
  for (const int signal : {SIGINT, SIGTERM})
    std::signal(signal, [](int caught) {
      interrupt_wanted = caught;
      std::signal(caught, SIG_DFL);
    });
}

/// work(), and the exit status after it; what an interrupt leaves is told.
template <class Work>
int run_interruptible(const Work& work) {
  catch_interrupts();
  try {
    work();
    return 0;
  } catch (const Interrupted&) {
    if (job().leads()) std::fprintf(stderr, "\ninterrupted and saved; the same command with --resume continues\n");
    return 128 + interrupt_wanted;
  }
}

/// When a run keeps a checkpoint: so many seconds after the one before, and when the end was asked for.
class SaveClock {
 public:
  explicit SaveClock(double seconds) : seconds_(seconds) {}

  /// All ranks ask, and are told the same.
  [[nodiscard]] bool due() const { return job().any(interrupt_wanted != 0 || seconds_since(last_) >= seconds_); }
  /// save() where that is due. Throws Interrupted after it where the end was asked for.
  template <class Save>
  void operator()(const Save& save) {
    if (!due()) return;
    save();
    last_ = Clock::now();
    stop_if_interrupted();
  }

 private:
  double seconds_;
  Clock::time_point last_ = Clock::now();
};

}  // namespace papers
