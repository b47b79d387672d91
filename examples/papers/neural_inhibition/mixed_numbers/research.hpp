#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

#include "all_to_all.hpp"

/// Post-text inhibition as the paper's research code has it (public: wzoustanford/inhibition, branch
/// numbers_neurips_xp, numbers_10way_gim.py). Its Global is GLU and this, without pre-text.
namespace mixed_numbers {

/// What the research code's post-text looks at.
inline constexpr std::array<const char*, 6> kResearchSources{"mask", "hidden", "output", "logits", "labels", "loss"};

/// Po(W [tanh(S_1 x_1), …, tanh(S_6 x_6)]): what the layer is given as earlier activations, which here are later ones
/// of the batch before, row b of that batch for row b of this one. Zero where there are none.
struct ResearchPosttext {
  static constexpr std::string_view kName = "posttext";
  static constexpr Index kReduced = 32;  ///< S_j's outputs
  struct Config {};

  template <class T>
  class Module {
   public:
    Module(const Config&, const InhibitionSizes& sizes)
        : sources_{Source{sizes.gated, sizes}, Source{sizes.hidden, sizes}, Source{sizes.output, sizes},
                   Source{kClasses, sizes},    Source{kClasses, sizes},     Source{1, sizes}},
          bias_({sizes.gated}, joined()),
          signal_(sizes.gated, sizes.gated) {}

    void visit(auto&& v) {
      for (std::size_t j = 0; j < sources_.size(); ++j) v(kResearchSources[j], sources_[j]);
      v("bias", bias_);
      v("signal", signal_);
    }

    template <Executor Ex>
    [[nodiscard]] Tensor<T> term(Ex& ex, const InhibitionInputs<T>& inputs) const {
      if (inputs.earlier.empty()) return {};
      Tensor<T> total;
      for (std::size_t j = 0; j < sources_.size(); ++j) {
        const auto& [reduce, join] = sources_[j];
        const Tensor<T> reduced = activate(ex, reduce(ex, inputs.earlier[j]), neuroinhib::Activation::tanh);
        const Tensor<T> part =
            linear<Ex>(ex, reduced, join, j == 0 ? static_cast<const Tensor<T>&>(bias_) : Tensor<T>{});
        total = total.defined() ? sum<Ex>(ex, {total, part}) : part;
      }
      return signal_(ex, total);
    }

   private:
    /// Linear(6 · 32 → gated) on the six joined together, in six blocks that start as one layer would.
    static Initializer joined() { return init::fan_in_uniform(6 * kReduced); }
    struct Source {
      nn::Linear<T> reduce;
      Parameter<T> join;

      Source(Index width, const InhibitionSizes& sizes)
          : reduce(width, kReduced), join({sizes.gated, kReduced}, joined()) {}
      void visit(auto&& v) {
        v("reduce", reduce);
        v("join", join);
      }
    };

    std::array<Source, 6> sources_;
    Parameter<T> bias_;
    nn::Linear<T> signal_;
  };
};

/// Row "global" of recipe `research`; the other rows have `paper`'s networks. Post-text acts from training step 3,000
/// on. An evaluation is conditioned by another batch, whose labels and loss it sees: the research code takes training
/// images. One Adam serves all parameters; the research code's post-text has its own, whose steps count from 3,000 on.
template <class T>
struct ResearchGlobalNetwork : MoeNetwork<PaperRecipe, Gated<Glu, ResearchPosttext>, T> {
  using Base = MoeNetwork<PaperRecipe, Gated<Glu, ResearchPosttext>, T>;
  using Conditions = std::array<Tensor<T>, 6>;  ///< mask, router, output, logits, labels and loss, each [images, …]
  static constexpr Index kStart = 3000;
  static constexpr bool kIsConditioned = true;  ///< evaluations want conditioned_logits()

  Buffer<T> one_hot{Shape{kClasses, kClasses}, init::identity()};
  std::array<Buffer<T>, 6> before;  ///< conditions from the step before
  Buffer<T> steps{Shape{1, 1}};     ///< training steps so far, up to kStart

  explicit ResearchGlobalNetwork(const Sizes& s)
      : Base(s, {}), before{Buffer<T>{{0, s.hidden}}, Buffer<T>{{0, s.hidden}}, Buffer<T>{{0, s.hidden}},
                            Buffer<T>{{0, kClasses}}, Buffer<T>{{0, kClasses}}, Buffer<T>{{0, 1}}} {
    steps.stays_on_host = steps.counts = true;
  }
  void visit(auto&& v) {
    Base::visit(v);
    v("one_hot", one_hot);
    for (std::size_t j = 0; j < before.size(); ++j) v(std::string("before.") + kResearchSources[j], before[j]);
    v("steps", steps);
  }

  template <Executor Ex>
  [[nodiscard]] Tensor<T> logits(Ex& ex, const Tensor<T>& images) const {
    if (!ex.training()) return this->forward(ex, images).logits;
    Conditions conditions;
    T& step = *steps.data();
    const bool active = step >= static_cast<T>(kStart);
    for (std::size_t j = 0; active && j < before.size(); ++j) conditions[j] = recall(ex, before[j]);
    if (!active) {
      step += 1;
      if constexpr (requires { ex.backend().next_step_differs(); }) ex.backend().next_step_differs();
    }
    const auto now = this->forward(ex, images, std::span(conditions).first(active ? conditions.size() : 0));
    const Conditions next = seen(now);
    for (std::size_t j = 0; j < kSeen; ++j) remember(ex, next[j], before[j]);
    return now.logits;
  }
  template <Executor Ex>
  [[nodiscard]] Tensor<T> loss(Ex& ex, const Tensor<T>& logits, const View<int>& labels) const {
    const Tensor<T> loss = Base::loss(ex, logits, labels);
    if (ex.training()) {
      remember(ex, one_hot_of(ex, labels), before[kSeen]);
      remember(ex, repeated(ex, loss, labels.size()), before[kSeen + 1]);
    }
    return loss;
  }
  /// Logits of images, row b conditioned by row b of others, which are as many.
  template <Executor Ex>
  [[nodiscard]] Tensor<T> conditioned_logits(Ex& ex, const Tensor<T>& images, const Tensor<T>& others,
                                             const View<int>& labels_of_others) const {
    const auto other = this->forward(ex, others);
    Conditions conditions = seen(other);
    conditions[kSeen] = one_hot_of(ex, labels_of_others);
    conditions[kSeen + 1] = repeated(ex, Base::loss(ex, other.logits, labels_of_others), labels_of_others.size());
    return this->forward(ex, images, conditions).logits;
  }

 private:
  static constexpr std::size_t kSeen = 4;  ///< the sources before labels and loss
  static Conditions seen(const typename Base::Activations& now) {
    return {now.moe.inhibited.mask, now.moe.router.hidden, now.moe.y, now.logits, {}, {}};
  }
  /// One-hot labels.
  template <Executor Ex>
  [[nodiscard]] Tensor<T> one_hot_of(Ex& ex, const View<int>& labels) const {
    Tensor<T> table;
    table.data = one_hot.data();
    table.shape = one_hot.start;
    table.space = &one_hot.state().values.space();
    return embedding(ex, table, {}, View<const int>{labels.data, labels.shape}, labels.size());
  }
  template <Executor Ex>
  [[nodiscard]] static Tensor<T> repeated(Ex& ex, const Tensor<T>& loss, Index rows) {
    return batch_pool(ex, loss.detached().reshaped({1, 1}), Pooling::row, rows);
  }
};

/// Rows' networks: `with(row, use)` makes one in place and calls use(network).
template <class Recipe>
struct Networks {
  template <class Use>
  static auto with(std::string_view row, const Use& use) {
    if (row == "all-to-all") {
      AllToAllNetwork<Recipe, float> network(Sizes{});
      return use(network);
    }
    return with_network<Recipe, float>(row, Sizes{}, use);
  }
};
using PaperNetworks = Networks<PaperRecipe>;
using CleanNetworks = Networks<CleanRecipe>;
struct ResearchGlobal {
  template <class Use>
  static auto with(std::string_view, const Use& use) {
    ResearchGlobalNetwork<float> network(Sizes{});
    return use(network);
  }
};

/// Calls use.operator()<Kind>() for the recipe's networks of a row: those of `research` are `paper`'s but for "global".
template <class Use>
auto with_kind(std::string_view recipe, std::string_view row, const Use& use) {
  if (recipe == "clean") return use.template operator()<CleanNetworks>();
  if (recipe == "research" && row == "global") return use.template operator()<ResearchGlobal>();
  return use.template operator()<PaperNetworks>();
}

}  // namespace mixed_numbers
