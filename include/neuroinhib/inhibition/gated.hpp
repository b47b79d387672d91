#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include <neuroinhib/inhibition/inhibition.hpp>
#include <neuroinhib/ops/gate/op.hpp>

namespace neuroinhib {

/// Has Module<T>(Config, InhibitionSizes).
template <class P>
concept TermHasModule =
    std::constructible_from<typename P::template Module<float>, const typename P::Config&, const InhibitionSizes&>;

/// Its Module<float> has term(executor, inputs).
template <class P>
concept TermHasTerm = requires(const typename P::template Module<float>& module, detail::AnyExecutor& ex,
                               const InhibitionInputs<float>& inputs) {
  { module.term(ex, inputs) } -> std::same_as<Tensor<float>>;
};

/// One term under the gate's σ: a struct with a Config and a template Module<T>(Config, InhibitionSizes) that has
/// term(executor, inputs) → Tensor<T>, [tokens, gated] or [1, gated], and visit(visitor). A term that keeps activations
/// of the step also has tap(executor, name, tensor); the local one has kLocal = true. kName names it in files; without
/// it, it is "term".
template <class P>
concept GateTermPolicy = HasConfig<P> && TermHasModule<P> && TermHasTerm<P>;

/// z* = z ⊙ σ(Σ terms) (Neural Inhibition, eq. 1–4). Its Config is the terms' configurations together.
template <class... Terms>
struct Gated {
  static_assert(sizeof...(Terms) > 0, "Gated needs at least one gate term, such as Glu; see docs/policies/gated.md");
  static_assert(
      (TermHasModule<Terms> && ...),
      "a gate term needs a Config and a template Module<T>(Config, InhibitionSizes); see docs/write-a-policy.md");
  static_assert((TermHasTerm<Terms> && ...),
                "a gate term's Module<T> needs term(executor, InhibitionInputs<T>) const returning Tensor<T>; "
                "see docs/write-a-policy.md");

  /// Whether with() takes a Part: a Bracket, or the configuration of one of the terms.
  template <class Part>
  static constexpr bool is_part() {
    return std::same_as<Part, Bracket> || (std::same_as<Part, typename Terms::Config> || ...);
  }
  /// Whether Part is one of Parts exactly once.
  template <class Part, class... Parts>
  static constexpr bool occurs_once() {
    return (0 + ... + static_cast<int>(std::same_as<Part, Parts>)) == 1;
  }

  struct Config : Terms::Config... {
    Bracket bracket = Bracket::inside;  ///< where σ closes
  };

  /// A configuration in one expression, such as with(Pretext::Config{.earlier_widths = {64}}, Bracket::as_printed): any
  /// of the terms' configurations and a Bracket, each once, in any order. What is left out keeps its defaults.
  template <class... Parts>
    requires(is_part<Parts>() && ...)
  [[nodiscard]] static Config with(Parts... parts) {
    static_assert((occurs_once<Parts, Parts...>() && ...), "Gated::with takes each part once");
    Config config;
    (set(config, std::move(parts)), ...);
    return config;
  }

  template <class T>
  class Module {
   public:
    /// Throws ConfigError for Bracket::as_printed without a local term: nothing would be left inside σ.
    Module(const Config& config, const InhibitionSizes& sizes)
        : terms_(typename Terms::template Module<T>(static_cast<const typename Terms::Config&>(config), sizes)...),
          bracket_(config.bracket) {
      if (bracket_ == Bracket::as_printed && !(is_local<Terms>() || ...))
        fail<ConfigError>("gated inhibition", "a local term (Glu) for the bracket as printed", "none",
                          "add Glu, or close the bracket after all terms");
    }

    void visit(auto&& v) {
      each(terms_, [&](auto& term, std::size_t i) { v(name_of(i), term); });
    }

    template <Executor Ex>
    [[nodiscard]] Inhibited<T> inhibit(Ex& ex, const Tensor<T>& z, const InhibitionInputs<T>& inputs) const {
      std::array<GateTerm<T>, sizeof...(Terms)> values;
      constexpr std::array<bool, sizeof...(Terms)> kIsLocal{is_local<Terms>()...};
      each(terms_, [&](auto& term, std::size_t i) { values[i] = {term.term(ex, inputs), kIsLocal[i]}; });
      const GateResult<T> gated = gate<Ex>(ex, z, values, bracket_);
      return {gated.y, gated.mask};
    }

    template <Executor Ex>
    void tap(Ex& ex, std::string_view name, const Tensor<T>& activation) const {
      each(terms_, [&](auto& term, std::size_t) {
        if constexpr (requires { term.tap(ex, name, activation); }) term.tap(ex, name, activation);
      });
    }

   private:
    template <class Term>
    static constexpr bool is_local() {
      if constexpr (requires { Term::kLocal; }) return Term::kLocal;
      return false;
    }
    template <class Term>
    static constexpr std::string_view term_name() {
      if constexpr (requires { Term::kName; }) return Term::kName;
      return "term";
    }
    static constexpr std::array<std::string_view, sizeof...(Terms)> kNames{term_name<Terms>()...};
    /// In files; terms of one name are numbered from the second on.
    static std::string name_of(std::size_t term) {
      const auto number = 1 + std::count(kNames.begin(), kNames.begin() + term, kNames[term]);
      return std::string(kNames[term]) + (number > 1 ? std::to_string(number) : "");
    }

    template <class Modules, class F>
    static void each(Modules& terms, const F& f) {
      [&]<std::size_t... I>(std::index_sequence<I...>) {
        (f(std::get<I>(terms), I), ...);
      }(std::index_sequence_for<Terms...>{});
    }

    std::tuple<typename Terms::template Module<T>...> terms_;
    Bracket bracket_;
  };

 private:
  static void set(Config& config, Bracket bracket) { config.bracket = bracket; }
  template <class Part>
  static void set(Config& config, Part part) {
    static_cast<Part&>(config) = std::move(part);
  }
};

}  // namespace neuroinhib
