#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <limits>

#include <neuroinhib/ops/attention/op.hpp>
#include <neuroinhib/ops/product/cpu.hpp>

namespace neuroinhib::ops {
namespace stream {

/// Queries and keys of a tile: its products are single tasks of ops/product.
inline constexpr Index kQueries = 48;
template <class T>
inline constexpr Index kKeys = product::kTaskPanels* product::kWidth<T>;

template <class T>
inline constexpr T kHidden = -std::numeric_limits<T>::infinity();

template <class T>
using Row = Eigen::Map<Eigen::Array<T, 1, Eigen::Dynamic>>;

/// Queries [q, q_end) of a sequence against its keys [k, k_end), for one head.
struct Tile {
  Index sequence, head, q, q_end, k = 0, k_end = 0;

  [[nodiscard]] Index queries() const { return q_end - q; }
  [[nodiscard]] Index keys() const { return k_end - k; }
};

/// Scratch of one task.
template <class T>
struct Scratch {
  static constexpr Index kTile = kQueries * kKeys<T>;

  T *weights, *slopes, *panels;
  T *largest, *sum, *moment;  ///< of each query: the online softmax's state

  explicit Scratch(T* memory)
      : weights(memory),
        slopes(weights + kTile),
        panels(slopes + kTile),
        largest(panels + product::scratch_size<T>(product::kDepth<T>)),
        sum(largest + kQueries),
        moment(sum + kQueries) {}
  [[nodiscard]] static constexpr Index size() {
    return 2 * kTile + product::scratch_size<T>(product::kDepth<T>) + 3 * kQueries;
  }
};

/// out(m, n) (+)= Σ_k a(m, k) b(n, k): both factors are rows.
template <class T, class A, class B, class Out>
void rows_by_rows(Index rows, Index columns, Index depth, const A& a, const B& b, Index b_stride, const Out& out,
                  T* panels) {
  product::columns_of<T>(
      0, columns, rows, depth, 1, a,
      [&](Index k0, Index k1, Index n, Index width, T* panel) {
        product::pack_columns(k1 - k0, width, b(n) + k0, b_stride, panel);
      },
      out, false, panels);
}

/// out(m, n) (+)= Σ_k a[k · step + m · lead] b(k)[n], for any number of columns.
template <class T, class A, class B, class Out>
void rows_by_columns(Index rows, Index columns, Index depth, const A& a, Index step, const B& b, const Out& out,
                     bool add, T* panels) {
  for (Index begin = 0; begin < columns; begin += kKeys<T>)
    product::columns_of<T>(
        begin, std::min(columns, begin + kKeys<T>), rows, depth, step, a,
        [&](Index k0, Index k1, Index n, Index width, T* panel) {
          product::pack_rows<T>(
              k1 - k0, width, [&](Index k) { return b(k0 + k) + n; }, panel);
        },
        out, add, panels);
}

/// S of a tile; hidden pairs are −∞.
template <class T>
void logits(const Stream<T>& s, const Tile& t, T* tile, T* panels) {
  const Visibility& sight = s.sight;
  const Index first_query = t.sequence * sight.queries + t.q, first_key = t.sequence * sight.key_rows + t.k;
  rows_by_rows<T>(
      t.queries(), t.keys(), s.key_width, [&](Index m) { return s.q.at(first_query + m, t.head); },
      [&](Index n) { return s.k.at(first_key + n, t.head); }, s.k.stride, [&](Index m) { return tile + m * kKeys<T>; },
      panels);
  const bool open = sight.open(t.q, t.k_end);
  for (Index m = 0; m < t.queries(); ++m) {
    T* row = tile + m * kKeys<T>;
    for (Index n = 0; n < t.keys(); ++n) row[n] *= s.scale;
    if (s.bias)
      for (Index n = 0; n < t.keys(); ++n) row[n] += *s.bias.at(first_key + n, t.head);
    if (open) continue;
    for (Index n = 0; n < t.keys(); ++n)
      if (!sight.sees(t.sequence, t.q + m, t.k + n)) row[n] = kHidden<T>;
  }
}

/// exp(row − above), zero where hidden.
template <class T>
void exponentials(Row<T> row, T above) {
  row = (row == kHidden<T>).select(T{0}, (row - above).exp());
}

/// One tile of the online softmax of query m. Returns what sums so far are to be multiplied by.
template <class T>
T renew(const Scratch<T>& own, Index m, Index keys) {
  Row<T> row(own.weights + m * kKeys<T>, keys), distance(own.slopes, keys);
  const T before = own.largest[m], largest = std::max(before, row.maxCoeff());
  if (largest == kHidden<T>) {  // nothing seen yet
    row = T{0};
    return 0;
  }
  const T shrink = before == kHidden<T> ? T{0} : std::exp(before - largest);
  distance = (row == kHidden<T>).select(T{0}, row - largest);
  exponentials<T>(row, largest);
  const T fall = before == kHidden<T> ? T{0} : before - largest;
  own.moment[m] = shrink * (own.moment[m] + fall * own.sum[m]) + (row * distance).sum();
  own.sum[m] = shrink * own.sum[m] + row.sum();
  own.largest[m] = largest;
  return shrink;
}

template <class T>
void finish(const Stream<T>& s, const Tile& t, const Scratch<T>& own) {
  for (Index m = 0; m < t.queries(); ++m) {
    const Index row = t.sequence * s.sight.queries + t.q + m;
    const T log_sum = own.largest[m] + std::log(own.sum[m]);
    *s.log_sum.at(row, t.head) = log_sum;
    if (s.entropy) *s.entropy.at(row, t.head) = std::max(T{0}, std::log(own.sum[m]) - own.moment[m] / own.sum[m]);
    if (s.self) *s.self.at(row, t.head) = std::exp(*s.self.at(row, t.head) - log_sum);
    if (s.value_width > 0) Row<T>(s.y.at(row, t.head), s.value_width) /= own.sum[m];
  }
}

template <class T>
void forward_tile(const Stream<T>& s, Tile t, const Scratch<T>& own) {
  const Visibility& sight = s.sight;
  const Index first_query = t.sequence * sight.queries + t.q;
  std::fill_n(own.largest, kQueries, kHidden<T>);
  std::fill_n(own.sum, kQueries, T{0});
  std::fill_n(own.moment, kQueries, T{0});
  const Index end = sight.keys_until(t.q_end);
  for (t.k = 0; t.k < end; t.k += kKeys<T>) {
    t.k_end = std::min(end, t.k + kKeys<T>);
    logits(s, t, own.weights, own.panels);
    for (Index m = 0; m < t.queries(); ++m) {
      const Index position = sight.past + t.q + m;
      if (s.self && position >= t.k && position < t.k_end)
        *s.self.at(first_query + m, t.head) = own.weights[m * kKeys<T> + position - t.k];
      const T shrink = renew(own, m, t.keys());
      if (s.value_width > 0 && t.k > 0) Row<T>(s.y.at(first_query + m, t.head), s.value_width) *= shrink;
    }
    if (s.value_width > 0)
      rows_by_columns<T>(
          t.queries(), s.value_width, t.keys(), [&](Index m) { return own.weights + m * kKeys<T>; }, 1,
          [&](Index n) { return s.v.at(t.sequence * sight.key_rows + t.k + n, t.head); },
          [&](Index m) { return s.y.at(first_query + m, t.head); }, t.k > 0, own.panels);
  }
  finish(s, t, own);
}

/// P and dS of a tile, into weights and slopes.
template <class T>
void slopes(const Stream<T>& s, const StreamGradient<T>& g, const Tile& t, const Scratch<T>& own) {
  const Index first_query = t.sequence * s.sight.queries + t.q, first_key = t.sequence * s.sight.key_rows + t.k;
  logits(s, t, own.weights, own.panels);
  if (s.value_width > 0)
    rows_by_rows<T>(
        t.queries(), t.keys(), s.value_width, [&](Index m) { return g.dy.at(first_query + m, t.head); },
        [&](Index n) { return s.v.at(first_key + n, t.head); }, s.v.stride,
        [&](Index m) { return own.slopes + m * kKeys<T>; }, own.panels);
  for (Index m = 0; m < t.queries(); ++m) {
    Row<T> weights(own.weights + m * kKeys<T>, t.keys()), slope(own.slopes + m * kKeys<T>, t.keys());
    const T delta = *g.delta.at(first_query + m, t.head);
    exponentials<T>(weights, *g.log_sum.at(first_query + m, t.head));
    if (s.value_width > 0)
      slope = weights * (slope - delta);
    else
      slope = weights * -delta;
    if (g.label == nullptr) continue;
    const Index label = g.label[first_query + m];
    if (label >= t.k && label < t.k_end) slope[label - t.k] += delta;
  }
}

template <class T>
void scale_slopes(const Stream<T>& s, const Tile& t, const Scratch<T>& own) {
  for (Index m = 0; m < t.queries(); ++m) Row<T>(own.slopes + m * kKeys<T>, t.keys()) *= s.scale;
}

/// dq of a tile of queries.
template <class T>
void row_pass(const Stream<T>& s, const StreamGradient<T>& g, Tile t, const Scratch<T>& own) {
  const Index first_query = t.sequence * s.sight.queries + t.q, end = s.sight.keys_until(t.q_end);
  for (t.k = 0; t.k < end; t.k += kKeys<T>) {
    t.k_end = std::min(end, t.k + kKeys<T>);
    slopes(s, g, t, own);
    if (g.row_sum)
      for (Index m = 0; m < t.queries(); ++m) {
        T& sum = *g.row_sum.at(first_query + m, t.head);
        sum = (t.k > 0 ? sum : T{0}) + Row<T>(own.slopes + m * kKeys<T>, t.keys()).sum();
      }
    if (!g.dq) continue;
    scale_slopes(s, t, own);
    rows_by_columns<T>(
        t.queries(), s.key_width, t.keys(), [&](Index m) { return own.slopes + m * kKeys<T>; }, 1,
        [&](Index n) { return s.k.at(t.sequence * s.sight.key_rows + t.k + n, t.head); },
        [&](Index m) { return g.dq.at(first_query + m, t.head); }, g.dq.add || t.k > 0, own.panels);
  }
}

/// dk, dv and dbias of a tile of keys.
template <class T>
void column_pass(const Stream<T>& s, const StreamGradient<T>& g, Tile t, const Scratch<T>& own) {
  const Index first_key = t.sequence * s.sight.key_rows + t.k;
  const Index begin = s.sight.first_query(t.k) / kQueries * kQueries;
  for (t.q = begin; t.q < s.sight.queries; t.q += kQueries) {
    t.q_end = std::min(s.sight.queries, t.q + kQueries);
    const Index first_query = t.sequence * s.sight.queries + t.q;
    const bool first = t.q == begin;
    slopes(s, g, t, own);
    if (g.dv)
      rows_by_columns<T>(
          t.keys(), s.value_width, t.queries(), [&](Index n) { return own.weights + n; }, kKeys<T>,
          [&](Index m) { return g.dy.at(first_query + m, t.head); },
          [&](Index n) { return g.dv.at(first_key + n, t.head); }, g.dv.add || !first, own.panels);
    if (g.dbias)
      for (Index n = 0; n < t.keys(); ++n) {
        T sum = 0;
        for (Index m = 0; m < t.queries(); ++m) sum += own.slopes[m * kKeys<T> + n];
        T& target = *g.dbias.at(first_key + n, t.head);
        target = g.dbias.add || !first ? target + sum : sum;
      }
    if (!g.dk) continue;
    scale_slopes(s, t, own);
    rows_by_columns<T>(
        t.keys(), s.key_width, t.queries(), [&](Index n) { return own.slopes + n; }, kKeys<T>,
        [&](Index m) { return s.q.at(first_query + m, t.head); },
        [&](Index n) { return g.dk.at(first_key + n, t.head); }, g.dk.add || !first, own.panels);
  }
}

/// task(tile, scratch) for tiles of `size` queries or keys of every sequence and head.
template <class T, class Task>
void for_each_tile(Cpu<T>& cpu, const Stream<T>& s, Index extent, Index size, const Task& task) {
  const Index tiles = product::ceil_div(extent, size);
  cpu.parallel_tasks(s.sight.count * s.heads * tiles, Scratch<T>::size(), [&](Index number, T* memory) {
    const Index begin = number % tiles * size, rest = number / tiles;
    task(rest / s.heads, rest % s.heads, begin, std::min(extent, begin + size), Scratch<T>(memory));
  });
}

template <class T>
void run_forward(Cpu<T>& cpu, const Stream<T>& s) {
  for_each_tile(cpu, s, s.sight.queries, kQueries,
                [&](Index sequence, Index head, Index begin, Index end, const Scratch<T>& own) {
                  forward_tile(s, {sequence, head, begin, end}, own);
                });
}

/// The row pass comes first: q and k may be the same rows, and then dk is added to dq.
template <class T>
void run_backward(Cpu<T>& cpu, const Stream<T>& s, const StreamGradient<T>& g) {
  if (g.dq || g.row_sum)
    for_each_tile(cpu, s, s.sight.queries, kQueries,
                  [&](Index sequence, Index head, Index begin, Index end, const Scratch<T>& own) {
                    row_pass(s, g, {sequence, head, begin, end}, own);
                  });
  if (g.dk || g.dv || g.dbias)
    for_each_tile(cpu, s, s.sight.keys, kKeys<T>,
                  [&](Index sequence, Index head, Index begin, Index end, const Scratch<T>& own) {
                    column_pass(s, g, {sequence, head, 0, 0, begin, end}, own);
                  });
}

/// ⟨dy_i, y_i⟩ of every row and head.
template <class T>
void inner_products(Cpu<T>& cpu, const Stream<T>& s, const HeadRows<const T>& dy, T* delta) {
  cpu.parallel_for(s.rows(), [&](Index row) {
    for (Index h = 0; h < s.heads; ++h) {
      const T *a = dy.at(row, h), *b = s.y.at(row, h);
      T sum = 0;
      for (Index c = 0; c < s.value_width; ++c) sum += a[c] * b[c];
      delta[row * s.heads + h] = sum;
    }
  });
}

}  // namespace stream

template <class T>
void forward(Cpu<T>& cpu, const Attention<T>& op) {
  stream::run_forward(cpu, op.stream());
}

template <class T>
void backward(Cpu<T>& cpu, const Attention<T>& op) {
  const ArenaScope scope(cpu.arena());
  const Stream<T> s = op.stream();
  T* delta = cpu.template kernel_memory<T>(op.log_sum.size());
  stream::inner_products<T>(cpu, s, {op.y.gradient, op.y.cols(), s.value_width}, delta);
  if (op.log_sum.has_gradient())
    cpu.parallel_for(op.log_sum.size(), [&](Index i) { delta[i] -= op.log_sum.gradient[i]; });
  stream::run_backward(cpu, s, op.gradient(delta));
}

}  // namespace neuroinhib::ops
