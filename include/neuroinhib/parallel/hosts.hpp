#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include <neuroinhib/parallel/agreement.hpp>

namespace neuroinhib {

/// How ranks lie on hosts.
struct HostsOptions {
  int ranks = 0;  ///< of each host, one host after another; 0: as the names say that the communicator gives
};

/// Exchanges in two hops: Ranks<Cpu<float>, Hosts<Mpi>>. What a rank has for number l of another host goes to number l
/// of its own host first, which sends what its host has for that rank in one piece: one message between two hosts in
/// the place of as many as a host has ranks, for bytes that are sent once more within the host. Results have the same
/// bits. One parcel at a time from each rank to each other.
template <class C>
class Hosts {
 public:
  /// Collective; `communicator` must outlive this. Throws ConfigError unless every host has as many ranks, numbered one
  /// after another.
  explicit Hosts(C& communicator, const HostsOptions& options = {})
      : communicator_(&communicator), ranks_(options.ranks > 0 ? options.ranks : ranks_of_hosts()) {
    require_option("hosts", "ranks", ranks_, size() % ranks_ == 0,
                   "a divisor of the " + std::to_string(size()) + " ranks", "start as many ranks on each host");
    own_ = {rank() / ranks_, rank() % ranks_};
  }

  /// This process among all.
  [[nodiscard]] int rank() const { return communicator_->rank(); }
  /// How many ranks there are.
  [[nodiscard]] int size() const { return communicator_->size(); }
  /// How many hosts there are.
  [[nodiscard]] int hosts() const { return size() / ranks_; }

  /// See Communicator. Throws ConfigError for two parcels to one rank.
  template <class B>
  void exchange(B& backend, const char* operation, std::span<const Parcel> outgoing, std::span<const Parcel> incoming) {
    if (hosts() == 1 || ranks_ == 1) return communicator_->exchange(backend, operation, outgoing, incoming);
    sort(operation, outgoing, out_);
    sort(operation, incoming, in_);
    tell_sizes(operation);
    [[maybe_unused]] const auto scope = scope_of(backend);
    within_host(backend, operation);
    between_hosts(backend, operation);
  }

 private:
  struct Place {
    int host = 0, number = 0;  ///< which of the host's ranks
  };

  [[nodiscard]] int rank_at(const Place& place) const { return place.host * ranks_ + place.number; }
  [[nodiscard]] std::size_t at(int host, int number) const { return static_cast<std::size_t>(rank_at({host, number})); }
  /// f(host, number) for all ranks, host by host.
  template <class F>
  void for_each_rank(const F& f) const {
    for (int host = 0; host < hosts(); ++host)
      for (int number = 0; number < ranks_; ++number) f(host, number);
  }

  /// Throws ConfigError where ranks of a host are not numbered one after another, or hosts differ in their number.
  [[nodiscard]] int ranks_of_hosts() {
    const std::vector<std::string> names = gather_texts(*communicator_, communicator_->host());
    std::size_t first = 1;
    while (first < names.size() && names[first] == names[0]) ++first;
    for (std::size_t r = 0; r < names.size(); ++r)
      if (names[r] != names[r / first * first] || (r >= first && names[r] == names[r - first]))
        fail<ConfigError>("hosts", "as many ranks on each host, numbered one after another",
                          "rank " + std::to_string(r) + " on " + names[r],
                          "start with a mapping by slot, or say in HostsOptions::ranks how many each has");
    return static_cast<int>(first);
  }
  /// The parcels by their peers.
  void sort(const char* operation, std::span<const Parcel> parcels, std::vector<Parcel>& by_peer) const {
    by_peer.assign(static_cast<std::size_t>(size()), Parcel{-1, nullptr, 0});
    for (const Parcel& parcel : parcels) {
      Parcel& kept = by_peer[static_cast<std::size_t>(parcel.peer)];
      if (kept.peer >= 0)
        fail<ConfigError>(operation, "one parcel to each rank", "two to rank " + std::to_string(parcel.peer),
                          "put them together, or exchange without Hosts");
      kept = parcel;
    }
  }
  /// Within the host: how many bytes each of its ranks has for this number of every host.
  void tell_sizes(const char* operation) {
    passing_.assign(static_cast<std::size_t>(size()), 0);
    told_.assign(static_cast<std::size_t>(size()), 0);
    begin_hop();
    const std::size_t bytes = static_cast<std::size_t>(hosts()) * sizeof(std::uint64_t);
    for (int number = 0; number < ranks_; ++number) {
      std::uint64_t *const mine = told_.data() + number * hosts(), *const theirs = passing_.data() + number * hosts();
      for (int host = 0; host < hosts(); ++host) mine[host] = out_[at(host, number)].bytes;
      if (number == own_.number) {
        std::copy_n(mine, hosts(), theirs);
        continue;
      }
      sent_.push_back({rank_at({own_.host, number}), mine, bytes});
      received_.push_back({rank_at({own_.host, number}), theirs, bytes});
    }
    Alone host;
    communicator_->exchange(host, operation, sent_, received_);
  }
  /// Of bytes that rank `number` of this host has for this number of `host`.
  [[nodiscard]] std::size_t passing(int host, int number) const {
    return passing_[static_cast<std::size_t>(number * hosts() + host)];
  }

  /// To each number of this host: what is for itself, and what it sends on. What this one is to send on to a host lies
  /// in one piece then: onwards_.
  template <class B>
  void within_host(B& backend, const char* operation) {
    std::size_t all = 0;
    for_each_rank([&](int host, int number) { all += host == own_.host ? 0 : passing(host, number); });
    std::byte* place = memory(backend, all, sent_on_);
    begin_hop();
    onwards_.clear();
    for_each_rank([&](int host, int number) {
      const Place peer{own_.host, number};
      const Parcel& mine = out_[at(host, number)];
      const std::size_t bytes = passing(host, number);
      if (number != own_.number) {
        sent_.push_back({rank_at(peer), mine.data, mine.bytes});
        const Parcel& direct = in_[at(host, number)];
        received_.push_back(host == own_.host ? Parcel{rank_at(peer), direct.data, direct.bytes}
                                              : Parcel{rank_at(peer), place, bytes});
      } else if (host != own_.host) {
        copy(backend, mine.data, place, bytes);
      }
      if (host == own_.host) return;
      if (number == 0) onwards_.push_back({rank_at({host, own_.number}), place, 0});
      onwards_.back().bytes += bytes;
      place += bytes;
    });
    communicator_->exchange(backend, operation, sent_, received_);
  }
  /// To this number of every other host.
  template <class B>
  void between_hosts(B& backend, const char* operation) {
    std::size_t all = 0;
    for_each_rank([&](int host, int number) { all += host == own_.host ? 0 : in_[at(host, number)].bytes; });
    std::byte *const first = memory(backend, all, arrived_), *place = first;
    begin_hop();
    for_each_rank([&](int host, int number) {
      if (host == own_.host) return;
      if (number == 0) received_.push_back({rank_at({host, own_.number}), place, 0});
      received_.back().bytes += in_[at(host, number)].bytes;
      place += in_[at(host, number)].bytes;
    });
    communicator_->exchange(backend, operation, onwards_, received_);
    place = first;
    for_each_rank([&](int host, int number) {
      if (host == own_.host) return;
      const Parcel& target = in_[at(host, number)];
      copy(backend, place, target.data, target.bytes);
      place += target.bytes;
    });
  }
  void begin_hop() {
    sent_.clear();
    received_.clear();
  }

  /// What the backend computes in, of a step's kernel; the host's, without a backend.
  template <class B>
  static std::byte* memory(B& backend, std::size_t bytes, std::vector<std::byte>& of_host) {
    if constexpr (requires { backend.template kernel_memory<std::byte>(0); }) {
      return backend.template kernel_memory<std::byte>(static_cast<Index>(bytes));
    } else {
      of_host.resize(bytes);
      return of_host.data();
    }
  }
  template <class B>
  static auto scope_of(B& backend) {
    if constexpr (requires { backend.scope(); })
      return backend.scope();
    else
      return 0;
  }
  template <class B>
  void copy(B& backend, const void* from, void* to, std::size_t bytes) {
    if (bytes == 0) return;
    if constexpr (requires { communicator_->copy(backend, from, to, bytes); })
      communicator_->copy(backend, from, to, bytes);
    else
      std::memcpy(to, from, bytes);
  }

  C* communicator_;
  int ranks_;
  Place own_;
  std::vector<Parcel> out_, in_;                   ///< of an exchange, by peer
  std::vector<Parcel> sent_, received_, onwards_;  ///< of a hop
  std::vector<std::uint64_t> told_, passing_;      ///< bytes, [numbers, hosts]
  std::vector<std::byte> sent_on_, arrived_;       ///< of the host's memory
};

}  // namespace neuroinhib
