// From what size on does a second thread pay? Times of one thread and of two that share every loop, and the work of
// each in the units of CpuOptions::min_work: loops that follow one another, and loops after a pause, for which
// helpers wake.
//   min_work

#include <cstdio>
#include <limits>
#include <thread>

#include "map.hpp"
#include "timing.hpp"

namespace {

using namespace bench;

constexpr int kRounds = 400;
constexpr auto kPause = std::chrono::milliseconds(1);

/// The least of many rounds, in microseconds: the machine may be shared.
template <class Call>
double least_us(bool pause, const Call& call) {
  double least = std::numeric_limits<double>::infinity();
  for (int round = 0; round < (pause ? kRounds / 4 : kRounds); ++round) {
    if (pause) std::this_thread::sleep_for(kPause);
    const auto start = Clock::now();
    call();
    least = std::min(least, 1e3 * milliseconds_since(start));
  }
  return least;
}

/// use(cpu, size): one loop over so many elements, each of so much work.
template <class Use>
void measure(const char* name, Index cost, const Use& use) {
  std::printf(
      "\n%s, work %td an element\n| elements | work | one thread, µs | two | one after a pause | two |\n"
      "|---:|---:|---:|---:|---:|---:|\n",
      name, cost);
  Cpu<float> one({.threads = 1}), two({.threads = 2, .min_work = 1});
  for (Index size = Index{1} << 10; size <= Index{1} << 20; size *= 2) {
    const auto time = [&](Cpu<float>& cpu, bool pause) {
      cpu.begin_step();
      const auto op = use(cpu, size);
      return least_us(pause, [&] { forward(cpu, op); });
    };
    const double alone = time(one, false), shared = time(two, false), rested = time(one, true), woken = time(two, true);
    std::printf("| %td | 2^%.0f | %.2f | %.2f, %.2f times | %.2f | %.2f, %.2f times |\n", size,
                std::log2(static_cast<double>(size * cost)), alone, shared, shared / alone, rested, woken,
                woken / rested);
  }
}

Tensor<float> filled(Cpu<float>& cpu, const Shape& shape) {
  const auto x = cpu.tensor(shape, false);
  cpu.fill(x.data, shape.size(), .5f);
  return x;
}

}  // namespace

int main() {
  measure("scale", 1,
          [](auto& cpu, Index size) { return ops::Scale<float>{filled(cpu, {size}), filled(cpu, {size}), 2.0f}; });
  measure("tanh", cost::exponential, [](auto& cpu, Index size) {
    return ops::Activate<float>{filled(cpu, {size}), {}, filled(cpu, {size}), Activation::tanh};
  });
  measure("softmax of rows of 64", cost::exponential, [](auto& cpu, Index size) {
    return ops::Softmax<float>{filled(cpu, {size / 64, 64}), filled(cpu, {size / 64, 64})};
  });
  measure("sums of rows of 64", 1, [](auto& cpu, Index size) {
    return ops::Reduce<float, Plus>{{}, filled(cpu, {size / 64, 64}), filled(cpu, {size / 64, 1}), true};
  });
  measure("linear layer of 128 to 128, work a row's element", cost::multiply_adds(128), [](auto& cpu, Index size) {
    const Index rows = size / 128;
    return ops::Linear<float>{filled(cpu, {rows, 128}), filled(cpu, {128, 128}), {}, filled(cpu, {rows, 128})};
  });
}
