#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <neuroinhib/analysis/moments.hpp>

/// Which neurons tell what the input is: Pearson's correlation of each column of activations with a label.
namespace neuroinhib {

/// Sums over rows of features f [rows, neurons] and labels t [rows], for eq. 5 of Neural Inhibition.
struct Correlation {
  ColumnMoments features, label;  ///< sums of the neurons, and of the label
  std::vector<double> products;   ///< [neurons] Σ (f_i − mean f_i)(t − mean t)

  /// Adds other rows of the same neurons. Throws ShapeError where there are more or fewer neurons.
  Correlation& operator+=(const Correlation& other) {
    if (other.label.rows == 0) return *this;
    if (label.rows == 0) return *this = other;
    detail::require_same_width("correlation", products.size(), other.products.size());
    const double weight = label.rows * (other.label.rows / (label.rows + other.label.rows));
    const double step = label.step_to(other.label, 0);
    for (std::size_t i = 0; i < products.size(); ++i)
      products[i] += other.products[i] + features.step_to(other.features, i) * step * weight;
    features += other.features;
    label += other.label;
    return *this;
  }

  /// c_i [neurons], from −1 to 1; 0 for a neuron that never changes, since it tells nothing. Throws NumericError where
  /// all labels are the same.
  [[nodiscard]] std::vector<double> coefficients() const {
    if (label.rows == 0 || label.squares[0] == 0)
      fail<NumericError>("correlation", "labels of at least two values",
                         label.rows == 0 ? "no rows" : "the label " + number_text(label.mean()[0]) + " in all rows",
                         "add rows of another kind of input");
    std::vector<double> c;
    for (std::size_t i = 0; i < products.size(); ++i) {
      const double scale = std::sqrt(features.squares[i]) * std::sqrt(label.squares[0]);
      c.push_back(scale > 0 ? std::clamp(products[i] / scale, -1.0, 1.0) : 0.0);
    }
    return c;
  }
};

/// The sums of a batch on the host: features [rows, neurons], labels [rows] of any numeric type. Throws ShapeError
/// unless there is a label for each row, NumericError for NaN or infinity.
template <class T, class L>
[[nodiscard]] Correlation correlation(const View<T>& features, const View<L>& labels) {
  require_rows("correlation", features.shape);
  if (labels.size() != features.rows())
    fail<ShapeError>("correlation", "a label for each of " + std::to_string(features.rows()) + " rows",
                     std::to_string(labels.size()), "pass the labels of this batch");
  const View<L> label(labels.data, {labels.size(), 1});
  Correlation sums{column_moments(features), column_moments(label), {}};
  const auto distance = [](const auto& x, Index row, Index column, const ColumnMoments& moments) {
    const auto c = static_cast<std::size_t>(column);
    return static_cast<double>(x.data[row * x.cols() + column]) - moments.origin[c] - moments.offset[c];
  };
  sums.products.resize(sums.features.origin.size());
  for (Index row = 0; row < features.rows(); ++row)
    for (Index i = 0; i < features.cols(); ++i)
      sums.products[static_cast<std::size_t>(i)] +=
          distance(features, row, i, sums.features) * distance(label, row, 0, sums.label);
  return sums;
}

}  // namespace neuroinhib
