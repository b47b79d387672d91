#pragma once

#include <neuroinhib/ops/activation/scalar.hpp>
#include <neuroinhib/ops/gated_experts/cuda_blocks.cuh>
#include <neuroinhib/ops/gemm/cuda_persistent.cuh>

/// What becomes of a tile's sums in the products of gated experts. Each warp has 16 rows of the tile and 4 KB of shared
/// memory of its own: two slabs of 16 × 64 numbers in bf16. Sums go into a slab as the matrix unit leaves them and come
/// out in pieces, eight numbers of a row, as device memory wants them.
namespace neuroinhib::ops::gated {

/// This thread's lane, read anew: what is computed from it takes no registers while products run.
__device__ inline int lane_anew() {
  int lane;
  asm volatile("mov.u32 %0, %%laneid;" : "=r"(lane));
  return lane;
}

/// 16 rows of 64 numbers in bf16, 128 bytes each, whose pieces of 16 bytes change places with the row's number so that
/// neither fragments nor rows meet in one bank.
struct Slab {
  static constexpr int kRows = 16, kColumns = 64, kBytes = kRows * kColumns * 2;
  unsigned char* memory;

  /// The eight numbers of a row from 8 · piece on.
  __device__ __nv_bfloat16* at(int row, int piece) const {
    return reinterpret_cast<__nv_bfloat16*>(memory + row * 128 + ((piece ^ row % 8) << 4));
  }
  /// Rounds 64 of the tile's columns, from `begin` on, as far as it has that many.
  template <int Count>
  __device__ __forceinline__ void fill(const float (&sums)[Count], int begin, int lane) const {
#pragma unroll
    for (int piece = 0; piece < 8; piece += 2) {
      const int from = begin / 2 + 4 * piece;
      if (from >= Count) continue;
      EightHalves pairs;
#pragma unroll
      for (int i = 0; i < 4; ++i) pairs.set(i, sums[from + 2 * i], sums[from + 2 * i + 1]);
      tiles::store_matrices(at(lane % 16, piece + lane / 16), pairs.pairs);
    }
  }
};

/// The pieces of a slab that a lane takes: of rows lane / 8 + 4 i, i < 4, the same columns.
struct OwnPieces {
  static constexpr int kCount = 4;
  int row, piece;

  __device__ explicit OwnPieces(int lane) : row(lane / 8), piece(lane % 8) {}
  __device__ EightHalves of(const Slab& slab, int i) const { return EightHalves::read(slab.at(row + 4 * i, piece)); }
};

/// A matrix in bf16.
struct HalfRows {
  __nv_bfloat16* data;
  int width;
};
/// Where a lane's pieces of a warp's 16 rows of a tile lie, in any matrix of one width.
struct TilePieces {
  Index first;                ///< the number that the first piece of the first slab begins with
  int stride, rows, columns;  ///< numbers between its rows; how many of rows and of the tile's columns begin there

  __device__ TilePieces(const gemm::ExpertTile& t, int row, int tile_columns, int width, const OwnPieces& own)
      : stride(4 * width), rows(t.row_end - row - own.row) {
    const int column = t.column_tile * tile_columns + 8 * own.piece;
    first = static_cast<Index>(row + own.row) * width + column;
    columns = min(width, (t.column_tile + 1) * tile_columns) - column;
  }
  /// Whether there is the piece i of the slab that begins at column `begin` of the tile.
  __device__ bool has(int i, int begin) const { return 4 * i < rows && begin < columns; }
  __device__ __nv_bfloat16* of(const HalfRows& m, int i, int begin) const {
    return m.data + first + (i * stride + begin);
  }
};

/// f and f′, with the device's fast exponential where that is all they need.
template <Activation kKind>
struct GateFunction {
  float value, slope;

  __device__ explicit GateFunction(float x) {
    if constexpr (kKind == Activation::silu) {
      const float s = __fdividef(1.f, 1.f + __expf(-x));
      value = x * s;
      slope = s * (1.f + x * (1.f - s));
    } else {
      value = activation_of(kKind, x);
      slope = slope_from_input(kKind, x);
    }
  }
};

/// An epilogue that reads nothing but sums.
struct ReadsSums {
  template <int Columns>
  __device__ void prepare(const gemm::ExpertTile& /*t*/, int /*row*/) const {}
};

/// h = f(gate) ⊙ up, of sums whose first half are gate's columns and whose second half the same of up's, both rounded.
/// Keeps gate and up too, where a backward pass will want them.
template <Activation kKind>
struct GateAndUp : ReadsSums {
  HalfRows gate, up, hidden;  ///< gate.data null: not kept

  __device__ __forceinline__ void take(const float (&sums)[128], const gemm::ExpertTile& t, int row,
                                       unsigned char* scratch) const {
    constexpr int kColumns = 128;
    const Slab gates{scratch}, ups{scratch + Slab::kBytes};
    const int lane = lane_anew();
    const OwnPieces own(lane);
    const TilePieces tile(t, row, kColumns, hidden.width, own);
#pragma unroll
    for (int begin = 0; begin < kColumns; begin += Slab::kColumns) {
      gates.fill(sums, begin, lane);
      ups.fill(sums, kColumns + begin, lane);
      __syncwarp();
#pragma unroll
      for (int i = 0; i < OwnPieces::kCount; ++i) {
        if (!tile.has(i, begin)) continue;
        const EightHalves z = own.of(gates, i), v = own.of(ups, i);
        product(z, v).write(tile.of(hidden, i, begin));
        if (gate.data == nullptr) continue;
        z.write(tile.of(gate, i, begin));
        v.write(tile.of(up, i, begin));
      }
      __syncwarp();
    }
  }

 private:
  __device__ static EightHalves product(const EightHalves& z, const EightHalves& v) {
    EightHalves h;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float2 a = z.pair(i), b = v.pair(i);
      h.set(i, GateFunction<kKind>(a.x).value * b.x, GateFunction<kKind>(a.y).value * b.y);
    }
    return h;
  }
};

/// The sums themselves, in bf16.
struct StoreHalves : ReadsSums {
  HalfRows target;

  template <int Count>
  __device__ __forceinline__ void take(const float (&sums)[Count], const gemm::ExpertTile& t, int row,
                                       unsigned char* scratch) const {
    constexpr int kColumns = 2 * Count;
    const int lane = lane_anew();
    const OwnPieces own(lane);
    const TilePieces tile(t, row, kColumns, target.width, own);
#pragma unroll
    for (int begin = 0; begin < kColumns; begin += Slab::kColumns) {
      const Slab slab{scratch + begin / Slab::kColumns % 2 * Slab::kBytes};
      slab.fill(sums, begin, lane);
      __syncwarp();
#pragma unroll
      for (int i = 0; i < OwnPieces::kCount; ++i)
        if (tile.has(i, begin)) own.of(slab, i).write(tile.of(target, i, begin));
    }
    __syncwarp();
  }
};

/// Through f(gate) ⊙ up: from sums = dy W_down without the slots' factors s, rounded, gate and up become their own
/// gradients, and s · h is stored for the gradient of W_down. A row's ⟨sums, h⟩, its part of ds, goes to partial
/// [column tiles, rows].
template <Activation kKind>
struct ThroughGate {
  HalfRows gate, up, scaled;
  float* partial;
  const int* slot;
  const float* gates;
  Index rows;

  /// Asks for this warp's part of gate and up, so that it lies in the cache when the product ends.
  template <int Columns>
  __device__ void prepare(const gemm::ExpertTile& t, int row) const {
    constexpr int kLines = (Columns + Slab::kColumns - 1) / Slab::kColumns;  // of 128 bytes
    for (int i = lane_anew(); i < 16 * kLines; i += 32) {
      const int r = row + i / kLines, column = t.column_tile * Columns + i % kLines * Slab::kColumns;
      if (r >= t.row_end || column >= gate.width) continue;
      asm volatile("prefetch.global.L2 [%0];" ::"l"(gate.data + static_cast<Index>(r) * gate.width + column));
      asm volatile("prefetch.global.L2 [%0];" ::"l"(up.data + static_cast<Index>(r) * up.width + column));
    }
  }
  template <int Count>
  __device__ __forceinline__ void take(const float (&sums)[Count], const gemm::ExpertTile& t, int row,
                                       unsigned char* scratch) const {
    constexpr int kColumns = 2 * Count;
    const int lane = lane_anew();
    const OwnPieces own(lane);
    Rows r;
#pragma unroll
    for (int i = 0; i < OwnPieces::kCount; ++i) {
      const int at = row + own.row + 4 * i, from = at < t.row_end ? slot[at] : -1;
      r.factor[i] = from >= 0 ? gates[from] : 0.f;
    }
#pragma unroll
    for (int begin = 0; begin < kColumns; begin += Slab::kColumns) {
      const Slab slab{scratch + begin / Slab::kColumns % 2 * Slab::kBytes};
      slab.fill(sums, begin, lane);
      __syncwarp();
      columns<kColumns>(slab, r, t, row, begin);
    }
    __syncwarp();
#pragma unroll
    for (int i = 0; i < OwnPieces::kCount; ++i) {
#pragma unroll
      for (int step = 1; step < 8; step *= 2) r.inner[i] += __shfl_xor_sync(0xffffffffu, r.inner[i], step);
      const int at = row + own.row + 4 * i;
      if (own.piece == 0 && at < t.row_end) partial[t.column_tile * rows + at] = r.inner[i];
    }
  }

 private:
  /// Of a lane's rows: s, and ⟨sums, h⟩ so far.
  struct Rows {
    float factor[OwnPieces::kCount], inner[OwnPieces::kCount] = {};
  };
  /// A lane's pieces of gate and up.
  struct Read {
    EightHalves z[OwnPieces::kCount], v[OwnPieces::kCount];

    __device__ __forceinline__ Read(const ThroughGate& e, const TilePieces& tile, int begin) {
#pragma unroll
      for (int i = 0; i < OwnPieces::kCount; ++i) {
        if (!tile.has(i, begin)) continue;
        z[i] = EightHalves::read(tile.of(e.gate, i, begin));
        v[i] = EightHalves::read(tile.of(e.up, i, begin));
      }
    }
  };
  /// A slab's 64 columns of the tile's, from `begin` on.
  template <int Columns>
  __device__ __forceinline__ void columns(const Slab& slab, Rows& r, const gemm::ExpertTile& t, int row,
                                          int begin) const {
    const OwnPieces own(lane_anew());
    const TilePieces tile(t, row, Columns, gate.width, own);
    const Read read(*this, tile, begin);
#pragma unroll
    for (int i = 0; i < OwnPieces::kCount; ++i) {
      if (!tile.has(i, begin)) continue;
      const EightHalves d8 = own.of(slab, i);
      EightHalves dgate, dup, h;
      const float s = r.factor[i];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float2 d = d8.pair(j), z = read.z[i].pair(j), v = read.v[i].pair(j);
        const GateFunction<kKind> f0(z.x), f1(z.y);
        const float h0 = f0.value * v.x, h1 = f1.value * v.y, d0 = s * d.x, d1 = s * d.y;
        r.inner[i] += d.x * h0 + d.y * h1;
        h.set(j, s * h0, s * h1);
        dgate.set(j, d0 * v.x * f0.slope, d1 * v.y * f1.slope);
        dup.set(j, d0 * f0.value, d1 * f1.value);
      }
      dgate.write(tile.of(gate, i, begin));
      dup.write(tile.of(up, i, begin));
      h.write(tile.of(scaled, i, begin));
    }
  }
};

/// The gradient of a weight, in float: target [groups, rows, columns], or [groups, columns, rows] where it is
/// transposed. A thread's fragment has rows r and r + 8, r = lane / 4; neighbours in r exchange numbers so that each
/// store of a warp fills 64 bytes a line.
template <bool Transposed>
struct StoreGradient : ReadsSums {
  GradientSlot<float> target;
  int rows, columns;

  template <int Count>
  __device__ __forceinline__ void take(const float (&sums)[Count], const gemm::ExpertTile& t, int row,
                                       unsigned char* /*scratch*/) const {
    const int lane = lane_anew(), r = lane / 4;
    const bool odd = r % 2 == 1;
    float* const matrix = target.data + static_cast<Index>(t.group) * rows * columns;
    const int column = t.column_tile * 2 * Count + lane % 4 * 2;
    if constexpr (Transposed) {
      const int own = row + (odd ? r + 7 : r);
#pragma unroll
      for (int j = 0; j < Count / 2; ++j) {
        const int at = j / 2 * 4 + j % 2, line = column + j / 2 * 8 + j % 2;
        const float2 pair = exchanged(sums[at], sums[at + 2], odd);
        if (own < rows && line < columns) store(matrix + static_cast<Index>(line) * rows + own, pair);
      }
    } else {
#pragma unroll
      for (int j = 0; j < Count / 4; ++j) {
        const int at = j / 2 * 8 + j % 2 * 2, from = column + j / 2 * 16 + (odd ? 8 : 0);
        const float2 first = exchanged(sums[at], sums[at + 4], odd),
                     second = exchanged(sums[at + 1], sums[at + 5], odd);
        const int line = row + r / 2 * 2 + j % 2 * 8;
        if (from >= columns) continue;
        float* const place = matrix + static_cast<Index>(line) * columns + from;
        if (line < rows) store(place, {first.x, second.x});
        if (line + 1 < rows) store(place + columns, {first.y, second.y});
      }
    }
  }

 private:
  /// Of two numbers a and b each: lanes of even r get their a and the next r's a, those of odd r the last r's b and
  /// their b.
  __device__ static float2 exchanged(float a, float b, bool odd) {
    const float other = __shfl_xor_sync(0xffffffffu, odd ? a : b, 4);
    return odd ? float2{other, b} : float2{a, other};
  }
  __device__ void store(float* place, float2 pair) const {
    float2* const both = reinterpret_cast<float2*>(place);
    __stcs(both, target.add ? float2{both->x + pair.x, both->y + pair.y} : pair);
  }
};

}  // namespace neuroinhib::ops::gated
