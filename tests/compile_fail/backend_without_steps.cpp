// expect: a backend is an executor with begin_step, .*value, .*; see docs/write-a-backend.md
#include <neuroinhib/neuroinhib.hpp>
using namespace neuroinhib;
struct Processor {
  using Scalar = float;
  using Backend = Processor;
  Processor& backend() { return *this; }
  const MemorySpace& space() { return kSpaceOf<HostMemory>; }
  bool training() { return false; }
  Tensor<float> tensor(const Shape&, bool) { return {}; }
  View<int> integers(const Shape&) { return {}; }
  RandomStream random_stream() { return {}; }
};
static_assert(Executor<Processor>);
void train(Processor& processor) {
  Recording ex(processor);
}
