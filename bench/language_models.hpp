#pragma once

#include <neuroinhib/neuroinhib.hpp>

/// The language models that are timed: the first paper's small one, and the second paper's.
namespace bench {

using namespace neuroinhib;

template <class Router, class Inhibition, Index M>
using Model = LanguageModel<MoeLayer<Router, Inhibition, TopM<M>, Mlp<Relu>, Cpu<float>>>;

/// Words of a batch of sequences, and those that follow.
struct Text {
  Index sequences, length, vocabulary;
  std::vector<int> ids, labels;

  Text(Index count, Index words, Index known) : sequences(count), length(words), vocabulary(known) {
    SequentialRandom random(1, 7);
    for (Index i = 0; i < count * words; ++i) {
      ids.push_back(static_cast<int>(random.integer(0, known - 1)));
      labels.push_back(static_cast<int>(random.integer(0, known - 1)));
    }
  }
};

/// Neural Inhibition's: 2 blocks of width 50, 2 heads, 3 of 10 experts; `experts` 0: without.
template <class M>
[[nodiscard]] typename M::Config first_paper(const Text& text, Index experts) {
  return {.vocabulary = text.vocabulary,
          .positions = text.length,
          .blocks = 2,
          .moe_every = experts > 0 ? 1 : 0,
          .block = {.width = 50, .heads = 2, .hidden = 50, .norm = NormPlace::after},
          .moe = {.width = 50, .experts = std::max<Index>(experts, 1), .hidden = {50}}};
}

/// visit.operator()<M>(name, config) for the rows of its table that are timed.
template <class Visit>
void for_each_of_first_paper(const Text& text, const Visit& visit) {
  using Baseline = Model<LinearRouter, NoInhibition, 1>;
  using Mixture = Model<LinearRouter, NoInhibition, 3>;
  using Inhibited = Model<LinearRouter, GluInhibition, 3>;
  visit.template operator()<Baseline>("baseline", first_paper<Baseline>(text, 0));
  visit.template operator()<Mixture>("moe3/10", first_paper<Mixture>(text, 10));
  visit.template operator()<Inhibited>("glu", first_paper<Inhibited>(text, 10));
}

/// Mutual-Inform SMoE's: post-LN, 8 heads, 2 of 16 experts as wide as the model.
template <class M>
[[nodiscard]] typename M::Config second_paper(const Text& text, Index blocks, Index width) {
  return {.vocabulary = text.vocabulary,
          .positions = text.length,
          .blocks = blocks,
          .block = {.width = width, .heads = 8, .norm = NormPlace::after},
          .moe = {.width = width, .experts = 16, .hidden = {width}}};
}

}  // namespace bench
