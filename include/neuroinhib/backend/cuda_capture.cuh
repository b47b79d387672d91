#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <type_traits>
#include <vector>

#include <neuroinhib/backend/cuda_graph.cuh>
#include <neuroinhib/backend/cuda_memory.cuh>
#include <neuroinhib/backend/cuda_stream.cuh>
#include <neuroinhib/core/arena.hpp>
#include <neuroinhib/core/gradient_flag.hpp>

namespace neuroinhib::detail {

/// Puts a value back where its scope ends.
template <class T>
class PutBack {
 public:
  explicit PutBack(T& value) : value_(value), before_(value) {}
  PutBack(const PutBack&) = delete;
  PutBack& operator=(const PutBack&) = delete;
  ~PutBack() { value_ = before_; }

  [[nodiscard]] const T& before() const { return before_; }

 private:
  T& value_;
  T before_;
};

/// A capture of a stream under way, and what the step uses. In its end, however it comes, gradients' flags are what
/// they were. Throws CudaError.
class CudaCapture {
 public:
  CudaCapture(int device, cudaStream_t stream) : began_(device), stream_(stream) {
    require_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture");
    DeviceAllocations::all().set_all_current(true);
    begin_step();
  }
  CudaCapture(const CudaCapture&) = delete;
  CudaCapture& operator=(const CudaCapture&) = delete;
  ~CudaCapture() {
    if (!ended_) {
      cudaGraph_t captured = nullptr;
      (void)cudaStreamEndCapture(stream_, &captured);
      if (captured != nullptr) (void)cudaGraphDestroy(captured);
      (void)cudaGetLastError();
    }
    DeviceAllocations::all().set_all_current(false);
    flags_.put_back();
  }

  /// Ends the capture. Flags that lie in the step's own memory are none of the graph's business.
  [[nodiscard]] CudaGraph finish(const Arena<HostMemory>& step_memory) {
    cudaGraph_t captured = nullptr;
    ended_ = true;
    require_cuda(cudaStreamEndCapture(stream_, &captured), "capture");
    CudaGraph graph;
    cudaGraphExec_t executable = nullptr;
    const cudaError_t status = cudaGraphInstantiate(&executable, captured, 0);
    (void)cudaGraphDestroy(captured);
    require_cuda(status, "capture");
    graph.graph_.reset(executable);
    for (const auto& [allocation, memory] : memory_) graph.memory_.push_back(memory);
    graph.halves_ = halves_;
    graph.current_ = DeviceAllocations::all().current();
    graph.kept_ = kept_;
    for (const auto& [flag, before] : flags_.entries())
      if (!step_memory.holds(flag)) graph.flags_.push_back({flag, before, *flag});
    return graph;
  }
  /// One of the steps begins here.
  void begin_step() { require_cuda(cudaEventRecord(began_.get(), stream_), "capture"); }
  /// Lets what comes next in another stream wait for no more than what comes before the step.
  void wait_for_beginning(cudaStream_t other) { require_cuda(cudaStreamWaitEvent(other, began_.get(), 0), "capture"); }
  /// Looks every word of a kernel's argument up, as a conservative garbage collector does.
  template <class U>
  void note(const U& argument, const char* operation) {
    for_each_word(argument, [&](std::uintptr_t word) {
      const auto* const memory = reinterpret_cast<const void*>(word);
      if (const std::uint64_t allocation = DeviceAllocations::all().number_at(memory); allocation != 0)
        memory_.try_emplace(allocation, CudaGraph::Memory{memory, allocation, operation});
    });
  }
  /// What the second stream is still writing from here on.
  void begin_writing(const void* results) {
    if (results != nullptr) written_.push_back(reinterpret_cast<std::uintptr_t>(results));
  }
  /// Whether an argument names any of that.
  template <class U>
  [[nodiscard]] bool names_written(const U& argument) const {
    bool any = false;
    if (!written_.empty())
      for_each_word(argument, [&](std::uintptr_t word) {
        any |= std::find(written_.begin(), written_.end(), word) != written_.end();
      });
    return any;
  }
  /// Whether it writes something; from here on it does not.
  [[nodiscard]] bool end_writing() {
    const bool any = !written_.empty();
    written_.clear();
    return any;
  }
  /// The shape of a buffer that steps leave to each other.
  void keep(const Shape& shape) { kept_.push_back({&shape, shape}); }
  /// Parameters whose copy in bf16 must be current where the graph begins.
  void keep_halves(const float* first) {
    if (std::find(halves_.begin(), halves_.end(), first) == halves_.end()) halves_.push_back(first);
  }

 private:
  /// In a union, since GCC 12 clears other bytes than the padding where an array of more than 64 bytes stands
  /// elsewhere.
  template <class U>
  union Copy {
    explicit Copy(const U& argument) : value(argument) {}
    U value;
  };
  /// f(word) for the words of an argument. Padding is none of them: it may hold an address from a call before.
  template <class U, class F>
  static void for_each_word(const U& argument, const F& f) {
    const auto words_of = [&](const auto& bytes) {
      std::uintptr_t word = 0;
      for (std::size_t at = 0; at + sizeof word <= sizeof bytes; at += sizeof word) {
        std::memcpy(&word, reinterpret_cast<const std::byte*>(&bytes) + at, sizeof word);
        f(word);
      }
    };
#if __has_builtin(__builtin_clear_padding)
    if constexpr (std::is_trivially_copyable_v<U>) {
      Copy<U> copy(argument);
      __builtin_clear_padding(&copy);
      return words_of(copy);
    }
#endif
    words_of(argument);
  }

  CudaEvent began_;
  cudaStream_t stream_;
  bool ended_ = false;
  FlagJournal flags_;
  std::map<std::uint64_t, CudaGraph::Memory> memory_;  ///< by its number
  std::vector<CudaGraph::Kept> kept_;
  std::vector<const float*> halves_;
  std::vector<std::uintptr_t> written_;  ///< gradients that the second stream is writing
};

}  // namespace neuroinhib::detail
