#pragma once

#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/parallel/agreement.hpp>
#include <neuroinhib/parallel/ranks.hpp>

#include "call.hpp"

namespace papers {

/// The processes that train each run of a call together: this one by itself, or the ranks that mpirun started. A
/// Communicator that keeps MPI out of all other units. There is one at a time.
class Job {
 public:
  /// Joins the ranks that the call asks for; those behind the first print nothing from here on. Throws ConfigError
  /// where there are others, or another call, and where the program was built without MPI.
  explicit Job(const Call& call);
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  ~Job();

  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] int size() const { return size_; }
  /// Whether this rank has the report and writes files.
  [[nodiscard]] bool leads() const { return rank_ == 0; }
  /// Where a run tells how far it is: standard error; of ranks behind the first nowhere, as all that they print.
  [[nodiscard]] std::FILE* progress() const { return leads() ? stderr : stdout; }
  /// See neuroinhib::Communicator.
  template <class B>
  void exchange(B&, const char* operation, std::span<const neuroinhib::Parcel> outgoing,
                std::span<const neuroinhib::Parcel> incoming) {
    if (size_ > 1) carry(operation, outgoing, incoming);
  }
  /// What the first rank says, on all of them; each calls it.
  [[nodiscard]] std::string of_first(const std::string& own) {
    return size_ > 1 ? neuroinhib::gather_texts(*this, own).front() : own;
  }
  /// Whether one of the ranks says yes; each asks.
  [[nodiscard]] bool any(bool own);

 private:
  friend Job& job();
  struct Carrier;

  Job();
  void carry(const char* operation, std::span<const neuroinhib::Parcel> outgoing,
             std::span<const neuroinhib::Parcel> incoming);

  std::unique_ptr<Carrier> carrier_;
  int rank_ = 0, size_ = 1;
};

/// This process's job: by itself where no other has been made.
[[nodiscard]] Job& job();

/// What runs on the CPU compute with: a process by itself, or one of its job's ranks.
using Processor = neuroinhib::Ranks<neuroinhib::Cpu<float>, Job>;

/// Of a batch's rows those that a backend computes with: on several ranks this one's.
template <class B>
[[nodiscard]] std::span<const Index> own_part(B& backend, std::span<const Index> batch) {
  const neuroinhib::Share share = neuroinhib::share_batch(backend, std::ssize(batch));
  return batch.subspan(static_cast<std::size_t>(share.begin), static_cast<std::size_t>(share.count()));
}

/// A batch's numbers on the host, of all ranks in their order: on each of them those of the whole batch.
template <class B, class T>
[[nodiscard]] auto read_all(B& backend, const neuroinhib::View<T>& own) {
  auto numbers = backend.read(own);
  if constexpr (!neuroinhib::kAlone<B>)
    if (!neuroinhib::alone(backend)) numbers = neuroinhib::gather_numbers(backend.communicator(), numbers);
  return numbers;
}

}  // namespace papers
