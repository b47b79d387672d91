#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <neuroinhib/parallel/communicator.hpp>
#include <neuroinhib/version.hpp>

/// What ranks tell one another between steps, by way of the host.
namespace neuroinhib {

/// The texts of all ranks, in their order; every rank calls it with its own.
template <class C>
[[nodiscard]] std::vector<std::string> gather_texts(C& communicator, const std::string& own) {
  const auto ranks = static_cast<std::size_t>(communicator.size());
  const auto self = static_cast<std::size_t>(communicator.rank());
  std::vector<std::string> texts(ranks);
  texts[self] = own;
  // To and from every other rank, the same `bytes` of each.
  const auto exchange = [&](const auto& outgoing, const auto& incoming) {
    std::vector<Parcel> out, in;
    for (std::size_t r = 0; r < ranks; ++r) {
      if (r == self) continue;
      out.push_back(outgoing(r));
      in.push_back(incoming(r));
    }
    Alone host;
    communicator.exchange(host, "gather_texts", out, in);
  };
  std::vector<std::uint64_t> sizes(ranks, own.size());
  std::uint64_t own_size = own.size();
  std::string copy = own;
  exchange([&](std::size_t r) { return Parcel{static_cast<int>(r), &own_size, sizeof own_size}; },
           [&](std::size_t r) { return Parcel{static_cast<int>(r), &sizes[r], sizeof own_size}; });
  for (std::size_t r = 0; r < ranks; ++r)
    if (r != self) texts[r].resize(sizes[r]);
  exchange([&](std::size_t r) { return Parcel{static_cast<int>(r), copy.data(), copy.size()}; },
           [&](std::size_t r) { return Parcel{static_cast<int>(r), texts[r].data(), texts[r].size()}; });
  return texts;
}

/// The numbers of all ranks, one rank after another; every rank calls it with its own.
template <class T, class C>
[[nodiscard]] std::vector<T> gather_numbers(C& communicator, const std::vector<T>& own) {
  const std::string bytes(reinterpret_cast<const char*>(own.data()), own.size() * sizeof(T));
  std::vector<T> all;
  for (const std::string& part : gather_texts(communicator, bytes)) {
    const std::size_t before = all.size();
    all.resize(before + part.size() / sizeof(T));
    if (!part.empty()) std::memcpy(all.data() + before, part.data(), part.size());
  }
  return all;
}

/// Throws ConfigError, on every rank, unless all ranks give the same text: `what` it is, such as "one configuration".
template <class C>
void require_agreement(C& communicator, const std::string& what, const std::string& own, const std::string& remedy) {
  const std::vector<std::string> texts = gather_texts(communicator, own);
  for (std::size_t r = 1; r < texts.size(); ++r)
    if (texts[r] != texts[0])
      fail<ConfigError>("rank " + std::to_string(communicator.rank()) + " of " + std::to_string(communicator.size()),
                        what + " on all ranks",
                        "\"" + texts[0] + "\" on rank 0 and \"" + texts[r] + "\" on rank " + std::to_string(r), remedy);
}

/// Tells all ranks whether one of them failed: `trouble` is this rank's error text, or empty. Throws Error, on every
/// rank, with the first one's; for what one rank does between steps, such as writing a file.
template <class C>
void require_success(C& communicator, const std::string& trouble) {
  const std::vector<std::string> texts = gather_texts(communicator, trouble);
  for (std::size_t r = 0; r < texts.size(); ++r)
    if (!texts[r].empty()) throw Error("rank " + std::to_string(r) + ": " + texts[r]);
}

}  // namespace neuroinhib
