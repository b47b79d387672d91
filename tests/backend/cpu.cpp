// The CPU backend's loops, threads and memory.

#include <atomic>

#include "support.hpp"

using namespace testing;

namespace {

/// Threads for every loop of more than one iteration.
CpuOptions eager(int threads) {
  return {.threads = threads, .least_work = 1};
}

/// A machine of 64 MiB.
struct SmallMachine : HostMemory {
  static std::size_t total() { return std::size_t{64} << 20; }
};

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
  }
}

TEST_CASE("small work stays on the calling thread, large work does not") {
#if defined(_OPENMP)
  Cpu<float> cpu({.threads = 4});
  const auto threads_of = [&](Index count, Index cost) {
    std::atomic<int> most = 0;
    cpu.parallel_for(count, cost, [&](Index) { most = omp_get_num_threads(); });
    return most.load();
  };
  CHECK(threads_of(64, 1) == 1);
  CHECK(threads_of(64, 100) == 1);
  CHECK(threads_of(64, 1024) == 2);
  CHECK(threads_of(64, 100000) == 4);
  CHECK(threads_of(2, 1000000) == 2);
#endif
}

TEST_CASE("the default number of threads is what the process may use") {
  CHECK(detail::processors_of_quota("200000 100000\n") == 2);
  CHECK(detail::processors_of_quota("150000 100000") == 2);
  CHECK(detail::processors_of_quota("1000 100000") == 1);
  CHECK(detail::processors_of_quota("max 100000") == 0);
  CHECK(detail::processors_of_quota("-1 100000") == 0);
  CHECK(detail::processors_of_quota("") == 0);
  CHECK(available_processors() >= 1);
#if defined(_OPENMP)
  if (std::getenv("OMP_NUM_THREADS") == nullptr) CHECK(Cpu<>().threads() == available_processors());
#endif
  CHECK(Cpu<>({.threads = 3}).threads() == 3);
  check_error<ConfigError>([] { Cpu<> cpu({.threads = -1}); }, {"threads ≥ 0", "-1"});
  check_error<ConfigError>([] { Cpu<> cpu({.least_work = 0}); }, {"least_work ≥ 1", "got 0"});
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
