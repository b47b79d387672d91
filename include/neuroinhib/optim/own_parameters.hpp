#pragma once

#include <cmath>
#include <string>
#include <string_view>

#include <neuroinhib/core/parameters.hpp>

namespace neuroinhib::detail {

inline bool is_rate(double value) {
  return value >= 0 && std::isfinite(value);
}

/// Throws ConfigError for parameters that live out of the backend's reach.
template <class B, class T>
void require_space(std::string_view where, const B& backend, const Parameters<T>& parameters) {
  if (&parameters.space() != &backend.space())
    fail<ConfigError>(where, "parameters in " + backend.space().text(), parameters.space().text(),
                      "make Parameters(module, seed, backend.space())");
}

/// The parameters that an optimizer was made for, whose moments it keeps.
template <class T>
class OwnParameters {
 public:
  explicit OwnParameters(const Parameters<T>& parameters) : values_(parameters.data()), size_(parameters.size()) {}

  /// Throws ConfigError for others, and where they live out of the backend's reach.
  template <class B>
  void require(std::string_view where, const B& backend, const Parameters<T>& parameters) const {
    if (parameters.data() != values_)
      fail<ConfigError>(where, "the parameters that it was made for, " + std::to_string(size_) + " numbers",
                        "others, " + std::to_string(parameters.size()) + " numbers",
                        "make one optimizer for each Parameters");
    require_space(where, backend, parameters);
  }

 private:
  const T* values_;
  Index size_;
};

}  // namespace neuroinhib::detail
