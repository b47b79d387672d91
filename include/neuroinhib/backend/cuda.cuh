#pragma once

#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <neuroinhib/backend/cuda_graph.cuh>
#include <neuroinhib/backend/cuda_kernels.cuh>
#include <neuroinhib/backend/cuda_memory.cuh>
#include <neuroinhib/backend/cuda_tensor_map.cuh>
#include <neuroinhib/backend/executor.hpp>
#include <neuroinhib/core/arena.hpp>
#include <neuroinhib/core/gradient_flag.hpp>
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

/// Of a Cuda.
struct CudaOptions {
  int device = 0;                         ///< its number, as nvidia-smi lists it
  std::uint64_t seed = 0;                 ///< of all random numbers
  Precision precision = Precision::tf32;  ///< of products of experts, linear layers and convolutions
  /// Of the products that routing decides by: scores, and the logits and sums of mutual-inform routing. bf16 stands for
  /// tf32 here.
  Precision routing = Precision::strict;
};

/// An NVIDIA GPU, computing in T (float or double). As an executor it is inference, like Cpu; everything runs in the
/// order of one stream of its own and nothing waits for it but read() and check(). Results live until the next
/// begin_step() or replay(), and have the same bits in every run. One Cuda serves one thread at a time, whichever it
/// is; a thread may use several, of one device or of many: its own current device stays what it was.
template <class T = float>
class Cuda {
 public:
  using Scalar = T;
  using Backend = Cuda;

  /// Throws CudaError where there is no such device, or none at all.
  explicit Cuda(const CudaOptions& options = {})
      : options_(options),
        resources_{StreamResources(options.device), StreamResources(options.device)},
        random_{options.seed, 0} {
    const detail::DriverLock lock(detail::driver());
    int devices = 0;
    require_cuda(cudaGetDeviceCount(&devices), "Cuda");
    if (options.device < 0 || options.device >= devices)
      fail<CudaError>("Cuda", "a device from 0 to " + std::to_string(devices - 1), std::to_string(options.device),
                      "choose one that nvidia-smi lists");
    const detail::DeviceScope device(options.device);
    device.require("Cuda");
    require_cuda(cudaGetDeviceProperties(&properties_, options.device), "Cuda");
    require_kernels();
    for (StreamResources& resources : resources_) open(resources);
    control_ = static_cast<CudaControl*>(space().allocate(sizeof(CudaControl)));
    space().clear(control_, sizeof(CudaControl));
    set_control(1);
  }
  Cuda(const Cuda&) = delete;
  Cuda& operator=(const Cuda&) = delete;
  ~Cuda() {
    const detail::DriverLock lock(detail::driver());
    const detail::DeviceScope device(options_.device);
    for (StreamResources& resources : resources_) close(resources);
    space().release(control_);
  }

  /// Host memory of the step, for what is recorded.
  [[nodiscard]] Arena<HostMemory>& arena() { return host_; }
  /// Device memory of the step, whose addresses are the same in steps of the same operations.
  [[nodiscard]] Arena<CudaMemory>& device_arena() { return *arena_; }
  /// The most that steps have had at once.
  [[nodiscard]] std::size_t peak_bytes() const {
    return resources_[0].arena.peak_bytes() + resources_[1].arena.peak_bytes();
  }
  /// Seed and training steps so far; what a checkpoint keeps.
  [[nodiscard]] RandomState& random() { return random_; }
  /// Where parameters must live for this backend: the memory of its device.
  [[nodiscard]] const MemorySpace& space() const { return cuda_space(options_.device); }
  /// Of products, as CudaOptions asked for.
  [[nodiscard]] Precision precision() const { return options_.precision; }
  /// Whether products that routing decides by are in float throughout.
  [[nodiscard]] bool routes_exactly() const {
    return options_.precision == Precision::strict || options_.routing == Precision::strict;
  }
  /// The stream that operations run on now.
  [[nodiscard]] cudaStream_t cuda_stream() const { return current_->stream; }
  /// cuBLAS on that stream.
  [[nodiscard]] cublasHandle_t blas() const { return current_->blas; }
  /// In device memory: what kernels read that changes from step to step, and note faults in.
  [[nodiscard]] CudaControl* control() const { return control_; }
  /// Whether Hopper's warpgroup products can be used: on such a GPU, in a program compiled for sm_90a.
  [[nodiscard]] bool has_wgmma() const { return has_wgmma_; }
  /// Whether experts' products are in bf16 from factors to hidden activations: on Hopper, in that precision.
  [[nodiscard]] bool multiplies_halves() const
    requires std::is_same_v<T, float>
  {
    return has_wgmma_ && options_.precision == Precision::bf16;
  }
  /// Streaming multiprocessors of the device.
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

  /// Forgets the results of the step before, and names the random streams anew.
  void begin_step() {
    host_.reset();
    resources_[0].arena.reset();
    random_streams_ = 0;
  }
  /// As begin_step, for a step that trains.
  void begin_training_step() {
    begin_step();
    ++random_.step;
    if (capture_ != nullptr)
      launch_pdl(dim3(1), dim3(1), 0, detail::next_step<>, control_);
    else
      set_control(1);
    differs_ = false;
  }

  /// Says that the step under way is not like the next one, before anything is changed by it: capture() refuses such a
  /// step. Throws ConfigError while it is captured.
  void next_step_differs() {
    if (capture_ != nullptr)
      fail<ConfigError>("capture", "a step that later steps repeat exactly", "one that the next step differs from",
                        "run steps until settled() is true, then capture");
    differs_ = true;
  }
  /// Whether the last training step may be captured: the next one will be like it.
  [[nodiscard]] bool settled() const { return !differs_; }

  /// Captures `steps` calls of step(), which must be whole training steps like one that has run before: nothing runs
  /// now, and nothing may wait for the device, copy from or to the host, or take memory. What the host counts in a step
  /// (random numbers, gradients' flags) is as before afterwards, whether or not step() throws. Throws ConfigError,
  /// CudaError.
  template <class Step>
  [[nodiscard]] CudaGraph capture(const Step& step, int steps = 1) {
    if (steps < 1) fail<ConfigError>("capture", "steps ≥ 1", std::to_string(steps), "1 captures one training step");
    const detail::DriverLock lock(detail::driver());
    const detail::DeviceScope device(options_.device);
    Capture capture(*this);
    for (int i = 0; i < steps; ++i) step();
    return capture.finish();
  }
  /// Launches a captured step at `learning_factor` times the learning rate. Throws ConfigError where that step would
  /// not be the one that was captured: memory that it uses has been freed or has moved, a memory that steps leave to
  /// each other has another shape, gradients wait that it would not add to, or another backend captured it.
  void replay(const CudaGraph& graph, double learning_factor = 1) {
    refuse_in_capture("replay");
    const detail::DriverLock lock(detail::driver());
    require_as_captured(graph);
    const detail::DeviceScope device(options_.device);
    if constexpr (std::is_same_v<T, float>)
      for (const float* first : graph.halves_) refresh_halves(first);
    set_control(learning_factor);
    require_cuda(cudaGraphLaunch(graph.graph_.get(), current_->stream), "replay");
    note_stale_halves(graph);
    random_.step += graph.steps_;
    for (const CudaGraph::Flag& flag : graph.flags_) *flag.flag = flag.after;
  }

  /// Waits for the device. Throws what kernels met since the last call, and CudaError.
  void check() {
    CudaControl control{};
    copy_to_host(&control, control_, sizeof control);
    const std::string value = std::to_string(control.value), row = " in row " + std::to_string(control.at);
    if (control.fault != 0) space().clear(&control_->fault, sizeof control.fault);
    switch (static_cast<CudaFault>(control.fault)) {
      case CudaFault::none: return;
      case CudaFault::label_out_of_range:
        fail<ConfigError>("cross-entropy", "labels from 0 to the number of classes − 1", value + row,
                          "mend the label, or give the model more classes");
      case CudaFault::id_out_of_range:
        fail<ConfigError>("embedding", "ids from 0 to the number of words − 1", value + row,
                          "read the text with the model's vocabulary");
      case CudaFault::image_out_of_range:
        fail<ConfigError>("image set", "numbers from 0 to the number of images − 1", value + row,
                          "take numbers of this set, as CudaOrder does");
      case CudaFault::gradient_not_finite:
        fail<NumericError>("gradient clipping", "finite gradients", control.value == 1 ? "norm nan" : "norm inf",
                           "call ex.require_finite(loss, where) before backward(): it names the operation; or lower "
                           "the learning rate");
    }
  }

  /// Drops, when it goes out of scope, all of this step's results since then: `host` and `device`.
  struct Scope {
    ArenaScope<HostMemory> host;
    ArenaScope<CudaMemory> device;
  };
  /// Drops, when what it returns goes out of scope, all of this step's results since then.
  [[nodiscard]] Scope scope() { return {ArenaScope(host_), ArenaScope(*arena_)}; }

  /// Device memory of this step that kernels may use. Throws CudaError with the step's largest tensor.
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
  /// Sets `count` numbers.
  void fill(T* target, Index count, T value) {
    parallel_for(count, [=] __device__(Index i) { target[i] = value; });
  }
  /// Copies from the host, in the stream's order: another backend that reads it runs after this one's check(). Throws
  /// ConfigError while a step is captured.
  template <class U>
  void write(const View<U>& target, const std::type_identity_t<U>* source) {
    refuse_in_capture("write");
    const detail::DriverLock lock(detail::driver());
    const detail::DeviceScope device(options_.device);
    require_cuda(cudaMemcpyAsync(target.data, source, static_cast<std::size_t>(target.size()) * sizeof(U),
                                 cudaMemcpyHostToDevice, current_->stream),
                 operation_);
    space().changed(target.data);
  }
  /// One number, on the host.
  [[nodiscard]] T value(const T* source) {
    T number{};
    copy_to_host(&number, source, sizeof number);
    check();
    return number;
  }
  /// A copy on the host: waits for the device. Throws as check().
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
  [[nodiscard]] RandomStream random_stream() { return {random_.seed, random_.step, random_streams_++}; }
  template <class Op>
  void run(const Op& op) {
    detail::run_forward(*this, op);
  }
  /// The operation under way, for errors; while it runs, this device is the thread's current one.
  [[nodiscard]] detail::DeviceScope enter(const char* operation) {
    operation_ = operation;
    return detail::DeviceScope(options_.device);
  }

  // For kernels.
  /// Notes what a captured step uses, where it does not go through launch(): pointers to device memory or structs of
  /// them, and the shape of a buffer that steps leave to each other.
  template <class... U>
  void uses(const U&... arguments) {
    if (capture_ != nullptr) (capture_->note(&arguments, sizeof(arguments)), ...);
  }
  /// Notes the shape of a buffer that steps leave to each other: a replay is refused where it has changed since.
  void keeps(const Shape& shape) {
    if (capture_ != nullptr) capture_->keep(shape);
  }
  /// Rounds `count` numbers to bf16.
  void round(const T* source, Index count, __nv_bfloat16* target) {
    parallel_for(count, [=] __device__(Index i) { target[i] = __float2bfloat16_rn(static_cast<float>(source[i])); });
  }
  /// A tensor map (TMA) of matrices in bf16, made once.
  [[nodiscard]] const CUtensorMap& tensor_map(const HalfMatrices& matrices, int box_rows) {
    uses(matrices.data);
    for (const TensorMap& kept : maps_)
      if (kept.matrices == matrices && kept.box_rows == box_rows) return kept.map;
    if (maps_.size() == kMaxMaps) maps_.clear();
    return maps_.emplace_back(TensorMap{detail::encode_tensor_map(matrices, box_rows), matrices, box_rows}).map;
  }
  /// A tensor's numbers in bf16. Of parameters a copy is kept beside them, which updates keep current; it is made anew
  /// where something else has written to them. Others are rounded into the step's memory.
  [[nodiscard]] const __nv_bfloat16* halves_of(const Tensor<T>& tensor) {
    const detail::DriverLock lock(detail::driver());
    const auto [allocation, begin] = detail::DeviceAllocations::all().find(tensor.data);
    if (allocation == nullptr || !allocation->reports_writes) {
      auto* halves = kernel_memory<__nv_bfloat16>(tensor.size());
      round(tensor.data, tensor.size(), halves);
      return halves;
    }
    uses(tensor.data);
    const auto* const first = reinterpret_cast<const T*>(begin);
    if (allocation->halves == nullptr) allocation->halves = space().allocate(allocation->bytes / 2);
    if (capture_ != nullptr && allocation->halves_current) capture_->keep_halves(first);
    refresh_halves(first);
    return static_cast<const __nv_bfloat16*>(allocation->halves) + (tensor.data - first);
  }
  /// The same for an update that writes `count` parameters and their copy: null where there is no copy.
  [[nodiscard]] __nv_bfloat16* updated_halves(const T* parameters, Index count) {
    const detail::DriverLock lock(detail::driver());
    const auto [allocation, begin] = detail::DeviceAllocations::all().find(parameters);
    if (allocation == nullptr || allocation->halves == nullptr) return nullptr;
    if (static_cast<std::size_t>(count) * sizeof(T) == allocation->bytes) allocation->halves_current = true;
    return static_cast<__nv_bfloat16*>(allocation->halves) + (parameters - reinterpret_cast<const T*>(begin));
  }
  /// Lets a kernel's blocks have that much shared memory, beyond the 48 KB that any may have.
  template <class... Parameters>
  void allow_shared(void (*kernel)(Parameters...), std::size_t bytes) {
    const detail::DriverLock lock(detail::driver());
    const detail::DeviceScope device(options_.device);
    require_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
                 operation_);
  }
  /// Starts a kernel on the backend's stream, noting what it uses in a captured step. Throws CudaError.
  template <class... Parameters, class... Arguments>
  void launch(dim3 grid, dim3 block, std::size_t shared, void (*kernel)(Parameters...), Arguments&&... arguments) {
    launch_as(false, grid, block, shared, kernel, std::forward<Arguments>(arguments)...);
  }
  /// Programmatic dependent launch (Hopper and newer), for kernels that begin with detail::pdl_begin(): their blocks
  /// come onto the device while the kernel before still runs, where it has room for them.
  template <class... Parameters, class... Arguments>
  void launch_pdl(dim3 grid, dim3 block, std::size_t shared, void (*kernel)(Parameters...), Arguments&&... arguments) {
    launch_as(has_pdl_ && !std::exchange(waited_, false), grid, block, shared, kernel,
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
    wait_for(resources_[1], resources_[0]);
    {
      const OnSecondStream on_second(*this);
      second();
    }
    first();
    wait_for(resources_[0], resources_[1]);
  }
  /// body(i) for i in [0, count), on the device.
  template <class Body>
  void parallel_for(Index count, const Body& body) {
    if (count > 0)
      launch_pdl(blocks((count + detail::kThreads - 1) / detail::kThreads), dim3(detail::kThreads), 0,
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
                    at_most_blocks((rows + block.y - 1) / block.y));
    launch_pdl(grid, block, 0, detail::grid_kernel<Body>, rows, columns, body);
  }
  /// body(image, y, x, channel), neighbouring channels in neighbouring threads.
  template <class Body>
  void parallel_pixels(Index images, Index height, Index width, Index channels, const Body& body) {
    unsigned across = 1;
    while (across < 64 && across < channels) across *= 2;
    const dim3 block(across, detail::kThreads / across);
    const dim3 grid(static_cast<unsigned>((width + block.y - 1) / block.y), at_most_blocks(height),
                    at_most_blocks(images));
    if (images == 0) return;
    launch_pdl(grid, block, 0, detail::pixel_kernel<Body>, static_cast<int>(images), static_cast<int>(height),
               static_cast<int>(width), static_cast<int>(channels), body);
  }
  /// body(i, team) for i in [0, count): each by a warp, or by a block where a row is long and rows are few.
  template <class Body>
  void parallel_rows(Index count, Index length, const Body& body) {
    if (count == 0) return;
    constexpr Index kTeams = detail::kThreads / detail::kWarp;
    if (length >= 4 * detail::kThreads && count < 64 * static_cast<Index>(multiprocessors()))
      launch_pdl(blocks(count), dim3(detail::kThreads), 0, detail::team_kernel<T, detail::kThreads, Body>, count, body);
    else
      launch_pdl(blocks((count + kTeams - 1) / kTeams), dim3(detail::kThreads), 0,
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
    launch_pdl(dim3(static_cast<unsigned>((columns + detail::kWarp - 1) / detail::kWarp), at_most_blocks(count)),
               dim3(detail::kWarp, detail::kThreads / detail::kWarp), 0, detail::column_kernel<T, Ranges, Value, Store>,
               count, columns, ranges, value, store);
  }

 private:
  static constexpr std::size_t kWorkspace = std::size_t{32} << 20, kMaxMaps = 1024;
  struct TensorMap {
    CUtensorMap map;
    HalfMatrices matrices;
    int box_rows;
  };
  struct Largest {
    std::size_t bytes;
    const char* after;
  };
  /// What kernels that may run beside others need of their own.
  struct StreamResources {
    explicit StreamResources(int device) : arena(device) {}

    cudaStream_t stream = nullptr;
    cublasHandle_t blas = nullptr;
    void* workspace = nullptr;  ///< ours: captured steps allocate nothing, and sums always come in one order
    cudaEvent_t reached = nullptr;
    Arena<CudaMemory> arena;
  };

  void open(StreamResources& resources) {
    require_cuda(cudaStreamCreateWithFlags(&resources.stream, cudaStreamNonBlocking), "Cuda");
    require_cuda(cudaEventCreateWithFlags(&resources.reached, cudaEventDisableTiming), "Cuda");
    require_cuda(cublasCreate(&resources.blas), "Cuda");
    require_cuda(cublasSetStream(resources.blas, resources.stream), "Cuda");
    resources.workspace = space().allocate(kWorkspace);
    require_cuda(cublasSetWorkspace(resources.blas, resources.workspace, kWorkspace), "Cuda");
  }
  void close(StreamResources& resources) {
    (void)cudaStreamSynchronize(resources.stream);
    (void)cublasDestroy(resources.blas);
    (void)cudaEventDestroy(resources.reached);
    (void)cudaStreamDestroy(resources.stream);
    space().release(resources.workspace);
  }
  /// A capture under way. In its end, however it comes, the host's counts are what they were.
  class Capture {
   public:
    explicit Capture(Cuda& cuda) : cuda_(cuda), random_(cuda.random_), differed_(cuda.differs_) {
      cuda_.refuse_in_capture("capture");
      require_cuda(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal), "capture");
      cuda_.capture_ = this;
      detail::DeviceAllocations::all().set_all_current(true);
    }
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;
    ~Capture() {
      if (cuda_.capture_ == this) {
        cudaGraph_t captured = nullptr;
        (void)cudaStreamEndCapture(stream(), &captured);
        if (captured != nullptr) (void)cudaGraphDestroy(captured);
        (void)cudaGetLastError();
        cuda_.capture_ = nullptr;
      }
      detail::DeviceAllocations::all().set_all_current(false);
      cuda_.random_ = random_;
      cuda_.differs_ = differed_;
      cuda_.waited_ = false;
      flags_.put_back();
    }

    [[nodiscard]] CudaGraph finish() {
      cudaGraph_t captured = nullptr;
      cuda_.capture_ = nullptr;
      require_cuda(cudaStreamEndCapture(stream(), &captured), "capture");
      CudaGraph graph;
      cudaGraphExec_t executable = nullptr;
      const cudaError_t status = cudaGraphInstantiate(&executable, captured, 0);
      (void)cudaGraphDestroy(captured);
      require_cuda(status, "capture");
      graph.graph_.reset(executable);
      graph.backend_ = &cuda_;
      graph.steps_ = cuda_.random_.step - random_.step;
      for (const auto& [allocation, address] : memory_) graph.memory_.push_back({address, allocation});
      graph.halves_ = halves_;
      graph.current_ = detail::DeviceAllocations::all().current();
      graph.kept_ = kept_;
      for (const auto& [flag, before] : flags_.entries())
        if (!cuda_.host_.holds(flag)) graph.flags_.push_back({flag, before, *flag});
      return graph;
    }
    /// Looks every word of a kernel's argument up, as a conservative garbage collector does.
    void note(const void* argument, std::size_t bytes) {
      std::uintptr_t word = 0;
      for (std::size_t at = 0; at + sizeof word <= bytes; at += sizeof word) {
        std::memcpy(&word, static_cast<const std::byte*>(argument) + at, sizeof word);
        if (const std::uint64_t allocation = detail::DeviceAllocations::all().number_at(word); allocation != 0)
          memory_.try_emplace(allocation, word);
      }
    }
    void keep(const Shape& shape) { kept_.push_back({&shape, shape}); }
    void keep_halves(const float* first) {
      if (std::find(halves_.begin(), halves_.end(), first) == halves_.end()) halves_.push_back(first);
    }

   private:
    [[nodiscard]] cudaStream_t stream() const { return cuda_.resources_[0].stream; }

    Cuda& cuda_;
    RandomState random_;
    bool differed_;
    detail::FlagJournal flags_;
    std::map<std::uint64_t, std::uintptr_t> memory_;  ///< an address in each allocation
    std::vector<CudaGraph::Kept> kept_;
    std::vector<const float*> halves_;
  };
  /// While it lives, kernels take memory from the second stream's arena, and in a captured step they go to that stream.
  class OnSecondStream {
   public:
    explicit OnSecondStream(Cuda& cuda) : cuda_(cuda), scope_(cuda.resources_[1].arena) {
      cuda_.arena_ = &cuda_.resources_[1].arena;
      if (cuda_.capture_ != nullptr) cuda_.current_ = &cuda_.resources_[1];
    }
    OnSecondStream(const OnSecondStream&) = delete;
    OnSecondStream& operator=(const OnSecondStream&) = delete;
    ~OnSecondStream() {
      cuda_.arena_ = &cuda_.resources_[0].arena;
      cuda_.current_ = &cuda_.resources_[0];
    }

   private:
    Cuda& cuda_;
    ArenaScope<CudaMemory> scope_;
  };
  /// Lets what comes next in one stream wait for all that is now in the other.
  void wait_for(StreamResources& waiting, StreamResources& other) {
    if (capture_ == nullptr) return;
    require_cuda(cudaEventRecord(other.reached, other.stream), operation_);
    require_cuda(cudaStreamWaitEvent(waiting.stream, other.reached, 0), operation_);
    waited_ = true;
  }

  static constexpr Index kColumnChunk = 512;

  template <class... Parameters, class... Arguments>
  void launch_as(bool pdl, dim3 grid, dim3 block, std::size_t shared, void (*kernel)(Parameters...),
                 Arguments&&... arguments) {
    cudaLaunchAttribute attribute{};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared;
    config.stream = current_->stream;
    config.attrs = &attribute;
    config.numAttrs = pdl ? 1 : 0;
    if (capture_ != nullptr) (capture_->note(&arguments, sizeof(arguments)), ...);
    const detail::DriverLock lock(detail::driver());
    const detail::DeviceScope device(options_.device);
    require_cuda(cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...), operation_);
  }

  /// A grid's second and third extents end here; kernels go round from there.
  static unsigned at_most_blocks(Index count) { return static_cast<unsigned>(std::min<Index>(count, 65535)); }
  static dim3 blocks(Index count) { return dim3(static_cast<unsigned>(std::min<Index>(count, Index{1} << 20))); }

  /// Throws CudaError where this program holds no machine code that the device can run.
  void require_kernels() {
    cudaFuncAttributes attributes{};
    const cudaError_t status = cudaFuncGetAttributes(&attributes, detail::features<>);
    has_wgmma_ = status == cudaSuccess && attributes.maxThreadsPerBlock > detail::kThreads;
    has_pdl_ = status == cudaSuccess && attributes.ptxVersion >= 90;
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
    if (options_.precision == Precision::strict) return "float";
    return std::string("float, products in ") + (options_.precision == Precision::tf32 ? "tf32" : "bf16") +
           (routes_exactly() ? ", routing in float" : ", routing in tf32");
  }
  void set_control(double learning_factor) {
    launch_pdl(dim3(1), dim3(1), 0, detail::set_control<>, control_, random_.step, learning_factor);
  }
  /// Makes the copy of an allocation's numbers anew where something else than an update has written to them: in a
  /// captured step at this point of it, else now. Other backends may read it next: then it is there when this returns.
  void refresh_halves(const T* first) {
    auto& allocation = *detail::DeviceAllocations::all().find(first).first;
    if (allocation.halves_current) return;
    round(first, static_cast<Index>(allocation.bytes / sizeof(T)), static_cast<__nv_bfloat16*>(allocation.halves));
    if (capture_ == nullptr) require_cuda(cudaStreamSynchronize(current_->stream), operation_);
    allocation.halves_current = true;
  }
  /// After a replay: of what it may have written to, copies are out of date but those that it keeps.
  void note_stale_halves(const CudaGraph& graph) {
    for (const CudaGraph::Memory& memory : graph.memory_)
      if (std::find(graph.current_.begin(), graph.current_.end(), memory.allocation) == graph.current_.end())
        detail::DeviceAllocations::all().changed(reinterpret_cast<const void*>(memory.address));
  }
  void refuse_in_capture(const char* what) const {
    if (capture_ != nullptr)
      fail<ConfigError>(what, "a call between steps", "one within a captured step",
                        "move it out of the step: a replay runs on the device alone");
  }
  /// Throws ConfigError unless a replay does to all it uses what the captured step would do now.
  void require_as_captured(const CudaGraph& graph) const {
    if (graph.backend_ != this)
      fail<ConfigError>("replay", "a graph that this backend captured", graph ? "another backend's" : "an empty one",
                        "capture the step on the backend that replays it");
    const auto& allocations = detail::DeviceAllocations::all();
    for (const CudaGraph::Memory& memory : graph.memory_)
      if (allocations.number_at(memory.address) != memory.allocation)
        fail<ConfigError>("replay", "the memory that the captured step uses", "some that was freed or has moved since",
                          "keep parameters, data and batch size as they were, or capture again");
    for (const CudaGraph::Kept& kept : graph.kept_)
      if (*kept.now != kept.then)
        fail<ConfigError>("replay", "a post-text memory of shape " + kept.then.text() + ", as it was captured",
                          kept.now->text(), "run one step of the captured batch size first");
    for (const CudaGraph::Flag& flag : graph.flags_)
      if (*flag.flag != flag.before)
        fail<ConfigError>("replay", "gradients as the captured step found them",
                          *flag.flag ? "some that wait for an update" : "none to add to",
                          "end the step before with the optimizer's step(), or call zero_gradients()");
  }
  void copy_to_host(void* target, const void* source, std::size_t bytes) {
    refuse_in_capture("read");
    const detail::DeviceScope device(options_.device);
    require_cuda(cudaMemcpyAsync(target, source, bytes, cudaMemcpyDefault, current_->stream), operation_);
    require_cuda(cudaStreamSynchronize(current_->stream), operation_);
  }

  CudaOptions options_;
  cudaDeviceProp properties_{};
  std::array<StreamResources, 2> resources_;
  StreamResources* current_ = &resources_[0];        ///< where kernels go now
  Arena<CudaMemory>* arena_ = &resources_[0].arena;  ///< where their memory comes from
  CudaControl* control_ = nullptr;
  Arena<HostMemory> host_;
  RandomState random_;
  std::uint32_t random_streams_ = 0;
  Capture* capture_ = nullptr;  ///< under way
  bool differs_ = false, waited_ = false, has_wgmma_ = false, has_pdl_ = false;
  const char* operation_ = "no operation yet";
  Largest largest_{0, "no operation yet"};
  std::vector<TensorMap> maps_;
};

}  // namespace neuroinhib
