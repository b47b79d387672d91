#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/data/image_set.hpp>

namespace neuroinhib::data {

/// An image set in device memory, from which batches are gathered without the host: by a list of numbers that is there
/// too. May serve several backends of one device at once.
class CudaImageSet {
 public:
  /// `space`: of the backends that will gather from it.
  CudaImageSet(const ImageSet& set, const Scaling& scaling, const MemorySpace& space = kSpaceOf<CudaMemory>)
      : shape_{set.count(), set.height, set.width, set.channels}, pixels_(space), labels_(space), scaled_(space) {
    pixels_.assign(set.pixels.data(), static_cast<Index>(set.pixels.size()));
    labels_.assign(set.labels.data(), set.count());
    std::array<double, 256> scaled;
    for (std::size_t p = 0; p < 256; ++p) scaled[p] = scaling(static_cast<std::uint8_t>(p));
    scaled_.assign(scaled.data(), 256);
  }

  /// The images of numbers[number_of(b)] for b < count; `number_of` runs on the device. Throws ConfigError for a
  /// backend of another device. A number that no image has makes its image NaN and is told by Cuda::check.
  template <Executor Ex, class NumberOf>
  [[nodiscard]] Batch<ScalarOf<Ex>> gather(Ex& ex, const int* numbers, Index count, const NumberOf& number_of) const {
    using T = ScalarOf<Ex>;
    if (&ex.backend().space() != &pixels_.space())
      fail<ConfigError>("image set", "a backend with " + pixels_.space().text() + ", where the images are",
                        "one with " + ex.backend().space().text(), "give the set the backend's space()");
    Batch<T> batch{ex.backend().tensor({count, shape_[1], shape_[2], shape_[3]}, false), ex.integers({count})};
    const Index size = shape_.cols(), images_there = shape_[0];
    CudaControl* control = ex.backend().control();
    const std::uint8_t* pixels = pixels_.data();
    const int* labels = labels_.data();
    const double* scaled = scaled_.data();
    T* images = batch.images.data;
    int* chosen = batch.labels.data;
    ex.backend().parallel_grid(count, size, [=] __device__(Index b, Index i) {
      const Index number = numbers[number_of(b)];
      if (number < 0 || number >= images_there) {
        if (i == 0) {
          note_fault(control, CudaFault::image_out_of_range, number, b);
          chosen[b] = 0;
        }
        images[b * size + i] = static_cast<T>(NAN);
        return;
      }
      images[b * size + i] = static_cast<T>(scaled[pixels[number * size + i]]);
      if (i == 0) chosen[b] = labels[number];
    });
    return batch;
  }

 private:
  Shape shape_;
  Storage<std::uint8_t> pixels_;
  Storage<int> labels_;
  Storage<double> scaled_;
};

/// An epoch's order on the device: training step i of the epoch takes the i-th batch of it, also when it is replayed.
class CudaOrder {
 public:
  /// An empty order, in the backend's memory.
  explicit CudaOrder(const MemorySpace& space = kSpaceOf<CudaMemory>) : numbers_(space), first_step_(space) {}

  /// Starts an epoch at the backend's next training step.
  template <class T>
  void start(Cuda<T>& cuda, std::span<const Index> order) {
    host_.assign(order.begin(), order.end());
    numbers_.resize(static_cast<Index>(order.size()));
    first_step_.resize(1);
    cuda.write(View<int>{numbers_.data(), {numbers_.size()}}, host_.data());
    std::uint64_t* first = first_step_.data();
    const std::uint64_t next = cuda.random().step + 1;
    cuda.parallel_for(1, [=] __device__(Index) { *first = next; });
  }
  /// The training step's batch: `count` images, batches being `batch` long but for the last.
  template <Executor Ex>
  [[nodiscard]] Batch<ScalarOf<Ex>> gather(Ex& ex, const CudaImageSet& set, Index batch, Index count) const {
    return set.gather(ex, numbers_.data(), count, place(ex.backend(), batch));
  }

  /// On the device, where the training step's b-th number stands in numbers(): operator()(b), from the step of
  /// `control`, the epoch's `first` step and the length of a `batch`.
  struct Place {
    const CudaControl* control;
    const std::uint64_t* first;
    Index batch;
    __device__ Index operator()(Index b) const { return static_cast<Index>(control->step - *first) * batch + b; }
  };
  /// For gather() on a user's own data: the place of a training step's b-th number.
  template <class T>
  [[nodiscard]] Place place(const Cuda<T>& cuda, Index batch) const {
    return {cuda.control(), first_step_.data(), batch};
  }
  /// The epoch's numbers, in device memory.
  [[nodiscard]] const int* numbers() const { return numbers_.data(); }

 private:
  std::vector<int> host_;
  Storage<int> numbers_;
  Storage<std::uint64_t> first_step_;
};

}  // namespace neuroinhib::data
