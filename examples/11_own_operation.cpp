// Operations of your own: an elementwise one and a reduction, each from a functor with its derivative.
//
// Output:
//   the gradients are right
//   step   0: loss 2.69
//   step  50: loss 2.01
//   step 100: loss 1.99

#include <cmath>
#include <cstdio>
#include <vector>

#include <neuroinhib/analysis/check_gradients.hpp>
#include <neuroinhib/neuroinhib.hpp>

using namespace neuroinhib;

/// Huber's loss of a − b: quadratic within ±1, linear beyond.
struct Huber {
  static constexpr const char* name = "Huber";
  template <class T>
  NEUROINHIB_DEVICE T operator()(T a, T b) const {
    const T size = std::abs(a - b);
    return size < 1 ? size * size / 2 : size - T{0.5};
  }
  template <class T>
  NEUROINHIB_DEVICE auto derivative(T a, T b) const {
    const T slope = a - b > 1 ? T{1} : a - b < -1 ? T{-1} : a - b;
    return Partials{slope, -slope};
  }
};

/// log(exp a + exp b): a maximum with soft edges. Its derivative is that of a row's result y by one element x.
struct SoftMaximum {
  static constexpr const char* name = "soft maximum";
  template <class T>
  NEUROINHIB_DEVICE T operator()(T a, T b) const {
    return a > b ? a + std::log1p(std::exp(b - a)) : b + std::log1p(std::exp(a - b));
  }
  template <class T>
  NEUROINHIB_DEVICE T derivative(T x, T y) const {
    return std::exp(x - y);
  }
};

int main() {
  std::vector<double> values(12), targets{0, 1, 2, 3};
  for (double phase = 0; double& value : values) value = std::sin(phase += 0.7);
  const auto x = tensor(values, {4, 3}), y = tensor(targets, {4, 1});

  nn::Linear<double> layer(3, 3);
  Parameters<double> parameters(layer, /*seed=*/1);
  const auto loss_of = [&](auto& ex) {
    return total(ex, map(ex, Huber{}, reduce_rows(ex, SoftMaximum{}, layer(ex, x)), y));
  };
  const GradientCheck check = check_gradients(parameters, loss_of);
  std::printf("%s\n", check.passed() ? "the gradients are right" : check.text().c_str());

  Adam<double> adam(parameters, {.learning_rate = 0.1});
  Cpu<double> cpu;
  for (int step = 0; step <= 100; ++step) {
    Recording ex(cpu);
    const auto loss = loss_of(ex);
    ex.backward(loss);
    adam.step(cpu, parameters);
    if (step % 50 == 0) std::printf("step %3d: loss %.2f\n", step, loss[0]);
  }
}
