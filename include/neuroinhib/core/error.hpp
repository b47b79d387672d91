#pragma once

#if __cplusplus < 202002L
#error "neuroinhib: expected C++20 or later, got an older standard; compile with -std=c++20"
#endif

#include <array>
#include <concepts>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <string_view>

namespace neuroinhib {

/// Base of every error the library throws. The text states where it happened, what was expected, what the library got,
/// and how to fix it.
class Error : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Tensor extents that do not fit together.
class ShapeError : public Error {
  using Error::Error;
};

/// An option outside its range, or options that exclude each other.
class ConfigError : public Error {
  using Error::Error;
};

/// A file whose content is not what its format promises.
class FormatError : public Error {
  using Error::Error;
};

/// The operating system refused to read or write.
class IoError : public Error {
  using Error::Error;
};

/// NaN or infinity where a finite number is needed.
class NumericError : public Error {
  using Error::Error;
};

/// Another process of the job does not answer, or answers what was not asked.
class CommunicationError : public Error {
  using Error::Error;
};

/// One sentence shape for every error: "where: expected …, got …; remedy".
[[nodiscard]] inline std::string explain(std::string_view where, std::string_view expected, std::string_view actual,
                                         std::string_view remedy) {
  std::string text(where);
  text.append(": expected ").append(expected).append(", got ").append(actual).append("; ").append(remedy);
  return text;
}

/// Throws an error of that kind with the sentence of explain(). Say real values, and a remedy that one can act on.
template <class Kind>
[[noreturn, gnu::cold]] void fail(std::string_view where, std::string_view expected, std::string_view actual,
                                  std::string_view remedy) {
  throw Kind(explain(where, expected, actual, remedy));
}

/// A number as a person writes it: 0.001, 1e-09, nan.
template <class N>
[[nodiscard]] std::string number_text(N value) {
  if constexpr (std::integral<N>) return std::to_string(value);
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%g", static_cast<double>(value));
  return text.data();
}

/// Throws ConfigError for an option outside its range, with its name and value.
template <class N>
void require_option(std::string_view where, std::string_view name, N value, bool in_range, std::string_view range,
                    std::string_view remedy) {
  if (!in_range) fail<ConfigError>(where, std::string(name) + " " + std::string(range), number_text(value), remedy);
}

}  // namespace neuroinhib
