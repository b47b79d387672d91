#include <neuroinhib/cuda.cuh>
#include <neuroinhib/data/cuda_image_set.cuh>

#include "training.hpp"

namespace language_model {
namespace {

CudaOptions options(const Settings& settings, Index seed) {
  return {.device = *settings.cuda_device,
          .seed = static_cast<std::uint64_t>(seed),
          .precision = settings.precision == "bf16"     ? Precision::bf16
                       : settings.precision == "strict" ? Precision::strict
                                                        : Precision::tf32};
}

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

/// Training and evaluation on a GPU: text, order and losses stay there, and the host launches captured steps.
class CudaRunner {
 public:
  CudaRunner(const Settings& settings, const Row& row, Index seed, const Data& data)
      : batch_(settings.network(row.task).batch),
        data_(data),
        cuda_(options(settings, seed)),
        training_(data.training, cuda_.space()) {
    loss_sum_.assign_zeros(1);
  }

  [[nodiscard]] Cuda<float>& backend() { return cuda_; }

  template <class M>
  void train(M& model, Parameters<float>& parameters, Adam<float>& adam, std::span<const Index> order, RunLog& log,
             const WarmUp& rate, const papers::SaveClock& clock) {
    const auto start = papers::Clock::now();
    const auto step = [&](double factor) {
      Recording ex(cuda_);
      const int* numbers = order_.numbers();
      const auto place = order_.place(cuda_, batch_);
      const auto batch = training_.gather(ex, batch_, [=] __device__(Index b) { return Index{numbers[place(b)]}; });
      const auto loss = model.loss(ex, batch.ids, batch.labels, training_.sequences(batch));
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
                         std::to_string(loss_sum),
                         "lower the learning rate; with --device cpu the error names the operation");
    log.advance(steps, papers::seconds_since(start), loss_sum);
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
      evaluator.add(cuda_, first, loss.losses, layers);
    }
    return evaluator.finish();
  }

 private:
  static constexpr Index kWarmUp = 3;  ///< steps one by one, in which memory takes its final size

  Index batch_;
  const Data& data_;
  Cuda<float> cuda_;
  DeviceRows training_;
  neuroinhib::data::CudaOrder order_{cuda_.space()};
  Storage<double> loss_sum_{cuda_.space()};
  CudaGraph graph_;
  Index steps_ = 0;
};

template <class Inhibition>
nlohmann::json train_on_cuda(const Settings& settings, const Row& row, Index seed, const Data& data,
                             const std::filesystem::path& checkpoint) {
  return with_router<Inhibition>(row, [&]<class Router>() {
    using M = Model<Router, Inhibition, float>;
    M model(configuration<M>(settings, row, static_cast<Index>(data.corpus->vocabulary.size())));
    CudaRunner runner(settings, row, seed, data);
    return train(runner, model, settings, row, seed, data, checkpoint);
  });
}

}  // namespace

nlohmann::json train_row_on_cuda(const Settings& settings, const Row& row, Index seed, const Data& data,
                                 const std::filesystem::path& checkpoint) {
  const auto train = row.inhibition == "random"     ? train_on_cuda<RandomInhibition>
                     : row.inhibition == "glu"      ? train_on_cuda<GluInhibition>
                     : row.inhibition == "pretext"  ? train_on_cuda<PretextInhibition>
                     : row.inhibition == "posttext" ? train_on_cuda<PosttextInhibition>
                     : row.inhibition == "global"   ? train_on_cuda<GlobalInhibition>
                                                    : train_on_cuda<NoInhibition>;
  return train(settings, row, seed, data, checkpoint);
}

std::string describe_cuda(const Settings& settings) {
  return Cuda<float>(options(settings, 0)).describe();
}

}  // namespace language_model
