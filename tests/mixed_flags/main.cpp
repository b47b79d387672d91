#include <cstdio>

double layer_nvcc();
double layer_plain();
double layer_openmp();
double layer_native();
double layer_native_openmp();
double attention_plain();
double attention_openmp();
double attention_native();
double attention_native_openmp();

int main() {
  int wrong = 0;
  const auto check = [&](const char* unit, double error) {
    std::printf("%s: %g\n", unit, error);
    wrong += error < 1e-4 ? 0 : 1;
  };
#if HAS_NVCC
  check("layer_nvcc", layer_nvcc());
#endif
  check("layer_plain", layer_plain());
  check("layer_openmp", layer_openmp());
  check("layer_native", layer_native());
  check("layer_native_openmp", layer_native_openmp());
  check("attention_plain", attention_plain());
  check("attention_openmp", attention_openmp());
  check("attention_native", attention_native());
  check("attention_native_openmp", attention_native_openmp());
  return wrong;
}
