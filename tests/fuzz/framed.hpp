#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace fuzzing {

/// A safetensors file from its header and data, one after the other: the header ends with the last brace, and its
/// length is told rightly. Else the fuzzer would have to find the length for every header that it tries.
[[nodiscard]] inline std::string framed(std::string_view header_and_data) {
  const std::uint64_t length = header_and_data.rfind('}') + 1;
  std::string file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  return file.append(header_and_data);
}

}  // namespace fuzzing
