#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <neuroinhib/core/tensor.hpp>

/// Means and spreads of columns over any number of batches: gate means, scores, entropies.
namespace neuroinhib {

namespace detail {

/// Throws NumericError for NaN or infinity, with its place.
template <class T>
void require_finite_rows(std::string_view where, const View<T>& rows) {
  for (Index i = 0; i < rows.size(); ++i)
    if (!std::isfinite(static_cast<double>(rows[i])))
      fail<NumericError>(
          where, "finite numbers",
          number_text(rows[i]) + " in row " + std::to_string(i / rows.cols()) + ", column " +
              std::to_string(i % rows.cols()),
          "find the step that made it, with Recording::require_finite(), before you analyse the model's activations");
}

/// Throws ShapeError unless what is added is as wide as what it is added to.
inline void require_same_width(std::string_view where, std::size_t width, std::size_t other) {
  if (other != width)
    fail<ShapeError>(where, "width " + std::to_string(width) + ", as before", std::to_string(other),
                     "analyse each layer with an estimator of its own");
}

}  // namespace detail

/// What is known of rows [rows, columns] after one pass. The sums of a batch come from two passes over it, those of
/// several batches from the formula of Chan, Golub and LeVeque (1979). Means are kept as distances from a row of the
/// data, so that large ones cost no digits, and a column of equal numbers has that mean and no spread, exactly.
struct ColumnMoments {
  double rows = 0;
  std::vector<double> origin;   ///< [columns] the first row
  std::vector<double> offset;   ///< [columns] the mean's distance from the origin
  std::vector<double> squares;  ///< [columns] Σ (x − mean)²

  /// Adds other rows. Throws ShapeError where they are not as wide.
  ColumnMoments& operator+=(const ColumnMoments& other) {
    if (other.rows == 0) return *this;
    if (rows == 0) return *this = other;
    detail::require_same_width("column moments", offset.size(), other.offset.size());
    const double share = other.rows / (rows + other.rows);
    for (std::size_t c = 0; c < offset.size(); ++c) {
      const double step = step_to(other, c);
      squares[c] += other.squares[c] + step * step * (rows * share);
      offset[c] += step * share;
    }
    rows += other.rows;
    return *this;
  }
  /// The other mean minus this one.
  [[nodiscard]] double step_to(const ColumnMoments& other, std::size_t column) const {
    return (other.origin[column] - origin[column]) + (other.offset[column] - offset[column]);
  }

  [[nodiscard]] std::vector<double> mean() const {
    std::vector<double> means = origin;
    for (std::size_t c = 0; c < means.size(); ++c) means[c] += offset[c];
    return means;
  }
  /// [columns] of all rows, without Bessel's correction: the σ of eq. 5.
  [[nodiscard]] std::vector<double> deviation() const {
    std::vector<double> deviations;
    for (const double sum : squares) deviations.push_back(std::sqrt(sum / rows));
    return deviations;
  }
};

/// The moments of a batch x [rows, columns] on the host. Throws ShapeError for an empty one, NumericError for NaN or
/// infinity.
template <class T>
[[nodiscard]] ColumnMoments column_moments(const View<T>& x) {
  require_rows("column moments", x.shape);
  detail::require_finite_rows("column moments", x);
  const auto columns = static_cast<std::size_t>(x.cols());
  ColumnMoments moments{static_cast<double>(x.rows()),
                        {x.data, x.data + columns},
                        std::vector<double>(columns),
                        std::vector<double>(columns)};
  std::vector<double> rest(columns);  // Σ (x − mean), which rounding leaves
  const auto each = [&](const auto& visit) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(x.size()); ++i)
      visit(i % columns, static_cast<double>(x.data[i]) - moments.origin[i % columns]);
  };
  each([&](std::size_t c, double distance) { rest[c] += distance; });
  for (std::size_t c = 0; c < columns; ++c) moments.offset[c] = std::exchange(rest[c], 0) / moments.rows;
  each([&](std::size_t c, double distance) {
    rest[c] += distance - moments.offset[c];
    moments.squares[c] += (distance - moments.offset[c]) * (distance - moments.offset[c]);
  });
  for (std::size_t c = 0; c < columns; ++c)
    moments.squares[c] = std::max(moments.squares[c] - rest[c] * rest[c] / moments.rows, 0.0);
  return moments;
}

}  // namespace neuroinhib
