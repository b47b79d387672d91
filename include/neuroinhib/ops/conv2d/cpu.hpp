#pragma once

#include <algorithm>
#include <optional>

#include <neuroinhib/ops/activation/cpu.hpp>
#include <neuroinhib/ops/conv2d/op.hpp>
#include <neuroinhib/ops/product/cpu.hpp>

/// Convolution without a column matrix. Channels last, the window of an output pixel is kernel_height runs of
/// kernel_width · in contiguous numbers: row pointers into the image are the product's left operand as they stand.
namespace neuroinhib::ops {

/// All extents of one convolution.
struct ConvExtents {
  Index images, in_height, in_width, in, kernel_height, kernel_width, out, height, width, stride, padding;

  template <class T>
  explicit ConvExtents(const Conv2d<T>& op)
      : images(op.x.shape[0]),
        in_height(op.x.shape[1]),
        in_width(op.x.shape[2]),
        in(op.x.shape[3]),
        kernel_height(op.weight.shape[1]),
        kernel_width(op.weight.shape[2]),
        out(op.weight.shape[0]),
        height(op.y.shape[1]),
        width(op.y.shape[2]),
        stride(op.options.stride),
        padding(op.options.padding) {}

  [[nodiscard]] Index padded_height() const { return in_height + 2 * padding; }
  [[nodiscard]] Index padded_width() const { return in_width + 2 * padding; }
  [[nodiscard]] Index pixels() const { return height * width; }
  [[nodiscard]] Index run() const { return kernel_width * in; }
  [[nodiscard]] Index window() const { return kernel_height * run(); }
  [[nodiscard]] Index image_size() const { return in_height * in_width * in; }
  [[nodiscard]] Index padded_size() const { return padding > 0 ? padded_height() * padded_width() * in : 0; }
  /// The walk over one window, from its first number in the padded image.
  [[nodiscard]] product::Walk walk() const { return {run(), 1, kernel_height, padded_width() * in}; }
};

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
  const Index panels = product::ceil_div(e.out, product::kWidth<T>);
  const Index panel_size = e.window() * product::kWidth<T>;
  T* packed = cpu.arena().template allocate<T>(panels * panel_size);
  const auto first_column = [](Index panel) { return panel * product::kWidth<T>; };
  const auto columns = [&](Index panel) { return std::min(product::kWidth<T>, e.out - first_column(panel)); };
  cpu.parallel_for(panels, [&](Index panel) {
    product::pack_columns(e.window(), columns(panel), op.weight.data + first_column(panel) * e.window(), e.window(),
                          packed + panel * panel_size);
  });
  const Index* offsets = window_offsets(cpu, e);
  cpu.parallel_tasks(e.images, e.padded_size(), [&](Index image, T* scratch) {
    const T* x = padded_image(op.x.data + image * e.image_size(), e, scratch);
    T* y = op.y.data + image * e.pixels() * e.out;
    if (op.bias.defined())
      for (Index pixel = 0; pixel < e.pixels(); ++pixel) std::copy_n(op.bias.data, e.out, y + pixel * e.out);
    for (Index panel = 0; panel < panels; ++panel)
      product::rows_times_panel<T>(
          e.pixels(), [&](Index m) { return x + offsets[m]; }, e.walk(), packed + panel * panel_size,
          [&](Index m) { return y + m * e.out + first_column(panel); }, columns(panel), op.bias.defined());
    if (op.options.activation != Activation::identity)
      apply_activation(op.options.activation, y, y, e.pixels() * e.out);
  });
}

/// The gradient before the activation, of one image: [pixels, out].
template <class T>
const T* gradient_before_activation(const Conv2d<T>& op, const ConvExtents& e, Index image, T* scratch) {
  const Index first = image * e.pixels() * e.out;
  if (op.options.activation == Activation::identity) return op.y.gradient + first;
  for (Index i = 0; i < e.pixels() * e.out; ++i)
    scratch[i] = op.y.gradient[first + i] * slope_from_output(op.options.activation, op.y[first + i]);
  return scratch;
}

/// The input gradient as a product. Input pixels fall into stride² phases by their position modulo the stride; those
/// of a phase see the same taps of the kernel, and their windows in the zero-padded output gradient are contiguous
/// runs again, the kernel flipped.
template <class T>
class InputGradient {
 public:
  InputGradient(Cpu<T>& cpu, const Conv2d<T>& op, const ConvExtents& e)
      : e_(e),
        reach_y_(product::ceil_div(e.kernel_height, e.stride)),
        reach_x_(product::ceil_div(e.kernel_width, e.stride)),
        width_((e.padded_width() - 1) / e.stride + reach_x_),
        height_((e.padded_height() - 1) / e.stride + reach_y_),
        panels_(product::ceil_div(e.in, product::kWidth<T>)) {
    phases_ = cpu.arena().template allocate<Phase>(e.stride * e.stride);
    for (Index y = 0; y < e.stride; ++y)
      for (Index x = 0; x < e.stride; ++x) phases_[y * e.stride + x] = make_phase(cpu, op, y, x);
  }

  /// Elements of scratch that `run` needs: the output gradient with room for the reach of the kernel on each side.
  [[nodiscard]] Index scratch_size() const { return height_ * width_ * e_.out; }

  /// dy [pixels, out] of one image to dx [in_height, in_width, in].
  void run(const T* dy, T* scratch, T* dx, bool add) const {
    std::fill_n(scratch, scratch_size(), T{0});
    for (Index row = 0; row < e_.height; ++row)
      std::copy_n(dy + row * e_.width * e_.out, e_.width * e_.out,
                  scratch + ((row + reach_y_ - 1) * width_ + reach_x_ - 1) * e_.out);
    for (Index p = 0; p < e_.stride * e_.stride; ++p) {
      const Phase& phase = phases_[p];
      const product::Walk walk{phase.taps_x * e_.out, 1, phase.taps_y, width_ * e_.out};
      for (Index panel = 0; panel < panels_; ++panel) {
        const Index n = panel * product::kWidth<T>;
        product::rows_times_panel<T>(
            phase.count, [&](Index m) { return scratch + phase.pixels[m].gradient; }, walk,
            phase.packed + panel * walk.depth() * product::kWidth<T>,
            [&](Index m) { return dx + phase.pixels[m].input + n; }, std::min(product::kWidth<T>, e_.in - n), add);
      }
    }
  }

 private:
  struct Pixel {
    Index gradient, input;  ///< offsets of a window in the padded gradient and of a pixel in the input
  };
  struct Phase {
    Index taps_y, taps_x, count;
    Pixel* pixels;
    T* packed;
  };

  Phase make_phase(Cpu<T>& cpu, const Conv2d<T>& op, Index phase_y, Index phase_x) const {
    const auto taps = [&](Index kernel, Index phase) {
      return phase < kernel ? product::ceil_div(kernel - phase, e_.stride) : Index{0};
    };
    Phase phase{taps(e_.kernel_height, phase_y), taps(e_.kernel_width, phase_x), 0, nullptr, nullptr};
    phase.pixels = cpu.arena().template allocate<Pixel>(e_.in_height * e_.in_width);
    for (Index y = 0; y < e_.in_height; ++y)
      for (Index x = 0; x < e_.in_width; ++x) {
        const Index py = y + e_.padding - phase_y, px = x + e_.padding - phase_x;
        if (py < 0 || px < 0 || py % e_.stride != 0 || px % e_.stride != 0) continue;
        const Index row = py / e_.stride + reach_y_ - phase.taps_y, column = px / e_.stride + reach_x_ - phase.taps_x;
        phase.pixels[phase.count++] = {(row * width_ + column) * e_.out, (y * e_.in_width + x) * e_.in};
      }
    pack(cpu, op, phase, phase_y, phase_x);
    return phase;
  }

  void pack(Cpu<T>& cpu, const Conv2d<T>& op, Phase& phase, Index phase_y, Index phase_x) const {
    const Index depth = phase.taps_y * phase.taps_x * e_.out;
    phase.packed = cpu.arena().template allocate<T>(panels_ * depth * product::kWidth<T>);
    cpu.parallel_for(panels_, [&](Index panel) {
      const Index n = panel * product::kWidth<T>;
      const auto source = [&](Index k) {
        const Index out = k % e_.out, tap = k / e_.out;
        const Index ky = phase_y + e_.stride * (phase.taps_y - 1 - tap / phase.taps_x);
        const Index kx = phase_x + e_.stride * (phase.taps_x - 1 - tap % phase.taps_x);
        return op.weight.data + out * e_.window() + ky * e_.run() + kx * e_.in + n;
      };
      product::pack_rows<T>(depth, std::min(product::kWidth<T>, e_.in - n), source,
                            phase.packed + panel * depth * product::kWidth<T>);
    });
  }

  ConvExtents e_;
  Index reach_y_, reach_x_, width_, height_, panels_;
  Phase* phases_ = nullptr;
};

/// Packs columns [n, n + columns) of the windows of all pixels; a window's runs may meet inside the panel.
template <class T>
void pack_windows(const ConvExtents& e, const T* x, const Index* offsets, Index n, Index columns, T* panel) {
  std::fill_n(panel, columns < product::kWidth<T> ? e.pixels() * product::kWidth<T> : 0, T{0});
  for (Index done = 0; done < columns;) {
    const Index row = (n + done) / e.run(), start = (n + done) % e.run();
    const Index length = std::min(columns - done, e.run() - start);
    const T* from = x + row * e.padded_width() * e.in + start;
    for (Index pixel = 0; pixel < e.pixels(); ++pixel)
      std::copy_n(from + offsets[pixel], length, panel + pixel * product::kWidth<T> + done);
    done += length;
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
  const auto dx = op.x.gradient_slot(), dw = op.weight.gradient_slot(), db = op.bias.gradient_slot();
  std::optional<InputGradient<T>> input_gradient;
  if (dx) input_gradient.emplace(cpu, op, e);
  T* weight_sums = cpu.arena().template allocate<T>(groups * e.out * e.window());
  T* bias_sums = cpu.arena().template allocate<T>(groups * e.out);
  const Index gradient_size = e.pixels() * e.out, panel_size = e.pixels() * product::kWidth<T>;
  const Index work_size = std::max(panel_size, input_gradient ? input_gradient->scratch_size() : 0);

  cpu.parallel_tasks(groups, gradient_size + e.padded_size() + work_size, [&](Index group, T* scratch) {
    T* weight_sum = weight_sums + group * e.out * e.window();
    T* bias_sum = bias_sums + group * e.out;
    std::fill_n(bias_sum, e.out, T{0});
    const Index begin = e.images * group / groups, end = e.images * (group + 1) / groups;
    for (Index image = begin; image < end; ++image) {
      T* work = scratch;
      const T* dy = gradient_before_activation(op, e, image, scratch + work_size);
      if (input_gradient) input_gradient->run(dy, work, dx.data + image * e.image_size(), dx.add);
      if (db)
        for (Index i = 0; i < gradient_size; i += e.out)
          for (Index c = 0; c < e.out; ++c) bias_sum[c] += dy[i + c];
      if (!dw) continue;
      const T* x = padded_image(op.x.data + image * e.image_size(), e, scratch + work_size + gradient_size);
      for (Index n = 0; n < e.window(); n += product::kWidth<T>) {
        const Index columns = std::min(product::kWidth<T>, e.window() - n);
        pack_windows(e, x, offsets, n, columns, work);
        product::rows_times_panel<T>(
            e.out, [&](Index m) { return dy + m; }, product::Walk{e.pixels(), e.out}, work,
            [&](Index m) { return weight_sum + m * e.window() + n; }, columns, image > begin);
      }
    }
  });
  const auto reduce = [&](const T* sums, Index size, const GradientSlot<T>& slot) {
    if (!slot) return;
    cpu.parallel_for(size, [&](Index i) {
      T sum = 0;
      for (Index group = 0; group < groups; ++group) sum += sums[group * size + i];
      slot.put(i, sum);
    });
  };
  reduce(weight_sums, e.out * e.window(), dw);
  reduce(bias_sums, e.out, db);
}

}  // namespace neuroinhib::ops
