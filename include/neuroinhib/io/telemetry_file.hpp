#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <neuroinhib/core/tensor.hpp>
#include <neuroinhib/io/file.hpp>

/// Files of telemetry: what layers did in sampled steps. docs/report.md has the format.
namespace neuroinhib::io {
namespace detail {

static_assert(std::endian::native == std::endian::little, "telemetry files are written as numbers lie in memory");

inline constexpr std::string_view kTelemetryMagic = "neuro-telemetry\n";
inline constexpr std::uint32_t kTelemetryVersion = 1;
/// A mask's numbers are 0 to this, by their place in the record's range; one more is NaN or infinite.
inline constexpr std::uint8_t kMaskLevels = 254;

/// What a record is.
enum class TelemetryKind : std::uint32_t { notes = 1, step, layer, words, images };

/// CRC-32 of IEEE 802.3, as zlib and PNG have it.
[[nodiscard]] inline std::uint32_t crc32(std::string_view bytes) {
  static constexpr auto kTable = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      table[byte] = byte;
      for (int bit = 0; bit < 8; ++bit)
        table[byte] = (table[byte] & 1) != 0 ? 0xEDB88320u ^ table[byte] >> 1 : table[byte] >> 1;
    }
    return table;
  }();
  std::uint32_t value = 0xFFFFFFFFu;
  for (const char c : bytes) value = kTable[(value ^ static_cast<unsigned char>(c)) & 0xFF] ^ value >> 8;
  return ~value;
}

/// Numbers and texts, one after another.
class TelemetryBytes {
 public:
  template <class Number>
    requires std::is_arithmetic_v<Number>
  void put(Number number) {
    put_all(std::span<const Number>(&number, 1));
  }
  template <class Number>
  void put_all(std::span<const Number> numbers) {
    bytes_.append(reinterpret_cast<const char*>(numbers.data()), numbers.size_bytes());
  }
  template <class T>
  void put_floats(const std::vector<T>& numbers) {
    for (const T number : numbers) put(static_cast<float>(number));
  }
  /// Their range, then each as a level of it.
  template <class T>
  void put_levels(const std::vector<T>& numbers) {
    float low = std::numeric_limits<float>::infinity(), high = -low;
    for (const T number : numbers)
      if (std::isfinite(number)) {
        low = std::min(low, static_cast<float>(number));
        high = std::max(high, static_cast<float>(number));
      }
    if (low > high) low = high = 0;
    put(low);
    put(high);
    const float scale = high > low ? kMaskLevels / (high - low) : 0;
    for (const T number : numbers)
      put(static_cast<std::uint8_t>(std::isfinite(number) ? std::lround((static_cast<float>(number) - low) * scale)
                                                          : kMaskLevels + 1));
  }
  void put_count(Index count) { put(static_cast<std::uint32_t>(count)); }
  void put_text(std::string_view text) {
    put_count(static_cast<Index>(text.size()));
    put_all(std::span<const char>(text));
  }
  /// Begins a record; end() fills in its length and checksums.
  [[nodiscard]] std::size_t begin(TelemetryKind kind) {
    put(static_cast<std::uint32_t>(kind));
    put(std::uint64_t{0});
    return bytes_.size();
  }
  void end(std::size_t payload) {
    const auto length = static_cast<std::uint32_t>(bytes_.size() - payload);
    const auto fill_in = [&](std::size_t before, std::uint32_t number) {
      std::memcpy(bytes_.data() + payload - before, &number, sizeof number);
    };
    fill_in(8, length);
    fill_in(4, crc32(view().substr(payload - 12, 8)));
    put(crc32(view().substr(payload)));
  }
  [[nodiscard]] std::string_view view() const { return bytes_; }
  void cut(std::size_t size) { bytes_.resize(size); }

 private:
  std::string bytes_;
};

}  // namespace detail

/// What a file of telemetry takes, and how often.
struct TelemetryOptions {
  Index every = 100;     ///< of so many steps one is recorded
  Index tokens = 256;    ///< of a recorded step: so many tokens of each layer, the batch's first
  Index neighbours = 8;  ///< of a token, where the router mixes tokens: those of the largest weights
  Index max_mib = 64;    ///< what the file may take
};

/// Images of `count` × `height` × `width` pixels of `channels`, whose patches of side `patch` are tokens: of each image
/// `before` tokens come first (a class token), then its patches in rows.
struct TelemetryImages {
  Index count = 0, height = 0, width = 0, channels = 0, patch = 0, before = 0;
  std::vector<std::uint8_t> pixels{};  ///< [count, height, width, channels], 255 is bright
  [[nodiscard]] Index tokens() const { return before + height / patch * (width / patch); }
};

/// What a layer did in a recorded step. Of all `tokens` of its batch: slots, entropy and gate means. Of the first
/// `rows` tokens: everything else. `experts`, `chosen` and `gated` are the layer's widths, `neighbours` those kept of
/// each token.
struct TelemetryLayer {
  std::string name;
  bool logits = false;  ///< what scores are: logits, or probabilities
  Index tokens = 0, rows = 0, experts = 0, chosen = 0, gated = 0, neighbours = 0;
  double counted = 0;             ///< tokens without padding
  double entropy = 0;             ///< mean H of a token's routing, in nats
  std::vector<float> slots;       ///< [experts] that each serves, padding left out
  std::vector<float> gate_means;  ///< [gated] of the gate's σ; empty without one
  std::vector<float> mask;        ///< [rows, gated] the gate's σ, rounded to 1/254 of its range
  std::vector<float> scores;      ///< [rows, experts] of the router
  std::vector<int> expert;        ///< [rows, chosen] best first; `experts` for none
  std::vector<float> gates;       ///< [rows, chosen]
  std::vector<float> own_scores;  ///< [rows, experts] of mutual-inform routers, before other tokens joined
  std::vector<float> token_entropy, self_weight;  ///< [rows] of a token's weights on others
  std::vector<int> neighbour;                     ///< [rows, neighbours] token, heaviest first; −1 for none
  std::vector<float> weight;                      ///< [rows, neighbours]
};

/// A recorded step.
struct TelemetryStep {
  std::uint64_t number = 0;                              ///< of the step, as the program counts
  std::vector<std::pair<std::string, double>> measures;  ///< such as the loss
  std::vector<TelemetryLayer> layers;                    ///< in the order in which they ran
  std::vector<std::string> words;                        ///< the tokens' texts; empty where they have none
  std::optional<TelemetryImages> images;                 ///< where tokens are patches
};

/// Writes a file of telemetry. Layers with the policy io::Telemetry record into it while step() runs; a step is written
/// when it has ended. Where the file is full, every second of its steps is dropped and from then on half as many are
/// recorded, so that a bounded file covers a training of any length evenly. Safe where layers run in several threads.
class TelemetryWriter {
 public:
  /// Replaces the file. Throws ConfigError for options outside their range; IoError where it cannot be written or
  /// another writer has it.
  explicit TelemetryWriter(const std::filesystem::path& path, const TelemetryOptions& options = {},
                           const std::map<std::string, std::string>& notes = {})
      : path_(path), options_(checked(options)), every_(static_cast<std::uint64_t>(options.every)) {
    open(O_CREAT);
    if (::ftruncate(file_.descriptor(), 0) != 0) refuse("empty", std::strerror(errno));
    body_.put_all(std::span<const char>(detail::kTelemetryMagic));
    body_.put(detail::kTelemetryVersion);
    const std::size_t record = body_.begin(detail::TelemetryKind::notes);
    body_.put_count(static_cast<Index>(notes.size()));
    for (const auto& [key, text] : notes) {
      body_.put_text(key);
      body_.put_text(text);
    }
    body_.end(record);
    write(body_);
    begin_ = size_;
  }

  /// As the constructor got them.
  [[nodiscard]] const TelemetryOptions& options() const { return options_; }
  /// Whether a step of that number is recorded.
  [[nodiscard]] bool due(std::uint64_t number) const { return number % every_ == 0; }

  /// Calls action(), and records what layers do meanwhile where the step is due. A step that throws is not recorded.
  /// Throws what the action throws, and IoError.
  template <class Action>
  void step(std::uint64_t number, const Action& action) {
    if (!due(number)) return action();
    body_.cut(0);
    measures_.clear();
    const Open open(open_);
    action();
    head_.cut(0);
    const std::size_t record = head_.begin(detail::TelemetryKind::step);
    head_.put(number);
    head_.put_count(static_cast<Index>(measures_.size()));
    for (const auto& [name, value] : measures_) {
      head_.put_text(name);
      head_.put(value);
    }
    head_.end(record);
    append(number);
  }

  // Within a step; outside of a recorded one these do nothing.
  /// Whether a step is being recorded.
  [[nodiscard]] bool recording() const { return open_; }
  /// A number of the step, such as its loss.
  void measure(const std::string& name, double value) {
    const std::lock_guard lock(mutex_);
    if (open_) measures_.emplace_back(name, value);
  }
  /// The texts of the batch's tokens: `name(word)` for each of the first of them.
  template <class Name>
  void words(std::span<const int> ids, const Name& name) {
    record(detail::TelemetryKind::words, [&](detail::TelemetryBytes& bytes) {
      const auto rows = std::min(ids.size(), static_cast<std::size_t>(options_.tokens));
      bytes.put_count(static_cast<Index>(rows));
      for (const int id : ids.first(rows)) bytes.put_text(name(id));
    });
  }
  /// The images of the batch; those whose tokens are recorded are kept. Throws ShapeError unless the pixels are there
  /// and patches divide height and width.
  void images(const TelemetryImages& images) {
    const TelemetryImages& i = images;
    if (i.count < 1 || i.channels < 1 || i.patch < 1 || i.before < 0 || i.height < 1 || i.width < 1 ||
        i.height % i.patch != 0 || i.width % i.patch != 0 ||
        static_cast<Index>(i.pixels.size()) != i.count * i.height * i.width * i.channels)
      fail<ShapeError>("telemetry, images",
                       "count · height · width · channels pixels, in patches that divide height and width",
                       std::to_string(i.pixels.size()) + " pixels", "give the extents of the images");
    record(detail::TelemetryKind::images, [&](detail::TelemetryBytes& bytes) {
      const Index count = std::min(i.count, (options_.tokens + i.tokens() - 1) / i.tokens());
      for (const Index extent : {count, i.height, i.width, i.channels, i.patch, i.before}) bytes.put_count(extent);
      bytes.put_all(std::span(i.pixels).first(static_cast<std::size_t>(count * i.height * i.width * i.channels)));
    });
  }
  /// A record of the step: fill(bytes) writes what is in it.
  template <class Fill>
  void record(detail::TelemetryKind kind, const Fill& fill) {
    const std::lock_guard lock(mutex_);
    if (!open_) return;
    const std::size_t before = body_.view().size(), payload = body_.begin(kind);
    try {
      fill(body_);
    } catch (...) {
      body_.cut(before);
      throw;
    }
    body_.end(payload);
  }

 private:
  struct Step {
    std::uint64_t number;
    std::size_t begin, bytes;
  };
  /// True as long as it lives.
  class Open {
   public:
    explicit Open(std::atomic<bool>& flag) : flag_(flag) { flag_ = true; }
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;
    ~Open() { flag_ = false; }

   private:
    std::atomic<bool>& flag_;
  };

  static const TelemetryOptions& checked(const TelemetryOptions& options) {
    const auto require = [](const char* name, Index value, Index least, Index most, const char* remedy) {
      require_option("telemetry", name, value, value >= least && value <= most,
                     "from " + std::to_string(least) + " to " + std::to_string(most), remedy);
    };
    require("every", options.every, 1, Index{1} << 40, "100 records one step of a hundred");
    require("tokens", options.tokens, 1, Index{1} << 24, "256 are a text that one can read");
    require("neighbours", options.neighbours, 0, 1024, "8 show which tokens matter");
    require("max_mib", options.max_mib, 1, 4095, "64 MiB are some hundred steps");
    return options;
  }
  void open(int flags) {
    file_ = detail::HeldFile(path_, O_APPEND | flags);
    if (!file_.is_open()) refuse("open", std::strerror(errno));
    if (!file_.try_hold()) refuse("hold", "another writer");
  }
  void append(std::uint64_t number) {
    const std::size_t bytes = head_.view().size() + body_.view().size();
    const std::size_t most = static_cast<std::size_t>(options_.max_mib) << 20;
    if (begin_ + 2 * bytes > most)
      fail<ConfigError>("telemetry", "steps of at most half of max_mib, " + std::to_string(options_.max_mib) + " MiB",
                        std::to_string(bytes) + " bytes", "raise max_mib or record fewer tokens");
    while (size_ + bytes > most) {
      drop_every_second();
      if (!due(number)) return;
    }
    steps_.push_back({number, size_, bytes});
    write(head_);
    write(body_);
  }
  /// The file without the steps that are not due any more.
  void drop_every_second() {
    every_ *= 2;
    std::erase_if(steps_, [&](const Step& step) { return !due(step.number); });
    const std::string content = read_file(path_);
    std::string kept = content.substr(0, begin_);
    for (Step& step : steps_) {
      kept.append(content, step.begin, step.bytes);
      step.begin = kept.size() - step.bytes;
    }
    write_file(path_, kept);
    size_ = kept.size();
    open(0);
  }
  void write(const detail::TelemetryBytes& bytes) {
    std::string_view rest = bytes.view();
    size_ += rest.size();
    while (!rest.empty()) {
      const ssize_t written = ::write(file_.descriptor(), rest.data(), rest.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) refuse("write to", std::strerror(errno));
      rest.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  [[noreturn]] void refuse(const char* what, const char* reason) const {
    fail<IoError>("telemetry", std::string("to ") + what + " " + path_.string(), reason,
                  "make room or choose another file; what it has so far can be read");
  }

  std::filesystem::path path_;
  TelemetryOptions options_;
  detail::HeldFile file_;
  std::size_t begin_ = 0, size_ = 0;  ///< bytes before the first step, and in all
  std::uint64_t every_;
  std::vector<Step> steps_;  ///< that the file has
  std::atomic<bool> open_ = false;
  std::mutex mutex_;
  detail::TelemetryBytes head_, body_;
  std::vector<std::pair<std::string, double>> measures_;
};

/// Reads a file of telemetry. One that was cut off, as by a killed run, opens up to the cut.
class TelemetryFile {
 public:
  /// Throws IoError, and FormatError for a file that is none, of another version, or damaged.
  explicit TelemetryFile(const std::filesystem::path& path) : path_(path), content_(read_file(path)) {
    std::string begin(detail::kTelemetryMagic);
    begin.append(reinterpret_cast<const char*>(&detail::kTelemetryVersion), sizeof detail::kTelemetryVersion);
    if (content_.compare(0, begin.size(), begin, 0, std::min(content_.size(), begin.size())) != 0) {
      const bool magic = content_.starts_with(detail::kTelemetryMagic);
      refuse(magic ? "version " + std::to_string(detail::kTelemetryVersion) : "a file of telemetry",
             magic ? "another version" : "other bytes");
    }
    end_ = std::min(content_.size(), begin.size());
    if (end_ == begin.size())
      while (read_record()) ++records_;
    cut_ = content_.size() - end_;
    content_ = {};
  }

  /// What the writer put in: names and texts.
  [[nodiscard]] const std::map<std::string, std::string>& notes() const { return notes_; }
  /// All whole records, in their order.
  [[nodiscard]] const std::vector<TelemetryStep>& steps() const { return steps_; }
  /// Bytes behind the last whole record: 0 for a file that was ended.
  [[nodiscard]] std::size_t cut() const { return cut_; }

 private:
  static constexpr std::size_t kFrame = 12, kChecksum = 4;

  /// What is left of a record's payload.
  class Payload {
   public:
    Payload(const TelemetryFile& file, std::string_view bytes) : file_(file), rest_(bytes) {}

    template <class Number>
    [[nodiscard]] Number number() {
      Number value{};
      std::memcpy(&value, take(1, sizeof value).data(), sizeof value);
      return value;
    }
    [[nodiscard]] Index count(const char* what, Index least = 0) {
      const auto value = static_cast<Index>(number<std::uint32_t>());
      if (value < least) file_.refuse_record(what + std::string(" ≥ ") + std::to_string(least), std::to_string(value));
      return value;
    }
    [[nodiscard]] std::string text() { return std::string(take(count("length"), 1)); }
    template <class Number>
    [[nodiscard]] std::vector<Number> numbers(Index rows, Index columns = 1) {
      Index all = 0;
      if (__builtin_mul_overflow(rows, columns, &all)) all = std::numeric_limits<Index>::max();
      const std::string_view bytes = take(all, sizeof(Number));
      std::vector<Number> values(bytes.size() / sizeof(Number));
      if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
      return values;
    }
    /// Throws FormatError where something is left.
    void end() const {
      if (!rest_.empty()) file_.refuse_record("a record without more", std::to_string(rest_.size()) + " bytes more");
    }

   private:
    std::string_view take(Index count, std::size_t each) {
      if (static_cast<std::size_t>(count) > rest_.size() / each)
        file_.refuse_record(std::to_string(count) + " numbers of " + std::to_string(each) + " bytes",
                            std::to_string(rest_.size()) + " bytes");
      const std::string_view taken = rest_.substr(0, static_cast<std::size_t>(count) * each);
      rest_.remove_prefix(taken.size());
      return taken;
    }

    const TelemetryFile& file_;
    std::string_view rest_;
  };

  /// The next record, if it is whole.
  bool read_record() {
    const std::string_view rest = std::string_view(content_).substr(end_);
    if (rest.size() < kFrame) return false;
    const auto word = [&](std::size_t at) {
      std::uint32_t value = 0;
      std::memcpy(&value, rest.data() + at, sizeof value);
      return value;
    };
    if (detail::crc32(rest.substr(0, 8)) != word(8)) refuse_record("the checksum of its frame", "another");
    const std::size_t length = word(4);
    if (rest.size() - kFrame < length + kChecksum) return false;
    const std::string_view bytes = rest.substr(kFrame, length);
    if (detail::crc32(bytes) != word(kFrame + length)) refuse_record("its checksum", "another");
    Payload payload(*this, bytes);
    read(static_cast<detail::TelemetryKind>(word(0)), payload);
    payload.end();
    end_ += kFrame + length + kChecksum;
    return true;
  }

  void read(detail::TelemetryKind kind, Payload& payload) {
    switch (kind) {
      case detail::TelemetryKind::notes: return read_notes(payload);
      case detail::TelemetryKind::step: return read_step(payload);
      case detail::TelemetryKind::layer: step().layers.push_back(read_layer(payload)); return;
      case detail::TelemetryKind::words: return read_words(payload);
      case detail::TelemetryKind::images: return read_images(payload);
    }
    refuse_record("a kind from 1 to 5", std::to_string(static_cast<std::uint32_t>(kind)));
  }
  void read_notes(Payload& payload) {
    for (Index left = payload.count("notes"); left > 0; --left) {
      std::string key = payload.text();
      notes_[std::move(key)] = payload.text();
    }
  }
  void read_step(Payload& payload) {
    TelemetryStep step;
    step.number = payload.number<std::uint64_t>();
    for (Index left = payload.count("measures"); left > 0; --left) {
      std::string name = payload.text();
      step.measures.emplace_back(std::move(name), payload.number<double>());
    }
    steps_.push_back(std::move(step));
  }
  void read_words(Payload& payload) {
    auto& words = step().words;
    words.clear();
    for (Index left = payload.count("words"); left > 0; --left) words.push_back(payload.text());
  }
  void read_images(Payload& payload) {
    TelemetryImages i;
    for (Index* extent : {&i.count, &i.height, &i.width, &i.channels, &i.patch}) *extent = payload.count("extent", 1);
    i.before = payload.count("tokens before the patches");
    if (i.height % i.patch != 0 || i.width % i.patch != 0)
      refuse_record("patches that divide the images",
                    std::to_string(i.patch) + " in " + std::to_string(i.height) + " × " + std::to_string(i.width));
    Index row = 0;
    if (__builtin_mul_overflow(i.width, i.channels, &row) || __builtin_mul_overflow(i.height, row, &row))
      refuse_record("images that fit into memory", "larger ones");
    i.pixels = payload.numbers<std::uint8_t>(i.count, row);
    step().images = std::move(i);
  }
  [[nodiscard]] TelemetryLayer read_layer(Payload& payload) const {
    TelemetryLayer l;
    l.name = payload.text();
    const auto flags = payload.number<std::uint32_t>();
    l.logits = (flags & 1) != 0;
    l.tokens = payload.count("tokens", 1);
    l.rows = payload.count("rows", 1);
    l.experts = payload.count("experts", 1);
    l.chosen = payload.count("chosen", 1);
    l.gated = payload.count("gated");
    l.neighbours = payload.count("neighbours");
    if (flags > 3 || l.rows > l.tokens)
      refuse_record("flags up to 3, and no more rows than tokens",
                    std::to_string(flags) + ", " + std::to_string(l.rows) + " of " + std::to_string(l.tokens));
    l.counted = payload.number<double>();
    l.entropy = payload.number<double>();
    l.slots = payload.numbers<float>(l.experts);
    l.gate_means = payload.numbers<float>(l.gated);
    const auto low = payload.number<float>(), high = payload.number<float>();
    for (const std::uint8_t level : payload.numbers<std::uint8_t>(l.rows, l.gated))
      l.mask.push_back(
          level > detail::kMaskLevels ? NAN : low + (high - low) * static_cast<float>(level) / detail::kMaskLevels);
    l.scores = payload.numbers<float>(l.rows, l.experts);
    l.expert = payload.numbers<int>(l.rows, l.chosen);
    require_within(l.expert, 0, l.experts, "experts");
    l.gates = payload.numbers<float>(l.rows, l.chosen);
    if ((flags & 2) != 0) {
      l.own_scores = payload.numbers<float>(l.rows, l.experts);
      l.token_entropy = payload.numbers<float>(l.rows);
      l.self_weight = payload.numbers<float>(l.rows);
    }
    l.neighbour = payload.numbers<int>(l.rows, l.neighbours);
    require_within(l.neighbour, -1, l.rows - 1, "neighbours");
    l.weight = payload.numbers<float>(l.rows, l.neighbours);
    return l;
  }
  void require_within(const std::vector<int>& numbers, Index low, Index high, const char* what) const {
    for (const int number : numbers)
      if (number < low || number > high)
        refuse_record(what + std::string(" from ") + std::to_string(low) + " to " + std::to_string(high),
                      std::to_string(number));
  }
  /// The step that a record belongs to.
  [[nodiscard]] TelemetryStep& step() {
    if (steps_.empty()) refuse_record("a step before it", "none");
    return steps_.back();
  }

  [[noreturn]] void refuse_record(const std::string& expected, const std::string& actual) const {
    refuse("in record " + std::to_string(records_ + 1) + ", at byte " + std::to_string(end_) + ", " + expected, actual);
  }
  [[noreturn]] void refuse(const std::string& expected, const std::string& actual) const {
    fail<FormatError>("telemetry " + path_.string(), expected, actual,
                      "use a file that io::TelemetryWriter of this version wrote");
  }

  std::filesystem::path path_;
  std::string content_;
  std::size_t end_ = 0, cut_ = 0, records_ = 0;
  std::map<std::string, std::string> notes_;
  std::vector<TelemetryStep> steps_;
};

}  // namespace neuroinhib::io
