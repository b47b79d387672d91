#pragma once

#include <neuroinhib/core/parameters.hpp>
#include <neuroinhib/ops/optimizer_step/op.hpp>

namespace neuroinhib {

/// How many updates an optimizer has made. It lives where the parameters do, since captured steps count there: to read
/// it is to wait for the device.
class UpdateCount {
 public:
  /// None yet, in that memory.
  explicit UpdateCount(const MemorySpace& space = kSpaceOf<HostMemory>) : counter_(space) { *this = 0; }

  /// The number of updates; waits for the device.
  operator Index() const { return counter_.to_host()[0].updates; }  // NOLINT(google-explicit-constructor)
  /// Sets the number of updates.
  UpdateCount& operator=(Index updates) {
    const ops::UpdateCounter counter{updates};
    counter_.assign(&counter, 1);
    return *this;
  }
  /// Where an update reads and raises it.
  [[nodiscard]] ops::UpdateCounter* data() { return counter_.data(); }

 private:
  Storage<ops::UpdateCounter> counter_;
};

}  // namespace neuroinhib
