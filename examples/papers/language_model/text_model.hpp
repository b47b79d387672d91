#pragma once

#include <algorithm>
#include <vector>

#include <neuroinhib/neuroinhib.hpp>

namespace language_model {

/// A language model that, where there are classes, gives them in the place of the next word: a head of its own reads
/// the tokens that have a label, such as the last one of a sentence. What comes before it has the names of the language
/// model, so that it can be loaded from one.
template <class Layer>
class TextModel {
 public:
  using Base = neuroinhib::LanguageModel<Layer>;
  using Scalar = typename Base::Scalar;
  using LayerOutput = typename Base::LayerOutput;

  struct Config : Base::Config {
    neuroinhib::Index classes = 0;
  };
  struct Loss : Base::Loss {
    neuroinhib::Tensor<Scalar> scores{};  ///< [rows, classes] outside of training, where there are classes
  };

  explicit TextModel(const Config& config)
      : model_(config),
        head_(config.block.width, std::max<neuroinhib::Index>(config.classes, 1)),
        classifies_(config.classes > 0) {}

  void visit(auto&& v) {
    model_.visit(v);
    if (classifies_) v("head", head_);
  }

  /// As LanguageModel's; labels are classes where there are some, and all words count in the layers' loads.
  template <neuroinhib::Executor Ex>
  [[nodiscard]] Loss loss(Ex& ex, const neuroinhib::View<const int>& ids, const neuroinhib::View<const int>& labels,
                          const neuroinhib::Sequences& sequences, std::vector<LayerOutput>* layers = nullptr) const {
    if (!classifies_) return {model_.loss(ex, ids, labels, sequences, layers)};
    const auto out = model_.forward(ex, ids, sequences, {.layers = layers});
    const auto of_class = projected_cross_entropy<Ex>(ex, out.hidden, head_.weight, head_.bias, labels);
    return {{sum(ex, {of_class.mean, out.auxiliary}), of_class.mean, of_class.losses},
            ex.training() ? neuroinhib::Tensor<Scalar>{} : head_(ex, out.hidden)};
  }

 private:
  Base model_;
  neuroinhib::nn::Linear<Scalar> head_;
  bool classifies_;
};

}  // namespace language_model
