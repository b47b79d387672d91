#pragma once

#include <neuroinhib/io/safetensors.hpp>

#include "network.hpp"
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

template <class Recipe, class B>
void check_row(std::string_view row, B& backend, double tolerance) {
  using T = typename B::Scalar;
  const io::Safetensors file(std::filesystem::path(NEUROINHIB_FIXTURES) /
                             ("table1_" + std::string(Recipe::kName) + "_" + std::string(row) + ".safetensors"));
  CAPTURE(row);
  with_network<Recipe, T>(row, kSizes, [&](auto& network) {
    Parameters<T> parameters(network, 0, backend.space());
    for (const auto& entry : parameters.entries()) {
      REQUIRE(file.shape("parameters." + entry.name) == entry.tensor.shape);
      parameters.set_values(entry, file.converted<T>("parameters." + entry.name));
    }
    for (auto& state : parameters.states()) {
      const auto parts = state.name.find("posttext.");
      const auto end = state.name.find(".training");
      if (parts == std::string::npos || end == std::string::npos) continue;
      const std::string memory = "memory." + state.name.substr(parts + 9, end - parts - 9);
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
  });
}

}  // namespace testing
