#pragma once

#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <neuroinhib/backend/cuda_capture.cuh>
#include <neuroinhib/backend/cuda_control.cuh>
#include <neuroinhib/backend/cuda_graph.cuh>
#include <neuroinhib/backend/cuda_kernels.cuh>
#include <neuroinhib/backend/cuda_loops.cuh>
#include <neuroinhib/backend/cuda_memory.cuh>
#include <neuroinhib/backend/cuda_stream.cuh>
#include <neuroinhib/backend/cuda_tensor_map.cuh>
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
class Cuda : public CudaLoops<Cuda<T>, T> {
 public:
  using Scalar = T;
  using Backend = Cuda;

  /// Throws CudaError where there is no such device, or none at all.
  explicit Cuda(const CudaOptions& options = {}) : options_(of_a_device(options)), random_{options.seed, 0} {
    const detail::DriverLock lock(detail::driver());
    const detail::DeviceScope device(options.device);
    device.require("Cuda");
    require_cuda(cudaGetDeviceProperties(&properties_, options.device), "Cuda");
    require_kernels();
    control_.assign_zeros(1);
    set_control(1);
  }
  Cuda(const Cuda&) = delete;
  Cuda& operator=(const Cuda&) = delete;

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
  /// Whether products that routing decides by keep float's bits.
  [[nodiscard]] bool routes_exactly() const {
    return options_.precision == Precision::strict || options_.routing == Precision::strict;
  }
  /// The stream that operations run on now.
  [[nodiscard]] cudaStream_t cuda_stream() const { return current_->stream; }
  /// cuBLAS on that stream.
  [[nodiscard]] cublasHandle_t blas() const { return current_->blas; }
  /// In device memory: what kernels read that changes from step to step, and note faults in.
  [[nodiscard]] CudaControl* control() { return control_.data(); }
  [[nodiscard]] const CudaControl* control() const { return control_.data(); }
  /// Whether Hopper's warpgroup products can be used: on such a GPU, in a program compiled for sm_90a.
  [[nodiscard]] bool has_wgmma() const { return has_wgmma_; }
  /// Whether experts' products are in bf16 from factors to hidden activations: on Hopper, in that precision.
  [[nodiscard]] bool multiplies_halves() const
    requires std::is_same_v<T, float>
  {
    return has_wgmma_ && options_.precision == Precision::bf16;
  }
  /// Whether products in ten bits may be of two-byte floats times powers of two: on Hopper, unless products are strict.
  [[nodiscard]] bool multiplies_scaled_halves() const {
    return has_wgmma_ && sizeof(T) == 4 && options_.precision != Precision::strict;
  }
  /// Streaming multiprocessors of the device.
  [[nodiscard]] int multiprocessors() const { return properties_.multiProcessorCount; }
  /// Shared memory that a block can have.
  [[nodiscard]] std::size_t shared_bytes() const { return properties_.sharedMemPerBlockOptin; }

  /// The device, how it computes, and which matrix units this program's machine code uses.
  [[nodiscard]] std::string describe() const {
    const bool hopper = properties_.major == 9;
    return "cuda:" + std::to_string(options_.device) + ", " + properties_.name + ", " + describe_precision() +
           (has_wgmma_ ? multiplies_scaled_halves() ? ", wgmma, attention's factors in two-byte floats" : ", wgmma"
            : hopper   ? ", no wgmma: compile for sm_90a"
                       : "");
  }

  /// Forgets the results of the step before, and names the random streams anew.
  void begin_step() {
    host_.reset();
    for (auto& resources : resources_) resources.arena.reset();
    random_streams_ = 0;
  }
  /// As begin_step, for a step that trains.
  void begin_training_step() {
    begin_step();
    ++random_.step;
    if (capture_ != nullptr) {
      launch_pdl(dim3(1), dim3(1), 0, detail::next_step<>, control());
      capture_->begin_step();
    } else {
      set_control(1);
    }
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
    refuse_in_capture("capture");
    const detail::DriverLock lock(detail::driver());
    const detail::DeviceScope device(options_.device);
    const detail::PutBack random(random_);
    const detail::PutBack differs(differs_);
    const detail::PutBack waited(waited_);
    detail::CudaCapture capture(options_.device, resources_[0].stream);
    const detail::PutBack no_capture(capture_);
    capture_ = &capture;
    for (int i = 0; i < steps; ++i) step();
    CudaGraph graph = capture.finish(host_);
    graph.backend_ = this;
    graph.steps_ = random_.step - random.before().step;
    return graph;
  }
  /// Launches a captured step at `learning_factor` times the learning rate. Throws ConfigError where that step would
  /// not be the one that was captured: memory that it uses has been freed or has moved, a memory that steps leave to
  /// each other has another shape, gradients wait that it would not add to, or another backend captured it.
  void replay(const CudaGraph& graph, double learning_factor = 1) {
    refuse_in_capture("replay");
    keep_room();
    const detail::DriverLock lock(detail::driver());
    graph.require_as_captured(this);
    const detail::DeviceScope device(options_.device);
    if constexpr (std::is_same_v<T, float>)
      for (const float* first : graph.halves_) refresh_halves(first);
    set_control(learning_factor);
    require_cuda(cudaGraphLaunch(graph.graph_.get(), current_->stream), "replay");
    random_.step += graph.steps_;
    graph.leave();
  }

  /// Waits for the device. Throws what kernels met since the last call, and CudaError.
  void check() {
    CudaControl control{};
    copy_to_host(&control, this->control(), sizeof control);
    if (control.fault != 0) space().clear(&this->control()->fault, sizeof control.fault);
    require_no_fault(control);
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
    this->parallel_for(count, [=] __device__(Index i) { target[i] = value; });
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
    note(arguments...);
  }
  /// Notes the shape of a buffer that steps leave to each other: a replay is refused where it has changed since.
  void keeps(const Shape& shape) {
    if (capture_ != nullptr) capture_->keep(shape);
  }
  /// Rounds `count` numbers to bf16.
  void round(const T* source, Index count, __nv_bfloat16* target) {
    this->parallel_for(count,
                       [=] __device__(Index i) { target[i] = __float2bfloat16_rn(static_cast<float>(source[i])); });
  }
  /// A tensor map (TMA) of matrices in two-byte floats, made once.
  [[nodiscard]] const CUtensorMap& tensor_map(const HalfMatrices& matrices, int box_rows) {
    uses(matrices.data);
    return maps_.of(matrices, box_rows);
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
    launch_as(false, 1, grid, block, shared, kernel, std::forward<Arguments>(arguments)...);
  }
  /// Programmatic dependent launch (Hopper and newer), for kernels that begin with detail::pdl_begin(): their blocks
  /// come onto the device while the kernel before still runs, where it has room for them.
  template <class... Parameters, class... Arguments>
  void launch_pdl(dim3 grid, dim3 block, std::size_t shared, void (*kernel)(Parameters...), Arguments&&... arguments) {
    launch_as(true, 1, grid, block, shared, kernel, std::forward<Arguments>(arguments)...);
  }
  /// The same in pairs of blocks that share their memory (clusters of two).
  template <class... Parameters, class... Arguments>
  void launch_pairs(dim3 grid, dim3 block, std::size_t shared, void (*kernel)(Parameters...),
                    Arguments&&... arguments) {
    launch_as(true, 2, grid, block, shared, kernel, std::forward<Arguments>(arguments)...);
  }
  /// Lets what comes next on the backend's stream wait for an event of another one. Throws CudaError.
  void wait_for(cudaEvent_t event) {
    require_cuda(cudaStreamWaitEvent(current_->stream, event, 0), operation_);
    waited_ = true;
  }
  /// Starts the parts of an operation, none of which needs what another writes, as one kernel
  /// (detail::together_kernel).
  template <class First, class... Parts>
  void launch_together(const First& first, const Parts&... parts) {
    static_assert(((Parts::kThreads == First::kThreads) && ...), "blocks of one kernel have one size");
    const auto with_count = [](const auto& part) {
      return detail::PartBlocks<std::remove_cvref_t<decltype(part)>>{part, static_cast<unsigned>(part.blocks())};
    };
    const Index blocks = (first.blocks() + ... + parts.blocks());
    if (blocks == 0) return;
    launch_pdl(dim3(static_cast<unsigned>(blocks)), dim3(First::kThreads),
               std::max({First::kSharedBytes, Parts::kSharedBytes...}),
               detail::together_kernel<First::kThreads, detail::PartBlocks<First>, detail::PartBlocks<Parts>...>,
               with_count(first), with_count(parts)...);
  }
  /// Writes `results` by write(), which needs nothing that comes later. In a captured step it runs beside what comes
  /// next, if it is small, until join() or a kernel that names the results. What it reads must be left as it is until
  /// then.
  template <class Write>
  void write_beside(Index multiply_adds, std::initializer_list<const T*> results, const Write& write) {
    if (multiply_adds > kSmall) return write();
    wait_for(resources_[1], resources_[0]);
    {
      const OnSecondStream on_second(*this);
      const ArenaScope scope(resources_[1].arena);
      write();
    }
    if (capture_ == nullptr) return;
    for (const T* result : results) capture_->begin_writing(result);
  }
  /// What compute() gives, a tensor for which it needs nothing that this step has made. In a captured step it runs
  /// beside what the step has begun with, until join() or a kernel that names the tensor. What it reads must be left as
  /// it is until then. In bf16 it runs in turn, since a weight's copy may be made anew in this very step.
  template <class Compute>
  [[nodiscard]] Tensor<T> compute_ahead(const Compute& compute) {
    if (options_.precision == Precision::bf16) return compute();
    const OnSecondStream on_second(*this);
    if (capture_ == nullptr) return compute();
    capture_->wait_for_beginning(current_->stream);
    waited_ = true;
    const Tensor<T> result = compute();
    capture_->begin_writing(result.data);
    return result;
  }
  /// Lets what comes next wait for all that runs beside.
  void join() {
    if (capture_ != nullptr && capture_->end_writing()) wait_for(resources_[0], resources_[1]);
  }

 private:
  struct Largest {
    std::size_t bytes;
    const char* after;
  };
  /// While it lives, kernels take memory from the second stream's arena, and in a captured step they go to that stream.
  class OnSecondStream {
   public:
    explicit OnSecondStream(Cuda& cuda) : cuda_(cuda) {
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
  };
  /// Lets what comes next in one stream wait for all that is now in the other.
  void wait_for(detail::StreamResources& waiting, detail::StreamResources& other) {
    if (capture_ == nullptr) return;
    require_cuda(cudaEventRecord(other.reached.get(), other.stream), operation_);
    require_cuda(cudaStreamWaitEvent(waiting.stream, other.reached.get(), 0), operation_);
    waited_ = true;
  }

  static constexpr Index kSmall = Index{1} << 29;  ///< multiply-adds

  /// What a kernel uses in a captured step; it waits for what it names and something beside it still writes.
  template <class... Arguments>
  void note(const Arguments&... arguments) {
    if (capture_ == nullptr) return;
    (capture_->note(arguments, operation_), ...);
    if (current_ == &resources_[0] && (capture_->names_written(arguments) || ...)) join();
  }

  /// Whether a kernel that is written for it may overlap with the one before: not after another stream's.
  bool may_overlap(bool written_for_it) { return written_for_it && has_pdl_ && !std::exchange(waited_, false); }
  template <class... Parameters, class... Arguments>
  void launch_as(bool pdl, unsigned cluster, dim3 grid, dim3 block, std::size_t shared, void (*kernel)(Parameters...),
                 Arguments&&... arguments) {
    note(arguments...);
    cudaLaunchAttribute attributes[2]{};
    unsigned count = 0;
    if (may_overlap(pdl)) {
      attributes[count].id = cudaLaunchAttributeProgrammaticStreamSerialization;
      attributes[count++].val.programmaticStreamSerializationAllowed = 1;
    }
    if (cluster > 1) {
      attributes[count].id = cudaLaunchAttributeClusterDimension;
      attributes[count++].val.clusterDim = {cluster, 1, 1};
    }
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared;
    config.stream = current_->stream;
    config.attrs = attributes;
    config.numAttrs = count;
    const detail::DriverLock lock(detail::driver());
    const detail::DeviceScope device(options_.device);
    require_cuda(cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...), operation_);
  }

  static const CudaOptions& of_a_device(const CudaOptions& options) {
    const detail::DriverLock lock(detail::driver());
    int devices = 0;
    require_cuda(cudaGetDeviceCount(&devices), "Cuda");
    if (options.device < 0 || options.device >= devices)
      fail<CudaError>("Cuda", "a device from 0 to " + std::to_string(devices - 1), std::to_string(options.device),
                      "choose one that nvidia-smi lists");
    return options;
  }
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
  /// Waits, before a replay, until the last but two has ended. A launch that finds no room on the device would wait
  /// too, but with the driver's lock, and all other backends with it.
  void keep_room() {
    const cudaEvent_t begun = begun_[replays_++ % begun_.size()].get();
    require_cuda(cudaEventSynchronize(begun), operation_);
    const detail::DriverLock lock(detail::driver());
    const detail::DeviceScope device(options_.device);
    require_cuda(cudaEventRecord(begun, current_->stream), operation_);
  }
  void set_control(double learning_factor) {
    launch_pdl(dim3(1), dim3(1), 0, detail::set_control<>, control(), random_.step, learning_factor);
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
  void refuse_in_capture(const char* what) const {
    if (capture_ != nullptr)
      fail<ConfigError>(what, "a call between steps", "one within a captured step",
                        "move it out of the step: a replay runs on the device alone");
  }
  void copy_to_host(void* target, const void* source, std::size_t bytes) {
    refuse_in_capture("read");
    const detail::DeviceScope device(options_.device);
    require_cuda(cudaMemcpyAsync(target, source, bytes, cudaMemcpyDefault, current_->stream), operation_);
    require_cuda(cudaStreamSynchronize(current_->stream), operation_);
  }

  CudaOptions options_;
  cudaDeviceProp properties_{};
  Storage<CudaControl> control_{space()};
  std::array<detail::StreamResources, 2> resources_{detail::StreamResources(options_.device),
                                                    detail::StreamResources(options_.device)};
  /// Before the last replays.
  std::array<detail::CudaEvent, 2> begun_{detail::CudaEvent(options_.device), detail::CudaEvent(options_.device)};
  std::size_t replays_ = 0;
  detail::StreamResources* current_ = &resources_[0];  ///< where kernels go now
  Arena<CudaMemory>* arena_ = &resources_[0].arena;    ///< where their memory comes from
  Arena<HostMemory> host_;
  RandomState random_;
  std::uint32_t random_streams_ = 0;
  detail::CudaCapture* capture_ = nullptr;  ///< under way
  bool differs_ = false, waited_ = false, has_wgmma_ = false, has_pdl_ = false;
  const char* operation_ = "no operation yet";
  Largest largest_{0, "no operation yet"};
  detail::TensorMaps maps_;
};

}  // namespace neuroinhib
