#include <cstdio>
#include <neuroinhib/cuda.cuh>

float layer_output(neuroinhib::Cuda<float>& cuda);

int main() {
  try {
    neuroinhib::Cuda<float> cuda;
    return layer_output(cuda) == layer_output(cuda) ? 0 : 1;
  } catch (const neuroinhib::CudaError& error) {
    std::printf("no GPU: %s\n", error.what());
    return 0;
  }
}
