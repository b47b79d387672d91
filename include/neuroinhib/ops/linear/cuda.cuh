#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/linear/op.hpp>

namespace neuroinhib::ops {

/// C [m, n] (+)= op(A) op(B), all row-major, through cuBLAS: a transposed factor is stored [k, m], or [n, k].
template <class T>
void blas_product(Cuda<T>& cuda, bool transpose_a, bool transpose_b, Index m, Index n, Index k, const T* a, const T* b,
                  T* c, bool add) {
  constexpr bool kDouble = sizeof(T) == 8;
  constexpr cudaDataType kType = kDouble ? CUDA_R_64F : CUDA_R_32F;
  const cublasComputeType_t compute = kDouble                                 ? CUBLAS_COMPUTE_64F
                                      : cuda.precision() == Precision::strict ? CUBLAS_COMPUTE_32F_PEDANTIC
                                                                              : CUBLAS_COMPUTE_32F_FAST_TF32;
  const T one = 1, beta = add ? T{1} : T{0};
  // Column-major, the library sees the transposes: Cᵀ = op(B)ᵀ op(A)ᵀ.
  const auto lead = [](Index extent) { return static_cast<int>(extent); };
  const detail::DriverLock lock(detail::driver());
  require_cuda(
      cublasGemmEx(cuda.blas(), transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N, transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N,
                   lead(n), lead(m), lead(k), &one, b, kType, lead(transpose_b ? k : n), a, kType,
                   lead(transpose_a ? m : k), &beta, c, kType, lead(n), compute, CUBLAS_GEMM_DEFAULT),
      "cuBLAS product");
}

/// db = Σ_rows dy.
template <class T>
void sum_rows(Cuda<T>& cuda, Index rows, Index columns, const T* dy, const GradientSlot<T>& db) {
  cuda.sum_columns(
      rows, columns, [=] __device__(Index row, Index c) { return dy[row * columns + c]; },
      [=] __device__(Index c, T sum) { db.put(c, sum); });
}

template <class T>
void forward(Cuda<T>& cuda, const Linear<T>& op) {
  const Index in = op.weight.shape[1], out = op.weight.shape[0], rows = op.x.rows();
  const bool biased = op.bias.defined();
  if (biased) cuda.parallel_grid(rows, out, [=] __device__(Index row, Index c) { op.y[row * out + c] = op.bias[c]; });
  blas_product(cuda, false, true, rows, out, in, op.x.data, op.weight.data, op.y.data, biased);
}

template <class T>
void backward(Cuda<T>& cuda, const Linear<T>& op) {
  const Index in = op.weight.shape[1], out = op.weight.shape[0], rows = op.x.rows();
  const T* dy = op.y.gradient;
  const auto of_x = [&] {
    if (const auto dx = op.x.gradient_slot())
      blas_product(cuda, false, false, rows, in, out, dy, op.weight.data, dx.data, dx.add);
  };
  const auto of_parameters = [&] {
    if (const auto dw = op.weight.gradient_slot())
      blas_product(cuda, true, false, out, in, rows, dy, op.x.data, dw.data, dw.add);
    if (const auto db = op.bias.gradient_slot()) sum_rows(cuda, rows, out, dy, db);
  };
  cuda.side_by_side(rows * in * out, of_x, of_parameters);
}

}  // namespace neuroinhib::ops
