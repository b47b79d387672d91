#include <neuroinhib/cuda.cuh>
#include <neuroinhib/data/cuda_image_set.cuh>

#include "training.hpp"

namespace vision {
namespace {

CudaOptions options(const Settings& settings, Index seed) {
  return {.device = *settings.cuda_device,
          .seed = static_cast<std::uint64_t>(seed),
          .precision = settings.precision == "bf16"     ? Precision::bf16
                       : settings.precision == "strict" ? Precision::strict
                                                        : Precision::tf32};
}

/// Training on a GPU: images, order and losses stay there, and the host launches captured steps.
class CudaRunner {
 public:
  CudaRunner(const Settings& settings, Index seed, const Images& images)
      : batch_(settings.network.batch),
        scaling_(images.training),
        cuda_(options(settings, seed)),
        training_(images.training, scaling_, cuda_.space()) {
    loss_sum_.assign_zeros(1);
  }

  [[nodiscard]] Cuda<float>& backend() { return cuda_; }
  [[nodiscard]] const data::Scaling& scaling() const { return scaling_; }

  template <class M>
  void train(M& model, Parameters<float>& parameters, Adam<float>& adam, std::span<const Index> order, RunLog& log,
             const Rate& rate, const papers::SaveClock& clock) {
    const auto start = papers::Clock::now();
    const auto step = [&](double factor) {
      Recording ex(cuda_);
      const auto batch = order_.gather(ex, training_, batch_, batch_);
      const auto loss = model.loss(ex, batch.images, batch.labels);
      ex.backward(loss.total);
      adam.step(cuda_, parameters, factor);
      double* sum = loss_sum_.data();
      const float* value = loss.mean.data;
      cuda_.parallel_for(1, [=] __device__(Index) { *sum += static_cast<double>(*value); });
    };
    const View<double> sum{loss_sum_.data(), {1}};
    const double sum_before = log.loss_sum();
    cuda_.write(sum, &sum_before);
    order_.start(cuda_, papers::rotated(order, log.step_of_epoch() * batch_));
    const Index rest = static_cast<Index>(order.size()) / batch_ - log.step_of_epoch();
    Index steps = 0;
    do {
      const double factor = rate(log.step() + steps++);
      if (steps_ >= kWarmUp && cuda_.settled()) {
        if (!graph_) graph_ = cuda_.capture([&] { step(1); });
        cuda_.replay(graph_, factor);
      } else {
        step(factor);
        ++steps_;
      }
    } while (steps < rest && !clock.due());
    const double loss_sum = cuda_.read(sum)[0];
    if (!std::isfinite(loss_sum))
      fail<NumericError>(log.configuration() + ", step " + std::to_string(log.step() + steps), "a finite loss",
                         std::to_string(loss_sum), "lower the learning rate; the CPU names the operation");
    log.advance(steps, papers::seconds_since(start), loss_sum);
  }

 private:
  static constexpr Index kWarmUp = 3;  ///< steps one by one, in which memory takes its final size

  Index batch_;
  data::Scaling scaling_;
  Cuda<float> cuda_;
  data::CudaImageSet training_;
  data::CudaOrder order_{cuda_.space()};
  Storage<double> loss_sum_{cuda_.space()};
  CudaGraph graph_;
  Index steps_ = 0;
};

}  // namespace

nlohmann::json train_row_on_cuda(const Settings& settings, const std::string& row, Index seed, const Images& images,
                                 const std::filesystem::path& checkpoint) {
  return with_kind(row, [&]<class Kind>() {
    typename Kind::Model model(Kind::configuration(settings, images));
    CudaRunner runner(settings, seed, images);
    return train(runner, model, settings, row, seed, images, checkpoint);
  });
}

std::string describe_cuda(const Settings& settings) {
  return Cuda<float>(options(settings, 0)).describe();
}

}  // namespace vision
