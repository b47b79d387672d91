#pragma once

#include <numeric>
#include <optional>

#include <neuroinhib/io/telemetry.hpp>

#include "../results.hpp"
#include "training.hpp"

namespace language_model {

/// Training and evaluation on the CPU.
class CpuRunner {
 public:
  using Telemetry = io::Telemetry;
  using Backend = Cpu<float>;

  CpuRunner(const Settings& settings, const Row& row, Index seed, const Data& data)
      : batch_(settings.network(row.task).batch),
        data_(data),
        options_{.threads = settings.threads, .seed = static_cast<std::uint64_t>(seed)},
        cpu_(papers::job(), options_) {
    if (settings.telemetry > 0)
      telemetry_.emplace(papers::OutputFolder::telemetry(settings, row.name, seed),
                         io::TelemetryOptions{.every = settings.telemetry},
                         std::map<std::string, std::string>{{"row", row.title}, {"text", data.corpus->source}});
  }

  [[nodiscard]] papers::Processor& backend() { return cpu_; }
  [[nodiscard]] const CpuOptions& options() const { return options_; }
  void watch(Telemetry::Config& config) {
    if (telemetry_) config = {&*telemetry_, "block"};
  }

  void train(auto& run, std::span<const Index> order) {
    papers::train_steps(cpu_, run, order, [&](auto& ex, std::span<const Index> numbers) {
      gather(data_.training, numbers);
      const Sequences batch = sequences(data_.training, numbers.front());
      const auto loss_of = [&] { return run.model.loss(ex, view(ids_), view(labels_), batch); };
      return telemetry_ ? recorded(static_cast<std::uint64_t>(run.log.step()), loss_of) : loss_of();
    });
  }

  template <class M>
  [[nodiscard]] typename M::Loss first_loss(Backend& backend, const M& model) {
    std::vector<Index> numbers(static_cast<std::size_t>(std::min(batch_, data_.training.count())));
    std::iota(numbers.begin(), numbers.end(), Index{0});
    gather(data_.training, numbers);
    return model.loss(backend, view(ids_), view(labels_), sequences(data_.training, 0));
  }

  template <class M>
  [[nodiscard]] Evaluation evaluate(const M& model, const Rows& rows) {
    std::vector<typename M::LayerOutput> layers;
    Evaluator evaluator(rows, static_cast<Index>(data_.corpus->domains.size()));
    const Index batch = rows.streams > 0 ? rows.streams : batch_;
    for (Index first = 0; first < rows.count(); first += batch) {
      papers::stop_if_interrupted();
      std::vector<Index> numbers;
      for (Index row = first; row < std::min(rows.count(), first + batch); ++row) numbers.push_back(row);
      cpu_.begin_step();
      gather(rows, papers::own_part(cpu_, numbers));
      const auto loss = model.loss(cpu_, view(ids_), view(labels_), sequences(rows, first), &layers);
      evaluator.add(cpu_, first, loss, layers);
    }
    return evaluator.finish();
  }

 private:
  /// loss_of(), recorded where the step is due.
  template <class LossOf>
  auto recorded(std::uint64_t step, const LossOf& loss_of) {
    decltype(loss_of()) loss;
    telemetry_->step(step, [&] {
      loss = loss_of();
      telemetry_->measure("loss, nats", static_cast<double>(loss.mean[0]));
      telemetry_->words(ids_, [&](int word) { return data_.corpus->vocabulary[static_cast<std::size_t>(word)]; });
    });
    return loss;
  }
  static View<const int> view(const std::vector<int>& values) {
    return {values.data(), {static_cast<Index>(values.size())}};
  }
  /// Of a batch that begins with row `first`.
  [[nodiscard]] Sequences sequences(const Rows& rows, Index first) const {
    if (rows.streams > 0) return {.length = rows.length, .continues = first >= rows.streams};
    return {.length = rows.length, .document = view(documents_)};
  }
  void gather(const Rows& rows, std::span<const Index> numbers) {
    for (const auto& [target, source] :
         {std::pair{&ids_, &rows.ids}, {&labels_, &rows.labels}, {&documents_, &rows.documents}}) {
      target->clear();
      for (const Index number : numbers)
        target->insert(target->end(), source->begin() + number * rows.length,
                       source->begin() + (number + 1) * rows.length);
    }
  }

  Index batch_;
  const Data& data_;
  CpuOptions options_;
  papers::Processor cpu_;
  std::optional<io::TelemetryWriter> telemetry_;
  std::vector<int> ids_, labels_, documents_;
};

template <class Inhibition>
nlohmann::json CpuTraining<Inhibition>::train(const Settings& settings, const Row& row, Index seed, const Data& data,
                                              const Files& files) {
  CpuRunner runner(settings, row, seed, data);
  return train_model<Inhibition>(runner, settings, row, seed, data, files);
}

}  // namespace language_model
