// Flash attention and mutual-inform routing against their definitions with whole N × N matrices.

#include "attention/naive.hpp"

using namespace testing;

namespace {

struct Batch {
  const char* name;
  Index sequences, length;
  Mask mask;
  bool documents;
  Index span = 0;
};

const std::vector<Batch> kBatches{{"one token", 1, 1, Mask::causal, false},
                                  {"causal", 2, 7, Mask::causal, false},
                                  {"no multiple of a tile", 1, 133, Mask::causal, false},
                                  {"all see all", 2, 131, Mask::none, false},
                                  {"documents and padding", 2, 101, Mask::causal, true},
                                  {"documents, all see all", 1, 150, Mask::none, true},
                                  {"long", 1, 512, Mask::causal, false},
                                  {"a span of one", 2, 7, Mask::causal, false, 1},
                                  {"a span", 2, 133, Mask::causal, false, 50},
                                  {"a span longer than the text", 1, 101, Mask::causal, false, 120}};

/// Documents of 13, 14, … tokens, and padding at the end.
std::vector<int> documents_of(const Batch& batch) {
  std::vector<int> numbers;
  for (Index s = 0; s < batch.sequences; ++s)
    for (Index i = 0, document = 0, left = 13; i < batch.length; ++i) {
      if (left-- == 0) left = 13 + ++document;
      numbers.push_back(i >= batch.length - 5 ? -1 : static_cast<int>(document));
    }
  return numbers;
}

template <class T, class Check>
void for_each_batch(const Check& check) {
  for (const Batch& batch : kBatches) {
    INFO(batch.name, sizeof(T) == 4 ? ", float" : ", double");
    const std::vector<int> documents = documents_of(batch);
    Sequences sequences{batch.length, batch.mask};
    const Index rows = batch.sequences * batch.length;
    if (batch.documents) sequences.document = {documents.data(), {rows}};
    check(sequences, rows, batch.span);
  }
}

template <class T>
constexpr double kTolerance = sizeof(T) == 8 ? 1e-10 : 1e-4;

template <class T>
void check_attention() {
  constexpr Index kHeads = 3, kWidth = 10, kValues = 5;
  for_each_batch<T>([](const Sequences& sequences, Index rows, Index span) {
    Values<T> qk({rows, 2 * kHeads * kWidth}, 1), v({rows, kHeads * kValues}, 2), relative({rows, kHeads * span}, 7);
    const Tensor<T> by_distance = span > 0 ? relative.constant() : Tensor<T>{};
    Cpu<T> cpu({.threads = 2});
    const auto result = attention(cpu, Columns<T>(qk.constant(), 0, kHeads * kWidth),
                                  Columns<T>(qk.constant(), kHeads * kWidth, kHeads * kWidth), Columns<T>(v.constant()),
                                  sequences, kHeads, {}, 0, LinearUse::features, by_distance);
    for (Index h = 0; h < kHeads; ++h) {
      const Matrix q = matrix_of(qk.constant(), h * kWidth, kWidth),
                   k = matrix_of(qk.constant(), (kHeads + h) * kWidth, kWidth),
                   values = matrix_of(v.constant(), h * kValues, kValues);
      const auto logit = [&](Index i, Index j) {
        return inner(q[static_cast<std::size_t>(i)], k[static_cast<std::size_t>(j)]) / std::sqrt(double{kWidth}) +
               relative_score(by_distance, span, h, sequences.length, i, j);
      };
      const Matrix weights = weights_of(sequences, rows, logit);
      CHECK(distance(result.y, times(weights, values), h * kValues) < kTolerance<T>);
      Matrix entropy, self, log_sum;
      for (Index i = 0; i < rows; ++i) {
        const auto& row = weights[static_cast<std::size_t>(i)];
        entropy.push_back({entropy_of(row)});
        self.push_back({row[static_cast<std::size_t>(i)]});
        const Index seen = span > 0 && i % sequences.length > 0 ? i - 1 : i;
        log_sum.push_back({logit(i, seen) - std::log(row[static_cast<std::size_t>(seen)])});
      }
      CHECK(distance(result.entropy, entropy, h) < kTolerance<T>);
      CHECK(distance(result.self, self, h) < kTolerance<T>);
      CHECK(distance(result.log_sum, log_sum, h) < kTolerance<T>);
    }
  });
}

/// Attention-Inform by its definition: A from softmax, times the Gaussian's density, divided by its sum over (h, j).
template <class T>
void check_attention_inform(bool all_heads, double factor, double deviation) {
  constexpr Index kHeads = 2, kWidth = 6, kFeatures = 9, kExperts = 5;
  for_each_batch<T>([=](const Sequences& sequences, Index rows, Index span) {
    Values<T> relative({rows, kHeads * span}, 7);
    Values<T> qkv({rows, 3 * kHeads * kWidth}, 3), wo({kFeatures, kHeads * kWidth}, 4, .3), u({rows, kFeatures}, 5, .7),
        scores({rows, kExperts}, 6, 2);
    Cpu<T> cpu({.threads = 2});
    const auto e = softmax(cpu, scores.constant());
    const Index all = kHeads * kWidth;
    AttentionTrace<T> trace;
    trace.q = {qkv.constant(), 0, all};
    trace.k = {qkv.constant(), all, all};
    trace.v = {qkv.constant(), 2 * all, all};
    Sequences causal = sequences;  // the attention's mask, whatever the routing's
    causal.mask = trace.mask = Mask::causal;
    if (span > 0) trace.relative = relative.constant();
    trace.log_sum =
        attention(cpu, trace.q, trace.k, trace.v, causal, kHeads, {}, 0, LinearUse::features, trace.relative).log_sum;
    trace.output_weight = wo.constant();
    trace.output = u.constant();
    trace.heads = kHeads;
    trace.key_rows = sequences.length;
    int chosen = 1;
    const auto result = attention_inform(
        cpu, trace, e, sequences, all_heads ? View<const int>{} : View<const int>{&chosen, {1}}, factor, deviation);
    Matrix joint(static_cast<std::size_t>(rows));
    for (Index h = all_heads ? 0 : chosen; h < (all_heads ? kHeads : chosen + 1); ++h) {
      const Matrix q = matrix_of(qkv.constant(), h * kWidth, kWidth),
                   k = matrix_of(qkv.constant(), all + h * kWidth, kWidth),
                   v = matrix_of(qkv.constant(), 2 * all + h * kWidth, kWidth),
                   w = matrix_of(wo.constant(), h * kWidth, kWidth), us = matrix_of(u.constant());
      const Matrix a = weights_of(sequences, rows, [&](Index i, Index j) {
        return inner(q[static_cast<std::size_t>(i)], k[static_cast<std::size_t>(j)]) / std::sqrt(double{kWidth}) +
               relative_score(trace.relative, span, h, sequences.length, i, j);
      });
      for (Index i = 0; i < rows; ++i)
        for (Index j = 0; j < rows; ++j) {
          double square = 0;
          for (std::size_t c = 0; c < kFeatures; ++c) {
            const double gap =
                us[static_cast<std::size_t>(i)][c] - factor * inner(w[c], v[static_cast<std::size_t>(j)]);
            square += gap * gap;
          }
          joint[static_cast<std::size_t>(i)].push_back(a[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)] *
                                                       std::exp(-square / (2 * deviation * deviation)));
        }
    }
    Matrix own = matrix_of(e), values;
    for (Index h = 0; h < (all_heads ? kHeads : 1); ++h) values.insert(values.end(), own.begin(), own.end());
    Matrix entropy;
    for (auto& row : joint) {
      double sum = 0;
      for (const double weight : row) sum += weight;
      for (double& weight : row) weight /= sum;
      entropy.push_back({entropy_of(row)});
    }
    CHECK(distance(result.y, times(joint, values)) < kTolerance<T>);
    CHECK(distance(result.entropy.reshaped({rows, 1}), entropy) < kTolerance<T>);
  });
}

}  // namespace

TEST_CASE("flash attention equals its definition, with its log-sum, entropy and weight on itself") {
  check_attention<double>();
  check_attention<float>();
}

TEST_CASE("attention-inform equals Mutual-Inform eq. 16, and eq. 13 with all heads") {
  for (const bool all_heads : {false, true})
    for (const double factor : {1.0, 2.0}) check_attention_inform<double>(all_heads, factor, 1.3);
  check_attention_inform<float>(false, 2, 1.3);
  check_attention_inform<float>(true, 2, 1.3);
}

TEST_CASE("attention by distance: queries behind keys of a text before, gradients, and what it refuses") {
  constexpr Index kHeads = 2, kLength = 9, kPast = 5, kSpan = 4, kRows = 2 * kLength, kOwn = kLength - kPast;
  Values<double> q({kRows, 6}, 1), kv({kRows, 12}, 2), relative({kRows, kHeads * kSpan}, 3);
  const auto of = [&](auto& ex, const Tensor<double>& queries, const Sequences& sequences, const Tensor<double>& r) {
    const Columns<double> k(kv.variable(), 0, 6), v(kv.variable(), 6, 6);
    return attention(ex, queries, k, v, sequences, kHeads, {}, kLength, LinearUse::features, r).y;
  };
  Cpu<double> cpu({.threads = 2});
  const auto whole = of(cpu, q.constant(), {.length = kLength}, relative.constant());
  Values<double> last({2 * kOwn, 6}, 0), last_relative({2 * kOwn, kHeads * kSpan}, 0);
  for (Index row = 0; row < 2 * kOwn; ++row) {
    const Index from = row / kOwn * kLength + kPast + row % kOwn;
    std::copy_n(q.values.begin() + from * 6, 6, last.values.begin() + row * 6);
    std::copy_n(relative.values.begin() + from * kHeads * kSpan, kHeads * kSpan,
                last_relative.values.begin() + row * kHeads * kSpan);
  }
  const Sequences behind{.length = kLength, .past = kPast};
  const auto rest = of(cpu, last.constant(), behind, last_relative.constant());
  for (Index row = 0; row < 2 * kOwn; ++row)
    CHECK(testing::distance(rest.data + row * 6, whole.data + (row / kOwn * kLength + kPast + row % kOwn) * 6, 6) <
          1e-12);

  check_gradient({q.variable(), kv.variable(), relative.variable()},
                 [&](auto& ex) { return of(ex, q.variable(), {.length = kLength}, relative.variable()); });
  check_gradient({last.variable(), kv.variable(), last_relative.variable()},
                 [&](auto& ex) { return of(ex, last.variable(), behind, last_relative.variable()); });

  const std::vector<int> documents(kRows, 0);
  check_error<ConfigError>(
      [&] { (void)of(cpu, q.constant(), {.length = kLength, .mask = Mask::none}, relative.constant()); },
      {"a span within causal", "got Mask::none", "or the span"});
  check_error<ConfigError>(
      [&] {
        (void)of(cpu, q.constant(), {.length = kLength, .document = View<const int>(documents)}, relative.constant());
      },
      {"got document numbers"});
  Values<double> odd({kRows, kHeads * kSpan + 1}, 3);
  check_error<ShapeError>([&] { (void)of(cpu, q.constant(), {.length = kLength}, odd.constant()); },
                          {"[18, 2 heads · span]", "[18, 9]"});
}

TEST_CASE("a NaN stays one in log-sum, entropy, weight on itself and result, for those who see it") {
  Cpu<float> cpu;
  for (const Index length : {7, 70, 500}) {
    CAPTURE(length);
    Values<float> x({length, 36}, 1);
    x.values[5 * 36 + 3] = std::numeric_limits<float>::quiet_NaN();
    const auto attended = attention<Cpu<float>>(cpu, x.constant(), x.constant(), x.constant(), {.length = length});
    for (Index i = 0; i < length; ++i) {
      CAPTURE(i);
      CHECK(std::isnan(attended.log_sum[i]) == (i >= 5));
      CHECK(std::isnan(attended.entropy[i]) == (i >= 5));
      CHECK(std::isnan(attended.self[i]) == (i >= 5));
      CHECK(std::isnan(attended.y(i, 0)) == (i >= 5));
    }
  }
}
