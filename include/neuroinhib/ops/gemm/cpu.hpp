#pragma once

#include <algorithm>
#include <cstring>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/backend/simd.hpp>

/// The tiled matrix product that linear, grouped linear and convolution share: c(m, n) (+)= Σ_k a(m, k) b(k, n).
/// Rows of a and c are given as pointers, so that gathers and sliding windows need no copy; b is packed, one panel of
/// kWidth columns at a time. The order of the sum over k depends on K alone: results do not change with threads.
namespace neuroinhib::ops::gemm::inline NEUROINHIB_TARGET {

/// Rows of c computed at once, columns of a panel, panels of a task at the most, and the depth after which a longer sum
/// is cut, so that a task's packed panels stay in the second-level cache.
inline constexpr Index kRows = simd::kRegisters == 32 ? 12 : 6;
template <class T>
inline constexpr Index kWidth = 2 * simd::Vector<T>::kLanes;
template <class T>
inline constexpr Index kDepth = 512 / static_cast<Index>(sizeof(T) / 4);
inline constexpr Index kTaskPanels = 4;

[[nodiscard]] constexpr Index ceil_div(Index a, Index b) {
  return (a + b - 1) / b;
}

/// How the kernel walks one row of a: `segments` runs of `length` elements, `step` apart, runs `jump` apart.
struct Walk {
  Index length;
  Index step = 1;
  Index segments = 1;
  Index jump = 0;

  [[nodiscard]] Index depth() const { return length * segments; }
};

/// kR × kWidth of c from as many row pointers of a and one packed panel of b. A function of its own: products differ in
/// how they find rows, not in this.
template <int kR, class T>
[[gnu::noinline]] void tile(const T* const* rows, const Walk& walk, const T* panel, T* const* out, Index columns,
                            bool add) {
  using Vec = simd::Vector<T>;
  constexpr int kL = Vec::kLanes;

  typename Vec::Value sum[kR][2] = {};
  const T* a[kR];
  for (Index segment = 0; segment < walk.segments; ++segment) {
    for (int m = 0; m < kR; ++m) a[m] = rows[m] + segment * walk.jump;
    const Index end = walk.length * walk.step;
    for (Index k = 0; k < end; k += walk.step) {
      const auto b0 = Vec::load(panel), b1 = Vec::load(panel + kL);
      panel += 2 * kL;
#pragma GCC unroll 16
      for (int m = 0; m < kR; ++m) {
        const T value = a[m][k];
        sum[m][0] += value * b0;
        sum[m][1] += value * b1;
      }
    }
  }
  if (columns == kWidth<T>) {
    for (int m = 0; m < kR; ++m) {
      Vec::store(add ? Vec::load(out[m]) + sum[m][0] : sum[m][0], out[m]);
      Vec::store(add ? Vec::load(out[m] + kL) + sum[m][1] : sum[m][1], out[m] + kL);
    }
    return;
  }
  for (int m = 0; m < kR; ++m) {
    T values[2 * kL];
    std::memcpy(values, sum[m], sizeof values);
    for (Index n = 0; n < columns; ++n) out[m][n] = add ? out[m][n] + values[n] : values[n];
  }
}

/// The smallest tile for that many rows, of a third, two thirds or all of kRows.
template <class T>
[[nodiscard]] auto tile_of(Index rows) {
  constexpr int kThird = static_cast<int>(kRows) / 3;
  return rows > 2 * kThird ? &tile<3 * kThird, T> : rows > kThird ? &tile<2 * kThird, T> : &tile<kThird, T>;
}

/// All `count` rows against `columns` columns of b, packed panel by panel. row(m) points at the first element of row m
/// of a, out(m) at the first of those columns in row m of c.
template <class T, class Row, class Out>
void rows_times_panels(Index count, const Row& row, const Walk& walk, const T* packed, const Out& out, Index columns,
                       bool add) {
  alignas(64) T unused[static_cast<std::size_t>(kWidth<T>)] = {};
  const T* a[static_cast<std::size_t>(kRows)];
  T* c[static_cast<std::size_t>(kRows)];
  for (Index first = 0; first < count; first += kRows) {
    const Index inside = std::min(kRows, count - first);
    const auto tile = tile_of<T>(inside);
    for (Index m = 0; m < kRows; ++m) a[m] = row(std::min(first + m, count - 1));
    const T* panel = packed;
    for (Index n = 0; n < columns; n += kWidth<T>, panel += walk.depth() * kWidth<T>) {
      for (Index m = 0; m < kRows; ++m) c[m] = m < inside ? out(first + m) + n : unused;
      tile(a, walk, panel, c, std::min(kWidth<T>, columns - n), add);
    }
  }
}

/// Packs b(k, n) = source(k)[n], rows of b contiguous: `depth` rows of kWidth, zeros beyond `columns`.
template <class T, class Source>
void pack_rows(Index depth, Index columns, const Source& source, T* panel) {
  for (Index k = 0; k < depth; ++k, panel += kWidth<T>) {
    const T* from = source(k);
    if (columns == kWidth<T>) {
      for (Index n = 0; n < kWidth<T>; ++n) panel[n] = from[n];
    } else {
      std::copy_n(from, columns, panel);
      std::fill(panel + columns, panel + kWidth<T>, T{0});
    }
  }
}

/// Packs b(k, n) = source[n·stride + k], columns of b contiguous: the transpose of pack_rows.
template <class T>
void pack_columns(Index depth, Index columns, const T* source, Index stride, T* panel) {
  constexpr Index kBlock = 16;
  for (Index k0 = 0; k0 < depth; k0 += kBlock) {
    const Index k1 = std::min(depth, k0 + kBlock);
    for (Index n = 0; n < kWidth<T>; ++n)
      for (Index k = k0; k < k1; ++k) panel[k * kWidth<T> + n] = n < columns ? source[n * stride + k] : T{0};
  }
}

/// Elements of scratch that columns_of needs for a sum of that depth.
template <class T>
[[nodiscard]] constexpr Index scratch_size(Index depth) {
  return std::min(depth, kDepth<T>) * kWidth<T> * kTaskPanels;
}

/// One task's share of a product: columns [begin, end) of c, at most kTaskPanels panels, all rows, all of K cut at
/// kDepth. pack(k0, k1, n, columns, panel) packs b's rows [k0, k1) of columns [n, n + columns).
/// An empty sum (K = 0) is zero.
template <class T, class Row, class Pack, class Out>
void columns_of(Index begin, Index end, Index rows, Index depth, Index step, const Row& row, const Pack& pack,
                const Out& out, bool add, T* scratch) {
  if (depth == 0 && !add) {
    for (Index m = 0; m < rows; ++m) std::fill(out(m) + begin, out(m) + end, T{0});
  }
  for (Index k0 = 0; k0 < depth; k0 += kDepth<T>) {
    const Index k1 = std::min(depth, k0 + kDepth<T>);
    T* panel = scratch;
    for (Index n = begin; n < end; n += kWidth<T>, panel += (k1 - k0) * kWidth<T>)
      pack(k0, k1, n, std::min(kWidth<T>, end - n), panel);
    rows_times_panels<T>(
        rows, [&](Index m) { return row(m) + k0 * step; }, Walk{k1 - k0, step}, scratch,
        [&](Index m) { return out(m) + begin; }, end - begin, add || k0 > 0);
  }
}

/// Columns of one task, so that `groups` products of so many columns keep all threads busy.
template <class T>
[[nodiscard]] Index task_columns(const Cpu<T>& cpu, Index columns, Index groups = 1) {
  const Index panels = ceil_div(columns, kWidth<T>);
  return std::clamp<Index>(panels * groups / cpu.threads(), 1, kTaskPanels) * kWidth<T>;
}

/// The whole product, in tasks of some columns each.
template <class T, class Row, class Pack, class Out>
void multiply(Cpu<T>& cpu, Index rows, Index columns, Index depth, Index step, const Row& row, const Pack& pack,
              const Out& out, bool add) {
  const Index width = task_columns(cpu, columns);
  cpu.parallel_tasks(ceil_div(columns, width), cost::multiply_adds(rows * depth * width), scratch_size<T>(depth),
                     [&](Index task, T* scratch) {
                       const Index n = task * width;
                       columns_of<T>(n, std::min(columns, n + width), rows, depth, step, row, pack, out, add, scratch);
                     });
}

}  // namespace neuroinhib::ops::gemm::inline NEUROINHIB_TARGET
