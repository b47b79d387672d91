#pragma once

#include <cstdint>
#include <type_traits>

#include <neuroinhib/backend/cuda.cuh>

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#error "neuroinhib's kernels need compute capability 8.0 or later; compile with -arch=sm_80 or above"
#endif

/// Products C[m, n] = Σ_k A[m, k] B[k, n] whose factors are read through address maps: rows gathered, windows of
/// images, parts of an expert. One pipeline of asynchronous copies into shared memory, and two ways to multiply: the
/// matrix units (tf32) and plain multiply-adds (float, double). Sums have one order for given extents.
namespace neuroinhib::ops::product {

/// Unsigned division by a number that is fixed for a kernel; numerators below 2^31 (Granlund and Montgomery 1994).
struct Divisor {
  unsigned value = 1, multiplier = 0, shift = 0;

  Divisor() = default;
  explicit Divisor(Index divisor) : value(static_cast<unsigned>(divisor)) {
    if (value <= 1) return;
    unsigned bits = 0;
    while ((std::uint64_t{1} << bits) < value) ++bits;
    multiplier = static_cast<unsigned>(((std::uint64_t{1} << (31 + bits)) + value - 1) / value);
    shift = bits - 1;
  }
  __device__ unsigned divide(unsigned number) const {
    return value == 1 ? number : __umulhi(number, multiplier) >> shift;
  }
};

/// i ↦ i · stride.
struct Line {
  Index stride;
  __device__ Index operator()(Index i) const { return i * stride; }
};

/// i ↦ digits of i in the mixed base (…, middle, inner), each times its stride: an address in an image.
struct Digits {
  Divisor inner, middle;
  Index inner_stride, middle_stride, outer_stride;

  __device__ Index operator()(Index i) const {
    const auto number = static_cast<unsigned>(i);
    const unsigned upper = inner.divide(number), lowest = number - upper * inner.value;
    const unsigned top = middle.divide(upper), next = upper - top * middle.value;
    return lowest * inner_stride + next * middle_stride + top * outer_stride;
  }
};

/// i ↦ the row of the token whose slot stands at place i of a plan; i itself where `order` is null.
struct Gathered {
  const int* order;
  Divisor chosen;
  Index stride;
  __device__ Index operator()(Index i) const {
    if (order == nullptr) return i * stride;
    return static_cast<Index>(chosen.divide(static_cast<unsigned>(order[i]))) * stride;
  }
};

/// One factor in memory: base + group · group_stride + outer(o) + inner(i). With kDepthInner the inner axis, along
/// which numbers lie side by side, is the depth k; else it is m (or n).
template <class T, bool DepthInner, class Outer, class Inner>
struct Factor {
  static constexpr bool kDepthInner = DepthInner;
  using Scalar = T;

  const T* base;
  Index group_stride;
  Outer outer;
  Inner inner;
};
template <bool DepthInner, class T, class Outer, class Inner>
[[nodiscard]] Factor<T, DepthInner, Outer, Inner> factor(const T* base, Index group_stride, const Outer& outer,
                                                         const Inner& inner) {
  return {base, group_stride, outer, inner};
}

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

/// Deals tiles out to blocks: x walks over the rows' tiles, y over the columns', z over groups (of depth) and splits.
struct Deal {
  Extents extents;
  int splits;
  Index split_depth;  ///< a multiple of the tile's depth

  template <int M, int N, int K>
  __device__ bool tile(Tile& t) const {
    t.n = static_cast<Index>(blockIdx.y) * N;
    t.n_end = extents.n;
    t.m = static_cast<Index>(blockIdx.x) * M;
    t.m_end = extents.m;
    t.k = 0;
    t.k_end = extents.k;
    t.group = 0;
    t.split = static_cast<int>(blockIdx.z);
    Index depth = split_depth;
    if (extents.kind == Groups::rows) {
      int before = 0, begin = extents.offsets[0], end = begin, tiles = 0;
      const int wanted = static_cast<int>(blockIdx.x);
      int group = 0;
      for (; group < extents.groups; ++group) {
        begin = end;
        end = extents.offsets[group + 1];
        tiles = (end - begin + M - 1) / M;
        if (wanted < before + tiles) break;
        before += tiles;
      }
      if (group == extents.groups) return false;
      t.group = group;
      t.m = begin + static_cast<Index>(wanted - before) * M;
      t.m_end = end;
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

/// Copies `Count` numbers to shared memory while the program goes on; zeros where `valid` is false.
template <int Count, class T>
__device__ void copy_async(T* target, const T* source, bool valid) {
  constexpr int kBytes = Count * static_cast<int>(sizeof(T));
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(target));
  const int bytes = valid ? kBytes : 0;
  if constexpr (kBytes == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(source), "r"(bytes));
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(address), "l"(source), "n"(kBytes), "r"(bytes));
}
__device__ inline void commit_copies() {
  asm volatile("cp.async.commit_group;");
}
template <int Pending>
__device__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending));
}

/// A block's part of one factor in shared memory: `Lines` along the outer axis where depth is inner, else `Depth` of
/// them, so laid out that a warp's reads of one fragment fall into different banks: rows are padded, or (`Swizzled`, to
/// be read four numbers at a time) the pieces of every other row change their halves.
template <class T, bool DepthInner, int Lines, int Depth, int Threads, int Vector, bool Swizzled>
struct Panel {
  static constexpr bool kSwizzled = Swizzled;
  static constexpr int kOuter = DepthInner ? Lines : Depth, kInner = DepthInner ? Depth : Lines;
  static constexpr int kStride = kInner + (Swizzled ? 0 : DepthInner ? 4 : 8), kSize = kOuter * kStride;
  static_assert(!Swizzled || (DepthInner && Depth % 32 == 0 && Vector == 4));
  static constexpr int kPieces = kInner / Vector, kPass = Threads / kPieces, kPasses = (kOuter + kPass - 1) / kPass;
  static_assert(Threads % kPieces == 0, "a thread keeps its place along the inner axis");

  __device__ static int at(int line, int depth) { return DepthInner ? line * kStride + depth : depth * kStride + line; }
  /// Where four numbers from `depth` on stand, in a swizzled panel.
  __device__ static int four_at(int line, int depth) { return line * kStride + (depth ^ (line % 2 * 16)); }

  template <class Factor>
  struct Reader {
    const T* base;
    Index inner, outer_at[DepthInner ? kPasses : 1];
    bool inner_valid, outer_valid[DepthInner ? kPasses : 1];
    int piece, first;

    /// Lines [begin, end) of the factor's m or n axis.
    __device__ Reader(const Factor& f, int group, Index begin, Index end)
        : base(f.base + group * f.group_stride), piece(threadIdx.x % kPieces * Vector), first(threadIdx.x / kPieces) {
      if constexpr (DepthInner) {
#pragma unroll
        for (int pass = 0; pass < kPasses; ++pass) {
          const int line = first + pass * kPass;
          outer_valid[pass] = line < kOuter && begin + line < end;
          outer_at[pass] = outer_valid[pass] ? f.outer(begin + line) : 0;
        }
      } else {
        inner_valid = begin + piece < end;
        inner = inner_valid ? f.inner(begin + piece) : 0;
      }
    }
    /// Starts the copies of depth [k, k + Depth), zeros from k_end on.
    __device__ void load(const Factor& f, T* panel, Index k, Index k_end) {
      if constexpr (DepthInner) {
        inner_valid = k + piece < k_end;
        inner = inner_valid ? f.inner(k + piece) : 0;
      }
#pragma unroll
      for (int pass = 0; pass < kPasses; ++pass) {
        const int line = first + pass * kPass;
        if (kOuter % kPass != 0 && line >= kOuter) break;
        bool valid = inner_valid;
        Index at = inner;
        if constexpr (DepthInner) {
          valid = valid && outer_valid[pass];
          at += outer_at[pass];
        } else {
          valid = valid && k + line < k_end;
          if (valid) at += f.outer(k + line);
        }
        copy_async<Vector>(panel + (Swizzled ? four_at(line, piece) : line * kStride + piece), base + (valid ? at : 0),
                           valid);
      }
    }
  };
};

/// Rounds to tf32, to nearest. The bits below are left to the matrix unit, which ignores them.
__device__ inline std::uint32_t to_tf32(float value) {
  std::uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits;
}

/// sum += a b on the matrix unit, 16 × 8 × 8: the fragments of one warp, as PTX lays them out.
__device__ inline void multiply_tf32(float (&sum)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// A warp's part of a tile on the matrix units: m16n8k8, tf32 in, float sums.
template <int WarpM, int WarpN>
struct Tf32 {
  using Scalar = float;
  static constexpr int kWarpM = WarpM, kWarpN = WarpN, kM = WarpM / 16, kN = WarpN / 8;
  static constexpr bool kReadsFour = true;

  float sums[kM][kN][4] = {};

  template <class PanelA, class PanelB, int Depth>
  __device__ void multiply(const float* a, const float* b, int m, int n) {
    if constexpr (PanelA::kSwizzled)
      multiply_swizzled<PanelA, PanelB, Depth>(a, b, m, n);
    else
      multiply_plain<PanelA, PanelB, Depth>(a, b, m, n);
  }
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
  __device__ void multiply_swizzled(const float* a, const float* b, int m, int n) {
    const int lane = threadIdx.x % 32, group = lane / 4, member = lane % 4;
    std::uint32_t fa[2][kM][4], fb[2][kN][2];
#pragma unroll
    for (int k = 0; k < Depth; k += 16) {
#pragma unroll
      for (int i = 0; i < kM; ++i)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const float4 four = read_four(a + PanelA::four_at(m + 16 * i + group + 8 * half, k + 4 * member));
          fa[0][i][half] = to_tf32(four.x);
          fa[0][i][half + 2] = to_tf32(four.y);
          fa[1][i][half] = to_tf32(four.z);
          fa[1][i][half + 2] = to_tf32(four.w);
        }
#pragma unroll
      for (int j = 0; j < kN; ++j) {
        const float4 four = read_four(b + PanelB::four_at(n + 8 * j + group, k + 4 * member));
        fb[0][j][0] = to_tf32(four.x);
        fb[0][j][1] = to_tf32(four.y);
        fb[1][j][0] = to_tf32(four.z);
        fb[1][j][1] = to_tf32(four.w);
      }
      multiply_fragments(fa[0], fb[0]);
      multiply_fragments(fa[1], fb[1]);
    }
  }
  __device__ static float4 read_four(const float* numbers) {
    return *reinterpret_cast<const float4*>(numbers);
  }
  __device__ void multiply_fragments(const std::uint32_t (&a)[kM][4], const std::uint32_t (&b)[kN][2]) {
#pragma unroll
    for (int i = 0; i < kM; ++i)
#pragma unroll
      for (int j = 0; j < kN; ++j) multiply_tf32(sums[i][j], a[i], b[j]);
  }
};

/// The same with plain multiply-adds: a warp computes 32 × 32, each lane 8 rows of 4 columns.
template <class T>
struct MultiplyAdd {
  using Scalar = T;
  static constexpr int kWarpM = 32, kWarpN = 32;
  static constexpr bool kReadsFour = false;

  T sums[8][4] = {};

  template <class PanelA, class PanelB, int Depth>
  __device__ void multiply(const T* a, const T* b, int m, int n) {
    const int lane = threadIdx.x % 32, row = lane / 8, column = lane % 8;
#pragma unroll 4
    for (int k = 0; k < Depth; ++k) {
      T fa[8], fb[4];
#pragma unroll
      for (int i = 0; i < 8; ++i) fa[i] = a[PanelA::at(m + row + 4 * i, k)];
#pragma unroll
      for (int j = 0; j < 4; ++j) fb[j] = b[PanelB::at(n + column + 8 * j, k)];
#pragma unroll
      for (int i = 0; i < 8; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) sums[i][j] += fa[i] * fb[j];
    }
  }
  template <class Visit>
  __device__ void each(const Visit& visit) const {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < 8; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) visit(lane / 8 + 4 * i, lane % 8 + 8 * j, sums[i][j]);
  }
};

/// How a block computes its tile: M × N results by a grid of warps, K deep at a time, `Stages` panels in flight.
template <class MathType, int M, int N, int K, int Stages, int Vector>
struct Plan {
  using Math = MathType;
  using T = typename Math::Scalar;
  static constexpr int kM = M, kN = N, kK = K, kStages = Stages, kVector = Vector;
  static constexpr int kWarpsN = N / Math::kWarpN, kThreads = M / Math::kWarpM * kWarpsN * 32;
  template <class A, class B>
  static constexpr bool kSwizzled = Math::kReadsFour&& Vector == 4 && A::kDepthInner&& B::kDepthInner;
  template <class A, class B>
  using PanelA = Panel<T, A::kDepthInner, M, K, kThreads, Vector, kSwizzled<A, B>>;
  template <class A, class B>
  using PanelB = Panel<T, B::kDepthInner, N, K, kThreads, Vector, kSwizzled<A, B>>;
  template <class A, class B>
  static constexpr std::size_t kSharedBytes = sizeof(T) * Stages*(PanelA<A, B>::kSize + PanelB<A, B>::kSize);
};

/// Where the parts of a sum that is split go: [split][group][m][n]; null where it is not.
template <class T>
struct Parts {
  T* data = nullptr;
  Index split_size = 0, group_size = 0, columns = 0;
};

template <class Plan, class A, class B, class Store>
__global__ void __launch_bounds__(Plan::kThreads)
    product_kernel(Deal deal, A a, B b, Store store, Parts<typename Plan::T> parts) {
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
  T* const part = parts.data + t.split * parts.split_size + t.group * parts.group_size;
  math.each([&](int i, int j, T sum) {
    const Index row = t.m + m + i, column = t.n + n + j;
    if (row >= t.m_end || column >= t.n_end) return;
    if (parts.data == nullptr)
      store(t.group, row, column, sum);
    else
      part[row * parts.columns + column] = sum;
  });
}

[[nodiscard]] inline Index tiles(Index extent, Index size) {
  return (extent + size - 1) / size;
}

/// Splits of a sum that give every multiprocessor two blocks, none less than four panels deep.
[[nodiscard]] inline int useful_splits(Index blocks, Index depth, Index step, int multiprocessors) {
  const Index wanted = 2 * static_cast<Index>(multiprocessors) / std::max<Index>(blocks, 1);
  return static_cast<int>(std::clamp<Index>(std::min(wanted, depth / (4 * step)), 1, 64));
}

template <class Plan, class T, class A, class B, class Store>
void run(Cuda<T>& cuda, const Extents& e, const A& a, const B& b, const Store& store) {
  if (e.m == 0 || e.n == 0) return;
  const bool by_rows = e.kind == Groups::rows, by_depth = e.kind == Groups::depth;
  const Index blocks_m = tiles(e.m, Plan::kM) + (by_rows ? e.groups : 0), blocks_n = tiles(e.n, Plan::kN);
  const Index groups = by_depth ? e.groups : 1;
  const int splits = useful_splits(blocks_m * blocks_n * groups, e.k / groups, Plan::kK, cuda.multiprocessors());
  const Deal deal{e, splits, tiles(tiles(e.k, splits), Plan::kK) * Plan::kK};
  const ArenaScope scope(cuda.device_arena());
  const Index m = e.m, n = e.n;
  Parts<T> parts;
  if (splits > 1)
    parts = {cuda.template kernel_memory<T>(splits * groups * m * n), groups * m * n, by_depth ? m * n : 0, n};

  auto* kernel = product_kernel<Plan, A, B, Store>;
  constexpr std::size_t kShared = Plan::template kSharedBytes<A, B>;
  if constexpr (kShared > 48 * 1024)
    require_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared), "product");
  cuda.launch(
      dim3(static_cast<unsigned>(blocks_m), static_cast<unsigned>(blocks_n), static_cast<unsigned>(groups * splits)),
      dim3(Plan::kThreads), kShared, kernel, deal, a, b, store, parts);
  if (splits == 1) return;
  cuda.parallel_grid(groups * m, n, [=] __device__(Index row, Index column) {
    T sum = 0;
    for (int split = 0; split < splits; ++split) sum += parts.data[split * parts.split_size + row * n + column];
    int group = 0;
    if (by_depth) group = static_cast<int>(row / m);
    if (by_rows)
      while (row >= e.offsets[group + 1]) ++group;
    store(group, by_depth ? row % m : row, column, sum);
  });
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
};

/// C = A B; store(group, m, n, sum) takes each result. `alignment` must cover all strides and inner extents.
template <Form Kind, class T, class A, class B, class Store>
void multiply(Cuda<T>& cuda, const Extents& e, const A& a, const B& b, const Alignment& alignment, const Store& store) {
  if constexpr (std::is_same_v<T, float>) {
    if (cuda.precision() == Precision::tf32) {
      if (!alignment.four) return run<Plan<Tf32<32, 32>, 64, 64, 32, 3, 1>>(cuda, e, a, b, store);
      if constexpr (Kind == Form::pixels) {
        if (e.n <= 32) return run<Plan<Tf32<32, 32>, 128, 32, 32, 3, 4>>(cuda, e, a, b, store);
        return run<Plan<Tf32<64, 32>, 128, 64, 32, 3, 4>>(cuda, e, a, b, store);
      } else if constexpr (Kind == Form::weights) {
        if (e.m <= 32) return run<Plan<Tf32<32, 32>, 32, 128, 32, 3, 4>>(cuda, e, a, b, store);
      } else {
        const Index blocks = tiles(e.m, 128) * tiles(e.n, 128) * (e.kind == Groups::depth ? e.groups : 1);
        if (blocks >= cuda.multiprocessors()) return run<Plan<Tf32<64, 32>, 128, 128, 32, 3, 4>>(cuda, e, a, b, store);
      }
      return run<Plan<Tf32<32, 32>, 64, 64, 32, 3, 4>>(cuda, e, a, b, store);
    }
  }
  run<Plan<MultiplyAdd<T>, 64, 64, 16, 3, 1>>(cuda, e, a, b, store);
}

}  // namespace neuroinhib::ops::product
