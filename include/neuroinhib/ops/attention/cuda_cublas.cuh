#pragma once

#include <algorithm>

#include <neuroinhib/backend/cuda.cuh>
#include <neuroinhib/ops/attention/cuda_flash.cuh>

/// Flash attention with wide keys or values: its products are worth cuBLAS. A band of queries against all keys they see
/// is written to the step's memory, kBand numbers at the most, whatever the sequence's length.
namespace neuroinhib::ops::flash {

inline constexpr Index kBand = Index{1} << 24;

/// Whether products are in float throughout: in strict precision, and where routing decides by them.
template <class T>
[[nodiscard]] bool is_exact(const Cuda<T>& cuda, const FlashAttention<T>& s) {
  return cuda.precision() == Precision::strict || (s.routing && cuda.routes_exactly());
}

template <class T>
[[nodiscard]] bool is_wide(const FlashAttention<T>& s) {
  return std::max(s.key_width, s.value_width) > kWidest;
}

/// A batch of matrices: rows `stride` apart, matrices `batch` apart.
template <class T>
struct Matrices {
  T* data;
  Index stride, batch;
};

/// c (+)= op(a) op(b) for each of `count`; c [m, n], row-major. `exact`: in float throughout, whatever the backend's
/// precision.
template <class T>
void multiply_each(Cuda<T>& cuda, Index count, bool transpose_a, bool transpose_b, Index m, Index n, Index k,
                   const Matrices<const T>& a, const Matrices<const T>& b, const Matrices<T>& c, bool add,
                   bool exact = false) {
  constexpr bool kDouble = std::is_same_v<T, double>;
  constexpr cudaDataType kType = kDouble ? CUDA_R_64F : CUDA_R_32F;
  const cublasComputeType_t compute = kDouble                                          ? CUBLAS_COMPUTE_64F
                                      : exact || cuda.precision() == Precision::strict ? CUBLAS_COMPUTE_32F_PEDANTIC
                                                                                       : CUBLAS_COMPUTE_32F_FAST_TF32;
  const T one = 1, beta = add ? T{1} : T{0};
  const auto extent = [](Index i) { return static_cast<int>(i); };
  cuda.uses(a.data, b.data, c.data);
  const detail::DriverLock lock(detail::driver());
  // Column-major, the library sees the transposes: Cᵀ = op(B)ᵀ op(A)ᵀ.
  require_cuda(
      cublasGemmStridedBatchedEx(cuda.blas(), transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N,
                                 transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N, extent(n), extent(m), extent(k), &one, b.data,
                                 kType, extent(b.stride), b.batch, a.data, kType, extent(a.stride), a.batch, &beta,
                                 c.data, kType, extent(c.stride), c.batch, extent(count), compute, CUBLAS_GEMM_DEFAULT),
      "cuBLAS products");
}

/// Queries [q, q_end) of one head of `count` sequences from `sequence` on, with the keys that they see.
struct Band {
  Index head, sequence, count, q, q_end, keys, stride;

  NEUROINHIB_DEVICE [[nodiscard]] Index queries() const { return q_end - q; }
  NEUROINHIB_DEVICE [[nodiscard]] Index rows() const { return count * queries(); }
  [[nodiscard]] Index size() const { return rows() * stride; }
};

/// Calls visit(band) for all bands, in order.
template <class T, class Visit>
void for_each_band(const FlashAttention<T>& s, const Visit& visit) {
  constexpr Index kStep = 64;
  const Visibility& sight = s.sight;
  const auto padded = [](Index keys) { return (keys + 3) / 4 * 4; };
  Index height = std::min(std::max(kBand / padded(sight.keys) / kStep * kStep, kStep), sight.queries);
  // Shorter bands see fewer keys.
  if (sight.mask == Mask::causal) height = std::min(height, std::max<Index>(512, sight.queries / 8 / kStep * kStep));
  for (Index q = 0; q < sight.queries; q += height) {
    const Index q_end = std::min(sight.queries, q + height), keys = sight.keys_until(q_end);
    const Index at_once = std::max<Index>(1, kBand / ((q_end - q) * padded(keys)));
    for (Index sequence = 0; sequence < sight.count; sequence += at_once)
      for (Index head = 0; head < s.heads; ++head)
        visit(Band{head, sequence, std::min(at_once, sight.count - sequence), q, q_end, keys, padded(keys)});
  }
}

/// Rows of a band, or of its keys, in the operands.
template <class T, class U>
[[nodiscard]] Matrices<T> queries_of(const FlashAttention<U>& s, const Band& band, const HeadRows<T>& rows) {
  return {rows.at(band.sequence * s.sight.queries + band.q, band.head), rows.stride, s.sight.queries * rows.stride};
}
template <class T, class U>
[[nodiscard]] Matrices<T> keys_of(const FlashAttention<U>& s, const Band& band, const HeadRows<T>& rows) {
  return {rows.at(band.sequence * s.sight.key_rows, band.head), rows.stride, s.sight.key_rows * rows.stride};
}

/// One row of a band, for kernels.
template <class T>
struct BandRow {
  Index head, sequence, query, out;  ///< out: the row of y
  T* numbers;
  const FlashAttention<T>& s;

  __device__ BandRow(const FlashAttention<T>& attention, const Band& band, Index row, T* buffer)
      : head(band.head),
        sequence(band.sequence + row / band.queries()),
        query(band.q + row % band.queries()),
        out(sequence * attention.sight.queries + query),
        numbers(buffer + row * band.stride),
        s(attention) {}
  /// The logit of a product; −∞ where it is hidden.
  __device__ T logit(Index key, T product) const {
    if (!s.sight.sees(sequence, query, key)) return static_cast<T>(-INFINITY);
    return product * s.scale + (s.bias ? *s.bias.at(sequence * s.sight.key_rows + key, head) : T{0});
  }
};

/// ⟨q_i, k_j⟩ of a band.
template <class T>
void multiply_band(Cuda<T>& cuda, const FlashAttention<T>& s, const Band& band, T* products) {
  multiply_each<T>(cuda, band.count, false, true, band.queries(), band.keys, s.key_width, queries_of(s, band, s.q),
                   keys_of(s, band, s.k), {products, band.stride, band.queries() * band.stride}, false,
                   is_exact(cuda, s));
}

/// Products into exp(S − largest), with what the rows are summed up in.
template <class T>
void softmax_band(Cuda<T>& cuda, const FlashAttention<T>& s, const Band& band, T* products, T* sums) {
  const bool keep = s.value_width > 0;
  cuda.parallel_rows(band.rows(), band.keys, [=] __device__(Index i, const detail::Team<T>& team) {
    const BandRow<T> row(s, band, i, products);
    T largest = static_cast<T>(-INFINITY), sum = 0, moment = 0;
    for (Index key = team.lane; key < band.keys; key += team.size)
      largest = max(largest, row.logit(key, row.numbers[key]));
    largest = team.max(largest);
    for (Index key = team.lane; key < band.keys; key += team.size) {
      const T distance = row.logit(key, row.numbers[key]) - largest;
      const T weight = exp(distance);
      sum += weight;
      if (weight > 0) moment += weight * distance;
      if (s.self && key == s.sight.past + row.query) *s.self.at(row.out, row.head) = weight;
      if (keep) row.numbers[key] = weight;
    }
    sum = team.sum(sum);
    moment = team.sum(moment);
    if (team.lane == 0) {
      sums[i] = sum;
      *s.log_sum.at(row.out, row.head) = largest + log(sum);
      if (s.entropy) *s.entropy.at(row.out, row.head) = positive_part(log(sum) - moment / sum);
    }
  });
}

template <class T>
void forward_bands(Cuda<T>& cuda, const FlashAttention<T>& s) {
  for_each_band(s, [&](const Band& band) {
    const ArenaScope scope(cuda.device_arena());
    T *products = cuda.template kernel_memory<T>(band.size()), *sums = cuda.template kernel_memory<T>(band.rows());
    multiply_band(cuda, s, band, products);
    softmax_band(cuda, s, band, products, sums);
    if (s.value_width > 0)
      multiply_each<T>(cuda, band.count, false, false, band.queries(), s.value_width, band.keys,
                       {products, band.stride, band.queries() * band.stride}, keys_of(s, band, s.v),
                       queries_of(s, band, s.y), false, is_exact(cuda, s));
    const Index width = s.value_width;
    cuda.parallel_grid(band.rows(), width + 1, [=] __device__(Index i, Index c) {
      const BandRow<T> row(s, band, i, products);
      if (c < width)
        s.y.at(row.out, row.head)[c] /= sums[i];
      else if (s.self)
        *s.self.at(row.out, row.head) /= sums[i];
    });
  });
}

/// P of a band into `weights`, and dS, times the scale, into `slopes`; `slopes` holds ⟨dy_i, v_j⟩ where there are
/// values.
template <class T>
void softmax_band_backward(Cuda<T>& cuda, const FlashAttention<T>& s, const FlashGradient<T>& g, const Band& band,
                           T* weights, T* slopes) {
  const bool values = s.value_width > 0;
  cuda.parallel_rows(band.rows(), band.keys, [=] __device__(Index i, const detail::Team<T>& team) {
    const BandRow<T> row(s, band, i, weights);
    T* of_row = slopes + i * band.stride;
    const T log_sum = *g.log_sum.at(row.out, row.head), delta = *g.delta.at(row.out, row.head);
    const Index label = g.label != nullptr ? g.label[row.out] : -1;
    T total = 0;
    for (Index key = team.lane; key < band.keys; key += team.size) {
      const T weight = exp(row.logit(key, row.numbers[key]) - log_sum);
      T slope = weight * ((values ? of_row[key] : T{0}) - delta);
      if (key == label) slope += delta;
      if (values) row.numbers[key] = weight;
      of_row[key] = slope;
      total += slope;
    }
    if (!g.row_sum) return;
    total = team.sum(total);
    if (team.lane == 0) *g.row_sum.at(row.out, row.head) = total;
  });
}

/// A slot to which parts are added: what is not there yet is zero.
template <class T>
[[nodiscard]] HeadSlot<T> zeroed_for_adding(Cuda<T>& cuda, HeadSlot<T> slot, Index rows, Index heads, Index width) {
  if (slot && !slot.add)
    cuda.parallel_grid(rows, heads * width,
                       [=] __device__(Index row, Index c) { slot.at(row, c / width)[c % width] = 0; });
  slot.add = true;
  return slot;
}

template <class T>
void backward_bands(Cuda<T>& cuda, const FlashAttention<T>& s, const FlashGradient<T>& g) {
  const Index keys = s.sight.count * s.sight.key_rows;
  // q and k may be the same rows: whoever comes first stores, and then dk is added to dq.
  const HeadSlot<T> dq = zeroed_for_adding(cuda, g.dq, s.rows(), s.heads, s.key_width),
                    dk = zeroed_for_adding(cuda, g.dk, keys, s.heads, s.key_width),
                    dv = zeroed_for_adding(cuda, g.dv, keys, s.heads, s.value_width),
                    dbias = zeroed_for_adding(cuda, g.dbias, keys, s.heads, 1);
  for_each_band(s, [&](const Band& band) {
    const ArenaScope scope(cuda.device_arena());
    const Index rows = band.queries();
    T* weights = cuda.template kernel_memory<T>(band.size());
    T* slopes = s.value_width > 0 ? cuda.template kernel_memory<T>(band.size()) : weights;
    const Matrices<const T> of_weights{weights, band.stride, rows * band.stride},
        of_slopes{slopes, band.stride, rows * band.stride};
    multiply_band(cuda, s, band, weights);
    if (s.value_width > 0)
      multiply_each<T>(cuda, band.count, false, true, rows, band.keys, s.value_width, queries_of(s, band, g.dy),
                       keys_of(s, band, s.v), {slopes, band.stride, rows * band.stride}, false);
    softmax_band_backward(cuda, s, g, band, weights, slopes);
    if (dbias) {
      const Index stride = band.stride, head = band.head;
      for (Index sequence = 0; sequence < band.count; ++sequence) {
        const T* first = slopes + sequence * rows * stride;
        const Index key = (band.sequence + sequence) * s.sight.key_rows;
        cuda.sum_columns(
            rows, band.keys, [=] __device__(Index row, Index c) { return first[row * stride + c]; },
            [=] __device__(Index c, T sum) { dbias.put(key + c, head, 0, sum); });
      }
    }
    if (s.scale != 1) cuda.parallel_for(band.size(), [=, scale = s.scale] __device__(Index i) { slopes[i] *= scale; });
    if (dq)
      multiply_each<T>(cuda, band.count, false, false, rows, s.key_width, band.keys, of_slopes, keys_of(s, band, s.k),
                       queries_of<T>(s, band, dq), true);
    if (dk)
      multiply_each<T>(cuda, band.count, true, false, band.keys, s.key_width, rows, of_slopes, queries_of(s, band, s.q),
                       keys_of<T>(s, band, dk), true);
    if (dv)
      multiply_each<T>(cuda, band.count, true, false, band.keys, s.value_width, rows, of_weights,
                       queries_of(s, band, g.dy), keys_of<T>(s, band, dv), true);
  });
}

}  // namespace neuroinhib::ops::flash
