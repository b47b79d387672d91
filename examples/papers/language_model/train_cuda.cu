#include "../cuda_steps.cuh"
#include "training.hpp"

namespace language_model {
namespace {

/// Rows of text on the device.
class DeviceRows {
 public:
  struct Batch {
    View<int> ids, labels, documents;
  };

  DeviceRows(const Rows& rows, const MemorySpace& space)
      : length_(rows.length), ids_(space), labels_(space), documents_(space) {
    const auto size = static_cast<Index>(rows.ids.size());
    ids_.assign(rows.ids.data(), size);
    labels_.assign(rows.labels.data(), size);
    documents_.assign(rows.documents.data(), size);
  }
  /// Rows number_of(b) for b < count; `number_of` runs on the device.
  template <Executor Ex, class NumberOf>
  [[nodiscard]] Batch gather(Ex& ex, Index count, const NumberOf& number_of) const {
    const Index length = length_;
    const Batch batch{ex.integers({count * length}), ex.integers({count * length}), ex.integers({count * length})};
    const int *ids = ids_.data(), *labels = labels_.data(), *documents = documents_.data();
    ex.backend().parallel_grid(count, length, [=] __device__(Index b, Index i) {
      const Index from = number_of(b) * length + i, to = b * length + i;
      batch.ids[to] = ids[from];
      batch.labels[to] = labels[from];
      batch.documents[to] = documents[from];
    });
    return batch;
  }
  [[nodiscard]] Sequences sequences(const Batch& batch) const {
    return {.length = length_, .document = batch.documents};
  }

 private:
  Index length_;
  Storage<int> ids_, labels_, documents_;
};

/// A training step's b-th row.
struct Ordered {
  const int* numbers;
  neuroinhib::data::CudaOrder::Place place;
  __device__ Index operator()(Index b) const { return numbers[place(b)]; }
};

/// Training and evaluation on a GPU, where the text stays.
class CudaRunner {
 public:
  using Telemetry = NoTelemetry;
  using Backend = Cuda<float>;

  CudaRunner(const Settings& settings, const Row& row, Index seed, const Data& data)
      : batch_(settings.network(row.task).batch),
        data_(data),
        options_(papers::cuda_options(settings, seed)),
        cuda_(options_),
        training_(data.training, cuda_.space()) {}

  [[nodiscard]] Cuda<float>& backend() { return cuda_; }
  [[nodiscard]] const CudaOptions& options() const { return options_; }
  void watch(Telemetry::Config&) {}

  void train(auto& run, std::span<const Index> order) {
    steps_.train(run, order, [&](auto& ex, const neuroinhib::data::CudaOrder& on_device, Index count) {
      const auto batch = training_.gather(ex, count, Ordered{on_device.numbers(), on_device.place(cuda_, batch_)});
      return run.model.loss(ex, batch.ids, batch.labels, training_.sequences(batch));
    });
  }

  template <class M>
  [[nodiscard]] typename M::Loss first_loss(Backend& backend, const M& model) {
    const auto batch =
        training_.gather(backend, std::min(batch_, data_.training.count()), [] __device__(Index b) { return b; });
    return model.loss(backend, batch.ids, batch.labels, training_.sequences(batch));
  }

  template <class M>
  [[nodiscard]] Evaluation evaluate(const M& model, const Rows& rows) {
    std::vector<typename M::LayerOutput> layers;
    Evaluator evaluator(rows, static_cast<Index>(data_.corpus->domains.size()));
    const DeviceRows on_device(rows, cuda_.space());
    for (Index first = 0; first < rows.count(); first += batch_) {
      papers::stop_if_interrupted();
      cuda_.begin_step();
      const auto batch = on_device.gather(cuda_, std::min(batch_, rows.count() - first),
                                          [=] __device__(Index b) { return first + b; });
      const auto loss = model.loss(cuda_, batch.ids, batch.labels, on_device.sequences(batch), &layers);
      evaluator.add(cuda_, first, loss, layers);
    }
    return evaluator.finish();
  }

 private:
  Index batch_;
  const Data& data_;
  CudaOptions options_;
  Cuda<float> cuda_;
  DeviceRows training_;
  papers::CudaSteps steps_{cuda_};
};

}  // namespace

nlohmann::json train_on_cuda(const Settings& settings, const Row& row, Index seed, const Data& data,
                             const Files& files) {
  return with_inhibition(row, [&]<class Inhibition>() {
    CudaRunner runner(settings, row, seed, data);
    return train_model<Inhibition>(runner, settings, row, seed, data, files);
  });
}

}  // namespace language_model
