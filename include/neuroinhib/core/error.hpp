#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace neuroinhib {

/// Base of every error the library throws. The text states where, what was expected, what came and what to do.
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

/// One sentence shape for every error: "where: expected …, got …; remedy".
[[nodiscard]] inline std::string explain(std::string_view where, std::string_view expected, std::string_view actual,
                                         std::string_view remedy) {
  std::string text(where);
  text.append(": expected ").append(expected).append(", got ").append(actual).append("; ").append(remedy);
  return text;
}

template <class Kind>
[[noreturn]] void fail(std::string_view where, std::string_view expected, std::string_view actual,
                       std::string_view remedy) {
  throw Kind(explain(where, expected, actual, remedy));
}

}  // namespace neuroinhib
