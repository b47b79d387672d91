#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <utility>

#include <neuroinhib/backend/bf16_weights.hpp>
#include <neuroinhib/backend/simd.hpp>
#include <neuroinhib/core/tensor.hpp>

/// Products of few rows with weights in bf16 (Bf16Panels), whose time is that of reading the weights: they come through
/// once, and a tile has as many rows as there are. c(m, n) (+)= Σ_k a(m, k) b(k, n), in float, k rising: an element's
/// bits depend on its row of a and its column of b alone, not on threads or on other rows.
namespace neuroinhib::ops::gemm::inline NEUROINHIB_TARGET {

/// Panels of a tile, its columns, and the pairs after which a longer sum is cut, so that the panels stay in the
/// second-level cache for the rows to come: 128 KiB.
inline constexpr int kBf16Panels = 4;
inline constexpr Index kBf16Columns = kBf16Panels * Bf16Panels::kColumns, kBf16Pairs = 512;

/// The most rows that are computed at once, on any unit.
inline constexpr int kBf16Rows = 6;

/// Some rows and `columns` columns of a product, over `pairs` of its depth.
struct Bf16Tile {
  std::array<const std::uint32_t*, kBf16Rows> a;        ///< rows' bf16_pairs
  std::array<const std::uint32_t*, kBf16Panels> panel;  ///< those beyond `columns` repeat the last
  std::array<float*, kBf16Rows> c;
  Index pairs, columns;
  bool add;
};

#if defined(__x86_64__)
#define NEUROINHIB_AVX512_BF16 gnu::target("avx512f,avx512bf16")

/// Registers of AVX-512, whatever the program is compiled for.
typedef float Floats512 __attribute__((vector_size(64)));         // NOLINT(modernize-use-using)
typedef std::uint32_t Pairs512 __attribute__((vector_size(64)));  // NOLINT(modernize-use-using)

template <class Register, class Element>
[[NEUROINHIB_AVX512_BF16, gnu::always_inline]] inline Register load_512(const Element* from, std::size_t bytes) {
  Register value{};
  std::memcpy(&value, from, bytes);
  return value;
}
/// sum + the products of the two numbers in each lane. By hand: <immintrin.h>, which has it too, takes a third of a
/// second to compile.
[[NEUROINHIB_AVX512_BF16, gnu::always_inline]] inline Floats512 plus_products(Floats512 sum, Pairs512 a, Pairs512 b) {
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  return sum;
}

template <std::size_t kRows>
[[NEUROINHIB_AVX512_BF16]] void avx512_bf16_tile(const Bf16Tile& tile) {
  std::size_t bytes[kBf16Panels];  // of the columns of each panel that exist
  for (int n = 0; n < kBf16Panels; ++n)
    bytes[n] = sizeof(float) * static_cast<std::size_t>(
                                   std::clamp<Index>(tile.columns - n * Bf16Panels::kColumns, 0, Bf16Panels::kColumns));
  Floats512 sum[kRows][kBf16Panels] = {};
  for (std::size_t m = 0; m < kRows && tile.add; ++m)
    for (int n = 0; n < kBf16Panels; ++n)
      sum[m][n] = load_512<Floats512>(tile.c[m] + n * Bf16Panels::kColumns, bytes[n]);
  const auto a = tile.a;
  const auto panel = tile.panel;
  for (Index k = 0; k < tile.pairs; ++k) {
    Pairs512 b[kBf16Panels];
    for (std::size_t n = 0; n < kBf16Panels; ++n)
      b[n] = load_512<Pairs512>(panel[n] + k * Bf16Panels::kColumns, sizeof(Pairs512));
#pragma GCC unroll 8
    for (std::size_t m = 0; m < kRows; ++m) {
      const Pairs512 row = Pairs512{} + a[m][k];
#pragma GCC unroll 8
      for (int n = 0; n < kBf16Panels; ++n) sum[m][n] = plus_products(sum[m][n], row, b[n]);
    }
  }
  for (std::size_t m = 0; m < kRows; ++m)
    for (int n = 0; n < kBf16Panels; ++n) {
      const Floats512 value = sum[m][n];
      std::memcpy(tile.c[m] + n * Bf16Panels::kColumns, &value, bytes[n]);
    }
}

#undef NEUROINHIB_AVX512_BF16
#endif

/// A register of bf16_pairs as two registers of floats: the lower halves, and the upper ones.
struct Widened {
  using Pairs = simd::Vector<std::uint32_t>::Value;
  simd::Vector<float>::Value first, second;

  explicit Widened(const Pairs& pairs)
      : first(std::bit_cast<decltype(first)>(pairs << 16)),
        second(std::bit_cast<decltype(second)>(pairs & 0xffff0000U)) {}
};

/// As many columns as four registers have, from `panel` on.
template <std::size_t kRows>
void widened_registers(const Bf16Tile& tile, std::size_t panel) {
  using Vec = simd::Vector<float>;
  constexpr Index kLanes = Vec::kLanes, kInPanel = Bf16Panels::kColumns / kLanes;
  const Index first = static_cast<Index>(panel) * Bf16Panels::kColumns;
  const auto lanes = [&](Index n) {
    return static_cast<int>(std::clamp<Index>(tile.columns - first - n * kLanes, 0, kLanes));
  };
  Vec::Value sum[kRows][4] = {};
  for (std::size_t m = 0; m < kRows && tile.add; ++m)
    for (Index n = 0; n < 4; ++n) sum[m][n] = Vec::load(tile.c[m] + first + n * kLanes, lanes(n));
  const std::uint32_t *a[kRows], *b[4];
  for (std::size_t m = 0; m < kRows; ++m) a[m] = tile.a[m];
  for (Index n = 0; n < 4; ++n)
    b[n] = tile.panel[panel + static_cast<std::size_t>(n / kInPanel)] + n % kInPanel * kLanes;
  for (Index k = 0; k < tile.pairs; ++k)
#pragma GCC unroll 4
    for (Index n = 0; n < 4; ++n) {
      const Widened weight(simd::Vector<std::uint32_t>::load(b[n] + k * Bf16Panels::kColumns));
#pragma GCC unroll 8
      for (std::size_t m = 0; m < kRows; ++m) {
        const Widened row(Widened::Pairs{} + a[m][k]);
        sum[m][n] += row.first * weight.first;
        sum[m][n] += row.second * weight.second;
      }
    }
  for (std::size_t m = 0; m < kRows; ++m)
    for (Index n = 0; n < 4; ++n) Vec::store(sum[m][n], tile.c[m] + first + n * kLanes, lanes(n));
}

template <std::size_t kRows>
void widened_tile(const Bf16Tile& tile) {
  constexpr std::size_t kTogether = 4 * simd::Vector<float>::kLanes / Bf16Panels::kColumns;
  for (std::size_t panel = 0; panel < kBf16Panels; panel += kTogether) widened_registers<kRows>(tile, panel);
}

/// A unit's tiles of 1, 2, … rows.
using Bf16Kernels = std::array<void (*)(const Bf16Tile&), kBf16Rows>;

[[nodiscard]] inline Bf16Kernels bf16_kernels([[maybe_unused]] Bf16Unit unit) {
  return [&]<std::size_t... kBefore>(std::index_sequence<kBefore...>) {
#if defined(__x86_64__)
    if (unit == Bf16Unit::avx512_bf16) return Bf16Kernels{&avx512_bf16_tile<kBefore + 1>...};
#endif
    return Bf16Kernels{&widened_tile<kBefore + 1>...};
  }(std::make_index_sequence<kBf16Rows>{});
}

/// One task's share of a product: at most kBf16Columns columns of c from panel `first` on, all rows. a(m) points at row
/// m's pairs, c(m) at the first element of its row.
template <class RowOfA, class RowOfC>
void bf16_columns(Bf16Unit unit, const Bf16Panels& b, Index expert, Index first, Index rows, const RowOfA& a,
                  const RowOfC& c, bool add) {
  const Bf16Kernels kernels = bf16_kernels(unit);
  Bf16Tile tile{};
  tile.columns = std::min(kBf16Columns, b.out - first * Bf16Panels::kColumns);
  for (Index k = 0; k < b.pairs(); k += kBf16Pairs) {
    tile.pairs = std::min(kBf16Pairs, b.pairs() - k);
    tile.add = add || k > 0;
    for (std::size_t n = 0; n < kBf16Panels; ++n)
      tile.panel[n] = b.panel(expert, std::min(first + static_cast<Index>(n), b.panels() - 1)) + k * b.kColumns;
    for (Index row = 0; row < rows; row += kBf16Rows) {
      const auto together = static_cast<std::size_t>(std::min<Index>(kBf16Rows, rows - row));
      for (std::size_t m = 0; m < together; ++m) {
        tile.a[m] = a(row + static_cast<Index>(m)) + k;
        tile.c[m] = c(row + static_cast<Index>(m)) + first * b.kColumns;
      }
      kernels[together - 1](tile);
    }
  }
}

}  // namespace neuroinhib::ops::gemm::inline NEUROINHIB_TARGET
