#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>

#include <neuroinhib/ops/attention/cuda_wgmma.cuh>
#include <neuroinhib/ops/projected_cross_entropy/op.hpp>

/// Cross-entropy over a vocabulary on Hopper's matrix unit: rows up to 62 wide.
///
/// Computed: the forward pass is attention of the rows to the classes, whose values are the classes too: log Σ exp of a
/// row's logits, and E[w], the mean of the classes by their probabilities. E[w] less the label's class is what pulls at
/// the row: its gradient, but for a factor. The backward pass has the classes' gradient left, Σ_i (P_ic − [c = l_i])
/// x_i.
///
/// Tiles of that pass: a block has 192 classes, 64 a warpgroup, and passes over a slice of the rows:
///
///                   ◀── rows, 96 at a time
///               ──┬─────┬─────┬─────┐
///   warpgroup 1   │     │     │     │    P − [c = l] is made in registers, and from there it is the left factor of
///   warpgroup 2   │     │     │     │    what is added to the classes' gradients
///   warpgroup 3   │     │     │     │
///               ──┴─────┴─────┴─────┘
///
/// Pipeline: a warp of warpgroup 0 has the copy engine bring classes, and rows with their log-sums and labels as long
/// as a stage is empty. A multiplying warpgroup issues a tile's products while the matrix unit still adds up the tile
/// before; the three keep it busy while one of them takes exponentials.
///
/// Arithmetic: x is [x, 1, 1] and a class [w, b, what b's rounding leaves], as scaled two-byte floats of tf32's ten
/// bits (attention/cuda_halves.cuh); sums are floats. P − [c = l] is rounded to two bytes, times 2¹⁴. Slices are added
/// up in their order.
namespace neuroinhib::ops::classes {

using flash::FactorSize, flash::SwizzledRows;

inline constexpr int kBiases = 2;               ///< columns of ones, and of a class's bias
inline constexpr Index kWidest = 64 - kBiases;  ///< row
inline constexpr float kExponent = 14;          ///< weights are two-byte floats times 2 to the power of this

struct Plan {
  static constexpr int kWidth = 64, kConsumers = 3, kOwn = flash::kRowsEach * kConsumers, kTile = 96, kStages = 6;
  static constexpr int kThreads = (1 + kConsumers) * wgmma::kWarpgroup;
  static constexpr int kProducerRegisters = 32, kConsumerRegisters = 160;
  using Own = SwizzledRows<kOwn, 1>;
  using Rows = SwizzledRows<kTile, 1>;
  static constexpr int kNumberBytes = 2 * kTile * 4, kStageBytes = Rows::kBytes + kNumberBytes;
  static constexpr int kSharedBytes = 2 * Own::kBytes + kStages * kStageBytes + (2 * kStages + 4) * 8;
};

/// What the pass needs besides factors.
struct ClassGradient {
  int classes, tiles, steps, slices;  ///< tiles of classes and of rows; slices of the rows
  const float* log_sums;              ///< [padded rows] to base 2 less 14, infinite where a row does not count
  const int* labels;                  ///< [padded rows]
  const FactorSize* sizes;
  float* parts;  ///< [slices, classes, 64]
};
struct ClassMaps {
  CUtensorMap classes, rows;
};

/// The shared memory of a block: two tiles of classes by turns, and stages of rows.
struct Memory {
  unsigned char* base;

  __device__ unsigned char* own(int round) const { return base + round % 2 * Plan::Own::kBytes; }
  __device__ unsigned char* rows(int stage) const { return base + 2 * Plan::Own::kBytes + stage * Plan::Rows::kBytes; }
  __device__ float* log_sums(int stage) const {
    return reinterpret_cast<float*>(rows(Plan::kStages) + stage * Plan::kNumberBytes);
  }
  __device__ int* labels(int stage) const { return reinterpret_cast<int*>(log_sums(stage) + Plan::kTile); }
  __device__ tiles::Barrier& full(int stage) const {
    return reinterpret_cast<tiles::Barrier*>(log_sums(Plan::kStages))[stage];
  }
  __device__ tiles::Barrier& empty(int stage) const { return full(Plan::kStages + stage); }
  __device__ tiles::Barrier& full_own(int round) const { return full(2 * Plan::kStages + round % 2); }
  __device__ tiles::Barrier& empty_own(int round) const { return full(2 * Plan::kStages + 2 + round % 2); }
};

/// A block's work in a round: a tile of classes, and the steps of a slice.
struct Work {
  int tile, slice, begin, end;

  __device__ Work(const ClassGradient& g, int round) {
    const int number = static_cast<int>(blockIdx.x) + round * static_cast<int>(gridDim.x);
    tile = number % g.tiles;
    slice = number / g.tiles;
    begin = static_cast<int>(static_cast<Index>(g.steps) * slice / g.slices);
    end = slice < g.slices ? static_cast<int>(static_cast<Index>(g.steps) * (slice + 1) / g.slices) : begin;
  }
  __device__ bool any() const { return begin < end; }
};

#ifdef NEUROINHIB_WGMMA

/// The thread that has classes and rows brought.
__device__ inline void bring(const Memory& memory, const ClassMaps& maps, const ClassGradient& g) {
  gemm::StageCursor<Plan::kStages> at{0, 1};  // all stages are empty
  int round = 0;
  for (Work work(g, 0); work.any(); work = Work(g, ++round)) {
    memory.empty_own(round).wait(round / 2 % 2 ^ 1);
    memory.full_own(round).arrive_and_expect(Plan::Own::kBytes);
    Plan::Own::load(memory.own(round), maps.classes, memory.full_own(round), work.tile * Plan::kOwn, 0);
    for (int step = work.begin; step < work.end; ++step, at.advance()) {
      tiles::Barrier& full = memory.full(at.stage);
      const int first = step * Plan::kTile;
      memory.empty(at.stage).wait(at.parity);
      full.arrive_and_expect(Plan::kStageBytes);
      Plan::Rows::load(memory.rows(at.stage), maps.rows, full, first, 0);
      tiles::load_bytes(memory.log_sums(at.stage), g.log_sums + first, full, Plan::kTile * 4);
      tiles::load_bytes(memory.labels(at.stage), g.labels + first, full, Plan::kTile * 4);
    }
  }
}

/// A warpgroup that multiplies.
struct Consumer {
  static constexpr auto kDepth = wgmma::Major::depth, kLines = wgmma::Major::lines;
  static constexpr int kSteps = Plan::kTile / 16;
  using Products = float[Plan::kTile / 2];
  using Results = float[Plan::kWidth / 2];
  using Fragments = std::uint32_t[kSteps][4];

  const Memory& memory;
  const ClassGradient& g;
  int group;  ///< among those that multiply
  gemm::StageCursor<Plan::kStages> at{};
  float factor = 0;  ///< of products, to make logits to base 2

  __device__ static int lane_row() {
    return static_cast<int>(threadIdx.x) % wgmma::kWarpgroup / 32 * 16 + static_cast<int>(threadIdx.x) % 32 / 4;
  }
  __device__ static int lane_column() { return static_cast<int>(threadIdx.x) % 4 * 2; }
  __device__ void release(tiles::Barrier& barrier) const {
    if (threadIdx.x % detail::kWarp == 0) barrier.arrive();
  }
  /// Issues products of own classes with rows.
  __device__ __forceinline__ void multiply(Products& sums, const unsigned char* own) const {
    const std::uint64_t a = Plan::Own::name<kDepth>(own, flash::kRowsEach * group),
                        b = Plan::Rows::name<kDepth>(memory.rows(at.stage), 0);
    wgmma::settle(sums);
    wgmma::order();
#pragma unroll
    for (int i = 0; i < Plan::kWidth / 16; ++i)
      wgmma::multiply<__half, kDepth, kDepth>(sums, a + Plan::Own::step<kDepth>(i), b + Plan::Rows::step<kDepth>(i),
                                              i > 0);
    wgmma::commit();
  }
  /// Products into 2¹⁴ (P − [c = l]); `own` is the thread's first class, the other is 8 further.
  __device__ __forceinline__ void weigh(Products& products, int own) const {
    const float* const log_sums = memory.log_sums(at.stage);
    const int* const labels = memory.labels(at.stage);
#pragma unroll
    for (int j = 0; j < Plan::kTile / 8; ++j)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int column = 8 * j + lane_column() + i % 2;
        const float weight = flash::power_of_two(fmaf(products[4 * j + i], factor, -log_sums[column]));
        products[4 * j + i] = labels[column] == own + i / 2 * 8 ? weight - 16384.f : weight;
      }
  }
  /// Issues results += weights · rows.
  __device__ __forceinline__ void add(Results& results, const Fragments& weights) const {
    const std::uint64_t b = Plan::Rows::name<kLines>(memory.rows(at.stage), 0);
    wgmma::order();
#pragma unroll
    for (int k = 0; k < kSteps; ++k)
      wgmma::multiply<__half, kLines>(results, weights[k], b + Plan::Rows::step<kLines>(k), true);
    wgmma::commit();
  }
  /// All rows of the slice. What a tile adds is still under way when the next tile's products are issued.
  __device__ __forceinline__ void pass(const Work& work, const unsigned char* own, Results& results) {
    const int first = work.tile * Plan::kOwn + flash::kRowsEach * group + lane_row();
    Products products;
    Fragments weights{};
    wgmma::settle(results);
    for (int step = work.begin; step < work.end; ++step) {
      memory.full(at.stage).wait(at.parity);
      multiply(products, own);
      wgmma::wait<0>();
      wgmma::settle(products);
      flash::hold(weights);
      if (step > work.begin) release(memory.empty(at.before().stage));
      weigh(products, first);
#pragma unroll
      for (int k = 0; k < kSteps; ++k)
#pragma unroll
        for (int i = 0; i < 4; ++i)
          weights[k][i] = flash::pair_of_halves(products[8 * k + 2 * i], products[8 * k + 2 * i + 1]);
      add(results, weights);
      at.advance();
    }
    wgmma::wait<0>();
    wgmma::settle(results);
    flash::hold(weights);
    release(memory.empty(at.before().stage));
  }
  __device__ __forceinline__ void store(const Work& work, const Results& results) const {
    const int first = work.tile * Plan::kOwn + flash::kRowsEach * group + lane_row();
#pragma unroll
    for (int j = 0; j < Plan::kWidth / 8; ++j)
#pragma unroll
      for (int r = 0; r < 2; ++r)
        if (const int own = first + 8 * r; own < g.classes)
          *reinterpret_cast<float2*>(g.parts + (static_cast<Index>(work.slice) * g.classes + own) * Plan::kWidth +
                                     8 * j + lane_column()) = {results[4 * j + 2 * r], results[4 * j + 2 * r + 1]};
  }
  __device__ __forceinline__ void run() {
    factor = flash::logit_factor(1, g.sizes);
    int round = 0;
    for (Work work(g, 0); work.any(); work = Work(g, ++round)) {
      Results results = {};
      memory.full_own(round).wait(round / 2 % 2);
      pass(work, memory.own(round), results);
      release(memory.empty_own(round));
      store(work, results);
    }
  }
};

#endif

template <int = 0>
__global__ void __launch_bounds__(Plan::kThreads, 1)
    class_gradient_kernel(const __grid_constant__ ClassMaps maps, const __grid_constant__ ClassGradient g) {
#ifdef NEUROINHIB_WGMMA
  detail::pdl_begin();
  extern __shared__ __align__(1024) unsigned char shared[];
  const Memory memory{shared};
  if (threadIdx.x == 0) flash::start_barriers<Plan>(memory);
  __syncthreads();
  if (threadIdx.x < wgmma::kWarpgroup) {
    tiles::give_registers<Plan::kProducerRegisters>();
    if (threadIdx.x == 0) bring(memory, maps, g);
  } else {
    tiles::take_registers<Plan::kConsumerRegisters>();
    const int group = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / wgmma::kWarpgroup, 0) - 1;
    Consumer{memory, g, group}.run();
  }
#endif
}

/// Parts of `work` for blocks that take `tiles` pieces of a part each, so that the last round is fullest; of those that
/// divide `divisible`.
[[nodiscard]] inline int slices_for(int multiprocessors, Index tiles, Index divisible) {
  constexpr int kMax = 8;
  int best = 1;
  double least = 0;
  for (int slices = 1; slices <= kMax; ++slices) {
    if (divisible % slices != 0) continue;
    const double rounds = std::ceil(static_cast<double>(tiles * slices) / multiprocessors) / slices;
    if (least == 0 || rounds < 0.93 * least) best = slices, least = rounds;
  }
  return best;
}

/// Rows with their ones, once a slice of the classes, and classes with their biases, as attention takes them.
struct Operands {
  Index rows, classes, width;  ///< width with the biases' columns
  int slices;
  float *x, *w;  ///< [slices, rows, width], [classes, width]

  /// The attention of rows to the classes of each slice.
  [[nodiscard]] FlashAttention<float> attention(float* y, float* log_sum) const {
    const Index own = classes / slices;
    FlashAttention<float> s{{slices, rows, own, own}, 1, width, width, 1.f};
    s.q = {x, width, 0};
    s.k = s.v = {w, width, 0};
    s.y = {y, width, 0};
    s.log_sum = {log_sum, 1, 0};
    return s;
  }
};

template <std::same_as<Cuda<float>> B>
[[nodiscard]] Operands make_operands(B& cuda, const ProjectedCrossEntropy<float>& op, int slices) {
  const Index rows = op.x.rows(), classes = op.weight.rows(), own = op.x.cols(), width = own + kBiases;
  const Operands o{rows,
                   classes,
                   width,
                   slices,
                   cuda.template kernel_memory<float>(slices * rows * width),
                   cuda.template kernel_memory<float>(classes * width)};
  const float *from_x = op.x.data, *from_w = op.weight.data, *bias = op.bias.data;
  const auto of_x = detail::elements(rows * width, [=] __device__(Index i) {
    const Index row = i / width, c = i % width;
    const float number = c < own ? from_x[row * own + c] : 1.f;
    for (int slice = 0; slice < slices; ++slice) o.x[slice * rows * width + i] = number;
  });
  const auto of_w = detail::elements(classes * width, [=] __device__(Index i) {
    const Index c = i / width, column = i % width;
    const float b = bias != nullptr ? bias[c] : 0.f, high = __half2float(__float2half_rn(b));
    o.w[i] = column < own ? from_w[c * own + column] : column == own ? high : b - high;
  });
  cuda.launch_together(of_x, of_w);
  return o;
}

/// log_sum, and E[w] less the label's class, where that is kept.
template <std::same_as<Cuda<float>> B>
void forward(B& cuda, const ProjectedCrossEntropy<float>& op) {
  const ArenaScope scope(cuda.device_arena());
  const Index rows = op.x.rows(), classes = op.weight.rows(), own = op.x.cols();
  using P = flash::WgmmaPlan<Plan::kWidth>;
  const int slices = slices_for(cuda.multiprocessors(), (rows + P::kQueries - 1) / P::kQueries, classes);
  const Operands operands = make_operands(cuda, op, slices);
  const Index width = operands.width;
  auto *means = cuda.template kernel_memory<float>(slices * rows * width),
       *log_sums = cuda.template kernel_memory<float>(slices * rows);
  flash::run_wgmma<P>(cuda, operands.attention(means, log_sums));
  cuda.parallel_rows(rows, 1, [=] __device__(Index row, const detail::Team<float>& team) {
    float largest = log_sums[row], sum = 0;
    for (int slice = 1; slice < slices; ++slice) largest = fmaxf(largest, log_sums[slice * rows + row]);
    for (int slice = 0; slice < slices; ++slice) sum += expf(log_sums[slice * rows + row] - largest);
    const float total = largest + logf(sum);
    if (team.lane == 0) op.log_sum[row] = total;
    if (op.pull.data == nullptr) return;
    const int label = op.labels[row];
    for (Index c = team.lane; c < own; c += team.size) {
      float mean = 0;
      for (int slice = 0; slice < slices; ++slice)
        mean += expf(log_sums[slice * rows + row] - total) * means[(slice * rows + row) * width + c];
      op.pull[row * own + c] = label >= 0 && label < classes ? mean - op.weight[label * own + c] : 0.f;
    }
  });
}

/// Log-sums and labels of rows filled up to whole tiles.
struct PaddedRows {
  float* log_sums;
  int* labels;
};
template <std::same_as<Cuda<float>> B>
[[nodiscard]] PaddedRows pad_rows(B& cuda, const ProjectedCrossEntropy<float>& op, Index padded) {
  const Index rows = op.x.rows();
  const PaddedRows p{cuda.template kernel_memory<float>(padded), cuda.template kernel_memory<int>(padded)};
  cuda.parallel_for(padded, [=] __device__(Index row) {
    const bool counts = row < rows && op.labels[row] >= 0;
    p.log_sums[row] = counts ? op.log_sum[row] * 1.4426950408889634f - kExponent : INFINITY;
    p.labels[row] = counts ? op.labels[row] : -1;
  });
  return p;
}

template <std::same_as<Cuda<float>> B>
void backward(B& cuda, const ProjectedCrossEntropy<float>& op) {
  const ArenaScope scope(cuda.device_arena());
  const auto dx = op.x.claim_gradient(), dw = op.weight.claim_gradient(), db = op.bias.claim_gradient();
  const Index rows = op.x.rows(), classes = op.weight.rows(), own = op.x.cols();
  const Index tiles = (classes + Plan::kOwn - 1) / Plan::kOwn, steps = (rows + Plan::kTile - 1) / Plan::kTile;
  const float* dy = op.y.gradient;
  const auto of_x = detail::elements(dx ? rows * own : 0,
                                     [=] __device__(Index i) { dx.put(i, -dy[0] * op.delta[i / own] * op.pull[i]); });
  if (!dw && !db) return cuda.launch_together(of_x);
  const Operands operands = make_operands(cuda, op, 1);
  const PaddedRows padded = pad_rows(cuda, op, steps * Plan::kTile);
  const flash::HalfFactors factors(cuda, operands.attention(nullptr, nullptr), Plan::kWidth);
  constexpr Index kAny = 840;  // has all divisors up to 8
  const int slices = std::min(slices_for(cuda.multiprocessors(), tiles, kAny), static_cast<int>(steps));
  auto* parts = cuda.template kernel_memory<float>(slices * classes * Plan::kWidth);
  const ClassGradient g{static_cast<int>(classes), static_cast<int>(tiles), static_cast<int>(steps), slices,
                        padded.log_sums,           padded.labels,           factors.sizes,           parts};
  const ClassMaps maps{cuda.tensor_map(factors.copies[flash::kKeyFactor], Plan::kOwn),
                       cuda.tensor_map(factors.copies[flash::kQueryFactor], Plan::kTile)};
  const Index blocks = std::min<Index>(cuda.multiprocessors(), tiles * slices);
  auto* kernel = class_gradient_kernel<>;
  cuda.allow_shared(kernel, Plan::kSharedBytes);
  cuda.launch_pdl(dim3(static_cast<unsigned>(blocks)), dim3(Plan::kThreads), Plan::kSharedBytes, kernel, maps, g);
  const FactorSize* const sizes = factors.sizes;
  const auto of_classes = detail::elements(classes * (own + 1), [=] __device__(Index i) {
    const Index c = i / (own + 1), column = i % (own + 1);
    float sum = 0;
    for (int slice = 0; slice < slices; ++slice) sum += parts[(slice * classes + c) * Plan::kWidth + column];
    sum *= -dy[0] * op.delta[rows] * sizes[flash::kQueryFactor].inverse * exp2f(-kExponent);
    if (column < own && dw) dw.put(c * own + column, sum);
    if (column == own && db) db.put(c, sum);
  });
  cuda.launch_together(of_x, of_classes);
}

/// Whether these kernels compute it: on Hopper, in precisions of ten bits, for rows that attention's kernel takes.
[[nodiscard]] inline bool suit(const Cuda<float>& cuda, Index rows, Index width) {
  constexpr Index kNarrow = 24, kFew = 256;
  return cuda.multiplies_scaled_halves() && width > kNarrow && width <= kWidest && rows >= kFew;
}

}  // namespace neuroinhib::ops::classes
