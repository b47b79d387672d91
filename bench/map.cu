// Operations from one functor beside kernels written by hand, on the GPU.
//   map_cuda

#include "timing.cuh"

#include "map.hpp"

int main() {
  neuroinhib::Cuda<float> cuda;
  const auto milliseconds = [&](const auto& call) { return median(cuda, call); };
  for (const neuroinhib::Shape& shape : {neuroinhib::Shape{8192, 4096}, neuroinhib::Shape{1024, 1024}})
    bench::compare_all(cuda, shape, milliseconds);
}
