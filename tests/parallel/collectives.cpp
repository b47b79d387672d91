#include <neuroinhib/ops/collectives/cpu.hpp>

#include "ranks.hpp"

using namespace neuroinhib;
using testing::Many;
using testing::mark_of;
using testing::Values;
using testing::world;

namespace {

template <class T>
Values<T> marked(const Shape& shape, Index rank) {
  Values<T> values(shape, 0);
  for (Index i = 0; i < shape.size(); ++i)
    values.values[static_cast<std::size_t>(i)] = static_cast<T>(mark_of(rank, i));
  return values;
}

/// Rows that every rank has: unequal, and none on rank 0.
std::vector<Index> uneven(Index ranks) {
  std::vector<Index> rows;
  for (Index r = 0; r < ranks; ++r) rows.push_back(r * 3 % 5);
  return rows;
}

/// The gradient of Σ over ranks of Σ weights ⊙ y against central differences: one element of one rank is changed at a
/// time, and the losses of all ranks are added up.
template <class F>
void check_across_ranks(const Shape& shape, const F& f) {
  Mpi& mpi = *world();
  Many<double> cpu(mpi);
  Values<double> x = marked<double>(shape, mpi.rank());
  const auto weight = [&](Index i) { return std::cos(0.3 + 0.7 * static_cast<double>(i) + mpi.rank()); };
  const auto part = [&](auto& ex, const Tensor<double>& y) {
    std::vector<double>* weights = new std::vector<double>();
    for (Index i = 0; i < y.size(); ++i) weights->push_back(weight(i));
    return total(ex, multiply(ex, y, tensor(*weights, y.shape)));
  };
  const auto loss = [&] {
    cpu.begin_step();
    const Tensor<double> y = f(cpu, x.constant());
    double sum = 0;
    for (Index i = 0; i < y.size(); ++i) sum += weight(i) * y[i];
    std::vector<double> own{sum};
    return all_reduce(cpu, tensor(own, {1}))[0];
  };
  {
    Recording ex(cpu);
    x.written = false;
    const Tensor<double> y = f(ex, x.variable());
    if (y.size() > 0) ex.backward(part(ex, y));
  }
  std::vector<double> sizes{static_cast<double>(shape.size())};
  cpu.begin_step();
  const auto most = static_cast<Index>(all_reduce(cpu, tensor(sizes, {1}), Reduction::max)[0]);
  for (int rank = 0; rank < mpi.size(); ++rank)
    for (Index i = 0; i < most; ++i) {
      const bool here = rank == mpi.rank() && i < shape.size();
      double unused = 0;
      double& element = here ? x.values[static_cast<std::size_t>(i)] : unused;
      const double kept = element, h = 1e-5;
      element = kept + h;
      const double above = loss();
      element = kept - h;
      const double below = loss();
      element = kept;
      if (here)
        CHECK(x.gradients[static_cast<std::size_t>(i)] == doctest::Approx((above - below) / (2 * h)).epsilon(1e-6));
    }
}

}  // namespace

TEST_CASE_TEMPLATE("all_reduce adds up in the order of the ranks, few numbers and many", T, float, double) {
  Many<T> cpu(*world());
  for (const Index size : {Index{1}, Index{7}, Index{5000}}) {
    cpu.begin_step();
    auto x = marked<T>({size}, cpu.rank());
    const auto y = all_reduce(cpu, x.constant());
    const auto largest = all_reduce(cpu, x.constant(), Reduction::max);
    bool same = true;
    for (Index i = 0; i < size; ++i) {
      T sum = 0, most = -2;
      for (Index r = 0; r < cpu.size(); ++r) {
        const T value = static_cast<T>(mark_of(r, i));
        sum = r == 0 ? value : sum + value;
        most = std::max(most, value);
      }
      same = same && y[i] == sum && largest[i] == most;
    }
    CHECK(same);
  }
}

TEST_CASE("a maximum over ranks takes NaN first, and its gradient goes to the lowest rank of equals") {
  Many<double> cpu(*world());
  Recording ex(cpu);
  Values<double> x({3}, 0);
  x.values = {1.0, cpu.rank() == 1 ? NAN : 2.0, static_cast<double>(-cpu.rank())};
  const auto y = all_reduce(ex, x.variable(), Reduction::max);
  CHECK(y[0] == 1);
  CHECK(std::isnan(y[1]));
  CHECK(y[2] == 0);
  ex.backward(total(ex, y));
  const double ranks = static_cast<double>(cpu.size());
  CHECK(x.gradients[0] == (cpu.rank() == 0 ? ranks : 0));
  CHECK(x.gradients[1] == (cpu.rank() == 1 ? ranks : 0));
}

TEST_CASE_TEMPLATE("all_gather, reduce_scatter and all_to_all move rows, equal and unequal", T, float, double) {
  Many<T> cpu(*world());
  const Index ranks = cpu.size(), own = cpu.rank(), width = 3;
  for (const bool equal : {true, false}) {
    const std::vector<Index> counts = uneven(ranks);
    const auto rows_of = [&](Index r) { return equal ? 2 : counts[static_cast<std::size_t>(r)]; };
    const std::span<const Index> rows = equal ? std::span<const Index>{} : std::span<const Index>(counts);
    Index all = 0, before = 0;
    for (Index r = 0; r < ranks; ++r) {
      if (r == own) before = all;
      all += rows_of(r);
    }
    auto few = marked<T>({rows_of(own), width}, own), many = marked<T>({all, width}, own);
    const auto gathered = all_gather(cpu, few.constant(), rows);
    REQUIRE(gathered.shape == Shape{all, width});
    Index at = 0;
    for (Index r = 0; r < ranks; ++r)
      for (Index i = 0; i < rows_of(r) * width; ++i) CHECK(gathered[at++] == static_cast<T>(mark_of(r, i)));
    const auto scattered = reduce_scatter(cpu, many.constant(), rows);
    REQUIRE(scattered.shape == Shape{rows_of(own), width});
    for (Index i = 0; i < scattered.size(); ++i) {
      T sum = static_cast<T>(mark_of(0, before * width + i));
      for (Index r = 1; r < ranks; ++r) sum += static_cast<T>(mark_of(r, before * width + i));
      CHECK(scattered[i] == sum);
    }
    // Rank a has rows_of(b) rows for rank b, which gets rows_of(b) of everybody.
    std::vector<Index> received(static_cast<std::size_t>(ranks), rows_of(own));
    const auto told = equal ? std::span<const Index>{} : exchange_counts(cpu, rows);
    if (!equal) CHECK(std::equal(told.begin(), told.end(), received.begin()));
    const auto exchanged = all_to_all(cpu, many.constant(), rows, told);
    REQUIRE(exchanged.shape == Shape{ranks * rows_of(own), width});
    at = 0;
    for (Index r = 0; r < ranks; ++r)
      for (Index i = 0; i < rows_of(own) * width; ++i)
        CHECK(exchanged[at++] == static_cast<T>(mark_of(r, before * width + i)));
  }
}

TEST_CASE("gradients of all collectives are those of finite differences across ranks") {
  const Index ranks = world()->size(), own = world()->rank();
  check_across_ranks({2, 2}, [](auto& ex, const auto& x) { return all_reduce(ex, x); });
  check_across_ranks({2, 2}, [](auto& ex, const auto& x) { return all_reduce(ex, x, Reduction::max); });
  check_across_ranks({2, 2}, [](auto& ex, const auto& x) { return all_gather(ex, x); });
  check_across_ranks({ranks, 2}, [](auto& ex, const auto& x) { return reduce_scatter(ex, x); });
  check_across_ranks({ranks, 2}, [](auto& ex, const auto& x) { return all_to_all(ex, x); });
  check_across_ranks({2}, [](auto& ex, const auto& x) { return once(ex, all_reduce(ex, x)); });
  std::vector<Index> rows, to, from;  // no rank is left without a loss
  for (Index r = 0; r < ranks; ++r) {
    rows.push_back(1 + r % 2);
    to.push_back((own + r) % 2 + (r == own));
    from.push_back((own + r) % 2 + (r == own));
  }
  Index all = 0, sent = 0;
  for (Index r = 0; r < ranks; ++r) {
    all += rows[static_cast<std::size_t>(r)];
    sent += to[static_cast<std::size_t>(r)];
  }
  check_across_ranks({rows[static_cast<std::size_t>(own)], 2},
                     [&](auto& ex, const auto& x) { return all_gather(ex, x, rows); });
  check_across_ranks({all, 2}, [&](auto& ex, const auto& x) { return reduce_scatter(ex, x, rows); });
  check_across_ranks({sent, 2}, [&](auto& ex, const auto& x) { return all_to_all(ex, x, to, from); });
}

TEST_CASE("counts that do not fit are refused with a sentence") {
  Many<double> cpu(*world());
  auto x = marked<double>({3, 2}, cpu.rank());
  const std::vector<Index> one{3};
  testing::check_error<ShapeError>([&] { (void)all_gather(cpu, x.constant(), one); }, {"a number of rows for each of"});
  testing::check_error<ShapeError>([&] { (void)reduce_scatter(cpu, x.constant()); }, {"[3, 2]", "say how many rows"});
  const std::vector<Index> rows(static_cast<std::size_t>(cpu.size()), 1);
  testing::check_error<ShapeError>([&] { (void)all_to_all(cpu, x.constant(), rows); }, {"exchange_counts()"});
  testing::check_error<ShapeError>([&] { (void)all_to_all(cpu, x.constant(), rows, rows); }, {"[3, 2]"});
}

TEST_CASE("random numbers of a part of a batch are those of the whole") {
  Many<float> part(*world(), CpuOptions{.seed = 5});
  Cpu<float> whole({.seed = 5});
  const Index rows = 3 * part.size() + 1, width = 7;
  const Share share = part.share_batch(rows);
  Values<float> x({rows, width}, 1), scale({rows, width}, 2);
  Recording ex(part);
  Recording all(whole);
  const auto of = [&](Values<float>& values) {
    Tensor<float> rows_here = values.constant();
    rows_here.data += share.begin * width;
    rows_here.shape = {share.count(), width};
    return rows_here;
  };
  for (int call = 0; call < 2; ++call) {
    const auto dropped = dropout(ex, of(x), 0.4), expected = dropout(all, x.constant(), 0.4);
    const auto noisy = add_noise(ex, of(x), of(scale)), both = add_noise(all, x.constant(), scale.constant());
    bool same = true;
    for (Index i = 0; i < dropped.size(); ++i)
      same = same && dropped[i] == expected[share.begin * width + i] && noisy[i] == both[share.begin * width + i];
    CHECK(same);
  }
}
