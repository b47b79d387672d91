#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/backend/cuda_halves.cuh>
#include <neuroinhib/ops/attention/cuda_similarity_shares.cuh>
#include <neuroinhib/ops/attention/flash.hpp>

/// What the matrix unit multiplies in similarity-inform routing on Hopper, made of queries, keys and values in float.
///
/// Computed: of each query and key x integers of eight bits, x = step · integers + error, and halves, x = unit · (high
/// + low), which miss 2⁻²² of a number: unit is a power of two, so that |x| / unit lies in [2¹⁴, 2¹⁵). Of values the
/// same halves, with one unit for 128 keys.
///
/// Tiles: a warp has a row, or half a warp where keys have biases, whose rows are narrower; a block has 128 keys'
/// values.
///
/// Pipeline: rows up to 1,024 wide stay in registers between finding their largest number and dividing by it; the last
/// rows come first, since what has computed them may have left those in the cache.
namespace neuroinhib::ops::similarity {

inline constexpr float kLog2E = 1.44269504f, kLn2 = 0.693147181f;

/// What is kept of a query. factor · a key's unit · product of halves = logit · log₂e. If integers were exact, products
/// of integers times a key's step would weigh something from `threshold` on; they may be off by `error` · |k| + `size`
/// · the key's error. Each 1 of a logit is `logit` in these.
struct QueryNumbers {
  float factor, threshold, error, size, logit;
};
/// What is kept of a key: what 1 stands for in its halves and integers, |k|, how far integers are from it, and what its
/// logits have besides the product.
struct KeyNumbers {
  float unit, step, norm, error, bias;
};

/// Rows in high and low halves, [sequences, rows, width], with the width filled up with zeros to whole pieces of eight.
struct Halves {
  Index sequences, rows, width;
  __half *high, *low;  ///< low null where it is not wanted

  Halves(Cuda<float>& cuda, Index count, Index rows_each, Index columns, bool both)
      : sequences(count), rows(rows_each), width((columns + 7) / 8 * 8) {
    high = cuda.kernel_memory<__half>(count * rows * width);
    low = both ? cuda.kernel_memory<__half>(count * rows * width) : nullptr;
  }
  void map(Cuda<float>& cuda, CUtensorMap (&maps)[2]) const {
    const auto of = [&](const __half* numbers) { return cuda.tensor_map({numbers, sequences, rows, width}, kTile); };
    maps[0] = of(high);
    maps[1] = of(low != nullptr ? low : high);
  }
};

/// Rows in integers of eight bits, four a word, [sequences, rows, width], with the width filled up to whole pieces of
/// sixteen.
struct Integers {
  Index sequences, rows, width;
  std::uint32_t* fours;  ///< null where they are not wanted

  Integers(Cuda<float>& cuda, Index count, Index rows_each, Index columns, bool wanted)
      : sequences(count), rows(rows_each), width((columns + 15) / 16 * 16) {
    fours = wanted ? cuda.kernel_memory<std::uint32_t>(count * rows * width / 4) : nullptr;
  }
  [[nodiscard]] CUtensorMap map(Cuda<float>& cuda) const {  // two travel as one half
    return cuda.tensor_map({fours, sequences, rows, width / 2}, kTile);
  }
};

/// Eight numbers that lie side by side.
struct Eight {
  float x[8] = {};

  Eight() = default;
  /// Those of a row from `c` on, zeros beyond its width.
  __device__ Eight(const float* row, Index c, Index width, bool in_fours) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float4 four = detail::four_of(row, c + 4 * half, width, in_fours);
      x[4 * half] = four.x, x[4 * half + 1] = four.y, x[4 * half + 2] = four.z, x[4 * half + 3] = four.w;
    }
  }
  __device__ float inner(const Eight& other) const {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) sum += x[i] * other.x[i];
    return sum;
  }
  __device__ float largest() const {
    float value = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) value = fmaxf(value, fabsf(x[i]));
    return value;
  }
  /// Puts them times a power of two from `at` on.
  __device__ void put(const Halves& halves, Index at, float scale) const {
    std::uint32_t high[4], low[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float a = x[2 * i] * scale, b = x[2 * i + 1] * scale;
      high[i] = detail::take_high(a, b);
      low[i] = detail::take_high(a, b);
    }
    *reinterpret_cast<uint4*>(halves.high + at) = {high[0], high[1], high[2], high[3]};
    if (halves.low != nullptr) *reinterpret_cast<uint4*>(halves.low + at) = {low[0], low[1], low[2], low[3]};
  }
  /// Puts them as integers from `at` on; returns Σ of the squares of what these miss. A number below 2²² is rounded
  /// by adding 1.5 · 2²³, which leaves it in the lowest bits.
  __device__ float put(const Integers& integers, Index at, float per_step, float step) const {
    constexpr float kRounding = 12582912;
    std::uint32_t fours[2] = {0, 0};
    float missed = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float rounded = __fmaf_rn(x[i], per_step, kRounding), rest = __fmaf_rn(kRounding - rounded, step, x[i]);
      missed += rest * rest;
      fours[i / 4] |= (__float_as_uint(rounded) & 255u) << (8 * (i % 4));
    }
    *reinterpret_cast<uint2*>(integers.fours + at / 4) = {fours[0], fours[1]};
    return missed;
  }
};

[[nodiscard]] inline bool in_fours(const HeadRows<const float>& rows, Index width) {
  return reinterpret_cast<std::uintptr_t>(rows.data) % 16 == 0 && rows.stride % 4 == 0 && rows.head % 4 == 0 &&
         width % 4 == 0;
}

/// A head's number: read on the device where it was chosen there.
struct HeadNumber {
  const int* chosen = nullptr;
  int at = 0;
  __device__ int operator()() const { return chosen != nullptr ? *chosen : at; }
};

/// Rows of one matrix.
struct PlainRows {
  HeadRows<const float> rows;
  Index width;

  struct Row {
    const float* numbers;
    const PlainRows& of;

    /// Those from `c` on; `aligned`: in_fours().
    [[nodiscard]] __device__ Eight eight(Index c, bool aligned) const { return {numbers, c, of.width, aligned}; }
  };
  [[nodiscard]] __device__ Row at(Index row) const { return {rows.at(row, 0), *this}; }
  [[nodiscard]] bool in_fours() const { return similarity::in_fours(rows, width); }
};

/// Rows of one head in two matrices, side by side, each times a factor.
struct PairedRows {
  HeadRows<const float> left, right;
  Index left_width, right_width;
  float left_factor, right_factor;
  HeadNumber left_head, right_head;

  struct Row {
    const float *left, *right;  ///< right[left_width]: the first of the right ones
    const PairedRows& of;

    [[nodiscard]] __device__ Eight eight(Index c, bool aligned) const {
      Eight numbers;
#pragma unroll
      for (int i = 0; i < 8; i += 4) put_four(numbers.x + i, c + i, aligned);
      return numbers;
    }

   private:
    __device__ void put_four(float* four, Index c, bool aligned) const {
      const bool all_left = c + 4 <= of.left_width, mixed = !aligned && !all_left && c < of.left_width;
      const Index end = all_left ? of.left_width : of.left_width + of.right_width;
      const float factor = all_left ? of.left_factor : of.right_factor;
      const float4 x = detail::four_of(all_left ? left : right, mixed ? end : c, end, aligned);
      four[0] = factor * x.x, four[1] = factor * x.y, four[2] = factor * x.z, four[3] = factor * x.w;
      for (Index i = 0; mixed && i < 4 && c + i < end; ++i)
        four[i] = c + i < of.left_width ? of.left_factor * left[c + i] : factor * right[c + i];
    }
  };
  [[nodiscard]] __device__ Row at(Index row) const {
    return {left.at(row, left_head()), right.at(row, right_head()) - left_width, *this};
  }
  [[nodiscard]] bool in_fours() const {
    return similarity::in_fours(left, left_width) && similarity::in_fours(right, right_width);
  }
};

/// `Size` neighbouring lanes of a warp that work on one row, whatever the others do.
template <int Size>
struct Lanes {
  static constexpr int size = Size;
  int lane;

  __device__ explicit Lanes(int thread) : lane(thread % Size) {}
  /// The same on all, in a fixed order.
  __device__ float sum(float value) const {
#pragma unroll
    for (int step = Size / 2; step > 0; step /= 2) value += __shfl_xor_sync(mask(), value, step);
    return value;
  }
  /// The largest, or NaN where there is one.
  __device__ float max(float value) const {
#pragma unroll
    for (int step = Size / 2; step > 0; step /= 2) {
      const float other = __shfl_xor_sync(mask(), value, step);
      value = other <= value || value != value ? value : other;
    }
    return value;
  }

 private:
  __device__ static unsigned mask() {
    constexpr unsigned kAll = Size == detail::kWarp ? 0xffffffffu : (1u << Size % detail::kWarp) - 1;
    return kAll << threadIdx.x % detail::kWarp / Size * Size;
  }
};

/// No biases.
struct NoBias {
  template <class Row, class Team>
  __device__ float operator()(const Row& /*key*/, const Team& /*team*/) const {
    return 0;
  }
};
/// Biases of keys: factor · vᵀ G v of a key's right part v.
struct QuadraticBias {
  const float* matrix;  ///< G, symmetric, its rows filled up with zeros to whole fours
  float factor;

  /// Numbers of a row of G.
  [[nodiscard]] __host__ __device__ static Index padded(Index width) { return (width + 3) / 4 * 4; }
  template <class Team>
  __device__ float operator()(const PairedRows::Row& key, const Team& team) const {
    const float* const v = key.right + key.of.left_width;
    const int width = static_cast<int>(key.of.right_width), stride = static_cast<int>(padded(width));
    float sum = 0;
    for (int first = 4 * team.lane; first < width; first += 4 * team.size) {
      const auto* row = reinterpret_cast<const float4*>(matrix + first);
      float4 product{0, 0, 0, 0};
#pragma unroll 8
      for (int r = 0; r < width; ++r, row += stride / 4) {
        const float4 numbers = *row;
        product.x += v[r] * numbers.x, product.y += v[r] * numbers.y;
        product.z += v[r] * numbers.z, product.w += v[r] * numbers.w;
      }
      const auto at = [&](int c) { return c < width ? v[c] : 0.f; };
      sum += at(first) * product.x + at(first + 1) * product.y + at(first + 2) * product.z + at(first + 3) * product.w;
    }
    return factor * team.sum(sum);
  }
};

/// Rows of queries, of keys, or of both where they are the same.
/// `Cached`: eights that a lane keeps.
template <class Source, class Bias, int Cached>
struct SplitRows {
  static constexpr bool kBiased = !std::is_same_v<Bias, NoBias>;
  static constexpr int kLanes = kBiased ? 16 : detail::kWarp;  ///< that a row has
  static constexpr int kBlocks = Cached > 2 ? 3 : 4;           ///< on a multiprocessor

  FlashAttention<float> s;
  Source source, key_source;
  Bias bias;          ///< of keys
  Index each, apart;  ///< rows of a sequence, and from one to the next
  Halves halves;
  Integers integers;
  QueryNumbers* queries;  ///< null where they are keys alone
  KeyNumbers* keys;       ///< null where they are queries alone
  float margin;           ///< what lies so far below a token's own logit weighs nothing
  bool aligned;

  [[nodiscard]] __host__ __device__ Index count() const { return s.sight.count * each; }

  template <class Team>
  __device__ void operator()(Index row, const Team& team) const {
    const unsigned number = static_cast<unsigned>(row), of_each = static_cast<unsigned>(each);
    const Index sequence = number / of_each, i = number % of_each, width = s.key_width;
    const auto x = source.at(sequence * apart + i);
    const Index own = sequence * s.sight.key_rows + s.sight.past + i;  // the query's own key
    const bool other = queries != nullptr && keys == nullptr && !kBiased;
    const Index step = 8 * team.size, lane = 8 * team.lane, rest = lane + Cached * step;
    Eight cache[Cached];
    float square = 0, inner = 0, largest = 0;
    const auto look = [&](Index c, const Eight& eight) {
      square += eight.inner(eight);
      largest = fmaxf(largest, eight.largest());
      if (other) inner += eight.inner(key_source.at(own).eight(c, aligned));
    };
#pragma unroll
    for (int j = 0; j < Cached; ++j)
      if (lane + j * step < width) cache[j] = x.eight(lane + j * step, aligned);
    const float unfit = keys != nullptr ? unfit_value(sequence, i, team) : 0;
#pragma unroll
    for (int j = 0; j < Cached; ++j)
      if (lane + j * step < width) look(lane + j * step, cache[j]);
    for (Index c = rest; c < width; c += step) look(c, x.eight(c, aligned));
    square = team.sum(square);
    const float norm = sqrtf(square), scale = detail::scale_for(norm), unit_of_eight = team.max(largest) / 127;
    const float per_step = unit_of_eight > 1e-30f ? 1 / unit_of_eight : 0;
    float missed = 0;
    const auto put = [&](Index c, const Eight& eight) {
      if (c < halves.width) eight.put(halves, row * halves.width + c, scale);
      if (integers.fours != nullptr) missed += eight.put(integers, row * integers.width + c, per_step, unit_of_eight);
    };
#pragma unroll
    for (int j = 0; j < Cached; ++j)
      if (lane + j * step < integers.width) put(lane + j * step, cache[j]);
    for (Index c = rest; c < integers.width; c += step) put(c, x.eight(c, aligned));
    const float error = 1.0001f * sqrtf(team.sum(missed)) + 1e-5f * norm;  // and what sums in float have lost
    if (queries != nullptr) {
      const float own_product = other ? team.sum(inner) : square;
      const float threshold = kBiased ? -INFINITY : (own_product - margin / s.scale) * per_step;
      if (team.lane == 0)
        queries[row] = {s.scale * kLog2E / scale, threshold, error * per_step, (norm + error) * per_step,
                        kBiased ? per_step / s.scale : 0};
    }
    if (keys == nullptr) return;
    KeyNumbers key{1 / scale, unit_of_eight, norm, error, bias(x, team)};
    if (!(key.error + unfit + key.bias < INFINITY)) key.error = INFINITY;  // it weighs
    if (team.lane == 0) keys[row] = key;
  }

 private:
  /// Zero; NaN where a key's values are not finite.
  template <class Team>
  __device__ float unfit_value(Index sequence, Index i, const Team& team) const {
    const float* const values = s.v.at(sequence * s.sight.key_rows + i, 0);
    float zero = 0;
    for (Index c = team.lane; c < s.value_width; c += team.size) zero += values[c] * 0;
    return team.sum(zero);
  }
};

/// Values, 128 keys at a time.
struct SplitValues {
  FlashAttention<float> s;
  Halves halves;
  int tiles;     ///< of a sequence
  float* units;  ///< [sequences, tiles]
  bool aligned;

  [[nodiscard]] Index count() const { return s.sight.count * tiles; }

  __device__ void operator()(int tile, const detail::Team<float>& team) const {
    const Index sequence = tile / tiles, first = static_cast<Index>(tile % tiles) * kTile;
    const int eights = static_cast<int>(halves.width / 8),
              count = static_cast<int>(first + kTile < halves.rows ? kTile : halves.rows - first) * eights;
    const auto eight = [&](int i) {
      const float* const row = s.v.at(sequence * s.sight.key_rows + first + i / eights, 0);
      return Eight(row, i % eights * 8, s.value_width, aligned);
    };
    float largest = 0;
    for (int i = team.lane; i < count; i += team.size) largest = fmaxf(largest, eight(i).largest());
    const float scale = detail::scale_for(team.max(largest));
    for (int i = team.lane; i < count; i += team.size)
      eight(i).put(halves, (sequence * halves.rows + first) * halves.width + 8 * i, scale);
    if (team.lane == 0) units[tile] = 1 / scale;
  }
};

/// The first blocks have values, the others rows; `queries` has none where keys are queries too.
template <class Rows>
__global__ void __launch_bounds__(detail::kThreads, Rows::kBlocks)
    split_kernel(SplitValues values, int value_tiles, Rows keys, Index key_rows, Rows queries, Index query_rows) {
  detail::pdl_begin();
  __shared__ float scratch[detail::kThreads / detail::kWarp];
  const int thread = static_cast<int>(threadIdx.x), block = static_cast<int>(blockIdx.x);
  if (block < value_tiles) return values(block, {thread, detail::kThreads, scratch});
  const Lanes<Rows::kLanes> lanes(thread);
  const Index row = key_rows + query_rows - 1 -
                    static_cast<Index>(block - value_tiles) * (detail::kThreads / Rows::kLanes) - thread / Rows::kLanes;
  if (row < 0) return;
  row < key_rows ? keys(row, lanes) : queries(row - key_rows, lanes);
}

/// Splits keys, queries and values.
template <class Rows>
void split(Cuda<float>& cuda, const SplitValues& values, const Rows& keys, const Rows* queries) {
  constexpr Index kRows = detail::kThreads / Rows::kLanes;
  const Index query_rows = queries != nullptr ? queries->count() : 0;
  const Index blocks = values.count() + (keys.count() + query_rows + kRows - 1) / kRows;
  cuda.launch_pdl(dim3(static_cast<unsigned>(blocks)), dim3(detail::kThreads), 0, split_kernel<Rows>, values,
                  static_cast<int>(values.count()), keys, keys.count(), queries != nullptr ? *queries : keys,
                  query_rows);
}

}  // namespace neuroinhib::ops::similarity
