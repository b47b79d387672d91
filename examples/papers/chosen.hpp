#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>

#include <neuroinhib/neuroinhib.hpp>

/// Policies that are chosen when a model is made: rows of a table that differ in nothing else share a type, which is
/// compiled once. A model's parameters have the names, and so the values, that they have where the type says the same.
namespace papers {

/// One of several routers of logits.
template <class... Routers>
struct OneOf {
  static_assert(((Routers::kScoreKind == neuroinhib::ScoreKind::logits) && ...), "OneOf: routers that give logits");
  static constexpr auto kScoreKind = neuroinhib::ScoreKind::logits;

  struct Config {
    std::size_t chosen = 0;  ///< its place among Routers
    std::tuple<typename Routers::Config...> of{};
  };

  template <class T>
  class Module {
   public:
    Module(const Config& config, neuroinhib::Index features, neuroinhib::Index experts)
        : router_(make(config, features, experts)) {}
    void visit(auto&& v) {
      std::visit([&](auto& router) { router.visit(v); }, router_);
    }
    [[nodiscard]] neuroinhib::Index gated_width() const {
      return std::visit([](const auto& router) { return router.gated_width(); }, router_);
    }
    template <neuroinhib::Executor Ex>
    [[nodiscard]] neuroinhib::Tensor<T> gated(Ex& ex, const neuroinhib::Tensor<T>& x) const {
      return std::visit([&](const auto& router) { return router.gated(ex, x); }, router_);
    }
    template <neuroinhib::Executor Ex>
    [[nodiscard]] neuroinhib::RouterOutput<T> scores(Ex& ex, const neuroinhib::Tensor<T>& z) const {
      return std::visit([&](const auto& router) { return router.scores(ex, z); }, router_);
    }

   private:
    using Router = std::variant<typename Routers::template Module<T>...>;

    /// Beyond the last place, the last.
    template <std::size_t place = 0>
    static Router make(const Config& config, neuroinhib::Index features, neuroinhib::Index experts) {
      if constexpr (place + 1 < sizeof...(Routers))
        if (config.chosen != place) return make<place + 1>(config, features, experts);
      return Router(std::in_place_index<place>, std::get<place>(config.of), features, experts);
    }

    Router router_;
  };
};

/// A gate term that is there where its Config says so; else it is zero and has no parameters.
template <class Term>
struct Optional {
  static constexpr std::string_view kName = Term::kName;

  struct Config : Term::Config {
    bool on = false;
  };

  template <class T>
  class Module {
   public:
    Module(const Config& config, const neuroinhib::InhibitionSizes& sizes) {
      if (config.on) term_.emplace(config, sizes);
    }
    void visit(auto&& v) {
      if (term_) term_->visit(v);
    }
    template <neuroinhib::Executor Ex>
    [[nodiscard]] neuroinhib::Tensor<T> term(Ex& ex, const neuroinhib::InhibitionInputs<T>& inputs) const {
      return term_ ? term_->term(ex, inputs) : neuroinhib::Tensor<T>{};
    }
    template <neuroinhib::Executor Ex>
    void tap(Ex& ex, std::string_view name, const neuroinhib::Tensor<T>& activation) const {
      if constexpr (requires { term_->tap(ex, name, activation); })
        if (term_) term_->tap(ex, name, activation);
    }

   private:
    std::optional<typename Term::template Module<T>> term_;
  };
};

}  // namespace papers
