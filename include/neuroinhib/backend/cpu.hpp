#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <type_traits>
#include <vector>

#include <neuroinhib/backend/bf16_weights.hpp>
#include <neuroinhib/backend/executor.hpp>
#include <neuroinhib/backend/processors.hpp>
#include <neuroinhib/backend/target.hpp>
#include <neuroinhib/backend/thread_pool.hpp>
#include <neuroinhib/core/arena.hpp>
#include <neuroinhib/core/random.hpp>
#include <neuroinhib/core/tensor.hpp>

namespace neuroinhib {

inline namespace NEUROINHIB_TARGET {

template <class T = float>
class Cpu;

}  // namespace NEUROINHIB_TARGET

namespace ops {

template <class T>
struct GroupedLinear;

inline namespace NEUROINHIB_TARGET {

/// The kernel of weights in bf16: as GroupedLinear, in inference. It is in ops/grouped_linear/cpu_bf16.hpp.
template <class T>
void forward_in_bf16(Cpu<T>& cpu, const Bf16Weights& weights, const GroupedLinear<T>& op);

}  // namespace NEUROINHIB_TARGET
}  // namespace ops

namespace detail {
inline namespace NEUROINHIB_TARGET {

/// Weights in bf16 and the kernel that multiplies by them. Only a program that hands weights over names the kernel, so
/// only there it is compiled.
struct Bf16Experts {
  const Bf16Weights* weights = nullptr;
  void (*forward)(Cpu<float>& cpu, const Bf16Weights& weights, const ops::GroupedLinear<float>& op) = nullptr;

  Bf16Experts() = default;
  Bf16Experts(const Bf16Weights* given)  // NOLINT(google-explicit-constructor): an option is given as the pointer
      : weights(given), forward(&ops::forward_in_bf16<float>) {}
};

}  // namespace NEUROINHIB_TARGET
}  // namespace detail

inline namespace NEUROINHIB_TARGET {

/// Of a Cpu. Options out of range are a ConfigError of its constructor.
struct CpuOptions {
  int threads = 0;         ///< at most; 0: OMP_NUM_THREADS, or without it available_processors()
  std::uint64_t seed = 0;  ///< of all random numbers
  /// What a thread must get to do before it joins a loop, in units of namespace cost: a few microseconds. 1 lets
  /// threads join wherever there is more than one iteration.
  Index min_work = Index{1} << 15;
  /// A `const Bf16Weights*`: what experts multiply by in inference, where weights in bf16 are wanted; it must outlive
  /// the Cpu. None: all is in the Cpu's scalar.
  detail::Bf16Experts bf16_weights{};
  /// Convolutions multiply less where Winograd's method pays, at three times the rounding error; false: all sum over
  /// windows.
  bool winograd = true;
};

}  // namespace NEUROINHIB_TARGET

/// What a kernel's iteration costs, in units of one multiply-add on numbers that stream by from memory.
namespace cost {
inline constexpr Index exponential = 8;  ///< one exp, tanh or logarithm
inline constexpr Index random = 16;      ///< one random number
/// Multiply-adds of a product, whose numbers stay in registers.
[[nodiscard]] constexpr Index multiply_adds(Index count) {
  return count / 8;
}
}  // namespace cost

inline namespace NEUROINHIB_TARGET {

/// The CPU, computing in T (float or double). As an executor it is inference: nothing is recorded, random inhibition
/// and dropout are off. Results live until the next begin_step(). One Cpu serves one calling thread.
/// Every kernel's result is independent of the number of threads, to the bit.
template <class T>
class Cpu {
 public:
  using Scalar = T;
  using Backend = Cpu;

  /// Throws ConfigError for threads < 0 or min_work < 1.
  explicit Cpu(const CpuOptions& options = {})
      : threads_(options.threads > 0 ? options.threads : default_threads()),
        min_work_(options.min_work),
        bf16_experts_(options.bf16_weights),
        winograd_(options.winograd),
        random_{options.seed, 0} {
    if (options.threads < 0)
      fail<ConfigError>("Cpu", "threads ≥ 0", std::to_string(options.threads), "use 0 for all processors");
    if (options.min_work < 1)
      fail<ConfigError>("Cpu", "min_work ≥ 1", std::to_string(options.min_work), "use 1 for threads everywhere");
    if (options.bf16_weights.weights != nullptr && !std::is_same_v<T, float>)
      fail<ConfigError>("Cpu", "float beside weights in bf16", "double", "use Cpu<float>, or leave bf16_weights out");
  }

  /// The most that take part in one operation.
  [[nodiscard]] int threads() const { return threads_; }
  /// Host memory of the step.
  [[nodiscard]] Arena<HostMemory>& arena() { return arena_; }
  /// Where parameters must live for this backend.
  [[nodiscard]] static const MemorySpace& space() { return kSpaceOf<HostMemory>; }
  /// Seed and training steps so far; what a checkpoint keeps.
  [[nodiscard]] RandomState& random() { return random_; }
  /// What CpuOptions gave; null where experts compute in float.
  [[nodiscard]] const Bf16Weights* bf16_weights() const { return bf16_experts_.weights; }
  /// The same with their kernel.
  [[nodiscard]] const detail::Bf16Experts& bf16_experts() const { return bf16_experts_; }
  /// What CpuOptions gave.
  [[nodiscard]] bool winograd() const { return winograd_; }

  /// Forgets the results of the step before, and names the random streams anew.
  void begin_step() {
    arena_.reset();
    random_streams_ = 0;
  }

  /// As begin_step, for a step that trains.
  void begin_training_step() {
    begin_step();
    ++random_.step;
  }

  /// The instruction set the kernels were compiled for, the threads they use, and how weights in bf16 are multiplied.
  [[nodiscard]] std::string describe() const {
    return std::string("cpu, ") + instruction_set() + ", " + std::to_string(threads_) +
           (threads_ == 1 ? " thread, " : " threads, ") + (sizeof(T) == 4 ? "float" : "double") +
           (bf16_weights() == nullptr ? "" : ", experts in bf16 (" + text_of(bf16_weights()->unit()) + ")");
  }
  /// The instruction set the kernels were compiled for.
  [[nodiscard]] static const char* instruction_set() {
#if defined(__AVX512F__)
    return "AVX-512";
#elif defined(__AVX2__) && defined(__FMA__)
    return "AVX2";
#elif defined(__SSE2__)
    return "SSE2 (slow: build with -march=native)";
#elif defined(__ARM_NEON)
    return "NEON";
#else
    return "scalar (slow: name your processor to the compiler)";
#endif
  }

  /// Calls body(i) for i in [0, count); iterations must not depend on one another. `cost`: of one iteration, roughly,
  /// in the units of namespace cost. As many threads take part as the work pays for. The exception of the lowest
  /// iteration that throws one comes out; later iterations may not have run then.
  template <class Body>
  void parallel_for(Index count, Index cost, const Body& body) const {
    loop(count, team_of(count, cost), loop_body(body));
  }
  /// The same for iterations of one element each.
  template <class Body>
  void parallel_for(Index count, const Body& body) const {
    parallel_for(count, 1, body);
  }

  /// As parallel_for, with `elements` of scratch memory a thread, handed to body(i, scratch).
  template <class Body>
  void parallel_tasks(Index count, Index cost, Index elements, const Body& body) {
    const int team = team_of(count, cost);
    const ArenaScope scope(arena_);
    const Index stride = (elements + kPad - 1) / kPad * kPad;
    T* scratch = arena_.allocate<T>(stride * team);
    loop(count, team, loop_body([&](Index i, int member) { body(i, scratch + stride * member); }));
  }

  /// Calls body(begin, end) for blocks of `grain` elements (the last may be shorter), `cost` being an element's. Blocks
  /// do not depend on the number of threads, so neither does which elements fall into a vector loop's tail.
  template <class Body>
  void parallel_blocks(Index count, Index cost, Index grain, const Body& body) const {
    parallel_for((count + grain - 1) / grain, std::min(count, grain) * cost,
                 [&](Index block) { body(block * grain, std::min(count, (block + 1) * grain)); });
  }

  /// Drops, when it goes out of scope, all of this step's results since then.
  [[nodiscard]] ArenaScope<HostMemory> scope() { return ArenaScope(arena_); }

  /// Memory of this step that kernels may use.
  template <class U>
  [[nodiscard]] U* kernel_memory(Index count) {
    return arena_.allocate<U>(count);
  }
  /// Sets `count` numbers.
  void fill(T* target, Index count, T value) const { std::fill_n(target, count, value); }
  /// Copies from the host.
  template <class U>
  void write(const View<U>& target, const std::type_identity_t<U>* source) const {
    std::copy_n(source, target.size(), target.data);
  }
  /// One number, on the host.
  [[nodiscard]] T value(const T* source) const { return *source; }
  /// A copy on the host.
  template <class U>
  [[nodiscard]] std::vector<std::remove_const_t<U>> read(const View<U>& source) const {
    return {source.begin(), source.end()};
  }

  // The executor's interface.
  [[nodiscard]] Cpu& backend() { return *this; }
  [[nodiscard]] bool training() const { return false; }
  [[nodiscard]] Tensor<T> tensor(const Shape& shape, bool /*wants_gradient*/) {
    Tensor<T> result;
    result.data = arena_.allocate<T>(shape.size());
    result.shape = shape;
    return result;
  }
  [[nodiscard]] View<int> integers(const Shape& shape) { return {kernel_memory<int>(shape.size()), shape}; }
  [[nodiscard]] RandomStream random_stream() { return {random_.seed, random_.step, random_streams_++}; }
  template <class Op>
  void run(const Op& op) {
    detail::run_forward(*this, op);
  }

 private:
  static constexpr Index kPad = static_cast<Index>(HostMemory::kAlignment / sizeof(T));

  void loop(Index count, int team, const detail::LoopBody& body) const {
    if (team > 1)
      pool_.run(count, team, body);
    else
      for (Index i = 0; i < count; ++i) body(i, 0);
  }
  /// Of body(i) or body(i, member), which must outlive it.
  template <class Body>
  static detail::LoopBody loop_body(const Body& body) {
    return {&body, &call<Body>};
  }
  /// Never inlined: the serial loop and the parallel one run the same machine code, so the same bits come out. Inlined
  /// twice, a body may be contracted to fused multiply-adds in two ways.
  template <class Body>
  [[gnu::noinline]] static void call(const void* kept, Index i, int member) {
    const Body& body = *static_cast<const Body*>(kept);
    if constexpr (requires { body(i, member); })
      body(i, member);
    else
      body(i);
  }

  /// Threads that work of `count` iterations of that cost pays for. A thread that joins costs microseconds, and
  /// milliseconds where another process has its processor.
  [[nodiscard]] int team_of(Index count, Index cost) const {
    const Index paid = count * std::max<Index>(cost, 1) / min_work_;
    return static_cast<int>(std::clamp<Index>(std::min(paid, count), 1, threads_));
  }
  /// OMP_NUM_THREADS, by which users limit numeric libraries, where it is a number; else all there are for us.
  [[nodiscard]] static int default_threads() {
    const char* wanted = std::getenv("OMP_NUM_THREADS");
    const int number = wanted != nullptr ? std::atoi(wanted) : 0;
    return number > 0 ? number : available_processors();
  }
  int threads_;
  Index min_work_;
  detail::Bf16Experts bf16_experts_;
  bool winograd_;
  mutable detail::ThreadPool pool_{threads_};  ///< mutable: kernels loop on a const backend
  Arena<HostMemory> arena_;
  RandomState random_;
  std::uint32_t random_streams_ = 0;
};

}  // namespace NEUROINHIB_TARGET
}  // namespace neuroinhib
