#pragma once

#include <algorithm>
#include <utility>
#include <vector>

namespace vision {

/// Area under the curve of precision over recall, with the outliers to be found by their larger scores; scores that are
/// equal are found together. ImageNet-O's measure, with minus the largest probability as the score.
[[nodiscard]] inline double average_precision(const std::vector<double>& outliers, const std::vector<double>& inliers) {
  std::vector<std::pair<double, bool>> all;
  for (const double score : outliers) all.emplace_back(score, true);
  for (const double score : inliers) all.emplace_back(score, false);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  double area = 0, found = 0;
  for (std::size_t i = 0; i < all.size();) {
    double gained = 0;
    const double score = all[i].first;
    for (; i < all.size() && all[i].first == score; ++i) gained += all[i].second;
    found += gained;
    area += gained * found / static_cast<double>(i);
  }
  return found > 0 ? area / found : 0;
}

}  // namespace vision
