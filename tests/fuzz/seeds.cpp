// Writes inputs that the targets accept, from which a fuzzer starts: seeds <folder>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <sstream>

#include <neuroinhib/io/telemetry.hpp>
#include <neuroinhib/neuroinhib.hpp>

#include "common.hpp"
#include "data/written_pictures.hpp"
#include "gzip.hpp"
#include "language_model/settings.hpp"
#include "neural_inhibition/mixed_numbers/settings.hpp"
#include "small_model.hpp"

using namespace fuzzing;

namespace {

/// Each target's seeds, in a folder of its name.
class Seeds {
 public:
  explicit Seeds(std::filesystem::path folder) : folder_(std::move(folder)) {}
  void add(const std::string& target, const std::string& content) {
    std::filesystem::create_directories(folder_ / target);
    io::write_file(folder_ / target / std::to_string(count_++), content);
  }

 private:
  std::filesystem::path folder_;
  int count_ = 0;
};

/// A file of the safetensors form without the length of its header, which the targets put before it.
std::string unframed(const std::filesystem::path& file) {
  const std::string content = io::read_file(file).substr(sizeof(std::uint64_t));
  const std::size_t brace = content.find_last_of('}', content.find('\0'));
  return content.substr(0, brace + 1) + content.substr(content.find_first_not_of(' ', brace + 1));
}

void add_idx(Seeds& seeds) {
  const std::string images = std::string("\0\0\x8\x3\0\0\0\4\0\0\0\2\0\0\0\2", 16) + "0123456789abcdef";
  const std::string labels("\0\0\x8\x1\0\0\0\4\0\1\2\3", 12);
  for (const std::string& file : {images, labels}) {
    seeds.add("idx", file);
    seeds.add("idx", gzip(file));
    seeds.add("idx", gzip(file.substr(0, 9)) + gzip(file.substr(9)));
  }
}

void add_cifar(Seeds& seeds) {
  std::string record(3073, '\7');
  for (std::size_t i = 1; i < record.size(); ++i) record[i] = static_cast<char>(i * 7 % 256);
  for (const std::string& file : {record, record + record, "\1" + record}) {
    seeds.add("cifar", file);
    seeds.add("cifar", gzip(file));
  }
}

void add_images(Seeds& seeds) {
  const auto picture = written::slopes(9, 13);
  seeds.add("images", written::png(picture));
  for (const bool progressive : {false, true}) seeds.add("images", written::jpeg(picture, progressive));
  seeds.add("images", written::png(9, 13, PNG_FORMAT_GRAY, picture.pixels.data()));
  seeds.add("images", written::png(5, 13, PNG_FORMAT_GA, picture.pixels.data()));
  const auto grey = data::with_channels(picture, 1);
  seeds.add("images", written::jpeg(grey, JCS_GRAYSCALE, 1));
  seeds.add("images", written::jpeg({9, 9, 4, picture.pixels}, JCS_CMYK, 4));
}

void add_safetensors(Seeds& seeds, const std::filesystem::path& scratch) {
  std::vector<float> single{1, -2, 3e38f};
  std::vector<double> precise{1, 1e300};
  std::vector<std::uint8_t> bytes{0, 255};
  io::SafetensorsWriter writer;
  writer.add("a.weight", single, {3, 1});
  writer.add("b", precise, {2});
  writer.add("c", bytes, {1, 1, 2, 1});
  writer.add("none", std::vector<std::int64_t>{}, {0, 5});
  writer.note("key", "text");
  writer.write(scratch);
  seeds.add("safetensors", io::read_file(scratch));
  seeds.add("safetensors", unframed(scratch));
  for (const char* dtype : {"F16", "BF16", "I16", "BOOL"})
    seeds.add("safetensors", std::string("{\"h\":{\"dtype\":\"") + dtype + R"(","shape":[2],"data_offsets":[0,)" +
                                 (std::string(dtype) == "BOOL" ? "2" : "4") + "]}}\1\2\3\4");
}

/// Files of telemetry of a small block, as such and as the records that the target frames.
void add_telemetry(Seeds& seeds, const std::filesystem::path& scratch) {
  using Layer = MoeLayer<SimilarityInform<LinearRouter>, GluInhibition, TopM<2>, Mlp<Relu>, Cpu<float>, io::Telemetry>;
  {
    io::TelemetryWriter writer(scratch, {.every = 1, .tokens = 4, .neighbours = 2}, {{"run", "a"}});
    const Layer::Config config{.width = 2, .experts = 3, .hidden = {2}, .telemetry = {&writer, "layer"}};
    Layer layer(config);
    const Parameters<float> parameters(layer, 1);
    Cpu<float> cpu;
    std::vector<float> x{1, 2, 3, 4, 5, 6, 7, 8};
    writer.step(7, [&] {
      (void)layer.forward(cpu, tensor(x, {4, 2}), {}, {.sequences = {.length = 2}});
      writer.measure("loss", 1.5);
      const std::vector<int> ids{0, 1, 2, 3};
      writer.words(ids, [](int id) { return std::string(1, static_cast<char>('a' + id)); });
      writer.images({.count = 1, .height = 1, .width = 2, .channels = 1, .patch = 1, .before = 0, .pixels = {0, 255}});
    });
  }
  const std::string file = io::read_file(scratch);
  seeds.add("telemetry", file);
  std::string records;
  for (std::size_t at = io::detail::kTelemetryMagic.size() + 4; at < file.size();) {
    std::uint32_t length = 0;
    std::memcpy(&length, file.data() + at + 4, sizeof length);
    records += {file[at], static_cast<char>(length % 256), static_cast<char>(length / 256)};
    records += file.substr(at + 12, length);
    at += 12 + length + 4;
  }
  seeds.add("telemetry", records);
}

void add_checkpoints(Seeds& seeds, const std::filesystem::path& scratch) {
  for (const Index steps : {0, 2}) {
    SmallModel model(static_cast<std::uint64_t>(steps));
    model.train(steps);
    model.save(scratch);
    seeds.add("checkpoint", unframed(scratch));
    io::save_model(scratch, model.parameters);
    seeds.add("checkpoint", unframed(scratch));
  }
  for (char first = 'a'; first < 'q'; ++first) seeds.add("checkpoint", std::string(24, first));
}

void add_text(Seeds& seeds) {
  for (const std::string& text :
       {std::string("The dogs weren't running; 1,234.5 of them.\nIt's John's, can't you see?\n"),
        std::string("caf\xC3\xA9 \xE2\x80\x99tis \xFF\xED\xA0\x80 \xF0\x9F\x98\x80\0x\n\n", 26),
        std::string("\x1words \xC3\xA9\n"), std::string("\x1x")}) {
    seeds.add("text", text);
    seeds.add("text", gzip(text));
  }
}

/// One for each option that --help tells of.
template <class Read>
void add_command_lines(Seeds& seeds, const Read& read) {
  std::istringstream help;
  try {
    (void)read({"--help"});
  } catch (const papers::HelpWanted& wanted) {
    help.str(wanted.text);
  }
  for (std::string line; std::getline(help, line);)
    if (line.starts_with("  --")) {
      std::replace(line.begin() + 2, line.end(), ' ', '\n');
      seeds.add("command_line", line.substr(2));
      seeds.add("command_line", line.substr(2, line.find('\n') - 2) + "=1\n--quick\n--seeds\n3");
    }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: seeds <folder>\n");
    return 2;
  }
  const std::filesystem::path folder = arguments[1], scratch = folder / "scratch";
  std::filesystem::create_directories(folder);
  Seeds seeds(folder);
  add_idx(seeds);
  add_cifar(seeds);
  add_images(seeds);
  add_safetensors(seeds, scratch);
  add_telemetry(seeds, scratch);
  add_checkpoints(seeds, scratch);
  add_text(seeds);
  add_command_lines(seeds, [](const std::vector<std::string>& a) { return language_model::read_settings(a); });
  add_command_lines(seeds, [](const std::vector<std::string>& a) { return mixed_numbers::read_settings(a); });
  std::filesystem::remove(scratch);
  return 0;
}
