// What routing decides by, on the GPU: products that keep float's bits, and NaN where it shows.

#include "cuda/support.cuh"

using namespace testing;

namespace {

constexpr Index kRows = 150, kExperts = 6;

template <class B>
Kept<B> kept(const Shape& shape, std::uint64_t seed, double scale = 1) {
  return {shape, Values<double>(shape, seed, scale).values};
}

/// Scores, and what both mutual-inform routers make of them, for features with |u|² in the hundreds and thousands.
template <class B>
std::vector<Numbers> decisions(B& backend, Index width) {
  using T = typename B::Scalar;
  constexpr Index kHeads = 2, kHead = 24;
  std::vector<Numbers> all;
  const auto take = [&](const Tensor<T>& tensor) { all.push_back(numbers(backend, View<T>(tensor))); };
  auto u = kept<B>({kRows, width}, 1, 3), w = kept<B>({kExperts, width}, 2);
  const auto scores = linear(backend, u.constant(), w.constant(), {}, LinearUse::routing);
  take(scores);
  const auto e = softmax(backend, linear(backend, u.constant(), w.constant(), {}, LinearUse::routing));
  const Sequences sequences{.length = kRows / 2};
  const auto similar = attention<B>(backend, u.constant(), u.constant(), e, sequences, 1, .01, 0, LinearUse::routing);
  take(similar.log_sum);
  take(similar.y);
  auto qkv = kept<B>({kRows, 3 * kHeads * kHead}, 3), output = kept<B>({width, kHeads * kHead}, 4, .05);
  AttentionTrace<T> trace;
  trace.q = {qkv.constant(), 0, kHeads * kHead};
  trace.k = {qkv.constant(), kHeads * kHead, kHeads * kHead};
  trace.v = {qkv.constant(), 2 * kHeads * kHead, kHeads * kHead};
  trace.output_weight = output.constant();
  trace.output = u.constant();
  trace.heads = kHeads;
  trace.key_rows = sequences.length;
  auto means = kept<B>({1, kHeads}, 5);
  const auto informed = attention_inform(backend, trace, e, sequences, lowest_head(backend, means.constant()), 1, 2);
  take(informed.y);
  return all;
}

/// The largest of the results' distances from the CPU's in double.
double error_of(const CudaOptions& options, Index width) {
  Cpu<double> cpu;
  Cuda<float> cuda(options);
  const auto expected = decisions(cpu, width), actual = decisions(cuda, width);
  double largest = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) largest = std::max(largest, distance(actual[i], expected[i]));
  return largest;
}

}  // namespace

TEST_CASE("what routing decides by keeps float's bits in every precision, unless it is told otherwise") {
  for (const Index width : {48, 352}) {
    CAPTURE(width);
    for (const Precision precision : {Precision::tf32, Precision::bf16, Precision::strict})
      CHECK(error_of({.precision = precision}, width) < 2e-5);
    CHECK(error_of({.routing = Precision::tf32}, width) > 1e-4);
  }
}

TEST_CASE("scores of many tokens for few experts keep float's bits") {
  constexpr Index kTokens = 5001;
  struct Case {
    Index width, experts;
    bool biased;
  };
  for (const auto [width, experts, biased] : {Case{352, 16, false}, Case{33, 7, true}, Case{1000, 100, true}}) {
    CAPTURE(width);
    const auto scores = [&](auto& backend) {
      using B = std::remove_reference_t<decltype(backend)>;
      Numbers tokens = Values<double>({kTokens, width}, 1).values;
      for (Index i = 0; i < kTokens * width; ++i) {
        double& number = tokens[static_cast<std::size_t>(i)];
        number = static_cast<double>(static_cast<float>(number * std::exp2(static_cast<double>(i / width % 40 - 20))));
      }
      Kept<B> x({kTokens, width}, tokens), w = kept<B>({experts, width}, 2), b = kept<B>({experts}, 3);
      const auto y =
          linear(backend, x.constant(), w.constant(), biased ? b.constant() : TensorOf<B>{}, LinearUse::routing);
      return numbers(backend, View<typename B::Scalar>(y));
    };
    Cpu<double> cpu;
    Cuda<float> cuda;
    const auto expected = scores(cpu), actual = scores(cuda);
    for (Index row = 0; row < kTokens; ++row) {  // each by itself: tokens differ in size by 2^40
      const auto part = [&](const Numbers& y) {
        return Numbers(y.begin() + row * experts, y.begin() + (row + 1) * experts);
      };
      REQUIRE(distance(part(actual), part(expected)) < 2e-6);
    }
  }
}

TEST_CASE("a NaN made on the device stays one in attention, for those who see it") {
  for (const Precision precision : {Precision::tf32, Precision::strict}) {
    Cuda<float> cuda({.precision = precision});
    struct Case {
      Index length, width;
    };
    // Numbers travel in fours, or one by one; wide keys go through bands; long sequences are joined from parts.
    for (const auto [length, width] : {Case{70, 36}, Case{70, 33}, Case{70, 160}, Case{1500, 36}}) {
      CAPTURE(length);
      CAPTURE(width);
      auto x = numbers_of({length, width}, 1);
      spoil(cuda, x.constant().data + 5 * width + 3);
      const auto attended = attention<Cuda<float>>(cuda, x.constant(), x.constant(), x.constant(), {.length = length});
      const auto later = [](Index i) { return i >= 5; };
      check_nan_rows(cuda, attended.log_sum, later);
      check_nan_rows(cuda, attended.entropy, later);
      check_nan_rows(cuda, attended.self, later);
      Tensor<float> seeing = attended.y;  // rows before may multiply it by a weight of zero
      seeing.data += 5 * width;
      seeing.shape = {length - 5, width};
      check_nan_rows(cuda, seeing, [](Index) { return true; });
    }
  }
}

TEST_CASE("values that are NaN reach all that look at them, whether keys are narrow or wide") {
  Cuda<float> cuda;
  auto narrow = numbers_of({70, 36}, 1), wide = numbers_of({70, 160}, 2), e = numbers_of({70, 5}, 3);
  spoil(cuda, e.constant().data + 5 * 5);
  for (auto* keys : {&narrow, &wide}) {
    const auto y = attention<Cuda<float>>(cuda, keys->constant(), keys->constant(), e.constant(), {.length = 70}).y;
    const auto values = cuda.read(View<float>(y));
    for (Index i = 5; i < 70; ++i) CHECK(std::isnan(values[static_cast<std::size_t>(5 * i)]));
  }
}

TEST_CASE("NaN scores rank first on the GPU, as on the CPU") {
  constexpr Index kTokens = 5;
  Numbers scores = Values<double>({kTokens, kExperts}, 8).values;
  scores[4] = scores[9] = scores[10] = NAN;
  for (Index k = 0; k < kExperts; ++k) scores[static_cast<std::size_t>(4 * kExperts + k)] = NAN;
  const auto chosen = [&](auto& backend) {
    using B = std::remove_reference_t<decltype(backend)>;
    Kept<B> kept_scores({kTokens, kExperts}, scores);
    const auto top = top_m(backend, kept_scores.constant(), 3);
    return std::pair{backend.read(top.expert), numbers(backend, View<typename B::Scalar>(top.value))};
  };
  Cpu<double> cpu;
  Cuda<double> cuda;
  const auto [expected, expected_values] = chosen(cpu);
  const auto [actual, values] = chosen(cuda);
  CHECK(actual == expected);
  CHECK(actual[0] == 4);
  CHECK(std::vector<int>(actual.begin() + 3, actual.begin() + 5) == std::vector<int>{3, 4});
  CHECK(std::vector<int>(actual.begin() + 12, actual.end()) == std::vector<int>{0, 1, 2});
  for (std::size_t i = 0; i < values.size(); ++i) CHECK(std::isnan(values[i]) == std::isnan(expected_values[i]));
}

TEST_CASE("the best of any number of experts are those of the CPU: ties, both zeros, infinities and NaN among them") {
  constexpr Index kTokens = 40;
  const std::vector<double> numbers_known{NAN, INFINITY, -INFINITY, 0., -0., 1e-42, .5, -1};
  for (const Index experts : {1, 5, 32, 33, 64, 65, 128, 129}) {
    CAPTURE(experts);
    const auto drawn = [&](std::uint64_t seed) {
      SequentialRandom random(seed, 1);
      Numbers values(static_cast<std::size_t>(kTokens * experts));
      for (double& value : values) value = numbers_known[static_cast<std::size_t>(random.integer(0, 7))];
      return values;
    };
    const auto chosen = [&](auto& backend) {
      using B = std::remove_reference_t<decltype(backend)>;
      Kept<B> scores({kTokens, experts}, drawn(1)), by({kTokens, experts}, drawn(2)), bias({experts}, drawn(3));
      const Index chosen = std::min<Index>(experts, 3);
      Numbers all = numbers(backend, top_m(backend, scores.constant(), chosen).expert);
      const auto ranked = top_m(backend, scores.constant(), chosen, {.by = by.constant(), .bias = bias.constant()});
      const Numbers more = numbers(backend, ranked.expert);
      all.insert(all.end(), more.begin(), more.end());
      return all;
    };
    Cpu<float> cpu;
    Cuda<float> cuda;
    CHECK(chosen(cuda) == chosen(cpu));
  }
}

TEST_CASE("a maximum over a batch that holds NaN is NaN on both backends") {
  constexpr Index kTokens = 130, kWidth = 3;
  Numbers x = Values<double>({kTokens, kWidth}, 8).values;
  x[70 * kWidth + 1] = x[100 * kWidth + 1] = NAN;
  const auto pooled = [&](auto& backend) {
    using B = std::remove_reference_t<decltype(backend)>;
    Kept<B> batch({kTokens, kWidth}, x), row({kWidth}, {1, 2, 3});
    Recording ex(backend);
    const auto y = batch_pool(ex, batch.variable(), Pooling::max);
    ex.backward(weighted_total(ex, y, row));
    const auto gradient = batch.gradient();
    Index winner = -1;
    for (Index r = 0; r < kTokens; ++r)
      if (gradient[static_cast<std::size_t>(r * kWidth + 1)] != 0) winner = r;
    return std::pair{numbers(backend, View<typename B::Scalar>(y)), winner};
  };
  Cpu<double> cpu;
  Cuda<double> cuda;
  for (const auto& [values, winner] : {pooled(cpu), pooled(cuda)}) {
    CHECK(std::isfinite(values[0]));
    CHECK(std::isnan(values[1]));
    CHECK(std::isfinite(values[2]));
    CHECK(winner == 70);
  }
}
