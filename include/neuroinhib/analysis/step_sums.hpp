#pragma once

#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include <neuroinhib/analysis/correlation.hpp>
#include <neuroinhib/ops/arithmetic/op.hpp>

/// Moments and correlations of a batch made on its backend: no step waits for them, and they may be captured. Only
/// analyse() brings the sums, a few numbers a column, to the host.
namespace neuroinhib {

/// ColumnMoments of a batch, on the backend until the next step begins.
template <class T>
struct MomentSums {
  Index rows = 0;     ///< of the batch
  Tensor<T> origin;   ///< [1, columns] the first row
  Tensor<T> offset;   ///< [1, columns] the mean's distance from it
  Tensor<T> squares;  ///< [1, columns] Σ (x − mean)²
  Tensor<T> centred;  ///< [rows, columns] x − mean
};

/// Correlation of a batch, on the backend until the next step begins.
template <class T>
struct CorrelationSums {
  MomentSums<T> features;  ///< [rows, neurons]
  MomentSums<T> label;     ///< [rows, 1]
  Tensor<T> products;      ///< [1, neurons] Σ (f_i − mean f_i)(t − mean t)
};

/// The moments of x [rows, …], read as a matrix. No gradient passes. Throws ShapeError for an empty batch.
template <Executor Ex>
[[nodiscard]] MomentSums<ScalarOf<Ex>> column_moments(Ex& ex, const TensorOf<Ex>& x) {
  require_rows("column moments", x.shape);
  const auto matrix = x.detached().reshaped({x.rows(), x.cols()});
  auto origin = matrix;
  origin.shape = {1, x.cols()};
  const auto distance = subtract(ex, matrix, origin);
  const auto offset = column_means(ex, distance);
  const auto centred = subtract(ex, distance, offset);
  return {x.rows(), origin, offset, column_sums(ex, multiply(ex, centred, centred)), centred};
}

/// The sums of Correlation for features [rows, neurons] and labels [rows]. No gradient passes. Throws ShapeError.
template <Executor Ex>
[[nodiscard]] CorrelationSums<ScalarOf<Ex>> correlation(Ex& ex, const TensorOf<Ex>& features,
                                                        const TensorOf<Ex>& labels) {
  require_shape("correlation, labels", {features.rows()}, {labels.size()}, "pass a label for each row of this batch");
  const auto f = column_moments(ex, features), t = column_moments(ex, labels.reshaped({labels.size(), 1}));
  return {f, t, column_sums(ex, multiply(ex, f.centred, t.centred))};
}

namespace detail {

/// One row of sums on the host. Throws NumericError where a column's is not finite.
template <class B, class T>
[[nodiscard]] std::vector<double> read_sums(B& backend, const Tensor<T>& sums, std::string_view where) {
  const std::vector<T> values = backend.read(View<T>(sums));
  for (std::size_t c = 0; c < values.size(); ++c)
    if (!std::isfinite(static_cast<double>(values[c])))
      fail<NumericError>(where, "finite numbers", number_text(values[c]) + " as a sum of column " + std::to_string(c),
                         "find the step that made NaN or infinity, with Recording::require_finite()");
  return {values.begin(), values.end()};
}

}  // namespace detail

/// The moments on the host: waits for the device, where the backend is one. Throws NumericError for NaN or infinity.
template <class B, class T>
[[nodiscard]] ColumnMoments analyse(B& backend, const MomentSums<T>& sums) {
  const auto read = [&](const Tensor<T>& row) { return detail::read_sums(backend, row, "column moments"); };
  return {static_cast<double>(sums.rows), read(sums.origin), read(sums.offset), read(sums.squares)};
}

/// The same of a correlation.
template <class B, class T>
[[nodiscard]] Correlation analyse(B& backend, const CorrelationSums<T>& sums) {
  return {analyse(backend, sums.features), analyse(backend, sums.label),
          detail::read_sums(backend, sums.products, "correlation")};
}

}  // namespace neuroinhib
