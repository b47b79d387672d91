#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <span>
#include <string>
#include <vector>

#include <neuroinhib/experts/expert.hpp>
#include <neuroinhib/ops/collectives/op.hpp>
#include <neuroinhib/ops/remember/op.hpp>
#include <neuroinhib/ops/slot_rows/op.hpp>
#include <neuroinhib/ops/take_slots/op.hpp>

namespace neuroinhib {

/// Experts spread over ranks: rank r of P has experts [r K/P, (r + 1) K/P), and each token's row travels to the ranks
/// of its experts and back. As many rows travel as were routed: none is dropped, and layer and gradients are those of
/// one process, to the bit where products do not depend on the number of their rows. With a capacity, each rank has as
/// many rows for every expert in every step: the first tokens find room, the others' outputs are zero, and a state
/// tells how many they were. Nothing waits for the host then, so that a GPU's step can be captured. Shared experts are
/// whole on every rank, and compute while rows travel.
template <class Experts>
struct Spread {
  struct Config {
    Index rank = 0, ranks = 1;  ///< of the communicator that the layer runs with
    /// Rows that a rank has for an expert, in multiples of its slots / K (Fedus et al. 2022, eq. 3); 0: as many as
    /// come.
    double capacity = 0;
    typename Experts::Config expert{};  ///< the experts' own
  };
  using OnEveryRank = Experts;  ///< of experts that serve every token
  /// Their configuration.
  [[nodiscard]] static const typename Experts::Config& on_every_rank(const Config& config) { return config.expert; }

  template <class T>
  class Module {
   public:
    /// Throws ConfigError unless the ranks divide the experts, and each parameter has the experts as its first extent.
    Module(const Config& config, const ExpertSizes& sizes)
        : config_(checked(config, sizes)), output_(sizes.output), experts_(config.expert, part_of(config, sizes)) {
      const Index own = sizes.experts / config.ranks;
      if (config.ranks == 1) return;
      for (const auto& [name, leaf] : neuroinhib::detail::leaves_of<T>(experts_).parameters) {
        if (leaf->tensor.shape.rows() != own)
          fail<ConfigError>("spread experts, parameter " + name, "[experts, …]", leaf->tensor.shape.text(),
                            "spread experts whose parameters are stacked along the first extent");
        leaf->slice = {config.rank * own, sizes.experts};
      }
    }
    void visit(auto&& v) {
      experts_.visit(v);
      if (config_.capacity > 0) v("dropped", dropped_);
    }

    /// meanwhile() records work that is done while rows travel to their experts. Throws ConfigError where the backend
    /// has other ranks than the configuration.
    template <Executor Ex, class Meanwhile = neuroinhib::detail::Idle>
    [[nodiscard]] Tensor<T> forward(Ex& ex, const Tensor<T>& x, const RoutingPlan& plan,
                                    const Meanwhile& meanwhile = {}) const {
      if constexpr (kAlone<Ex>)
        require_ranks(0, 1);
      else
        require_ranks(ex.backend().rank(), ex.backend().size());
      if (config_.capacity > 0) return within_capacity(ex, x, plan, meanwhile);
      if constexpr (!kAlone<Ex>)
        if (!alone(ex)) return over_ranks(ex, x, plan, meanwhile);
      meanwhile();
      return experts_.forward(ex, x, plan);
    }

   private:
    using Counts = std::vector<Index>;

    static const Config& checked(const Config& config, const ExpertSizes& sizes) {
      require_option("spread experts", "ranks", config.ranks, config.ranks >= 1 && sizes.experts % config.ranks == 0,
                     "a divisor of K = " + std::to_string(sizes.experts), "give every rank as many experts");
      require_option("spread experts", "capacity", config.capacity,
                     std::isfinite(config.capacity) && config.capacity >= 0, "≥ 0",
                     "1.25 is Switch Transformer's, 0 drops nothing");
      if constexpr (requires { config.expert.dropout; })
        require_option(
            "spread experts", "expert.dropout", config.expert.dropout, config.ranks == 1 || config.expert.dropout == 0,
            "0 on several ranks",
            "drop what the layer gives, as TransformerOptions::dropout does, or keep all experts on every rank");
      require_option("spread experts", "rank", config.rank, config.rank >= 0 && config.rank < config.ranks,
                     "from 0 to " + std::to_string(config.ranks - 1), "take the communicator's");
      return config;
    }
    static ExpertSizes part_of(const Config& config, ExpertSizes sizes) {
      sizes.experts /= config.ranks;
      return sizes;
    }
    void require_ranks(Index rank, Index ranks) const {
      if (rank != config_.rank || ranks != config_.ranks)
        fail<ConfigError>("spread experts",
                          "rank " + std::to_string(config_.rank) + " of " + std::to_string(config_.ranks),
                          "rank " + std::to_string(rank) + " of " + std::to_string(ranks),
                          "run the layer on the ranks that its configuration names");
    }

    /// The same numbers of rows for every expert and rank, whatever the routing.
    template <Executor Ex, class Meanwhile>
    Tensor<T> within_capacity(Ex& ex, const Tensor<T>& x, const RoutingPlan& plan, const Meanwhile& meanwhile) const {
      const double share = static_cast<double>(plan.slots()) / static_cast<double>(plan.experts);
      const auto capacity = std::max(Index{1}, static_cast<Index>(std::ceil(config_.capacity * share)));
      const Index own = plan.experts / config_.ranks;
      const auto places = slot_rows(ex, plan, capacity, own);
      detail::all_reduce_in_place(ex, places.counts);
      if (ex.training()) remember(ex, places.counts, dropped_);
      const Tensor<T> slots = take_slots(ex, x, plan, plan.slots());
      const Tensor<T> rows = all_to_all_beside(ex, move_rows(ex, slots, places.of_row, places.of_slot), meanwhile);
      const auto each = every_expert(ex, config_.ranks * capacity, own);  // rows of all own experts, again and again
      const Tensor<T> outputs =
          in_row_order(ex, rows, {each.plan.expert.data, {rows.rows(), 1}}, each.gates.reshaped({rows.rows(), 1}), own);
      return move_rows(ex, all_to_all(ex, outputs), places.of_slot, places.of_row);
    }
    /// The experts' outputs of rows that have one expert each, in the rows' order; ones [rows, 1].
    template <Executor Ex>
    Tensor<T> in_row_order(Ex& ex, const Tensor<T>& rows, const View<int>& expert, const Tensor<T>& ones,
                           Index own) const {
      const RoutingPlan plan = routing_plan(ex, expert, own);
      return neuroinhib::detail::combined(ex, experts_, rows, ones, plan);
    }

    template <Executor Ex, class Meanwhile>
    Tensor<T> over_ranks(Ex& ex, const Tensor<T>& x, const RoutingPlan& plan, const Meanwhile& meanwhile) const {
      const Index own = plan.experts / config_.ranks;
      // Slots for each expert, and those that come for each of ours: the host decides how much travels.
      const std::vector<int> offsets = ex.backend().read(plan.offsets);
      Counts slots;
      for (std::size_t k = 1; k < offsets.size(); ++k) slots.push_back(offsets[k] - offsets[k - 1]);
      const std::span<const Index> coming = exchange_counts(ex, slots);
      const Counts sent = sums_of(slots, own), received = sums_of(coming, own);
      const Tensor<T> rows = all_to_all_beside(ex, take_slots(ex, x, plan, offsets.back()), meanwhile, sent, received);
      return detail::all_to_all_rows(ex, outputs(ex, rows, coming, own), received, sent, plan.slots());
    }
    /// The experts' outputs of rows from all ranks, in the rows' order.
    template <Executor Ex>
    Tensor<T> outputs(Ex& ex, const Tensor<T>& rows, std::span<const Index> coming, Index own) const {
      if (rows.rows() == 0) return ex.tensor({0, output_}, true);
      std::vector<int> expert;
      for (std::size_t i = 0; i < coming.size(); ++i)
        expert.insert(expert.end(), static_cast<std::size_t>(coming[i]), static_cast<int>(static_cast<Index>(i) % own));
      const View<int> of_rows = ex.integers({rows.rows(), 1});
      ex.backend().write(of_rows, expert.data());
      const Tensor<T> ones = ex.tensor({rows.rows(), 1}, false);
      ex.backend().fill(ones.data, ones.size(), T{1});
      return in_row_order(ex, rows, of_rows, ones, own);
    }
    /// Sums of `own` counts each.
    static Counts sums_of(std::span<const Index> counts, Index own) {
      Counts sums(counts.size() / static_cast<std::size_t>(own));
      for (std::size_t i = 0; i < counts.size(); ++i) sums[i / static_cast<std::size_t>(own)] += counts[i];
      return sums;
    }

    Config config_;
    Index output_;
    typename Experts::template Module<T> experts_;
    Buffer<T> dropped_{Shape{1, 2}};  ///< slots that found no room in the last training step, and all; of all ranks
  };
};

}  // namespace neuroinhib
