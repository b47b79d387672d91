#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>
#include <vector>

#include <neuroinhib/core/tensor.hpp>

namespace neuroinhib::detail {

/// A moment's rest for a thread that spins.
inline void rest() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

/// The exception of the lowest iteration of a loop, so that it is the same at any number of threads.
class FirstException {
 public:
  /// Runs iteration i, unless an earlier one has failed.
  template <class Iteration>
  void guard(Index i, const Iteration& iteration) {
    if (i > lowest_.load(std::memory_order_relaxed)) return;
    try {
      iteration();
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (i > lowest_.load(std::memory_order_relaxed)) return;
      lowest_ = i;
      exception_ = std::current_exception();
    }
  }
  void rethrow() const {
    if (exception_) std::rethrow_exception(exception_);
  }

 private:
  std::atomic<Index> lowest_{std::numeric_limits<Index>::max()};
  std::mutex mutex_;
  std::exception_ptr exception_;
};

/// A loop's body without its type, so that what runs loops is compiled once.
struct LoopBody {
  const void* body;
  void (*call)(const void* body, Index i, int member);

  void operator()(Index i, int member) const { call(body, i, member); }
};

/// Threads that help one calling thread with its loops. The caller works too, takes over what helpers have not begun,
/// and waits only for what they have: a helper whose processor is busy elsewhere holds nothing up, as it would at the
/// barrier of an OpenMP loop. Helpers start with the first loop, and sleep between loops that are far apart.
class ThreadPool {
 public:
  /// `threads`: the caller and its helpers.
  explicit ThreadPool(int threads) : members_(threads), shares_(static_cast<std::size_t>(threads)) {}
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool() {
    stop_ = true;
    wake();
    for (std::thread& helper : helpers_) helper.join();
  }

  /// body(i, member) for i in [0, count), by the caller (member 0) and up to team − 1 helpers. Rethrows the exception
  /// of the lowest iteration that threw. Throws ConfigError for a loop inside another's body.
  void run(Index count, int team, const LoopBody& body) {
    if (open_)
      fail<ConfigError>("parallel loop", "loops one after another", "one inside another's body",
                        "call the inner one's body in a plain loop");
    start_helpers();
    FirstException first;
    body_ = &body;
    first_ = &first;
    deal(count, team);
    open_ = true;
    wake();
    work(0);
    open_ = false;
    for (int spins = 0; inside_ > 0; ++spins) {
      if (spins < kSpins)
        rest();
      else
        std::this_thread::yield();
    }
    first.rethrow();
  }

 private:
  /// Iterations that one member takes first; others help when they have done theirs.
  struct alignas(128) Share {
    std::atomic<Index> next;
    Index end;
  };
  static constexpr int kSpins = 4000;  // tens of microseconds: loops of one step follow one another within that
  static constexpr Index kPieces = 8;  // of a share, so that there is something to take over

  [[nodiscard]] Share& share(int member) { return shares_[static_cast<std::size_t>(member)]; }
  void start_helpers() {
    while (static_cast<int>(helpers_.size()) + 1 < members_) {
      const int member = static_cast<int>(helpers_.size()) + 1;
      helpers_.emplace_back([this, member] { help(member); });
    }
  }
  void deal(Index count, int team) {
    team_ = team;
    piece_ = std::max<Index>(1, count / (team * kPieces));
    for (int member = 0; member < team; ++member) {
      share(member).next = count * member / team;
      share(member).end = count * (member + 1) / team;
    }
  }
  void work(int member) {
    for (int other = 0; other < team_; ++other) {
      Share& source = share((member + other) % team_);
      while (true) {
        const Index begin = source.next.fetch_add(piece_);
        if (begin >= source.end) break;
        for (Index i = begin, end = std::min(source.end, begin + piece_); i < end; ++i)
          first_->guard(i, [&] { (*body_)(i, member); });
      }
    }
  }
  void wake() {
    ++round_;
    if (sleepers_ > 0) round_.notify_all();
  }
  void help(int member) {
    std::uint32_t seen = 0;
    while (true) {
      await(seen);
      seen = round_;
      if (stop_) return;
      // The loop's description may be read from here on: the caller, having closed it, waits for those inside.
      ++inside_;
      if (open_ && member < team_) work(member);
      --inside_;
    }
  }
  /// Until there has been another round than `seen`: wide awake for a while, then asleep.
  void await(std::uint32_t seen) {
    for (int spins = 0; spins < kSpins; ++spins) {
      if (round_ != seen) return;
      rest();
    }
    ++sleepers_;
    round_.wait(seen);
    --sleepers_;
  }

  int members_;
  std::vector<std::thread> helpers_;
  std::vector<Share> shares_;
  const LoopBody* body_ = nullptr;
  FirstException* first_ = nullptr;
  int team_ = 0;
  Index piece_ = 1;
  std::atomic<std::uint32_t> round_ = 0;
  std::atomic<int> inside_ = 0, sleepers_ = 0;
  std::atomic<bool> open_ = false, stop_ = false;
};

}  // namespace neuroinhib::detail
