#include "settings.hpp"

#include "experiment.hpp"
#include "rows.hpp"

namespace vision {

using namespace papers;

namespace {

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
         ", attacked " + shortest(attacked_images) + " by " + shortest(epsilon) + ", " + inform_text() + ", balance " +
         balance + precision_text();
}

Settings read_settings(const std::vector<std::string>& arguments) {
  Settings s;
  s.seeds = 3;
  s.out = "out/mutual_inform_vision";
  // The profile's defaults first, whatever the order of the options.
  if (std::find(arguments.begin(), arguments.end(), "--quick") != arguments.end()) make_quick(s);
  Network& n = s.network;
  std::string experts_in = "last2";
  Options options("mutual_inform_vision", kExperiment);
  add_rows(options, s, kRows);
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
  add_inform_options(options, s);
  options.choice("--balance", s.balance);
  options.number("--epsilon", s.epsilon);
  parse(options, arguments, s);
  if (s.profile == Profile::quick && !options.given("--seeds")) s.seeds = 1;
  n.experts_in = read_blocks(experts_in, n.blocks);
  check_extents(n.width, n.heads, n.experts, n.chosen);
  return s;
}

}  // namespace vision
