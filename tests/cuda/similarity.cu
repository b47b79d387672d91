// Attention that routing decides by, whose keys are as wide as the features: against the CPU in double.

#include <algorithm>
#include <cstring>
#include <numeric>
#include <tuple>

#include "cuda/support.cuh"

using namespace testing;

namespace {

struct Sizes {
  const char* name;
  Index sequences, length, width, values;
  double scale;
  Mask mask = Mask::causal;
  bool documents = false, learned = false;
  Index past = 0;

  [[nodiscard]] Index keys() const { return sequences * length; }
  [[nodiscard]] Index rows() const { return sequences * (length - past); }
};

/// Tokens of which every seventh repeats one before it, as words do.
Numbers tokens_of(const Sizes& s) {
  Numbers tokens = Values<double>({s.keys(), s.width}, 1).values;
  for (Index i = 7; i < s.keys(); i += 7)
    std::copy_n(tokens.begin() + (i - 1 - i / 7 % 6) * s.width, s.width, tokens.begin() + i * s.width);
  return tokens;
}
/// Probabilities that come close to each other in pairs.
Numbers values_of(const Sizes& s) {
  Numbers values = Values<double>({s.keys(), s.values}, 2).values;
  for (double& value : values) value = std::exp(value);
  for (Index i = 0; i < s.keys(); ++i) {
    double* row = values.data() + i * s.values;
    for (Index k = 1; k < s.values; k += 2) row[k] = row[k - 1] * (1 + 1e-5 * (row[k] - 1));
    const double total = std::accumulate(row, row + s.values, 0.0);
    for (Index k = 0; k < s.values; ++k) row[k] /= total;
  }
  return values;
}
/// Documents of 90 tokens, every eleventh token padding.
std::vector<int> documents_of(const Sizes& s) {
  std::vector<int> documents(static_cast<std::size_t>(s.keys()));
  for (std::size_t i = 0; i < documents.size(); ++i) documents[i] = i % 11 == 10 ? -1 : static_cast<int>(i) / 90;
  return documents;
}
/// Numbers as float has them, so that both sides begin with the same.
Numbers in_float(Numbers values) {
  for (double& value : values) value = static_cast<double>(static_cast<float>(value));
  return values;
}
/// The rows after the `past` of each sequence.
Numbers queries_of(const Sizes& s, const Numbers& tokens) {
  Numbers queries;
  for (Index sequence = 0; sequence < s.sequences; ++sequence)
    queries.insert(queries.end(), tokens.begin() + (sequence * s.length + s.past) * s.width,
                   tokens.begin() + (sequence + 1) * s.length * s.width);
  return queries;
}

template <class B>
struct Routed {
  using T = typename B::Scalar;
  Kept<B> tokens, queries, metric, values;
  Storage<int> documents;
  Sequences sequences;
  const Sizes& s;

  explicit Routed(const Sizes& sizes)
      : tokens({sizes.keys(), sizes.width}, in_float(tokens_of(sizes))),
        queries({sizes.rows(), sizes.width}, queries_of(sizes, in_float(tokens_of(sizes)))),
        metric({sizes.width, sizes.width}, in_float(Values<double>({sizes.width, sizes.width}, 3).values)),
        values({sizes.keys(), sizes.values}, in_float(values_of(sizes))),
        documents(kFirstSpace<B>),
        sequences{.length = sizes.length, .mask = sizes.mask, .past = sizes.past},
        s(sizes) {
    if (!s.documents) return;
    const auto numbers = documents_of(s);
    documents.assign(numbers.data(), static_cast<Index>(numbers.size()));
    sequences.document = {documents.data(), Shape{s.keys()}};
  }
  template <class Ex>
  auto operator()(Ex& ex, const Tensor<T>& k, const Tensor<T>& v) {
    const Tensor<T> q = s.past > 0 ? queries.constant() : k;
    return attention<Ex>(ex, q, s.learned ? linear(ex, k, metric.constant(), {}, LinearUse::routing) : k, v, sequences,
                         1, s.scale, 0, LinearUse::routing);
  }
};

/// y, log-sums, entropies and weights on themselves.
template <class B>
std::vector<Numbers> outcome(B& backend, const Sizes& s) {
  Routed<B> routed(s);
  const auto result = routed(backend, routed.tokens.constant(), routed.values.constant());
  const auto of = [&](const Tensor<typename B::Scalar>& tensor) {
    return numbers(backend, View<typename B::Scalar>(tensor));
  };
  return {of(result.y), of(result.log_sum), of(result.entropy), of(result.self)};
}
/// The gradients of tokens and values.
template <class B>
std::vector<Numbers> gradients(B& backend, const Sizes& s) {
  Routed<B> routed(s);
  Kept<B> weight(Shape{s.rows() * s.values}, weights(s.rows() * s.values));
  Recording ex(backend);
  const auto y = routed(ex, routed.tokens.variable(), routed.values.variable()).y;
  ex.backward(weighted_total(ex, y, weight));
  return {routed.tokens.gradient(), routed.values.gradient()};
}

/// A token's logit of itself, about: what float leaves open grows with it.
double own_logit(const Sizes& s) {
  return s.scale * static_cast<double>(s.width);
}

double largest_difference(const Numbers& a, const Numbers& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i])) return INFINITY;
    largest = std::max(largest, std::abs(a[i] - b[i]));
  }
  return a.size() == b.size() ? largest : INFINITY;
}

const std::vector<Sizes> kSizes{
    {"one token", 1, 1, 8, 1, 1},
    {"63 tokens", 2, 63, 24, 5, .2},
    {"65 tokens", 3, 65, 352, 16, .02},
    {"300 tokens", 2, 300, 1024, 64, .005},
    {"odd width", 2, 333, 33, 7, .1},
    {"not causal", 2, 300, 352, 100, .02, Mask::none},
    {"documents", 2, 300, 72, 5, .1, Mask::causal, true},
    {"documents, not causal", 2, 515, 352, 16, .02, Mask::none, true},
    {"a learned metric", 2, 300, 352, 16, .001, Mask::causal, false, true},
    {"keys in a cache", 2, 515, 352, 16, .02, Mask::causal, false, false, 200},
    {"all alike", 1, 1100, 352, 16, 0},
    {"wider than is screened", 1, 200, 1100, 5, .005},
    {"most hidden from one another", 2, 1500, 1024, 16, 1},
};

}  // namespace

TEST_CASE("wide attention for routing is that of the CPU in double, at odd sizes") {
  Cpu<double> cpu;
  Cuda<float> exact, rounded({.routing = Precision::tf32});
  for (const Sizes& s : kSizes) {
    CAPTURE(s.name);
    const auto expected = outcome(cpu, s), actual = outcome(exact, s), in_tf32 = outcome(rounded, s);
    const double logit = std::max(1.0, own_logit(s));
    CHECK(distance(actual[0], expected[0]) < 2e-6 * logit);
    CHECK(largest_difference(actual[1], expected[1]) < 2e-6 * logit);
    CHECK(largest_difference(actual[2], expected[2]) < 1e-5 * logit);
    CHECK(largest_difference(actual[3], expected[3]) < 2e-6 * logit);
    CHECK(distance(in_tf32[0], expected[0]) < 2e-3 * logit);
  }
}

TEST_CASE("wide attention for routing decides between near ties as double does") {
  Cpu<double> cpu;
  Cuda<float> cuda;
  for (const Sizes& s : {kSizes[3], kSizes[5], kSizes[12]}) {
    CAPTURE(s.name);
    const auto expected = outcome(cpu, s)[0], actual = outcome(cuda, s)[0];
    constexpr double kTie = 1e-6;  // what float leaves open
    for (Index row = 0; row < s.rows(); ++row) {
      const auto best = [&](const Numbers& y) {
        const auto begin = y.begin() + row * s.values;
        return std::max_element(begin, begin + s.values) - begin;
      };
      const auto at = [&](Index k) { return expected[static_cast<std::size_t>(row * s.values + k)]; };
      CHECK(at(best(expected)) - at(best(actual)) <= kTie * at(best(expected)));
    }
  }
}

TEST_CASE("wide attention for routing has the same bits a thousand times") {
  Cuda<float> cuda;
  const Sizes s{"", 2, 515, 352, 16, .02};
  Routed<Cuda<float>> routed(s);
  std::vector<float> first;
  for (int i = 0; i < 1000; ++i) {
    cuda.begin_step();
    const auto y = cuda.read(View<float>(routed(cuda, routed.tokens.constant(), routed.values.constant()).y));
    if (i == 0) first = y;
    REQUIRE(std::memcmp(first.data(), y.data(), y.size() * sizeof(float)) == 0);
  }
}

TEST_CASE("gradients through wide attention for routing are those of the CPU in double") {
  Cpu<double> cpu;
  Cuda<float> cuda({.precision = Precision::strict});
  for (const Sizes& s : {kSizes[2], kSizes[6], kSizes[8], kSizes[12]}) {
    CAPTURE(s.name);
    const auto expected = gradients(cpu, s), actual = gradients(cuda, s);
    for (std::size_t i = 0; i < expected.size(); ++i)
      CHECK(distance(actual[i], expected[i]) < 2e-6 * std::max(100.0, own_logit(s)));
  }
}

TEST_CASE("NaN in a key reaches those who see it in wide attention for routing, and in a value too") {
  constexpr Index kLength = 300, kWidth = 160, kAt = 50;
  Cuda<float> cuda;
  auto x = numbers_of({kLength, kWidth}, 1), e = numbers_of({kLength, 5}, 2);
  const auto routed = [&] {
    return attention<Cuda<float>>(cuda, x.constant(), x.constant(), e.constant(), {.length = kLength}, 1, 1, 0,
                                  LinearUse::routing);
  };
  spoil(cuda, e.constant().data + kAt * 5);
  const auto values = cuda.read(View<float>(routed().y));
  for (Index i = kAt; i < kLength; ++i) {
    CHECK(std::isnan(values[static_cast<std::size_t>(5 * i)]));
    CHECK(std::isfinite(values[static_cast<std::size_t>(5 * i + 1)]));
  }
  spoil(cuda, x.constant().data + kAt * kWidth + 3);
  const auto of_keys = routed();
  const auto later = [](Index i) { return i >= kAt; };
  check_nan_rows(cuda, of_keys.log_sum, later);
  check_nan_rows(cuda, of_keys.entropy, later);
  check_nan_rows(cuda, of_keys.self, later);
}
