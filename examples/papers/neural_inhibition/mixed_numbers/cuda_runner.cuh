#pragma once

#include <map>
#include <mutex>

#include <neuroinhib/cuda.cuh>
#include <neuroinhib/data/cuda_image_set.cuh>

#include "training.hpp"

namespace mixed_numbers {

inline constexpr int kStepsPerGraph = 10;

inline CudaOptions cuda_options(const Settings& settings, Index seed) {
  return {.device = *settings.cuda_device, .seed = static_cast<std::uint64_t>(seed)};
}

/// Where an evaluation batch's b-th image stands in the list of its numbers: no lambda, since nvcc takes none within a
/// template of a lambda.
struct ListPlace {
  __device__ Index operator()(Index b) const { return b; }
};

/// Training and evaluation on a GPU: images, order and losses stay there, and the host launches captured steps.
class CudaRunner {
 public:
  CudaRunner(const Settings& settings, Index seed, const data::CudaImageSet& images)
      : settings_(settings), images_(images), cuda_(cuda_options(settings, seed)) {
    loss_sum_.assign_zeros(1);
  }

  [[nodiscard]] Cuda<float>& backend() { return cuda_; }

  template <class Network>
  void train(Network& network, Parameters<float>& parameters, Adam<float>& adam, std::span<const Index> order,
             RunLog& log, const papers::SaveClock& clock) {
    const auto start = Clock::now();
    const auto step = [&](Index count) {
      Recording ex(cuda_);
      const auto batch = order_.gather(ex, images_, settings_.batch, count);
      const auto loss = network.loss(ex, network.logits(ex, batch.images), batch.labels);
      ex.backward(loss);
      adam.step(cuda_, parameters);
      double* sum = loss_sum_.data();
      const float* value = loss.data;
      cuda_.parallel_for(1, [=] __device__(Index) { *sum += static_cast<double>(*value); });
    };
    const View<double> sum{loss_sum_.data(), {1}};
    const double sum_before = log.loss_sum();
    cuda_.write(sum, &sum_before);
    const auto all = static_cast<Index>(order.size()), rest = all - log.images();
    order_.start(cuda_, papers::rotated(order, log.images()));
    Index images = 0, steps = 0;
    do {
      if (rest - images >= kStepsPerGraph * settings_.batch && steps_ >= kWarmUp && cuda_.settled()) {
        if (!graph_) graph_ = cuda_.capture([&] { step(settings_.batch); }, kStepsPerGraph);
        cuda_.replay(graph_);
        images += kStepsPerGraph * settings_.batch;
        steps += kStepsPerGraph;
      } else {
        const Index count = std::min(settings_.batch, rest - images);
        step(count);
        images += count;
        ++steps;
        if (count == settings_.batch) ++steps_;
      }
    } while (images < rest && !clock.due());
    const double loss_sum = cuda_.read(sum)[0];
    if (!std::isfinite(loss_sum))
      fail<NumericError>(log.configuration() + ", epoch " + std::to_string(log.epoch()), "a finite loss",
                         std::to_string(loss_sum),
                         "lower the learning rate; with --device cpu the error names the operation");
    log.advance(steps, 1e3 * seconds_since(start) / static_cast<double>(steps), images, all, loss_sum);
  }

  /// Calls visit(first, batch) for one batch of the numbered images after another, outside training.
  template <class Visit>
  void for_batches(std::span<const Index> numbers, const Visit& visit) {
    const std::vector<int> chosen(numbers.begin(), numbers.end());
    list_.resize(static_cast<Index>(chosen.size()));
    cuda_.write(View<int>{list_.data(), {list_.size()}}, chosen.data());
    for_each_batch(numbers.size(), settings_.evaluation_batch, [&](std::size_t first, std::size_t count) {
      cuda_.begin_step();
      visit(first, images_.gather(cuda_, list_.data() + first, static_cast<Index>(count), ListPlace{}));
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
      const auto other = images_.gather(cuda_, others, batch.labels.size(), [] __device__(Index b) { return b; });
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
  static constexpr Index kWarmUp = 3;  ///< steps one by one, in which memory takes its final size

  const Settings& settings_;
  const data::CudaImageSet& images_;
  Cuda<float> cuda_;
  data::CudaOrder order_{cuda_.space()};
  Storage<double> loss_sum_{cuda_.space()};
  Storage<int> list_{cuda_.space()}, others_{cuda_.space()}, flags_{cuda_.space()};
  CudaGraph graph_;
  Index steps_ = 0;
};

/// The images of each drawing, brought to the device by whoever comes first.
inline const data::CudaImageSet& device_images(const Settings& settings, const data::ImageSet& set) {
  static std::mutex mutex;
  static std::map<const data::ImageSet*, data::CudaImageSet> all;
  const std::lock_guard lock(mutex);
  return all.try_emplace(&set, set, data::Scaling(set), cuda_space(*settings.cuda_device)).first->second;
}

}  // namespace mixed_numbers
