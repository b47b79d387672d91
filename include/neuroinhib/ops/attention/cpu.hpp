#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <neuroinhib/backend/eigen.hpp>
#include <neuroinhib/ops/attention/op.hpp>
#include <neuroinhib/ops/gemm/cpu.hpp>

namespace neuroinhib::ops::flash::inline NEUROINHIB_TARGET {

/// A task holds so many panels of queries (or of keys, for the keys' gradients), packed once; kRows of the other side
/// meet them at a time.
inline constexpr Index kPanels = 2, kRows = 48;
template <class T>
inline constexpr Index kLanes = kPanels * gemm::kWidth<T>;

template <class T>
inline constexpr T kHidden = -std::numeric_limits<T>::infinity();

/// One value for each lane of a panel.
template <class T>
using Panel = Eigen::Array<T, gemm::kWidth<T>, 1>;
template <class T>
using Lanes = ArrayMap<T, gemm::kWidth<T>>;

/// Rows of lanes, panel after panel: as it stands, the packed factor of a product over its rows.
template <class T>
struct Grid {
  T* data;
  Index rows;

  [[nodiscard]] static constexpr Index size(Index rows) { return rows * kLanes<T>; }
  [[nodiscard]] T* panel(Index p) const { return data + p * rows * gemm::kWidth<T>; }
  [[nodiscard]] Lanes<T> lanes(Index p, Index row) const { return Lanes<T>(panel(p) + row * gemm::kWidth<T>); }
  [[nodiscard]] T& at(Index row, Index lane) const {
    return panel(lane / gemm::kWidth<T>)[row * gemm::kWidth<T> + lane % gemm::kWidth<T>];
  }
};

/// Queries [q, q_end) of a sequence and its keys [k, k_end), for one head; the lanes are queries, or keys.
template <class T, bool ByQueries>
struct LaneBlock {
  Index sequence, head, q = 0, q_end = 0, k = 0, k_end = 0;

  [[nodiscard]] Index queries() const { return q_end - q; }
  [[nodiscard]] Index keys() const { return k_end - k; }
  [[nodiscard]] Index lanes() const { return ByQueries ? queries() : keys(); }
  [[nodiscard]] Index rows() const { return ByQueries ? keys() : queries(); }
  /// Panels that have lanes.
  [[nodiscard]] Index panels() const { return gemm::ceil_div(lanes(), gemm::kWidth<T>); }
  [[nodiscard]] Index query_row(const Visibility& sight) const { return sequence * sight.queries + q; }
  [[nodiscard]] Index key_row(const Visibility& sight) const { return sequence * sight.key_rows + k; }

  /// The pair of this block's query `query` and key `key`.
  [[nodiscard]] T& pair(const Grid<T>& grid, Index query, Index key) const {
    return ByQueries ? grid.at(key - k, query - q) : grid.at(query - q, key - k);
  }
};

/// visit(panel, row) for each row of a block's lanes.
template <class T, bool ByQueries, class Visit>
void for_each_row(const LaneBlock<T, ByQueries>& b, const Visit& visit) {
  for (Index p = 0; p < b.panels(); ++p)
    for (Index row = 0; row < b.rows(); ++row) visit(p, row);
}

/// Scratch of one task.
template <class T>
struct Scratch {
  Grid<T> keys, values;          ///< the lanes' factors of S and of ⟨dy, v⟩
  Grid<T> key_sums, value_sums;  ///< what is summed up for the lanes, in the width of keys and of values
  Grid<T> weights, slopes;       ///< of a block
  Grid<T> state;                 ///< three numbers of each lane

  Scratch(const FlashAttention<T>& s, T* memory)
      : keys(take(s.key_width, memory)),
        values(take(s.value_width, memory)),
        key_sums(take(s.key_width, memory)),
        value_sums(take(s.value_width, memory)),
        weights(take(kRows, memory)),
        slopes(take(kRows, memory)),
        state(take(3, memory)) {}
  [[nodiscard]] static Index size(const FlashAttention<T>& s) {
    return Grid<T>::size(2 * (s.key_width + s.value_width) + 2 * kRows + 3);
  }

 private:
  static Grid<T> take(Index rows, T*& memory) { return {std::exchange(memory, memory + Grid<T>::size(rows)), rows}; }
};

template <class T>
void clear(const Grid<T>& grid) {
  std::fill_n(grid.data, Grid<T>::size(grid.rows), T{0});
}

/// scale · x of `count` rows, a lane each; zero in the other lanes.
template <class T>
void pack(const T* x, Index stride, Index count, T scale, const Grid<T>& packed) {
  clear(packed);
  for (Index lane = 0; lane < count; ++lane)
    for (Index c = 0; c < packed.rows; ++c) packed.at(c, lane) = scale * x[lane * stride + c];
}

/// ⟨x_row, lane⟩ for the block's rows and lanes.
template <class T, bool ByQueries>
void products(const LaneBlock<T, ByQueries>& b, const HeadRows<const T>& x, Index first, const Grid<T>& packed,
              const Grid<T>& out) {
  for (Index p = 0; p < b.panels(); ++p)
    gemm::rows_times_panels<T>(
        b.rows(), [&](Index m) { return x.at(first + m, b.head); }, gemm::Walk{packed.rows}, packed.panel(p),
        [&](Index m) { return out.lanes(p, m).data(); }, gemm::kWidth<T>, false);
}

/// sums(c, lane) += Σ_row x_row[c] · grid(row, lane) over the block's rows.
template <class T, bool ByQueries>
void accumulate(const LaneBlock<T, ByQueries>& b, const HeadRows<const T>& x, Index first, const Grid<T>& grid,
                const Grid<T>& sums) {
  for (Index p = 0; p < b.panels(); ++p)
    gemm::rows_times_panels<T>(
        sums.rows, [&](Index c) { return x.at(first, b.head) + c; }, gemm::Walk{b.rows(), x.stride}, grid.panel(p),
        [&](Index c) { return sums.lanes(p, c).data(); }, gemm::kWidth<T>, true);
}

/// −∞ for each pair that is hidden.
template <class T, bool ByQueries>
void hide(const FlashAttention<T>& s, const LaneBlock<T, ByQueries>& b, const Grid<T>& grid) {
  for (Index first = 0; first < b.lanes(); first += gemm::kWidth<T>) {
    const Index count = std::min(gemm::kWidth<T>, b.lanes() - first);
    for (Index row = 0; row < b.rows(); ++row) {
      T* values = &grid.at(row, first);
      for (Index lane = 0; lane < count; ++lane) {
        const Index query = b.q + (ByQueries ? first + lane : row), key = b.k + (ByQueries ? row : first + lane);
        values[lane] = s.sees(b.sequence, query, key) ? values[lane] : kHidden<T>;
      }
    }
  }
}

/// visit(query, key, place) for each pair of a block within the span; `place` is that of its relative score.
template <class T, bool ByQueries, class Visit>
void for_each_relative(const FlashAttention<T>& s, const LaneBlock<T, ByQueries>& b, const Visit& visit) {
  for (Index query = b.q; query < b.q_end; ++query) {
    const Index position = s.sight.past + query, end = std::min(b.k_end, position);
    for (Index key = std::max(b.k, position - s.span); key < end; ++key) visit(query, key, position - key - 1);
  }
}

/// S of a block; hidden pairs are −∞. Tells whether there are none.
template <class T, bool ByQueries>
bool logits(const FlashAttention<T>& s, const LaneBlock<T, ByQueries>& b, const Scratch<T>& own) {
  const Visibility& sight = s.sight;
  const HeadRows<const T>& rows = ByQueries ? s.k : s.q;
  const Index first = ByQueries ? b.key_row(sight) : b.query_row(sight);
  products(b, rows, first, own.keys, own.weights);
  if (s.bias)
    for_each_row(b, [&](Index p, Index row) {
      if constexpr (ByQueries)
        own.weights.lanes(p, row) += *s.bias.at(first + row, b.head);
      else
        own.weights.lanes(p, row) += own.state.lanes(p, 0);
    });
  if (s.relative)
    for_each_relative(s, b, [&](Index query, Index key, Index place) {
      b.pair(own.weights, query, key) += s.relative.at(b.query_row(sight) + query - b.q, b.head)[place];
    });
  if (s.open(b.q, b.k_end)) return true;
  hide(s, b, own.weights);
  return false;
}

/// exp(x), and 0 where x is −∞.
template <class T>
Panel<T> exponentials(const Panel<T>& x, bool open) {
  Panel<T> y = x.exp();
  if (!open)
    for (Index lane = 0; lane < x.size(); ++lane) y[lane] = x[lane] == kHidden<T> ? T{0} : y[lane];
  return y;
}

/// What an online softmax knows of each query.
template <class T>
struct OnlineSoftmaxLanes {
  Lanes<T> largest, sum, moment;

  OnlineSoftmaxLanes(const Grid<T>& state, Index p)
      : largest(state.lanes(p, 0)), sum(state.lanes(p, 1)), moment(state.lanes(p, 2)) {}
  void start() {
    largest = kHidden<T>;
    sum = T{0};
    moment = T{0};
  }
  /// Takes up the logits of `rows` keys and leaves their exponentials. Returns what sums so far are to be multiplied
  /// by.
  Panel<T> add(const Grid<T>& logits, Index p, Index rows, bool open) {
    Panel<T> above = largest.max(std::numeric_limits<T>::lowest());  // finite, where nothing is seen yet
    for (Index row = 0; row < rows; ++row) above = above.max(logits.lanes(p, row));
    Panel<T> shrink = exponentials<T>(largest - above, false);
    moment = shrink * (moment + finite(largest - above) * sum);
    sum *= shrink;
    for (Index row = 0; row < rows; ++row) {
      Lanes<T> weights = logits.lanes(p, row);
      const Panel<T> distance = weights - above;
      weights = exponentials<T>(distance, open);
      sum += weights;
      moment += weights * (open ? distance : finite(distance));
    }
    largest = above;
    return shrink;
  }

 private:
  static Panel<T> finite(Panel<T> x) {
    for (Index lane = 0; lane < x.size(); ++lane) x[lane] = x[lane] == kHidden<T> ? T{0} : x[lane];
    return x;
  }
};

template <class T>
void finish(const FlashAttention<T>& s, const LaneBlock<T, true>& b, const Scratch<T>& own) {
  for (Index lane = 0; lane < b.queries(); ++lane) {
    const Index row = b.query_row(s.sight) + lane;
    const T largest = own.state.at(0, lane), sum = own.state.at(1, lane), moment = own.state.at(2, lane);
    const T log_sum = largest + std::log(sum);
    *s.log_sum.at(row, b.head) = log_sum;
    if (s.entropy) *s.entropy.at(row, b.head) = std::max(std::log(sum) - moment / sum, T{0});
    if (s.self) *s.self.at(row, b.head) = std::exp(*s.self.at(row, b.head) - log_sum);
    for (Index c = 0; c < s.value_width; ++c) s.y.at(row, b.head)[c] = own.value_sums.at(c, lane) / sum;
  }
}

/// Everything of a block's queries.
template <class T>
void forward_pass(const FlashAttention<T>& s, LaneBlock<T, true> b, const Scratch<T>& own) {
  const Visibility& sight = s.sight;
  const Index first_query = b.query_row(sight), end = sight.keys_until(b.q_end);
  pack(s.q.at(first_query, b.head), s.q.stride, b.queries(), s.scale, own.keys);
  clear(own.value_sums);
  for (Index p = 0; p < b.panels(); ++p) OnlineSoftmaxLanes<T>(own.state, p).start();
  for (b.k = s.keys_from(b.q); b.k < end; b.k += kRows) {
    b.k_end = std::min(end, b.k + kRows);
    const bool open = logits(s, b, own);
    for (Index query = b.q; s.self && query < b.q_end; ++query)
      if (const Index key = sight.past + query; key >= b.k && key < b.k_end)
        *s.self.at(first_query + query - b.q, b.head) = b.pair(own.weights, query, key);
    for (Index p = 0; p < b.panels(); ++p) {
      const Panel<T> shrink = OnlineSoftmaxLanes<T>(own.state, p).add(own.weights, p, b.keys(), open);
      for (Index c = 0; c < s.value_width; ++c) own.value_sums.lanes(p, c) *= shrink;
    }
    if (s.value_width > 0) accumulate(b, s.v, b.key_row(sight), own.weights, own.value_sums);
  }
  finish(s, b, own);
}

/// P and dS of a block, into weights and slopes; log_sum(p, row) and delta(p, row) are those of the queries.
template <class T, bool ByQueries, class LogSum, class Delta>
void slopes(const FlashAttention<T>& s, const FlashGradient<T>& g, const LaneBlock<T, ByQueries>& b,
            const LogSum& log_sum, const Delta& delta, const Scratch<T>& own) {
  const Visibility& sight = s.sight;
  const bool open = logits(s, b, own);
  if (s.value_width > 0) {
    const HeadRows<const T>& rows = ByQueries ? s.v : g.dy;
    products(b, rows, ByQueries ? b.key_row(sight) : b.query_row(sight), own.values, own.slopes);
  }
  for_each_row(b, [&](Index p, Index row) {
    Lanes<T> weights = own.weights.lanes(p, row), slope = own.slopes.lanes(p, row);
    weights = exponentials<T>(weights - log_sum(p, row), open);
    if (s.value_width > 0)
      slope = weights * (slope - delta(p, row));
    else
      slope = weights * -delta(p, row);
  });
  if (g.label == nullptr) return;
  for (Index query = b.q; query < b.q_end; ++query) {
    const Index row = b.query_row(sight) + query - b.q, label = g.label[row];
    if (label >= b.k && label < b.k_end) b.pair(own.slopes, query, label) += *g.delta.at(row, b.head);
  }
}

/// Stores or adds scale · sums of `count` lanes, whose first is row `first` of the slot.
template <class T>
void put(const Grid<T>& sums, T scale, Index count, const HeadSlot<T>& slot, Index first, Index head) {
  for (Index lane = 0; lane < count; ++lane)
    for (Index c = 0; c < sums.rows; ++c) slot.put(first + lane, head, c, scale * sums.at(c, lane));
}

/// dq and row_sum of a block's queries.
template <class T>
void row_pass(const FlashAttention<T>& s, const FlashGradient<T>& g, LaneBlock<T, true> b, const Scratch<T>& own) {
  const Index first_query = b.query_row(s.sight), end = s.sight.keys_until(b.q_end);
  pack(s.q.at(first_query, b.head), s.q.stride, b.queries(), s.scale, own.keys);
  if (s.value_width > 0) pack(g.dy.at(first_query, b.head), g.dy.stride, b.queries(), T{1}, own.values);
  clear(own.key_sums);
  clear(own.state);
  for (Index lane = 0; lane < b.queries(); ++lane) {
    own.state.at(0, lane) = *g.log_sum.at(first_query + lane, b.head);
    own.state.at(1, lane) = *g.delta.at(first_query + lane, b.head);
  }
  for (b.k = s.keys_from(b.q); b.k < end; b.k += kRows) {
    b.k_end = std::min(end, b.k + kRows);
    slopes(
        s, g, b, [&](Index p, Index) { return own.state.lanes(p, 0); },
        [&](Index p, Index) { return own.state.lanes(p, 1); }, own);
    if (g.row_sum) for_each_row(b, [&](Index p, Index row) { own.state.lanes(p, 2) += own.slopes.lanes(p, row); });
    if (g.dq) accumulate(b, s.k, b.key_row(s.sight), own.slopes, own.key_sums);
    if (g.drelative)
      for_each_relative(s, b, [&](Index query, Index key, Index place) {
        g.drelative.put(first_query + query - b.q, b.head, place, b.pair(own.slopes, query, key));
      });
  }
  if (g.dq) put(own.key_sums, s.scale, b.queries(), g.dq, first_query, b.head);
  for (Index lane = 0; g.row_sum && lane < b.queries(); ++lane)
    *g.row_sum.at(first_query + lane, b.head) = own.state.at(2, lane);
}

/// dk, dv and dbias of a block's keys.
template <class T>
void column_pass(const FlashAttention<T>& s, const FlashGradient<T>& g, LaneBlock<T, false> b, const Scratch<T>& own) {
  const Index first_key = b.key_row(s.sight);
  pack(s.k.at(first_key, b.head), s.k.stride, b.keys(), s.scale, own.keys);
  if (s.value_width > 0) pack(s.v.at(first_key, b.head), s.v.stride, b.keys(), T{1}, own.values);
  clear(own.key_sums);
  clear(own.value_sums);
  clear(own.state);
  for (Index lane = 0; s.bias && lane < b.keys(); ++lane) own.state.at(0, lane) = *s.bias.at(first_key + lane, b.head);
  const Index end = s.queries_until(b.k_end);
  for (b.q = s.sight.first_query(b.k); b.q < end; b.q += kRows) {
    b.q_end = std::min(end, b.q + kRows);
    const Index first_query = b.query_row(s.sight);
    slopes(
        s, g, b, [&](Index, Index row) { return *g.log_sum.at(first_query + row, b.head); },
        [&](Index, Index row) { return *g.delta.at(first_query + row, b.head); }, own);
    if (g.dv) accumulate(b, g.dy, first_query, own.weights, own.value_sums);
    if (g.dk) accumulate(b, s.q, first_query, own.slopes, own.key_sums);
    if (g.dbias) for_each_row(b, [&](Index p, Index row) { own.state.lanes(p, 1) += own.slopes.lanes(p, row); });
  }
  if (g.dk) put(own.key_sums, s.scale, b.keys(), g.dk, first_key, b.head);
  if (g.dv) put(own.value_sums, T{1}, b.keys(), g.dv, first_key, b.head);
  for (Index lane = 0; g.dbias && lane < b.keys(); ++lane)
    g.dbias.put(first_key + lane, b.head, 0, own.state.at(1, lane));
}

/// task(sequence, head, begin, end, scratch) for the lanes [begin, end) of every sequence and head.
template <class T, class Task>
void for_each_block(Cpu<T>& cpu, const FlashAttention<T>& s, Index extent, const Task& task) {
  const Index blocks = gemm::ceil_div(extent, kLanes<T>);
  const Index cost = kLanes<T> * s.sight.keys * (cost::exponential + cost::multiply_adds(s.key_width + s.value_width));
  cpu.parallel_tasks(s.sight.count * s.heads * blocks, cost, Scratch<T>::size(s), [&](Index number, T* memory) {
    const Index begin = number % blocks * kLanes<T>, rest = number / blocks;
    task(rest / s.heads, rest % s.heads, begin, std::min(extent, begin + kLanes<T>), Scratch<T>(s, memory));
  });
}

template <class T>
void run_forward(Cpu<T>& cpu, const FlashAttention<T>& s) {
  for_each_block(cpu, s, s.sight.queries,
                 [&](Index sequence, Index head, Index begin, Index end, const Scratch<T>& own) {
                   forward_pass(s, {sequence, head, begin, end}, own);
                 });
}

/// The row pass comes first: q and k may be the same rows, and then dk is added to dq.
template <class T>
void run_backward(Cpu<T>& cpu, const FlashAttention<T>& s, const FlashGradient<T>& g) {
  if (g.dq || g.row_sum || g.drelative)
    for_each_block(cpu, s, s.sight.queries,
                   [&](Index sequence, Index head, Index begin, Index end, const Scratch<T>& own) {
                     row_pass(s, g, {sequence, head, begin, end}, own);
                   });
  if (g.dk || g.dv || g.dbias)
    for_each_block(cpu, s, s.sight.keys,
                   [&](Index sequence, Index head, Index begin, Index end, const Scratch<T>& own) {
                     column_pass(s, g, {sequence, head, 0, 0, begin, end}, own);
                   });
}

/// ⟨dy_i, y_i⟩ of every row and head.
template <class T>
void inner_products(Cpu<T>& cpu, const FlashAttention<T>& s, const HeadRows<const T>& dy, T* delta) {
  cpu.parallel_for(s.rows(), s.heads * s.value_width, [&](Index row) {
    for (Index h = 0; h < s.heads; ++h) {
      const T *a = dy.at(row, h), *b = s.y.at(row, h);
      T sum = 0;
      for (Index c = 0; c < s.value_width; ++c) sum += a[c] * b[c];
      delta[row * s.heads + h] = sum;
    }
  });
}

/// Flash attention of one process, as kernels run it.
template <class T>
struct CpuFlash {
  Cpu<T>& cpu;

  void forward(const FlashAttention<T>& s) const { run_forward(cpu, s); }
  void backward(const FlashAttention<T>& s, const FlashGradient<T>& g) const { run_backward(cpu, s, g); }
};

}  // namespace neuroinhib::ops::flash::inline NEUROINHIB_TARGET

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>& cpu, const Attention<T>& op) {
  flash::run_forward(cpu, op.flash());
}

/// `flash` does the work.
template <class T, class Flash>
void attention_backward(Cpu<T>& cpu, const Attention<T>& op, Flash&& flash) {
  const ArenaScope scope(cpu.arena());
  const FlashAttention<T> s = op.flash();
  if (!op.y.has_gradient()) cpu.fill(op.y.gradient, op.y.size(), T{0});
  T* delta = cpu.template kernel_memory<T>(op.log_sum.size());
  flash::inner_products<T>(cpu, s, {op.y.gradient, op.y.cols(), s.value_width}, delta);
  if (op.log_sum.has_gradient())
    cpu.parallel_for(op.log_sum.size(), [&](Index i) { delta[i] -= op.log_sum.gradient[i]; });
  flash.backward(s, op.gradient(cpu, delta));
}
template <class T>
void backward(Cpu<T>& cpu, const Attention<T>& op) {
  attention_backward(cpu, op, flash::CpuFlash<T>{cpu});
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
