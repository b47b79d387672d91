#pragma once

#include <cmath>
#include <string>
#include <string_view>

#include <neuroinhib/backend/backend.hpp>
#include <neuroinhib/core/parameters.hpp>
#include <neuroinhib/parallel/communicator.hpp>

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

/// The parameters that an optimizer was made for, and which of their elements it updates: those whose moments it keeps.
template <class T>
class OwnParameters {
 public:
  /// Throws ConfigError for a share of other parameters.
  OwnParameters(std::string_view where, const Parameters<T>& parameters, const Share& share)
      : values_(parameters.data()), size_(parameters.size()), share_(share) {
    if (share.total == 0) share_ = {0, size_, size_};
    if (share_.total != size_)
      fail<ConfigError>(where, "a share of " + std::to_string(size_) + " numbers",
                        "one of " + std::to_string(share_.total), "make it with shard_of(backend, parameters)");
  }
  [[nodiscard]] const Share& share() const { return share_; }

  /// Throws ConfigError for others, and where they live out of the backend's reach.
  template <class B>
  void require(std::string_view where, const B& backend, const Parameters<T>& parameters) const {
    static_assert(is_backend<B>());
    if (parameters.data() != values_)
      fail<ConfigError>(where, "the parameters that it was made for, " + std::to_string(size_) + " numbers",
                        "others, " + std::to_string(parameters.size()) + " numbers",
                        "make one optimizer for each Parameters");
    require_space(where, backend, parameters);
  }

 private:
  const T* values_;
  Index size_;
  Share share_;
};

}  // namespace neuroinhib::detail
