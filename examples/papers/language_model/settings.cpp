#include "settings.hpp"

#include <neuroinhib/backend/processors.hpp>

#include "experiment.hpp"

namespace language_model {

using namespace papers;

namespace {

/// Of the first paper's larger data set.
constexpr Index kLargeVocabulary = 15000;

Network paper_network(int paper, const std::string& size, Profile profile) {
  const bool quick = profile == Profile::quick;
  if (paper == 1) {
    Network ni{2, 50, 2, 10, 3, 32, 256, 1e-3, 0, 0, 8500, 0, 0};
    if (quick) ni.batch = 64, ni.vocabulary = 2000, ni.steps = 300, ni.epoch_steps = 75, ni.learning_rate = 3e-3;
    return ni;
  }
  if (paper == 2 && size == "large") {
    Network mi = paper_network(2, "medium", profile);
    mi.blocks = quick ? 4 : 12, mi.width = quick ? 96 : 512;
    return mi;
  }
  Network mi{3, 128, 8, 16, 2, 256, 96, 7e-4, 3000, .1, 30000, 60000, 1000};
  if (size == "medium") mi.blocks = 6, mi.width = 352, mi.length = 512, mi.batch = 48, mi.warmup = 4000;
  if (quick) {
    mi.blocks = 2, mi.width = 64, mi.heads = 4, mi.experts = 8, mi.length = 64, mi.batch = 16, mi.vocabulary = 2000;
    mi.learning_rate = 3e-3, mi.warmup = 40, mi.dropout = 0, mi.steps = 300, mi.epoch_steps = 75;
  }
  return mi;
}

/// The second paper's as the scripts have it of the code that it builds on.
Network published_network(const std::string& size, Profile profile) {
  Network n = paper_network(2, size, profile);
  n.spans = size == "small" ? 1 : 2;
  if (profile == Profile::quick) return n;
  if (size == "small")
    n.dropout = .7;
  else
    n.steps = 80000;
  return n;
}

std::string extents(const Network& n) {
  return n.name() + ", " + shortest(n.batch) + " × " + shortest(n.length) + " tokens a step, rate " +
         shortest(n.learning_rate) + ", warm-up " + shortest(n.warmup) + ", dropout " + shortest(n.dropout) +
         ", vocabulary " + shortest(n.vocabulary) + ", steps " + shortest(n.steps) + " by " + shortest(n.epoch_steps);
}

/// What the key says of the second paper's further networks: nothing of the paper's own.
std::string further_text(const Settings& s) {
  const auto changed = [](const std::string& name, const Network& network, const Network& own) {
    return extents(network) == extents(own) ? "" : "; " + name + ": " + extents(network);
  };
  return changed("large", s.second_large, paper_network(2, "large", s.profile)) +
         changed("published", s.published, published_network(s.size, s.profile)) +
         changed("published, large", s.published_large, published_network("large", s.profile));
}

std::string tuning_text(const Settings& s) {
  return s.tuning ? "; tuned in " + shortest(s.tuning->steps) + " steps of " + shortest(s.tuning->batch) + ", rate " +
                        shortest(s.tuning->learning_rate)
                  : "";
}

}  // namespace

std::string Network::name() const {
  return shortest(blocks) + " × " + shortest(width) + ", " + shortest(heads) + " heads, " + shortest(chosen) + " of " +
         shortest(experts) + " experts";
}

Network Settings::network(const Task& task) const {
  Network n = task.paper == 1  ? (task.large ? first_large : first)
              : task.published ? (task.large ? published_large : published)
              : task.large     ? second_large
                               : second;
  if (task.twice) n.experts *= 2;
  if (task.one) n.chosen = 1;
  if (task.half) n.chosen = (n.experts + 1) / 2;
  if (task.tuned) {
    n.steps = tuning->steps;
    n.epoch_steps = (tuning->steps + 3) / 4;
    n.warmup = tuning->steps / 10;
    n.batch = tuning->batch;
    n.learning_rate = tuning->learning_rate;
  }
  return n;
}

std::string Settings::attacks_text() const {
  std::string text;
  for (const double share : attacks) text += (text.empty() ? "" : ", ") + shortest(share);
  return text;
}

std::string Settings::key() const {
  return "paper 1: " + extents(first) + "; paper 2: " + extents(second) + "; sentences " + shortest(sentences) +
         ", evaluation rows " + shortest(evaluation_rows) + ", " + inform_text() + ", attack " + attacks_text() +
         further_text(*this) + tuning_text(*this) + precision_text();
}

Settings read_settings(const std::vector<std::string>& arguments) {
  const std::string rows =
      "baseline,moe,random,glu,pretext,posttext,global,moe@copy,global@copy,smoe,smoe-similarity,smoe-attention";
  return read_settings({.program = "language_model", .description = kExperiment, .rows = rows, .few = {.rows = rows}},
                       arguments);
}

Settings read_settings(const Experiment& experiment, const std::vector<std::string>& arguments) {
  Settings s;
  s.program = experiment.program;
  s.out = "out/" + experiment.program;
  s.seeds = 5;
  Options options(experiment.program, experiment.description);
  options.names("--rows", experiment.rows,
                [&](const std::string& text) { s.rows = read_rows(text, experiment.paper); });
  options.choice("--size", s.size);
  options.number("--sentences", s.sentences);
  // What replaces an extent of both networks.
  std::vector<std::function<void(Network&)>> changes;
  const auto extent = [&]<class Number>(const std::string& name, Number Network::* member) {
    options.number_for<Number>(name, [&changes, member](Number value) {
      changes.push_back([member, value](Network& network) { network.*member = value; });
    });
  };
  extent("--blocks", &Network::blocks);
  extent("--width", &Network::width);
  extent("--heads", &Network::heads);
  extent("--experts", &Network::experts);
  extent("--chosen", &Network::chosen);
  extent("--length", &Network::length);
  extent("--batch", &Network::batch);
  extent("--vocabulary", &Network::vocabulary);
  extent("--steps", &Network::steps);
  extent("--epoch-steps", &Network::epoch_steps);
  extent("--warmup", &Network::warmup);
  extent("--lr", &Network::learning_rate);
  extent("--dropout", &Network::dropout);
  std::vector<std::function<void(Tuning&)>> tuning_changes;
  if (experiment.tuning) {
    const auto of_tuning = [&]<class Number>(const std::string& name, Number Tuning::* member) {
      options.number_for<Number>(name, [&tuning_changes, member](Number value) {
        tuning_changes.push_back([member, value](Tuning& tuning) { tuning.*member = value; });
      });
    };
    of_tuning("--tune-steps", &Tuning::steps);
    of_tuning("--tune-batch", &Tuning::batch);
    of_tuning("--tune-lr", &Tuning::learning_rate);
    options.path("--tasks", s.tasks);
  }
  add_inform_options(options, s);
  options.names("--attack", s.attacks_text(), [&](const std::string& text) {
    s.attacks.clear();
    for (const std::string& share : split_at_commas(text))
      s.attacks.push_back(number_of("--attack", share, Limits<double>{0, 1}));
  });
  options.number("--evaluation-rows", s.evaluation_rows);
  options.number("--replicas", s.replicas);
  options.number("--ranks", s.ranks);
  options.number("--telemetry", s.telemetry);
  parse(options, arguments, s);
  if (s.profile == Profile::quick) {
    const Few& few = experiment.few;
    if (!options.given("--seeds")) s.seeds = few.seeds;
    if (!options.given("--sentences")) s.sentences = few.sentences;
    if (!options.given("--evaluation-rows")) s.evaluation_rows = few.evaluation_rows;
    if (few.side_by_side && !s.on_cuda() && s.ranks == 1 && !options.given("--replicas") &&
        !options.given("--threads")) {
      s.threads = 1;
      s.replicas = neuroinhib::available_processors();
    }
  }
  if (s.rows.empty()) s.rows = read_rows(s.profile == Profile::quick ? experiment.few.rows : experiment.rows);
  s.first = s.first_large = paper_network(1, s.size, s.profile);
  s.first_large.vocabulary = kLargeVocabulary;
  s.second = paper_network(2, s.size, s.profile);
  s.second_large = paper_network(2, "large", s.profile);
  if (s.profile == Profile::quick && experiment.few.network) s.second = s.second_large = *experiment.few.network;
  s.published = published_network(s.size, s.profile);
  s.published_large = published_network("large", s.profile);
  for (Network* network : {&s.first, &s.first_large, &s.second, &s.second_large, &s.published, &s.published_large})
    for (const auto& change : changes) change(*network);
  if (s.telemetry > 0 && s.on_cuda())
    fail<ConfigError>("--telemetry", "the CPU, whose steps are run one by one", "a GPU",
                      "leave --device out, or record without it");
  s.tuning = s.profile == Profile::quick ? experiment.few.tuning : experiment.tuning;
  for (const auto& change : tuning_changes) change(*s.tuning);
  for (const std::string& row : s.rows) {
    const Task task = find_row(row).task;
    if (task.published && s.on_cuda())
      fail<ConfigError>("--rows " + row, "the CPU: relative positions have no kernels of a GPU", "a GPU",
                        "leave --device out, or @published");
    const Network n = s.network(task);
    check_extents(n.width, n.heads, n.experts, n.chosen);
  }
  return s;
}

}  // namespace language_model
