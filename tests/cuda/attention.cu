// Attention on Hopper's matrix unit against the CPU's in double, from factors that two-byte floats have exactly: what
// differs is the arithmetic alone.

#include "cuda/support.cuh"

using namespace testing;

namespace {

struct Sizes {
  const char* name;
  Index sequences, length, heads, width, values;
  Mask mask = Mask::causal;
  Index past = 0, documents = 0;  ///< documents: tokens of the first; each is one longer than the one before
  double offset = 0;              ///< of all logits
  double size = 1;                ///< of factors
  int growth = 0;                 ///< powers of two by which the first key is larger than the last
};

const std::vector<Sizes> kSizes{
    {"whole tiles", 2, 960, 3, 64, 64},
    {"tiles of queries", 1, 384, 1, 64, 64},
    {"one query more", 2, 385, 2, 64, 64},
    {"tiles of keys less one", 1, 287, 3, 64, 64},
    {"tiles of keys", 1, 288, 1, 64, 64},
    {"one key more", 1, 289, 1, 64, 64},
    {"blocks of queries less one", 1, 575, 1, 64, 64},
    {"and one more", 1, 577, 2, 64, 64},
    {"narrow", 2, 300, 3, 25, 25},
    {"numbers in twos", 2, 333, 2, 50, 50},
    {"88 wide", 1, 500, 2, 88, 88},
    {"128 wide", 2, 413, 2, 128, 128},
    {"wider keys", 1, 260, 2, 100, 40},
    {"wider values", 1, 260, 2, 40, 72},
    {"all see all", 2, 300, 2, 64, 64, Mask::none},
    {"all see all, 128 wide", 1, 257, 2, 120, 120, Mask::none},
    {"a cache", 2, 500, 2, 64, 64, Mask::causal, 200},
    {"a cache, odd", 1, 1100, 1, 64, 64, Mask::causal, 777},
    {"a cache that all see", 1, 400, 1, 128, 64, Mask::none, 129},
    {"short documents and padding", 2, 500, 2, 64, 64, Mask::causal, 0, 1},
    {"documents", 1, 3000, 2, 50, 50, Mask::causal, 0, 150},
    {"documents that all see", 1, 700, 2, 128, 128, Mask::none, 0, 60},
    {"logits around 1000", 1, 700, 2, 64, 64, Mask::causal, 0, 0, 1000},
    {"logits that grow", 1, 1500, 2, 64, 64, Mask::causal, 0, 0, 0, 1, 4},
    {"logits that grow, 128 wide", 1, 1000, 1, 128, 128, Mask::none, 0, 0, 0, 1, 4},
    {"small factors", 1, 300, 1, 64, 64, Mask::causal, 0, 0, 0, 0x1p-40},
    {"large factors", 1, 300, 1, 64, 64, Mask::causal, 0, 0, 0, 0x1p30},
    {"many heads", 3, 300, 50, 64, 64},
    {"long", 1, 8191, 1, 64, 64},
};

/// Numbers as two-byte floats have them.
Numbers halves(Index count, std::uint32_t stream, double deviation) {
  const RandomStream random{21, 0, stream};
  Numbers values(static_cast<std::size_t>(count));
  for (Index i = 0; i < count; ++i)
    values[static_cast<std::size_t>(i)] =
        static_cast<double>(__half2float(__float2half_rn(static_cast<float>(deviation * random.normal<double>(i)))));
  return values;
}

/// Queries; keys and values side by side. The first column of queries and keys brings the offset.
Numbers queries_of(const Sizes& s) {
  Numbers q = halves(s.sequences * (s.length - s.past) * s.heads * s.width, 1, 1.5);
  for (std::size_t i = 0; i < q.size(); ++i) {
    if (s.offset != 0 && i % static_cast<std::size_t>(s.width) == 0) q[i] = 32;
    q[i] *= s.size;
  }
  return q;
}
Numbers keys_and_values_of(const Sizes& s) {
  const auto keys = static_cast<std::size_t>(s.heads * s.width),
             columns = keys + static_cast<std::size_t>(s.heads * s.values);
  Numbers kv = halves(s.sequences * s.length * static_cast<Index>(columns), 2, 1);
  for (std::size_t i = 0; i < kv.size(); ++i) {
    const std::size_t column = i % columns;
    if (s.offset != 0 && column < keys && column % static_cast<std::size_t>(s.width) == 0)
      kv[i] = s.offset * std::sqrt(static_cast<double>(s.width)) / 32;
    kv[i] *= s.size;
    const Index left = s.length - 1 - static_cast<Index>(i / columns) % s.length;
    if (column < keys) kv[i] = std::ldexp(kv[i], static_cast<int>(s.growth * left / s.length));
  }
  return kv;
}
std::vector<int> documents_of(const Sizes& s) {
  std::vector<int> numbers;
  for (Index sequence = 0; sequence < s.sequences; ++sequence)
    for (Index i = 0, document = 0, left = s.documents; i < s.length; ++i) {
      if (left-- == 0) left = s.documents + ++document - 1;
      numbers.push_back(i >= s.length - 5 ? -1 : static_cast<int>(document));
    }
  return numbers;
}

/// Gives x the gradient `of_x`; y is a number.
template <class T>
struct Seed {
  static constexpr const char* name = "seed";
  Tensor<T> x, of_x, y;
};
void forward(Cuda<float>& cuda, const Seed<float>& op) {
  cuda.fill(op.y.data, 1, 0);
}
void forward(Cpu<double>& /*cpu*/, const Seed<double>& op) {
  op.y.data[0] = 0;
}
void backward(Cuda<float>& cuda, const Seed<float>& op) {
  const auto bytes = static_cast<std::size_t>(op.x.size()) * sizeof(float);
  require_cuda(
      cudaMemcpyAsync(op.x.claim_gradient().data, op.of_x.data, bytes, cudaMemcpyDeviceToDevice, cuda.cuda_stream()),
      "test");
}
void backward(Cpu<double>& /*cpu*/, const Seed<double>& op) {
  std::copy_n(op.of_x.data, op.x.size(), op.x.claim_gradient().data);
}

struct Inputs {
  Numbers q, kv, of_y;
  std::vector<int> documents;

  explicit Inputs(const Sizes& s)
      : q(queries_of(s)),
        kv(keys_and_values_of(s)),
        of_y(halves(s.sequences * (s.length - s.past) * s.heads * s.values, 3, 1)),
        documents(documents_of(s)) {
    for (double& number : of_y) number *= s.size;
  }
};

/// y, log-sums, entropies, weights on themselves, and the gradients of queries, and of keys and values, where y has a
/// gradient or the log-sums have one.
template <class B>
std::vector<Numbers> outcome(B& backend, const Sizes& s, const Inputs& in, bool of_log_sum = false) {
  using T = ScalarOf<B>;
  const Index rows = s.sequences * (s.length - s.past), keys = s.sequences * s.length;
  Kept<B> q({rows, s.heads * s.width}, in.q), kv({keys, s.heads * (s.width + s.values)}, in.kv),
      of_y({rows, s.heads * s.values}, in.of_y);
  Storage<int> documents(kFirstSpace<B>);
  documents.assign(in.documents.data(), keys);
  Recording ex(backend);
  const Tensor<T> queries = q.variable(), others = kv.variable();
  Sequences sequences{.length = s.length, .mask = s.mask, .past = s.past};
  if (s.documents > 0) sequences.document = {documents.data(), {keys}};
  const auto result = attention(ex, Columns<T>(queries), Columns<T>(others, 0, s.heads * s.width),
                                Columns<T>(others, s.heads * s.width, s.heads * s.values), sequences, s.heads,
                                1 / (s.size * s.size * std::sqrt(static_cast<double>(s.width))));
  const auto loss = ex.tensor(Shape::scalar(), true);
  Numbers small = halves(rows * s.heads, 4, 1);
  for (double& number : small) number *= 1e-5;
  Kept<B> of_sums({rows, s.heads}, small);
  if (of_log_sum)
    ex.run(Seed<T>{result.log_sum, of_sums.constant(), loss});
  else
    ex.run(Seed<T>{result.y, of_y.constant(), loss});
  ex.backward(loss);
  std::vector<Numbers> all;
  for (const auto* tensor : {&result.y, &result.log_sum, &result.entropy, &result.self})
    all.push_back(numbers(backend, View<T>(*tensor)));
  all.push_back(q.gradient());
  all.push_back(kv.gradient());
  return all;
}

double largest_difference(const Numbers& a, const Numbers& b) {
  double largest = a.size() == b.size() ? 0 : INFINITY;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    largest = std::isfinite(a[i]) ? std::max(largest, std::abs(a[i] - b[i])) : INFINITY;
  return largest;
}

void fill_arena(Cuda<float>& cuda, int byte) {
  constexpr std::size_t kChunk = std::size_t{1} << 20, kChunks = 128;
  cuda.begin_step();
  const ArenaScope scope(cuda.device_arena());
  for (std::size_t i = 0; i < kChunks; ++i)
    require_cuda(cudaMemset(cuda.device_arena().allocate(kChunk), byte, kChunk), "test");
  require_cuda(cudaDeviceSynchronize(), "test");
}

}  // namespace

TEST_CASE("attention in two-byte floats equals the CPU's in double, from the same factors") {
  Cuda<float> cuda;
  if (!cuda.has_wgmma()) return;
  for (const Sizes& s : kSizes) {
    Cpu<double> cpu({.threads = 16});
    const Inputs in(s);
    const auto expected = outcome(cpu, s, in), actual = outcome(cuda, s, in);
    const double logit = 1e-5 * (1 + std::abs(s.offset) / 10 + 3 * s.growth);
    INFO(std::string(s.name), ": y ", distance(actual[0], expected[0]), ", log-sum ",
         largest_difference(actual[1], expected[1]), ", entropy ", largest_difference(actual[2], expected[2]),
         ", self ", largest_difference(actual[3], expected[3]), ", dq ", distance(actual[4], expected[4]),
         ", dk and dv ", distance(actual[5], expected[5]));
    for (const Numbers& numbers : expected) REQUIRE(largest_difference(numbers, Numbers(numbers.size())) > 0);
    CHECK(distance(actual[0], expected[0]) <= 1e-3);
    CHECK(largest_difference(actual[1], expected[1]) <= 2 * logit);
    CHECK(largest_difference(actual[2], expected[2]) <= 10 * logit);
    CHECK(largest_difference(actual[3], expected[3]) <= 2 * logit);
    const double slope = 2e-3 * (1 + s.growth);  // sharp rows: small differences
    // What all keys share cancels in dq = Σ dS k, but for the eleven bits that dS keeps.
    const double shared = s.offset * std::sqrt(static_cast<double>(s.width)) / 32;
    CHECK(distance(actual[4], expected[4]) <= slope + shared * 0x1p-11);
    CHECK(distance(actual[5], expected[5]) <= slope);
    fill_arena(cuda, 0xff);
    CHECK_MESSAGE(outcome(cuda, s, in) == actual, s.name, ": in memory full of NaN other bits");
  }
}

TEST_CASE("gradients of log-sums, which neither dy nor v bounds, are not lost") {
  Cuda<float> cuda;
  Cpu<double> cpu;
  const Sizes s{"log-sums", 1, 512, 1, 64, 64};
  const Inputs in(s);
  const auto expected = outcome(cpu, s, in, true), actual = outcome(cuda, s, in, true);
  for (const std::size_t of : {4, 5}) {
    CAPTURE(of);
    REQUIRE(largest_difference(expected[of], Numbers(expected[of].size())) > 0);
    CHECK(distance(actual[of], expected[of]) <= 2e-3);
  }
}

TEST_CASE("attention in two-byte floats has the same bits a thousand times") {
  Cuda<float> cuda;
  if (!cuda.has_wgmma()) return;
  const Sizes s{"odd", 2, 501, 3, 50, 50, Mask::causal, 0, 30};
  const Inputs in(s);
  const auto first = outcome(cuda, s, in);
  for (int i = 1; i < 1000; ++i) REQUIRE(outcome(cuda, s, in) == first);
}
