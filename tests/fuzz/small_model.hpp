#pragma once

#include <neuroinhib/io/checkpoint.hpp>
#include <neuroinhib/neuroinhib.hpp>

#include <string>
#include <vector>

namespace fuzzing {

using namespace neuroinhib;

/// The smallest model with a state of every kind: memories, counts, a router that is not trained, a bias; and how it is
/// trained. The same steps give the same numbers.
struct SmallModel {
  using Net = MoeLayer<RandomRouter, PosttextInhibition, BalancedTopM<1>, Mlp<Tanh>>;
  static constexpr Index kWidth = 2, kTokens = 3;

  Net net;
  Parameters<float> parameters;
  Cpu<float> cpu{{.threads = 1, .seed = 5}};
  Adam<float> adam;

  explicit SmallModel(std::uint64_t seed)
      : net(config()), parameters(net, seed), adam(parameters, {.learning_rate = 1e-2}) {}

  void train(Index steps) {
    std::vector<float> x(static_cast<std::size_t>(kTokens * kWidth));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i) - 2.5f;
    const std::vector<int> labels{0, 1, 0};
    for (Index step = 0; step < steps; ++step) {
      Recording ex(cpu);
      const auto y = net.forward(ex, tensor(x, {kTokens, kWidth})).y;
      ex.backward(cross_entropy(ex, y, {labels.data(), {kTokens}}));
      adam.step(cpu, parameters);
    }
  }
  void save(const std::filesystem::path& path) {
    io::save_checkpoint(path, parameters, adam, cpu.random(), {"small", "notes"});
  }
  void load(const std::filesystem::path& path) { io::load_checkpoint(path, parameters, adam, cpu.random(), "small"); }
  /// All that a file can change, to the bit.
  [[nodiscard]] std::string bits() {
    std::string all;
    const auto append = [&](const std::vector<float>& values) {
      all.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof values[0]);
    };
    for (const auto& entry : parameters.entries()) append(parameters.values_of(entry));
    for (const auto& state : parameters.states()) {
      append(state.values.to_host());
      all += state.shape.text();
    }
    append(adam.state().first.to_host());
    append(adam.state().second.to_host());
    return all + std::to_string(adam.state().steps) + " " + std::to_string(cpu.random().seed) + " " +
           std::to_string(cpu.random().step);
  }

 private:
  static Net::Config config() {
    Net::Config config{.width = kWidth, .experts = 2, .hidden = {2}};
    config.inhibition.start_after = 1;
    return config;
  }
};

}  // namespace fuzzing
