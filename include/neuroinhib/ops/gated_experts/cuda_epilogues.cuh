#pragma once

#include <neuroinhib/ops/activation/scalar.hpp>
#include <neuroinhib/ops/gemm/cuda_persistent.cuh>

/// What becomes of a tile's sums in the products of gated experts. Each warp has 16 rows of the tile and 4 KB of shared
/// memory of its own: two slabs of 16 × 64 numbers in bf16, through which numbers travel to and from device memory in
/// whole rows.
namespace neuroinhib::ops::gated {

/// 16 rows of 64 numbers in bf16, 128 bytes each, whose pieces of 16 bytes change places with the row's number so that
/// neither fragments nor rows meet in one bank.
struct Slab {
  static constexpr int kRows = 16, kColumns = 64, kBytes = kRows * kColumns * 2;
  unsigned char* memory;

  /// The pair of a thread's fragment: columns 8 · piece + 2 · (lane % 4) of row lane / 4 + 8 · half.
  __device__ __nv_bfloat162& pair(int piece, int half) const {
    const int lane = static_cast<int>(threadIdx.x) % 32, row = lane / 4;
    return *reinterpret_cast<__nv_bfloat162*>(memory + half * 1024 + row * 128 + ((piece ^ row) << 4) + lane % 4 * 4);
  }
  /// visit(piece in the slab, row, column) for the four pieces of this thread.
  template <class Visit>
  __device__ void each_piece(const Visit& visit) const {
    const int lane = static_cast<int>(threadIdx.x) % 32, piece = lane % 8;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 8 + 4 * i;
      visit(*reinterpret_cast<uint4*>(memory + row * 128 + ((piece ^ row % 8) << 4)), row, 8 * piece);
    }
  }
};

/// The part of a matrix in bf16 that a warp's tile covers: 16 rows from `row` on to row_end, columns to `end`.
struct HalfRows {
  __nv_bfloat16* data;
  int width;
};
struct HalfTile {
  __nv_bfloat16* data;  ///< of the first row
  int width, rows, end;

  __device__ HalfTile(const HalfRows& m, const gemm::ExpertTile& t, int row, int columns)
      : data(m.data + static_cast<Index>(row) * m.width),
        width(m.width),
        rows(t.row_end - row),
        end(min(m.width, (t.column_tile + 1) * columns)) {}

  __device__ uint4& piece(int row, int column) const {
    return *reinterpret_cast<uint4*>(data + static_cast<Index>(row) * width + column);
  }
  __device__ void store(const Slab& slab, int column) const {
    slab.each_piece([&](const uint4& numbers, int r, int c) {
      if (r < rows && column + c < end) piece(r, column + c) = numbers;
    });
  }
  __device__ void read(const Slab& slab, int column) const {
    slab.each_piece(
        [&](uint4& numbers, int r, int c) { numbers = r < rows && column + c < end ? piece(r, column + c) : uint4{}; });
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

/// h = f(gate) ⊙ up, of sums whose first half are gate's columns and whose second half the same of up's. Keeps gate and
/// up too, where a backward pass will want them.
template <Activation kKind>
struct GateAndUp {
  HalfRows gate, up, hidden;  ///< gate.data null: not kept

  __device__ __forceinline__ void take(const float (&sums)[128], const gemm::ExpertTile& t, int row,
                                       unsigned char* scratch) const {
    constexpr int kColumns = 128;
    const Slab first{scratch}, second{scratch + Slab::kBytes};
#pragma unroll
    for (int begin = 0; begin < kColumns; begin += Slab::kColumns) {
      const int column = t.column_tile * kColumns + begin;
      __nv_bfloat162 products[16];
#pragma unroll
      for (int i = 0; i < 16; ++i) {
        const int at = begin / 2 + 2 * i;
        const float g0 = sums[at], g1 = sums[at + 1], u0 = sums[64 + at], u1 = sums[64 + at + 1];
        products[i] = __floats2bfloat162_rn(GateFunction<kKind>(g0).value * u0, GateFunction<kKind>(g1).value * u1);
        if (gate.data == nullptr) continue;
        first.pair(i / 2, i % 2) = __floats2bfloat162_rn(g0, g1);
        second.pair(i / 2, i % 2) = __floats2bfloat162_rn(u0, u1);
      }
      if (gate.data != nullptr) {
        __syncwarp();
        HalfTile(gate, t, row, kColumns).store(first, column);
        HalfTile(up, t, row, kColumns).store(second, column);
        __syncwarp();
      }
#pragma unroll
      for (int i = 0; i < 16; ++i) first.pair(i / 2, i % 2) = products[i];
      __syncwarp();
      HalfTile(hidden, t, row, kColumns).store(first, column);
      __syncwarp();
    }
  }
};

/// The sums themselves, in bf16.
struct StoreHalves {
  HalfRows target;

  template <int Count>
  __device__ __forceinline__ void take(const float (&sums)[Count], const gemm::ExpertTile& t, int row,
                                       unsigned char* scratch) const {
    constexpr int kColumns = 2 * Count;
    const HalfTile tile(target, t, row, kColumns);
#pragma unroll
    for (int begin = 0; begin < kColumns; begin += Slab::kColumns) {
      const Slab slab{scratch + begin / Slab::kColumns % 2 * Slab::kBytes};
#pragma unroll
      for (int i = 0; i < 16; ++i)
        if (const int at = begin / 2 + 2 * i; at < Count)
          slab.pair(i / 2, i % 2) = __floats2bfloat162_rn(sums[at], sums[at + 1]);
      __syncwarp();
      tile.store(slab, t.column_tile * kColumns + begin);
    }
    __syncwarp();
  }
};

/// Through f(gate) ⊙ up: from sums = dy W_down without the slots' factors s, gate and up become their own gradients,
/// and s · h is stored for the gradient of W_down. A row's ⟨sums, h⟩, its part of ds, goes to partial [column tiles,
/// rows].
template <Activation kKind>
struct ThroughGate {
  HalfRows gate, up, scaled;
  float* partial;
  const int* slot;
  const float* gates;
  Index rows;

  template <int Count>
  __device__ __forceinline__ void take(const float (&sums)[Count], const gemm::ExpertTile& t, int row,
                                       unsigned char* scratch) const {
    constexpr int kColumns = 2 * Count;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    float factor[2], inner[2] = {0, 0};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int own = row + lane / 4 + 8 * half, from = own < t.row_end ? slot[own] : -1;
      factor[half] = from >= 0 ? gates[from] : 0.f;
    }
#pragma unroll
    for (int begin = 0; begin < kColumns; begin += Slab::kColumns)
      columns<kColumns>(sums, begin, factor, inner, t, row, scratch);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      inner[half] += __shfl_xor_sync(0xffffffffu, inner[half], 1);
      inner[half] += __shfl_xor_sync(0xffffffffu, inner[half], 2);
      const int own = row + lane / 4 + 8 * half;
      if (lane % 4 == 0 && own < t.row_end) partial[t.column_tile * rows + own] = inner[half];
    }
  }

 private:
  /// 64 of the tile's columns.
  template <int Columns, int Count>
  __device__ __forceinline__ void columns(const float (&sums)[Count], int begin, const float (&factor)[2],
                                          float (&inner)[2], const gemm::ExpertTile& t, int row,
                                          unsigned char* scratch) const {
    const Slab first{scratch}, second{scratch + Slab::kBytes};
    const int column = t.column_tile * Columns + begin;
    const HalfTile gates_tile(gate, t, row, Columns), ups_tile(up, t, row, Columns);
    gates_tile.read(first, column);
    ups_tile.read(second, column);
    __syncwarp();
    __nv_bfloat162 hidden[16];
#pragma unroll
    for (int i = 0; i < 16; ++i) {
      const int at = begin / 2 + 2 * i, half = i % 2;
      if (at >= Count) continue;
      const float2 z = __bfloat1622float2(first.pair(i / 2, half)), v = __bfloat1622float2(second.pair(i / 2, half));
      const float d0 = sums[at], d1 = sums[at + 1], s = factor[half];
      const GateFunction<kKind> f0(z.x), f1(z.y);
      inner[half] += d0 * (f0.value * v.x) + d1 * (f1.value * v.y);
      hidden[i] = __floats2bfloat162_rn(s * f0.value * v.x, s * f1.value * v.y);
      first.pair(i / 2, half) = __floats2bfloat162_rn(s * d0 * v.x * f0.slope, s * d1 * v.y * f1.slope);
      second.pair(i / 2, half) = __floats2bfloat162_rn(s * d0 * f0.value, s * d1 * f1.value);
    }
    __syncwarp();
    gates_tile.store(first, column);
    ups_tile.store(second, column);
    __syncwarp();
#pragma unroll
    for (int i = 0; i < 16; ++i)
      if (begin / 2 + 2 * i < Count) first.pair(i / 2, i % 2) = hidden[i];
    __syncwarp();
    HalfTile(scaled, t, row, Columns).store(first, column);
    __syncwarp();
  }
};

/// The gradient of a weight, in float: target [groups, rows, columns].
struct StoreGradient {
  GradientSlot<float> target;
  int rows, columns;

  template <int Count>
  __device__ __forceinline__ void take(const float (&sums)[Count], const gemm::ExpertTile& t, int row,
                                       unsigned char* /*scratch*/) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int own = row + lane / 4 + 8 * half;
      if (own >= rows) continue;
      float* const line = target.data + (static_cast<Index>(t.group) * rows + own) * columns;
#pragma unroll
      for (int j = 0; j < Count / 4; ++j) {
        const int column = t.column_tile * 2 * Count + 8 * j + lane % 4 * 2;
        if (column >= columns) continue;
        float2& place = *reinterpret_cast<float2*>(line + column);
        float2 sum{sums[4 * j + 2 * half], sums[4 * j + 2 * half + 1]};
        if (target.add) sum = {place.x + sum.x, place.y + sum.y};
        place = sum;
      }
    }
  }
};

}  // namespace neuroinhib::ops::gated
