// Models without their optimizer: what is saved answers as before, other libraries' files are read, wrong ones refused.

#include <neuroinhib/io/checkpoint.hpp>

#include <cmath>

#include "support.hpp"

using namespace testing;

namespace {

/// A network with states of every kind: memories, counts, a router that is not trained, a bias.
template <class T>
struct Model {
  using Net = MoeLayer<RandomRouter, PosttextInhibition, BalancedTopM<2>, Mlp<Tanh>, Cpu<T>>;
  Net net;
  Parameters<T> parameters;
  Cpu<T> cpu{{.threads = 1, .seed = 5}};
  Adam<T> adam;

  explicit Model(std::uint64_t seed = 5, PosttextEvaluation evaluation = PosttextEvaluation::frozen)
      : net(config(evaluation)), parameters(net, seed), adam(parameters, {.learning_rate = 1e-2}) {}
  static typename Net::Config config(PosttextEvaluation evaluation) {
    typename Net::Config config{.width = 6, .experts = 4, .hidden = {7}};
    config.inhibition.evaluation = evaluation;
    config.inhibition.start_after = 2;
    config.mix.rate = 0.1;
    return config;
  }

  void train(Index steps) {
    for (Index step = 0; step < steps; ++step) {
      Values<T> x({8, 6}, static_cast<std::uint64_t>(step));
      std::vector<int> labels(8, static_cast<int>(step % 6));
      Recording ex(cpu);
      ex.backward(cross_entropy(ex, net.forward(ex, x.constant()).y, {labels.data(), {8}}));
      adam.step(cpu, parameters);
    }
  }
  [[nodiscard]] std::vector<T> answers() {
    Values<T> x({9, 6}, 77);
    const auto y = net.forward(cpu, x.constant()).y;
    return {y.begin(), y.end()};
  }
  /// All that a file can change, one after another.
  [[nodiscard]] std::vector<T> everything() {
    std::vector<T> all(parameters.values().begin(), parameters.values().end());
    const auto append = [&](const std::vector<T>& values) { all.insert(all.end(), values.begin(), values.end()); };
    for (const auto& state : parameters.states()) {
      append(state.values.to_host());
      append({static_cast<T>(state.shape.rows()), static_cast<T>(state.shape.cols())});
    }
    append(adam.state().first.to_host());
    append(adam.state().second.to_host());
    append({static_cast<T>(adam.state().steps), static_cast<T>(cpu.random().step)});
    return all;
  }
  void save(const std::filesystem::path& path) {
    io::save_checkpoint(path, parameters, adam, cpu.random(), {"config", "notes"});
  }
  void load(const std::filesystem::path& path) { io::load_checkpoint(path, parameters, adam, cpu.random(), "config"); }
};

/// The file again, with other values for some tensors (none: without it), and other notes.
template <class T>
struct Tampered {
  std::map<std::string, std::pair<std::vector<T>, Shape>> tensors{};
  std::vector<std::string> without{};
  std::map<std::string, std::string> notes{};

  void write(const std::filesystem::path& from, const std::filesystem::path& to) const {
    const io::Safetensors file(from);
    io::SafetensorsWriter writer;
    for (const std::string& name : file.names())
      if (!tensors.contains(name) && std::find(without.begin(), without.end(), name) == without.end())
        writer.add(name, file.values<T>(name), file.shape(name));
    for (const auto& [name, tensor] : tensors) writer.add(name, tensor.first, tensor.second);
    for (const auto& [key, text] : file.notes()) writer.note(key, text);
    for (const auto& [key, text] : notes) writer.note(key, text);
    writer.write(to);
  }
};

/// A module of one state, of any shape.
struct Averages {
  Buffer<double> kept;
  void visit(auto&& v) { v("kept", kept); }
};

std::vector<float> numbers(Index count, float value = 0.5f) {
  std::vector<float> all(static_cast<std::size_t>(count), value);
  return all;
}

/// A checkpoint that is refused as a checkpoint with these words, and leaves everything as it is.
void check_refused(const Tampered<float>& tampered, const std::vector<std::string>& parts,
                   PosttextEvaluation evaluation = PosttextEvaluation::frozen) {
  const TemporaryFolder folder;
  Model<float> saved(5, evaluation), loaded(6, evaluation);
  saved.train(6);
  loaded.train(3);
  saved.save(folder / "c");
  tampered.write(folder / "c", folder / "t");
  const auto before = loaded.everything();
  check_error<FormatError>([&] { loaded.load(folder / "t"); }, parts);
  CHECK(loaded.everything() == before);
}

}  // namespace

TEST_CASE("a loaded model answers as the one that was saved, in float and in double") {
  const auto check = []<class T>(T) {
    const TemporaryFolder folder;
    Model<T> saved(5), loaded(6), resumed(7);
    saved.train(6);
    io::save_model(folder / "m", saved.parameters);
    io::load_model(folder / "m", loaded.parameters);
    CHECK(loaded.answers() == saved.answers());
    CHECK(io::Safetensors(folder / "m").dtype("experts.layers.0.weight") == io::kDtype<T>);
    // A training checkpoint is a model too, without knowing its optimizer.
    saved.save(folder / "c");
    io::load_model(folder / "c", resumed.parameters);
    CHECK(resumed.answers() == saved.answers());
  };
  check(float{});
  check(double{});
}

TEST_CASE("a model that has not been trained is saved and loaded, with its empty states") {
  const TemporaryFolder folder;
  for (const auto evaluation : {PosttextEvaluation::frozen, PosttextEvaluation::average}) {
    Model<float> saved(5, evaluation), loaded(6, evaluation);
    loaded.train(4);
    io::save_model(folder / "m", saved.parameters);
    io::load_model(folder / "m", loaded.parameters);
    CHECK(loaded.answers() == saved.answers());
  }
}

TEST_CASE("a model is loaded in another precision than it was saved in") {
  const TemporaryFolder folder;
  Model<double> precise(5);
  precise.train(6);
  io::save_model(folder / "m", precise.parameters);
  Model<float> rounded(6);
  io::load_model(folder / "m", rounded.parameters);
  const auto& weight = precise.parameters["experts.layers.0.weight"];
  for (Index i = 0; i < weight.size(); ++i)
    CHECK(rounded.parameters["experts.layers.0.weight"][i] == static_cast<float>(weight[i]));
  check_error<FormatError>([&] { io::load_model(folder / "m", rounded.parameters, {.convert = false}); },
                           {"as F32", "F64"});
}

TEST_CASE("another library's file: names replaced, experts stacked, its own tensors left, ours kept") {
  using Net = MoeLayer<LinearRouter, NoInhibition, BalancedTopM<2>, GatedMlp<Silu>>;
  Net net({.width = 2, .experts = 3, .hidden = {4}, .router = {.bias = false}});
  Parameters<float> parameters(net, 1);
  const TemporaryFolder folder;
  io::SafetensorsWriter writer;
  std::vector<float> gate{1, 2, 3, 4, 5, 6};
  writer.add("model.layers.0.mlp.gate.weight", gate, {3, 2});
  for (int k = 0; k < 3; ++k) {
    const std::string expert = "model.layers.0.mlp.experts." + std::to_string(k);
    const auto value = static_cast<float>(k);
    writer.add(expert + ".gate_proj.weight", numbers(8, 10 + value), {4, 2});
    writer.add(expert + ".up_proj.weight", numbers(8, 20 + value), {4, 2});
    writer.add(expert + ".down_proj.weight", numbers(8, 30 + value), {2, 4});
  }
  writer.add("model.rotary.inv_freq", numbers(3), {3});
  writer.write(folder / "theirs");

  const io::LoadOptions options{.file_name = io::replacing({{"router.score.", "model.layers.0.mlp.gate."},
                                                            {"experts.", "model.layers.0.mlp.experts.{k}."},
                                                            {"}.gate.", "}.gate_proj."},
                                                            {"}.up.", "}.up_proj."},
                                                            {"}.down.", "}.down_proj."},
                                                            {"mix.bias", ""}}),
                                .may_go_unused = [](const std::string& name) { return name.ends_with("inv_freq"); }};
  parameters.states()[0].values.data()[1] = 7;
  io::load_model(folder / "theirs", parameters, options);
  CHECK(std::equal(gate.begin(), gate.end(), parameters["router.score.weight"].begin()));
  for (Index i = 0; i < 24; ++i) {
    const Index expert = i / 8;
    const auto k = static_cast<float>(expert);
    CHECK(parameters["experts.gate.weight"][i] == 10 + k);
    CHECK(parameters["experts.up.weight"][i] == 20 + k);
    CHECK(parameters["experts.down.weight"][i] == 30 + k);
  }
  CHECK(parameters.states()[0].values.data()[1] == 7);

  // Without the options: what is missing and what is too much, and how to say where it lies.
  const std::vector<float> before(parameters.values().begin(), parameters.values().end());
  check_error<FormatError>([&] { io::load_model(folder / "theirs", parameters); },
                           {R"(without "experts.down.weight", "experts.gate.weight")", "\"mix.bias\"",
                            "and \"model.layers.0.mlp.experts.0.down_proj.weight\"", "and 3 more besides",
                            "LoadOptions::file_name", "state_dict"});
  // One expert fewer in the file, and one more.
  const auto with_experts = [&](Index experts) {
    Net other({.width = 2, .experts = experts, .hidden = {4}, .router = {.bias = false}});
    Parameters<float> theirs(other, 1);
    io::load_model(folder / "theirs", theirs, options);
  };
  check_error<FormatError>([&] { with_experts(4); }, {"without \"model.layers.0.mlp.experts.3.down_proj.weight\""});
  check_error<FormatError>([&] { with_experts(2); },
                           {"all of them, and \"model.layers.0.mlp.experts.2.down_proj.weight\"", "besides"});
  CHECK(std::equal(before.begin(), before.end(), parameters.values().begin()));
}

TEST_CASE("a slice of another shape in a stack of experts is named") {
  nn::Linear<float> linear(2, 2, false);
  Parameters<float> parameters(linear, 1);
  const TemporaryFolder folder;
  io::SafetensorsWriter writer;
  writer.add("row.0", numbers(2), {2});
  writer.add("row.1", numbers(3), {3});
  writer.write(folder / "f");
  check_error<FormatError>(
      [&] { io::load_model(folder / "f", parameters, {.file_name = [](const auto&) { return "row.{k}"; }}); },
      {"\"row.1\" of shape [2]", "got [3]"});
}

TEST_CASE("states of other extents are refused, and only a memory's rows may vary") {
  const auto with = [](const std::string& name, const Shape& shape, float value = 0.5f) {
    return Tampered<float>{.tensors = {{name, {numbers(shape.size(), value), shape}}}};
  };
  check_refused(with("router.weight", {64, 6}), {"\"router.weight\" of shape [4, 6]", "got [64, 6]"});
  check_refused(with("router.weight", {24}), {"\"router.weight\" of shape [4, 6]", "got [24]"});
  check_refused(with("router.weight", {0}), {"\"router.weight\" of shape [4, 6]", "got [0]"});
  check_refused(with("mix.bias", {3}), {"\"mix.bias\" of shape [4]"});
  check_refused(with("mix.bias", {1, 4}), {"\"mix.bias\" of shape [4]"});
  check_refused(with("inhibition.posttext.mask.training", {8, 5}), {"of shape [any, 6]", "got [8, 5]"});
  check_refused(with("inhibition.posttext.mask.training", {48}), {"of shape [any, 6]", "got [48]"});
  check_refused(with("inhibition.posttext.iterations", {1}), {"of shape [1, 1]"});
  for (const Shape& shape : {Shape{1, 5}, Shape{2, 6}})
    check_refused(with("inhibition.posttext.signal", shape), {"of shape [1, 6]"}, PosttextEvaluation::average);

  const TemporaryFolder folder;
  Model<float> saved(5), loaded(6);
  saved.train(6);
  saved.save(folder / "c");
  with("inhibition.posttext.mask.training", {3, 6}).write(folder / "c", folder / "t");
  loaded.load(folder / "t");
  loaded.train(2);
  CHECK(loaded.adam.state().steps == 8);
}

TEST_CASE("counts are whole, finite and not negative, and squares are not negative") {
  for (const float count : {-1.0f, 0.5f, NAN, INFINITY, 1e30f}) {
    CAPTURE(count);
    check_refused({.tensors = {{"inhibition.posttext.iterations", {{count}, {1, 1}}}}},
                  {"whole numbers from 0 to 2⁵³", "iterations"});
  }
  for (const char* steps : {"18446744073709551615", "9007199254740993", "-1", "1.5", "1e3", "", " 1"}) {
    CAPTURE(steps);
    check_refused({.notes = {{"optimizer_steps", steps}}}, {"optimizer_steps", "whole number from 0 to"});
  }
  check_refused({.notes = {{"random_step", "-1"}}}, {"random_step", "whole number"});
  Model<float> any;
  const Index size = any.parameters.size();
  check_refused({.tensors = {{"optimizer.second_moment", {numbers(size, -1e-9f), {size}}}}}, {"squares", "negative"});
  check_refused({.tensors = {{"optimizer.first_moment", {numbers(size + 1), {size + 1}}}}}, {"optimizer.first_moment"});
}

TEST_CASE("missing and superfluous tensors of a checkpoint are listed") {
  check_refused({.without = {"mix.bias", "optimizer.first_moment"}},
                {R"(a file without "mix.bias", "optimizer.first_moment")", "the optimizer it was made with"});
  check_refused({.tensors = {{"mix.extra", {numbers(2), {2}}}}}, {"all of them, and \"mix.extra\" besides"});
  const TemporaryFolder folder;
  Model<float> model;
  Sgd<float> sgd(model.parameters, {.momentum = 0.9});
  io::save_checkpoint(folder / "c", model.parameters, sgd, model.cpu.random(), {"config", ""});
  check_error<FormatError>(
      [&] { model.load(folder / "c"); },
      {R"(without "optimizer.first_moment", "optimizer.second_moment")", "\"optimizer.velocity\""});
}

TEST_CASE("a moving average of another width than before is refused") {
  Cpu<double> cpu;
  Averages module;
  const Parameters<double> parameters(module, 1);
  Values<double> narrow({1, 3}, 1), wide({1, 5}, 2);
  remember_average(cpu, narrow.constant(), module.kept, 0.9);
  check_error<ShapeError>([&] { remember_average(cpu, wide.constant(), module.kept, 0.9); }, {"[1, 3]", "[1, 5]"});
}
