// Our tiled product and convolution beside Eigen's product on Table 1's shapes: GFLOP/s, medians, one thread.
//   products

#include <Eigen/Core>
#include <cstdio>
#include <neuroinhib/neuroinhib.hpp>
#include <vector>

#include "timing.hpp"

namespace {

using namespace neuroinhib;

template <class Action>
double median_seconds(const Action& action) {
  std::vector<double> times;
  for (int i = 0; i < 12; ++i) {
    const auto start = bench::Clock::now();
    action();
    times.push_back(bench::milliseconds_since(start));
  }
  return bench::median(times) / 1e3;
}

/// x [rows, in] times weightᵀ [in, out].
void compare(const char* name, Index rows, Index in, Index out) {
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Matrix x = Matrix::Random(rows, in), weight = Matrix::Random(out, in);
  Matrix y(rows, out);
  Cpu<float> cpu({.threads = 1});
  std::vector<float> a(x.data(), x.data() + x.size()), b(weight.data(), weight.data() + weight.size());
  const double eigen = median_seconds([&] { y.noalias() = x * weight.transpose(); });
  const double ours = median_seconds([&] {
    cpu.begin_step();
    (void)linear(cpu, tensor(a, {rows, in}), tensor(b, {out, in}));
  });
  const double giga = 2e-9 * static_cast<double>(rows * in * out);
  std::printf("| %-28s | %5td x %5td x %5td | %6.0f | %6.0f | %.2f |\n", name, rows, in, out, giga / ours, giga / eigen,
              eigen / ours);
}

}  // namespace

int main() {
  Eigen::setNbThreads(1);
  std::printf("%s\n| product | rows x in x out | ours | Eigen | ratio |\n|---|---|---:|---:|---:|\n",
              Cpu<float>({.threads = 1}).describe().c_str());
  compare("router, one expert", 128, 3200, 128);
  compare("three experts' worth of rows", 384, 3200, 128);
  compare("pre-text", 128, 36864, 128);
  compare("one image of conv 2 as columns", 441, 1024, 32);
  compare("square", 1024, 1024, 1024);
}
