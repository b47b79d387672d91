// Similarity-Inform and Attention-Inform layers against a literal reading of Mutual-Inform SMoE's definitions 1 and 2
// in PyTorch, on shared weights: p, y and every gradient. And the language model of the code that the paper builds on.

#include <neuroinhib/io/safetensors.hpp>

#include "support.hpp"

using namespace testing;

namespace {

constexpr Index kSequences = 2, kLength = 7, kWidth = 6, kHeads = 2;

template <class T>
Values<T> loaded(const io::Safetensors& file, const std::string& name) {
  Values<T> values(file.shape(name), 0);
  const auto numbers = file.values<double>(name);
  values.values.assign(numbers.begin(), numbers.end());
  return values;
}

template <class Router, class T>
void check(const std::string& kind, Mask mask, const typename Router::Config& router, double tolerance) {
  INFO(kind, mask == Mask::causal ? ", causal" : ", all see all", sizeof(T) == 4 ? ", float" : ", double");
  const io::Safetensors file(std::filesystem::path(NEUROINHIB_FIXTURES) /
                             ("inform_" + kind + (mask == Mask::causal ? "_causal" : "_all") + ".safetensors"));
  using L = MoeLayer<Router, NoInhibition, TopM<2>, Mlp<Relu>, Cpu<T>>;
  L layer({.width = kWidth, .experts = 4, .hidden = {5}, .router = router});
  Parameters<T> parameters(layer, 0);
  for (const auto& entry : parameters.entries())
    parameters.set_values(entry, loaded<T>(file, "parameters." + entry.name).values);
  auto x = loaded<T>(file, "x"), qkv = loaded<T>(file, "parameters.qkv"), output = loaded<T>(file, "parameters.output");
  x.shape = {kSequences * kLength, kWidth};

  Cpu<T> cpu({.threads = 2});
  Recording ex(cpu);
  TokenContext<T> context{.sequences = {.length = kLength, .mask = mask}};
  AttentionTrace<T>& trace = context.attention;
  const Tensor<T> all = linear(ex, x.variable(), qkv.variable());
  trace.q = {all, 0, kWidth};
  trace.k = {all, kWidth, kWidth};
  trace.v = {all, 2 * kWidth, kWidth};
  const auto attended = attention(ex, trace.q, trace.k, trace.v, context.sequences, kHeads);
  trace.log_sum = attended.log_sum;
  trace.entropy = attended.entropy;
  trace.output_weight = output.variable();
  trace.output = linear(ex, attended.y, output.variable());
  trace.heads = kHeads;
  trace.key_rows = kLength;
  trace.mask = context.sequences.mask;
  const auto out = layer.forward(ex, trace.output, {}, context);
  Values<T> weights({1, out.y.size()}, 0);
  for (Index i = 0; i < out.y.size(); ++i)
    weights.values[static_cast<std::size_t>(i)] =
        static_cast<T>(-1 + 2.5 * static_cast<double>(i) / static_cast<double>(out.y.size() - 1));
  ex.backward(linear(ex, out.y.reshaped({1, out.y.size()}), weights.constant()));

  const auto close = [&](const std::string& name, const T* ours) {
    INFO(name);
    const auto expected = file.values<double>(name);
    CHECK(testing::distance(ours, expected.data(), static_cast<Index>(expected.size())) <= tolerance);
  };
  close("p", out.router.scores.data);
  close("y", out.y.data);
  close("gradients.x", x.gradients.data());
  close("gradients.qkv", qkv.gradients.data());
  close("gradients.output", output.gradients.data());
  for (const auto& entry : parameters.entries()) close("gradients." + entry.name, entry.tensor.gradient);
}

template <class T>
void check_all(double tolerance) {
  for (const Mask mask : {Mask::causal, Mask::none}) {
    SimilarityInform<LinearRouter>::Config similarity;
    similarity.temperature = 0.8;
    similarity.learned = true;
    check<SimilarityInform<LinearRouter>, T>("similarity", mask, similarity, tolerance);
    AttentionInform<LinearRouter>::Config informed;
    informed.deviation = 1.2;
    informed.choice = HeadChoice::frozen;
    informed.head = 1;
    check<AttentionInform<LinearRouter>, T>("attention", mask, informed, tolerance);
    informed.choice = HeadChoice::all;
    check<AttentionInform<LinearRouter>, T>("posterior", mask, informed, tolerance);
  }
}

/// Words [texts, length] of a block of the text, from word `first` on.
std::vector<int> words_of(const std::vector<double>& text, Index texts, Index length, Index first) {
  std::vector<int> words;
  const Index stride = std::ssize(text) / texts;
  for (Index t = 0; t < texts; ++t)
    for (Index i = first; i < first + length; ++i)
      words.push_back(static_cast<int>(text[static_cast<std::size_t>(t * stride + i)]));
  return words;
}

}  // namespace

TEST_CASE("a language model with a span, block after block of text, equals PyTorch's reading of the public code") {
  constexpr Index kTexts = 2, kBlock = 3;
  const io::Safetensors file(std::filesystem::path(NEUROINHIB_FIXTURES) / "span.safetensors");
  using L = MoeLayer<LinearRouter, NoInhibition, TopM<2>, Mlp<Relu>, Cpu<double>>;
  LanguageModel<L> model({.vocabulary = 11,
                          .positions = kBlock,
                          .blocks = 2,
                          .block = {.width = 8, .heads = 2, .norm = NormPlace::after, .span = 4},
                          .moe = {.width = 8, .experts = 4, .hidden = {6}}});
  Parameters<double> parameters(model, 0);
  for (const auto& entry : parameters.entries())
    parameters.set_values(entry, loaded<double>(file, "parameters." + entry.name).values);
  const auto text = file.values<double>("text"), losses = file.values<double>("losses");
  Cpu<double> cpu({.threads = 2});
  for (Index block = 0; block < std::ssize(losses); ++block) {
    const auto ids = words_of(text, kTexts, kBlock, block * kBlock),
               labels = words_of(text, kTexts, kBlock, block * kBlock + 1);
    parameters.zero_gradients();
    Recording ex(cpu);
    const auto loss =
        model.loss(ex, View<const int>(ids), View<const int>(labels), {.length = kBlock, .continues = block > 0});
    ex.backward(loss.total);
    CHECK(loss.mean[0] == doctest::Approx(losses[static_cast<std::size_t>(block)]).epsilon(1e-12));
  }
  for (const auto& entry : parameters.entries()) {
    INFO(entry.name);
    const auto expected = file.values<double>("gradients." + entry.name);
    CHECK(testing::distance(entry.tensor.gradient, expected.data(), std::ssize(expected)) <= 1e-9);
  }
}

TEST_CASE("mutual-inform layers in double equal PyTorch's reading of the definitions") {
  check_all<double>(1e-9);
}

TEST_CASE("mutual-inform layers in float equal PyTorch's reading of the definitions") {
  check_all<float>(1e-4);
}
