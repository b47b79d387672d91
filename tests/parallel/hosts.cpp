#include <neuroinhib/parallel/hosts.hpp>

#include "ranks.hpp"

using namespace neuroinhib;
using testing::check_error;
using testing::mark_of;
using testing::world;

namespace {

/// What a rank gets in some exchanges, of numbers for which the ranks have marks.
template <class C>
std::vector<double> exchanged(C& communicator) {
  Ranks<Cpu<double>, C> cpu(communicator);
  const Index ranks = cpu.size(), own = cpu.rank();
  std::vector<double> numbers, result;
  for (Index i = 0; i < 3000; ++i) numbers.push_back(mark_of(own, i));
  const auto keep = [&](const Tensor<double>& y) { result.insert(result.end(), y.begin(), y.end()); };
  keep(all_reduce(cpu, tensor(numbers, {3000})));
  keep(all_gather(cpu, tensor(numbers, {1000, 3})));
  std::vector<Index> sent;  // r + 2 own modulo 3 rows for rank r: none for some
  Index rows = 0;
  for (Index r = 0; r < ranks; ++r) rows += sent.emplace_back((r + 2 * own) % 3);
  std::vector<double> some(numbers.begin(), numbers.begin() + 2 * rows);
  const auto received = exchange_counts(cpu, sent);
  keep(all_to_all(cpu, tensor(some, {rows, 2}), sent, received));
  for (const std::string& text : gather_texts(communicator, std::string(static_cast<std::size_t>(own), 'x')))
    result.push_back(static_cast<double>(text.size()));
  return result;
}

/// Counts messages to ranks of other hosts, `ranks` to a host.
struct Counted : Mpi {
  using Mpi::Mpi;
  int ranks = 1, messages = 0;

  template <class B>
  void exchange(B& backend, const char* operation, std::span<const Parcel> out, std::span<const Parcel> in) {
    for (const Parcel& parcel : out) messages += parcel.peer / ranks != rank() / ranks;
    Mpi::exchange(backend, operation, out, in);
  }
};

}  // namespace

TEST_CASE("exchanges in two hops give the same bits, with fewer messages between hosts") {
  const auto expected = exchanged(*world());
  for (int ranks = 1; ranks <= world()->size(); ranks *= 2) {
    Hosts<Mpi> hosts(*world(), {.ranks = ranks});
    CHECK(hosts.hosts() == world()->size() / ranks);
    CHECK(exchanged(hosts) == expected);
  }
  CHECK(Hosts<Mpi>(*world()).hosts() == 1);  // as the names of the hosts say
  Counted flat, two;
  flat.ranks = two.ranks = 2;
  Hosts<Counted> hosts(two, {.ranks = 2});
  Ranks<Cpu<double>, Counted> one_hop(flat);
  Ranks<Cpu<double>, Hosts<Counted>> two_hops(hosts);
  flat.messages = two.messages = 0;
  std::vector<double> numbers(static_cast<std::size_t>(flat.size()));
  (void)all_to_all(one_hop, tensor(numbers, {flat.size()}));
  (void)all_to_all(two_hops, tensor(numbers, {flat.size()}));
  CHECK(flat.messages == flat.size() - 2);
  CHECK(two.messages == hosts.hosts() - 1);
}

TEST_CASE("hosts that ranks do not fill are refused, and so are two parcels at once") {
  check_error<ConfigError>([] { Hosts<Mpi> hosts(*world(), {.ranks = 3}); }, {"hosts", "as many ranks on each host"});
  if (world()->size() < 4) return;
  Hosts<Mpi> hosts(*world(), {.ranks = 2});
  Alone host;
  int number = 0;
  const std::vector<Parcel> twice{{0, &number, sizeof number}, {0, &number, sizeof number}};
  check_error<ConfigError>([&] { hosts.exchange(host, "two", twice, {}); },
                           {"one parcel to each rank", "two to rank 0"});
}
