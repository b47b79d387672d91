#pragma once

#include <algorithm>
#include <vector>

/// Pictures that are moved so that a model errs.
namespace vision {

/// The fast gradient sign method (Goodfellow et al. 2015) is one step of the whole reach; projected gradient descent
/// (Madry et al. 2018) is several smaller ones, here without a random start.
struct Attack {
  double reach;  ///< how far a number may move: ε
  double step;   ///< of an iteration
  int iterations;

  static Attack fgsm(double epsilon) { return {epsilon, epsilon, 1}; }
  static Attack pgd(double epsilon) { return {epsilon, epsilon / 4, 10}; }
};

/// x with numbers in [0, 1], moved along the signs of gradient(x), by which the loss grows, within the attack's reach.
template <class T, class Gradient>
[[nodiscard]] std::vector<T> attacked(const std::vector<T>& x, const Attack& attack, const Gradient& gradient) {
  const auto reach = static_cast<T>(attack.reach), step = static_cast<T>(attack.step);
  std::vector<T> moved = x;
  for (int i = 0; i < attack.iterations; ++i) {
    const std::vector<T> slope = gradient(moved);
    for (std::size_t k = 0; k < x.size(); ++k) {
      const T sign = static_cast<T>((slope[k] > 0) - (slope[k] < 0));
      moved[k] = std::clamp(moved[k] + step * sign, std::max(T{0}, x[k] - reach), std::min(T{1}, x[k] + reach));
    }
  }
  return moved;
}

}  // namespace vision
