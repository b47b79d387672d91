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
#include <utility>
#include <vector>

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/parallel/agreement.hpp>

namespace neuroinhib {

/// How ranks use NCCL.
struct NcclOptions {
  int device = -1;  ///< GPU of this rank; below zero: the one of its rank on the host, or the only one that it sees
  std::chrono::milliseconds deadline = std::chrono::minutes(10);  ///< for the answers of other ranks
  bool shared_devices = false;  ///< lets ranks share a GPU, to try a program out; NCCL 2.30 or later
};

namespace detail {

/// The GPU that a rank takes, from now on the thread's own. Throws ConfigError where there is none for it.
inline int take_device(const NcclOptions& options, int rank, int local_rank) {
  int devices = 0, version = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess) devices = 0;
  int device = options.device >= 0 ? options.device : devices == 1 ? 0 : local_rank;
  if (options.shared_devices && devices > 0) {
    constexpr int kFirst = 23000;
    (void)ncclGetVersion(&version);
    if (version < kFirst)
      fail<ConfigError>("NCCL, shared_devices", "NCCL 2.30 or later, whose ranks may share a GPU",
                        "version number " + std::to_string(version), "start one rank a GPU, or load a newer NCCL");
    ::setenv("NCCL_MULTI_RANK_GPU_ENABLE", "1", /*overwrite=*/1);
    device %= devices;
  }
  if (device >= devices)
    fail<ConfigError>("NCCL on rank " + std::to_string(rank), "GPU " + std::to_string(device),
                      std::to_string(devices) + " GPUs", "start one rank a GPU, and let each see the host's GPUs");
  // Multicast needs rights that containers often lack, and its sums depend on what ran before.
  ::setenv("NCCL_NVLS_ENABLE", "0", /*overwrite=*/0);
  require_cuda(cudaSetDevice(device), "NCCL");
  return device;
}

/// Ranks that send and receive in the order of a stream. Its calls wait for the ranks until the deadline.
class NcclGroup {
 public:
  NcclGroup(int rank, int size, std::chrono::milliseconds deadline)
      : rank_(rank), size_(size), deadline_(deadline), exceptions_(std::uncaught_exceptions()) {}
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;
  ~NcclGroup() {
    if (std::uncaught_exceptions() > exceptions_) abort();
    if (group_ != nullptr) (void)ncclCommDestroy(group_);
  }
  /// Ends what is under way on the device.
  void abort() {
    if (group_ != nullptr) (void)ncclCommAbort(std::exchange(group_, nullptr));
  }

  /// What the ranks of a new group know it by.
  [[nodiscard]] ncclUniqueId make_id() {
    ncclUniqueId id{};
    require(ncclGetUniqueId(&id), "meeting");
    return id;
  }
  /// Collective.
  void meet(const ncclUniqueId& id) {
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;  // so that a rank that never comes can be given up
    settle(ncclCommInitRankConfig(&group_, size_, id, rank_, &config), "meeting");
  }

  void exchange(cudaStream_t stream, const char* operation, std::span<const Parcel> outgoing,
                std::span<const Parcel> incoming) {
    require(ncclGroupStart(), operation);
    for (const Parcel& parcel : incoming)
      if (parcel.bytes > 0)
        require(ncclRecv(parcel.data, parcel.bytes, ncclInt8, parcel.peer, group_, stream), operation);
    for (const Parcel& parcel : outgoing)
      if (parcel.bytes > 0)
        require(ncclSend(parcel.data, parcel.bytes, ncclInt8, parcel.peer, group_, stream), operation);
    settle(ncclGroupEnd(), operation);
  }
  /// Until the stream has done all that it has to.
  void wait(cudaStream_t stream, const char* operation) {
    const auto start = Clock::now();
    for (cudaError_t status; (status = cudaStreamQuery(stream)) != cudaSuccess; give_up_after(start, operation)) {
      if (status != cudaErrorNotReady) require_cuda(status, operation);
      (void)progress(operation);
    }
  }

 private:
  using Clock = std::chrono::steady_clock;

  void require(ncclResult_t status, const char* operation) {
    if (status == ncclSuccess || status == ncclInProgress) return;
    const std::string said = ncclGetLastError(group_);
    abandon(operation, "NCCL to do it", ncclGetErrorString(status) + (said.empty() ? "" : ": " + said),
            "set NCCL_DEBUG=WARN and read what it says");
  }
  /// How far NCCL is with what it was given.
  [[nodiscard]] ncclResult_t progress(const char* operation) {
    ncclResult_t status = ncclSuccess;
    if (group_ != nullptr) require(ncclCommGetAsyncError(group_, &status), operation);
    require(status, operation);
    return status;
  }
  /// Until NCCL has taken what it was given.
  void settle(ncclResult_t status, const char* operation) {
    const auto start = Clock::now();
    for (; status == ncclInProgress; status = progress(operation)) give_up_after(start, operation);
    require(status, operation);
  }
  void give_up_after(Clock::time_point start, const char* operation) {
    if (Clock::now() - start < deadline_) return std::this_thread::yield();
    const auto seconds = std::chrono::duration<double>(deadline_).count();
    abandon(operation, "answers of all ranks within " + number_text(seconds) + " s", "none",
            "see the other ranks' output: one has died, hangs, or does not call this operation");
  }
  [[noreturn]] void abandon(const char* operation, const std::string& expected, const std::string& actual,
                            const std::string& remedy) {
    abort();
    fail<CommunicationError>(
        std::string(operation) + " on rank " + std::to_string(rank_) + " of " + std::to_string(size_), expected, actual,
        remedy);
  }

  int rank_, size_;
  std::chrono::milliseconds deadline_;
  int exceptions_;
  ncclComm_t group_ = nullptr;
};

}  // namespace detail

/// Ranks of one GPU each that talk by NCCL: Ranks<Cuda<float>, Nccl<Mpi>>. `Host` is a communicator of the same ranks
/// that carries host memory, Mpi or Rendezvous: it brings the ranks together, and counts and texts between steps. Make
/// it before the backend, whose device is device().
template <class Host>
class Nccl {
 public:
  /// Collective. Throws ConfigError where a rank has no GPU or two have one, CommunicationError where NCCL refuses.
  explicit Nccl(Host& host, const NcclOptions& options = {})
      : host_(&host),
        device_(detail::take_device(options, host.rank(), host.local_rank())),
        group_(host.rank(), host.size(), options.deadline),
        side_group_(host.rank(), host.size(), options.deadline) {
    if (!options.shared_devices) require_distinct_devices();
    for (detail::NcclGroup* group : {&group_, &side_group_}) group->meet(id_of_first(*group));
  }
  Nccl(const Nccl&) = delete;
  Nccl& operator=(const Nccl&) = delete;
  ~Nccl() {
    for (const Channel& channel : channels_) (void)cudaEventDestroy(channel.event);
    if (side_stream_ != nullptr) (void)cudaStreamDestroy(side_stream_);
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
    together([&] { group_.exchange(cuda.cuda_stream(), operation, outgoing, incoming); });
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
    together([&] { side_group_.exchange(side_stream_, operation, outgoing, incoming); });
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
    together([&] { group_.wait(cuda.cuda_stream(), "wait"); });
  }

 private:
  /// Its last exchange: where it ends, and which of all that were started it is.
  struct Channel {
    cudaEvent_t event = nullptr;
    Index number = 0;
  };

  /// call(), after whose error neither group waits for anybody: the backend's stream may wait for both.
  template <class Call>
  void together(const Call& call) {
    try {
      call();
    } catch (const CommunicationError&) {
      group_.abort();
      side_group_.abort();
      throw;
    }
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
  /// A new group's id, of the first rank on all.
  [[nodiscard]] ncclUniqueId id_of_first(detail::NcclGroup& group) {
    ncclUniqueId id{};
    if (rank() == 0) id = group.make_id();
    const std::string text = gather_texts(*host_, std::string(id.internal, sizeof id.internal)).front();
    std::memcpy(id.internal, text.data(), sizeof id.internal);
    return id;
  }

  Host* host_;
  int device_;
  detail::NcclGroup group_, side_group_;  ///< one for each stream
  cudaStream_t side_stream_ = nullptr;
  std::vector<Channel> channels_;
  Index started_ = 0;
};

}  // namespace neuroinhib
