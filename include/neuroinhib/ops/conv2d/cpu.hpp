#pragma once

#include <algorithm>

#include <neuroinhib/ops/activation/cpu.hpp>
#include <neuroinhib/ops/conv2d/op.hpp>
#include <neuroinhib/ops/gemm/cpu.hpp>
#include <neuroinhib/ops/max_pool2d/cpu.hpp>

/// Convolution without a column matrix. Channels last, the window of an output pixel is kernel_height runs of
/// kernel_width · in contiguous numbers: row pointers into the image are the product's left operand as they stand.
namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

/// The walk over one window, from its first number in the padded image.
[[nodiscard]] inline gemm::Walk window_walk(const ConvExtents& e) {
  return {e.run(), 1, e.kernel_height, e.padded_width() * e.in};
}

/// Of one image's forward pass.
[[nodiscard]] inline Index image_cost(const ConvExtents& e) {
  return e.result_size() * (cost::exponential + cost::multiply_adds(e.window()));
}

/// Where in the padded image the window of each output pixel begins.
template <class T>
const Index* window_offsets(Cpu<T>& cpu, const ConvExtents& e) {
  auto* offsets = cpu.arena().template allocate<Index>(e.pixels());
  for (Index row = 0; row < e.height; ++row)
    for (Index column = 0; column < e.width; ++column)
      offsets[row * e.width + column] = (row * e.padded_width() + column) * e.stride * e.in;
  return offsets;
}

/// The image with its border of zeros, in `scratch`; the image itself where there is none.
template <class T>
const T* padded_image(const T* image, const ConvExtents& e, T* scratch) {
  if (e.padding == 0) return image;
  std::fill_n(scratch, e.padded_size(), T{0});
  for (Index row = 0; row < e.in_height; ++row)
    std::copy_n(image + row * e.in_width * e.in, e.in_width * e.in,
                scratch + ((row + e.padding) * e.padded_width() + e.padding) * e.in);
  return scratch;
}

template <class T>
void forward(Cpu<T>& cpu, const Conv2d<T>& op) {
  const ConvExtents e(op);
  const ArenaScope scope(cpu.arena());
  const Index panels = gemm::ceil_div(e.out, gemm::kWidth<T>);
  const Index panel_size = e.window() * gemm::kWidth<T>;
  T* packed = cpu.arena().template allocate<T>(panels * panel_size);
  cpu.parallel_for(panels, panel_size, [&](Index panel) {
    const Index n = panel * gemm::kWidth<T>;
    gemm::pack_columns(e.window(), std::min(gemm::kWidth<T>, e.out - n), op.weight.data + n * e.window(), e.window(),
                       packed + panel * panel_size);
  });
  const Index* offsets = window_offsets(cpu, e);
  cpu.parallel_tasks(e.images, image_cost(e), e.result_size() + e.padded_size(), [&](Index image, T* scratch) {
    const T* x = padded_image(op.x.data + image * e.image_size(), e, scratch + e.result_size());
    T* pooled = op.y.data + image * e.pool.out_size();
    T* y = op.pools() ? scratch : pooled;
    if (op.bias.defined())
      for (Index pixel = 0; pixel < e.pixels(); ++pixel) std::copy_n(op.bias.data, e.out, y + pixel * e.out);
    gemm::rows_times_panels<T>(
        e.pixels(), [&](Index m) { return x + offsets[m]; }, window_walk(e), packed,
        [&](Index m) { return y + m * e.out; }, e.out, op.bias.defined());
    if (op.options.activation != Activation::identity) apply_activation(op.options.activation, y, y, e.result_size());
    if (op.pools()) pool_image(e.pool, y, pooled, op.winner + image * e.pool.out_size());
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

/// The weight as the input gradient's right operand: [out] deep, the window's numbers as columns.
template <class T>
const T* pack_for_input_gradient(Cpu<T>& cpu, const Conv2d<T>& op, const ConvExtents& e) {
  const Index panels = gemm::ceil_div(e.run(), gemm::kWidth<T>), panel_size = e.out * gemm::kWidth<T>;
  T* packed = cpu.arena().template allocate<T>(e.kernel_height * panels * panel_size);
  cpu.parallel_for(e.kernel_height * panels, e.out * gemm::kWidth<T>, [&](Index i) {
    const Index n = i % panels * gemm::kWidth<T>, first = i / panels * e.run() + n;
    gemm::pack_rows<T>(
        e.out, std::min(gemm::kWidth<T>, e.run() - n), [&](Index k) { return op.weight.data + k * e.window() + first; },
        packed + i * panel_size);
  });
  return packed;
}

/// Adds dy [pixels, out] of one image to the windows it came from. Windows overlap; rows are added one after another.
template <class T>
void scatter_windows(const ConvExtents& e, const T* dy, const T* packed, const Index* offsets, T* dx) {
  const Index row_size = gemm::ceil_div(e.run(), gemm::kWidth<T>) * gemm::kWidth<T> * e.out;
  for (Index row = 0; row < e.kernel_height; ++row) {
    T* first = dx + row * e.padded_width() * e.in;
    gemm::rows_times_panels<T>(
        e.pixels(), [&](Index m) { return dy + m * e.out; }, gemm::Walk{e.out}, packed + row * row_size,
        [&](Index m) { return first + offsets[m]; }, e.run(), true);
  }
}

/// One image's input gradient, through a padded copy in `scratch` where the convolution pads.
template <class T>
void input_gradient(const ConvExtents& e, const T* dy, const T* packed, const Index* offsets, T* dx, bool add,
                    T* scratch) {
  if (e.padding == 0) {
    if (!add) std::fill_n(dx, e.image_size(), T{0});
    scatter_windows(e, dy, packed, offsets, dx);
    return;
  }
  std::fill_n(scratch, e.padded_size(), T{0});
  scatter_windows(e, dy, packed, offsets, scratch);
  for (Index y = 0; y < e.in_height; ++y) {
    const T* from = scratch + ((y + e.padding) * e.padded_width() + e.padding) * e.in;
    T* to = dx + y * e.in_width * e.in;
    for (Index i = 0; i < e.in_width * e.in; ++i) to[i] = add ? to[i] + from[i] : from[i];
  }
}

/// One image's share of the weight gradient, [window, out]: a window's number, over all pixels, times dy.
/// `panel` has room for the pixels' dy, kWidth columns at a time.
template <class T>
void weight_gradient(const ConvExtents& e, const T* x, const T* dy, T* sum, bool add, T* panel) {
  const gemm::Walk pixels{e.width, e.stride * e.in, e.height, e.stride * e.padded_width() * e.in};
  for (Index n = 0; n < e.out; n += gemm::kWidth<T>) {
    const Index columns = std::min(gemm::kWidth<T>, e.out - n);
    gemm::pack_rows<T>(e.pixels(), columns, [&](Index k) { return dy + k * e.out + n; }, panel);
    gemm::rows_times_panels<T>(
        e.window(), [&](Index m) { return x + m / e.run() * e.padded_width() * e.in + m % e.run(); }, pixels, panel,
        [&](Index m) { return sum + m * e.out + n; }, columns, add);
  }
}

/// Images whose weight gradients are summed together, one group a task. The number of groups is fixed, so that the
/// order of the sum does not depend on threads.
inline constexpr Index kConvGroups = 16;

template <class T>
void backward(Cpu<T>& cpu, const Conv2d<T>& op) {
  const ConvExtents e(op);
  const ArenaScope scope(cpu.arena());
  const Index groups = std::min(e.images, kConvGroups);
  const Index* offsets = window_offsets(cpu, e);
  const auto dx = op.x.claim_gradient(), dw = op.weight.claim_gradient(), db = op.bias.claim_gradient();
  const T* packed = dx ? pack_for_input_gradient(cpu, op, e) : nullptr;
  T* weight_sums = cpu.arena().template allocate<T>(groups * e.out * e.window());
  T* bias_sums = cpu.arena().template allocate<T>(groups * e.out);
  const Index panel_size = e.pixels() * gemm::kWidth<T>, gradient_size = 2 * e.result_size();

  cpu.parallel_tasks(groups, 2 * image_cost(e) * gemm::ceil_div(e.images, groups),
                     panel_size + gradient_size + e.padded_size(), [&](Index group, T* scratch) {
                       T* const panel = scratch;
                       T* const gradient = panel + panel_size;
                       T* const padded = gradient + gradient_size;
                       T* bias_sum = bias_sums + group * e.out;
                       std::fill_n(bias_sum, e.out, T{0});
                       const Index begin = e.images * group / groups, end = e.images * (group + 1) / groups;
                       for (Index image = begin; image < end; ++image) {
                         const T* dy = result_gradient(op, e, image, gradient);
                         if (dx)
                           input_gradient(e, dy, packed, offsets, dx.data + image * e.image_size(), dx.add, padded);
                         if (db)
                           for (Index i = 0; i < e.result_size(); i += e.out)
                             for (Index c = 0; c < e.out; ++c) bias_sum[c] += dy[i + c];
                         if (!dw) continue;
                         const T* x = padded_image(op.x.data + image * e.image_size(), e, padded);
                         weight_gradient(e, x, dy, weight_sums + group * e.out * e.window(), image > begin, panel);
                       }
                     });
  const auto total = [&](const T* sums, Index size, Index i) {
    T sum = 0;
    for (Index group = 0; group < groups; ++group) sum += sums[group * size + i];
    return sum;
  };
  if (dw)
    cpu.parallel_for(e.window(), groups * e.out, [&](Index w) {
      for (Index c = 0; c < e.out; ++c)
        dw.put(c * e.window() + w, total(weight_sums, e.out * e.window(), w * e.out + c));
    });
  if (db)
    for (Index c = 0; c < e.out; ++c) db.put(c, total(bias_sums, e.out, c));
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
