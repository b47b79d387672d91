#include "support.hpp"

using namespace testing;

namespace {

struct Small {
  nn::Linear<float> a{3, 2};
  void visit(auto&& v) { v("a", a); }
};
struct Large {
  nn::Linear<float> before{5, 5}, a{3, 2};
  std::array<nn::Linear<float>, 2> more{{{2, 2}, {2, 2, false}}};
  void visit(auto&& v) {
    v("before", before);
    v("a", a);
    v("more", more);
  }
};

}  // namespace

TEST_CASE("a view is made from whatever has its elements in a row") {
  std::vector<int> words{3, 1, 2};
  const std::vector<int> labels{0, 1};
  const std::array<int, 2> few{4, 5};
  const auto last = [](const View<const int>& view) { return view[view.size() - 1]; };
  CHECK(last(words) == 2);
  CHECK(last(labels) == 1);
  CHECK(last(few) == 5);
  const auto first = std::span(words).first(2);
  CHECK(last(first) == 1);
  CHECK(View<int>(words).shape == Shape{3});
  static_assert(!std::convertible_to<std::vector<float>&, View<const int>>);
  static_assert(!std::convertible_to<const std::vector<int>&, View<int>>);
  static_assert(!std::convertible_to<std::vector<int>, View<int>>);
}

TEST_CASE("a Storage is filled from host values, and is a tensor in its own space") {
  const std::vector<float> values{1, 2, 3, 4, 5, 6};
  Storage<float> kept(kSpaceOf<HostMemory>, values);
  const Tensor<float> x = tensor(kept, {2, 3});
  CHECK(x(1, 0) == 4);
  CHECK(x.space == &kept.space());
  check_error<ShapeError>([&] { (void)tensor(kept, {2, 2}); }, {"4 values for [2, 2]", "got 6"});
}

TEST_CASE("a shape counts, prints and splits into rows and columns") {
  const Shape images{2, 3, 4, 5};
  CHECK(images.size() == 120);
  CHECK(images.rows() == 2);
  CHECK(images.cols() == 60);
  CHECK(images.text() == "[2, 3, 4, 5]");
  CHECK(Shape::scalar().size() == 1);
  CHECK(Shape{}.size() == 0);
  CHECK(Shape{0, 7}.cols() == 7);
  check_error<ShapeError>([] { (void)Shape{1, 2, 3, 4, 5}; }, {"at most 4", "got 5"});
}

TEST_CASE("a tensor refuses a shape of another size") {
  Values<float> x({2, 3}, 1);
  CHECK(x.constant().reshaped({6}).shape == Shape{6});
  check_error<ShapeError>([&] { (void)x.constant().reshaped({4}); }, {"6 elements", "[4]"});
  check_error<ShapeError>([&] { (void)tensor(x.values, {7}); }, {"7 values", "got 6"});
}

TEST_CASE("an arena gives the same addresses in every step, aligned") {
  Arena<> arena;
  const std::vector<std::size_t> sizes{10, 5000, 1 << 20, 3 << 20, 1};
  std::vector<void*> first;
  for (int step = 0; step < 4; ++step) {
    arena.reset();
    std::vector<void*> addresses;
    for (const std::size_t size : sizes) {
      addresses.push_back(arena.allocate(size));
      const ArenaScope scope(arena);
      addresses.push_back(arena.allocate(2 * size));
    }
    for (void* address : addresses) CHECK(reinterpret_cast<std::uintptr_t>(address) % HostMemory::kAlignment == 0);
    if (step == 0) first = addresses;
    CHECK(addresses == first);
  }
  CHECK(arena.peak_bytes() >= (4u << 20));
}

TEST_CASE("an arena scope gives back what was taken inside it") {
  Arena<> arena;
  (void)arena.allocate(64);
  void* inside = nullptr;
  {
    const ArenaScope scope(arena);
    inside = arena.allocate(64);
  }
  CHECK(arena.allocate(64) == inside);
}

TEST_CASE("Philox gives the words of its authors' known-answer test") {
  using Words = RandomWords;
  CHECK(philox({0, 0, 0, 0}, 0) == Words{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u});
  CHECK(philox({~0u, ~0u, ~0u, ~0u}, ~std::uint64_t{0}) == Words{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu});
  CHECK(philox({0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}, 0x299f31d0a4093822u) ==
        Words{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u});
}

TEST_CASE("random streams have the moments of their laws and differ by seed, step and stream") {
  const RandomStream stream{1, 2, 3};
  double mean = 0, square = 0, uniform = 0;
  constexpr Index kCount = 40000;
  for (Index i = 0; i < kCount; ++i) {
    const auto n = stream.normal<double>(i);
    mean += n / kCount;
    square += n * n / kCount;
    uniform += stream.uniform<double>(i) / kCount;
  }
  CHECK(std::abs(mean) < 0.02);
  CHECK(std::abs(square - 1) < 0.03);
  CHECK(std::abs(uniform - 0.5) < 0.01);
  CHECK(stream.word(5) != RandomStream{2, 2, 3}.word(5));
  CHECK(stream.word(5) != RandomStream{1, 3, 3}.word(5));
  CHECK(stream.word(5) != RandomStream{1, 2, 4}.word(5));
}

TEST_CASE("initialisers keep the bounds and deviations of torch.nn.init") {
  const auto spread = [](const Initializer& init) {
    Values<double> x({20000}, 0);
    init.fill(View<double>(x.constant()), RandomStream{9, 0, 1});
    double square = 0, largest = 0;
    for (const double v : x.values) {
      square += v * v / 20000;
      largest = std::max(largest, std::abs(v));
    }
    return std::pair(std::sqrt(square), largest);
  };
  CHECK(spread(init::fan_in_uniform(100)).second <= 0.1);
  CHECK(spread(init::fan_in_uniform(100)).second > 0.0999);
  CHECK(spread(init::kaiming_normal(50)).first == doctest::Approx(std::sqrt(2.0 / 50)).epsilon(0.03));
  CHECK(spread(init::kaiming_uniform(50)).first == doctest::Approx(std::sqrt(2.0 / 50)).epsilon(0.03));
  CHECK(spread(init::xavier_uniform(30, 70)).first == doctest::Approx(std::sqrt(2.0 / 100)).epsilon(0.03));
  CHECK(spread(init::xavier_normal(30, 70)).first == doctest::Approx(std::sqrt(2.0 / 100)).epsilon(0.03));
  CHECK(spread(init::truncated_normal(0.5)).second <= 1.0);
  CHECK(spread(init::constant(3)).first == doctest::Approx(3));
}

TEST_CASE("parameters are named, flat, and initialised independently of their neighbours") {
  Small small;
  Large large;
  Parameters<float> p(small, 4), q(large, 4);
  CHECK(p.count() == 8);
  CHECK(q.count() == 30 + 8 + 6 + 4);
  std::vector<std::string> names;
  for (const auto& entry : q.entries()) names.push_back(entry.name);
  CHECK(names == std::vector<std::string>{"before.weight", "before.bias", "a.weight", "a.bias", "more.0.weight",
                                          "more.0.bias", "more.1.weight"});
  CHECK(distance(p["a.weight"].data, q["a.weight"].data, 6) == 0);
  CHECK(q["a.weight"].data >= q.values().begin());
  CHECK(q["a.weight"].data + 6 <= q.values().end());
  check_error<ConfigError>([&] { (void)q["b.weight"]; }, {"b.weight"});
}

TEST_CASE("the backend says what it is, and refuses a negative number of threads") {
  CHECK(Cpu<double>({.threads = 3}).describe().find("3 threads, double") != std::string::npos);
  check_error<ConfigError>([] { Cpu<float> cpu({.threads = -1}); }, {"threads ≥ 0", "-1"});
}
