// Attention-inform routing on the GPU against the CPU's in double.

#include <algorithm>
#include <cstring>

#include "cuda/support.cuh"

using namespace testing;

namespace {

struct Sizes {
  const char* name;
  Index sequences, length, width, heads, head, experts;
  double output;  ///< deviation of the output weight: how far apart the heads' values lie
  Mask mask = Mask::causal;
  bool documents = false, all_heads = false;
  Index past = 0;

  [[nodiscard]] Index keys() const { return sequences * length; }
  [[nodiscard]] Index rows() const { return sequences * (length - past); }
};

const std::vector<Sizes> kSizes{
    {"one token", 1, 1, 16, 2, 8, 5, .1},
    {"63 tokens", 2, 63, 24, 2, 12, 7, .1},
    {"129 tokens", 3, 129, 96, 3, 32, 16, .05},
    {"wide heads", 2, 300, 352, 2, 128, 64, .02},
    {"heads of 44", 2, 512, 352, 8, 44, 16, .02},
    {"odd", 2, 333, 75, 3, 25, 9, .05},
    {"100 experts", 1, 400, 128, 2, 64, 100, .05},
    {"all see all", 2, 300, 128, 2, 64, 16, .05, Mask::none},
    {"documents", 2, 700, 128, 2, 64, 16, .05, Mask::causal, true},
    {"documents that all see", 2, 300, 96, 2, 48, 16, .05, Mask::none, true},
    {"keys in a cache", 2, 515, 128, 2, 64, 16, .05, Mask::causal, false, false, 200},
    {"all heads", 2, 260, 96, 3, 32, 16, .05, Mask::causal, false, true},
    {"all alike", 1, 1100, 128, 2, 64, 16, 1e-4},
    {"far apart", 1, 2100, 1024, 2, 64, 64, .05},
    {"scores of many tokens", 1, 4200, 128, 2, 64, 64, .05},
    {"many tokens, all alike", 1, 8400, 32, 2, 16, 8, 1e-4},  // from here on units of tokens are screened
    {"many tokens, most weigh nothing", 2, 6100, 32, 2, 16, 8, .8},
};

/// Documents of 90 tokens, every eleventh token padding.
std::vector<int> documents_of(const Sizes& s) {
  std::vector<int> documents(static_cast<std::size_t>(s.keys()));
  for (std::size_t i = 0; i < documents.size(); ++i) documents[i] = i % 11 == 10 ? -1 : static_cast<int>(i) / 90;
  return documents;
}
/// Numbers as float has them, so that both sides begin with the same.
Numbers in_float(const Shape& shape, std::uint64_t seed, double deviation = 1) {
  Numbers values = Values<double>(shape, seed, deviation).values;
  for (double& value : values) value = static_cast<double>(static_cast<float>(value));
  return values;
}

/// What an attention of the second head in the middle shows, and tokens' scores.
template <class B>
struct Informed {
  using T = typename B::Scalar;
  const Sizes& s;
  Kept<B> q, kv, output, u, e, means;
  Storage<int> documents;
  Sequences sequences;

  explicit Informed(const Sizes& sizes)
      : s(sizes),
        q({s.rows(), s.heads * s.head}, in_float({s.rows(), s.heads * s.head}, 1)),
        kv({s.keys(), 2 * s.heads * s.head}, in_float({s.keys(), 2 * s.heads * s.head}, 2)),
        output({s.width, s.heads * s.head}, in_float({s.width, s.heads * s.head}, 3, s.output)),
        u({s.rows(), s.width}, in_float({s.rows(), s.width}, 4)),
        e({s.keys(), s.experts}, in_float({s.keys(), s.experts}, 5)),
        means({1, s.heads}, in_float({1, s.heads}, 6)),
        documents(kFirstSpace<B>),
        sequences{.length = s.length, .mask = s.mask, .past = s.past} {
    if (!s.documents) return;
    const auto numbers = documents_of(s);
    documents.assign(numbers.data(), s.keys());
    sequences.document = {documents.data(), Shape{s.keys()}};
  }
  template <class Ex>
  InformResult<T> operator()(Ex& ex) {
    AttentionTrace<T> trace;
    const Index columns = s.heads * s.head;
    trace.q = q.constant();
    trace.k = Columns<T>(kv.constant(), 0, columns);
    trace.v = Columns<T>(kv.constant(), columns, columns);
    trace.output_weight = output.constant();
    trace.output = u.constant();
    trace.heads = s.heads;
    trace.key_rows = s.length;
    trace.mask = s.mask;
    if (s.all_heads)
      trace.log_sum =
          attention(ex, trace.q, trace.k, trace.v, sequences, s.heads, {}, s.length, LinearUse::routing).log_sum;
    return attention_inform(ex, trace, e.constant(), sequences,
                            s.all_heads ? View<const int>{} : View<const int>(lowest_head(ex, means.constant())),
                            static_cast<double>(s.heads), 1.5);
  }
};

/// y, entropies and weights on themselves.
template <class B>
std::vector<Numbers> outcome(B& backend, const Sizes& s) {
  Informed<B> informed(s);
  backend.begin_step();
  const auto result = informed(backend);
  std::vector<Numbers> all;
  for (const auto* tensor : {&result.y, &result.entropy, &result.self})
    all.push_back(numbers(backend, View<typename B::Scalar>(*tensor)));
  return all;
}

/// The largest bias of a logit, about: what float leaves open grows with it.
double largest_logit(const Sizes& s) {
  const double values = static_cast<double>(s.heads) * s.output;
  return 1 + values * values * static_cast<double>(s.width * s.head) / 4.5;
}

double largest_difference(const Numbers& a, const Numbers& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i])) return INFINITY;
    largest = std::max(largest, std::abs(a[i] - b[i]));
  }
  return a.size() == b.size() ? largest : INFINITY;
}

}  // namespace

TEST_CASE("attention-inform is that of the CPU in double, at odd sizes") {
  Cuda<float> exact, rounded({.routing = Precision::tf32});
  for (const Sizes& s : kSizes) {
    Cpu<double> cpu({.threads = 16});
    const auto expected = outcome(cpu, s), actual = outcome(exact, s), in_tf32 = outcome(rounded, s);
    const double logit = largest_logit(s);
    INFO(std::string(s.name), ", logits up to ", logit, ": y ", distance(actual[0], expected[0]), ", entropy ",
         largest_difference(actual[1], expected[1]), ", self ", largest_difference(actual[2], expected[2]),
         ", y in tf32 ", distance(in_tf32[0], expected[0]));
    CHECK(distance(actual[0], expected[0]) < 2e-6 * logit);
    CHECK(largest_difference(actual[1], expected[1]) < 1e-5 * logit);
    CHECK(largest_difference(actual[2], expected[2]) < 2e-6 * logit);
    CHECK(distance(in_tf32[0], expected[0]) < 2e-3 * logit);
  }
}

TEST_CASE("attention-inform has the same bits a thousand times") {
  Cuda<float> cuda;
  for (const Sizes& s : {kSizes[5], kSizes.back()}) {
    Informed<Cuda<float>> informed(s);
    std::vector<float> first;
    for (int i = 0; i < 1000; ++i) {
      cuda.begin_step();
      const auto y = cuda.read(View<float>(informed(cuda).y));
      if (i == 0) first = y;
      REQUIRE(std::memcmp(first.data(), y.data(), y.size() * sizeof(float)) == 0);
    }
  }
}

TEST_CASE("NaN in a token's values reaches those who see it in attention-inform") {
  constexpr Index kAt = 150;
  Cuda<float> cuda;
  const Sizes s{"", 1, 700, 128, 2, 64, 5, .05};
  Informed<Cuda<float>> informed(s);
  for (Index head = 0; head < s.heads; ++head)
    spoil(cuda, informed.kv.constant().data + kAt * 2 * s.heads * s.head + (s.heads + head) * s.head);
  const auto result = informed(cuda);
  check_nan_rows(cuda, result.entropy, [](Index i) { return i >= kAt; });
  check_nan_rows(cuda, result.self, [](Index i) { return i >= kAt; });
}
