#pragma once

#include <neuroinhib/io/safetensors.hpp>

#include "research.hpp"
#include "support.hpp"

/// One training step of a row of Table 1, on any backend, against what PyTorch gave for the same weights.
namespace testing {

using namespace mixed_numbers;

inline constexpr Sizes kSizes{.image = 12, .channels1 = 3, .channels2 = 2, .hidden = 6, .experts = 5};
inline constexpr std::uint64_t kSeed = 5;

template <class T>
void check_close(const io::Safetensors& file, const std::string& name, const std::vector<T>& ours, double tolerance) {
  const auto expected = file.values<double>(name);
  INFO(name);
  REQUIRE(ours.size() == expected.size());
  CHECK(distance(ours.data(), expected.data(), static_cast<Index>(expected.size())) <= tolerance);
}

/// `memory_of(state)`: the fixture's name of what a state holds; empty: the state starts as it does.
template <class Network, class B, class MemoryOf>
void check_step(const io::Safetensors& file, Network& network, B& backend, double tolerance,
                const MemoryOf& memory_of) {
  using T = typename B::Scalar;
  Parameters<T> parameters(network, 0, backend.space());
  for (const auto& entry : parameters.entries()) {
    REQUIRE(file.shape("parameters." + entry.name) == entry.tensor.shape);
    parameters.set_values(entry, file.converted<T>("parameters." + entry.name));
  }
  for (auto& state : parameters.states()) {
    const std::string memory = memory_of(state.name);
    if (memory.empty()) continue;
    const auto values = file.converted<T>(memory);
    state.assign({values.data(), file.shape(memory)});
  }
  const auto pixels = file.converted<T>("images");
  const auto kept_labels = file.values<std::int32_t>("labels");
  const auto batch = static_cast<Index>(kept_labels.size());
  backend.random() = {kSeed, 0};
  Recording ex(backend);
  const auto images = ex.tensor({batch, kSizes.image, kSizes.image, 1}, false);
  const auto labels = ex.integers({batch});
  backend.write(View<T>(images), pixels.data());
  backend.write(labels, kept_labels.data());
  const auto logits = network.logits(ex, images);
  const auto loss = network.loss(ex, logits, labels);
  ex.backward(loss);
  check_close(file, "logits", backend.read(View<T>(logits)), tolerance);
  check_close(file, "loss", backend.read(View<T>(loss)), tolerance);
  (void)parameters.gradients();
  for (const auto& entry : parameters.entries())
    check_close(file, "gradients." + entry.name, parameters.gradient_of(entry), tolerance);
}

inline io::Safetensors table1_fixture(std::string_view recipe, std::string_view row) {
  return io::Safetensors(std::filesystem::path(NEUROINHIB_FIXTURES) /
                         ("table1_" + std::string(recipe) + "_" + std::string(row) + ".safetensors"));
}

/// What stands between two texts of a name; empty where they are not there.
inline std::string between(const std::string& name, const std::string& left, const std::string& right) {
  const auto begin = name.find(left), end = name.rfind(right);
  if (begin == std::string::npos || end == std::string::npos || end < begin + left.size()) return "";
  return name.substr(begin + left.size(), end - begin - left.size());
}

template <class Recipe, class B>
void check_row(std::string_view row, B& backend, double tolerance) {
  CAPTURE(row);
  with_network<Recipe, typename B::Scalar>(row, kSizes, [&](auto& network) {
    check_step(table1_fixture(Recipe::kName, row), network, backend, tolerance, [](const std::string& state) {
      const std::string source = between(state, "posttext.", ".training");
      return source.empty() ? source : "memory." + source;
    });
  });
}

/// The research code's Global, at a step in which post-text acts.
template <class B>
void check_research_global(B& backend, double tolerance) {
  ResearchGlobalNetwork<typename B::Scalar> network(kSizes);
  check_step(table1_fixture("research", "global"), network, backend, tolerance, [](const std::string& state) {
    if (state == "steps") return std::string("memory.steps");
    return state.starts_with("before.") ? "memory." + state.substr(7) : "";
  });
}

}  // namespace testing
