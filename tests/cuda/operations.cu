// Every operation on the GPU against the CPU in double: results and gradients, small, large and odd.

#include "cuda/support.cuh"
#include "ops/cases.hpp"

using namespace testing;

namespace {

/// y and the inputs' gradients.
template <class B, class F>
std::vector<Numbers> outcome(B& backend, const std::vector<Values<double>>& inputs, const F& f) {
  using T = typename B::Scalar;
  std::vector<Kept<B>> kept;
  kept.reserve(inputs.size());
  for (const auto& input : inputs) kept.emplace_back(input.shape, input.values);
  std::vector<Tensor<T>> variables;
  for (auto& k : kept) variables.push_back(k.variable());
  Recording ex(backend);
  const Tensor<T> y = f(ex, variables);
  Kept<B> row(Shape{y.size()}, weights(y.size()));
  ex.backward(weighted_total(ex, y, row));
  std::vector<Numbers> all{numbers(backend, View<T>(y))};
  for (auto& k : kept) all.push_back(k.gradient());
  return all;
}

enum class Cases {
  all,
  smooth,  ///< none where a rounding decides between two elements: those differ by whole gradients, not by roundings
  whole,   ///< those, on small whole numbers: products in tf32 are exact then, and so is every choice
  layers   ///< those with products of experts or linear layers
};

template <class B>
void check_all(B& backend, double tolerance, Cases cases = Cases::all) {
  const auto check = [&](const std::string& name, const std::vector<Drawn>& inputs, const auto& f) {
    const auto has = [&](const char* word) { return name.find(word) != std::string::npos; };
    if (cases == Cases::smooth && has("pool")) return;
    if (cases == Cases::whole && !has("pool")) return;
    if (cases == Cases::layers && !has("grouped") && !has("experts") && !has("linear")) return;
    auto values = draw<double>(inputs, 1);
    if (cases == Cases::whole)
      for (auto& input : values)
        for (double& v : input.values) v = std::round(2 * v);
    Cpu<double> cpu({.seed = 3, .winograd = false});  // whole numbers stay whole
    backend.random() = {3, 0};
    const auto expected = outcome(cpu, values, f), actual = outcome(backend, values, f);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      // A gradient through attention is a chain of three products, each of whose factors is rounded.
      const bool chain = i > 0 && cases == Cases::smooth && has("attention");
      INFO(name, i == 0 ? std::string(", result") : ", gradient of input " + std::to_string(i - 1));
      CHECK(distance(actual[i], expected[i]) <= (chain ? 2 * tolerance : tolerance));
    }
    backend.random() = {3, 0};
    CHECK_MESSAGE(outcome(backend, values, f) == actual, name, ": the second run gave other bits");
  };
  for_each_operation(check);
  for_each_large_operation(check);
}

}  // namespace

TEST_CASE("operations in double equal the CPU's") {
  Cuda<double> cuda;
  check_all(cuda, 1e-13);
}

TEST_CASE("operations in strict float equal the CPU's in double") {
  Cuda<float> cuda({.precision = Precision::strict});
  check_all(cuda, 1e-5);
}

TEST_CASE("operations with products in tf32 equal the CPU's in double") {
  Cuda<float> cuda;
  check_all(cuda, 1e-3, Cases::smooth);
}

TEST_CASE("layers with factors in bf16 equal the CPU's in double, to bf16's roundings") {
  Cuda<float> cuda({.precision = Precision::bf16});
  check_all(cuda, 5e-3, Cases::layers);
}

TEST_CASE("pools after products in tf32 choose as the CPU's do, on whole numbers") {
  Cuda<float> cuda;
  check_all(cuda, 1e-3, Cases::whole);
}

TEST_CASE("no operation reads device memory that it has not written: old content changes nothing") {
  Cuda<double> cuda;
  const auto fill_arena = [&](int byte) {
    constexpr std::size_t kChunk = std::size_t{1} << 16, kChunks = 512;
    cuda.begin_step();
    const ArenaScope scope(cuda.device_arena());
    for (std::size_t i = 0; i < kChunks; ++i)
      require_cuda(cudaMemset(cuda.device_arena().allocate(kChunk), byte, kChunk), "test");
    require_cuda(cudaDeviceSynchronize(), "test");
  };
  for_each_operation([&](const std::string& name, const std::vector<Drawn>& inputs, const auto& f) {
    const auto values = draw<double>(inputs, 1);
    const auto filled = [&](int byte) {
      fill_arena(byte);
      cuda.random() = {3, 0};
      return outcome(cuda, values, [&](auto& ex, const auto& in) {
        auto copies = in;  // whose gradients lie in that memory
        for (auto& copy : copies) copy = scale(ex, copy, 1);
        return f(ex, copies);
      });
    };
    CHECK_MESSAGE(filled(0xff) == filled(0), name);
  });
}

TEST_CASE("scores that are not numbers rank first, as on the CPU") {
  const std::vector<double> scores{1, NAN, 3, -INFINITY, NAN, 2, NAN, 0, 0, 1, 2, NAN};
  const auto chosen = [&](auto& backend) {
    using B = std::remove_reference_t<decltype(backend)>;
    Kept<B> kept({3, 4}, scores);
    Numbers all = numbers(backend, top_m(backend, kept.constant(), 3).expert);
    const Numbers taken = numbers(backend, expert_choice(backend, kept.constant(), 2, 3, 1).expert);
    all.insert(all.end(), taken.begin(), taken.end());
    const Numbers winners = numbers(backend, lowest_head(backend, kept.constant().reshaped({1, 12})));
    all.insert(all.end(), winners.begin(), winners.end());
    return all;
  };
  Cuda<float> cuda;
  Cpu<float> cpu;
  CHECK(chosen(cuda) == chosen(cpu));
}
