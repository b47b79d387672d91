#include "settings.hpp"

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "../common.hpp"

namespace language_model {

namespace {

constexpr Index kEpochs = 0;  ///< steps that stand for three epochs of the data

Network paper_network(int paper, const std::string& size, bool quick) {
  if (paper == 1) {
    Network ni{"2 × 50, 2 heads, 3 of 10 experts", 2, 50, 2, 10, 3, 32, 256, 1e-3, 0, 0, 8500, kEpochs, 0};
    if (quick) ni.batch = 64, ni.vocabulary = 2000, ni.steps = 400, ni.epoch_steps = 100, ni.learning_rate = 3e-3;
    return ni;
  }
  Network mi{"3 × 128, 8 heads, 2 of 16 experts", 3, 128, 8, 16, 2, 256, 96, 7e-4, 3000, .1, 30000, 60000, 1000};
  if (size == "medium") {
    mi.name = "6 × 352, 8 heads, 2 of 16 experts";
    mi.blocks = 6, mi.width = 352, mi.length = 512, mi.batch = 48, mi.warmup = 4000;
  }
  if (quick) {
    mi.name = "2 × 64, 4 heads, 2 of 8 experts";
    mi.blocks = 2, mi.width = 64, mi.heads = 4, mi.experts = 8, mi.length = 64, mi.batch = 16, mi.vocabulary = 2000;
    mi.learning_rate = 3e-3, mi.warmup = 40, mi.dropout = 0, mi.steps = 400, mi.epoch_steps = 100;
  }
  return mi;
}

std::string extents(const Network& n) {
  char text[256];
  std::snprintf(text, sizeof text,
                "%td × %td, %td heads, %td of %td experts, %td tokens × %td, rate %g, warm-up %td, dropout %g, "
                "vocabulary %td, %td steps",
                n.blocks, n.width, n.heads, n.chosen, n.experts, n.batch, n.length, n.learning_rate, n.warmup,
                n.dropout, n.vocabulary, n.steps);
  return text;
}

}  // namespace

std::string Settings::key() const {
  char options[160];
  std::snprintf(options, sizeof options, "sentences %td, tau %g of %s, sigma %g, head %s, attack %g", sentences,
                temperature, compare.c_str(), deviation, head.c_str(), attack);
  return "paper 1: " + extents(first) + "; paper 2: " + extents(second) + "; " + options;
}

Settings read_settings(int argc, char** argv) {
  Settings s;
  CLI::App app(
      "Next-word prediction with the networks of \"Neural Inhibition Improves Dynamic Routing and Mixture of Experts\" "
      "and "
      "\"Mutual-Inform SMoE\".");
  s.rows = {"baseline", "moe",  "random",          "glu",           "pretext", "posttext",
            "global",   "smoe", "smoe-similarity", "smoe-attention"};
  app.add_option("--rows", s.rows,
                 "rows of the tables, comma-separated; inhibition+router for any pair, @all without the causal mask of "
                 "the routing")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--data", s.data,
                 "a text file, or a folder of .txt and .txt.gz files, one domain each, a sentence a line; without it: "
                 "built-in grammars");
  app.add_option("--size", s.size, "of the second paper's network")
      ->check(CLI::IsMember({"small", "medium"}))
      ->capture_default_str();
  app.add_option("--seeds", s.seeds, "runs of each row")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--sentences", s.sentences, "the first so many of each domain; 0: all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  // Of both networks, where given.
  struct Extents {
    Index blocks = 0, width = 0, heads = 0, experts = 0, chosen = 0, length = 0, batch = 0, vocabulary = 0, steps = 0,
          epoch_steps = 0, warmup = -1;
    double learning_rate = 0, dropout = -1;
  } given;
  const auto extent = [&](const char* name, Index& value, const char* what) {
    app.add_option(name, value, what)->check(CLI::PositiveNumber);
  };
  extent("--blocks", given.blocks, "instead of the papers'");
  extent("--width", given.width, "instead of the papers'");
  extent("--heads", given.heads, "instead of the papers'");
  extent("--experts", given.experts, "instead of the papers'");
  extent("--chosen", given.chosen, "experts a token, instead of the papers'");
  extent("--length", given.length, "tokens a row, instead of 32 and 512");
  extent("--batch", given.batch, "rows a step, instead of the papers'");
  extent("--vocabulary", given.vocabulary, "words, instead of 8,500 and 30,000");
  extent("--steps", given.steps, "instead of three epochs, and of 60,000");
  extent("--epoch-steps", given.epoch_steps, "between two evaluations, which fluctuation compares");
  app.add_option("--lr", given.learning_rate, "Adam's, instead of the papers'")->check(CLI::PositiveNumber);
  app.add_option("--warmup", given.warmup, "steps, instead of the papers'")->check(CLI::NonNegativeNumber);
  app.add_option("--dropout", given.dropout, "instead of the papers'")->check(CLI::Range(0.0, 0.99));
  app.add_option("--tau", s.temperature, "of similarity-inform")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--sigma", s.deviation, "of attention-inform")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--compare", s.compare, "what similarity compares")
      ->check(CLI::IsMember({"features", "raw", "normalised"}))
      ->capture_default_str();
  app.add_option("--head", s.head, "which heads inform: the lowest entropy on average, of the batch, or all")
      ->check(CLI::IsMember({"average", "batch", "all"}))
      ->capture_default_str();
  app.add_option("--attack", s.attack, "share of the words that the word-swap attack replaces")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--evaluation-rows", s.evaluation_rows, "at most so many rows of validation and of test; 0: all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--threads", s.threads, "of the CPU; 0: all processors")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--device", s.device, "cpu, or cuda:0 for the first GPU")->capture_default_str();
  app.add_option("--precision", s.precision, "of products on a GPU")
      ->check(CLI::IsMember({"tf32", "bf16", "strict"}))
      ->capture_default_str();
  app.add_option("--save-seconds", s.save_seconds, "least time between two checkpoints")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--out", s.out, "folder for results, tables and checkpoints")->capture_default_str();
  app.add_flag("--resume", s.resume, "go on from the output folder");
  app.add_flag("--quick", s.quick,
               "a small profile for two cores: small networks, 400 steps a row, 3,000 sentences a domain");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  for (int paper : {1, 2}) {
    Network& n = paper == 1 ? s.first : s.second;
    n = paper_network(paper, s.size, s.quick);
    const auto take = [](auto& target, auto value, auto none) {
      if (value != none) target = value;
    };
    for (const auto& [target, value] : {std::pair{&n.blocks, given.blocks},
                                        {&n.width, given.width},
                                        {&n.heads, given.heads},
                                        {&n.experts, given.experts},
                                        {&n.chosen, given.chosen},
                                        {&n.length, given.length},
                                        {&n.batch, given.batch},
                                        {&n.vocabulary, given.vocabulary},
                                        {&n.steps, given.steps},
                                        {&n.epoch_steps, given.epoch_steps}})
      take(*target, value, Index{0});
    take(n.warmup, given.warmup, Index{-1});
    take(n.learning_rate, given.learning_rate, 0.0);
    take(n.dropout, given.dropout, -1.0);
  }
  if (s.quick && s.sentences == 0) s.sentences = 3000;
  if (s.quick && s.evaluation_rows == 0) s.evaluation_rows = 512;
  if (s.on_cuda()) (void)papers::cuda_device(s.device);
  for (const std::string& row : s.rows) (void)find_row(row);
  return s;
}

}  // namespace language_model
