#pragma once

#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <neuroinhib/backend/cuda_kernels.cuh>
#include <neuroinhib/backend/cuda_memory.cuh>
#include <neuroinhib/backend/executor.hpp>
#include <neuroinhib/core/arena.hpp>
#include <neuroinhib/core/memory.hpp>
#include <neuroinhib/core/random.hpp>
#include <neuroinhib/core/tensor.hpp>

#if !defined(__CUDACC_EXTENDED_LAMBDA__)
#error "neuroinhib's CUDA kernels need nvcc's --extended-lambda; link neuroinhib::cuda in CMake, or add the flag"
#endif

namespace neuroinhib {

/// How float products are computed; double is always exact. Tensors, parameters (the master weights) and sums are in
/// float whatever it is.
enum class Precision {
  tf32,    ///< on the matrix units: factors rounded to 10 bits of mantissa
  bf16,    ///< factors of experts and linear layers rounded to 7 bits; convolutions and routers as in tf32
  strict,  ///< in float throughout
};

struct CudaOptions {
  int device = 0;
  std::uint64_t seed = 0;
  Precision precision = Precision::tf32;
};

/// A training step, or several, captured once and launched as a whole. Made by Cuda::capture.
class CudaGraph {
 public:
  CudaGraph() = default;
  CudaGraph(CudaGraph&& other) noexcept { *this = std::move(other); }
  CudaGraph& operator=(CudaGraph&& other) noexcept {
    std::swap(graph_, other.graph_);
    std::swap(steps_, other.steps_);
    std::swap(counters_, other.counters_);
    return *this;
  }
  ~CudaGraph() {
    if (graph_ != nullptr) (void)cudaGraphExecDestroy(graph_);
  }
  [[nodiscard]] explicit operator bool() const { return graph_ != nullptr; }

 private:
  template <class T>
  friend class Cuda;

  cudaGraphExec_t graph_ = nullptr;
  std::uint64_t steps_ = 0;
  std::vector<Index*> counters_;  ///< of optimizers, one entry an update
};

/// An NVIDIA GPU, computing in T (float or double). As an executor it is inference, like Cpu; everything runs in the
/// order of one stream of its own and nothing waits for it but read() and check(). Results live until the next
/// begin_step(), and have the same bits in every run. One Cuda serves one calling thread.
template <class T = float>
class Cuda {
 public:
  using Scalar = T;
  using Backend = Cuda;

  /// Throws CudaError where there is no such device, or none at all.
  explicit Cuda(const CudaOptions& options = {}) : options_(options), random_{options.seed, 0} {
    const detail::DriverLock lock(detail::driver());
    int devices = 0;
    require_cuda(cudaGetDeviceCount(&devices), "Cuda");
    if (options.device < 0 || options.device >= devices)
      fail<CudaError>("Cuda", "a device from 0 to " + std::to_string(devices - 1), std::to_string(options.device),
                      "choose one that nvidia-smi lists");
    require_cuda(cudaSetDevice(options.device), "Cuda");
    require_cuda(cudaGetDeviceProperties(&properties_, options.device), "Cuda");
    require_kernels();
    for (Lane& lane : lanes_) open(lane);
    control_ = static_cast<CudaControl*>(CudaMemory::allocate(sizeof(CudaControl)));
    CudaMemory::clear(control_, sizeof(CudaControl));
    set_control(1);
  }
  Cuda(const Cuda&) = delete;
  Cuda& operator=(const Cuda&) = delete;
  ~Cuda() {
    const detail::DriverLock lock(detail::driver());
    for (Lane& lane : lanes_) close(lane);
    CudaMemory::release(control_);
  }

  [[nodiscard]] Arena<HostMemory>& arena() { return host_; }
  /// Device memory of the step, whose addresses are the same in steps of the same operations.
  [[nodiscard]] Arena<CudaMemory>& device_arena() { return *arena_; }
  /// The most that steps have had at once.
  [[nodiscard]] std::size_t peak_bytes() const { return lanes_[0].arena.peak_bytes() + lanes_[1].arena.peak_bytes(); }
  [[nodiscard]] RandomState& random() { return random_; }
  [[nodiscard]] static const MemorySpace& space() { return kSpaceOf<CudaMemory>; }
  [[nodiscard]] Precision precision() const { return options_.precision; }
  [[nodiscard]] cudaStream_t cuda_stream() const { return lane_->stream; }
  [[nodiscard]] cublasHandle_t blas() const { return lane_->blas; }
  [[nodiscard]] CudaControl* control() const { return control_; }
  /// Whether Hopper's warpgroup products can be used: on such a GPU, in a program compiled for sm_90a.
  [[nodiscard]] bool has_wgmma() const { return has_wgmma_; }
  [[nodiscard]] int multiprocessors() const { return properties_.multiProcessorCount; }
  /// Shared memory that a block can have.
  [[nodiscard]] std::size_t shared_bytes() const { return properties_.sharedMemPerBlockOptin; }

  /// The device, how it computes, and which matrix units this program's machine code uses.
  [[nodiscard]] std::string describe() const {
    const bool hopper = properties_.major == 9;
    return "cuda:" + std::to_string(options_.device) + ", " + properties_.name + ", " + describe_precision() +
           (has_wgmma_ ? ", wgmma"
            : hopper   ? ", no wgmma: compile for sm_90a"
                       : "");
  }

  void begin_step() {
    host_.reset();
    lanes_[0].arena.reset();
    streams_ = 0;
  }
  void begin_training_step() {
    begin_step();
    ++random_.step;
    if (capturing_)
      launch_early(dim3(1), dim3(1), 0, detail::next_step<>, control_);
    else
      set_control(1);
    differs_ = false;
  }

  /// Says that the step under way is not like the next one, so that capture() refuses it.
  void next_step_differs() { differs_ = true; }
  /// Whether the last training step may be captured: the next one will be like it.
  [[nodiscard]] bool settled() const { return !differs_; }

  /// Captures `steps` calls of step(), which must be whole training steps like one that has run before: nothing runs
  /// now, and nothing may wait for the device or take memory. Throws CudaError where something does.
  template <class Step>
  [[nodiscard]] CudaGraph capture(const Step& step, int steps = 1) {
    const detail::DriverLock lock(detail::driver());
    const RandomState before = random_;
    counters_.clear();
    require_cuda(cudaStreamBeginCapture(lane_->stream, cudaStreamCaptureModeThreadLocal), "capture");
    capturing_ = true;
    cudaGraph_t captured = nullptr;
    try {
      for (int i = 0; i < steps; ++i) step();
    } catch (...) {
      end_capture(before);
      (void)cudaStreamEndCapture(lane_->stream, &captured);
      if (captured != nullptr) (void)cudaGraphDestroy(captured);
      (void)cudaGetLastError();
      throw;
    }
    const bool differs = differs_;
    end_capture(before);
    require_cuda(cudaStreamEndCapture(lane_->stream, &captured), "capture");
    CudaGraph graph;
    graph.steps_ = static_cast<std::uint64_t>(steps);
    graph.counters_ = counters_;
    const cudaError_t status = cudaGraphInstantiate(&graph.graph_, captured, 0);
    (void)cudaGraphDestroy(captured);
    require_cuda(status, "capture");
    if (differs)
      fail<ConfigError>("capture", "a step that all later ones are like", "one whose successor differs",
                        "run steps until settled() is true, then capture");
    return graph;
  }
  /// Launches a captured step at `learning_factor` times the learning rate.
  void replay(const CudaGraph& graph, double learning_factor = 1) {
    set_control(learning_factor);
    require_cuda(cudaGraphLaunch(graph.graph_, lane_->stream), "replay");
    random_.step += graph.steps_;
    for (Index* counter : graph.counters_) ++*counter;
  }

  /// Waits for the device. Throws what kernels met since the last call, and CudaError.
  void check() {
    CudaControl control{};
    copy_to_host(&control, control_, sizeof control);
    if (static_cast<CudaFault>(control.fault) == CudaFault::none) return;
    CudaMemory::clear(&control_->fault, sizeof control.fault);
    if (static_cast<CudaFault>(control.fault) == CudaFault::id_out_of_range)
      fail<ConfigError>("embedding", "ids from 0 to the number of words − 1",
                        std::to_string(control.value) + " in row " + std::to_string(control.at),
                        "check the vocabulary that the text was read with");
    fail<ConfigError>("cross-entropy", "labels from 0 to the number of classes − 1",
                      std::to_string(control.value) + " in row " + std::to_string(control.at),
                      "check the labels or the number of classes");
  }

  /// Drops, when it goes out of scope, all of this step's results since then.
  struct Scope {
    ArenaScope<HostMemory> host;
    ArenaScope<CudaMemory> device;
  };
  [[nodiscard]] Scope scope() { return {ArenaScope(host_), ArenaScope(*arena_)}; }

  template <class U>
  [[nodiscard]] U* kernel_memory(Index count) {
    try {
      const auto bytes = static_cast<std::size_t>(count) * sizeof(U);
      if (bytes > largest_.bytes) largest_ = {bytes, operation_};
      return arena_->template allocate<U>(count);
    } catch (const CudaError& error) {
      throw CudaError(std::string(error.what()) + " (the step's largest tensor: " +
                      std::to_string(largest_.bytes >> 20) + " MiB, asked for after " + largest_.after + ")");
    }
  }
  void fill(T* target, Index count, T value) {
    parallel_for(count, [=] __device__(Index i) { target[i] = value; });
  }
  /// Copies from the host, in the stream's order.
  template <class U>
  void write(const View<U>& target, const std::type_identity_t<U>* source) {
    require_cuda(cudaMemcpyAsync(target.data, source, static_cast<std::size_t>(target.size()) * sizeof(U),
                                 cudaMemcpyHostToDevice, lane_->stream),
                 operation_);
  }
  /// One number, on the host.
  [[nodiscard]] T value(const T* source) {
    T number{};
    copy_to_host(&number, source, sizeof number);
    check();
    return number;
  }
  template <class U>
  [[nodiscard]] std::vector<std::remove_const_t<U>> read(const View<U>& source) {
    std::vector<std::remove_const_t<U>> values(static_cast<std::size_t>(source.size()));
    copy_to_host(values.data(), source.data, values.size() * sizeof(U));
    check();
    return values;
  }

  // The executor's interface.
  [[nodiscard]] Cuda& backend() { return *this; }
  [[nodiscard]] bool training() const { return false; }
  [[nodiscard]] Tensor<T> tensor(const Shape& shape, bool /*wants_gradient*/) {
    Tensor<T> result;
    result.data = kernel_memory<T>(shape.size());
    result.shape = shape;
    return result;
  }
  [[nodiscard]] View<int> integers(const Shape& shape) { return {kernel_memory<int>(shape.size()), shape}; }
  [[nodiscard]] RandomStream stream() { return {random_.seed, random_.step, streams_++}; }
  template <class Op>
  void run(const Op& op) {
    detail::run_forward(*this, op);
  }
  /// The operation under way, for errors.
  void enter(const char* operation) { operation_ = operation; }

  // For kernels.
  /// An optimizer's count of updates, which the host has just raised: replays go on counting. Returns the number of
  /// training steps so far.
  std::uint64_t count_update(Index* counter) {
    if (capturing_) counters_.push_back(counter);
    return random_.step;
  }
  template <class... Parameters, class... Arguments>
  void launch(dim3 grid, dim3 block, std::size_t shared, void (*kernel)(Parameters...), Arguments&&... arguments) {
    launch_as(false, grid, block, shared, kernel, std::forward<Arguments>(arguments)...);
  }
  /// For kernels that begin with detail::take_turn(): their blocks come onto the device while the kernel before still
  /// runs, where it has room for them.
  template <class... Parameters, class... Arguments>
  void launch_early(dim3 grid, dim3 block, std::size_t shared, void (*kernel)(Parameters...),
                    Arguments&&... arguments) {
    launch_as(takes_turns_ && !std::exchange(waited_, false), grid, block, shared, kernel,
              std::forward<Arguments>(arguments)...);
  }
  /// Calls both parts of an operation, neither of which needs what the other writes. In a captured step they run side
  /// by side, where they are so small that one leaves room for the other: up to kSmall multiply-adds.
  template <class First, class Second>
  void side_by_side(Index multiply_adds, const First& first, const Second& second) {
    constexpr Index kSmall = Index{1} << 29;
    if (multiply_adds > kSmall) {
      first();
      return second();
    }
    order(lanes_[0], lanes_[1]);
    {
      const Detour detour(*this);
      second();
    }
    first();
    order(lanes_[1], lanes_[0]);
  }
  /// body(i) for i in [0, count), on the device.
  template <class Body>
  void parallel_for(Index count, const Body& body) {
    if (count > 0)
      launch_early(blocks((count + detail::kThreads - 1) / detail::kThreads), dim3(detail::kThreads), 0,
                   detail::each_kernel<Body>, count, body);
  }
  /// body(row, column), neighbouring columns in neighbouring threads.
  template <class Body>
  void parallel_grid(Index rows, Index columns, const Body& body) {
    if (rows == 0 || columns == 0) return;
    unsigned width = detail::kWarp;
    while (width < detail::kThreads && width < columns) width *= 2;
    const dim3 block(width, detail::kThreads / width);
    const dim3 grid(static_cast<unsigned>((columns + width - 1) / width),
                    static_cast<unsigned>(std::min<Index>((rows + block.y - 1) / block.y, 65535)));
    launch_early(grid, block, 0, detail::grid_kernel<Body>, rows, columns, body);
  }
  /// body(image, y, x, channel), neighbouring channels in neighbouring threads.
  template <class Body>
  void parallel_pixels(Index images, Index height, Index width, Index channels, const Body& body) {
    unsigned across = 1;
    while (across < 64 && across < channels) across *= 2;
    const dim3 block(across, detail::kThreads / across);
    const dim3 grid(static_cast<unsigned>((width + block.y - 1) / block.y), static_cast<unsigned>(height),
                    static_cast<unsigned>(images));
    launch_early(grid, block, 0, detail::pixel_kernel<Body>, static_cast<int>(width), static_cast<int>(channels), body);
  }
  /// body(i, team) for i in [0, count): each by a warp, or by a block where a row is long and rows are few.
  template <class Body>
  void parallel_rows(Index count, Index length, const Body& body) {
    if (count == 0) return;
    constexpr Index kTeams = detail::kThreads / detail::kWarp;
    if (length >= 4 * detail::kThreads && count < 64 * static_cast<Index>(multiprocessors()))
      launch_early(blocks(count), dim3(detail::kThreads), 0, detail::team_kernel<T, detail::kThreads, Body>, count,
                   body);
    else
      launch_early(blocks((count + kTeams - 1) / kTeams), dim3(detail::kThreads), 0,
                   detail::team_kernel<T, detail::kWarp, Body>, count, body);
  }
  /// store(column, Σ_row value(row, column)), in one order whatever the device.
  template <class Value, class Store>
  void sum_columns(Index rows, Index columns, const Value& value, const Store& store) {
    const auto finish = [=] __device__(Index, Index c, T sum) { store(c, sum); };
    const Index chunks = (rows + kColumnChunk - 1) / kColumnChunk;
    if (chunks <= 1) return sum_ranges(1, columns, detail::AllRows{rows}, value, finish);
    const ArenaScope scope(device_arena());
    T* partial = kernel_memory<T>(chunks * columns);
    sum_ranges(
        chunks, columns,
        [=] __device__(Index chunk) {
          const Index begin = chunk * kColumnChunk;
          return detail::RowRange{begin, begin + kColumnChunk < rows ? begin + kColumnChunk : rows};
        },
        value, [=] __device__(Index chunk, Index c, T sum) { partial[chunk * columns + c] = sum; });
    sum_ranges(
        1, columns, detail::AllRows{chunks},
        [=] __device__(Index chunk, Index c) { return partial[chunk * columns + c]; }, finish);
  }
  /// store(i, column, Σ value(row, column)) over the rows of ranges(i), for i in [0, count).
  template <class Ranges, class Value, class Store>
  void sum_ranges(Index count, Index columns, const Ranges& ranges, const Value& value, const Store& store) {
    if (columns == 0 || count == 0) return;
    launch_early(
        dim3(static_cast<unsigned>((columns + detail::kWarp - 1) / detail::kWarp), static_cast<unsigned>(count)),
        dim3(detail::kWarp, detail::kThreads / detail::kWarp), 0, detail::column_kernel<T, Ranges, Value, Store>,
        columns, ranges, value, store);
  }

 private:
  static constexpr std::size_t kWorkspace = std::size_t{32} << 20;
  struct Largest {
    std::size_t bytes;
    const char* after;
  };
  /// What kernels that may run beside others need of their own.
  struct Lane {
    cudaStream_t stream = nullptr;
    cublasHandle_t blas = nullptr;
    void* workspace = nullptr;  ///< ours: captured steps allocate nothing, and sums always come in one order
    cudaEvent_t reached = nullptr;
    Arena<CudaMemory> arena;
  };

  static void open(Lane& lane) {
    require_cuda(cudaStreamCreateWithFlags(&lane.stream, cudaStreamNonBlocking), "Cuda");
    require_cuda(cudaEventCreateWithFlags(&lane.reached, cudaEventDisableTiming), "Cuda");
    require_cuda(cublasCreate(&lane.blas), "Cuda");
    require_cuda(cublasSetStream(lane.blas, lane.stream), "Cuda");
    lane.workspace = CudaMemory::allocate(kWorkspace);
    require_cuda(cublasSetWorkspace(lane.blas, lane.workspace, kWorkspace), "Cuda");
  }
  static void close(Lane& lane) {
    (void)cudaStreamSynchronize(lane.stream);
    (void)cublasDestroy(lane.blas);
    (void)cudaEventDestroy(lane.reached);
    (void)cudaStreamDestroy(lane.stream);
    CudaMemory::release(lane.workspace);
  }
  /// While it lives, kernels take memory from the second lane, and in a captured step they go there.
  class Detour {
   public:
    explicit Detour(Cuda& cuda) : cuda_(cuda), scope_(cuda.lanes_[1].arena) {
      cuda_.arena_ = &cuda_.lanes_[1].arena;
      if (cuda_.capturing_) cuda_.lane_ = &cuda_.lanes_[1];
    }
    Detour(const Detour&) = delete;
    Detour& operator=(const Detour&) = delete;
    ~Detour() {
      cuda_.arena_ = &cuda_.lanes_[0].arena;
      cuda_.lane_ = &cuda_.lanes_[0];
    }

   private:
    Cuda& cuda_;
    ArenaScope<CudaMemory> scope_;
  };
  /// Makes what comes next in `after` wait for all that is now in `before`.
  void order(Lane& before, Lane& after) {
    if (!capturing_) return;
    require_cuda(cudaEventRecord(before.reached, before.stream), operation_);
    require_cuda(cudaStreamWaitEvent(after.stream, before.reached, 0), operation_);
    waited_ = true;
  }

  static constexpr Index kColumnChunk = 512;

  template <class... Parameters, class... Arguments>
  void launch_as(bool early, dim3 grid, dim3 block, std::size_t shared, void (*kernel)(Parameters...),
                 Arguments&&... arguments) {
    cudaLaunchAttribute attribute{};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared;
    config.stream = lane_->stream;
    config.attrs = &attribute;
    config.numAttrs = early ? 1 : 0;
    const detail::DriverLock lock(detail::driver());
    require_cuda(cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...), operation_);
  }

  static dim3 blocks(Index count) { return dim3(static_cast<unsigned>(std::min<Index>(count, Index{1} << 20))); }

  /// Throws CudaError where this program holds no machine code that the device can run.
  void require_kernels() {
    cudaFuncAttributes attributes{};
    const cudaError_t status = cudaFuncGetAttributes(&attributes, detail::features<>);
    has_wgmma_ = status == cudaSuccess && attributes.maxThreadsPerBlock > detail::kThreads;
    takes_turns_ = status == cudaSuccess && attributes.ptxVersion >= 90;
    (void)cudaGetLastError();
    if (status != cudaSuccess)
      fail<CudaError>("Cuda",
                      "kernels for compute capability " + std::to_string(properties_.major) + "." +
                          std::to_string(properties_.minor) + " (" + properties_.name + ")",
                      "a program compiled for others",
                      "compile with -arch=sm_" + std::to_string(properties_.major) + std::to_string(properties_.minor));
  }
  [[nodiscard]] std::string describe_precision() const {
    if (sizeof(T) == 8) return "double";
    switch (options_.precision) {
      case Precision::tf32: return "float, products in tf32";
      case Precision::bf16: return "float, products in bf16";
      case Precision::strict: break;
    }
    return "float";
  }
  void set_control(double learning_factor) {
    launch_early(dim3(1), dim3(1), 0, detail::set_control<>, control_, random_.step, learning_factor);
  }
  /// Takes back what the host counted while nothing ran.
  void end_capture(const RandomState& before) {
    capturing_ = false;
    random_ = before;
    for (Index* counter : counters_) --*counter;
  }
  void copy_to_host(void* target, const void* source, std::size_t bytes) {
    require_cuda(cudaMemcpyAsync(target, source, bytes, cudaMemcpyDefault, lane_->stream), operation_);
    require_cuda(cudaStreamSynchronize(lane_->stream), operation_);
  }

  CudaOptions options_;
  cudaDeviceProp properties_{};
  Lane lanes_[2];
  Lane* lane_ = lanes_;                          ///< where kernels go now
  Arena<CudaMemory>* arena_ = &lanes_[0].arena;  ///< where their memory comes from
  CudaControl* control_ = nullptr;
  Arena<HostMemory> host_;
  RandomState random_;
  std::uint32_t streams_ = 0;
  bool capturing_ = false, differs_ = false, waited_ = false, has_wgmma_ = false, takes_turns_ = false;
  std::vector<Index*> counters_;
  const char* operation_ = "no operation yet";
  Largest largest_{0, "no operation yet"};
};

}  // namespace neuroinhib
