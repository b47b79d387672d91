#include "support.hpp"

using namespace testing;

namespace {

template <class Router, class T>
using Layer = MoeLayer<Router, NoInhibition, TopM<2>, Mlp<Gelu>, Cpu<T>>;
template <class T>
using Plain = VisionModel<Layer<LinearRouter, T>>;
template <class T>
using Alternating = VisionModel<Layer<AttentionInform<LinearRouter>, T>, Layer<SimilarityInform<LinearRouter>, T>>;

template <class M>
typename M::Config small() {
  typename M::Config config{.height = 4, .width = 6, .channels = 2, .patch = 2, .classes = 3, .blocks = 3};
  config.experts_in = {1, 2};
  config.block.width = config.block.hidden = 8;
  config.block.heads = 2;
  std::apply([](auto&... moe) { ((moe.width = 8, moe.experts = 4, moe.hidden = {8}), ...); }, config.moe);
  return config;
}

template <class M>
std::vector<typename M::Scalar> logits(const M& model, const Tensor<typename M::Scalar>& images) {
  Cpu<typename M::Scalar> cpu;
  const auto scores = model.forward(cpu, images).logits;
  return {scores.begin(), scores.end()};
}

/// The images [first, first + count) of a batch.
template <class T>
Tensor<T> part(const Tensor<T>& images, Index first, Index count) {
  Tensor<T> result = images;
  result.data += first * images.cols();
  result.shape = {count, images.shape[1], images.shape[2], images.shape[3]};
  return result;
}

}  // namespace

TEST_CASE("the gradient of a vision model with respect to its images is that of finite differences") {
  const auto check = [](auto model) {
    Parameters<double> parameters(model, 3);
    Values<double> images({2, 4, 6, 2}, 5);
    const auto x = images.variable();
    check_gradient({x}, [&](auto& ex) { return model.forward(ex, x).logits; }, 1e-5);
  };
  check(Plain<double>(small<Plain<double>>()));
  check(Alternating<double>(small<Alternating<double>>()));
}

TEST_CASE("images of a batch do not change each other's scores, though their patches inform each other") {
  const auto check = [](auto model) {
    Parameters<float> parameters(model, 3);
    Values<float> images({3, 4, 6, 2}, 5);
    const auto all = logits(model, images.constant()), second = logits(model, part(images.constant(), 1, 1));
    CHECK(std::vector<float>(all.begin() + 3, all.begin() + 6) == second);
    Values<float> changed = images;
    changed.values[4 * 6 * 2 + 1] += 1;  // a pixel of the second image
    const auto other = logits(model, changed.constant());
    CHECK(std::equal(all.begin(), all.begin() + 3, other.begin()));
    CHECK(!std::equal(all.begin() + 3, all.begin() + 6, other.begin() + 3));
    CHECK(std::equal(all.begin() + 6, all.end(), other.begin() + 6));
  };
  check(Plain<float>(small<Plain<float>>()));
  check(Alternating<float>(small<Alternating<float>>()));
}

TEST_CASE("blocks with experts take turns among the kinds of layers") {
  auto config = small<Alternating<float>>();
  config.blocks = 5;
  config.experts_in = {0, 2, 4};
  Alternating<float> model(config);
  Parameters<float> parameters(model, 3);
  const auto names = [&] {
    std::string all;
    for (const auto& leaf : neuroinhib::detail::leaves_of<float>(model).states) all += leaf.name + " ";
    return all;
  };
  // Attention-inform layers alone keep the entropy of the heads.
  CHECK(names() == "blocks.0.moe.router.entropy blocks.4.moe.router.entropy ");
  Cpu<float> cpu;
  Values<float> images({2, 4, 6, 2}, 5);
  std::vector<MoeOutput<float>> layers;
  (void)model.forward(cpu, images.constant(), &layers);
  CHECK(layers.size() == 3);
  CHECK(layers[0].routing.plan.tokens() == 2 * 7);
}

TEST_CASE("a vision model learns a few images by heart") {
  Alternating<float> model(small<Alternating<float>>());
  Parameters<float> parameters(model, 3);
  Adam<float> adam(parameters, {.learning_rate = 1e-2});
  Cpu<float> cpu({.threads = 1, .seed = 1});
  Values<float> images({12, 4, 6, 2}, 5);
  std::vector<int> labels{0, 1, 2, 2, 1, 0, 0, 2, 1, 1, 0, 2};
  double loss = 0;
  for (int step = 0; step < 200; ++step) {
    Recording ex(cpu);
    const auto now = model.loss(ex, images.constant(), {labels.data(), {12}});
    ex.backward(now.total);
    adam.step(cpu, parameters);
    loss = static_cast<double>(now.mean[0]);
  }
  CHECK(loss < 0.05);
}

TEST_CASE("a vision model refuses extents that do not fit, and images of another size") {
  using M = Plain<float>;
  const auto refused = [](const auto& change, const std::vector<std::string>& parts) {
    auto config = small<M>();
    change(config);
    check_error<ConfigError>([&] { M model(config); }, parts);
  };
  refused([](auto& c) { c.patch = 4; }, {"divides 4 × 6 pixels", "got 4"});
  refused([](auto& c) { c.classes = 1; }, {"classes ≥ 2"});
  refused([](auto& c) { c.experts_in = {2, 1}; }, {"rising numbers of blocks", "got 1"});
  refused([](auto& c) { c.experts_in = {3}; }, {"from 0 to 2", "got 3"});
  refused([](auto& c) { std::get<0>(c.moe).width = 7; }, {"blocks' width 8", "got 7"});
  M model(small<M>());
  Parameters<float> parameters(model, 3);
  Cpu<float> cpu;
  Values<float> images({2, 6, 4, 2}, 5);
  check_error<ShapeError>([&] { (void)model.forward(cpu, images.constant()); }, {"[2, 4, 6, 2]", "[2, 6, 4, 2]"});
}
