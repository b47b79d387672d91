#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include <neuroinhib/analysis/entropy.hpp>

#include "../job.hpp"
#include "model.hpp"

namespace language_model {

/// What an MoE layer did with the tokens of an evaluation.
struct LayerMeasures {
  double entropy = 0;                            ///< mean H(p_i), in nats
  double own_entropy = 0;                        ///< mean H(e_i); 0 where tokens do not mix
  double neighbours = 0, self = 0;               ///< means of exp H(s_i) and s_ii; 0 where tokens do not mix
  std::vector<double> load;                      ///< [experts] share of slots
  std::vector<std::vector<double>> domain_load;  ///< [domains, experts]
  std::vector<std::uint64_t> chosen;             ///< [tokens] a bit for each chosen expert, modulo 64
};

struct Evaluation {
  double nats = 0;      ///< a token
  double accuracy = 0;  ///< where tokens have a class
  std::vector<double> domain_nats;
  std::vector<LayerMeasures> layers;
};

/// Adds up an evaluation batch by batch.
class Evaluator {
 public:
  Evaluator(const Rows& rows, Index domains)
      : rows_(rows), sums_(static_cast<std::size_t>(domains)), counts_(sums_.size()) {}

  /// Takes the results for rows [first, first + losses / length) of the data.
  template <class B, class Loss, class Layers, class T = typename B::Scalar>
  void add(B& backend, Index first_row, const Loss& loss, const Layers& layers) {
    const auto values = papers::read_all(backend, View<T>(loss.losses));
    const auto scores = loss.scores.defined() ? papers::read_all(backend, View<T>(loss.scores)) : std::vector<T>{};
    const auto first = static_cast<std::size_t>(first_row * rows_.length);
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (rows_.labels[first + i] < 0) continue;
      const auto domain = static_cast<std::size_t>(rows_.domains[first + i]);
      sums_[domain] += static_cast<double>(values[i]);
      counts_[domain] += 1;
      if (scores.empty()) continue;
      const auto of_token = scores.begin() + static_cast<Index>(i) * loss.scores.cols();
      right_ += std::max_element(of_token, of_token + loss.scores.cols()) - of_token == rows_.labels[first + i];
    }
    result_.layers.resize(layers.size());
    for (std::size_t l = 0; l < layers.size(); ++l)
      add_layer(backend, first, values.size(), layers[l], result_.layers[l]);
  }

  [[nodiscard]] Evaluation finish() {
    double sum = 0, count = 0;
    for (std::size_t d = 0; d < sums_.size(); ++d) {
      sum += sums_[d];
      count += counts_[d];
      result_.domain_nats.push_back(counts_[d] > 0 ? sums_[d] / counts_[d] : 0);
    }
    result_.nats = sum / count;
    result_.accuracy = right_ / count;
    for (LayerMeasures& layer : result_.layers) {
      for (double* mean : {&layer.entropy, &layer.own_entropy, &layer.neighbours, &layer.self}) *mean /= count;
      normalise(layer.load);
      for (auto& load : layer.domain_load) normalise(load);
    }
    return std::move(result_);
  }

 private:
  static void normalise(std::vector<double>& shares) {
    double total = 0;
    for (const double share : shares) total += share;
    for (double& share : shares) share /= std::max(total, 1.0);
  }
  /// H of a token's row of `numbers` [tokens, experts].
  template <class T>
  static double entropy_of_row(const std::vector<T>& numbers, Index token, Index experts) {
    const auto first = numbers.begin() + token * experts;
    return entropy_of(std::vector<double>(first, first + experts));
  }

  template <class B, class Out>
  void add_layer(B& backend, std::size_t first, std::size_t tokens, const Out& out, LayerMeasures& layer) {
    using T = typename B::Scalar;
    const Index experts = out.routing.probabilities.cols(), chosen = out.routing.plan.expert.cols();
    const auto p = papers::read_all(backend, View<T>(out.routing.probabilities));
    const auto expert = papers::read_all(backend, out.routing.plan.expert);
    std::vector<T> own, entropy, self;
    if (out.router.base_scores.defined()) {
      own = papers::read_all(backend, View<T>(out.router.base_scores));
      entropy = papers::read_all(backend, View<T>(out.router.entropy));
      self = papers::read_all(backend, View<T>(out.router.self_weight));
    }
    layer.load.resize(static_cast<std::size_t>(experts));
    layer.domain_load.resize(sums_.size(), std::vector<double>(static_cast<std::size_t>(experts)));
    for (std::size_t i = 0; i < tokens; ++i) {
      if (rows_.labels[first + i] < 0) continue;
      const auto at = static_cast<Index>(i);
      layer.entropy += entropy_of_row(p, at, experts);
      if (!own.empty()) {
        layer.own_entropy += entropy_of_row(own, at, experts);
        layer.neighbours += std::exp(static_cast<double>(entropy[i]));
        layer.self += static_cast<double>(self[i]);
      }
      std::uint64_t set = 0;
      for (Index m = 0; m < chosen; ++m) {
        const auto k = static_cast<std::size_t>(expert[static_cast<std::size_t>(at * chosen + m)]);
        set |= std::uint64_t{1} << k % 64;
        layer.load[k] += 1;
        layer.domain_load[static_cast<std::size_t>(rows_.domains[first + i])][k] += 1;
      }
      layer.chosen.push_back(set);
    }
  }

  const Rows& rows_;
  std::vector<double> sums_, counts_;
  double right_ = 0;
  Evaluation result_;
};

}  // namespace language_model
