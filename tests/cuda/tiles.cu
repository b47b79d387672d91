// The matrix unit's instruction in every width and layout, with factors that the copy engine brings: products of small
// whole numbers come out exactly.

#include "cuda/support.cuh"

using namespace testing;
using ops::gemm::ExpertTile;
using ops::gemm::GroupsOf;
using ops::gemm::StageFactor;
using ops::gemm::TileOrder;
using ops::wgmma::Major;

namespace {

constexpr int kRows = 64, kDepth = 64;

/// Row-major in memory: [lines, depth] where the depth is inside, else [depth, lines].
__host__ __device__ int place(Major major, int line, int deep, int lines) {
  return major == Major::depth ? line * kDepth + deep : deep * lines + line;
}

/// c [64, N] = a b over one stage; a from shared memory, or from registers.
template <int N, Major A, Major B, bool kFromRegisters>
__global__ void __launch_bounds__(128)
    tile_kernel(const __grid_constant__ CUtensorMap map_a, const __grid_constant__ CUtensorMap map_b,
                const __nv_bfloat16* a, float* c) {
#ifdef NEUROINHIB_WGMMA
  namespace wgmma = ops::wgmma;
  using StageA = StageFactor<A, kRows>;
  using StageB = StageFactor<B, N>;
  extern __shared__ __align__(1024) unsigned char shared[];
  __shared__ tiles::Barrier full;
  unsigned char* const stage_b = shared + StageA::kBytes;
  if (threadIdx.x == 0) {
    full.init(1);
    tiles::publish_barriers();
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    full.arrive_and_expect(StageA::kBytes + StageB::kBytes);
    StageA::load(shared, map_a, full, 0, 0, 0);
    StageB::load(stage_b, map_b, full, 0, 0, 0);
  }
  full.wait(0);
  const int lane = static_cast<int>(threadIdx.x) % 32, row = static_cast<int>(threadIdx.x) / 32 * 16 + lane / 4;
  std::uint32_t fragments[kDepth / 16][4];
  for (int k = 0; k < kDepth / 16; ++k)
    for (int r = 0; r < 4; ++r)
      fragments[k][r] =
          *reinterpret_cast<const std::uint32_t*>(a + (row + r % 2 * 8) * kDepth + 16 * k + r / 2 * 8 + lane % 4 * 2);
  float sums[N / 2];
  const std::uint64_t name_a = StageA::name(shared, 0), name_b = StageB::name(stage_b, 0);
  wgmma::begin(sums);
#pragma unroll
  for (int k = 0; k < kDepth / 16; ++k)
    if constexpr (kFromRegisters)
      wgmma::multiply<__nv_bfloat16, B>(sums, fragments[k], name_b + (k * StageB::kStep >> 4), k > 0);
    else
      wgmma::multiply<__nv_bfloat16, A, B>(sums, name_a + (k * StageA::kStep >> 4), name_b + (k * StageB::kStep >> 4),
                                           k > 0);
  wgmma::finish(sums);
  wgmma::each(sums, [&](int i, int j, float sum, float next) {
    c[i * N + j] = sum;
    c[i * N + j + 1] = next;
  });
#endif
}

/// Whole numbers from −4 to 4.
int whole(int i) {
  return static_cast<int>(static_cast<unsigned>(i) * 2654435761u >> 13) % 9 - 4;
}

template <int N, Major A, Major B, bool kFromRegisters>
void check(Cuda<float>& cuda) {
  std::vector<__nv_bfloat16> a(kRows * kDepth), b(N * kDepth);
  for (int k = 0; k < kDepth; ++k) {
    for (int i = 0; i < kRows; ++i)
      a[static_cast<std::size_t>(place(A, i, k, kRows))] = static_cast<float>(whole(i * kDepth + k));
    for (int j = 0; j < N; ++j)
      b[static_cast<std::size_t>(place(B, j, k, N))] = static_cast<float>(whole(7919 + j * kDepth + k));
  }
  Storage<__nv_bfloat16> of_a(cuda.space()), of_b(cuda.space());
  of_a.assign(a.data(), static_cast<Index>(a.size()));
  of_b.assign(b.data(), static_cast<Index>(b.size()));
  const HalfMatrices matrix_a{of_a.data(), 1, kRows, kDepth};
  const HalfMatrices matrix_b{of_b.data(), 1, B == Major::depth ? N : kDepth, B == Major::depth ? kDepth : N};
  using StageA = StageFactor<A, kRows>;
  using StageB = StageFactor<B, N>;
  constexpr int kShared = StageA::kBytes + StageB::kBytes;
  auto* kernel = tile_kernel<N, A, B, kFromRegisters>;
  require_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared), "test");
  cuda.begin_step();
  const Tensor<float> c = cuda.tensor({kRows, N}, false);
  const CUtensorMap map_a = cuda.tensor_map(matrix_a, StageA::kBoxRows),
                    map_b = cuda.tensor_map(matrix_b, StageB::kBoxRows);
  cuda.launch(dim3(1), dim3(128), kShared, kernel, map_a, map_b, of_a.data(), c.data);
  const auto actual = cuda.read(View<float>(c));
  int wrong = 0;
  for (int i = 0; i < kRows; ++i)
    for (int j = 0; j < N; ++j) {
      int sum = 0;
      for (int k = 0; k < kDepth; ++k) sum += whole(i * kDepth + k) * whole(7919 + j * kDepth + k);
      wrong += actual[static_cast<std::size_t>(i * N + j)] != static_cast<float>(sum) ? 1 : 0;
    }
  INFO("N = ", N, ", majors ", static_cast<int>(A), " and ", static_cast<int>(B), ", registers ", kFromRegisters);
  CHECK(wrong == 0);
}

/// Counts the tiles that blocks of pair `blockIdx.x` have, [groups, row tiles, column tiles], and pairs that share
/// nothing.
template <GroupsOf Kind>
__global__ void deal_kernel(TileOrder<Kind> order, int row_tiles, int* dealt, int* alone) {
  typename TileOrder<Kind>::Cursor cursors[2];
  ExpertTile t[2];
  for (int number = static_cast<int>(blockIdx.x); order.find(number, 0, cursors[0], t[0]); number += gridDim.x) {
    order.find(number, 1, cursors[1], t[1]);
    for (const ExpertTile& tile : t) {
      if (tile.row >= tile.row_end) continue;
      const int row = (tile.row - (Kind == GroupsOf::rows ? order.offsets[tile.group] : 0)) / ops::gemm::kTileRows;
      atomicAdd(dealt + (tile.group * row_tiles + row) * order.column_tiles + tile.column_tile, 1);
    }
    const bool same = t[0].shares_b ? t[0].column_tile == t[1].column_tile
                                    : t[0].row == t[1].row && t[0].column_tile + 1 == t[1].column_tile;
    if (t[0].group != t[1].group || t[0].shares_b != t[1].shares_b || !same) atomicAdd(alone, 1);
  }
}

/// Rows of five experts, in row tiles of 128: 0, 1, 23, 40 and 1, the last two and the second not whole.
const std::vector<int> kOffsets{0, 0, 64, 64 + 23 * 128, 64 + 23 * 128 + 39 * 128 + 64, 64 + 62 * 128 + 128};

template <GroupsOf Kind>
void check_order(Cuda<float>& cuda, int column_tiles, int rows) {
  constexpr int kGroups = 5, kMax = 40;
  Storage<int> offsets(cuda.space()), dealt(cuda.space()), alone(cuda.space());
  offsets.assign(kOffsets.data(), kGroups + 1);
  dealt.assign_zeros(kGroups * kMax * column_tiles);
  alone.assign_zeros(1);
  cuda.launch(dim3(7), dim3(1), 0, deal_kernel<Kind>, TileOrder<Kind>{offsets.data(), kGroups, column_tiles, rows, 3},
              kMax, dealt.data(), alone.data());
  std::vector<int> counts(static_cast<std::size_t>(dealt.size())), lonely(1);
  require_cuda(cudaDeviceSynchronize(), "test");
  require_cuda(cudaMemcpy(counts.data(), dealt.data(), counts.size() * sizeof(int), cudaMemcpyDefault), "test");
  require_cuda(cudaMemcpy(lonely.data(), alone.data(), sizeof(int), cudaMemcpyDefault), "test");
  int wrong = lonely[0];
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const std::size_t line = i / static_cast<std::size_t>(column_tiles), group = line / kMax;
    const int extent = Kind == GroupsOf::rows ? kOffsets[group + 1] - kOffsets[group] : rows;
    wrong += counts[i] != (static_cast<int>(line % kMax) * ops::gemm::kTileRows < extent ? 1 : 0) ? 1 : 0;
  }
  INFO("column tiles ", column_tiles, ", rows ", rows);
  CHECK(wrong == 0);
}

template <int N>
void check_width(Cuda<float>& cuda) {
  check<N, Major::depth, Major::depth, false>(cuda);
  check<N, Major::depth, Major::lines, false>(cuda);
  check<N, Major::lines, Major::depth, false>(cuda);
  check<N, Major::lines, Major::lines, false>(cuda);
  check<N, Major::depth, Major::depth, true>(cuda);
  check<N, Major::depth, Major::lines, true>(cuda);
}

}  // namespace

TEST_CASE("wgmma multiplies whole numbers exactly, in every width and layout") {
  Cuda<float> cuda;
  if (!cuda.has_wgmma()) return;
  [&]<int... I>(std::integer_sequence<int, I...>) {
    (check_width<8 * (I + 1)>(cuda), ...);
  }(std::make_integer_sequence<int, 32>{});
}

TEST_CASE("pairs of blocks are dealt every tile once, and share a factor") {
  Cuda<float> cuda;
  for (const int column_tiles : {1, 2, 3, 8, 11}) {
    check_order<GroupsOf::rows>(cuda, column_tiles, 0);
    for (const int rows : {8, 128, 352, 1408, 4096 + 72}) check_order<GroupsOf::depth>(cuda, column_tiles, rows);
  }
}
