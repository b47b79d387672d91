// Runs the CUDA tests where there is a GPU; elsewhere says so and counts as skipped. Their names are listed anywhere.

#define DOCTEST_CONFIG_IMPLEMENT
#include <cuda_runtime.h>

#include <doctest/doctest.h>
#include <cstdio>
#include <string_view>

int main(int argc, char** argv) {
  constexpr int kSkipped = 77;
  const bool lists = argc > 1 && std::string_view(argv[1]).starts_with("--list");
  int devices = 0;
  const cudaError_t status = cudaGetDeviceCount(&devices);
  if (!lists && (status != cudaSuccess || devices == 0)) {
    std::printf("skipped: no CUDA device (%s)\n", cudaGetErrorString(status));
    return kSkipped;
  }
  return doctest::Context(argc, argv).run();
}
