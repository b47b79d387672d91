// Files of telemetry: an input is records, each a byte of its kind and two of its length before its payload; frames and
// checksums are made right, else the fuzzer would have to find them. What is accepted holds what its extents say.

#include <neuroinhib/io/telemetry_file.hpp>

#include "support.hpp"

using namespace fuzzing;

namespace {

std::string framed(std::string_view records) {
  io::detail::TelemetryBytes bytes;
  bytes.put_all(std::span<const char>(io::detail::kTelemetryMagic));
  bytes.put(io::detail::kTelemetryVersion);
  while (records.size() >= 3) {
    const auto byte = [&](std::size_t at) { return static_cast<std::size_t>(static_cast<unsigned char>(records[at])); };
    const auto kind = static_cast<io::detail::TelemetryKind>(byte(0));
    const std::string_view payload = records.substr(3, byte(1) + 256 * byte(2));
    records.remove_prefix(3 + payload.size());
    const std::size_t begin = bytes.begin(kind);
    bytes.put_all(std::span<const char>(payload));
    bytes.end(begin);
  }
  return std::string(bytes.view());
}

void check(const io::TelemetryFile& file) {
  for (const io::TelemetryStep& step : file.steps()) {
    for (const io::TelemetryLayer& l : step.layers) {
      const auto holds = [](const auto& numbers, Index rows, Index columns) {
        return static_cast<Index>(numbers.size()) == rows * columns;
      };
      require(l.rows <= l.tokens && holds(l.scores, l.rows, l.experts) && holds(l.mask, l.rows, l.gated) &&
                  holds(l.expert, l.rows, l.chosen) && holds(l.gates, l.rows, l.chosen) &&
                  holds(l.neighbour, l.rows, l.neighbours) && holds(l.weight, l.rows, l.neighbours) &&
                  holds(l.slots, l.experts, 1) && holds(l.gate_means, l.gated, 1),
              "a layer has the numbers that its extents say");
      for (const int expert : l.expert) require(expert >= 0 && expert <= l.experts, "experts are numbers of experts");
    }
    if (step.images) {
      const io::TelemetryImages& i = *step.images;
      require(static_cast<Index>(i.pixels.size()) == i.count * i.height * i.width * i.channels, "images have pixels");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Folder folder;
  const std::string_view input = text_of(data, size);
  const bool whole = input.starts_with(io::detail::kTelemetryMagic.substr(0, 4));
  const auto file = folder.file("file", whole ? std::string(input) : framed(input));
  (void)accepted([&] { check(io::TelemetryFile(file)); });
  return 0;
}
