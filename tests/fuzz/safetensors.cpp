// Safetensors files: what is accepted is written and read again to the same content.

#include <neuroinhib/io/safetensors.hpp>

#include <cmath>
#include <cstring>

#include "framed.hpp"
#include "support.hpp"

using namespace fuzzing;

namespace {

template <class T>
bool same_bytes(const io::Safetensors& a, const io::Safetensors& b, const std::string& name) {
  const auto x = a.values<T>(name), y = b.values<T>(name);
  return x.size() == y.size() && (x.empty() || std::memcmp(x.data(), y.data(), x.size() * sizeof(T)) == 0);
}

/// Calls f.template operator()<T>() for the C++ type of a dtype, where it has one.
template <class... T, class F>
void with_type(std::string_view dtype, const F& f) {
  ((dtype == io::kDtype<T> ? f.template operator()<T>() : void()), ...);
}

void check(const io::Safetensors& file, const Folder& folder) {
  io::SafetensorsWriter writer;
  std::vector<std::string> kept;
  for (const std::string& name : file.names()) {
    with_type<float, double, std::int32_t, std::int64_t, std::uint8_t>(file.dtype(name), [&]<class T>() {
      writer.add(name, file.values<T>(name), file.shape(name));
      kept.push_back(name);
    });
    std::vector<float> converted;
    if (accepted([&] { converted = file.converted<float>(name); }))
      require(static_cast<Index>(converted.size()) == file.shape(name).size(), "one number an element");
  }
  for (const auto& [key, text] : file.notes()) writer.note(key, text);
  writer.write(folder.path("again"));
  const io::Safetensors again(folder.path("again"));
  require(again.names() == kept, "names come back");
  require(again.notes() == file.notes(), "notes come back");
  for (const std::string& name : kept) {
    require(again.shape(name) == file.shape(name), "shapes come back");
    with_type<float, double, std::int32_t, std::int64_t, std::uint8_t>(
        file.dtype(name), [&]<class T>() { require(same_bytes<T>(file, again, name), "values come back"); });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Folder folder;
  const std::string_view input = text_of(data, size);
  const auto file = folder.file("file", input.starts_with('{') ? framed(input) : std::string(input));
  (void)accepted([&] { check(io::Safetensors(file), folder); });
  return 0;
}
