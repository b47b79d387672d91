#pragma once

#include <string>

#include <neuroinhib/ops/routing_plan/op.hpp>

namespace neuroinhib {
namespace ops {

/// Rows for `capacity` slots of each expert, in groups of `group` experts: the c-th slot of expert g · group + k has
/// row (g · capacity + c) · group + k. of_slot [slots]: the row of the slot at each place of the plan's order, −1 for
/// those that find none; of_row [experts · capacity]: the place whose slot a row has, −1 for empty rows; y [2]: how
/// many slots found no row, and how many have an expert. Not differentiable.
template <class T>
struct SlotRows {
  static constexpr const char* name = "slot_rows";
  RoutingPlan plan;
  Index capacity, group;
  View<int> of_slot, of_row;
  Tensor<T> y;

  /// Slots of expert k.
  NEUROINHIB_DEVICE [[nodiscard]] Index count(Index k) const { return plan.offsets[k + 1] - plan.offsets[k]; }
  /// Writes of_slot at a place of the plan's order.
  NEUROINHIB_DEVICE void put_slot(Index place) const {
    const Index k = plan.expert[plan.order[place]];
    const Index c = k < plan.experts ? place - plan.offsets[k] : capacity;
    of_slot[place] = c < capacity ? static_cast<int>((k / group * capacity + c) * group + k % group) : -1;
  }
  /// Writes of_row of a row.
  NEUROINHIB_DEVICE void put_row(Index row) const {
    const Index k = row / (capacity * group) * group + row % group, c = row / group % capacity;
    of_row[row] = c < count(k) ? static_cast<int>(plan.offsets[k] + c) : -1;
  }
  /// Writes y.
  NEUROINHIB_DEVICE void put_counts() const {
    Index without = 0;
    for (Index k = 0; k < plan.experts; ++k) without += count(k) > capacity ? count(k) - capacity : 0;
    y[0] = static_cast<T>(without);
    y[1] = static_cast<T>(plan.offsets[plan.experts]);
  }
};

/// y_i = x_from[i], 0 where from[i] < 0; dx_j = dy_to[j], 0 where to[j] < 0. No row is taken twice: `to` is the
/// inverse.
template <class T>
struct MoveRows {
  static constexpr const char* name = "move_rows";
  Tensor<T> x;           ///< [rows of `to`, width]
  Tensor<T> y;           ///< [rows of `from`, width]
  View<const int> from;  ///< of each row of y, the one of x
  View<const int> to;    ///< of each row of x, the one of y
};

}  // namespace ops

/// Rows for a fixed number of slots of each expert, what they hold and what finds none.
template <class T>
struct SlotRows {
  View<int> of_slot;  ///< [slots] the row of the slot at each place of the plan's order; −1: none
  View<int> of_row;   ///< [experts · capacity] the place in the plan's order of a row's slot; −1: empty
  Tensor<T> counts;   ///< [1, 2] slots that find no row, and all that have an expert
};

/// `capacity` rows for each expert, in groups of `group` experts: c-th rows of all experts of a group lie together. The
/// first tokens find room. Throws ConfigError unless capacity ≥ 1 and the groups divide the experts.
template <Executor Ex>
[[nodiscard]] SlotRows<ScalarOf<Ex>> slot_rows(Ex& ex, const RoutingPlan& plan, Index capacity, Index group) {
  require_option("slot rows", "capacity", capacity, capacity >= 1, "≥ 1", "give every expert room for a slot");
  require_option("slot rows", "group", group, group >= 1 && plan.experts % group == 0,
                 "a divisor of K = " + std::to_string(plan.experts), "make groups of as many experts");
  const SlotRows<ScalarOf<Ex>> rows{ex.integers({plan.slots()}), ex.integers({plan.experts * capacity}),
                                    ex.tensor({1, 2}, false)};
  ex.run(ops::SlotRows<ScalarOf<Ex>>{plan, capacity, group, rows.of_slot, rows.of_row, rows.counts});
  return rows;
}

/// A row of x for each number in `from`, zeros for numbers below zero; `to`: where each row of x goes, the inverse.
/// Throws ShapeError unless there is a number for each of x's rows.
template <Executor Ex>
[[nodiscard]] TensorOf<Ex> move_rows(Ex& ex, const TensorOf<Ex>& x, const View<const int>& from,
                                     const View<const int>& to) {
  if (to.size() != x.rows())
    fail<ShapeError>("move rows", std::to_string(x.rows()) + " numbers, where each row goes", std::to_string(to.size()),
                     "give −1 for rows that go nowhere");
  const auto y = ex.tensor({from.size(), x.cols()}, x.wants_gradient());
  ex.run(ops::MoveRows<ScalarOf<Ex>>{x, y, from, to});
  return y;
}

}  // namespace neuroinhib
