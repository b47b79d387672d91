#pragma once

#include <algorithm>

#include <neuroinhib/ops/conv2d/op.hpp>
#include <neuroinhib/ops/gemm/cpu.hpp>

/// Convolution without a column matrix. Channels last, the window of an output pixel is kernel_height runs of
/// kernel_width · in contiguous numbers: row pointers into the image are the product's left operand as they stand.
namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

/// A convolution of any kernel, stride and padding, an image at a time.
template <class T>
class WindowConvolution {
 public:
  /// Packs the weight for one direction, into memory of the step.
  WindowConvolution(Cpu<T>& cpu, const Conv2d<T>& op, const ConvExtents& e, bool forward)
      : e_(e), offsets_(window_offsets(cpu)) {
    if (forward)
      pack_for_result(cpu, op.weight.data);
    else if (op.x.wants_gradient())
      pack_for_input_gradient(cpu, op.weight.data);
  }

  /// Of an image's forward pass, in the units of namespace cost.
  [[nodiscard]] Index cost() const { return e_.result_size() * cost::multiply_adds(e_.window()); }
  /// Numbers of scratch memory that forward() needs.
  [[nodiscard]] Index forward_scratch() const { return e_.padded_size(); }
  /// Numbers of scratch memory that backward() needs.
  [[nodiscard]] Index backward_scratch() const { return panel_size() + e_.padded_size(); }
  /// Numbers of a sum of weight gradients, [window, out].
  [[nodiscard]] Index sum_size() const { return e_.window() * e_.out; }

  /// One image to y [pixels, out]; bias [out] or null.
  void forward(const T* image, const T* bias, T* y, T* scratch) const {
    const T* x = padded_image(image, scratch);
    if (bias != nullptr)
      for (Index pixel = 0; pixel < e_.pixels(); ++pixel) std::copy_n(bias, e_.out, y + pixel * e_.out);
    gemm::rows_times_panels<T>(
        e_.pixels(), [&](Index m) { return x + offsets_[m]; }, window_walk(), packed_,
        [&](Index m) { return y + m * e_.out; }, e_.out, bias != nullptr);
  }

  /// From dy [pixels, out] of one image: its input gradient to dx (added where `add`), its share of the weight gradient
  /// to `sum` (added where `add_to_sum`). What is null is left out.
  void backward(const T* image, const T* dy, T* dx, bool add, T* sum, bool add_to_sum, T* scratch) const {
    T* const padded = scratch + panel_size();
    if (dx != nullptr) input_gradient(dy, dx, add, padded);
    if (sum != nullptr) window_gradient(padded_image(image, padded), dy, sum, add_to_sum, scratch);
  }

  /// The weight gradient from the sums of all groups.
  void weight_gradient(Cpu<T>& cpu, const T* sums, Index groups, const GradientSlot<T>& dw) const {
    cpu.parallel_for(e_.window(), groups * e_.out, [&](Index w) {
      for (Index c = 0; c < e_.out; ++c) {
        T total = 0;
        for (Index group = 0; group < groups; ++group) total += sums[group * sum_size() + w * e_.out + c];
        dw.put(c * e_.window() + w, total);
      }
    });
  }

 private:
  static constexpr Index kWidth = gemm::kWidth<T>;

  [[nodiscard]] Index panel_size() const { return e_.pixels() * kWidth; }

  /// The walk over one window, from its first number in the padded image.
  [[nodiscard]] gemm::Walk window_walk() const { return {e_.run(), 1, e_.kernel_height, e_.padded_width() * e_.in}; }

  /// Where in the padded image the window of each output pixel begins.
  const Index* window_offsets(Cpu<T>& cpu) const {
    auto* offsets = cpu.template kernel_memory<Index>(e_.pixels());
    for (Index row = 0; row < e_.height; ++row)
      for (Index column = 0; column < e_.width; ++column)
        offsets[row * e_.width + column] = (row * e_.padded_width() + column) * e_.stride * e_.in;
    return offsets;
  }

  void pack_for_result(Cpu<T>& cpu, const T* weight) {
    const Index panels = gemm::ceil_div(e_.out, kWidth), panel_size = e_.window() * kWidth;
    T* const packed = cpu.template kernel_memory<T>(panels * panel_size);
    cpu.parallel_for(panels, panel_size, [&](Index panel) {
      const Index n = panel * kWidth;
      gemm::pack_columns(e_.window(), std::min(kWidth, e_.out - n), weight + n * e_.window(), e_.window(),
                         packed + panel * panel_size);
    });
    packed_ = packed;
  }

  /// The weight as the input gradient's right operand: [out] deep, the window's numbers as columns.
  void pack_for_input_gradient(Cpu<T>& cpu, const T* weight) {
    const Index panels = gemm::ceil_div(e_.run(), kWidth), panel_size = e_.out * kWidth;
    T* const packed = cpu.template kernel_memory<T>(e_.kernel_height * panels * panel_size);
    cpu.parallel_for(e_.kernel_height * panels, panel_size, [&](Index i) {
      const Index n = i % panels * kWidth, first = i / panels * e_.run() + n;
      gemm::pack_rows<T>(
          e_.out, std::min(kWidth, e_.run() - n), [&](Index k) { return weight + k * e_.window() + first; },
          packed + i * panel_size);
    });
    packed_ = packed;
  }

  /// The image with its border of zeros, in `scratch`; the image itself where there is none.
  const T* padded_image(const T* image, T* scratch) const {
    if (e_.padding == 0) return image;
    std::fill_n(scratch, e_.padded_size(), T{0});
    for (Index row = 0; row < e_.in_height; ++row)
      std::copy_n(image + row * e_.in_width * e_.in, e_.in_width * e_.in,
                  scratch + ((row + e_.padding) * e_.padded_width() + e_.padding) * e_.in);
    return scratch;
  }

  /// Adds dy [pixels, out] of one image to the windows it came from. Windows overlap; rows are added one after another.
  void scatter_windows(const T* dy, T* dx) const {
    const Index row_size = gemm::ceil_div(e_.run(), kWidth) * kWidth * e_.out;
    for (Index row = 0; row < e_.kernel_height; ++row) {
      T* first = dx + row * e_.padded_width() * e_.in;
      gemm::rows_times_panels<T>(
          e_.pixels(), [&](Index m) { return dy + m * e_.out; }, gemm::Walk{e_.out}, packed_ + row * row_size,
          [&](Index m) { return first + offsets_[m]; }, e_.run(), true);
    }
  }

  /// One image's input gradient, through a padded copy where the convolution pads.
  void input_gradient(const T* dy, T* dx, bool add, T* padded) const {
    if (e_.padding == 0) {
      if (!add) std::fill_n(dx, e_.image_size(), T{0});
      scatter_windows(dy, dx);
      return;
    }
    std::fill_n(padded, e_.padded_size(), T{0});
    scatter_windows(dy, padded);
    for (Index y = 0; y < e_.in_height; ++y) {
      const T* from = padded + ((y + e_.padding) * e_.padded_width() + e_.padding) * e_.in;
      T* to = dx + y * e_.in_width * e_.in;
      for (Index i = 0; i < e_.in_width * e_.in; ++i) to[i] = add ? to[i] + from[i] : from[i];
    }
  }

  /// One image's share of the weight gradient: a window's number, over all pixels, times dy. `panel` has room for the
  /// pixels' dy, kWidth columns at a time.
  void window_gradient(const T* x, const T* dy, T* sum, bool add, T* panel) const {
    const gemm::Walk pixels{e_.width, e_.stride * e_.in, e_.height, e_.stride * e_.padded_width() * e_.in};
    for (Index n = 0; n < e_.out; n += kWidth) {
      const Index columns = std::min(kWidth, e_.out - n);
      gemm::pack_rows<T>(e_.pixels(), columns, [&](Index k) { return dy + k * e_.out + n; }, panel);
      gemm::rows_times_panels<T>(
          e_.window(), [&](Index m) { return x + m / e_.run() * e_.padded_width() * e_.in + m % e_.run(); }, pixels,
          panel, [&](Index m) { return sum + m * e_.out + n; }, columns, add);
    }
  }

  ConvExtents e_;
  const Index* offsets_;
  const T* packed_ = nullptr;
};

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
