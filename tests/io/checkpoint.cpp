#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <neuroinhib/io/checkpoint.hpp>

#include "support.hpp"

using namespace testing;

namespace {

using Net = MoeLayer<TwoLayerRouter<Tanh>, PosttextInhibition, NoisyTopK<2>, Mlp<Tanh>>;

struct Training {
  Net net;
  Parameters<float> parameters;
  Cpu<float> cpu{{.threads = 2, .seed = 5}};
  Adam<float> adam;

  explicit Training(Index hidden = 7)
      : net({.width = 6, .experts = 4, .hidden = {hidden}, .router = {.hidden = 5}}),
        parameters(net, 5),
        adam(parameters, {.learning_rate = 1e-2}) {}

  void run(Index from, Index to) {
    for (Index step = from; step < to; ++step) {
      Values<float> x({8, 6}, static_cast<std::uint64_t>(step));
      std::vector<int> labels(8, static_cast<int>(step % 6));
      Recording ex(cpu);
      ex.backward(cross_entropy(ex, net.forward(ex, x.constant()).y, {labels.data(), {8}}));
      adam.step(cpu, parameters);
    }
  }
  [[nodiscard]] std::vector<float> values() { return {parameters.values().begin(), parameters.values().end()}; }
};

std::string read(const std::filesystem::path& path) {
  return io::read_file(path);
}

}  // namespace

TEST_CASE("a resumed training ends with the bits of one that never stopped") {
  const TemporaryFolder folder;
  Training whole, first;
  whole.run(0, 12);
  first.run(0, 5);
  io::save_checkpoint(folder / "c", first.parameters, first.adam, first.cpu.random(), {"config", "at step 5"});
  Training second;
  second.run(0, 2);  // whatever it did before must not matter
  CHECK(io::load_checkpoint(folder / "c", second.parameters, second.adam, second.cpu.random(), "config") ==
        "at step 5");
  second.run(5, 12);
  CHECK(second.values() == whole.values());
}

TEST_CASE("a checkpoint of another configuration or shape changes nothing") {
  const TemporaryFolder folder;
  Training a, b(9);
  a.run(0, 2);
  io::save_checkpoint(folder / "c", a.parameters, a.adam, a.cpu.random(), {"hidden 7", ""});
  const auto before = b.values();
  check_error<ConfigError>([&] { io::load_checkpoint(folder / "c", b.parameters, b.adam, b.cpu.random(), "hidden 9"); },
                           {"the configuration hidden 9", "got hidden 7"});
  check_error<FormatError>([&] { io::load_checkpoint(folder / "c", b.parameters, b.adam, b.cpu.random(), "hidden 7"); },
                           {"experts.layers.0.weight", "[4, 9, 6]", "[4, 7, 6]"});
  CHECK(b.values() == before);

  // A file whose parameters fit and whose last part does not: still nothing is changed.
  Training c;
  c.run(0, 1);
  const auto kept = c.values();
  std::string bytes = read(folder / "c");
  const auto at = bytes.find(R"("random_step":"2")");
  REQUIRE(at != std::string::npos);
  bytes[at + 15] = 'x';
  io::write_file(folder / "c", bytes);
  check_error<FormatError>([&] { io::load_checkpoint(folder / "c", c.parameters, c.adam, c.cpu.random(), "hidden 7"); },
                           {"random_step", "whole number"});
  CHECK(c.values() == kept);
}

TEST_CASE(
    "notes are read before anything is changed: refusing them leaves model, optimizer and random state as they were") {
  const TemporaryFolder folder;
  Training a, b;
  a.run(0, 3);
  io::save_checkpoint(folder / "c", a.parameters, a.adam, a.cpu.random(), {"config", "of no use"});
  b.run(0, 1);
  io::save_checkpoint(folder / "before", b.parameters, b.adam, b.cpu.random(), {"config", ""});
  check_error<FormatError>(
      [&] {
        io::load_checkpoint(folder / "c", b.parameters, b.adam, b.cpu.random(), "config", [](const std::string& notes) {
          fail<FormatError>("notes", "some use", notes, "try again");
        });
      },
      {"some use, got of no use"});
  io::save_checkpoint(folder / "after", b.parameters, b.adam, b.cpu.random(), {"config", ""});
  CHECK(read(folder / "after") == read(folder / "before"));

  // Of a file that does not fit, not even the notes are given.
  check_error<ConfigError>(
      [&] {
        io::load_checkpoint(folder / "c", b.parameters, b.adam, b.cpu.random(), "another",
                            [](const std::string&) { FAIL("notes of another configuration"); });
      },
      {"the configuration another"});
}

TEST_CASE("a full disk while saving leaves the old checkpoint as it was") {
  const TemporaryFolder folder;
  Training a;
  io::save_checkpoint(folder / "c", a.parameters, a.adam, a.cpu.random(), {"config", "old"});
  const std::string old = read(folder / "c");
  a.run(0, 2);
  // A limit on the size of files makes writes fail half-way, as a full disk does.
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{old.size() / 2, limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const std::string error = message_of<IoError>(
      [&] { io::save_checkpoint(folder / "c", a.parameters, a.adam, a.cpu.random(), {"config", "new"}); });
  setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, handler);
  CHECK(error.find("left as it was") != std::string::npos);
  CHECK(read(folder / "c") == old);
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path), {}) == 1);
}

TEST_CASE("a folder that cannot be written is named") {
  Training a;
  check_error<IoError>([&] { io::save_model("/proc/nothing/p", a.parameters); }, {"/proc/nothing/p", "No such file"});
}
