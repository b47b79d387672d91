#pragma once

#include <algorithm>

#include <neuroinhib/ops/activation/cpu.hpp>
#include <neuroinhib/ops/conv2d/cpu_windows.hpp>
#include <neuroinhib/ops/conv2d/cpu_winograd.hpp>
#include <neuroinhib/ops/max_pool2d/cpu.hpp>

/// Convolution image by image, with activation and pooling while a result is in the cache. How one image is convolved
/// is the part of WindowConvolution and WinogradConvolution.
namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

/// Calls visit(convolution) with the way that suits these extents.
template <class T, class Visit>
void with_convolution(Cpu<T>& cpu, const Conv2d<T>& op, const ConvExtents& e, bool forward, const Visit& visit) {
  switch (cpu.winograd() ? winograd_kernel(e) : 0) {
    case 3: return visit(WinogradConvolution<T, 3>(cpu, op, e, forward));
    case 4: return visit(WinogradConvolution<T, 4>(cpu, op, e, forward));
    case 5: return visit(WinogradConvolution<T, 5>(cpu, op, e, forward));
    default: return visit(WindowConvolution<T>(cpu, op, e, forward));
  }
}

template <class T>
void forward(Cpu<T>& cpu, const Conv2d<T>& op) {
  const ConvExtents e(op);
  const ArenaScope scope(cpu.arena());
  with_convolution(cpu, op, e, true, [&](const auto& convolution) {
    cpu.parallel_tasks(e.images, convolution.cost() + e.result_size() * cost::exponential,
                       e.result_size() + convolution.forward_scratch(), [&](Index image, T* scratch) {
                         T* pooled = op.y.data + image * e.pool.out_size();
                         T* y = op.pools() ? scratch : pooled;
                         convolution.forward(op.x.data + image * e.image_size(), op.bias.data, y,
                                             scratch + e.result_size());
                         if (op.options.activation != Activation::identity)
                           apply_activation(op.options.activation, y, y, e.result_size());
                         if (op.pools()) pool_image(e.pool, y, pooled, op.winner + image * e.pool.out_size());
                       });
  });
}

/// The gradient before pooling and activation, of one image: [pixels, out]. `scratch` holds two such.
template <class T>
const T* result_gradient(const Conv2d<T>& op, const ConvExtents& e, Index image, T* scratch) {
  const Index size = e.pool.out_size(), first = image * size;
  const T* dy = op.y.gradient + first;
  if (op.options.activation != Activation::identity) {
    times_slope(op.options.activation, dy, op.y.data + first, scratch, size);
    dy = scratch;
  }
  if (!op.pools()) return dy;
  unpool_image(e.pool, dy, op.winner + first, scratch + e.result_size(), false);
  return scratch + e.result_size();
}

/// Images whose weight gradients are summed together, one group a task. The number of groups is fixed, so that the
/// order of the sum does not depend on threads.
inline constexpr Index kConvGroups = 16;

template <class T>
void backward(Cpu<T>& cpu, const Conv2d<T>& op) {
  const ConvExtents e(op);
  const ArenaScope scope(cpu.arena());
  const auto dx = op.x.claim_gradient(), dw = op.weight.claim_gradient(), db = op.bias.claim_gradient();
  const Index groups = std::min(e.images, kConvGroups), gradient_size = 2 * e.result_size();
  T* bias_sums = cpu.arena().template allocate<T>(groups * e.out);
  with_convolution(cpu, op, e, false, [&](const auto& convolution) {
    T* sums = dw ? cpu.arena().template allocate<T>(groups * convolution.sum_size()) : nullptr;
    cpu.parallel_tasks(groups, 2 * convolution.cost() * gemm::ceil_div(e.images, groups),
                       gradient_size + convolution.backward_scratch(), [&](Index group, T* scratch) {
                         T* bias_sum = bias_sums + group * e.out;
                         std::fill_n(bias_sum, e.out, T{0});
                         const Index begin = e.images * group / groups, end = e.images * (group + 1) / groups;
                         for (Index image = begin; image < end; ++image) {
                           const T* dy = result_gradient(op, e, image, scratch);
                           if (db)
                             for (Index i = 0; i < e.result_size(); i += e.out)
                               for (Index c = 0; c < e.out; ++c) bias_sum[c] += dy[i + c];
                           convolution.backward(op.x.data + image * e.image_size(), dy,
                                                dx ? dx.data + image * e.image_size() : nullptr, dx.add,
                                                dw ? sums + group * convolution.sum_size() : nullptr, image > begin,
                                                scratch + gradient_size);
                         }
                       });
    if (dw) convolution.weight_gradient(cpu, sums, groups, dw);
  });
  if (db)
    for (Index c = 0; c < e.out; ++c) {
      T total = 0;
      for (Index group = 0; group < groups; ++group) total += bias_sums[group * e.out + c];
      db.put(c, total);
    }
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
