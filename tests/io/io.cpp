#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include <neuroinhib/io/checkpoint.hpp>

#include "support.hpp"

using namespace testing;

namespace {

std::string bytes_of(const std::string& header, const std::string& data = "") {
  const std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + data;
}

/// Writes the bytes and requires the reader to refuse them with those words.
void check_refused(const std::string& bytes, const std::vector<std::string>& parts) {
  const TemporaryFolder folder;
  std::ofstream(folder / "file", std::ios::binary) << bytes;
  check_error<FormatError>([&] { const io::Safetensors file(folder / "file"); }, parts);
}

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

TEST_CASE("tensors come back as they were written, with shapes and notes") {
  const TemporaryFolder folder;
  Values<float> a({2, 3}, 1);
  Values<double> b({4}, 2);
  std::vector<std::int32_t> c{7, -1};
  io::SafetensorsWriter writer;
  writer.add<float>("a", a.constant());
  writer.add<double>("b", b.constant());
  writer.add<std::int32_t>("c", {c.data(), {2}});
  writer.add<float>("none", {nullptr, {0, 3}});
  writer.note("key", "wert ü");
  writer.write(folder / "x");
  const io::Safetensors file(folder / "x");
  CHECK(file.values<float>("a") == a.values);
  CHECK(file.values<double>("b") == b.values);
  CHECK(file.values<std::int32_t>("c") == c);
  CHECK(file.shape("a") == Shape{2, 3});
  CHECK(file.values<float>("none").empty());
  CHECK(file.note("key") == "wert ü");
  check_error<FormatError>([&] { (void)file.values<double>("a"); }, {"\"a\" as F64", "F32"});
  check_error<FormatError>([&] { (void)file.shape("z"); }, {"a tensor \"z\""});
  check_error<FormatError>([&] { (void)file.values<float>("a", {3, 2}); }, {"[3, 2]", "[2, 3]"});
  check_error<FormatError>([&] { (void)file.number("key"); }, {"a whole number", "wert"});
  check_error<FormatError>([&] { (void)file.note("other"); }, {"metadata \"other\""});
}

TEST_CASE("a hostile or damaged safetensors file is refused before anything is taken from it") {
  const std::string four(4, '\0'), eight(8, '\0');
  check_refused("abc", {"8 bytes", "got 3"});
  check_refused(std::string(8, '\xff') + "{}", {"a header within"});
  check_refused(bytes_of("{\"a\":"), {"safetensors form"});
  check_refused(bytes_of("[1, 2]"), {"JSON object", "array"});
  check_refused(bytes_of(std::string(100000, '[')), {"safetensors form"});
  check_refused(bytes_of(R"({"a":{"dtype":"F32","shape":[1]}})", four), {"safetensors form", "data_offsets"});
  check_refused(bytes_of(R"({"a":{"dtype":"X9","shape":[1],"data_offsets":[0,4]}})", four), {"known dtype", "X9"});
  check_refused(bytes_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", four),
                {"8 bytes for \"a\"", "got 4"});
  check_refused(bytes_of(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", four), {"extents ≥ 0"});
  check_refused(bytes_of(R"({"a":{"dtype":"F32","shape":[9223372036854775807,9],"data_offsets":[0,4]}})", four),
                {"fits into memory"});
  check_refused(bytes_of(R"({"a":{"dtype":"F32","shape":[1,1,1,1,1],"data_offsets":[0,4]}})", four),
                {"at most 4 extents"});
  check_refused(bytes_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,400]}})", four),
                {"within 4 bytes", "400"});
  check_refused(bytes_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", four), {"data_offsets"});
  check_refused(
      bytes_of(
          R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
          four),
      {"begins at byte 4", "got 0"});
  check_refused(bytes_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", eight),
                {"begins at byte 0", "got 4"});
  check_refused(bytes_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", eight),
                {"4 bytes of tensors", "got 8"});
  check_refused(
      bytes_of(
          R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
          four),
      {"each name once", "\"a\" twice"});
  check_error<IoError>([] { const io::Safetensors file("/nonexistent/file"); }, {"/nonexistent/file", "No such file"});
}

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

TEST_CASE("parameters alone are saved and loaded by name") {
  const TemporaryFolder folder;
  Training a, b;
  a.run(0, 3);
  io::save_parameters(folder / "p", a.parameters);
  io::load_parameters(folder / "p", b.parameters);
  CHECK(a.values() == b.values());
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
  const std::string error = message_of<IoError>([&] {
    io::save_checkpoint(folder / "c", a.parameters, a.adam, a.cpu.random(), {"config", "new"});
  });
  setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, handler);
  CHECK(error.find("left as it was") != std::string::npos);
  CHECK(read(folder / "c") == old);
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path), {}) == 1);
}

TEST_CASE("a folder that cannot be written is named") {
  Training a;
  check_error<IoError>([&] { io::save_parameters("/proc/nothing/p", a.parameters); },
                       {"/proc/nothing/p", "No such file"});
}
