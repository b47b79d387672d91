// Thrust beside the backend: its algorithms inside a step, its vectors as tensors, our spaces as its allocators.

#include <neuroinhib/thrust.cuh>

#include <thrust/reduce.h>
#include <thrust/sequence.h>
#include <thrust/sort.h>

#include "cuda/support.cuh"

using namespace testing;

TEST_CASE("a Thrust vector is a tensor without a copy, and a tensor a Thrust range") {
  Cuda<float> cuda;
  thrust::device_vector<float> vector(12);
  const Tensor<float> x = tensor(vector, {3, 4});
  CHECK(x.data == thrust::raw_pointer_cast(vector.data()));
  with_thrust(cuda, [&](const auto& policy) { thrust::sequence(policy, device_begin(x), device_end(x)); });
  CHECK(cuda.read(View<float>(x))[11] == 11);
  const auto y = scale(cuda, x, 2);
  CHECK(thrust::reduce(thrust::cuda::par.on(cuda.cuda_stream()), device_begin(y), device_end(y)) == 132);
  check_error<ShapeError>([&] { (void)tensor(vector, {5, 4}); }, {"20 values", "12"});
}

TEST_CASE("a Thrust vector lives in our memory space") {
  Cuda<float> cuda;
  const SpaceAllocator<float> space(cuda.space());
  thrust::device_vector<float, SpaceAllocator<float>> vector(5, 3.0f, space);
  CHECK(numbers(cuda, View<float>(tensor(vector, {5}))) == Numbers{3, 3, 3, 3, 3});
  auto copy = vector;
  copy.push_back(4);
  CHECK(copy[5] == 4);
}

TEST_CASE("Thrust's algorithms run in the step's order and memory, captured too") {
  const auto sorted = [](bool captured) {
    Cuda<float> cuda;
    Kept<Cuda<float>> x({5000}, Values<double>({5000}, 1).values);
    View<float> result;
    const auto step = [&] {
      Recording ex(cuda);
      const auto doubled = scale(ex, x.constant(), 2);
      with_thrust(cuda, [&](const auto& policy) { thrust::sort(policy, device_begin(doubled), device_end(doubled)); });
      result = scale(ex, doubled, .5);
    };
    step();
    const std::size_t peak = cuda.peak_bytes();
    if (captured) {
      const CudaGraph graph = cuda.capture(step);
      cuda.replay(graph);
      CHECK(cuda.peak_bytes() == peak);
    }
    return numbers(cuda, result);
  };
  auto expected = Values<float>({5000}, 1).values;
  std::sort(expected.begin(), expected.end());
  CHECK(sorted(false) == Numbers(expected.begin(), expected.end()));
  CHECK(sorted(true) == Numbers(expected.begin(), expected.end()));
}
