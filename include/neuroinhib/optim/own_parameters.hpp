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
  /// Throws ConfigError for a shard of other parameters.
  OwnParameters(std::string_view where, const Parameters<T>& parameters, const Shard& shard)
      : values_(parameters.data()), size_(parameters.size()), shard_(shard) {
    if (shard.size == 0) shard_ = {size_};
    if (shard_.size != size_)
      fail<ConfigError>(where, "a shard of " + std::to_string(size_) + " numbers",
                        "one of " + std::to_string(shard_.size), "make it with shard_of(backend, parameters)");
  }
  [[nodiscard]] const Shard& shard() const { return shard_; }

  /// Throws ConfigError for others, and where they live out of the backend's reach.
  template <class B>
  void require(std::string_view where, const B& backend, const Parameters<T>& parameters) const {
    static_assert(is_backend<B>());
    if (parameters.data() != values_)
      fail<ConfigError>(where, "the parameters that it was made for, " + std::to_string(size_) + " numbers",
                        "others, " + std::to_string(parameters.size()) + " numbers",
                        "make one optimizer for each Parameters");
    require_space(where, backend, parameters);
    Index rank = 0, ranks = 1;
    if constexpr (!kAlone<B>) rank = backend.rank(), ranks = backend.size();
    if (!shard_.whole() && (shard_.rank != rank || shard_.ranks != ranks))
      fail<ConfigError>(
          where,
          "rank " + std::to_string(shard_.rank) + " of " + std::to_string(shard_.ranks) + ", whose shard it keeps",
          "rank " + std::to_string(rank) + " of " + std::to_string(ranks),
          "make it with shard_of(backend, parameters) of the backend that updates");
  }

 private:
  const T* values_;
  Index size_;
  Shard shard_;
};

}  // namespace neuroinhib::detail
