#pragma once

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/gemm/cuda.cuh>
#include <neuroinhib/ops/linear/cuda_narrow.cuh>
#include <neuroinhib/ops/linear/op.hpp>

namespace neuroinhib::ops {

/// C [m, n] (+)= op(A) op(B), all row-major, through cuBLAS: a transposed factor is stored [k, m], or [n, k]. `exact`:
/// in float throughout, whatever the backend's precision.
template <class T, class Factor>
void blas_gemm(Cuda<T>& cuda, bool transpose_a, bool transpose_b, Index m, Index n, Index k,
               const gemm::Rows<Factor>& a, const gemm::Rows<Factor>& b, T* c, bool add, bool exact = false) {
  constexpr bool kDouble = std::is_same_v<T, double>, kRounded = !std::is_same_v<T, Factor>;
  constexpr cudaDataType kType = kDouble ? CUDA_R_64F : CUDA_R_32F, kFactor = kRounded ? CUDA_R_16BF : kType;
  const cublasComputeType_t compute = kDouble                                          ? CUBLAS_COMPUTE_64F
                                      : kRounded                                       ? CUBLAS_COMPUTE_32F
                                      : exact || cuda.precision() == Precision::strict ? CUBLAS_COMPUTE_32F_PEDANTIC
                                                                                       : CUBLAS_COMPUTE_32F_FAST_TF32;
  const T one = 1, beta = add ? T{1} : T{0};
  // Column-major, the library sees the transposes: Cᵀ = op(B)ᵀ op(A)ᵀ.
  const auto lead = [](Index extent) { return static_cast<int>(extent); };
  cuda.uses(a.data, b.data, c);
  const detail::DriverLock lock(detail::driver());
  require_cuda(
      cublasGemmEx(cuda.blas(), transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N, transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N,
                   lead(n), lead(m), lead(k), &one, b.data, kFactor, lead(b.stride), a.data, kFactor, lead(a.stride),
                   &beta, c, kType, lead(n), compute, CUBLAS_GEMM_DEFAULT),
      "cuBLAS product");
}

/// Calls multiply(matrices…) in the numbers that the backend multiplies this layer's factors in.
template <class T, class Multiply, class... Matrices>
void with_layer_factors(Cuda<T>& cuda, const Linear<T>& op, const Multiply& multiply, const Matrices&... matrices) {
  if (op.use == LinearUse::routing)
    multiply(matrices...);
  else
    gemm::with_factors(cuda, multiply, matrices...);
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
  const bool biased = op.bias.defined(), exact = op.use == LinearUse::routing && cuda.routes_exactly();
  if constexpr (std::is_same_v<T, float>) {
    if (exact && narrow::suits(cuda, rows, out)) {
      gemm::Alignment alignment;
      alignment.pointer(op.x.data).pointer(op.weight.data).multiple(in);
      const float* const bias = biased ? op.bias.data : nullptr;
      return narrow::multiply(
          cuda, narrow::Product{op.x.data, op.weight.data, bias, op.y.data, rows, in, out, alignment.four});
    }
  }
  if (biased) cuda.parallel_grid(rows, out, [=] __device__(Index row, Index c) { op.y[row * out + c] = op.bias[c]; });
  const auto multiply = [&](const auto& x, const auto& w) {
    blas_gemm(cuda, false, true, rows, out, in, x, w, op.y.data, biased, exact);
  };
  with_layer_factors(cuda, op, multiply, gemm::plain_rows<T>(op.x.data, rows, in),
                     gemm::plain_rows<T>(op.weight.data, out, in));
}

template <class T>
void backward(Cuda<T>& cuda, const Linear<T>& op) {
  const Index in = op.weight.shape[1], out = op.weight.shape[0], rows = op.x.rows();
  const auto multiply = [&](const auto& dy, const auto& x, const auto& w) {
    const auto dw = op.weight.claim_gradient(), db = op.bias.claim_gradient();
    if (dw || db)
      cuda.write_beside(rows * in * out, {dw.data, db.data}, [&] {
        if (dw) blas_gemm(cuda, true, false, out, in, rows, dy, x, dw.data, dw.add);
        if (db) sum_rows<T>(cuda, rows, out, op.y.gradient, db);
      });
    if (const auto dx = op.x.claim_gradient()) blas_gemm(cuda, false, false, rows, in, out, dy, w, dx.data, dx.add);
    if (op.weight.space == nullptr || !std::is_same_v<T, typename std::remove_cvref_t<decltype(x)>::Scalar>)
      cuda.join();  // the weight is a result itself, or what was rounded goes with this operation
  };
  with_layer_factors(cuda, op, multiply, gemm::plain_rows<T>(op.y.gradient, rows, out),
                     gemm::plain_rows<T>(op.x.data, rows, in), gemm::plain_rows<T>(op.weight.data, out, in));
}

}  // namespace neuroinhib::ops
