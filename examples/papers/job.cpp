#include "job.hpp"

#include <algorithm>
#include <cstdio>

#if PAPERS_HAS_MPI
#include <neuroinhib/parallel/mpi.hpp>
#endif

namespace papers {

namespace {

Job* joined = nullptr;

}  // namespace

#if PAPERS_HAS_MPI

struct Job::Carrier : neuroinhib::Mpi {
  using Mpi::Mpi;
};

Job::Job(const Call& call) {
  if (call.ranks > 1) {
    carrier_ = std::make_unique<Carrier>(neuroinhib::MpiOptions{.configuration = call.command});
    rank_ = carrier_->rank();
    size_ = carrier_->size();
    if (size_ != call.ranks)
      neuroinhib::fail<neuroinhib::ConfigError>("--ranks", std::to_string(call.ranks) + " processes",
                                                std::to_string(size_),
                                                "start them with mpirun -n " + std::to_string(call.ranks));
    if (!leads() && std::freopen("/dev/null", "w", stdout) == nullptr)
      neuroinhib::fail<neuroinhib::IoError>("/dev/null", "a file to write to", "none", "mount /dev");
  }
  joined = this;
}

void Job::carry(const char* operation, std::span<const neuroinhib::Parcel> outgoing,
                std::span<const neuroinhib::Parcel> incoming) {
  neuroinhib::Alone host;
  carrier_->exchange(host, operation, outgoing, incoming);
}

#else

struct Job::Carrier {};

Job::Job(const Call& call) {
  if (call.ranks > 1)
    neuroinhib::fail<neuroinhib::ConfigError>("--ranks", "1: this program was built without MPI",
                                              std::to_string(call.ranks),
                                              "install an MPI (libopenmpi-dev) and build again");
  joined = this;
}

void Job::carry(const char*, std::span<const neuroinhib::Parcel>, std::span<const neuroinhib::Parcel>) {}

#endif

Job::Job() = default;
Job::~Job() {
  if (joined == this) joined = nullptr;
}

bool Job::any(bool own) {
  if (size_ == 1) return own;
  const auto all = neuroinhib::gather_texts(*this, own ? "yes" : "");
  return std::any_of(all.begin(), all.end(), [](const std::string& text) { return !text.empty(); });
}

Job& job() {
  static Job by_itself;
  return joined != nullptr ? *joined : by_itself;
}

}  // namespace papers
