#pragma once

#include <vector>

#include <neuroinhib/neuroinhib.hpp>

/// Twelve words in a circle, counted from any of them in steps of one, two or three; and a model that learns to go on.
namespace counting {

using namespace neuroinhib;

using Layer = MoeLayer<SimilarityInform<LinearRouter>, GluInhibition, TopM<2>, Mlp<Relu>>;
using Model = LanguageModel<Layer>;

inline const Model::Config kConfig{.vocabulary = 12,
                                   .positions = 16,
                                   .blocks = 1,
                                   .block = {.width = 32, .heads = 4},
                                   .moe = {.width = 32, .experts = 4, .hidden = {32}, .router = {.temperature = 8}}};

/// Sentences of eight words, one after another, and after each word the one that follows.
struct Sentences {
  std::vector<int> words, next;

  Sentences() {
    for (int start = 0; start < 12; ++start)
      for (int by = 1; by <= 3; ++by)
        for (int i = 0; i < 8; ++i) {
          words.push_back((start + i * by) % 12);
          next.push_back((start + (i + 1) * by) % 12);
        }
  }
  [[nodiscard]] View<const int> ids() const { return {words.data(), {static_cast<Index>(words.size())}}; }
  [[nodiscard]] View<const int> labels() const { return {next.data(), {static_cast<Index>(next.size())}}; }
};

}  // namespace counting
