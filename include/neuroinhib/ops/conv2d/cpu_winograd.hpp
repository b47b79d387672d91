#pragma once

#include <algorithm>
#include <type_traits>

#include <neuroinhib/ops/conv2d/op.hpp>
#include <neuroinhib/ops/gemm/cpu.hpp>
#include <neuroinhib/ops/max_pool2d/cpu.hpp>

/// Convolution by minimal filtering (Winograd; Lavin and Gray, Fast Algorithms for Convolutional Neural Networks,
/// 2016): a kernel of R × R numbers takes a tile of 6 × 6 numbers of the image to M × M of the result, M = 7 − R, with
/// 36 multiplications a pair of channels instead of (M R)². Four times fewer for R of 3 and 4, 2.8 times for 5.
///
///   image, tiles M apart      36 products                  result
///   6 × 6 × in  ── B ──▶ V [36][tiles, in] · U [36][in, out] = Y [36][tiles, out] ── A ──▶ M × M × out
///                        weight R × R ── G ──▶ U
///
/// A tile stands for the product of two polynomials, each evaluated at six places (the last is infinity) and multiplied
/// there. Gradients are the same three transforms, transposed: dY = A dy Aᵀ, dV = dY Uᵀ and dU = Vᵀ dY.
/// In float the rounding error is three times that of sums over windows: 7e-7 of the result's standard deviation at
/// 1,024 numbers a window, 2e-7 for windows.
namespace neuroinhib::ops::inline NEUROINHIB_TARGET {
namespace winograd {

inline constexpr int kSide = 6, kPlaces = kSide * kSide;

template <int Rows, int Columns>
struct Matrix {
  static constexpr int kRows = Rows, kColumns = Columns;
  double at[Rows][Columns];

  [[nodiscard]] constexpr Matrix<Columns, Rows> transposed() const {
    Matrix<Columns, Rows> result{};
    for (int i = 0; i < Rows; ++i)
      for (int j = 0; j < Columns; ++j) result.at[j][i] = at[i][j];
    return result;
  }
};

/// A polynomial's values at the six places from its `Count` coefficients, each divided by its place's divisor.
template <int Count>
[[nodiscard]] constexpr Matrix<kSide, Count> values_at_places(const double (&divisors)[kSide]) {
  constexpr double places[kSide - 1] = {0, 1, -1, 2, -.5};
  Matrix<kSide, Count> result{};
  for (int place = 0; place < kSide - 1; ++place) {
    double power = 1 / divisors[place];
    for (int i = 0; i < Count; ++i, power *= places[place]) result.at[place][i] = power;
  }
  result.at[kSide - 1][Count - 1] = 1 / divisors[kSide - 1];
  return result;
}

/// Of tiles of the image. Its rows are whole numbers, for which the weight's are divided.
inline constexpr Matrix<kSide, kSide> kInput = {{{2, 3, -4, -3, 2, 0},
                                                 {0, 2, 5, 1, -2, 0},
                                                 {0, 2, 1, -5, 2, 0},
                                                 {0, -1, -2, 1, 2, 0},
                                                 {0, -32, 16, 32, -16, 0},
                                                 {0, 2, 3, -4, -3, 2}}};
inline constexpr auto kInputBack = kInput.transposed();
template <int R>
inline constexpr auto kWeight = values_at_places<R>({2, 6, 6, 30, 15, 2});
template <int R>
inline constexpr auto kWeightBack = kWeight<R>.transposed();
template <int R>
inline constexpr auto kResultBack = values_at_places<kSide + 1 - R>({1, 1, 1, 1, 1, 1});
template <int R>
inline constexpr auto kResult = kResultBack<R>.transposed();

/// y = A x for kColumns registers `from` apart, to kRows registers `to` apart.
template <const auto& A, class V>
inline void times(const V* x, int from, V* y, int to) {
#pragma GCC unroll 6
  for (int i = 0; i < A.kRows; ++i) {
    V sum{};
#pragma GCC unroll 6
    for (int j = 0; j < A.kColumns; ++j)
      if (A.at[i][j] != 0) sum += static_cast<std::remove_cvref_t<decltype(x[0][0])>>(A.at[i][j]) * x[j * from];
    y[i * to] = sum;
  }
}

/// A x Aᵀ: a tile of registers, transformed along both sides. x(i, j) reads, put(i, j, register) takes the result.
template <const auto& A, class V, class Get, class Put>
inline void transform(const Get& x, const Put& put) {
  constexpr int kRows = A.kRows, kColumns = A.kColumns;
  V half[kRows][kColumns];
  for (int j = 0; j < kColumns; ++j) {
    V column[kColumns];
    for (int i = 0; i < kColumns; ++i) column[i] = x(i, j);
    times<A>(column, 1, &half[0][j], kColumns);
  }
  for (int i = 0; i < kRows; ++i) {
    V row[kRows];
    times<A>(half[i], 1, row, 1);
    for (int j = 0; j < kRows; ++j) put(i, j, row[j]);
  }
}

}  // namespace winograd

/// The side of the kernel where WinogradConvolution takes these extents: a square of 3 to 5 with stride 1, enough
/// channels to pay for the transforms, and at least a third fewer multiplications, tiles beyond the result's edge
/// included. Else 0.
[[nodiscard]] inline Index winograd_kernel(const ConvExtents& e) {
  const Index side = e.kernel_height, pixels = winograd::kSide + 1 - side;
  if (side != e.kernel_width || side < 3 || side > 5 || e.stride != 1 || e.in < 16 || e.out < 16) return 0;
  const Index tiles = gemm::ceil_div(e.height, pixels) * gemm::ceil_div(e.width, pixels);
  return 3 * tiles * winograd::kPlaces <= 2 * e.pixels() * side * side ? side : 0;
}

/// A convolution with a kernel of R × R numbers and stride 1, an image at a time.
template <class T, int R>
class WinogradConvolution {
 public:
  /// Transforms and packs the weight for one direction, into memory of the step.
  WinogradConvolution(Cpu<T>& cpu, const Conv2d<T>& op, const ConvExtents& e, bool forward)
      : e_(e),
        rows_(gemm::ceil_div(e.height, kPixels)),
        columns_(gemm::ceil_div(e.width, kPixels)),
        in_panels_(gemm::ceil_div(e.in, kWidth)),
        out_panels_(gemm::ceil_div(e.out, kWidth)) {
    if (forward)
      pack_for_result(cpu, op.weight.data);
    else if (op.x.wants_gradient())
      pack_for_input_gradient(cpu, op.weight.data);
  }

  /// Of one image, in the units of namespace cost.
  [[nodiscard]] Index cost() const {
    return tiles() * winograd::kPlaces * cost::multiply_adds(e_.in * e_.out + 8 * (e_.in + e_.out));
  }
  [[nodiscard]] Index forward_scratch() const { return block_size() + frame_size(); }
  [[nodiscard]] Index backward_scratch() const { return block_size() + 2 * frame_size(); }
  /// Numbers of a sum of weight gradients.
  [[nodiscard]] Index sum_size() const { return winograd::kPlaces * e_.out * e_.in; }

  /// y [pixels, out] of one image; bias [out] or null.
  void forward(const T* image, const T* bias, T* y, T* scratch) const {
    const T* frame = in_frame(image, scratch + block_size());
    for_each_block(scratch, [&](const Block& block) {
      transform_input(frame, block);
      for (int place = 0; place < winograd::kPlaces; ++place) {
        const T* v = block.in_panels + place * in_stride(block);
        T* result = block.out + place * out_stride(block);
        gemm::rows_times_panels<T>(
            block.count, [&](Index m) { return v + m * kWidth; },
            gemm::Walk{kWidth, 1, in_panels_, block.count * kWidth},
            packed_ + place * out_panels_ * in_panels_ * kWidth * kWidth, [&](Index m) { return result + m * e_.out; },
            e_.out, false);
      }
      transform_result(block, bias, y);
    });
  }

  /// From dy [pixels, out] of one image: its input gradient to dx (added where `add`) and its share of the weight
  /// gradient to `sum` (added where `add_to_sum`); neither where null.
  void backward(const T* image, const T* dy, T* dx, bool add, T* sum, bool add_to_sum, T* scratch) const {
    T* const dx_frame = scratch + block_size();
    const T* const x = sum != nullptr ? in_frame(image, dx_frame + frame_size()) : nullptr;
    T* const target = framed() ? dx_frame : dx;
    if (dx != nullptr && (framed() || !add)) std::fill_n(target, frame_numbers(), T{0});
    for_each_block(scratch, [&](const Block& block) {
      transform_result_gradient(dy, block);
      if (dx != nullptr) {
        input_products(block);
        transform_input_gradient(block, target);
      }
      if (sum != nullptr) {
        transform_input(x, block);
        weight_products(block, sum, add_to_sum || block.first > 0);
      }
    });
    if (dx != nullptr && framed()) out_of_frame(dx_frame, dx, add);
  }

  /// The weight gradient from the sums of all groups.
  void weight_gradient(Cpu<T>& cpu, const T* sums, Index groups, const GradientSlot<T>& dw) const {
    cpu.parallel_for(e_.out, groups * winograd::kPlaces * e_.in, [&](Index o) {
      for_each_lane_block<T>(e_.in, [&](Index c, auto lanes) {
        const auto total = [&](int i, int j) {
          Value value{};
          for (Index group = 0; group < groups; ++group)
            value += Vec::load(sums + group * sum_size() + ((i * winograd::kSide + j) * e_.out + o) * e_.in + c, lanes);
          return value;
        };
        winograd::transform<winograd::kWeightBack<R>, Value>(total, [&](int i, int j, const Value& value) {
          T* target = dw.data + (o * R * R + i * R + j) * e_.in + c;
          Vec::store(dw.add ? Vec::load(target, lanes) + value : value, target, lanes);
        });
      });
    });
  }

 private:
  using Vec = simd::Vector<T>;
  using Value = typename Vec::Value;
  static constexpr Index kWidth = gemm::kWidth<T>;
  static constexpr Index kPixels = winograd::kSide + 1 - R;  ///< of a tile's result, along a side
  /// Tiles that are worked on together, so that all that belongs to them stays in the second-level cache.
  static constexpr Index kBlock = 64;

  /// Some tiles, and their numbers at all places: of the image in panels [place][panel][tile][kWidth], of the result or
  /// its gradient [place][tile][out].
  struct Block {
    Index first, count;
    T *in_panels, *out;
  };

  [[nodiscard]] Index tiles() const { return rows_ * columns_; }
  [[nodiscard]] Index block() const { return std::min(kBlock, tiles()); }
  /// From one place to the next: a line more than the numbers take, else all places would share a few sets of the
  /// cache.
  [[nodiscard]] Index in_stride(const Block& block) const { return block.count * in_panels_ * kWidth + Vec::kLanes; }
  [[nodiscard]] Index out_stride(const Block& block) const { return block.count * e_.out + Vec::kLanes; }
  [[nodiscard]] Index block_size() const {
    return winograd::kPlaces * (block() * (in_panels_ * kWidth + e_.out) + 2 * Vec::kLanes);
  }
  [[nodiscard]] Index frame_height() const { return rows_ * kPixels + R - 1; }
  [[nodiscard]] Index frame_width() const { return columns_ * kPixels + R - 1; }
  [[nodiscard]] Index frame_numbers() const { return frame_height() * frame_width() * e_.in; }
  /// Tiles reach beyond the image.
  [[nodiscard]] bool framed() const { return frame_height() != e_.in_height || frame_width() != e_.in_width; }
  /// Of the memory for a frame; 0 without any.
  [[nodiscard]] Index frame_size() const { return framed() ? frame_numbers() : 0; }
  [[nodiscard]] Index corner_row(Index tile) const { return tile / columns_ * kPixels; }
  [[nodiscard]] Index corner_column(Index tile) const { return tile % columns_ * kPixels; }

  template <class Visit>
  void for_each_block(T* scratch, const Visit& visit) const {
    T* const out = scratch + winograd::kPlaces * (block() * in_panels_ * kWidth + Vec::kLanes);
    for (Index first = 0; first < tiles(); first += block())
      visit(Block{first, std::min(block(), tiles() - first), scratch, out});
  }

  /// The image within as many zeros as padding and the last tiles need.
  const T* in_frame(const T* image, T* frame) const {
    if (!framed()) return image;
    std::fill_n(frame, frame_numbers(), T{0});
    for (Index row = 0; row < e_.in_height; ++row)
      std::copy_n(image + row * e_.in_width * e_.in, e_.in_width * e_.in, frame_row(frame, row));
    return frame;
  }
  void out_of_frame(T* frame, T* dx, bool add) const {
    for (Index row = 0; row < e_.in_height; ++row) {
      const T* from = frame_row(frame, row);
      T* to = dx + row * e_.in_width * e_.in;
      for (Index i = 0; i < e_.in_width * e_.in; ++i) to[i] = add ? to[i] + from[i] : from[i];
    }
  }
  T* frame_row(T* frame, Index row) const { return frame + ((row + e_.padding) * frame_width() + e_.padding) * e_.in; }

  /// Calls visit(tile within the block, first channel, lanes).
  template <class Visit>
  static void for_each_vector(const Block& block, Index channels, const Visit& visit) {
    for (Index tile = 0; tile < block.count; ++tile)
      for_each_lane_block<T>(channels, [&](Index c, auto lanes) { visit(tile, c, lanes); });
  }

  void transform_input(const T* frame, const Block& block) const {
    if (e_.in % kWidth != 0) std::fill_n(block.in_panels, winograd::kPlaces * in_stride(block), T{0});
    for_each_vector(block, e_.in, [&](Index tile, Index c, auto lanes) {
      const T* corner =
          frame + (corner_row(block.first + tile) * frame_width() + corner_column(block.first + tile)) * e_.in + c;
      T* target = block.in_panels + (c / kWidth * block.count + tile) * kWidth + c % kWidth;
      for (int i = 0; i < kPixels; ++i)
        for (int j = 0; j < kPixels; ++j)
          __builtin_prefetch(corner + ((winograd::kSide + i) * frame_width() + R - 1 + j) * e_.in);
      winograd::transform<winograd::kInput, Value>(
          [&](int i, int j) { return Vec::load(corner + (i * frame_width() + j) * e_.in, lanes); },
          [&](int i, int j, const Value& value) {
            Vec::store(value, target + (i * winograd::kSide + j) * in_stride(block), lanes);
          });
    });
  }

  void transform_result(const Block& block, const T* bias, T* y) const {
    for_each_vector(block, e_.out, [&](Index tile, Index c, auto lanes) {
      const Index row = corner_row(block.first + tile), column = corner_column(block.first + tile);
      const T* source = block.out + tile * e_.out + c;
      const Value shift = bias != nullptr ? Vec::load(bias + c, lanes) : Value{};
      winograd::transform<winograd::kResult<R>, Value>(
          [&](int i, int j) { return Vec::load(source + (i * winograd::kSide + j) * out_stride(block), lanes); },
          [&](int i, int j, const Value& value) {
            if (row + i < e_.height && column + j < e_.width)
              Vec::store(value + shift, y + ((row + i) * e_.width + column + j) * e_.out + c, lanes);
          });
    });
  }

  void transform_result_gradient(const T* dy, const Block& block) const {
    for_each_vector(block, e_.out, [&](Index tile, Index c, auto lanes) {
      const Index row = corner_row(block.first + tile), column = corner_column(block.first + tile);
      T* target = block.out + tile * e_.out + c;
      winograd::transform<winograd::kResultBack<R>, Value>(
          [&](int i, int j) {
            return row + i < e_.height && column + j < e_.width
                       ? Vec::load(dy + ((row + i) * e_.width + column + j) * e_.out + c, lanes)
                       : Value{};
          },
          [&](int i, int j, const Value& value) {
            Vec::store(value, target + (i * winograd::kSide + j) * out_stride(block), lanes);
          });
    });
  }

  /// Adds the tiles' input gradients, which overlap, one after another.
  void transform_input_gradient(const Block& block, T* frame) const {
    for_each_vector(block, e_.in, [&](Index tile, Index c, auto lanes) {
      T* corner =
          frame + (corner_row(block.first + tile) * frame_width() + corner_column(block.first + tile)) * e_.in + c;
      const T* source = block.in_panels + tile * e_.in + c;
      winograd::transform<winograd::kInputBack, Value>(
          [&](int i, int j) { return Vec::load(source + (i * winograd::kSide + j) * in_stride(block), lanes); },
          [&](int i, int j, const Value& value) {
            T* target = corner + (i * frame_width() + j) * e_.in;
            Vec::store(Vec::load(target, lanes) + value, target, lanes);
          });
    });
  }

  /// dV = dY Uᵀ, [place][tile][in], where V's panels stand otherwise.
  void input_products(const Block& block) const {
    for (int place = 0; place < winograd::kPlaces; ++place) {
      const T* dy = block.out + place * out_stride(block);
      T* dv = block.in_panels + place * in_stride(block);
      gemm::rows_times_panels<T>(
          block.count, [&](Index m) { return dy + m * e_.out; }, gemm::Walk{e_.out},
          packed_ + place * in_panels_ * e_.out * kWidth, [&](Index m) { return dv + m * e_.in; }, e_.in, false);
    }
  }

  /// dUᵀ (+)= dYᵀ V, [place][out][in].
  void weight_products(const Block& block, T* sum, bool add) const {
    for (int place = 0; place < winograd::kPlaces; ++place) {
      const T* dy = block.out + place * out_stride(block);
      T* du = sum + place * e_.out * e_.in;
      gemm::rows_times_panels<T>(
          e_.out, [&](Index m) { return dy + m; }, gemm::Walk{block.count, e_.out},
          block.in_panels + place * in_stride(block), [&](Index m) { return du + m * e_.in; }, e_.in, add);
    }
  }

  /// Calls put(place, first channel, register, lanes) for the transformed weight of one output channel.
  template <class Put>
  void transform_weight(const T* weight, Index o, const Put& put) const {
    for_each_lane_block<T>(e_.in, [&](Index c, auto lanes) {
      winograd::transform<winograd::kWeight<R>, Value>(
          [&](int i, int j) { return Vec::load(weight + (o * R * R + i * R + j) * e_.in + c, lanes); },
          [&](int i, int j, const Value& value) { put(i * winograd::kSide + j, c, value, lanes); });
    });
  }

  /// U as right operand: [place][panel of out][in, in whole panels][kWidth].
  void pack_for_result(Cpu<T>& cpu, const T* weight) {
    const Index depth = in_panels_ * kWidth, size = winograd::kPlaces * out_panels_ * depth * kWidth;
    packed_ = cpu.template kernel_memory<T>(size);
    std::fill_n(packed_, size, T{0});
    cpu.parallel_for(e_.out, winograd::kPlaces * e_.in, [&](Index o) {
      transform_weight(weight, o, [&](int place, Index c, const Value& value, int lanes) {
        T* target = packed_ + ((place * out_panels_ + o / kWidth) * depth + c) * kWidth + o % kWidth;
        for (int lane = 0; lane < lanes; ++lane) target[lane * kWidth] = value[lane];
      });
    });
  }
  /// Uᵀ as right operand: [place][panel of in][out][kWidth].
  void pack_for_input_gradient(Cpu<T>& cpu, const T* weight) {
    const Index size = winograd::kPlaces * in_panels_ * e_.out * kWidth;
    packed_ = cpu.template kernel_memory<T>(size);
    if (e_.in % kWidth != 0) std::fill_n(packed_, size, T{0});
    cpu.parallel_for(e_.out, winograd::kPlaces * e_.in, [&](Index o) {
      transform_weight(weight, o, [&](int place, Index c, const Value& value, int lanes) {
        Vec::store(value, packed_ + ((place * in_panels_ + c / kWidth) * e_.out + o) * kWidth + c % kWidth, lanes);
      });
    });
  }

  ConvExtents e_;
  Index rows_, columns_, in_panels_, out_panels_;
  T* packed_ = nullptr;
};

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
