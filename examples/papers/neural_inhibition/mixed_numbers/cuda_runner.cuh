#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "../../cuda_steps.cuh"
#include "training.hpp"

namespace mixed_numbers {

/// Where an evaluation batch's b-th image stands in the list of its numbers: no lambda, since nvcc takes none within a
/// template of a lambda.
struct ListPlace {
  __device__ Index operator()(Index b) const { return b; }
};

/// Training and evaluation on a GPU, where the images stay.
class CudaRunner {
 public:
  CudaRunner(const Settings& settings, Index seed, std::shared_ptr<const data::CudaImageSet> images)
      : settings_(settings), images_(std::move(images)), cuda_(papers::cuda_options(settings, seed)) {}

  [[nodiscard]] Cuda<float>& backend() { return cuda_; }

  void train(auto& run, std::span<const Index> order) {
    steps_.train(run, order, [&](auto& ex, const data::CudaOrder& on_device, Index count) {
      return loss_of(ex, run.model, on_device.gather(ex, *images_, run.log.batch(), count));
    });
  }

  /// Calls visit(first, batch) for one batch of the numbered images after another, outside training.
  template <class Visit>
  void for_batches(std::span<const Index> numbers, const Visit& visit) {
    const std::vector<int> chosen(numbers.begin(), numbers.end());
    list_.resize(static_cast<Index>(chosen.size()));
    cuda_.write(View<int>{list_.data(), {list_.size()}}, chosen.data());
    for_each_batch(numbers.size(), settings_.evaluation_batch, [&](std::size_t first, std::size_t count) {
      cuda_.begin_step();
      visit(first, images_->gather(cuda_, list_.data() + first, static_cast<Index>(count), ListPlace{}));
    });
  }

  template <class Network>
  [[nodiscard]] std::vector<int> right(Network& network, std::span<const Index> numbers,
                                       std::span<const Index> others = {}) {
    flags_.resize(static_cast<Index>(numbers.size()));
    const std::vector<int> chosen(others.begin(), others.end());
    others_.assign(chosen.data(), static_cast<Index>(chosen.size()));
    for_batches(numbers, [&](std::size_t first, const data::Batch<float>& batch) {
      flag_right(logits_of(network, batch, others_.data() + first), batch.labels, flags_.data() + first);
    });
    return cuda_.read(View<int>{flags_.data(), {flags_.size()}});
  }

  // Public, as nvcc wants functions with device lambdas.
  template <class Network>
  [[nodiscard]] Tensor<float> logits_of(Network& network, const data::Batch<float>& batch, const int* others) {
    if constexpr (IsConditioned<Network>) {
      const auto other = images_->gather(cuda_, others, batch.labels.size(), [] __device__(Index b) { return b; });
      return network.conditioned_logits(cuda_, batch.images, other.images, other.labels);
    } else {
      return network.logits(cuda_, batch.images);
    }
  }
  void flag_right(const Tensor<float>& logits, const View<int>& labels, int* flag) {
    cuda_.parallel_for(logits.rows(), [=] __device__(Index row) {
      const float* scores = logits.data + row * kClasses;
      int best = 0;
      for (int c = 1; c < kClasses; ++c)
        if (scores[c] > scores[best]) best = c;
      flag[row] = best == labels[row];
    });
  }

 private:
  static constexpr int kStepsPerGraph = 10;

  const Settings& settings_;
  std::shared_ptr<const data::CudaImageSet> images_;
  Cuda<float> cuda_;
  papers::CudaSteps steps_{cuda_, kStepsPerGraph};
  Storage<int> list_{cuda_.space()}, others_{cuda_.space()}, flags_{cuda_.space()};
};

/// A drawing's images on the device, for as long as anyone has them: brought there by whoever comes first.
[[nodiscard]] inline std::shared_ptr<const data::CudaImageSet> device_images(const Settings& settings,
                                                                             const data::ImageSet& set) {
  static std::mutex mutex;
  static std::map<std::pair<const data::ImageSet*, int>, std::weak_ptr<const data::CudaImageSet>> all;
  const std::lock_guard lock(mutex);
  std::erase_if(all, [](const auto& entry) { return entry.second.expired(); });  // other images may lie there now
  auto& kept = all[{&set, *settings.cuda_device}];
  auto images = kept.lock();
  if (images == nullptr)
    kept = images =
        std::make_shared<const data::CudaImageSet>(set, data::Scaling(set), cuda_space(*settings.cuda_device));
  return images;
}

}  // namespace mixed_numbers
