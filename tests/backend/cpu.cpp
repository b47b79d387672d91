// The CPU backend's loops, threads and memory.

#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <thread>

#include "support.hpp"

using namespace testing;

namespace {

/// Threads for every loop of more than one iteration.
CpuOptions eager(int threads) {
  return {.threads = threads, .min_work = 1};
}

/// A machine of 64 MiB.
struct SmallMachine : HostMemory {
  static std::size_t total() { return std::size_t{64} << 20; }
};

static_assert(Backend<Cpu<float>> && Backend<Cpu<double>>);
static_assert(!Backend<Recording<Cpu<float>>>, "a recording has a backend, and is none");

}  // namespace

TEST_CASE("an exception in a parallel loop comes out, the one of the lowest iteration at any number of threads") {
  for (const int threads : {1, 2, 3, 7}) {
    Cpu<float> cpu(eager(threads));
    const auto body = [](Index i) {
      if (i % 10 == 7) throw std::runtime_error("iteration " + std::to_string(i));
    };
    CHECK_THROWS_WITH(cpu.parallel_for(100, body), "iteration 7");
    CHECK_THROWS_WITH(cpu.parallel_tasks(100, 1, 4, [&](Index i, float*) { body(i); }), "iteration 7");
    CHECK_THROWS_WITH(cpu.parallel_blocks(100, 1, 5, [&](Index begin, Index) { body(begin + 2); }), "iteration 7");
    std::atomic<int> calls = 0;
    cpu.parallel_for(50, [&](Index) { ++calls; });
    CHECK(calls == 50);
    if (threads > 1)
      check_error<ConfigError>([&] { cpu.parallel_for(9, [&](Index) { cpu.parallel_for(9, [](Index) {}); }); },
                               {"loops one after another"});
  }
}

TEST_CASE("small work stays on the calling thread, large work does not") {
  Cpu<float> cpu({.threads = 4});
  // Every thread waits until as many as are expected have come, or gives up after a while.
  const auto threads_of = [&](Index count, Index cost, std::size_t expected) {
    std::mutex mutex;
    std::set<std::thread::id> seen;
    cpu.parallel_for(count, cost, [&](Index) {
      for (int wait = 0; wait < 2000; ++wait) {
        {
          const std::lock_guard<std::mutex> lock(mutex);
          seen.insert(std::this_thread::get_id());
          if (seen.size() >= expected) return;
        }
        std::this_thread::sleep_for(std::chrono::microseconds(100));
      }
    });
    return seen.size();
  };
  CHECK(threads_of(64, 1, 1) == 1);
  CHECK(threads_of(64, 100, 1) == 1);
  CHECK(threads_of(64, 1024, 2) == 2);
  CHECK(threads_of(64, 100000, 4) == 4);
  CHECK(threads_of(2, 1000000, 2) == 2);
}

TEST_CASE("every iteration runs once, on threads that never share scratch memory, loop after loop") {
  for (const int threads : {1, 2, 5}) {
    Cpu<double> cpu(eager(threads));
    for (int loop = 0; loop < 2000; ++loop) {
      const Index count = 1 + loop % 37;
      std::vector<double> results(static_cast<std::size_t>(count));
      cpu.parallel_tasks(count, 1, 3, [&](Index i, double* scratch) {
        for (int c = 0; c < 3; ++c) scratch[c] = static_cast<double>(i + c);
        results[static_cast<std::size_t>(i)] += scratch[0] + scratch[1] + scratch[2];
      });
      for (Index i = 0; i < count; ++i) REQUIRE(results[static_cast<std::size_t>(i)] == static_cast<double>(3 * i + 3));
    }
  }
}

TEST_CASE("the default number of threads is what the process may use") {
  CHECK(detail::processors_of_quota("200000 100000\n") == 2);
  CHECK(detail::processors_of_quota("150000 100000") == 2);
  CHECK(detail::processors_of_quota("1000 100000") == 1);
  CHECK(detail::processors_of_quota("max 100000") == 0);
  CHECK(detail::processors_of_quota("-1 100000") == 0);
  CHECK(detail::processors_of_quota("") == 0);
  CHECK(available_processors() >= 1);
  if (std::getenv("OMP_NUM_THREADS") == nullptr) CHECK(Cpu<>().threads() == available_processors());
  CHECK(Cpu<>({.threads = 3}).threads() == 3);
  check_error<ConfigError>([] { Cpu<> cpu({.threads = -1}); }, {"threads ≥ 0", "-1"});
  check_error<ConfigError>([] { Cpu<> cpu({.min_work = 0}); }, {"min_work ≥ 1", "got 0"});
}

TEST_CASE("steps of inference that never begin are told, instead of growing without end") {
  Arena<SmallMachine> arena;
  check_error<Error>(
      [&] {
        while (true) (void)arena.allocate(1000);
      },
      {"at most the machine's 64 MiB", "call begin_step()"});
  CHECK(arena.peak_bytes() > std::size_t{60} << 20);
  arena.reset();
  CHECK(arena.allocate(1000) != nullptr);
}

TEST_CASE("random numbers do not repeat beyond 2^32 of a stream") {
  const RandomStream stream{5, 7, 1};
  const Index far = Index{1} << 32;
  CHECK(!(stream.block(3) == stream.block(far + 3)));
  CHECK(!(stream.block(3) == stream.block(2 * far + 3)));
  CHECK(stream.word(1) != stream.word(4 * far + 1));
  CHECK(!(RandomStream{5, 7, 1}.block(far) == RandomStream{5, 8, 1}.block(0)));
}

TEST_CASE("a recording goes backward once") {
  Cpu<double> cpu;
  Values<double> x({1, 1}, 1);
  Recording ex(cpu);
  const auto y = scale(ex, x.variable(), 3).reshaped(Shape::scalar());
  ex.backward(y);
  CHECK(x.gradients[0] == 3);
  check_error<ConfigError>([&] { ex.backward(y); }, {"one backward pass", "a second"});
}
