#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include <neuroinhib/analysis/routing.hpp>

#include "../interrupts.hpp"
#include "attacks.hpp"
#include "model.hpp"

namespace vision {

/// What an MoE layer did with the tokens of an evaluation.
struct LayerMeasures {
  RoutingAnalysis counts;             ///< load and entropy
  double neighbours = 0, self = 0;    ///< sums of exp H(s_i) and of s_ii; 0 where tokens do not mix
  std::vector<std::uint64_t> chosen;  ///< [tokens] a bit for each chosen expert, modulo 64
};

/// What a model says of images.
struct Answers {
  std::vector<int> classes;           ///< the likeliest class of each image
  std::vector<double> doubts;         ///< minus its probability
  std::vector<LayerMeasures> layers;  ///< of the blocks with experts

  [[nodiscard]] double accuracy(const data::ImageSet& set) const {
    double right = 0;
    for (std::size_t i = 0; i < classes.size(); ++i) right += classes[i] == set.labels[i];
    return right / static_cast<double>(classes.size());
  }
};

/// Asks a model on any backend, batch by batch. Images go there as real numbers, so that attacks may move them.
template <class B, class M>
class Evaluator {
 public:
  using T = typename M::Scalar;

  Evaluator(B& backend, M& model, Parameters<T>& parameters, const data::Scaling& scaling, Index batch)
      : backend_(backend),
        model_(model),
        parameters_(parameters),
        black_(scaling(0)),
        span_(scaling(255) - scaling(0)),
        batch_(batch) {}

  /// Throws Interrupted between batches.
  [[nodiscard]] Answers ask(const data::ImageSet& set) {
    Answers answers;
    for_each_batch(set, [&](Index first, Index count) { add(answers, shape(set, count), pixels(set, first, count)); });
    return answers;
  }
  /// The share of the set's images that the model still knows when each is moved against it.
  [[nodiscard]] double accuracy_under(const Attack& attack, const data::ImageSet& set) {
    Answers answers;
    for_each_batch(set, [&](Index first, Index count) {
      const Shape images = shape(set, count);
      std::vector<int> labels(set.labels.begin() + first, set.labels.begin() + first + count);
      add(answers, images, attacked(pixels(set, first, count), attack, [&](const std::vector<T>& x) {
            return gradient(images, x, labels);
          }));
    });
    return answers.accuracy(set);
  }

 private:
  template <class Visit>
  void for_each_batch(const data::ImageSet& set, const Visit& visit) const {
    for (Index first = 0; first < set.count(); first += batch_) {
      papers::stop_if_interrupted();
      visit(first, std::min(batch_, set.count() - first));
    }
  }
  static Shape shape(const data::ImageSet& set, Index count) { return {count, set.height, set.width, set.channels}; }
  /// In [0, 1].
  static std::vector<T> pixels(const data::ImageSet& set, Index first, Index count) {
    std::vector<T> values;
    const auto begin = set.pixels.begin() + first * set.image_size();
    std::transform(begin, begin + count * set.image_size(), std::back_inserter(values),
                   [](std::uint8_t pixel) { return static_cast<T>(pixel / 255.0); });
    return values;
  }
  /// The network's inputs for numbers in [0, 1].
  void write(const Tensor<T>& inputs, const std::vector<T>& x) {
    scaled_.resize(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) scaled_[i] = static_cast<T>(black_ + span_ * static_cast<double>(x[i]));
    backend_.write(View<T>(inputs), scaled_.data());
  }

  void add(Answers& answers, const Shape& images, const std::vector<T>& x) {
    backend_.begin_step();
    const Tensor<T> inputs = backend_.tensor(images, false);
    write(inputs, x);
    std::vector<MoeOutput<T>> layers;
    const auto logits = model_.forward(backend_, inputs, &layers).logits;
    const auto p = backend_.read(View<T>(softmax(backend_, logits)));
    for (Index i = 0; i < logits.rows(); ++i) {
      const T *begin = p.data() + i * logits.cols(), *best = std::max_element(begin, begin + logits.cols());
      answers.classes.push_back(static_cast<int>(best - begin));
      answers.doubts.push_back(-static_cast<double>(*best));
    }
    answers.layers.resize(layers.size());
    for (std::size_t l = 0; l < layers.size(); ++l) add_layer(answers.layers[l], layers[l]);
  }
  void add_layer(LayerMeasures& layer, const MoeOutput<T>& out) {
    layer.counts += analyse(backend_, routing_counts(backend_, out.routing));
    if (out.router.self_weight.defined()) {
      for (const T entropy : backend_.read(View<T>(out.router.entropy)))
        layer.neighbours += std::exp(static_cast<double>(entropy));
      for (const T self : backend_.read(View<T>(out.router.self_weight))) layer.self += static_cast<double>(self);
    }
    const auto expert = backend_.read(out.routing.plan.expert);
    const auto chosen = static_cast<std::size_t>(out.routing.plan.expert.cols());
    for (std::size_t i = 0; i < expert.size(); i += chosen) {
      std::uint64_t set = 0;
      for (std::size_t m = 0; m < chosen; ++m) set |= std::uint64_t{1} << expert[i + m] % 64;
      layer.chosen.push_back(set);
    }
  }

  /// Of the loss, up to a positive factor: how the network scales its inputs does not turn signs.
  [[nodiscard]] std::vector<T> gradient(const Shape& images, const std::vector<T>& x, const std::vector<int>& labels) {
    Recording ex(backend_, Mode::evaluate);
    const Tensor<T> inputs = ex.tensor(images, true);
    write(inputs, x);
    const View<int> classes = ex.integers({images[0]});
    backend_.write(classes, labels.data());
    ex.backward(model_.loss(ex, inputs, classes).mean);
    parameters_.zero_gradients();
    return backend_.read(View<T>{inputs.gradient, images});
  }

  B& backend_;
  M& model_;
  Parameters<T>& parameters_;
  double black_, span_;
  Index batch_;
  std::vector<T> scaled_;
};

}  // namespace vision
