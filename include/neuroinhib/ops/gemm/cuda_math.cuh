#pragma once

#include <cstdint>

#include <neuroinhib/ops/gemm/cuda_panel.cuh>

/// Ways in which a warp multiplies what lies in shared memory.
namespace neuroinhib::ops::gemm {

/// Rounds to tf32, to nearest: half of its last bit is added, and the bits below are left to the matrix unit, which
/// ignores them. Where the sum overflows, the number stays as it is: the device's NaN, 0x7fffffff, would become −0. One
/// instruction on Hopper. (With the sign set, overflow is not seen: of those NaNs, the ones whose eleven upper bits of
/// mantissa are all ones would be lost. No arithmetic makes them.)
__device__ inline std::uint32_t to_tf32(float value) {
  std::uint32_t rounded;
  asm("{ .reg .s32 sum; add.s32 sum, %1, 0x1000; max.s32 %0, sum, %1; }" : "=r"(rounded) : "r"(__float_as_uint(value)));
  return rounded;
}

/// sum += a b on the matrix unit, 16 × 8 × 8: the fragments of one warp, as PTX lays them out.
__device__ inline void multiply_tf32(float (&sum)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// The same in bf16, 16 × 8 × 16.
__device__ inline void multiply_bf16(float (&sum)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// A warp's part of a tile on the matrix units: float sums in 16 × 8 pieces, as PTX deals them out.
template <int WarpM, int WarpN>
struct WarpSums {
  static constexpr int kWarpM = WarpM, kWarpN = WarpN, kM = WarpM / 16, kN = WarpN / 8;
  static constexpr bool kExact = false;

  float sums[kM][kN][4] = {};

  /// The same by this thread's rows and columns; kRowLanes neighbouring lanes share their rows.
  static constexpr int kRows = 2 * kM, kColumns = 2 * kN, kRowLanes = 4;
  __device__ static int row(int r) { return 16 * (r / 2) + static_cast<int>(threadIdx.x) % 32 / 4 + 8 * (r % 2); }
  __device__ static int column(int c) { return 8 * (c / 2) + static_cast<int>(threadIdx.x) % 4 * 2 + c % 2; }
  __device__ float& at(int r, int c) { return sums[r / 2][c / 2][2 * (r % 2) + c % 2]; }

  /// visit(m, n, sum) for this thread's results, within the warp's part.
  template <class Visit>
  __device__ void each(const Visit& visit) const {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < kM; ++i)
#pragma unroll
      for (int j = 0; j < kN; ++j)
#pragma unroll
        for (int r = 0; r < 4; ++r) visit(16 * i + lane / 4 + 8 * (r / 2), 8 * j + lane % 4 * 2 + r % 2, sums[i][j][r]);
  }
};

/// Factors in float, rounded to tf32 as they are read.
template <int WarpM, int WarpN>
struct Tf32 : WarpSums<WarpM, WarpN> {
  using Scalar = float;
  using WarpSums<WarpM, WarpN>::kM;
  using WarpSums<WarpM, WarpN>::kN;
  static constexpr Layout layout(bool both_depth_inner, int vector) {
    return both_depth_inner && vector == 4 ? Layout::fours : Layout::padded;
  }

  template <class PanelA, class PanelB, int Depth>
  __device__ void multiply(const float* a, const float* b, int m, int n) {
    if constexpr (PanelA::kLayout == Layout::fours)
      multiply_fours<PanelA, PanelB, Depth>(a, b, m, n);
    else
      multiply_plain<PanelA, PanelB, Depth>(a, b, m, n);
  }

 private:
  /// Which depth a thread's registers stand for is free, if A and B agree: here k and k + 4.
  template <class PanelA, class PanelB, int Depth>
  __device__ void multiply_plain(const float* a, const float* b, int m, int n) {
    const int lane = threadIdx.x % 32, group = lane / 4, member = lane % 4;
#pragma unroll
    for (int k = 0; k < Depth; k += 8) {
      std::uint32_t fa[kM][4], fb[kN][2];
#pragma unroll
      for (int i = 0; i < kM; ++i)
#pragma unroll
        for (int r = 0; r < 4; ++r)
          fa[i][r] = to_tf32(a[PanelA::at(m + 16 * i + group + 8 * (r % 2), k + member + 4 * (r / 2))]);
#pragma unroll
      for (int j = 0; j < kN; ++j)
#pragma unroll
        for (int r = 0; r < 2; ++r) fb[j][r] = to_tf32(b[PanelB::at(n + 8 * j + group, k + member + 4 * r)]);
      multiply_fragments(fa, fb);
    }
  }
  /// Here four neighbours, which one read brings: two for a first product, two for a second.
  template <class PanelA, class PanelB, int Depth>
  __device__ void multiply_fours(const float* a, const float* b, int m, int n) {
    const int lane = threadIdx.x % 32, group = lane / 4, member = lane % 4;
    std::uint32_t fa[2][kM][4], fb[2][kN][2];
#pragma unroll
    for (int k = 0; k < Depth; k += 16) {
#pragma unroll
      for (int i = 0; i < kM; ++i)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const float4 four = read_four(a + PanelA::at(m + 16 * i + group + 8 * half, k + 4 * member));
          fa[0][i][half] = to_tf32(four.x);
          fa[0][i][half + 2] = to_tf32(four.y);
          fa[1][i][half] = to_tf32(four.z);
          fa[1][i][half + 2] = to_tf32(four.w);
        }
#pragma unroll
      for (int j = 0; j < kN; ++j) {
        const float4 four = read_four(b + PanelB::at(n + 8 * j + group, k + 4 * member));
        fb[0][j][0] = to_tf32(four.x);
        fb[0][j][1] = to_tf32(four.y);
        fb[1][j][0] = to_tf32(four.z);
        fb[1][j][1] = to_tf32(four.w);
      }
      multiply_fragments(fa[0], fb[0]);
      multiply_fragments(fa[1], fb[1]);
    }
  }
  __device__ static float4 read_four(const float* numbers) { return *reinterpret_cast<const float4*>(numbers); }
  __device__ void multiply_fragments(const std::uint32_t (&a)[kM][4], const std::uint32_t (&b)[kN][2]) {
#pragma unroll
    for (int i = 0; i < kM; ++i)
#pragma unroll
      for (int j = 0; j < kN; ++j) multiply_tf32(this->sums[i][j], a[i], b[j]);
  }
};

/// Factors in bf16.
template <int WarpM, int WarpN>
struct Bf16 : WarpSums<WarpM, WarpN> {
  using Scalar = __nv_bfloat16;
  using WarpSums<WarpM, WarpN>::kM;
  using WarpSums<WarpM, WarpN>::kN;
  static constexpr Layout layout(bool, int) { return Layout::eights; }

  template <class PanelA, class PanelB, int Depth>
  __device__ void multiply(const Scalar* a, const Scalar* b, int m, int n) {
    const int part = threadIdx.x % 32 / 8, low = part % 2 * 8, high = part / 2 * 8;
#pragma unroll
    for (int k = 0; k < Depth; k += 16) {
      std::uint32_t fa[kM][4], fb[kN / 2][2][2];
#pragma unroll
      for (int i = 0; i < kM; ++i)
        read_parts<PanelA>(fa[i][0], fa[i][1], fa[i][2], fa[i][3], a, m + 16 * i + low, k + high);
#pragma unroll
      for (int j = 0; j < kN / 2; ++j)
        read_parts<PanelB>(fb[j][0][0], fb[j][0][1], fb[j][1][0], fb[j][1][1], b, n + 16 * j + high, k + low);
#pragma unroll
      for (int i = 0; i < kM; ++i)
#pragma unroll
        for (int j = 0; j < kN; ++j) multiply_bf16(this->sums[i][j], fa[i], fb[j / 2][j % 2]);
    }
  }

 private:
  /// Four 8 × 8 parts, one a register; (line, depth) is where this thread's part begins.
  template <class Panel>
  __device__ static void read_parts(std::uint32_t& r0, std::uint32_t& r1, std::uint32_t& r2, std::uint32_t& r3,
                                    const Scalar* panel, int line, int depth) {
    const int row = static_cast<int>(threadIdx.x) % 8;
    const Scalar* source = panel + (Panel::kDepthInner ? Panel::at(line + row, depth) : Panel::at(line, depth + row));
    const auto address = static_cast<unsigned>(__cvta_generic_to_shared(source));
    if constexpr (Panel::kDepthInner)
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                   : "=r"(r0), "=r"(r1), "=r"(r2), "=r"(r3)
                   : "r"(address));
    else
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                   : "=r"(r0), "=r"(r1), "=r"(r2), "=r"(r3)
                   : "r"(address));
  }
};

/// Plain multiply-adds: a lane computes every fourth row and every eighth column.
template <class T, int WarpM = 32, int WarpN = 32>
struct MultiplyAdd {
  using Scalar = T;
  static constexpr int kWarpM = WarpM, kWarpN = WarpN, kRows = WarpM / 4, kColumns = WarpN / 8, kRowLanes = 8;
  static constexpr bool kExact = true;
  static constexpr Layout layout(bool, int) { return Layout::padded; }

  T sums[kRows][kColumns] = {};

  __device__ static int row(int r) { return static_cast<int>(threadIdx.x) % 32 / 8 + 4 * r; }
  __device__ static int column(int c) { return static_cast<int>(threadIdx.x) % 8 + 8 * c; }
  __device__ T& at(int r, int c) { return sums[r][c]; }

  template <class PanelA, class PanelB, int Depth>
  __device__ void multiply(const T* a, const T* b, int m, int n) {
#pragma unroll 4
    for (int k = 0; k < Depth; ++k) {
      T fa[kRows], fb[kColumns];
#pragma unroll
      for (int r = 0; r < kRows; ++r) fa[r] = a[PanelA::at(m + row(r), k)];
#pragma unroll
      for (int c = 0; c < kColumns; ++c) fb[c] = b[PanelB::at(n + column(c), k)];
#pragma unroll
      for (int r = 0; r < kRows; ++r)
#pragma unroll
        for (int c = 0; c < kColumns; ++c) sums[r][c] += fa[r] * fb[c];
    }
  }
  template <class Visit>
  __device__ void each(const Visit& visit) const {
#pragma unroll
    for (int r = 0; r < kRows; ++r)
#pragma unroll
      for (int c = 0; c < kColumns; ++c) visit(row(r), column(c), sums[r][c]);
  }
};

}  // namespace neuroinhib::ops::gemm
