#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <neuroinhib/neuroinhib.hpp>

/// What the tests share.
namespace testing {

using namespace neuroinhib;

/// Tensor memory that lives as long as the test.
template <class T>
struct Values {
  std::vector<T> values, gradients;
  bool written = false;
  Shape shape;

  Values(const Shape& extents, std::uint64_t seed, double scale = 1)
      : values(static_cast<std::size_t>(extents.size())), gradients(values.size()), shape(extents) {
    SequentialRandom random(seed, 0x7e57u);
    for (T& value : values) value = static_cast<T>(scale * random.normal());
  }
  [[nodiscard]] Tensor<T> constant() { return tensor(values, shape); }
  [[nodiscard]] Tensor<T> variable() {
    Tensor<T> result = constant();
    result.gradient = gradients.data();
    result.gradient_written = &written;
    return result;
  }
};

/// Largest |a − b| over largest |b|.
template <class A, class B>
double distance(const A* a, const B* b, Index count) {
  double difference = 0, size = 1e-30;
  for (Index i = 0; i < count; ++i) {
    difference = std::max(difference, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    size = std::max(size, std::abs(static_cast<double>(b[i])));
  }
  return difference / size;
}

/// Checks the gradient of Σ weights ⊙ f(ex) with respect to every element of the inputs against central differences.
/// f(ex) → Tensor<double>, recomputed for each. `mode` as training gives the same random numbers each time.
template <class F>
void check_gradient(const std::vector<Tensor<double>>& inputs, const F& f, double tolerance = 1e-6) {
  Cpu<double> cpu({.threads = 2, .seed = 3});
  const auto weight = [](Index i) { return std::cos(1.0 + 0.7 * static_cast<double>(i)); };
  double magnitude = 0;  // of the terms: what the rounding of their sum is measured by
  const auto value = [&] {
    cpu.random().step = 0;
    Recording ex(cpu);
    const Tensor<double> y = f(ex);
    double total = 0;
    magnitude = 0;
    for (Index i = 0; i < y.size(); ++i) {
      total += weight(i) * y[i];
      magnitude += std::abs(weight(i) * y[i]);
    }
    return total;
  };
  for (const auto& input : inputs) *input.gradient_written = false;
  {
    cpu.random().step = 0;
    Recording ex(cpu);
    const Tensor<double> y = f(ex);
    std::vector<double> weights(static_cast<std::size_t>(y.size()));
    for (Index i = 0; i < y.size(); ++i) weights[static_cast<std::size_t>(i)] = weight(i);
    const Shape all{1, y.size()};
    Values<double> row(all, 0);
    row.values = weights;
    ex.backward(linear(ex, y.reshaped(all), row.constant()));
  }
  for (const auto& input : inputs) {
    REQUIRE(*input.gradient_written);
    const std::vector<double> gradient(input.gradient, input.gradient + input.size());
    for (Index i = 0; i < input.size(); ++i) {
      const double kept = input[i], h = 1e-5 * std::max(1.0, std::abs(kept));
      input[i] = kept + h;
      const double above = value();
      input[i] = kept - h;
      const double below = value();
      input[i] = kept;
      const double slope = (above - below) / (2 * h);
      INFO("element ", i, " of ", input.shape.text(), ": backward ", gradient[static_cast<std::size_t>(i)],
           ", differences ", slope);
      // The difference of two sums carries their roundings, however small the slope is.
      const double rounding = std::numeric_limits<double>::epsilon() * magnitude / h;
      const double backward = gradient[static_cast<std::size_t>(i)];
      CHECK(std::abs(backward - slope) < tolerance * std::max({std::abs(backward), std::abs(slope), 1e-4}) + rounding);
    }
  }
}

/// The error's text, or "" where none of that kind came.
template <class Kind>
std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Kind& error) {
    return error.what();
  }
  return "";
}

/// Requires an error of that kind whose text holds every part.
template <class Kind>
void check_error(const std::function<void()>& action, const std::vector<std::string>& parts) {
  const std::string text = message_of<Kind>(action);
  REQUIRE_MESSAGE(!text.empty(), "no error of that kind");
  CHECK(text.find("expected") != std::string::npos);
  for (const auto& part : parts) CHECK_MESSAGE(text.find(part) != std::string::npos, text, " lacks ", part);
}

/// A folder that is empty at first and gone at the end.
struct TemporaryFolder {
  std::filesystem::path path;

  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "neuroinhib-XXXXXX").string();
    path = mkdtemp(pattern.data());
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const { return path / name; }
};

}  // namespace testing
