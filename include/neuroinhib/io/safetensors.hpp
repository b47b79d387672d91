#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <neuroinhib/io/file.hpp>
#include <neuroinhib/io/safetensors_header.hpp>

/// The safetensors format: eight bytes of header length, a JSON header, then the tensors' bytes, little-endian.
/// Opt-in: needs nlohmann/json.
namespace neuroinhib::io {

/// Collects named tensors and writes them to one file. Views are not copied and must live until then.
class SafetensorsWriter {
 public:
  /// Keeps the values itself. Throws ConfigError for a name that is taken.
  template <class T>
  void add(const std::string& name, std::vector<T> values, const Shape& shape) {
    auto kept = std::make_shared<const std::vector<T>>(std::move(values));
    add<T>(name, View<const T>{kept->data(), shape});
    kept_.push_back(std::move(kept));
  }
  template <class T>
  void add(const std::string& name, const View<const T>& tensor) {
    if (header_.contains(name) || name == detail::kNotes)
      fail<ConfigError>("safetensors file", "each name once, and none " + std::string(detail::kNotes),
                        "\"" + name + "\" again", "give the tensor another name");
    nlohmann::json extents = nlohmann::json::array();
    if (tensor.shape == Shape{}) extents.push_back(0);  // "no tensor"; an empty list of extents is a scalar
    for (int axis = 0; axis < tensor.shape.rank(); ++axis) extents.push_back(tensor.shape[axis]);
    const std::size_t bytes = static_cast<std::size_t>(tensor.size()) * sizeof(T);
    header_[name] = {{"dtype", kDtype<T>}, {"shape", extents}, {"data_offsets", {bytes_, bytes_ + bytes}}};
    parts_.push_back({tensor.data, bytes});
    bytes_ += bytes;
  }
  /// Puts a word into the file's metadata.
  void note(const std::string& key, const std::string& value) { header_[detail::kNotes][key] = value; }

  /// Writes atomically. Throws IoError; an older file of that name is then left as it was. Throws ConfigError for names
  /// and notes that are not UTF-8, or too long for a header.
  void write(const std::filesystem::path& path) const {
    std::string header = header_text(path);
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

  [[nodiscard]] std::string header_text(const std::filesystem::path& path) const {
    std::string text;
    try {
      text = header_.dump();
    } catch (const nlohmann::json::exception& error) {
      fail<ConfigError>("saving " + path.string(), "names and notes in UTF-8", error.what(),
                        "convert them to UTF-8 before you save");
    }
    if (text.size() + 7 > detail::kLongestHeader)
      fail<ConfigError>("saving " + path.string(), "names and notes that fit into a header of 100 MB",
                        std::to_string(text.size()) + " bytes", "keep long notes in a file of their own");
    return text;
  }

  nlohmann::json header_ = nlohmann::json::object();
  std::vector<Part> parts_;
  std::vector<std::shared_ptr<const void>> kept_;
  std::size_t bytes_ = 0;
};

/// A file read whole and checked before anything is taken from it.
class Safetensors {
 public:
  /// Throws IoError where the file cannot be read, FormatError where it breaks the format in any way: a header longer
  /// than the file or than 100 MB, JSON of another form, a name given twice, offsets that overlap, leave holes or pass
  /// the end, sizes that contradict shape and dtype; and for tensors of more than four extents.
  explicit Safetensors(const std::filesystem::path& path) : path_(path), content_(read_file(path)) {
    std::uint64_t length = 0;
    if (content_.size() < sizeof length) refuse("8 bytes of header length", std::to_string(content_.size()) + " bytes");
    std::memcpy(&length, content_.data(), sizeof length);
    const std::size_t most = std::min(content_.size() - sizeof length, detail::kLongestHeader);
    if (length > most)
      refuse("a header of at most " + std::to_string(most) + " bytes in a file of " + std::to_string(content_.size()),
             std::to_string(length) + " bytes");
    start_ = sizeof length + static_cast<std::size_t>(length);
    read_header(std::string_view(content_).substr(sizeof length, static_cast<std::size_t>(length)));
    check_layout();
  }

  /// Whether the file has a tensor of that name.
  [[nodiscard]] bool contains(const std::string& name) const { return tensors_.contains(name); }
  /// Of all tensors, in alphabetical order.
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& [name, tensor] : tensors_) all.push_back(name);
    return all;
  }
  /// The metadata.
  [[nodiscard]] const std::map<std::string, std::string>& notes() const { return notes_; }
  /// The metadata of that key. Throws FormatError where there is none.
  [[nodiscard]] const std::string& note(const std::string& key) const {
    const auto found = notes_.find(key);
    if (found == notes_.end()) refuse("metadata \"" + key + "\"", "none");
    return found->second;
  }
  /// The metadata of that key as a whole number ≤ most. Throws FormatError where it is none.
  [[nodiscard]] std::uint64_t number(const std::string& key,
                                     std::uint64_t most = std::numeric_limits<std::uint64_t>::max()) const {
    const std::string& text = note(key);
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value > most)
      refuse("metadata \"" + key + "\" as a whole number from 0 to " + std::to_string(most), "\"" + text + "\"");
    return value;
  }

  /// A tensor's extents. Throws FormatError where there is none of that name.
  [[nodiscard]] const Shape& shape(const std::string& name) const { return find(name).shape; }
  /// As the format writes it, such as "F32" or "BF16".
  [[nodiscard]] const std::string& dtype(const std::string& name) const { return find(name).dtype; }
  /// A copy of a tensor. Throws FormatError where the name or the dtype is another.
  template <class T>
  [[nodiscard]] std::vector<T> values(const std::string& name) const {
    const Entry& entry = find(name);
    if (entry.dtype != kDtype<T>) refuse("\"" + name + "\" as " + std::string(kDtype<T>), entry.dtype);
    return elements<T>(entry);
  }
  /// A copy of a tensor that must have that shape. Throws FormatError where shape, name or dtype is another.
  template <class T>
  [[nodiscard]] std::vector<T> values(const std::string& name, const Shape& expected) const {
    if (shape(name) != expected) refuse("\"" + name + "\" of shape " + expected.text(), shape(name).text());
    return values<T>(name);
  }
  /// A copy of a tensor of F64, F32, F16 or BF16, rounded to T. Throws FormatError for another dtype, and where a
  /// finite number is beyond T's range.
  template <class T>
  [[nodiscard]] std::vector<T> converted(const std::string& name) const {
    const Entry& entry = find(name);
    if (entry.dtype == "F16") return rounded<T>(elements<std::uint16_t>(entry), detail::from_f16);
    if (entry.dtype == "BF16") return rounded<T>(elements<std::uint16_t>(entry), detail::from_bf16);
    if (entry.dtype == "F32") return rounded<T>(elements<float>(entry), [](float value) { return value; });
    if (entry.dtype != "F64") refuse("\"" + name + "\" as F64, F32, F16 or BF16", entry.dtype);
    return rounded<T>(elements<double>(entry), [&](double value) {
      if (std::isfinite(value) && std::abs(value) > std::numeric_limits<T>::max())
        refuse("\"" + name + "\" within the range of " + std::string(kDtype<T>), std::to_string(value));
      return value;
    });
  }

  /// Throws FormatError with the file's name: expected …, got ….
  [[noreturn]] void refuse(const std::string& expected, const std::string& actual,
                           const std::string& remedy = "use a whole file that was written for this model") const {
    fail<FormatError>("safetensors file " + path_.string(), expected, actual, remedy);
  }

 private:
  struct Entry {
    std::string dtype;
    Shape shape;
    std::size_t begin, bytes;
  };

  [[nodiscard]] const Entry& find(const std::string& name) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) refuse("a tensor \"" + name + "\"", "none of that name");
    return found->second;
  }
  template <class Element>
  [[nodiscard]] std::vector<Element> elements(const Entry& entry) const {
    std::vector<Element> result(entry.bytes / sizeof(Element));
    if (entry.bytes > 0) std::memcpy(result.data(), content_.data() + start_ + entry.begin, entry.bytes);
    return result;
  }
  template <class T, class Element, class Value>
  [[nodiscard]] static std::vector<T> rounded(const std::vector<Element>& elements, const Value& value) {
    std::vector<T> result;
    result.reserve(elements.size());
    for (const Element element : elements) result.push_back(static_cast<T>(value(element)));
    return result;
  }

  void read_header(std::string_view text) {
    const auto broken = [this](const std::string& expected, const std::string& actual) { refuse(expected, actual); };
    detail::SafetensorsHeaderReader reader(broken);
    nlohmann::json::sax_parse(text, &reader);
    detail::SafetensorsHeader header = reader.take();
    for (const auto& [name, tensor] : header.tensors) tensors_.emplace(name, checked(name, tensor));
    notes_ = std::move(header.notes);
  }

  [[nodiscard]] Entry checked(const std::string& name, const detail::SafetensorsHeader::Tensor& tensor) const {
    const std::size_t element = detail::element_bytes(tensor.dtype), all = content_.size() - start_;
    if (element == 0) refuse("a known dtype for \"" + name + "\"", tensor.dtype);
    const auto& offsets = tensor.data_offsets;
    if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > all)
      refuse("data_offsets of \"" + name + "\" within " + std::to_string(all) + " bytes", listed(offsets));
    const Shape shape = checked_shape(name, tensor.shape, element);
    const std::size_t bytes = element * static_cast<std::size_t>(shape.size());
    if (bytes != offsets[1] - offsets[0])
      refuse(std::to_string(bytes) + " bytes for \"" + name + "\", by its shape and dtype",
             std::to_string(offsets[1] - offsets[0]));
    return {tensor.dtype, shape, static_cast<std::size_t>(offsets[0]), bytes};
  }
  /// Refuses extents whose products overflow, in whatever order they are multiplied and where one of them is zero.
  [[nodiscard]] Shape checked_shape(const std::string& name, const std::vector<std::uint64_t>& extents,
                                    std::size_t element) const {
    auto bytes = static_cast<Index>(element);
    std::vector<Index> e;
    for (const std::uint64_t extent : extents) {
      if (__builtin_mul_overflow(bytes, std::max<std::uint64_t>(extent, 1), &bytes))
        refuse("a shape that fits into memory for \"" + name + "\"", listed(extents));
      e.push_back(static_cast<Index>(extent));
    }
    switch (e.size()) {
      case 0: return Shape::scalar();
      case 1: return {e[0]};
      case 2: return {e[0], e[1]};
      case 3: return {e[0], e[1], e[2]};
      default: return {e[0], e[1], e[2], e[3]};
    }
  }
  [[nodiscard]] static std::string listed(const std::vector<std::uint64_t>& numbers) {
    std::string text = "[";
    for (const std::uint64_t number : numbers) text += (text.size() > 1 ? ", " : "") + std::to_string(number);
    return text + "]";
  }

  /// Tensors lie one after another, without overlap or hole, to the end of the file.
  void check_layout() const {
    std::vector<std::pair<std::size_t, std::size_t>> spans;
    for (const auto& [name, tensor] : tensors_) spans.emplace_back(tensor.begin, tensor.begin + tensor.bytes);
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
