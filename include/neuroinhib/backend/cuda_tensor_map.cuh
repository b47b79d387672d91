#pragma once

#include <cuda.h>
#include <cudaTypedefs.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <neuroinhib/backend/cuda_memory.cuh>
#include <neuroinhib/core/tensor.hpp>

/// Tensor maps: what Hopper's copy engine (TMA) brings boxes of a matrix to shared memory by.
namespace neuroinhib {

/// Matrices in two-byte floats, one behind the other: [matrices, rows, columns], the rows without gaps. What a box
/// reads beyond any of the three extents is zero.
struct HalfMatrices {
  const void* data;  ///< __nv_bfloat16 or __half: boxes are copied bit by bit
  Index matrices, rows, columns;

  [[nodiscard]] bool operator==(const HalfMatrices&) const = default;
};

namespace detail {

/// Numbers of a swizzled row in shared memory: 128 bytes.
inline constexpr int kSwizzleWidth = 64;

/// The driver's function, asked for once: programs need not link the driver's library.
[[nodiscard]] inline PFN_cuTensorMapEncodeTiled_v12000 tensor_map_encoder() {
  const DriverLock lock(driver());
  static const auto encoder = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
    constexpr const char* kName = "cuTensorMapEncodeTiled";
#if CUDART_VERSION >= 12050
    require_cuda(cudaGetDriverEntryPointByVersion(kName, &function, 12000, cudaEnableDefault, &found), "tensor map");
#else
    require_cuda(cudaGetDriverEntryPoint(kName, &function, cudaEnableDefault, &found), "tensor map");
#endif
    if (found != cudaDriverEntryPointSuccess || function == nullptr)
      fail<CudaError>("tensor map", "a driver that makes tensor maps", "one that does not",
                      "install a driver for CUDA 12 or later");
    return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function);
  }();
  return encoder;
}

/// Boxes of `box_rows` ≤ 256 rows and 64 columns, swizzled by 128 bytes. Data must begin at a multiple of 16 bytes, and
/// `columns` be a multiple of 8. Throws CudaError.
[[nodiscard]] inline CUtensorMap encode_tensor_map(const HalfMatrices& m, int box_rows) {
  CUtensorMap map;
  const auto extent = [](Index i) { return static_cast<cuuint64_t>(i); };
  const std::array<cuuint64_t, 3> extents{extent(m.columns), extent(m.rows), extent(m.matrices)};
  const std::array<cuuint64_t, 2> strides{extent(2 * m.columns), extent(2 * m.columns * m.rows)};
  const std::array<cuuint32_t, 3> box{kSwizzleWidth, static_cast<cuuint32_t>(box_rows), 1}, steps{1, 1, 1};
  const CUresult status = tensor_map_encoder()(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 3, const_cast<void*>(m.data),
                                               extents.data(), strides.data(), box.data(), steps.data(),
                                               CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                               CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (status != CUDA_SUCCESS)
    fail<CudaError>("tensor map", "columns in multiples of 8 and data at a multiple of 16 bytes",
                    std::to_string(m.matrices) + " matrices of " + std::to_string(m.rows) + " × " +
                        std::to_string(m.columns) + " at address " +
                        std::to_string(reinterpret_cast<std::uintptr_t>(m.data)) + ", refused with CUresult " +
                        std::to_string(static_cast<int>(status)),
                    "use widths in multiples of 8");
  return map;
}

/// The tensor maps of a backend, each made once.
class TensorMaps {
 public:
  [[nodiscard]] const CUtensorMap& of(const HalfMatrices& matrices, int box_rows) {
    for (const Entry& entry : entries_)
      if (entry.matrices == matrices && entry.box_rows == box_rows) return entry.map;
    if (entries_.size() == kMax) entries_.clear();
    return entries_.emplace_back(Entry{encode_tensor_map(matrices, box_rows), matrices, box_rows}).map;
  }

 private:
  static constexpr std::size_t kMax = 1024;
  struct Entry {
    CUtensorMap map;
    HalfMatrices matrices;
    int box_rows;
  };
  std::vector<Entry> entries_;
};

}  // namespace detail
}  // namespace neuroinhib
