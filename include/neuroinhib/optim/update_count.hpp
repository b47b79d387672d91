#pragma once

#include <vector>

#include <neuroinhib/core/parameters.hpp>
#include <neuroinhib/ops/optimizer_step/op.hpp>

namespace neuroinhib {

/// How many updates an optimizer has made. It lives where the parameters do, since captured steps count there: to read
/// it is to wait for the device.
class UpdateCount {
 public:
  /// None yet, in that memory; updates are made in so many parts, each of which counts.
  explicit UpdateCount(const MemorySpace& space = kSpaceOf<HostMemory>, Index parts = 1)
      : parts_(parts), counters_(space) {
    *this = 0;
  }

  /// The number of updates; waits for the device.
  operator Index() const { return counters_.to_host()[0].updates; }  // NOLINT(google-explicit-constructor)
  /// Sets the number of updates.
  UpdateCount& operator=(Index updates) {
    const std::vector<ops::UpdateCounter> counters(static_cast<std::size_t>(parts_), {updates});
    counters_.assign(counters.data(), parts_);
    return *this;
  }
  /// Where the update of a part reads and raises it.
  [[nodiscard]] ops::UpdateCounter* data(Index part = 0) { return counters_.data() + part; }

 private:
  Index parts_;
  Storage<ops::UpdateCounter> counters_;
};

}  // namespace neuroinhib
