#pragma once

#if !__has_include(<nccl.h>)
#error \
    "neuroinhib/parallel/nccl.cuh: expected nccl.h, found none; install NCCL 2.18 or later (libnccl-dev) and link nccl"
#endif
#include <nccl.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/parallel/agreement.hpp>

namespace neuroinhib {

/// How ranks use NCCL.
struct NcclOptions {
  int device = -1;  ///< GPU of this rank; below zero: the one of its rank on the host, or the only one that it sees
  std::chrono::milliseconds deadline = std::chrono::minutes(10);  ///< for wait()
};

/// Ranks of one GPU each that talk by NCCL: Ranks<Cuda<float>, Nccl<Mpi>>. `Host` is a communicator of the same ranks
/// that carries host memory: it brings the ranks together, and counts and texts between steps. Make it before the
/// backend, whose device is device(). Compiled here; run nowhere yet.
template <class Host>
class Nccl {
 public:
  /// Collective. Throws ConfigError where a rank has no GPU or two have one, CommunicationError where NCCL refuses.
  explicit Nccl(Host& host, const NcclOptions& options = {})
      : host_(&host), options_(options), exceptions_(std::uncaught_exceptions()), device_(own_device()) {
    require_distinct_devices();
    // Multicast needs rights that containers often lack, and its sums depend on what ran before.
    ::setenv("NCCL_NVLS_ENABLE", "0", /*overwrite=*/0);
    require_cuda(cudaSetDevice(device_), "NCCL");
    ncclUniqueId id{};
    if (rank() == 0) require(ncclGetUniqueId(&id), "meeting");
    const std::string text = gather_texts(host, std::string(id.internal, rank() == 0 ? sizeof id.internal : 0))[0];
    std::memcpy(id.internal, text.data(), sizeof id.internal);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;  // so that a rank that never comes can be given up
    settle(ncclCommInitRankConfig(&group_, size(), id, rank(), &config), "meeting");
    settle(ncclCommSplit(group_, 0, rank(), &side_group_, &config), "meeting");
  }
  Nccl(const Nccl&) = delete;
  Nccl& operator=(const Nccl&) = delete;
  ~Nccl() {
    for (const Channel& channel : channels_) (void)cudaEventDestroy(channel.event);
    if (side_stream_ != nullptr) (void)cudaStreamDestroy(side_stream_);
    const bool failed = std::uncaught_exceptions() > exceptions_;
    for (const ncclComm_t group : {side_group_, group_})
      if (group != nullptr) (void)(failed ? ncclCommAbort(group) : ncclCommDestroy(group));
  }

  /// This process among all, from 0.
  [[nodiscard]] int rank() const { return host_->rank(); }
  /// How many ranks there are.
  [[nodiscard]] int size() const { return host_->size(); }
  /// The name of this process's host.
  [[nodiscard]] const std::string& host() const { return host_->host(); }
  /// Its GPU, for CudaOptions::device.
  [[nodiscard]] int device() const { return device_; }

  /// See Communicator: on the backend's stream, in the order of its operations.
  template <class T>
  void exchange(Cuda<T>& cuda, const char* operation, std::span<const Parcel> outgoing,
                std::span<const Parcel> incoming) {
    send(group_, cuda.cuda_stream(), operation, outgoing, incoming);
  }
  /// See SideCommunicator: on a stream of its own, behind what the backend's has to do so far.
  template <class T>
  void start(Cuda<T>& cuda, const char* operation, int channel, std::span<const Parcel> outgoing,
             std::span<const Parcel> incoming) {
    const auto at = static_cast<std::size_t>(channel);
    if (side_stream_ == nullptr) require_cuda(cudaStreamCreateWithFlags(&side_stream_, cudaStreamNonBlocking), "NCCL");
    while (channels_.size() <= at)
      require_cuda(cudaEventCreateWithFlags(&channels_.emplace_back().event, cudaEventDisableTiming), "NCCL");
    Channel& of = channels_[at];
    require_cuda(cudaEventRecord(of.event, cuda.cuda_stream()), operation);
    require_cuda(cudaStreamWaitEvent(side_stream_, of.event, 0), operation);
    send(side_group_, side_stream_, operation, outgoing, incoming);
    require_cuda(cudaEventRecord(of.event, side_stream_), operation);
    of.number = ++started_;
  }
  /// The host does not look: what set out before the last two is taken for over, so that all ranks go on at the same
  /// points of a step, captured or not.
  template <class T>
  [[nodiscard]] bool arrived(Cuda<T>&, const char*, int channel) const {
    return started_ - channels_[static_cast<std::size_t>(channel)].number >= 2;
  }
  /// The backend's stream waits.
  template <class T>
  void finish(Cuda<T>& cuda, const char*, int channel) {
    cuda.wait_for(channels_[static_cast<std::size_t>(channel)].event);
  }
  /// The same for host memory.
  void exchange(Alone& alone, const char* operation, std::span<const Parcel> outgoing,
                std::span<const Parcel> incoming) {
    host_->exchange(alone, operation, outgoing, incoming);
  }

  /// In the device's memory, on the backend's stream.
  template <class T>
  void copy(Cuda<T>& cuda, const void* from, void* to, std::size_t bytes) {
    require_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, cuda.cuda_stream()), "NCCL");
  }

  /// Waits for the backend's stream. Throws CommunicationError where ranks have not answered at the deadline: call it
  /// where the host waits anyway, before check(), read() and value(), which have none.
  template <class T>
  void wait(Cuda<T>& cuda) {
    const auto start = std::chrono::steady_clock::now();
    for (;;) {
      const cudaError_t status = cudaStreamQuery(cuda.cuda_stream());
      if (status == cudaSuccess) return;
      if (status != cudaErrorNotReady) require_cuda(status, "NCCL");
      ncclResult_t progress = ncclSuccess;
      require(ncclCommGetAsyncError(group_, &progress), "wait");
      require(progress, "wait");
      give_up_after(start, "wait");
    }
  }

 private:
  /// Its last exchange: where it ends, and which of all that were started it is.
  struct Channel {
    cudaEvent_t event = nullptr;
    Index number = 0;
  };

  [[nodiscard]] int own_device() const {
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess) devices = 0;
    const int device = options_.device >= 0 ? options_.device : devices == 1 ? 0 : host_->local_rank();
    if (device >= devices)
      fail<ConfigError>("NCCL on rank " + std::to_string(rank()), "GPU " + std::to_string(device),
                        std::to_string(devices) + " GPUs", "start one rank a GPU, and let each see the host's GPUs");
    return device;
  }
  /// Throws ConfigError, on every rank, where two have one GPU.
  void require_distinct_devices() {
    cudaDeviceProp properties{};
    require_cuda(cudaGetDeviceProperties(&properties, device_), "NCCL");
    const std::vector<std::string> all =
        gather_texts(*host_, std::string(properties.uuid.bytes, sizeof properties.uuid.bytes));
    for (std::size_t r = 1; r < all.size(); ++r)
      if (const auto other = std::find(all.begin(), all.end(), all[r]) - all.begin();
          other < static_cast<std::ptrdiff_t>(r))
        fail<ConfigError>("NCCL", "a GPU for each rank",
                          "one for ranks " + std::to_string(other) + " and " + std::to_string(r),
                          "start one rank a GPU, and leave NcclOptions::device to the launcher's local rank");
  }

  void send(ncclComm_t group, cudaStream_t stream, const char* operation, std::span<const Parcel> outgoing,
            std::span<const Parcel> incoming) {
    require(ncclGroupStart(), operation);
    for (const Parcel& parcel : incoming)
      if (parcel.bytes > 0)
        require(ncclRecv(parcel.data, parcel.bytes, ncclInt8, parcel.peer, group, stream), operation);
    for (const Parcel& parcel : outgoing)
      if (parcel.bytes > 0)
        require(ncclSend(parcel.data, parcel.bytes, ncclInt8, parcel.peer, group, stream), operation);
    settle(ncclGroupEnd(), operation);
  }

  void require(ncclResult_t status, const char* operation) {
    if (status == ncclSuccess || status == ncclInProgress) return;
    abandon(operation, "NCCL to do it", ncclGetErrorString(status), ncclGetLastError(group_));
  }
  /// Until NCCL has taken what it was given.
  void settle(ncclResult_t status, const char* operation) {
    const auto start = std::chrono::steady_clock::now();
    for (; status == ncclInProgress; give_up_after(start, operation)) {
      status = ncclSuccess;
      for (const ncclComm_t group : {group_, side_group_}) {
        ncclResult_t progress = ncclSuccess;
        if (group != nullptr) require(ncclCommGetAsyncError(group, &progress), operation);
        require(progress, operation);
        if (progress == ncclInProgress) status = progress;
      }
    }
    require(status, operation);
  }
  void give_up_after(std::chrono::steady_clock::time_point start, const char* operation) {
    if (std::chrono::steady_clock::now() - start < options_.deadline) return std::this_thread::yield();
    const auto seconds = std::chrono::duration<double>(options_.deadline).count();
    abandon(operation, "answers of all ranks within " + number_text(seconds) + " s", "none",
            "see the other ranks' output: one has died, hangs, or does not call this operation");
  }
  [[noreturn]] void abandon(const char* operation, const std::string& expected, const std::string& actual,
                            const std::string& remedy) {
    for (ncclComm_t* group : {&side_group_, &group_})
      if (*group != nullptr) (void)ncclCommAbort(std::exchange(*group, nullptr));
    fail<CommunicationError>(
        std::string(operation) + " on rank " + std::to_string(rank()) + " of " + std::to_string(size()), expected,
        actual, remedy.empty() ? "set NCCL_DEBUG=WARN and read what it says" : remedy);
  }

  Host* host_;
  NcclOptions options_;
  int exceptions_, device_;
  ncclComm_t group_ = nullptr, side_group_ = nullptr;  ///< one for each stream
  cudaStream_t side_stream_ = nullptr;
  std::vector<Channel> channels_;
  Index started_ = 0;
};

}  // namespace neuroinhib
