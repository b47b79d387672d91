// Estimators of neurons against brute force: moments, correlations with labels, suppressed neurons.

#include <neuroinhib/analysis/correlation.hpp>
#include <neuroinhib/analysis/neurons.hpp>
#include <neuroinhib/analysis/step_sums.hpp>

#include "support.hpp"

using namespace testing;

namespace {

constexpr Index kRows = 1000, kColumns = 7;

/// Rows [first, last) of a matrix or of labels.
template <class T>
View<const T> rows(const std::vector<T>& all, Index columns, Index first, Index last) {
  return {all.data() + first * columns, {last - first, columns}};
}

/// Visits batches of many sizes, one row among them, that make up all rows.
template <class Visit>
void for_batches(const Visit& visit) {
  const std::vector<Index> ends{1, 2, 9, 137, 138, 400, 999, kRows};
  Index first = 0;
  for (const Index end : ends) visit(std::exchange(first, end), end);
}

/// Columns that are hard to sum: plain, large mean, tiny, constant, nearly constant, with an outlier, the label itself.
struct Hard {
  std::vector<double> features, labels;

  Hard() {
    SequentialRandom random(1, 2);
    for (Index row = 0; row < kRows; ++row) {
      const double label = row < 300 || random.uniform() < .3 ? 1 : 0;  // early batches have one label only
      labels.push_back(label);
      features.insert(features.end(), {random.normal() + label, 1e9 + 1e-2 * random.normal() - 1e-2 * label,
                                       1e-12 * (random.normal() + .1 * label), .1, row == 500 ? .1000001 : .1,
                                       row == 10 ? 1e6 : random.normal(), 3 - 2 * label});
    }
  }
  [[nodiscard]] long double mean(Index column) const {
    long double sum = 0;
    for (Index row = 0; row < kRows; ++row) sum += at(row, column);
    return sum / kRows;
  }
  /// Σ (x − mean)(y − mean), where column −1 is the label.
  [[nodiscard]] long double product(Index x, Index y) const {
    const long double mx = mean(x), my = mean(y);
    long double sum = 0;
    for (Index row = 0; row < kRows; ++row) sum += (at(row, x) - mx) * (at(row, y) - my);
    return sum;
  }
  [[nodiscard]] double correlation(Index column) const {
    return static_cast<double>(product(column, -1) / std::sqrt(product(column, column) * product(-1, -1)));
  }

 private:
  [[nodiscard]] long double at(Index row, Index column) const {
    return column < 0 ? labels[static_cast<std::size_t>(row)]
                      : features[static_cast<std::size_t>(row * kColumns + column)];
  }
};

ColumnMoments moments_of(const Hard& data, Index first, Index last) {
  return column_moments(rows(data.features, kColumns, first, last));
}
Correlation correlation_of(const Hard& data, Index first, Index last) {
  return correlation(rows(data.features, kColumns, first, last), rows(data.labels, 1, first, last));
}

}  // namespace

TEST_CASE("moments of batches are those of all rows, also of large means and of columns that hardly change") {
  const Hard data;
  ColumnMoments moments;
  for_batches([&](Index first, Index last) { moments += moments_of(data, first, last); });
  CHECK(moments.rows == kRows);
  for (Index c = 0; c < kColumns; ++c) {
    INFO("column ", c);
    const auto i = static_cast<std::size_t>(c);
    CHECK(moments.mean()[i] == doctest::Approx(static_cast<double>(data.mean(c))).epsilon(1e-14));
    CHECK(moments.deviation()[i] ==
          doctest::Approx(static_cast<double>(std::sqrt(data.product(c, c) / kRows))).epsilon(1e-10));
  }
  CHECK(moments.mean()[3] == .1);
  CHECK(moments.deviation()[3] == 0);
}

TEST_CASE("correlations with a label are those of all rows, and a constant neuron tells nothing") {
  const Hard data;
  Correlation sums;
  for_batches([&](Index first, Index last) { sums += correlation_of(data, first, last); });
  const std::vector<double> c = sums.coefficients();
  for (const Index column : {0, 1, 2, 4, 5, 6}) {
    INFO("column ", column);
    CHECK(c[static_cast<std::size_t>(column)] == doctest::Approx(data.correlation(column)).epsilon(1e-10));
  }
  CHECK(c[3] == 0);
  CHECK(c[6] == doctest::Approx(-1).epsilon(1e-14));
  CHECK(c[6] >= -1);
}

TEST_CASE("estimators of two halves make one, the same one each time, and an empty one changes nothing") {
  const Hard data;
  const auto halves = [&] {
    Correlation sums = correlation_of(data, 0, 400);
    sums += Correlation{};
    return Correlation{} += sums += correlation_of(data, 400, kRows);
  };
  const Correlation sums = halves(), again = halves(), whole = correlation_of(data, 0, kRows);
  CHECK(sums.coefficients() == again.coefficients());
  CHECK(sums.features.mean() == again.features.mean());
  CHECK(sums.features.squares == again.features.squares);
  for (std::size_t i = 0; i < whole.products.size(); ++i)
    CHECK(sums.coefficients()[i] == doctest::Approx(whole.coefficients()[i]).epsilon(1e-10));
}

TEST_CASE("float activations and labels of any numbers are taken as they are") {
  std::vector<float> features{1, 2, 3, 4.5F};
  std::vector<std::uint8_t> kinds{0, 1, 1, 0};
  const auto c = correlation(tensor(features, {4, 1}), View<std::uint8_t>(kinds)).coefficients();
  CHECK(c[0] == doctest::Approx(-.25 / std::sqrt(6.6875)));
}

TEST_CASE("numbers that are not finite, labels that do not differ and extents that do not fit are refused") {
  std::vector<double> features{1, 2, 3, NAN, 5, 6}, labels{0, 1, 1};
  const auto matrix = tensor(features, {3, 2});
  check_error<NumericError>([&] { (void)column_moments(matrix); }, {"finite numbers", "nan in row 1, column 1"});
  features[3] = INFINITY;
  Correlation sums;
  check_error<NumericError>([&] { sums += correlation(matrix, View<double>(labels)); }, {"inf in row 1, column 1"});
  CHECK(sums.label.rows == 0);
  check_error<NumericError>([&] { (void)sums.coefficients(); }, {"at least two values", "no rows"});
  features[3] = 4;
  labels = {1, 1};
  check_error<ShapeError>([&] { (void)correlation(matrix, View<double>(labels)); }, {"each of 3 rows", "got 2"});
  labels = {.1, .1, .1};
  check_error<NumericError>([&] { (void)correlation(matrix, View<double>(labels)).coefficients(); },
                            {"the label 0.1 in all rows"});
  labels = {0, 1, NAN};
  check_error<NumericError>([&] { (void)correlation(matrix, View<double>(labels)); }, {"nan in row 2, column 0"});
  ColumnMoments moments = column_moments(matrix);
  check_error<ShapeError>([&] { moments += column_moments(tensor(features, {2, 3})); }, {"width 2", "got 3"});
  check_error<ShapeError>([&] { (void)column_moments(View<double>(nullptr, {0, 2})); }, {"an empty batch"});
}

TEST_CASE("neurons above the mean correlation are discriminative, and neurons that are all alike are common") {
  const std::vector<double> c{.5, -.5, .1, -.3, 0};
  const NeuronKinds kinds = neuron_kinds(c);
  CHECK(kinds.boundary == doctest::Approx(.28));
  CHECK(kinds.discriminative == std::vector<bool>{true, true, false, true, false});
  CHECK(kinds.number_common() == 2);
  for (const double size : {.1, .3, 1e-9}) CHECK(neuron_kinds(std::vector<double>(11, size)).number_common() == 11);
  check_error<NumericError>([&] { (void)neuron_kinds(std::vector{.1, double{NAN}}); }, {"nan in row 1"});
  check_error<ShapeError>([&] { (void)neuron_kinds({}); }, {"at least one row"});
}

TEST_CASE("suppressed neurons and the preference for common ones are those that counting finds") {
  SequentialRandom random(3, 4);
  std::vector<double> c, gates, thresholds;
  for (int i = 0; i < 60; ++i) {
    c.push_back(random.normal());
    gates.push_back(static_cast<double>(random.integer(0, 10)) / 10);  // with ties
  }
  for (int i = -1; i < 13; ++i) thresholds.push_back(i / 10.);
  const NeuronKinds kinds = neuron_kinds(c);
  const auto points = suppressed_neurons(kinds, gates, thresholds);
  REQUIRE(points.size() == thresholds.size());
  for (const Suppressed& point : points) {
    Index common = 0, discriminative = 0;
    for (std::size_t i = 0; i < c.size(); ++i)
      if (gates[i] < point.threshold) ++(kinds.discriminative[i] ? discriminative : common);
    CHECK(point.common == common);
    CHECK(point.discriminative == discriminative);
  }
  CHECK(points.back().common + points.back().discriminative == 60);

  double wins = 0;
  for (std::size_t i = 0; i < c.size(); ++i)
    for (std::size_t j = 0; j < c.size(); ++j)
      if (!kinds.discriminative[i] && kinds.discriminative[j])
        wins += gates[i] < gates[j] ? 1 : gates[i] == gates[j] ? .5 : 0;
  const auto pairs = static_cast<double>(kinds.number_common() * kinds.number_discriminative());
  CHECK(suppression_preference(kinds, gates) == doctest::Approx(wins / pairs));

  const NeuronKinds two{.5, {false, true}};
  CHECK(suppression_preference(two, std::vector{.1, .9}) == 1);
  CHECK(suppression_preference(two, std::vector{.9, .1}) == 0);
  CHECK(suppression_preference({.5, {false, false}}, std::vector{.9, .1}) == .5);
  check_error<ShapeError>([&] { (void)suppression_preference(two, gates); }, {"each of 2 neurons", "got 60"});
}

TEST_CASE_TEMPLATE("sums that a backend makes are those of the host", T, float, double) {
  const Hard data;
  constexpr Index kSome = 200;
  Cpu<T> cpu({.threads = 2});
  Recording ex(cpu);
  Correlation sums, expected;
  for (Index first = 0; first < kRows; first += kSome) {
    std::vector<T> features(data.features.begin() + first * kColumns,
                            data.features.begin() + (first + kSome) * kColumns);
    std::vector<T> labels(data.labels.begin() + first, data.labels.begin() + first + kSome);
    sums += analyse(cpu, correlation(ex, tensor(features, {kSome, kColumns}), tensor(labels, {kSome})));
    expected += correlation(View<T>(features.data(), {kSome, kColumns}), View<T>(labels));
  }
  const double tolerance = std::is_same_v<T, float> ? 1e-4 : 1e-11;
  for (std::size_t i = 0; i < kColumns; ++i) {
    INFO("column ", i);
    CHECK(sums.coefficients()[i] == doctest::Approx(expected.coefficients()[i]).epsilon(tolerance));
    CHECK(sums.features.mean()[i] == doctest::Approx(expected.features.mean()[i]).epsilon(tolerance));
    CHECK(sums.features.deviation()[i] == doctest::Approx(expected.features.deviation()[i]).epsilon(tolerance));
  }
  CHECK(sums.coefficients()[3] == 0);
}

TEST_CASE("a backend's sums of numbers that are not finite are refused, and extents that do not fit") {
  Cpu<double> cpu;
  std::vector<double> features{1, 2, 3, NAN, 5, 6};
  const auto matrix = tensor(features, {3, 2});
  check_error<NumericError>([&] { (void)analyse(cpu, column_moments(cpu, matrix)); }, {"as a sum of column 1"});
  std::vector<double> few{0, 1};
  check_error<ShapeError>([&] { (void)correlation(cpu, matrix, tensor(few, {2})); }, {"shape [3]", "got [2]"});
}
