// Operations from one functor beside kernels written by hand, on the CPU.
//   map_cpu

#include "map.hpp"
#include "timing.hpp"

int main() {
  neuroinhib::Cpu<float> cpu;
  const auto median = [](const auto& call) {
    std::vector<double> times;
    for (int i = 0; i < 12; ++i) {
      const auto start = bench::Clock::now();
      call();
      times.push_back(bench::milliseconds_since(start));
    }
    return bench::median(times);
  };
  for (const neuroinhib::Shape& shape : {neuroinhib::Shape{8192, 1024}, neuroinhib::Shape{128, 1024}})
    bench::compare_all(cpu, shape, median);
}
