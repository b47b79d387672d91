#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include <neuroinhib/io/ranks.hpp>
#include <neuroinhib/neuroinhib.hpp>

#include "call.hpp"
#include "interrupts.hpp"
#include "notes.hpp"
#include "run_log.hpp"

/// How a run trains and is kept, whatever its model, data and backend.
namespace papers {

/// One run: a model, what trains it, its log and its checkpoint. `rate(step)` is the factor on the learning rate. The
/// log is that of the run's kind: RunLog, or one with the same batch(), step(), taken(), loss_sum(), epochs(), ended(),
/// advance(), where(), configuration(), save() and load().
template <class Backend, class M, class Log, class Rate>
class Run {
 public:
  using T = typename M::Scalar;

  M& model;
  Log& log;
  neuroinhib::Parameters<T> parameters;
  neuroinhib::Adam<T> adam;
  Rate rate;
  SaveClock clock;

  /// Goes on from the checkpoint where the call resumes and there is one, to the same bits.
  Run(Backend& backend, M& model_of_run, Log& log_of_run, const Call& call, std::filesystem::path checkpoint,
      Index seed, const neuroinhib::AdamOptions& options, Rate rate_of_run)
      : model(model_of_run),
        log(log_of_run),
        parameters(model, static_cast<std::uint64_t>(seed), backend.space()),
        adam(parameters, options),
        rate(std::move(rate_of_run)),
        clock(call.save_seconds),
        backend_(backend),
        checkpoint_(std::move(checkpoint)) {
    if (!call.resumes() || !std::filesystem::exists(checkpoint_)) return;
    if constexpr (neuroinhib::kAlone<Backend>)
      neuroinhib::io::load_checkpoint(checkpoint_, parameters, adam, backend.random(), log.configuration(),
                                      [&](const std::string& notes) { log.load({checkpoint_, notes}); });
    else
      log.load(
          {checkpoint_, neuroinhib::io::load_checkpoint(backend, checkpoint_, parameters, adam, log.configuration())});
  }

  /// evaluation(), which changes nothing that a checkpoint keeps: saves where the end is asked for in it.
  template <class Evaluation>
  auto evaluated(const Evaluation& evaluation) {
    try {
      return evaluation();
    } catch (const Interrupted&) {
      save();
      throw;
    }
  }
  /// To the last epoch. order_of(epoch) has the numbers of its data; runner.train(run, order) goes on in them from
  /// where the log stands until the epoch ends or a checkpoint is due; end_epoch() evaluates, and ends it in the log.
  template <class Runner, class OrderOf, class EndEpoch>
  void train(Runner& runner, const OrderOf& order_of, const EndEpoch& end_epoch) {
    while (!log.ended()) {
      const std::vector<Index> order = order_of(log.epochs());
      while (log.taken() < std::ssize(order)) {
        runner.train(*this, order);
        clock([&] { save(); });
      }
      evaluated(end_epoch);
    }
  }

 private:
  void save() {
    const neuroinhib::io::Progress progress{log.configuration(), log.save()};
    if constexpr (neuroinhib::kAlone<Backend>)
      neuroinhib::io::save_checkpoint(checkpoint_, parameters, adam, backend_.random(), progress);
    else
      neuroinhib::io::save_checkpoint(backend_, checkpoint_, parameters, adam, progress);
  }

  Backend& backend_;
  std::filesystem::path checkpoint_;
};

/// Throws ConfigError unless each rank has some of every batch: of `all` rows, `batch` at a time.
inline void require_shares(const std::string& rows, Index all, Index batch) {
  const Index least = all % batch == 0 ? std::min(all, batch) : all % batch, ranks = job().size();
  if (least > 0 && least < ranks)
    neuroinhib::fail<neuroinhib::ConfigError>(
        "--ranks", "one of every batch for each of " + std::to_string(ranks) + " ranks",
        "a batch of " + std::to_string(least) + " of the " + rows, "start fewer ranks, or give batches another size");
}

/// A runner's train() on the CPU. loss_of(ex, numbers) is a batch's loss, on several ranks this one's part of it: its
/// members `total`, and `mean` for the curve.
template <class Cpu, class Run, class LossOf>
void train_steps(Cpu& cpu, Run& run, std::span<const Index> order, const LossOf& loss_of) {
  do {
    const auto start = Clock::now();
    const Index all = std::ssize(order), first = run.log.taken(), count = std::min(run.log.batch(), all - first);
    neuroinhib::Recording ex(cpu);
    const auto loss =
        loss_of(ex, own_part(cpu, order.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count))));
    ex.require_finite(loss.total, run.log.where());
    ex.backward(loss.total);
    run.adam.step(cpu, run.parameters, run.rate(run.log.step()));
    const auto mean = all_reduce(cpu, loss.mean.detached());
    run.log.advance({1, count, all, seconds_since(start), run.log.loss_sum() + static_cast<double>(mean[0])});
  } while (run.log.taken() < std::ssize(order) && !run.clock.due());
}

}  // namespace papers
