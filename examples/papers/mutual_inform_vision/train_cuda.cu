#include "../cuda_steps.cuh"
#include "training.hpp"

namespace vision {
namespace {

/// Training on a GPU, where the images stay.
class CudaRunner {
 public:
  CudaRunner(const Settings& settings, Index seed, const Images& images)
      : scaling_(images.training),
        cuda_(papers::cuda_options(settings, seed)),
        training_(images.training, scaling_, cuda_.space()) {}

  [[nodiscard]] Cuda<float>& backend() { return cuda_; }
  [[nodiscard]] const data::Scaling& scaling() const { return scaling_; }

  void train(auto& run, std::span<const Index> order) {
    steps_.train(run, order, [&](auto& ex, const data::CudaOrder& on_device, Index count) {
      const auto batch = on_device.gather(ex, training_, run.log.batch(), count);
      return run.model.loss(ex, batch.images, batch.labels);
    });
  }

 private:
  data::Scaling scaling_;
  Cuda<float> cuda_;
  data::CudaImageSet training_;
  papers::CudaSteps steps_{cuda_};
};

}  // namespace

nlohmann::json train_on_cuda(const Settings& settings, const std::string& row, Index seed, const Images& images,
                             const std::filesystem::path& checkpoint) {
  return with_kind(row, [&]<class Kind>() {
    return train_kind<Kind>(CudaRunner(settings, seed, images), settings, row, seed, images, checkpoint);
  });
}

}  // namespace vision
