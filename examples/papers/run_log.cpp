#include "run_log.hpp"

#include <cstdio>
#include <numeric>

#include <neuroinhib/data/mixed_numbers.hpp>

#include "job.hpp"

namespace papers {

double RunClock::step_ms() const {
  std::vector<double> times = step_times_;
  std::sort(times.begin(), times.end());
  return times.empty() ? 0 : times[times.size() / 2];
}

std::vector<double> fluctuation(const ChosenExperts& before, const ChosenExperts& after) {
  std::vector<double> shares;
  for (std::size_t l = 0; l < after.size(); ++l) {
    double changed = 0;
    for (std::size_t i = 0; i < after[l].size(); ++i) changed += before[l][i] != after[l][i];
    shares.push_back(changed / static_cast<double>(after[l].size()));
  }
  return shares;
}

std::string RunLog::save() const {
  return storable({{"step", state_.step},
                   {"loss_sum", state_.loss_sum},
                   {"seconds", seconds()},
                   {"validation", state_.validation},
                   {"loss", state_.loss},
                   {"fluctuation", state_.fluctuation},
                   {"chosen", state_.chosen}})
      .dump();
}

void RunLog::load(const Notes& notes) {
  State state;
  state.validation = notes.numbers("validation", 0, extent_.epochs());
  const Index epochs = std::ssize(state.validation);
  state.step = notes.count("step", extent_.first_step(epochs), extent_.first_step(epochs + 1));
  state.loss_sum = notes.number("loss_sum");
  const double seconds = notes.number("seconds");
  state.loss = notes.numbers("loss", epochs, epochs);
  const Index compared = epochs > 0 ? extent_.layers : 0;
  state.fluctuation = notes.numbers("fluctuation", compared, compared);
  // Before the first step they are those of start(), which follows: a run may have ended in its first evaluation.
  if (state.step > 0) state.chosen = notes.sets("chosen", extent_.layers, extent_.tokens);
  first_step_ = state.step;
  state_ = std::move(state);
  clock_ = RunClock(seconds);
}

void RunLog::end_epoch(ChosenExperts chosen, double validation, const std::string& text) {
  state_.loss.push_back(state_.loss_sum / static_cast<double>(step_of_epoch()));
  state_.validation.push_back(validation);
  const ChosenExperts before = std::exchange(state_.chosen, std::move(chosen));
  state_.fluctuation = papers::fluctuation(before, state_.chosen);
  state_.loss_sum = 0;
  const double each = clock_.of_call() / static_cast<double>(std::max<Index>(state_.step - first_step_, 1));
  std::fprintf(job().progress(), "%s, seed %td  step %td/%td  loss %.4f  validation %s  %.2f ms a step  %.0f s left\n",
               row_.c_str(), seed_, state_.step, extent_.steps, state_.loss.back(), text.c_str(), step_ms(),
               each * static_cast<double>(extent_.steps - state_.step));
}

std::vector<Index> order_of(const Extent& extent, Index epoch, Index all, Index seed) {
  const Index a_pass = std::max<Index>(all / extent.batch, 1);
  std::vector<Index> numbers, pass;
  for (Index step = extent.first_step(epoch); step < extent.first_step(epoch + 1); ++step) {
    if (pass.empty() || step % a_pass == 0) {
      pass.resize(static_cast<std::size_t>(all));
      std::iota(pass.begin(), pass.end(), Index{0});
      neuroinhib::data::shuffle(pass, static_cast<std::uint64_t>(seed), static_cast<std::uint32_t>(step / a_pass));
    }
    for (Index b = 0; b < extent.batch; ++b)
      numbers.push_back(pass[static_cast<std::size_t>((step % a_pass * extent.batch + b) % all)]);
  }
  return numbers;
}

}  // namespace papers
