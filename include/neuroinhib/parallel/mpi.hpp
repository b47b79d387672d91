#pragma once

#if !__has_include(<mpi.h>)
#error \
    "neuroinhib/parallel/mpi.hpp: expected mpi.h, found none; install an MPI (libopenmpi-dev) and link neuroinhib::mpi"
#endif
#if !defined(OMPI_SKIP_MPICXX)
#define OMPI_SKIP_MPICXX 1  // bindings that left MPI in 2012
#endif
#if !defined(MPICH_SKIP_MPICXX)
#define MPICH_SKIP_MPICXX 1
#endif
#include <mpi.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <neuroinhib/parallel/agreement.hpp>
#include <neuroinhib/parallel/launch.hpp>
#include <neuroinhib/version.hpp>

namespace neuroinhib {

/// How ranks find and wait for each other.
struct MpiOptions {
  std::chrono::milliseconds deadline = std::chrono::minutes(10);  ///< for the answer of another rank
  std::string configuration{};      ///< whatever must be equal on all ranks: model, data, batch size, …
  MPI_Comm group = MPI_COMM_WORLD;  ///< the ranks that take part
};

/// Ranks that talk by MPI, for backends of the CPU. Initialises MPI unless the program did, and finalises what it
/// initialised; after an error that leaves ranks waiting, the end of this process ends the job. One thread calls it.
class Mpi {
 public:
  /// Collective. Throws ConfigError where ranks differ in the library's version or in `configuration`, and where the
  /// launcher belongs to another MPI.
  explicit Mpi(const MpiOptions& options = {}) : options_(options), exceptions_(std::uncaught_exceptions()) {
    MPI_Comm_dup(options.group, &group_);
    MPI_Comm_set_errhandler(group_, MPI_ERRORS_RETURN);
    MPI_Comm_rank(group_, &rank_);
    MPI_Comm_size(group_, &size_);
    require_launcher();
    require_agreement(*this, "one version of the library", NEUROINHIB_VERSION,
                      "build one program and start it everywhere");
    require_agreement(*this, "one configuration", options.configuration, "start every rank with the same options");
    meet();
  }
  Mpi(const Mpi&) = delete;
  Mpi& operator=(const Mpi&) = delete;
  ~Mpi() {
    if (std::uncaught_exceptions() > exceptions_) session_.failed = true;
    if (!session_.failed) MPI_Comm_free(&group_);
  }

  /// This process, from 0 to size() − 1.
  [[nodiscard]] int rank() const { return rank_; }
  /// Processes in the group.
  [[nodiscard]] int size() const { return size_; }
  /// Its rank among those on this host: the device to take.
  [[nodiscard]] int local_rank() const { return launch_.local_rank; }
  /// The name of this process's host.
  [[nodiscard]] const std::string& host() const { return hosts_[index(rank_)]; }
  /// For people: rank, size and host.
  [[nodiscard]] std::string describe() const {
    return "MPI, rank " + std::to_string(rank_) + " of " + std::to_string(size_) + ", " + names_[index(rank_)];
  }

  /// See Communicator.
  template <class B>
  void exchange(B&, const char* operation, std::span<const Parcel> outgoing, std::span<const Parcel> incoming) {
    begin(exchange_, operation, kTag, outgoing, incoming);
    wait(exchange_, operation);
  }
  /// See SideCommunicator.
  template <class B>
  void start(B&, const char* operation, int channel, std::span<const Parcel> outgoing,
             std::span<const Parcel> incoming) {
    if (index(channel) >= channels_.size()) channels_.resize(index(channel) + 1);
    begin(channels_[index(channel)], operation, kTag + 1 + channel % kChannels, outgoing, incoming);
  }
  template <class B>
  [[nodiscard]] bool arrived(B&, const char* operation, int channel) {
    return advance(channels_[index(channel)], operation);
  }
  template <class B>
  void finish(B&, const char* operation, int channel) {
    wait(channels_[index(channel)], operation);
  }

 private:
  /// MPI's own beginning and end, where the program does not see to them.
  struct Session {
    bool begun_here = false;
    bool failed = false;  ///< others wait for what will not come: the end of this process is to end the job

    Session() {
      int flag = 0;
      MPI_Finalized(&flag);
      if (flag != 0)
        fail<ConfigError>("MPI", "one use of it in a program", "another after its end",
                          "keep one Mpi as long as ranks talk");
      MPI_Initialized(&flag);
      if (flag != 0) return;
      int provided = 0;
      MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
      begun_here = true;
    }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    /// The error's text is not yet printed: the job ends when the process does.
    ~Session() {
      if (failed)
        std::atexit([] { MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE); });
      else if (begun_here)
        MPI_Finalize();
    }
  };
  struct Request {
    MPI_Request request;
    int peer, bytes;
  };
  /// An exchange under way: requests to receive, then to send, of which the first `done` are done.
  struct Exchange {
    std::vector<Request> requests;
    std::size_t received = 0, done = 0;
  };
  static constexpr int kTag = 0;
  static constexpr int kChannels = 32766;                      ///< every MPI has so many tags more
  static constexpr std::size_t kPiece = std::size_t{1} << 30;  ///< MPI counts in int

  static std::size_t index(int rank) { return static_cast<std::size_t>(rank); }

  /// A launcher of another MPI starts every rank as the only one.
  void require_launcher() {
    launch_ = launch();
    int world = 0;
    MPI_Comm_size(MPI_COMM_WORLD, &world);
    if (launch_.size != world && launch_.launcher != "none")
      fail<ConfigError>("MPI", std::to_string(launch_.size) + " ranks, as " + launch_.launcher + " started",
                        std::to_string(world), "start with the launcher of the MPI that the program is linked to");
  }
  /// Notes every rank's host and process, to name them in errors.
  void meet() {
    std::array<char, MPI_MAX_PROCESSOR_NAME> host{};
    int length = 0;
    MPI_Get_processor_name(host.data(), &length);
    hosts_ = gather_texts(*this, {host.data(), static_cast<std::size_t>(length)});
    names_ = gather_texts(*this, std::to_string(getpid()));
    for (int r = 0; r < size_; ++r) {
      const pid_t process = std::atoi(names_[index(r)].c_str());
      const bool near = hosts_[index(r)] == hosts_[index(rank_)] && kill(process, 0) == 0;
      processes_.push_back(near ? process : 0);
      names_[index(r)] = "process " + names_[index(r)] + " on " + hosts_[index(r)];
    }
  }

  template <class F>
  static void for_each_piece(const Parcel& parcel, const F& f) {
    std::size_t at = 0;
    do {
      const std::size_t bytes = std::min(kPiece, parcel.bytes - at);
      f(static_cast<char*>(parcel.data) + at, static_cast<int>(bytes));
      at += bytes;
    } while (at < parcel.bytes);
  }
  void begin(Exchange& of, const char* operation, int tag, std::span<const Parcel> outgoing,
             std::span<const Parcel> incoming) {
    of.requests.clear();
    of.done = 0;
    const auto post = [&](std::span<const Parcel> parcels, auto* function) {
      for (const Parcel& parcel : parcels)
        for_each_piece(parcel, [&](char* data, int bytes) {
          Request& request = of.requests.emplace_back(Request{MPI_REQUEST_NULL, parcel.peer, bytes});
          check(operation, function(data, bytes, MPI_BYTE, parcel.peer, tag, group_, &request.request));
        });
    };
    post(incoming, MPI_Irecv);
    of.received = of.requests.size();
    post(outgoing, MPI_Isend);
  }
  /// Looks what has been done since; tells whether it is all.
  bool advance(Exchange& of, const char* operation) {
    while (of.done < of.requests.size() && finished(operation, of.requests[of.done], of.done < of.received)) ++of.done;
    return of.done == of.requests.size();
  }
  /// Until all is done.
  void wait(Exchange& of, const char* operation) {
    using Clock = std::chrono::steady_clock;
    const auto start = Clock::now();
    auto look = start + std::chrono::seconds(1);
    for (int idle = 0;; ++idle) {
      const std::size_t before = of.done;
      if (advance(of, operation)) return;
      if (of.done > before) idle = 0;
      if (idle < 200) {
        std::this_thread::yield();
        continue;
      }
      std::this_thread::sleep_for(std::chrono::microseconds(idle < 2000 ? 20 : 200));
      const auto now = Clock::now();
      const int peer = of.requests[of.done].peer;
      if (now >= look) {
        require_living(operation, peer);
        look = now + std::chrono::seconds(1);
      }
      if (now - start >= options_.deadline) give_up(operation, peer);
    }
  }
  [[nodiscard]] bool finished(const char* operation, Request& of, bool receives) {
    int flag = 0;
    MPI_Status status;
    const int code = MPI_Test(&of.request, &flag, &status);
    if (code != MPI_SUCCESS && error_class(code) == MPI_ERR_TRUNCATE) wrong_size(operation, of, "more");
    check(operation, code);
    if (flag == 0) return false;
    int bytes = of.bytes;
    if (receives) MPI_Get_count(&status, MPI_BYTE, &bytes);
    if (bytes != of.bytes) wrong_size(operation, of, std::to_string(bytes));
    return true;
  }

  static int error_class(int code) {
    int result = 0;
    MPI_Error_class(code, &result);
    return result;
  }
  void check(const char* operation, int code) {
    if (code == MPI_SUCCESS) return;
    std::array<char, MPI_MAX_ERROR_STRING> text{};
    int length = 0;
    MPI_Error_string(code, text.data(), &length);
    stop(operation, "MPI to do it", std::string(text.data(), static_cast<std::size_t>(length)),
         "look at the other ranks' output and at the network");
  }
  [[noreturn]] void wrong_size(const char* operation, const Request& of, const std::string& actual) {
    stop(operation, std::to_string(of.bytes) + " bytes from rank " + std::to_string(of.peer), actual,
         "have all ranks call the same operations in the same order, with extents and counts that match");
  }
  /// Throws where the process of a rank on this host is gone.
  void require_living(const char* operation, int peer) {
    const pid_t process = processes_.empty() ? 0 : processes_[index(peer)];
    if (process != 0 && kill(process, 0) != 0 && errno == ESRCH)
      stop(operation, "an answer from " + name_of(peer), "none, since that process has ended",
           "see why it ended, and resume from the last checkpoint");
  }
  [[noreturn]] void give_up(const char* operation, int peer) {
    const auto seconds = std::chrono::duration<double>(options_.deadline).count();
    stop(operation, "an answer from " + name_of(peer) + " within " + number_text(seconds) + " s", "none",
         "see whether that rank hangs, is slow (then raise MpiOptions::deadline) or does not call this operation");
  }
  [[nodiscard]] std::string name_of(int peer) const {
    return "rank " + std::to_string(peer) + (names_.empty() ? "" : " (" + names_[index(peer)] + ")");
  }
  [[noreturn]] void stop(const char* operation, const std::string& expected, const std::string& actual,
                         const std::string& remedy) {
    session_.failed = true;
    fail<CommunicationError>(
        std::string(operation) + " on rank " + std::to_string(rank_) + " of " + std::to_string(size_), expected, actual,
        remedy);
  }

  MpiOptions options_;
  int exceptions_;
  Session session_;
  MPI_Comm group_ = MPI_COMM_NULL;
  int rank_ = 0, size_ = 1;
  Launch launch_;
  std::vector<std::string> hosts_, names_;  ///< of every rank
  std::vector<pid_t> processes_;            ///< of ranks on this host; 0 elsewhere
  Exchange exchange_;
  std::vector<Exchange> channels_;
};

}  // namespace neuroinhib
