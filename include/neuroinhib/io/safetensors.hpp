#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <neuroinhib/core/tensor.hpp>
#include <neuroinhib/io/file.hpp>

/// The safetensors format: eight bytes of header length, a JSON header, then the tensors' bytes, little-endian.
/// Opt-in: needs nlohmann/json.
namespace neuroinhib::io {

template <class T>
inline constexpr std::string_view kDtype{};
template <>
inline constexpr std::string_view kDtype<float> = "F32";
template <>
inline constexpr std::string_view kDtype<double> = "F64";
template <>
inline constexpr std::string_view kDtype<std::int32_t> = "I32";
template <>
inline constexpr std::string_view kDtype<std::int64_t> = "I64";
template <>
inline constexpr std::string_view kDtype<std::uint8_t> = "U8";

/// Collects named tensors and writes them to one file. Views are not copied and must live until then.
class SafetensorsWriter {
 public:
  /// Keeps the values itself.
  template <class T>
  void add(const std::string& name, std::vector<T> values, const Shape& shape) {
    auto kept = std::make_shared<const std::vector<T>>(std::move(values));
    add<T>(name, View<const T>{kept->data(), shape});
    kept_.push_back(std::move(kept));
  }
  template <class T>
  void add(const std::string& name, const View<const T>& tensor) {
    nlohmann::json extents = nlohmann::json::array();
    if (tensor.shape == Shape{}) extents.push_back(0);  // "no tensor"; an empty list of extents is a scalar
    for (int axis = 0; axis < tensor.shape.rank(); ++axis) extents.push_back(tensor.shape[axis]);
    const std::size_t bytes = static_cast<std::size_t>(tensor.size()) * sizeof(T);
    header_[name] = {{"dtype", kDtype<T>}, {"shape", extents}, {"data_offsets", {bytes_, bytes_ + bytes}}};
    parts_.push_back({tensor.data, bytes});
    bytes_ += bytes;
  }
  void note(const std::string& key, const std::string& value) { header_["__metadata__"][key] = value; }

  /// Writes atomically. Throws IoError; an older file of that name is then left as it was.
  void write(const std::filesystem::path& path) const {
    std::string header = header_.dump();
    header.resize((header.size() + 7) / 8 * 8, ' ');
    const std::uint64_t length = header.size();
    AtomicFile file(path);
    file.write(&length, sizeof length);
    file.write(header);
    for (const Part& part : parts_) file.write(part.data, part.bytes);
    file.commit();
  }

 private:
  struct Part {
    const void* data;
    std::size_t bytes;
  };
  nlohmann::json header_ = nlohmann::json::object();
  std::vector<Part> parts_;
  std::vector<std::shared_ptr<const void>> kept_;
  std::size_t bytes_ = 0;
};

/// A file read whole and checked before anything is taken from it.
class Safetensors {
 public:
  /// Throws IoError where the file cannot be read, FormatError where it breaks the format in any way: a header longer
  /// than the file, JSON that does not parse, a name given twice, offsets that overlap, leave holes or pass the end,
  /// sizes that contradict shape and dtype.
  explicit Safetensors(const std::filesystem::path& path) : path_(path), content_(read_file(path)) {
    std::uint64_t length = 0;
    if (content_.size() < sizeof length) refuse("8 bytes of header length", std::to_string(content_.size()) + " bytes");
    std::memcpy(&length, content_.data(), sizeof length);
    if (length > content_.size() - sizeof length)
      refuse("a header within the file's " + std::to_string(content_.size()) + " bytes",
             std::to_string(length) + " bytes");
    start_ = sizeof length + static_cast<std::size_t>(length);
    read_header(std::string_view(content_).substr(sizeof length, static_cast<std::size_t>(length)));
    check_layout();
  }

  [[nodiscard]] bool contains(const std::string& name) const { return tensors_.count(name) > 0; }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& [name, tensor] : tensors_) all.push_back(name);
    return all;
  }
  /// The metadata of that key. Throws FormatError where there is none.
  [[nodiscard]] const std::string& note(const std::string& key) const {
    const auto found = notes_.find(key);
    if (found == notes_.end()) refuse("metadata \"" + key + "\"", "none");
    return found->second;
  }
  /// A copy of a tensor. Throws FormatError where the name or the dtype is another.
  template <class T>
  [[nodiscard]] std::vector<T> values(const std::string& name) const {
    const Entry& entry = find(name);
    if (entry.dtype != kDtype<T>) refuse("\"" + name + "\" as " + std::string(kDtype<T>), entry.dtype);
    std::vector<T> result(entry.bytes() / sizeof(T));
    if (!result.empty()) std::memcpy(result.data(), content_.data() + start_ + entry.begin, entry.bytes());
    return result;
  }
  [[nodiscard]] const Shape& shape(const std::string& name) const { return find(name).shape; }
  /// A copy of a tensor that must have that shape. Throws FormatError where shape, name or dtype is another.
  template <class T>
  [[nodiscard]] std::vector<T> values(const std::string& name, const Shape& expected) const {
    if (shape(name) != expected) refuse("\"" + name + "\" of shape " + expected.text(), shape(name).text());
    return values<T>(name);
  }
  /// The metadata of that key as a whole number ≥ 0. Throws FormatError where it is none.
  [[nodiscard]] std::uint64_t number(const std::string& key) const {
    const std::string& text = note(key);
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size())
      refuse("metadata \"" + key + "\" as a whole number", "\"" + text + "\"");
    return value;
  }

  [[noreturn]] void refuse(const std::string& expected, const std::string& actual) const {
    fail<FormatError>("safetensors file " + path_.string(), expected, actual,
                      "use a file that this version wrote for the same configuration");
  }

 private:
  struct Entry {
    std::string dtype;
    Shape shape;
    std::size_t begin, end;
    [[nodiscard]] std::size_t bytes() const { return end - begin; }
  };

  [[nodiscard]] const Entry& find(const std::string& name) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) refuse("a tensor \"" + name + "\"", "none of that name");
    return found->second;
  }

  void read_header(std::string_view text) {
    std::set<std::string> seen;
    const auto watch = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& key) {
      if (event == nlohmann::json::parse_event_t::key && depth == 1 && !seen.insert(key.get<std::string>()).second)
        refuse("each name once", "\"" + key.get<std::string>() + "\" twice");
      return true;
    };
    try {
      const auto header = nlohmann::json::parse(text, watch);
      if (!header.is_object()) refuse("a JSON object as header", header.type_name());
      for (const auto& [name, value] : header.items()) {
        if (name == "__metadata__")
          notes_ = value.get<std::map<std::string, std::string>>();
        else
          tensors_.emplace(name, read_entry(name, value));
      }
    } catch (const nlohmann::json::exception& error) {
      refuse("a header in the safetensors form", error.what());
    }
  }

  [[nodiscard]] Entry read_entry(const std::string& name, const nlohmann::json& value) const {
    static const std::map<std::string, std::size_t> kSizes{{"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2},
                                                           {"I64", 8}, {"I32", 4}, {"I16", 2}, {"I8", 1},
                                                           {"U8", 1},  {"BOOL", 1}};
    const auto dtype = value.at("dtype").get<std::string>();
    const auto size = kSizes.find(dtype);
    if (size == kSizes.end()) refuse("a known dtype for \"" + name + "\"", dtype);
    const auto offsets = value.at("data_offsets").get<std::vector<std::size_t>>();
    if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > content_.size() - start_)
      refuse("data_offsets of \"" + name + "\" within " + std::to_string(content_.size() - start_) + " bytes",
             value.at("data_offsets").dump());
    std::size_t bytes = size->second;
    for (const auto& extent : value.at("shape")) {
      if (!extent.is_number_unsigned()) refuse("extents ≥ 0 for \"" + name + "\"", extent.dump());
      if (__builtin_mul_overflow(bytes, extent.get<std::size_t>(), &bytes))
        refuse("a shape that fits into memory for \"" + name + "\"", value.at("shape").dump());
    }
    if (bytes != offsets[1] - offsets[0])
      refuse(std::to_string(bytes) + " bytes for \"" + name + "\", by its shape and dtype",
             std::to_string(offsets[1] - offsets[0]));
    return {dtype, read_shape(name, value.at("shape")), offsets[0], offsets[1]};
  }

  [[nodiscard]] Shape read_shape(const std::string& name, const nlohmann::json& value) const {
    const auto e = value.get<std::vector<Index>>();
    switch (e.size()) {
      case 0: return Shape::scalar();
      case 1: return {e[0]};
      case 2: return {e[0], e[1]};
      case 3: return {e[0], e[1], e[2]};
      case 4: return {e[0], e[1], e[2], e[3]};
      default: refuse("at most 4 extents for \"" + name + "\"", value.dump());
    }
  }

  /// Tensors lie one after another, without overlap or hole, to the end of the file.
  void check_layout() const {
    std::vector<std::pair<std::size_t, std::size_t>> spans;
    for (const auto& [name, tensor] : tensors_) spans.emplace_back(tensor.begin, tensor.end);
    std::sort(spans.begin(), spans.end());
    std::size_t at = 0;
    for (const auto& [begin, end] : spans) {
      if (begin != at) refuse("a tensor that begins at byte " + std::to_string(at), std::to_string(begin));
      at = end;
    }
    if (at != content_.size() - start_)
      refuse(std::to_string(at) + " bytes of tensors", std::to_string(content_.size() - start_));
  }

  std::filesystem::path path_;
  std::string content_;
  std::size_t start_ = 0;
  std::map<std::string, Entry> tensors_;
  std::map<std::string, std::string> notes_;
};

}  // namespace neuroinhib::io
