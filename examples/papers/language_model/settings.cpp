#include "settings.hpp"

#include <array>
#include <set>

#include "../options.hpp"

namespace language_model {

using namespace papers;

namespace {

Network paper_network(int paper, const std::string& size, Profile profile) {
  const bool quick = profile == Profile::quick;
  if (paper == 1) {
    Network ni{2, 50, 2, 10, 3, 32, 256, 1e-3, 0, 0, 8500, 0, 0};
    if (quick) ni.batch = 64, ni.vocabulary = 2000, ni.steps = 400, ni.epoch_steps = 100, ni.learning_rate = 3e-3;
    return ni;
  }
  Network mi{3, 128, 8, 16, 2, 256, 96, 7e-4, 3000, .1, 30000, 60000, 1000};
  if (size == "medium") mi.blocks = 6, mi.width = 352, mi.length = 512, mi.batch = 48, mi.warmup = 4000;
  if (quick) {
    mi.blocks = 2, mi.width = 64, mi.heads = 4, mi.experts = 8, mi.length = 64, mi.batch = 16, mi.vocabulary = 2000;
    mi.learning_rate = 3e-3, mi.warmup = 40, mi.dropout = 0, mi.steps = 400, mi.epoch_steps = 100;
  }
  return mi;
}

/// Throws ConfigError for extents that do not fit together.
void check(const Network& n) {
  const auto refuse = [](const char* option, const std::string& expected, Index got) {
    fail<ConfigError>(option, expected, shortest(got), "give --blocks, --width, … that fit together");
  };
  if (n.width % n.heads != 0) refuse("--heads", "a number that divides the width " + shortest(n.width), n.heads);
  if (n.chosen > n.experts) refuse("--chosen", "at most the number of experts, " + shortest(n.experts), n.chosen);
}

std::string extents(const Network& n) {
  return n.name() + ", " + shortest(n.batch) + " × " + shortest(n.length) + " tokens a step, rate " +
         shortest(n.learning_rate) + ", warm-up " + shortest(n.warmup) + ", dropout " + shortest(n.dropout) +
         ", vocabulary " + shortest(n.vocabulary) + ", steps " + shortest(n.steps) + " by " + shortest(n.epoch_steps);
}

/// Throws ConfigError for a name that is no row, and for a row named twice.
std::vector<std::string> read_rows(const std::string& text) {
  std::vector<std::string> names = split_at_commas(text);
  std::set<std::string> seen;
  for (const std::string& name : names) {
    (void)find_row(name);
    if (!seen.insert(name).second) fail<ConfigError>("--rows", "each row once", name + " twice", "name it once");
  }
  return names;
}

}  // namespace

std::string Network::name() const {
  return shortest(blocks) + " × " + shortest(width) + ", " + shortest(heads) + " heads, " + shortest(chosen) + " of " +
         shortest(experts) + " experts";
}

std::string Settings::key() const {
  return "paper 1: " + extents(first) + "; paper 2: " + extents(second) + "; sentences " + shortest(sentences) +
         ", evaluation rows " + shortest(evaluation_rows) + ", tau " + shortest(temperature) + " of " + compare +
         ", sigma " + shortest(deviation) + ", head " + head + ", attack " + shortest(attack);
}

Settings read_settings(const std::vector<std::string>& arguments) {
  Settings s;
  s.out = "out/language_model";
  const std::string rows = "baseline,moe,random,glu,pretext,posttext,global,smoe,smoe-similarity,smoe-attention";
  s.rows = read_rows(rows);
  Options options(
      "language_model",
      "Next-word prediction with the networks of \"Neural Inhibition Improves Dynamic Routing and Mixture of\n"
      "Experts\" and \"Mutual-Inform SMoE\".");
  std::string names;
  for (const Row& row : paper_rows()) names += row.name + ", ";
  options.value("--rows", "NAMES",
                "rows of the tables, separated by commas: " + names +
                    "or INHIBITION+ROUTER of random, glu, pretext, posttext, global and linear, similarity, "
                    "attention; @all behind a name lifts the causal mask of its routing (default " +
                    rows + ")",
                [&](const std::string& text) { s.rows = read_rows(text); });
  options.choice("--size", s.size, {"small", "medium"}, "the second paper's network");
  options.number("--sentences", s.sentences, {0, 1000000000}, "sentences read of each domain; 0: all");
  // What replaces an extent of both networks.
  std::vector<std::function<void(Network&)>> changes;
  const auto extent = [&]<class Number>(const std::string& name, Number Network::* member, Limits<Number> limits,
                                        const std::string& help) {
    options.value(name, "N", help + " (" + describe(limits) + ")",
                  [&changes, name, member, limits](const std::string& text) {
                    changes.push_back(
                        [member, value = number_of(name, text, limits)](Network& network) { network.*member = value; });
                  });
  };
  extent("--blocks", &Network::blocks, {1, 1000}, "transformer blocks, instead of the papers'");
  extent("--width", &Network::width, {1, 65536}, "channels of a token, instead of the papers'");
  extent("--heads", &Network::heads, {1, 1024}, "heads of an attention, instead of the papers'");
  extent("--experts", &Network::experts, {1, 1024}, "experts of a layer, instead of the papers'");
  extent("--chosen", &Network::chosen, {1, 1024}, "experts a token, instead of the papers'");
  extent("--length", &Network::length, {2, 1048576}, "tokens of a row, instead of 32 and 512");
  extent("--batch", &Network::batch, {1, 65536}, "rows a training step, instead of the papers'");
  extent("--vocabulary", &Network::vocabulary, {3, 10000000}, "words, instead of 8,500 and 30,000");
  extent("--steps", &Network::steps, {1, 1000000000}, "training steps, instead of three epochs and of 60,000");
  extent("--epoch-steps", &Network::epoch_steps, {1, 1000000000},
         "steps between two evaluations, which fluctuation compares");
  extent("--warmup", &Network::warmup, {0, 1000000000}, "steps of rising learning rate, instead of the papers'");
  extent("--lr", &Network::learning_rate, {1e-12, 1}, "Adam's learning rate, instead of the papers'");
  extent("--dropout", &Network::dropout, {0.0, .99}, "share of activations dropped, instead of the papers'");
  options.number("--tau", s.temperature, {1e-6, 1e6}, "temperature of similarity-inform");
  options.number("--sigma", s.deviation, {1e-6, 1e6}, "deviation of attention-inform");
  options.choice("--compare", s.compare, {"features", "raw", "normalised"}, "what similarity-inform compares");
  options.choice("--head", s.head, {"average", "batch", "all"},
                 "which heads inform: the one of lowest entropy on average, of lowest entropy in the batch, or all");
  options.number("--attack", s.attack, {0.0, 1.0}, "share of the words that the word-swap attack replaces");
  options.number("--evaluation-rows", s.evaluation_rows, {0, 1000000000},
                 "rows of validation and of test that are used; 0: all");
  options.choice("--precision", s.precision, {"tf32", "bf16", "strict"}, "of products on a GPU");
  add_call_options(options, s,
                   "text file, or folder of .txt and .txt.gz files, one domain each, a sentence a line (default: "
                   "built-in grammars, which are not text)",
                   "a small profile for two cores: small networks, 400 steps a row, 3,000 sentences a domain");
  parse_call(options, arguments);
  options.exclude("--quick", "--size");
  if (options.given("--precision") && !s.on_cuda())
    fail<ConfigError>("--precision", "a GPU", "the CPU, whose products are exact",
                      "add --device cuda:0, or leave it out");
  if (s.profile == Profile::quick) {
    if (!options.given("--sentences")) s.sentences = 3000;
    if (!options.given("--evaluation-rows")) s.evaluation_rows = 512;
  }
  for (const int paper : {1, 2}) {
    Network& network = paper == 1 ? s.first : s.second;
    network = paper_network(paper, s.size, s.profile);
    for (const auto& change : changes) change(network);
  }
  for (const std::string& row : s.rows) check(s.network(find_row(row)));
  return s;
}

}  // namespace language_model
