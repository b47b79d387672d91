#pragma once

#include <neuroinhib/cuda.cuh>
#include <neuroinhib/data/cuda_image_set.cuh>

#include "cuda_options.cuh"
#include "training.hpp"

namespace papers {

/// A runner's train() on a GPU: order and losses stay there, and the host launches captured steps.
class CudaSteps {
 public:
  using Cuda = neuroinhib::Cuda<float>;

  /// A captured graph has so many steps.
  explicit CudaSteps(Cuda& cuda, int per_graph = 1) : cuda_(cuda), per_graph_(per_graph) { loss_sum_.assign_zeros(1); }

  /// loss_of(ex, order, count) is a batch's loss, as in train_steps(); `count` is shorter in an order's last batch.
  template <class Run, class LossOf>
  void train(Run& run, std::span<const Index> order, const LossOf& loss_of) {
    const auto start = Clock::now();
    const auto step = [&](Index count, double factor) {
      neuroinhib::Recording ex(cuda_);
      const auto loss = loss_of(ex, order_, count);
      ex.backward(loss.total);
      run.adam.step(cuda_, run.parameters, factor);
      add(loss.mean.data);
    };
    const neuroinhib::View<double> sum{loss_sum_.data(), {1}};
    const double sum_before = run.log.loss_sum();
    cuda_.write(sum, &sum_before);
    order_.start(cuda_, rotated(order, run.log.taken()));
    const Index batch = run.log.batch(), of_graph = per_graph_ * batch, rest = std::ssize(order) - run.log.taken();
    Index numbers = 0, steps = 0;
    do {
      const double factor = run.rate(run.log.step() + steps);
      if (rest - numbers >= of_graph && steps_ >= kWarmUp && cuda_.settled()) {
        if (!graph_) graph_ = cuda_.capture([&] { step(batch, 1); }, per_graph_);
        cuda_.replay(graph_, factor);
        numbers += of_graph;
        steps += per_graph_;
      } else {
        const Index count = std::min(batch, rest - numbers);
        step(count, factor);
        numbers += count;
        ++steps;
        if (count == batch) ++steps_;
      }
    } while (numbers < rest && !run.clock.due());
    const double loss_sum = cuda_.read(sum)[0];
    if (!std::isfinite(loss_sum))
      neuroinhib::fail<neuroinhib::NumericError>(
          run.log.where() + " and " + std::to_string(steps) + " after it", "a finite loss", std::to_string(loss_sum),
          "lower the learning rate; with --device cpu the error names the operation");
    run.log.advance({steps, numbers, std::ssize(order), seconds_since(start), loss_sum});
  }

  // Public, as nvcc wants functions with device lambdas.
  void add(const float* loss) {
    double* sum = loss_sum_.data();
    cuda_.parallel_for(1, [=] __device__(Index) { *sum += static_cast<double>(*loss); });
  }

 private:
  static constexpr Index kWarmUp = 3;  ///< steps one by one, in which memory takes its final size

  Cuda& cuda_;
  int per_graph_;
  neuroinhib::data::CudaOrder order_{cuda_.space()};
  neuroinhib::Storage<double> loss_sum_{cuda_.space()};
  neuroinhib::CudaGraph graph_;
  Index steps_ = 0;
};

}  // namespace papers
