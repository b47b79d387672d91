#pragma once

#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <neuroinhib/parallel/launch.hpp>
#include <neuroinhib/parallel/nccl.cuh>
#include <neuroinhib/version.hpp>

namespace neuroinhib {

/// Where ranks meet.
struct RendezvousOptions {
  NcclOptions nccl{};           ///< the same as Nccl's
  std::string configuration{};  ///< whatever must be equal on all ranks: model, data, batch size, …
};

/// Ranks without MPI: the processes that torchrun started, or another launcher that sets RANK, WORLD_SIZE, LOCAL_RANK,
/// MASTER_ADDR and MASTER_PORT. They meet on the first rank's host at the port after MASTER_PORT, which is torchrun's
/// own. A communicator of host memory, which travels by way of the GPUs: Ranks<Cuda<float>, Nccl<Rendezvous>>.
class Rendezvous {
 public:
  /// Collective. Throws ConfigError where ranks differ in the library's version or in `configuration`, where a
  /// launcher's variables are missing and where a rank has no GPU, CommunicationError where NCCL refuses, as where two
  /// have one.
  explicit Rendezvous(const RendezvousOptions& options = {})
      : launch_(neuroinhib::launch()),
        device_(detail::take_device(options.nccl, launch_.rank, launch_.local_rank)),
        group_(launch_.rank, launch_.size, options.nccl.deadline) {
    char name[256] = {};
    (void)gethostname(name, sizeof name - 1);
    host_ = name;
    if (size() == 1) return;
    // NCCL's own way of meeting at a known place; the groups that follow have ids that are sent.
    ::setenv("NCCL_COMM_ID", place().c_str(), /*overwrite=*/1);
    group_.meet(group_.make_id());
    ::unsetenv("NCCL_COMM_ID");
    require_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "Rendezvous");
    require_agreement(*this, "one version of the library", NEUROINHIB_VERSION,
                      "build one program and start it everywhere");
    require_agreement(*this, "one configuration", options.configuration, "start every rank with the same options");
  }
  Rendezvous(const Rendezvous&) = delete;
  Rendezvous& operator=(const Rendezvous&) = delete;
  ~Rendezvous() {
    if (stream_ != nullptr) (void)cudaStreamDestroy(stream_);
    CudaMemory::release(device_, room_);
  }

  /// This process, from 0 to size() − 1.
  [[nodiscard]] int rank() const { return launch_.rank; }
  /// How many processes there are.
  [[nodiscard]] int size() const { return launch_.size; }
  /// Its rank among those on this host.
  [[nodiscard]] int local_rank() const { return launch_.local_rank; }
  /// The name of this process's host.
  [[nodiscard]] const std::string& host() const { return host_; }

  /// See Communicator: of host memory, by way of the GPU.
  void exchange(Alone&, const char* operation, std::span<const Parcel> outgoing, std::span<const Parcel> incoming) {
    if (size() == 1) return;
    std::vector<Parcel> out(outgoing.begin(), outgoing.end()), in(incoming.begin(), incoming.end());
    std::size_t bytes = 0;
    for (const auto* parcels : {&out, &in})
      for (const Parcel& parcel : *parcels) bytes += parcel.bytes;
    std::byte* place = room(bytes);
    for (auto* parcels : {&out, &in})
      for (Parcel& parcel : *parcels) {
        parcel.data = place;
        place += parcel.bytes;
      }
    for (std::size_t i = 0; i < out.size(); ++i) copy(outgoing[i].data, out[i].data, out[i].bytes);
    group_.exchange(stream_, operation, out, in);
    group_.wait(stream_, operation);
    for (std::size_t i = 0; i < in.size(); ++i) copy(in[i].data, incoming[i].data, in[i].bytes);
    group_.wait(stream_, operation);
  }

 private:
  /// host:port of the first rank.
  [[nodiscard]] std::string place() const {
    const auto text_of = [&](const char* name) {
      const char* const text = std::getenv(name);
      if (text == nullptr || *text == '\0')
        fail<ConfigError>("rendezvous of " + std::to_string(size()) + " ranks", std::string("a value of ") + name,
                          "none", "start the ranks with torchrun, or use Nccl<Mpi> with mpirun and srun");
      return std::string(text);
    };
    const std::string address = text_of("MASTER_ADDR"), text = text_of("MASTER_PORT");
    int port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc{} || end != text.data() + text.size() || port < 1 || port > 65534)
      fail<ConfigError>("rendezvous", "a port from 1 to 65534 in MASTER_PORT", "\"" + text + "\"",
                        "start the ranks with torchrun, or give the variable a number");
    return address + ":" + std::to_string(port + 1);
  }
  /// Memory of the device for so many bytes.
  [[nodiscard]] std::byte* room(std::size_t bytes) {
    if (bytes > bytes_) {
      CudaMemory::release(device_, std::exchange(room_, nullptr));
      room_ = CudaMemory::allocate(device_, bytes);
      bytes_ = bytes;
    }
    return static_cast<std::byte*>(room_);
  }
  void copy(const void* from, void* to, std::size_t bytes) {
    require_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_), "Rendezvous");
  }

  Launch launch_;
  int device_;
  detail::NcclGroup group_;
  std::string host_;
  cudaStream_t stream_ = nullptr;
  void* room_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace neuroinhib
