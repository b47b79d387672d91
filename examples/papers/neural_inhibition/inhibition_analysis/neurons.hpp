#pragma once

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include <neuroinhib/analysis/correlation.hpp>

#include "../mixed_numbers/training.hpp"

/// What a network's inhibition does to the neurons of its router.
namespace inhibition_analysis {

using namespace neuroinhib;
using mixed_numbers::CleanRecipe;
using mixed_numbers::PaperRecipe;
using mixed_numbers::RunLog;
using mixed_numbers::Settings;

inline constexpr std::size_t kMaskSamples = 32;  ///< of each kind

/// Gates of one image as hexadecimal digits, two a neuron: 00 for 0, ff for 1.
inline std::string mask_text(std::span<const float> gates) {
  std::string text;
  for (const float gate : gates) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(255 * gate + .5F));
    text += digits;
  }
  return text;
}

/// Of the numbered images: c_i (eq. 5) of the router's neurons with the kind of image, before and after the inhibition,
/// mean gates, and the masks of a few images of each kind.
template <class Runner, class Network>
nlohmann::json neurons_of(Runner& runner, Network& network, const data::ImageSet& set, std::span<const Index> numbers) {
  Correlation before, after;
  ColumnMoments gates;
  std::vector<std::string> masks[2];
  runner.for_batches(numbers, [&](std::size_t first, const auto& batch) {
    const auto moe = network.forward(runner.backend(), batch.images).moe;
    const auto read = [&](const Tensor<float>& x) { return runner.backend().read(View<float>(x)); };
    const auto z = read(moe.gated), inhibited = read(moe.inhibited.z), mask = read(moe.inhibited.mask);
    const Shape& shape = moe.gated.shape;
    std::vector<std::uint8_t> kinds;
    for (Index i = 0; i < shape.rows(); ++i)
      kinds.push_back(set.kinds[static_cast<std::size_t>(numbers[first + static_cast<std::size_t>(i)])]);
    before += correlation(View<const float>(z.data(), shape), View<std::uint8_t>(kinds));
    after += correlation(View<const float>(inhibited.data(), shape), View<std::uint8_t>(kinds));
    gates += column_moments(View<const float>(mask.data(), shape));
    for (std::size_t i = 0; i < kinds.size(); ++i)
      if (auto& some = masks[kinds[i]]; some.size() < kMaskSamples)
        some.push_back(mask_text(std::span(mask).subspan(i * gates.origin.size(), gates.origin.size())));
  });
  return {
      {"images", numbers.size()}, {"correlation", before.coefficients()}, {"correlation_after", after.coefficients()},
      {"gate", gates.mean()},     {"gate_deviation", gates.deviation()},  {"digit_masks", masks[0]},
      {"square_masks", masks[1]}};
}

/// Trains one row with one seed as mixed_numbers does; the entry in results.json, with the neurons of the test images
/// after training and before it. make_runner() makes what trains, anew each time.
template <class Recipe, class MakeRunner>
nlohmann::json train_with(const MakeRunner& make_runner, const Settings& settings, const std::string& row, Index seed,
                          const data::ImageSet& set, const std::filesystem::path& checkpoint, RunLog& log) {
  return mixed_numbers::with_gated_network<Recipe, float>(row, mixed_numbers::Sizes{}, [&](auto& network) {
    const auto untrained = [&](const data::Split& split) {
      auto runner = make_runner();
      const Parameters<float> parameters(network, static_cast<std::uint64_t>(seed), runner.backend().space());
      auto neurons = neurons_of(runner, network, set, split.test);
      return nlohmann::json{{"correlation", neurons.at("correlation")}, {"gate", neurons.at("gate")}};
    }(data::split(set.count(), static_cast<std::uint64_t>(seed)));
    auto runner = make_runner();
    return train(runner, network, settings, seed, set, checkpoint, log, [&](const data::Split& split) {
      auto neurons = neurons_of(runner, network, set, split.test);
      const auto right = runner.right(network, split.test);
      auto result = log.result(mixed_numbers::accuracy_of(set, split.test, right), set.count());
      result.update(neurons);
      result["untrained"] = untrained;
      return result;
    });
  });
}

/// The same on the CPU: a unit for each recipe.
template <class Recipe>
struct CpuTraining {
  static nlohmann::json train(const Settings& settings, const std::string& row, Index seed, const data::ImageSet& set,
                              const std::filesystem::path& checkpoint, RunLog& log);
};

/// The same on a GPU, where this program was built with CUDA.
nlohmann::json train_on_cuda(const Settings& settings, const std::string& row, Index seed, const data::ImageSet& set,
                             const std::filesystem::path& checkpoint, RunLog& log);

/// Calls use.operator()<Recipe>().
template <class Use>
auto with_recipe(const std::string& recipe, const Use& use) {
  if (recipe == "paper") return use.template operator()<PaperRecipe>();
  return use.template operator()<CleanRecipe>();
}

}  // namespace inhibition_analysis
