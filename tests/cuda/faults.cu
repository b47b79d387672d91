// What goes wrong on the GPU shows: NaN from the device, indices that point nowhere, batches beyond a grid's extents,
// memory of another device.

#include <thread>

#include <neuroinhib/data/cuda_image_set.cuh>

#include "cuda/support.cuh"

using namespace testing;

TEST_CASE("a NaN made on the device stays one in every product, in every precision") {
  for (const Precision precision : {Precision::tf32, Precision::bf16, Precision::strict}) {
    for (const Precision routing : {Precision::strict, Precision::tf32}) {
      Cuda<float> cuda({.precision = precision, .routing = routing});
      CAPTURE(cuda.describe());
      for (const Index width : {36, 33}) {  // numbers travel in fours, or one by one
        auto x = numbers_of({70, width}, 1), w = numbers_of({40, width}, 2), experts = numbers_of({2, 40, width}, 3);
        auto bias = numbers_of({2, 40}, 4);
        spoil(cuda, x.constant().data + 5 * width + 3);
        const auto row = [](Index i) { return i == 5; };
        check_nan_rows(cuda, linear(cuda, x.constant(), w.constant()), row);
        check_nan_rows(cuda, linear(cuda, x.constant(), w.constant(), {}, LinearUse::routing), row);
        const auto plan = every_expert(cuda, 70, 2).plan;  // slots of expert 0 first
        check_nan_rows(
            cuda, grouped_linear(cuda, x.constant(), experts.constant(), bias.constant(), plan, ExpertRows::tokens),
            [](Index i) { return i % 70 == 5; });
        cuda.begin_step();
      }
    }
  }
}

TEST_CASE("a NaN made on the device stays one in convolutions of every kind") {
  struct Kind {
    const char* name;
    Index in, out, kernel, size;
  };
  for (const Kind& kind :
       {Kind{"one channel", 1, 8, 3, 12}, Kind{"one channel in tiles", 1, 16, 3, 12}, Kind{"general", 3, 5, 3, 9},
        Kind{"in fours", 4, 8, 4, 9}, Kind{"image in shared memory", 64, 32, 4, 12},
        Kind{"image in shared memory, odd height", 64, 32, 3, 12}}) {
    CAPTURE(kind.name);
    Cuda<float> cuda;
    auto x = numbers_of({3, kind.size, kind.size, kind.in}, 1);
    auto w = numbers_of({kind.out, kind.kernel, kind.kernel, kind.in}, 2), b = numbers_of({kind.out}, 3);
    const Index size = kind.size * kind.size * kind.in;
    float* image = x.constant().data + size;
    spoil(cuda, image);
    cuda.parallel_for(size - 1, [=] __device__(Index i) { image[i + 1] = image[0]; });
    const auto y = conv2d<Cuda<float>>(cuda, x.constant(), w.constant(), b.constant(),
                                       {.activation = Activation::relu, .pool = {.kernel = 3, .stride = 1}});
    check_nan_rows(cuda, y, [](Index i) { return i == 1; });
  }
}

TEST_CASE("a weight that is NaN makes the loss NaN, and the operation is named") {
  Cuda<float> cuda;
  auto x = numbers_of({70, 36}, 1), experts = numbers_of({2, 40, 36}, 3);
  spoil(cuda, experts.constant().data + 7);
  Storage<int> labels(cuda.space());
  const std::vector<int> numbers(140, 1);
  labels.assign(numbers.data(), 140);
  Recording ex(cuda);
  const auto plan = every_expert(ex, 70, 2).plan;
  const auto y = grouped_linear(ex, x.constant(), experts.variable(), {}, plan, ExpertRows::tokens);
  const auto loss = cross_entropy(ex, y, {labels.data(), {140}});
  check_error<NumericError>([&] { ex.require_finite(loss, "test"); }, {"grouped_linear", "NaN"});
}

TEST_CASE("words that are none leave the table's gradient alone and are told") {
  constexpr Index kWords = 8, kWidth = 5, kTokens = 12;
  const std::vector<int> ids{0, 7, -1, 3, 8, 7, -1, 1 << 30, 7, 0, -1, 2};
  const Numbers dy = Values<double>({kTokens, kWidth}, 2).values;
  Numbers expected(kWords * kWidth);
  for (Index row = 0; row < kTokens; ++row)
    if (const int id = ids[static_cast<std::size_t>(row)]; id >= 0 && id < kWords)
      for (Index c = 0; c < kWidth; ++c)
        expected[static_cast<std::size_t>(id * kWidth + c)] += dy[static_cast<std::size_t>(row * kWidth + c)];
  Cuda<double> cuda;
  // The table's gradient lies between guards.
  Kept<Cuda<double>> memory({3, kWords, kWidth}, Numbers(3 * kWords * kWidth, 1));
  Kept<Cuda<double>> table({kWords, kWidth}, Values<double>({kWords, kWidth}, 1).values),
      weights({kTokens, kWidth}, dy);
  bool written = false;
  Tensor<double> variable = table.constant();
  variable.gradient = memory.constant().data + kWords * kWidth;
  variable.gradient_written = &written;
  Storage<int> kept_ids(cuda.space());
  kept_ids.assign(ids.data(), kTokens);
  Recording ex(cuda);
  const auto y = embedding(ex, variable, {}, {kept_ids.data(), {kTokens}}, kTokens);
  ops::Embedding<double> op{variable, {}, y, {kept_ids.data(), {kTokens}}, kTokens, 0, 1};
  op.y.gradient = weights.constant().data;
  detail::run_backward(cuda, op);
  check_error<ConfigError>([&] { cuda.check(); }, {"embedding", "ids from 0"});
  const Numbers all = numbers(cuda, View<double>(memory.constant()));
  for (Index i = 0; i < kWords * kWidth; ++i) {
    CHECK(all[static_cast<std::size_t>(i)] == 1);
    CHECK(all[static_cast<std::size_t>(kWords * kWidth + i)] ==
          doctest::Approx(expected[static_cast<std::size_t>(i)]).epsilon(1e-12));
    CHECK(all[static_cast<std::size_t>(2 * kWords * kWidth + i)] == 1);
  }
}

TEST_CASE("70,000 images at once") {
  constexpr Index kImages = 70000, kSize = 4;
  Cuda<float> cuda;
  const Shape shape{kImages, kSize, kSize, 2};
  Kept<Cuda<float>> x(shape, Numbers(static_cast<std::size_t>(shape.size()), 1));
  float* data = x.constant().data;
  cuda.parallel_for(shape.size(), [=] __device__(Index i) { data[i] = static_cast<float>(i % 1009); });
  Recording ex(cuda);
  const auto pooled = max_pool2d(ex, x.variable(), {.kernel = 2, .stride = 2});
  const auto columns = batch_pool(ex, pooled.reshaped({pooled.size(), 1}), Pooling::mean);
  const auto values = cuda.read(View<float>(pooled));
  bool right = true;
  for (Index i = 0; i < pooled.size(); ++i) {
    const Index c = i % 2, column = i / 2 % 2, row = i / 4 % 2, image = i / 8;
    float largest = 0;
    for (Index k = 0; k < 4; ++k) {
      const Index at = ((image * kSize + 2 * row + k / 2) * kSize + 2 * column + k % 2) * 2 + c;
      largest = std::max(largest, static_cast<float>(at % 1009));
    }
    right = right && values[static_cast<std::size_t>(i)] == largest;
  }
  CHECK(right);
  ex.backward(columns.reshaped(Shape::scalar()));
  const Numbers gradient = x.gradient();
  const double each = 1 / static_cast<double>(pooled.size());
  double total = 0;
  bool only = true;
  for (const double value : gradient) {
    only = only && (value == 0 || value == doctest::Approx(each).epsilon(1e-5));
    total += value;
  }
  CHECK(only);
  CHECK(total == doctest::Approx(1).epsilon(1e-5));

  auto w = numbers_of({3, 2, 2, 2}, 5), b = numbers_of({3}, 6);
  const auto convolved = [&](const Tensor<float>& images) {
    Recording step(cuda);
    const auto y = conv2d(step, images, w.variable(), b.variable(), {.pool = {.kernel = 2, .stride = 1}});
    step.backward(batch_pool(step, y.reshaped({y.size(), 1}), Pooling::mean).reshaped(Shape::scalar()));
    const auto all = numbers(cuda, View<float>(y));
    return Numbers(all.end() - 12, all.end());
  };
  Tensor<float> last = x.constant();
  last.data += (kImages - 1) * kSize * kSize * 2;
  last.shape = {1, kSize, kSize, 2};
  const Numbers expected = convolved(last);
  CHECK(distance(convolved(x.constant()), expected) < 1e-3);
}

TEST_CASE("sums over more rows than a grid has places") {
  constexpr Index kRows = Index{65536} * 512 + 3;
  Cuda<float> cuda;
  const auto ones = cuda.tensor({kRows, 1}, false);
  cuda.fill(ones.data, kRows, 1);
  CHECK(cuda.read(View<float>(batch_pool(cuda, ones, Pooling::mean)))[0] == 1);
}

TEST_CASE("an image that a set does not have is told") {
  data::ImageSet set;
  set.height = set.width = 2;
  set.pixels = {0, 50, 100, 150, 200, 250, 25, 75};
  set.labels = {1, 2};
  set.kinds = {0, 0};
  Cuda<float> cuda;
  const data::CudaImageSet images(set, data::Scaling(set), cuda.space());
  Storage<int> numbers(cuda.space());
  const std::vector<int> wrong{1, 2, -1};
  numbers.assign(wrong.data(), 3);
  const auto batch = images.gather(cuda, numbers.data(), 3, [] __device__(Index b) { return b; });
  check_error<ConfigError>([&] { cuda.check(); }, {"image set", "numbers from 0"});
  check_nan_rows(cuda, batch.images, [](Index i) { return i > 0; });
  CHECK(cuda.read(batch.labels)[0] == 2);
}

TEST_CASE("parameters and tensors in memory that a backend cannot read are refused by name") {
  Cuda<float> cuda;
  Cpu<float> cpu;
  nn::Linear<float> on_host(4, 3), on_device(4, 3);
  Parameters<float> host(on_host, 1), device(on_device, 1, cuda.space());
  auto x = numbers_of({2, 4}, 1);
  Values<float> y({2, 4}, 1);
  const std::string gpu = "memory of GPU 0";
  check_error<ConfigError>([&] { (void)on_host(cuda, x.constant()); }, {"linear", "tensors in " + gpu, "host memory"});
  check_error<ConfigError>([&] { (void)on_device(cuda, y.constant()); },
                           {"linear", "tensors in " + gpu, "host memory"});
  check_error<ConfigError>([&] { (void)on_device(cpu, y.constant()); }, {"linear", "tensors in host memory", gpu});
  Adam<float> adam_of_host(host, {}), adam_of_device(device, {});
  check_error<ConfigError>([&] { adam_of_host.step(cuda, host); }, {"Adam", "parameters in " + gpu, "host memory"});
  check_error<ConfigError>([&] { adam_of_device.step(cpu, device); }, {"Adam", "parameters in host memory", gpu});
  check_error<ConfigError>([&] { clip_gradient_norm(cuda, host, 1); }, {"clipping", gpu, "host memory"});
  cuda.check();
}

TEST_CASE("a span of attention is refused on a GPU, which has no kernels of it") {
  Cuda<float> cuda;
  nn::SpanAttention<float> attention(4, 2);
  const Parameters<float> parameters(attention, 1, cuda.space());
  auto x = numbers_of({6, 4}, 1), positions = numbers_of({5, 2}, 2);
  check_error<ConfigError>([&] { (void)attention(cuda, x.constant(), positions.constant(), {.length = 3}); },
                           {"attention", "no span on a GPU", "Cpu<T>"});
}

TEST_CASE("a backend works on whichever thread uses it, and on its own device") {
  int devices = 0, current = -1;
  require_cuda(cudaGetDeviceCount(&devices), "test");
  require_cuda(cudaSetDevice(0), "test");
  Cuda<float> last({.device = devices - 1}), first;
  const auto norm = [](Cuda<float>& cuda) {
    Kept<Cpu<float>> host({3, 4}, Values<double>({3, 4}, 1).values);
    Storage<float> x(cuda.space()), w(cuda.space());
    x.assign(host.constant().data, 12);
    w.assign(host.constant().data, 12);
    Tensor<float> input, weight;
    input.data = x.data(), weight.data = w.data();
    input.shape = weight.shape = {3, 4};
    cuda.begin_step();
    return cuda.read(View<float>(softmax(cuda, linear(cuda, input, weight))));
  };
  const auto expected = norm(first);
  std::vector<float> there;
  std::thread([&] { there = norm(last); }).join();
  CHECK(there == expected);
  CHECK(norm(last) == expected);
  require_cuda(cudaGetDevice(&current), "test");
  CHECK(current == 0);
  CHECK(&last.space() == &cuda_space(devices - 1));
  CHECK(last.space().text() == "memory of GPU " + std::to_string(devices - 1));
  if (devices > 1) {
    data::ImageSet set;
    set.height = set.width = 1;
    set.pixels = {7, 9};
    set.labels = {0, 0};
    const data::CudaImageSet images(set, data::Scaling(set), first.space());
    check_error<ConfigError>([&] { (void)images.gather(last, nullptr, 1, [] __device__(Index b) { return b; }); },
                             {"GPU 0", "space()"});
  }
}

TEST_CASE("rows whose squares overflow are normalised too, and infinity shows") {
  Cuda<float> cuda;
  Kept<Cuda<float>> x({4, 2}, {3e30, -4e30, 3e38, 3e38, 3, -4, INFINITY, 1});
  const auto y = cuda.read(View<float>(l2_normalise(cuda, x.constant())));
  const std::vector<float> expected{.6f, -.8f, std::sqrt(.5f), std::sqrt(.5f), .6f, -.8f};
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK(y[i] == doctest::Approx(expected[i]));
  for (const std::size_t i : {6, 7}) CHECK(std::isnan(y[i]));
}
