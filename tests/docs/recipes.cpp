// The programs of docs/recipes.md.

#include <neuroinhib/analysis/check_gradients.hpp>
#include <neuroinhib/analysis/correlation.hpp>
#include <neuroinhib/analysis/domain_load.hpp>
#include <neuroinhib/analysis/neurons.hpp>
#include <neuroinhib/analysis/routing.hpp>

#include "support.hpp"

using namespace testing;

namespace {

using Layer = MoeLayer<LinearRouter, GlobalInhibition, TopM<2>, Mlp<Relu>>;

struct Batch {
  std::vector<float> values = std::vector<float>(32 * 6);
  std::vector<int> labels = std::vector<int>(32), document = std::vector<int>(32);
};

std::vector<Batch> batches() {
  std::vector<Batch> all(2);
  for (std::size_t b = 0; b < all.size(); ++b)
    for (std::size_t i = 0; i < 32; ++i) {
      all[b].labels[i] = static_cast<int>(i % 3);
      all[b].document[i] = i < 28 ? 0 : -1;
      for (std::size_t c = 0; c < 6; ++c)
        all[b].values[6 * i + c] =
            static_cast<float>(std::sin(static_cast<double>(7 * i + 5 * c + b)) + (c == i % 3 ? 1 : 0));
    }
  return all;
}

}  // namespace

TEST_CASE("training with accumulated gradients, its loads watched") {
  Layer layer({.width = 6,
               .experts = 4,
               .hidden = {8},
               .output = 3,
               .inhibition = GlobalInhibition::with(Pretext::Config{.earlier_widths = {6}},
                                                    Posttext::Config{.pooling = Pooling::mean})});
  Parameters<float> parameters(layer, /*seed=*/1);
  Cpu<float> cpu;
  auto all = batches();
  Adam<float> adam(parameters, {.learning_rate = 1e-2});
  double first = 0, last = 0;
  RoutingAnalysis seen;
  for (Index step = 0; step < 60; ++step) {
    for (Batch& batch : all) {
      Recording ex(cpu);
      const auto x = tensor(batch.values, {32, 6});
      const std::vector<Tensor<float>> earlier{x};
      const auto out = layer.forward(ex, x, earlier);
      const auto loss = cross_entropy(ex, out.y, batch.labels);
      ex.backward(scale(ex, loss, .5));  // a half of each of two batches; gradients add up until step()
      (step == 0 ? first : last) = loss[0];
      const auto counted = count_tokens(ex, 32, batch.document);
      seen += analyse(cpu, routing_counts(ex, out.routing, counted));
    }
    clip_gradient_norm(cpu, parameters, 1.0);
    adam.step(cpu, parameters, schedule::warmup_cosine(step, 5, 60));
  }
  CHECK(last < first / 2);
  CHECK_MESSAGE(seen.entropy() < std::log(4), seen.text());
  CHECK(seen.tokens == 60 * 2 * 28);
  CHECK(seen.load().size() == 4);
}

TEST_CASE("which neurons an inhibition suppresses, and whether experts specialise") {
  MoeLayer<TwoLayerRouter<Tanh>, GluInhibition> layer({.width = 6, .experts = 4, .hidden = {8}, .output = 3});
  Parameters<float> parameters(layer, /*seed=*/1);
  Cpu<float> cpu;
  Correlation tells;
  ColumnMoments gates;
  DomainLoad domains;
  for (Batch& batch : batches()) {
    cpu.begin_step();
    const auto out = layer.forward(cpu, tensor(batch.values, {32, 6}));
    tells += correlation(out.gated, View<int>(batch.labels));
    gates += column_moments(out.inhibited.mask);
    domains += domain_load(out.routing.plan.expert, 4, batch.labels, 3);
  }
  const NeuronKinds kinds = neuron_kinds(tells.coefficients());
  const double common_first = suppression_preference(kinds, gates.mean());
  CHECK(kinds.number_common() + kinds.number_discriminative() == 128);
  CHECK(common_first > 0);
  CHECK(common_first < 1);
  CHECK(domains.told() > 0);
}

TEST_CASE("gradients of a layer are checked") {
  using Smooth = MoeLayer<TwoLayerRouter<Tanh>, NoInhibition, Dense, Mlp<Tanh>, Cpu<double>>;
  Smooth layer({.width = 6, .experts = 4, .hidden = {5}});
  std::vector<double> values(7 * 6), wanted(7 * 6);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = std::sin(0.7 * static_cast<double>(i));
    wanted[i] = std::cos(0.3 * static_cast<double>(i));
  }
  const auto x = tensor(values, {7, 6}), target = tensor(wanted, {7, 6});
  const auto check = check_gradients(layer, [&](auto& ex) {
    const auto error = subtract(ex, layer.forward(ex, x).y, target);
    return scale(ex, total(ex, multiply(ex, error, error)), 1.0 / static_cast<double>(error.size()));
  });
  CHECK_MESSAGE(check.passed(), check.text());
}

TEST_CASE("parameters are read and set one by one") {
  Layer layer({.width = 6,
               .experts = 4,
               .hidden = {8},
               .output = 3,
               .inhibition = GlobalInhibition::with(Pretext::Config{.earlier_widths = {6}})});
  Parameters<float> parameters(layer, /*seed=*/1);
  for (const auto& entry : parameters) {
    std::vector<float> numbers = parameters.values_of(entry);  // on the host
    if (entry.name == "router.score.bias") numbers.assign(numbers.size(), 0.5F);
    parameters.set_values(entry, numbers);
  }
  Cpu cpu;
  const std::vector<float> bias = cpu.read(parameters["router.score.bias"]);
  CHECK(bias == std::vector<float>(4, 0.5F));
}
