// The eight rows of Table 1, both recipes, against PyTorch: the same weights, one training step.

#include <neuroinhib/io/safetensors.hpp>

#include "network.hpp"
#include "support.hpp"

namespace {

using namespace testing;
using namespace mixed_numbers;

constexpr Sizes kSizes{.image = 12, .channels1 = 3, .channels2 = 2, .hidden = 6, .experts = 5};
constexpr std::uint64_t kSeed = 5;

template <class T>
std::vector<T> converted(const io::Safetensors& file, const std::string& name) {
  const std::vector<double> values = file.values<double>(name);
  return {values.begin(), values.end()};
}

template <class T>
void load(const io::Safetensors& file, const std::string& name, const Tensor<T>& target) {
  REQUIRE(file.shape(name) == target.shape);
  const std::vector<T> values = converted<T>(file, name);
  std::copy(values.begin(), values.end(), target.data);
}

template <class T>
void check_close(const io::Safetensors& file, const std::string& name, const T* ours, double tolerance) {
  const auto expected = file.values<double>(name);
  INFO(name);
  CHECK(distance(ours, expected.data(), static_cast<Index>(expected.size())) <= tolerance);
}

template <class Recipe, class T>
void check_row(std::string_view row, double tolerance) {
  const io::Safetensors file(std::filesystem::path(NEUROINHIB_FIXTURES) /
                             ("table1_" + std::string(Recipe::kName) + "_" + std::string(row) + ".safetensors"));
  CAPTURE(row);
  with_network<Recipe, T>(row, kSizes, [&](auto& network) {
    Parameters<T> parameters(network, 0);
    for (const auto& entry : parameters.entries()) load(file, "parameters." + entry.name, entry.tensor);
    for (const auto& state : parameters.states()) {
      const auto parts = state.name.find("posttext.");
      const auto end = state.name.find(".training");
      if (parts == std::string::npos || end == std::string::npos) continue;
      const std::string memory = "memory." + state.name.substr(parts + 9, end - parts - 9);
      const auto values = converted<T>(file, memory);
      state.buffer->assign({values.data(), file.shape(memory)});
    }
    Cpu<T> cpu({.threads = 2, .seed = kSeed});
    auto pixels = converted<T>(file, "images");
    auto labels = file.values<std::int32_t>("labels");
    const auto batch = static_cast<Index>(labels.size());
    Recording ex(cpu);
    const auto logits = network.logits(ex, tensor(pixels, {batch, kSizes.image, kSizes.image, 1}));
    const auto loss = network.loss(ex, logits, {labels.data(), {batch}});
    ex.backward(loss);
    check_close(file, "logits", logits.data, tolerance);
    check_close(file, "loss", loss.data, tolerance);
    (void)parameters.gradients();
    for (const auto& entry : parameters.entries())
      check_close(file, "gradients." + entry.name, entry.tensor.gradient, tolerance);
  });
}

}  // namespace

TEST_CASE_TEMPLATE("every row of Table 1 equals PyTorch", Recipe, PaperRecipe, CleanRecipe) {
  for (const Row& row : kRows) {
    SUBCASE(row.name.data()) {
      check_row<Recipe, double>(row.name, 1e-9);
      check_row<Recipe, float>(row.name, 1e-4);
    }
  }
}
