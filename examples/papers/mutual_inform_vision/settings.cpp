#include "settings.hpp"

#include "../options.hpp"
#include "experiment.hpp"
#include "rows.hpp"

namespace vision {

using namespace papers;

namespace {

/// The rows of a list of names. Throws ConfigError for a name that is no row, and for a row named twice.
std::vector<std::string> read_rows(const std::string& text) {
  std::vector<std::string> names, rows;
  for (const Row& row : kRows) names.emplace_back(row.name);
  for (const std::string& name : split_at_commas(text)) {
    const bool all = name == "all";
    if (!all && std::find(names.begin(), names.end(), name) == names.end())
      fail<ConfigError>("--rows", "all, " + either(names), '"' + name + '"',
                        suggestion(name, names) + "separate rows by commas");
    for (const std::string& row : all ? names : std::vector{name}) {
      if (std::find(rows.begin(), rows.end(), row) != rows.end())
        fail<ConfigError>("--rows", "each row once", row + " twice", "name it once; all means every row");
      rows.push_back(row);
    }
  }
  return rows;
}

/// Numbers of blocks, "last2" or "none".
std::vector<Index> read_blocks(const std::string& text, Index blocks) {
  std::vector<Index> numbers;
  if (text == "none") return numbers;
  if (text == "last2") {
    for (const Index block : {(blocks / 2) * 2 - 3, (blocks / 2) * 2 - 1})
      if (block >= 0) numbers.push_back(block);
    return numbers;
  }
  for (const std::string& word : split_at_commas(text))
    numbers.push_back(number_of<Index>("--experts-in", word, {0, blocks - 1}));
  std::sort(numbers.begin(), numbers.end());
  if (const auto same = std::adjacent_find(numbers.begin(), numbers.end()); same != numbers.end())
    fail<ConfigError>("--experts-in", "each block once", shortest(*same) + " twice", "name it once");
  return numbers;
}

/// Throws ConfigError for extents that do not fit together.
void check(const Network& n) {
  const auto refuse = [](const char* option, const std::string& expected, Index got) {
    fail<ConfigError>(option, expected, shortest(got), "give --width, --heads, --experts and --chosen that fit");
  };
  if (n.width % n.heads != 0) refuse("--heads", "a number that divides the width " + shortest(n.width), n.heads);
  if (n.chosen > n.experts) refuse("--chosen", "at most the number of experts, " + shortest(n.experts), n.chosen);
}

void make_quick(Settings& s) {
  s.samples = 6000, s.test_images = 500, s.attacked_images = 200;
  Network& n = s.network;
  n.blocks = 4, n.width = 64, n.hidden = 128, n.heads = 4;
  n.batch = 32, n.steps = 800, n.epoch_steps = 200, n.warmup = 80;
  n.learning_rate = 2e-3, n.decay = 0.01;
}

}  // namespace

std::string Network::name() const {
  std::string text = shortest(blocks) + " blocks × " + shortest(width) + ", " + shortest(heads) + " heads, ";
  if (experts_in.empty()) return text + "no experts";
  text += shortest(chosen) + " of " + shortest(experts) + " experts in blocks";
  for (const Index block : experts_in) text += (block == experts_in.front() ? " " : ", ") + shortest(block);
  return text;
}

Index Settings::patch_for(Index height, Index width) const {
  const Index shorter = std::min(height, width);
  const Index parts = profile == Profile::quick ? 4 : shorter % 7 == 0 ? 7 : 8;
  const Index patch = network.patch > 0 ? network.patch : std::max<Index>(1, shorter / parts);
  if (height % patch != 0 || width % patch != 0)
    fail<ConfigError>("--patch", "a side that divides " + shortest(height) + " × " + shortest(width) + " pixels",
                      shortest(patch), "choose another, or another --side for pictures of a folder");
  return patch;
}

std::string Settings::key() const {
  const Network& n = network;
  return n.name() + ", hidden " + shortest(n.hidden) + ", patch " + shortest(n.patch) + ", " + shortest(n.batch) +
         " images a step, rate " + shortest(n.learning_rate) + ", warm-up " + shortest(n.warmup) + ", decay " +
         shortest(n.decay) + ", steps " + shortest(n.steps) + " by " + shortest(n.epoch_steps) + "; set " + set +
         ", side " + shortest(side) + ", samples " + shortest(samples) + ", test images " + shortest(test_images) +
         ", attacked " + shortest(attacked_images) + " by " + shortest(epsilon) + ", tau " + shortest(temperature) +
         " of " + compare + ", sigma " + shortest(deviation) + ", head " + head + ", balance " + balance;
}

Settings read_settings(const std::vector<std::string>& arguments) {
  Settings s;
  s.seeds = 3;
  s.out = "out/mutual_inform_vision";
  s.rows = read_rows("all");
  // The profile's defaults first, whatever the order of the options.
  if (std::find(arguments.begin(), arguments.end(), "--quick") != arguments.end()) make_quick(s);
  Network& n = s.network;
  std::string experts_in = "last2";
  Options options("mutual_inform_vision", kExperiment);
  options.names("--rows", "all", [&](const std::string& text) { s.rows = read_rows(text); });
  options.choice("--set", s.set);
  options.number("--side", s.side);
  options.number("--samples", s.samples);
  options.number("--test-images", s.test_images);
  options.number("--attacked-images", s.attacked_images);
  options.number("--blocks", n.blocks);
  options.names("--experts-in", experts_in, [&](const std::string& text) { experts_in = text; });
  options.number("--width", n.width);
  options.number("--hidden", n.hidden);
  options.number("--heads", n.heads);
  options.number("--experts", n.experts);
  options.number("--chosen", n.chosen);
  options.number("--patch", n.patch);
  options.number("--batch", n.batch);
  options.number("--steps", n.steps);
  options.number("--epoch-steps", n.epoch_steps);
  options.number("--warmup", n.warmup);
  options.number("--lr", n.learning_rate);
  options.number("--decay", n.decay);
  options.number("--tau", s.temperature);
  options.number("--sigma", s.deviation);
  options.choice("--compare", s.compare);
  options.choice("--head", s.head);
  options.choice("--balance", s.balance);
  options.number("--epsilon", s.epsilon);
  options.choice("--precision", s.precision);
  add_call_options(options, s);
  options.parse(arguments);
  s.command = options.command();
  if (options.given("--precision") && !s.on_cuda())
    fail<ConfigError>("--precision", "a GPU", "the CPU, whose products are exact",
                      "add --device cuda:0, or leave it out");
  if (s.profile == Profile::quick && !options.given("--seeds")) s.seeds = 1;
  n.experts_in = read_blocks(experts_in, n.blocks);
  check(n);
  return s;
}

}  // namespace vision
