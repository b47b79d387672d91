#pragma once

#include <algorithm>
#include <limits>
#include <string>
#include <type_traits>

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/gemm/cuda_math.cuh>

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#error "neuroinhib's kernels need compute capability 8.0 or later; compile with -arch=sm_80 or above"
#endif

/// Products C[m, n] = Σ_k A[m, k] B[k, n] whose factors are read through address maps: rows gathered, windows of
/// images, parts of an expert. One pipeline of asynchronous copies into shared memory, and three ways to multiply: the
/// matrix units (tf32, bf16) and plain multiply-adds (float, double). Sums have one order for given extents.
namespace neuroinhib::ops::gemm {

/// What the groups of a product divide.
enum class Groups {
  none,  ///< one product
  rows,  ///< rows of A and C: group g has rows [offsets[g], offsets[g + 1])
  depth  ///< the sum: group g has its own C, and k in [offsets[g], offsets[g + 1])
};

/// Extents of a product. m and k count over all groups.
struct Extents {
  Index m, n, k;
  Groups kind = Groups::none;
  int groups = 1;
  const int* offsets = nullptr;
};

/// The part of a product that one block computes.
struct Tile {
  Index m, m_end, n, n_end, k, k_end;
  int group, split;
};

/// A tile's rows [first, end) and the group that they lie in; group −1 beyond all groups' tiles.
struct GroupRows {
  int group;
  Index first, end;
};

/// Finds tile `wanted` of M rows each, where every group's rows begin with a tile of their own: a warp sums up the
/// tiles of 32 groups at once.
template <int M>
__device__ GroupRows find_group(const Extents& extents, int wanted) {
  int before = 0;
  for (int group = 0; group < extents.groups; group += detail::kWarp) {
    const int lane = static_cast<int>(threadIdx.x) % detail::kWarp, mine = min(group + lane, extents.groups - 1);
    const int begin = extents.offsets[mine], end = extents.offsets[mine + 1];
    const int tiles = group + lane < extents.groups ? (end - begin + M - 1) / M : 0;
    int up_to = tiles;  // of this group and those before it
    for (int step = 1; step < detail::kWarp; step *= 2) {
      const int other = __shfl_up_sync(0xffffffffu, up_to, step);
      if (lane >= step) up_to += other;
    }
    const unsigned found = __ballot_sync(0xffffffffu, wanted < before + up_to);
    if (found != 0) {
      const int at = __ffs(static_cast<int>(found)) - 1;
      before += __shfl_sync(0xffffffffu, up_to - tiles, at);
      return {group + at, __shfl_sync(0xffffffffu, begin, at) + static_cast<Index>(wanted - before) * M,
              __shfl_sync(0xffffffffu, end, at)};
    }
    before += __shfl_sync(0xffffffffu, up_to, detail::kWarp - 1);
  }
  return {-1, 0, 0};
}

/// Deals tiles out to blocks: x walks over them in bands of rows, so that blocks that run together share factors in the
/// cache; y walks over groups (of depth) and splits.
struct Deal {
  static constexpr int kBand = 16;

  Extents extents;
  int rows, columns;  ///< tiles
  int splits;
  Index split_depth;  ///< a multiple of the tile's depth

  template <int M, int N, int K>
  __device__ bool tile(Tile& t) const {
    const int number = static_cast<int>(blockIdx.x), band = number / (kBand * columns), first = band * kBand;
    const int height = rows - first < kBand ? rows - first : kBand, within = number - first * columns;
    const int wanted = first + within % height;
    t.n = static_cast<Index>(within / height) * N;
    t.n_end = extents.n;
    t.m = static_cast<Index>(wanted) * M;
    t.m_end = extents.m;
    t.k = 0;
    t.k_end = extents.k;
    t.group = 0;
    t.split = static_cast<int>(blockIdx.y);
    Index depth = split_depth;
    if (extents.kind == Groups::rows) {
      const GroupRows found = find_group<M>(extents, wanted);
      if (found.group < 0) return false;
      t.group = found.group;
      t.m = found.first;
      t.m_end = found.end;
    } else if (extents.kind == Groups::depth) {
      t.group = t.split / splits;
      t.split %= splits;
      t.k = extents.offsets[t.group];
      t.k_end = extents.offsets[t.group + 1];
      depth = (t.k_end - t.k + splits - 1) / splits;
      depth = (depth + K - 1) / K * K;
    }
    t.k += t.split * depth;
    t.k_end = t.k + depth < t.k_end ? t.k + depth : t.k_end;
    return true;
  }
};

/// How a block computes its tile: M × N results by a grid of warps, K deep at a time, `Stages` panels in flight.
template <class MathType, int M, int N, int K, int Stages, int Vector>
struct Plan {
  using Math = MathType;
  using T = typename Math::Scalar;  ///< of the factors
  static constexpr int kM = M, kN = N, kK = K, kStages = Stages, kVector = Vector;
  static constexpr int kWarpsN = N / Math::kWarpN, kThreads = M / Math::kWarpM * kWarpsN * 32;
  template <class A, class B>
  static constexpr Layout kLayout = Math::layout(A::kDepthInner && B::kDepthInner, Vector);
  template <class A, class B>
  using PanelA = Panel<T, A::kDepthInner, M, K, kThreads, Vector, kLayout<A, B>>;
  template <class A, class B>
  using PanelB = Panel<T, B::kDepthInner, N, K, kThreads, Vector, kLayout<A, B>>;
  static constexpr int kResultStride = N + 8;
  /// The panels, which make room for the results.
  template <class Sum, class A, class B>
  static constexpr std::size_t kSharedBytes =
      std::max(sizeof(T) * Stages * (PanelA<A, B>::kSize + PanelB<A, B>::kSize), sizeof(Sum) * M * kResultStride);
};

/// Where the parts of a sum that is split go: [split][group][m][n]; null where it is not.
template <class T>
struct Parts {
  T* data = nullptr;
  Index split_size = 0, group_size = 0, columns = 0;
};

template <class Plan, class Sum, class A, class B, class Store>
__global__ void __launch_bounds__(Plan::kThreads) gemm_kernel(Deal deal, A a, B b, Store store, Parts<Sum> parts) {
  detail::pdl_begin();
  using T = typename Plan::T;
  using PanelA = typename Plan::template PanelA<A, B>;
  using PanelB = typename Plan::template PanelB<A, B>;
  extern __shared__ __align__(16) unsigned char shared[];
  T* const panels_a = reinterpret_cast<T*>(shared);
  T* const panels_b = panels_a + Plan::kStages * PanelA::kSize;

  Tile t;
  if (!deal.tile<Plan::kM, Plan::kN, Plan::kK>(t)) return;
  typename PanelA::template Reader<A> read_a(a, t.group, t.m, t.m_end);
  typename PanelB::template Reader<B> read_b(b, t.group, t.n, t.n_end);
  const int steps = t.k < t.k_end ? static_cast<int>((t.k_end - t.k + Plan::kK - 1) / Plan::kK) : 0;
  const auto load = [&](int step) {
    if (step < steps) {
      const int stage = step % Plan::kStages;
      const Index k = t.k + static_cast<Index>(step) * Plan::kK;
      read_a.load(a, panels_a + stage * PanelA::kSize, k, t.k_end);
      read_b.load(b, panels_b + stage * PanelB::kSize, k, t.k_end);
    }
    commit_copies();
  };
  for (int step = 0; step < Plan::kStages - 1; ++step) load(step);

  const int warp = threadIdx.x / 32;
  const int m = warp / Plan::kWarpsN * Plan::Math::kWarpM, n = warp % Plan::kWarpsN * Plan::Math::kWarpN;
  typename Plan::Math math;
  for (int step = 0; step < steps; ++step) {
    wait_copies<Plan::kStages - 2>();
    __syncthreads();
    load(step + Plan::kStages - 1);
    const int stage = step % Plan::kStages;
    math.template multiply<PanelA, PanelB, Plan::kK>(panels_a + stage * PanelA::kSize, panels_b + stage * PanelB::kSize,
                                                     m, n);
  }
  // Through shared memory, so that neighbouring threads store neighbouring results.
  __syncthreads();
  Sum* const results = reinterpret_cast<Sum*>(shared);
  math.each([&](int i, int j, Sum sum) { results[(m + i) * Plan::kResultStride + n + j] = sum; });
  __syncthreads();
  Sum* const part = parts.data + t.split * parts.split_size + t.group * parts.group_size;
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x); i < Plan::kM * Plan::kN; i += Plan::kThreads) {
    const Index row = t.m + i / Plan::kN, column = t.n + i % Plan::kN;
    if (row >= t.m_end || column >= t.n_end) continue;
    const Sum sum = results[i / Plan::kN * Plan::kResultStride + i % Plan::kN];
    if (parts.data == nullptr)
      store(t.group, row, column, sum);
    else
      part[row * parts.columns + column] = sum;
  }
}

[[nodiscard]] inline Index tiles(Index extent, Index size) {
  return (extent + size - 1) / size;
}

/// Splits of a sum that give every multiprocessor two blocks, none less than four panels deep.
[[nodiscard]] inline int useful_splits(Index blocks, Index depth, Index step, int multiprocessors) {
  const Index wanted = 2 * static_cast<Index>(multiprocessors) / std::max<Index>(blocks, 1);
  return static_cast<int>(std::clamp<Index>(std::min(wanted, depth / (4 * step)), 1, 64));
}

inline constexpr Index kMaxSlices = 65535;  ///< of a grid's second axis

template <class Plan, class T, class A, class B, class Store>
void run(Cuda<T>& cuda, const Extents& e, const A& a, const B& b, const Store& store) {
  if (e.m == 0 || e.n == 0) return;
  if (constexpr Index kMax = std::numeric_limits<int>::max(); std::max({e.m, e.n, e.k}) > kMax)
    fail<ShapeError>("product on a GPU", "extents below 2³¹",
                     std::to_string(e.m) + ", " + std::to_string(e.n) + " and " + std::to_string(e.k),
                     "take smaller batches");
  const bool by_rows = e.kind == Groups::rows, by_depth = e.kind == Groups::depth;
  const Index blocks_m = tiles(e.m, Plan::kM) + (by_rows ? e.groups : 0), blocks_n = tiles(e.n, Plan::kN);
  const Index groups = by_depth ? e.groups : 1;
  const int splits = useful_splits(blocks_m * blocks_n * groups, e.k / groups, Plan::kK, cuda.multiprocessors());
  const Deal deal{e, static_cast<int>(blocks_m), static_cast<int>(blocks_n), splits,
                  tiles(tiles(e.k, splits), Plan::kK) * Plan::kK};
  const ArenaScope scope(cuda.device_arena());
  const Index m = e.m, n = e.n;
  Parts<T> parts;
  if (splits > 1)
    parts = {cuda.template kernel_memory<T>(splits * groups * m * n), groups * m * n, by_depth ? m * n : 0, n};

  auto* kernel = gemm_kernel<Plan, T, A, B, Store>;
  constexpr std::size_t kShared = Plan::template kSharedBytes<T, A, B>;
  if constexpr (kShared > 48 * 1024) cuda.allow_shared(kernel, kShared);
  if (groups * splits > kMaxSlices)
    fail<ShapeError>("product on a GPU", "at most " + std::to_string(kMaxSlices) + " experts", std::to_string(groups),
                     "use fewer experts a layer");
  cuda.launch_pdl(dim3(static_cast<unsigned>(blocks_m * blocks_n), static_cast<unsigned>(groups * splits)),
                  dim3(Plan::kThreads), kShared, kernel, deal, a, b, store, parts);
  if (splits == 1) return;
  cuda.parallel_grid(groups * m, n, [=] __device__(Index row, Index column) {
    if (by_rows && row >= e.offsets[e.groups]) return;  // rows of no group
    T sum = 0;
    for (int split = 0; split < splits; ++split) sum += parts.data[split * parts.split_size + row * n + column];
    int group = 0;
    if (by_depth) group = static_cast<int>(row / m);
    if (by_rows)
      while (row >= e.offsets[group + 1]) ++group;
    store(group, by_depth ? row % m : row, column, sum);
  });
}

/// Tiles of 128 × 128 results: those that have one for every multiprocessor use them.
[[nodiscard]] inline Index large_tiles(const Extents& e) {
  return tiles(e.m, 128) * tiles(e.n, 128) * (e.kind == Groups::depth ? e.groups : 1);
}

/// What is known of a product before its extents are, so that only plans that may serve are compiled.
enum class Form {
  pixels,   ///< very many rows, few columns: results of a convolution
  weights,  ///< a very deep sum: a convolution's weight gradient
  experts   ///< anything
};

/// Whether every address of the factors is a multiple of 16 bytes, so that numbers travel four at a time.
struct Alignment {
  bool four = true;

  template <class T>
  Alignment& pointer(const T* p) {
    four = four && reinterpret_cast<std::uintptr_t>(p) % 16 == 0;
    return *this;
  }
  Alignment& multiple(Index number) {
    four = four && number % 4 == 0;
    return *this;
  }
  template <class Rows>
  Alignment& rows(const Rows& m) {
    return pointer(m.data).multiple(m.stride);
  }
};

/// The same for factors in float or double. `alignment` must cover all strides and inner extents.
template <Form Kind, class T, class A, class B, class Store>
void multiply_floats(Cuda<T>& cuda, const Extents& e, const A& a, const B& b, const Alignment& alignment,
                     const Store& store) {
  if constexpr (std::is_same_v<T, float>) {
    if (cuda.precision() != Precision::strict) {
      if (!alignment.four) return run<Plan<Tf32<32, 32>, 64, 64, 32, 3, 1>>(cuda, e, a, b, store);
      if constexpr (Kind == Form::pixels) {
        if (e.n <= 32) return run<Plan<Tf32<32, 32>, 128, 32, 32, 3, 4>>(cuda, e, a, b, store);
        return run<Plan<Tf32<64, 32>, 128, 64, 32, 3, 4>>(cuda, e, a, b, store);
      } else if constexpr (Kind == Form::weights) {
        if (e.m <= 32) return run<Plan<Tf32<32, 32>, 32, 128, 32, 3, 4>>(cuda, e, a, b, store);
      } else if (large_tiles(e) >= cuda.multiprocessors()) {
        return run<Plan<Tf32<64, 32>, 128, 128, 32, 3, 4>>(cuda, e, a, b, store);
      }
      return run<Plan<Tf32<32, 32>, 64, 64, 32, 3, 4>>(cuda, e, a, b, store);
    }
  }
  run<Plan<MultiplyAdd<T>, 64, 64, 16, 3, 1>>(cuda, e, a, b, store);
}

/// C = A B; store(group, m, n, sum) takes each result. Factors in bf16 come from rounded().
template <Form Kind, class T, class A, class B, class Store>
void multiply(Cuda<T>& cuda, const Extents& e, const A& a, const B& b, const Alignment& alignment, const Store& store) {
  if constexpr (!std::is_same_v<typename A::Scalar, __nv_bfloat16>)
    multiply_floats<Kind>(cuda, e, a, b, alignment, store);
  else if (large_tiles(e) >= cuda.multiprocessors())
    run<Plan<Bf16<64, 64>, 128, 128, 64, 3, 8>>(cuda, e, a, b, store);
  else
    run<Plan<Bf16<32, 32>, 64, 64, 64, 3, 8>>(cuda, e, a, b, store);
}

/// A matrix in memory whose row i is the numbers from data + row_at(i) on; `stride` apart where nothing is gathered.
template <class T, class RowAt = Line>
struct Rows {
  using Scalar = T;

  const T* data;
  Index rows, columns, stride;
  RowAt row_at;
};
template <class T>
[[nodiscard]] Rows<T> plain_rows(const T* data, Index rows, Index columns) {
  return {data, rows, columns, columns, Line{columns}};
}

/// The same numbers in bf16, in step memory and in their order, rows filled up with zeros to whole pieces of eight.
template <class RowAt>
[[nodiscard]] Rows<__nv_bfloat16> rounded(Cuda<float>& cuda, const Rows<float, RowAt>& m) {
  constexpr Index kPiece = 8;
  const Index pieces = tiles(m.columns, kPiece), stride = pieces * kPiece;
  auto* numbers = cuda.kernel_memory<__nv_bfloat16>(m.rows * stride);
  const bool whole = Alignment{}.rows(m).four && m.columns == stride;
  cuda.parallel_grid(m.rows, pieces, [=] __device__(Index row, Index piece) {
    __align__(16) __nv_bfloat162 pairs[kPiece / 2];
    const float* source = m.data + m.row_at(row) + piece * kPiece;
    if (whole) {
      const float4 low = reinterpret_cast<const float4*>(source)[0], high = reinterpret_cast<const float4*>(source)[1];
      pairs[0] = __floats2bfloat162_rn(low.x, low.y);
      pairs[1] = __floats2bfloat162_rn(low.z, low.w);
      pairs[2] = __floats2bfloat162_rn(high.x, high.y);
      pairs[3] = __floats2bfloat162_rn(high.z, high.w);
    } else {
      const auto number = [&](Index i) { return piece * kPiece + i < m.columns ? source[i] : 0.f; };
      for (int i = 0; i < kPiece / 2; ++i) pairs[i] = __floats2bfloat162_rn(number(2 * i), number(2 * i + 1));
    }
    *reinterpret_cast<uint4*>(numbers + row * stride + piece * kPiece) = *reinterpret_cast<const uint4*>(pairs);
  });
  return {numbers, m.rows, m.columns, stride, Line{stride}};
}

/// Calls use(factors…) with the matrices in the numbers that the backend multiplies experts' factors in.
template <class T, class Use, class... Matrices>
void with_factors(Cuda<T>& cuda, const Use& use, const Matrices&... matrices) {
  if constexpr (std::is_same_v<T, float>)
    if (cuda.precision() == Precision::bf16) {
      const ArenaScope scope(cuda.device_arena());
      return use(rounded(cuda, matrices)...);
    }
  use(matrices...);
}

}  // namespace neuroinhib::ops::gemm
