#pragma once

#include <array>

#include <neuroinhib/ops/attention/cuda_cublas.cuh>
#include <neuroinhib/ops/attention/cuda_flash.cuh>
#include <neuroinhib/ops/attention/cuda_short.cuh>
#include <neuroinhib/ops/attention/cuda_similarity.cuh>
#include <neuroinhib/ops/attention/cuda_wgmma_gradient.cuh>
#include <neuroinhib/ops/attention/op.hpp>

namespace neuroinhib::ops {
namespace flash {

/// How many numbers of the operands can travel together: 4, 2 or 1.
template <class T>
[[nodiscard]] int vector_of(const FlashAttention<T>& s, const HeadRows<const T>& dy) {
  Index all = s.key_width | s.value_width;
  const std::array<HeadRows<const T>, 4> operands{s.q, s.k, s.v, dy};
  for (const HeadRows<const T>& rows : operands)
    if (rows)
      all |= rows.stride | rows.head | static_cast<Index>(reinterpret_cast<std::uintptr_t>(rows.data) / sizeof(T));
  return all % 4 == 0 ? 4 : all % 2 == 0 ? 2 : 1;
}

/// Calls use.operator()<Plan>() with the plan for these numbers and widths.
template <class T, class Use>
void with_plan(Cuda<T>& cuda, const FlashAttention<T>& s, int vector, const Use& use) {
  const auto widths = [&]<class Math, int Vector>() {
    if (s.value_width > kTile) return use.template operator()<FlashPlan<Math, Vector, 2, 2>>();
    if (s.key_width > kTile) return use.template operator()<FlashPlan<Math, Vector, 2, 1>>();
    use.template operator()<FlashPlan<Math, Vector, 1, 1>>();
  };
  if constexpr (std::is_same_v<T, float>)
    if (!is_exact(cuda, s)) {
      using Math = gemm::Tf32<kWarpRows, kTile>;
      if (vector == 4) return widths.template operator()<Math, 4>();
      if (vector == 2) return widths.template operator()<Math, 2>();
      return widths.template operator()<Math, 1>();
    }
  widths.template operator()<gemm::MultiplyAdd<T, kWarpRows, kTile>, 1>();
}

/// Splits of a pass, so that few tiles still keep the device busy.
template <class T>
[[nodiscard]] Index splits_of(const Cuda<T>& cuda, Index blocks, int tiles) {
  const Index wanted = 3 * static_cast<Index>(cuda.multiprocessors()) / std::max<Index>(blocks, 1);
  return std::clamp<Index>(std::min<Index>(wanted, tiles / 4), 1, 16);
}

template <class T, class... Parameters, class... Arguments>
void launch(Cuda<T>& cuda, Index blocks, Index splits, std::size_t shared, void (*kernel)(Parameters...),
            const Arguments&... arguments) {
  cuda.allow_shared(kernel, shared);
  cuda.launch_pdl(dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(splits)), dim3(kThreads), shared, kernel,
                  arguments...);
}

/// Distributions of which each is a part of one: a row's parts count as exp(log_sum(part, row)).
template <class T>
struct Parts {
  Index count, rows, width;
  const T *y, *entropy, *self;  ///< [count, rows, width], [count, rows]; y null for width 0
};

/// Joins them: put(row, column, y), finish(row, log Σ, entropy, weight on itself).
template <class T, class LogSum, class Put, class Finish>
void join(Cuda<T>& cuda, const Parts<T>& parts, const LogSum& log_sum, const Put& put, const Finish& finish) {
  cuda.parallel_rows(parts.rows, parts.width, [=] __device__(Index row, const detail::Team<T>& team) {
    T largest = log_sum(0, row), sum = 0, entropy = 0, self = 0;
    for (Index part = 1; part < parts.count; ++part) largest = max(largest, log_sum(part, row));
    for (Index part = 0; part < parts.count; ++part) sum += exp(log_sum(part, row) - largest);
    const T total = largest + log(sum);
    for (Index c = team.lane; c < parts.width; c += team.size) {
      T y = 0;
      for (Index part = 0; part < parts.count; ++part)
        y += exp(log_sum(part, row) - total) * parts.y[(part * parts.rows + row) * parts.width + c];
      put(row, c, y);
    }
    if (team.lane != 0) return;
    for (Index part = 0; part < parts.count; ++part) {
      const T logarithm = log_sum(part, row) - total, weight = exp(logarithm);
      if (weight != 0) entropy += weight * (parts.entropy[part * parts.rows + row] - logarithm);
      self += weight * parts.self[part * parts.rows + row];
    }
    finish(row, total, entropy, self);
  });
}

template <class T>
void run_forward(Cuda<T>& cuda, const FlashAttention<T>& s) {
  if constexpr (std::is_same_v<T, float>) {
    if (similarity::suits(cuda, s)) return similarity::run_forward(cuda, s);
    if (short_rows::suit(s)) return short_rows::run_forward(cuda, s);
  }
  if (is_wide(s)) return forward_bands(cuda, s);
  if constexpr (std::is_same_v<T, float>)
    if (runs_on_wgmma(cuda, s))
      return std::max(s.key_width, s.value_width) > 64 ? run_wgmma<WgmmaPlan<128>>(cuda, s)
                                                       : run_wgmma<WgmmaPlan<64>>(cuda, s);
  const Index blocks = s.sight.count * s.heads * tiles_of(s.sight.queries);
  const Index splits = splits_of(cuda, blocks, tiles_of(s.sight.keys));
  const Index rows = s.rows(), width = s.heads * s.value_width;
  const ArenaScope scope(cuda.device_arena());
  FlashAttention<T> part = s;
  if (splits > 1) {
    part.y = {s.value_width > 0 ? cuda.template kernel_memory<T>(splits * rows * width) : nullptr, width,
              s.value_width};
    const auto numbers = [&] {
      return HeadRows<T>{cuda.template kernel_memory<T>(splits * rows * s.heads), s.heads, 1};
    };
    part.log_sum = numbers();
    part.entropy = numbers();
    part.self = numbers();
  }
  with_plan<T>(cuda, s, vector_of<T>(s, {}), [&]<class Plan>() {
    launch(cuda, blocks, splits, Plan::shared_bytes(false), forward_kernel<Plan>, part, rows);
  });
  if (splits == 1) return;
  const Index heads = s.heads, all = rows * heads;
  const T* log_sums = part.log_sum.data;
  join(
      cuda, Parts<T>{splits, all, s.value_width, part.y.data, part.entropy.data, part.self.data},
      [=] __device__(Index split, Index row) { return log_sums[split * all + row]; },
      [=] __device__(Index row, Index c, T value) { s.y.at(row / heads, row % heads)[c] = value; },
      [=] __device__(Index row, T log_sum, T entropy, T self) {
        *s.log_sum.at(row / heads, row % heads) = log_sum;
        if (s.entropy) *s.entropy.at(row / heads, row % heads) = entropy;
        if (s.self) *s.self.at(row / heads, row % heads) = self;
      });
}

/// Where a pass puts its results: where they belong, or, where they are added to others or come in parts, in the step's
/// memory until finish(). Of each `period` rows the first `used` have results.
template <class T>
class Results {
 public:
  Results(Cuda<T>& cuda, const HeadSlot<T>& slot, Index rows, Index heads, Index width, Index splits, Index period = 1,
          Index used = 1)
      : slot_(slot),
        rows_(rows),
        heads_(heads),
        width_(width),
        splits_(splits),
        period_(period),
        used_(used),
        own_(slot && (splits > 1 || slot.add)) {
    if (own_) parts_ = cuda.template kernel_memory<T>(splits * rows * heads * width);
  }
  [[nodiscard]] HeadSlot<T> target() const {
    return own_ ? HeadSlot<T>(GradientSlot<T>{parts_, false}, 0, heads_ * width_, width_) : slot_;
  }
  void finish(Cuda<T>& cuda) const {
    if (!own_) return;
    const auto slot = slot_;
    const Index rows = rows_, heads = heads_, width = width_, splits = splits_, period = period_, used = used_;
    const T* parts = parts_;
    cuda.parallel_grid(rows, heads * width, [=] __device__(Index row, Index c) {
      if (row % period >= used) return;
      T sum = 0;
      for (Index split = 0; split < splits; ++split) sum += parts[(split * rows + row) * heads * width + c];
      slot.put(row, c / width, c % width, sum);
    });
  }

 private:
  HeadSlot<T> slot_;
  Index rows_, heads_, width_, splits_, period_, used_;
  bool own_;
  T* parts_ = nullptr;
};

template <class T>
void run_rows(Cuda<T>& cuda, const FlashAttention<T>& s, const FlashGradient<T>& g) {
  const Index blocks = s.sight.count * s.heads * tiles_of(s.sight.queries);
  const Index splits = splits_of(cuda, blocks, tiles_of(s.sight.keys)), rows = s.rows();
  const ArenaScope scope(cuda.device_arena());
  HeadSlot<T> sums;
  static_cast<HeadRows<T>&>(sums) = g.row_sum;
  const Results<T> dq(cuda, g.dq, rows, s.heads, s.key_width, splits), of_sums(cuda, sums, rows, s.heads, 1, splits);
  FlashGradient<T> part = g;
  part.dq = dq.target();
  part.row_sum = of_sums.target();
  with_plan<T>(cuda, s, vector_of<T>(s, g.dy), [&]<class Plan>() {
    launch(cuda, blocks, splits, Plan::shared_bytes(true), gradient_kernel<Plan, false>, s, part, rows);
  });
  dq.finish(cuda);
  of_sums.finish(cuda);
}

template <class T>
void run_columns(Cuda<T>& cuda, const FlashAttention<T>& s, const FlashGradient<T>& g) {
  const Index blocks = s.sight.count * s.heads * tiles_of(s.sight.keys);
  const Index splits = splits_of(cuda, blocks, tiles_of(s.sight.queries)), rows = s.sight.count * s.sight.key_rows;
  const ArenaScope scope(cuda.device_arena());
  const auto results = [&](const HeadSlot<T>& slot, Index width) {
    return Results<T>(cuda, slot, rows, s.heads, width, splits, s.sight.key_rows, s.sight.keys);
  };
  const Results<T> dk = results(g.dk, s.key_width), dv = results(g.dv, s.value_width), dbias = results(g.dbias, 1);
  FlashGradient<T> part = g;
  part.dk = dk.target();
  part.dv = dv.target();
  part.dbias = dbias.target();
  with_plan<T>(cuda, s, vector_of<T>(s, g.dy), [&]<class Plan>() {
    launch(cuda, blocks, splits, Plan::shared_bytes(true), gradient_kernel<Plan, true>, s, part, rows);
  });
  dk.finish(cuda);
  dv.finish(cuda);
  dbias.finish(cuda);
}

/// The row pass comes first: q and k may be the same rows, and then dk is added to dq.
template <class T>
void run_backward(Cuda<T>& cuda, const FlashAttention<T>& s, const FlashGradient<T>& g) {
  if constexpr (std::is_same_v<T, float>)
    if (short_rows::suit(s, g)) return short_rows::run_backward(cuda, s, g);
  if (is_wide(s)) return backward_bands(cuda, s, g);
  if constexpr (std::is_same_v<T, float>)
    if (gradient_runs_on_wgmma(cuda, s, g))
      return std::max(s.key_width, s.value_width) > 64 ? run_wgmma_backward<128>(cuda, s, g)
                                                       : run_wgmma_backward<64>(cuda, s, g);
  if (g.dq || g.row_sum) run_rows(cuda, s, g);
  if (g.dk || g.dv || g.dbias) run_columns(cuda, s, g);
}

/// ⟨dy_i, y_i⟩ − other_i of every row and head, other being null for none.
template <class T>
void inner_products(Cuda<T>& cuda, const FlashAttention<T>& s, const HeadRows<const T>& dy, const T* other, T* delta) {
  const Index heads = s.heads;
  cuda.parallel_rows(s.rows() * heads, s.value_width, [=] __device__(Index i, const detail::Team<T>& team) {
    const T *a = dy.at(i / heads, i % heads), *b = s.y.at(i / heads, i % heads);
    T sum = 0;
    for (Index c = team.lane; c < s.value_width; c += team.size) sum += a[c] * b[c];
    sum = team.sum(sum);
    if (team.lane == 0) delta[i] = sum - (other != nullptr ? other[i] : T{0});
  });
}

/// Flash attention of one process, as kernels run it.
template <class T>
struct CudaFlash {
  Cuda<T>& cuda;

  void forward(const FlashAttention<T>& s) const { run_forward(cuda, s); }
  void backward(const FlashAttention<T>& s, const FlashGradient<T>& g) const { run_backward(cuda, s, g); }
};

}  // namespace flash

/// No kernel of a GPU has relative scores.
template <class Operation>
void refuse_relative(const Operation& op) {
  if (op.relative.defined())
    fail<ConfigError>(Operation::name, "no span on a GPU", "relative scores",
                      "compute on a Cpu<T>, or set TransformerOptions::span to 0");
}

template <class T>
void forward(Cuda<T>& cuda, const Attention<T>& op) {
  refuse_relative(op);
  flash::run_forward(cuda, op.flash());
}

/// `flash` does the work.
template <class T, class Flash>
void attention_backward(Cuda<T>& cuda, const Attention<T>& op, Flash&& flash) {
  const ArenaScope scope(cuda.device_arena());
  const FlashAttention<T> s = op.flash();
  if (!op.y.has_gradient()) cuda.fill(op.y.gradient, op.y.size(), T{0});
  T* delta = cuda.template kernel_memory<T>(op.log_sum.size());
  flash::inner_products<T>(cuda, s, {op.y.gradient, op.y.cols(), s.value_width},
                           op.log_sum.has_gradient() ? op.log_sum.gradient : nullptr, delta);
  flash.backward(s, op.gradient(cuda, delta));
}
template <class T>
void backward(Cuda<T>& cuda, const Attention<T>& op) {
  attention_backward(cuda, op, flash::CudaFlash<T>{cuda});
}

}  // namespace neuroinhib::ops
