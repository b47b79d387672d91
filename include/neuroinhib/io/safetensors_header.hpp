#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <neuroinhib/core/tensor.hpp>

/// What the safetensors format says of headers and numbers. Opt-in: needs nlohmann/json.
namespace neuroinhib::io {

/// The format's name of a C++ type.
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

namespace detail {

inline constexpr std::size_t kLongestHeader = 100'000'000;
/// The header's member that is no tensor.
inline constexpr const char* kNotes = "__metadata__";

/// Bytes of an element of that dtype; 0 where the format has none of that name.
[[nodiscard]] inline std::size_t element_bytes(std::string_view dtype) {
  using Row = std::pair<std::string_view, std::size_t>;
  static constexpr std::array kBytes{Row{"F64", 8},     Row{"F32", 4}, Row{"F16", 2}, Row{"BF16", 2}, Row{"F8_E5M2", 1},
                                     Row{"F8_E4M3", 1}, Row{"I64", 8}, Row{"I32", 4}, Row{"I16", 2},  Row{"I8", 1},
                                     Row{"U64", 8},     Row{"U32", 4}, Row{"U16", 2}, Row{"U8", 1},   Row{"BOOL", 1}};
  for (const auto& [name, bytes] : kBytes)
    if (name == dtype) return bytes;
  return 0;
}

/// IEEE 754's number of two bytes.
[[nodiscard]] inline float from_f16(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000u) << 16, rest = bits & 0x7fffu;
  const auto subnormal = [&] { return std::bit_cast<std::uint32_t>(static_cast<float>(rest) * 0x1p-24f); };
  const std::uint32_t number = rest < 0x0400u    ? subnormal()
                               : rest >= 0x7c00u ? 0x7f800000u | rest << 13      // infinity, NaN
                                                 : (rest << 13) + (112u << 23);  // the exponent's bias 15 becomes 127
  return std::bit_cast<float>(sign | number);
}
/// The upper half of a float.
[[nodiscard]] inline float from_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

/// A header as it stands in the file: of the right form, and not yet believed.
struct SafetensorsHeader {
  struct Tensor {
    std::string dtype;
    std::vector<std::uint64_t> shape, data_offsets;
  };
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> notes;
};

/// Takes a header's JSON event by event (nlohmann's SAX interface) and stops at the first that is not of the form:
/// depth and length beside the form cost no memory. `Refuse`: refuse(expected, actual) throws.
template <class Refuse>
class SafetensorsHeaderReader {
 public:
  explicit SafetensorsHeaderReader(const Refuse& refuse) : refuse_(refuse) {}
  [[nodiscard]] SafetensorsHeader take() { return std::move(header_); }

  bool start_object(std::size_t) {
    if (place_ == Place::outside) return enter(Place::header);
    if (place_ == Place::header) return enter(name_ == kNotes ? Place::notes : Place::tensor);
    return wrong("an object");
  }
  bool end_object() {
    if (place_ == Place::tensor && fields_.size() != 3)
      refuse_(three_fields(), std::to_string(fields_.size()) + " of them");
    fields_.clear();
    return enter(place_ == Place::header ? Place::outside : Place::header);
  }
  bool key(std::string& key) {
    const bool of_header = place_ == Place::header;
    if (!(of_header ? names_ : fields_).insert(key).second) refuse_("each name once", "\"" + key + "\" twice");
    if (place_ == Place::tensor && key != "dtype" && key != "shape" && key != "data_offsets")
      refuse_(three_fields(), "\"" + key + "\"");
    (of_header ? name_ : field_) = std::move(key);
    return true;
  }
  bool string(std::string& text) {
    const bool dtype = place_ == Place::tensor && field_ == "dtype";
    if (!dtype && place_ != Place::notes) return wrong("\"" + text + "\"");
    (dtype ? header_.tensors[name_].dtype : header_.notes[field_]) = std::move(text);
    return true;
  }
  bool start_array(std::size_t) {
    return place_ == Place::tensor && field_ != "dtype" ? enter(Place::list) : wrong("an array");
  }
  bool end_array() { return enter(Place::tensor); }
  bool number_unsigned(std::uint64_t number) {
    if (place_ != Place::list) return wrong(std::to_string(number));
    const bool shape = field_ == "shape";
    auto& list = shape ? header_.tensors[name_].shape : header_.tensors[name_].data_offsets;
    const std::size_t most = shape ? Shape::kMaxRank : 2;
    if (list.size() == most) refuse_("at most " + std::to_string(most) + " numbers in " + here(), "more");
    list.push_back(number);
    return true;
  }
  bool number_integer(std::int64_t number) { return wrong(std::to_string(number)); }
  bool number_float(double, const std::string& text) { return wrong(text); }
  bool boolean(bool value) { return wrong(value ? "true" : "false"); }
  bool null() { return wrong("null"); }
  bool binary(std::vector<std::uint8_t>&) { return wrong("bytes"); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& error) {
    refuse_("JSON as header", error.what());
    return false;
  }

 private:
  enum class Place { outside, header, notes, tensor, list };

  bool enter(Place place) {
    place_ = place;
    return true;
  }
  [[nodiscard]] std::string three_fields() const { return "dtype, shape and data_offsets of \"" + name_ + "\""; }
  [[nodiscard]] std::string here() const { return field_ + " of \"" + name_ + "\""; }
  bool wrong(const std::string& actual) const {
    switch (place_) {
      case Place::outside: refuse_("a JSON object as header", actual); break;
      case Place::header: refuse_("an object for \"" + name_ + "\"", actual); break;
      case Place::notes: refuse_("a text for metadata \"" + field_ + "\"", actual); break;
      case Place::tensor: refuse_((field_ == "dtype" ? "a text as " : "an array as ") + here(), actual); break;
      case Place::list: refuse_("whole numbers from 0 to 2⁶⁴ − 1 in " + here(), actual);
    }
    return false;
  }

  const Refuse& refuse_;
  SafetensorsHeader header_;
  Place place_ = Place::outside;
  std::string name_, field_;              ///< the members under way
  std::set<std::string> names_, fields_;  ///< the members so far
};

}  // namespace detail
}  // namespace neuroinhib::io
