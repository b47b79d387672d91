// Runs the CUDA tests where there is a GPU; elsewhere says so and counts as skipped.

#define DOCTEST_CONFIG_IMPLEMENT
#include <cuda_runtime.h>

#include <doctest/doctest.h>
#include <cstdio>

int main(int argc, char** argv) {
  constexpr int kSkipped = 77;
  int devices = 0;
  const cudaError_t status = cudaGetDeviceCount(&devices);
  if (status != cudaSuccess || devices == 0) {
    std::printf("skipped: no CUDA device (%s)\n", cudaGetErrorString(status));
    return kSkipped;
  }
  return doctest::Context(argc, argv).run();
}
