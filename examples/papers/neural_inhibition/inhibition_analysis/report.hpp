#pragma once

#include <string>
#include <vector>

#include <neuroinhib/analysis/neurons.hpp>
#include <neuroinhib/data/image_set.hpp>

#include "../../results.hpp"
#include "../../verdicts.hpp"
#include "rows.hpp"
#include "settings.hpp"

namespace inhibition_analysis {

using neuroinhib::Index;

/// What one run says of the paper's two figures.
struct RunMeasures {
  std::vector<double> sizes, gates;  ///< [neurons] |c_i| and mean gates
  neuroinhib::NeuronKinds kinds;
  double number_common = 0;
  double gate_of_common = 0, gate_of_discriminative = 0;  ///< means of the mean gates of each kind
  double slope = 0;                                       ///< correlation of |c_i| with the mean gate: figure 2
  double preference = 0;                                  ///< suppression_preference: figure 3
  double below = 0;  ///< share of figure 3's points below y = x, without those of no and of all neurons
};

/// The measures from a run's entry in results.json, or from its part "untrained", which has the same names.
RunMeasures measures_of(const nlohmann::json& run);

/// Thresholds of figure 3: 0 to 1, finely spaced.
std::vector<double> thresholds();

/// The finished runs of the experiment, and how they are shown: results.json, the table in Markdown and on the
/// terminal, and the paper's figures 1 to 3 with masks over neurons and samples.
class Report {
 public:
  /// Takes up the finished runs of an earlier call where it resumes. Throws FormatError for a damaged results.json,
  /// ConfigError for one of other settings.
  Report(const papers::OutputFolder& folder, const Settings& settings, const neuroinhib::data::ImageSet& set,
         const std::string& machine);

  [[nodiscard]] bool has(const std::string& row, Index seed) const { return results_.has(row, seed); }
  /// Adds a run, saves results.json and says what the run showed.
  void add(nlohmann::json run);
  /// Writes verdicts and figures to results.json, table.md and, where gnuplot is installed, the pictures; prints the
  /// table.
  void show();

 private:
  /// The runs of a row by seed, and what they say.
  [[nodiscard]] std::vector<nlohmann::json> runs_of(const Row& row) const;
  [[nodiscard]] std::vector<RunMeasures> measured(const Row& row) const;
  [[nodiscard]] std::string table() const;
  /// What the paper reads from its figures, of each row. It gives no numbers, so that only the direction is judged.
  [[nodiscard]] std::vector<papers::Comparison> comparisons() const;
  [[nodiscard]] papers::Circumstances circumstances() const;

  // pictures.cpp
  /// Figures 2 and 3 as a page of results draws them.
  [[nodiscard]] nlohmann::json figures() const;
  /// The pictures' title.
  [[nodiscard]] std::string titled(const std::string& what) const;
  /// What figures 2 and 3 draw, a panel for each row: its points and its band.
  template <class Points, class Band>
  [[nodiscard]] std::string panels(const Points& points_of, const Band& band_of) const;
  /// figure1: images of the set.
  void draw_examples() const;
  /// figure2: mean gates over |c_i|, each neuron of each seed, with means and bands over seeds.
  void draw_gates() const;
  /// figure3: suppressed common and discriminative neurons, with bands over seeds.
  void draw_suppressed() const;
  /// masks: gates over neurons and images, of the lowest seed.
  void draw_masks() const;

  const neuroinhib::data::ImageSet& set_;
  std::string command_;
  papers::Results results_;
};

}  // namespace inhibition_analysis
