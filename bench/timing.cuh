#pragma once

#include <algorithm>
#include <vector>

#include <neuroinhib/cuda.cuh>

/// Random numbers of the given deviation, on the device.
inline void fill_randomly(neuroinhib::Cuda<float>& cuda, const neuroinhib::View<float>& target, std::uint32_t stream,
                          float deviation) {
  const neuroinhib::RandomStream random{1, 0, stream};
  const neuroinhib::View<float> values = target;
  cuda.parallel_for(values.size(),
                    [=] __device__(neuroinhib::Index i) { values[i] = deviation * random.normal<float>(i); });
}

/// Median milliseconds of a call.
template <class Call>
double median(neuroinhib::Cuda<float>& cuda, const Call& call) {
  constexpr int kRepeats = 9;
  cudaEvent_t begin, end;
  neuroinhib::require_cuda(cudaEventCreate(&begin), "timing");
  neuroinhib::require_cuda(cudaEventCreate(&end), "timing");
  for (int i = 0; i < 3; ++i) call();
  std::vector<float> times(kRepeats);
  for (float& time : times) {
    neuroinhib::require_cuda(cudaEventRecord(begin, cuda.cuda_stream()), "timing");
    call();
    neuroinhib::require_cuda(cudaEventRecord(end, cuda.cuda_stream()), "timing");
    neuroinhib::require_cuda(cudaEventSynchronize(end), "timing");
    neuroinhib::require_cuda(cudaEventElapsedTime(&time, begin, end), "timing");
  }
  std::nth_element(times.begin(), times.begin() + kRepeats / 2, times.end());
  return static_cast<double>(times[kRepeats / 2]);
}
