#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "../../picture.hpp"
#include "../../words.hpp"
#include "report.hpp"

namespace inhibition_analysis {

using namespace papers;

namespace {

/// Numbers of one line of a gnuplot data block.
std::string line(std::initializer_list<double> numbers) {
  std::string text;
  for (const double number : numbers) text += (text.empty() ? "" : " ") + shortest(number);
  return text + "\n";
}

/// A named data block of parts, which gnuplot calls indices.
std::string block(const std::string& name, const std::vector<std::string>& parts) {
  std::string text = "$" + name + " << EOD\n";
  for (const std::string& part : parts) text += part + "\n\n";
  return text + "EOD\n";
}

/// Neurons from the most common to the most discriminative.
std::vector<std::size_t> by_size(const RunMeasures& m) {
  std::vector<std::size_t> order(m.sizes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return m.sizes[a] < m.sizes[b]; });
  return order;
}

/// Of so many neurons in the order of |c|, from the first-th on: mean |c| and mean gate.
std::pair<double, double> group_means(const RunMeasures& m, const std::vector<std::size_t>& order, std::size_t first,
                                      std::size_t count) {
  std::pair<double, double> means;
  for (std::size_t i = first; i < first + count; ++i) {
    means.first += m.sizes[order[i]] / static_cast<double>(count);
    means.second += m.gates[order[i]] / static_cast<double>(count);
  }
  return means;
}

/// Lines of groups of neurons: mean |c|, mean gate, mean − deviation, mean + deviation over the runs.
std::string gate_band(const std::vector<RunMeasures>& runs) {
  constexpr std::size_t kGroups = 8;
  std::string lines;
  for (std::size_t g = 0; g < kGroups; ++g) {
    std::vector<double> sizes, gates;
    for (const RunMeasures& m : runs) {
      const std::size_t count = m.sizes.size() / kGroups;
      const auto [size, gate] = group_means(m, by_size(m), g * count, count);
      sizes.push_back(size);
      gates.push_back(gate);
    }
    const Summary x(sizes), y(gates);
    lines += line({x.mean, y.mean, y.mean - y.deviation, y.mean + y.deviation});
  }
  return lines;
}

/// Lines of thresholds: threshold, then mean, mean − deviation, mean + deviation over the runs of the share of common
/// neurons that are suppressed, and the same of discriminative ones.
std::string suppressed_band(const std::vector<RunMeasures>& runs) {
  std::string lines;
  for (const double threshold : thresholds()) {
    std::vector<double> common, discriminative;
    for (const RunMeasures& m : runs) {
      const auto point = neuroinhib::suppressed_neurons(m.kinds, m.gates, std::vector{threshold}).front();
      const auto share = [](Index some, Index all) {
        return all > 0 ? static_cast<double>(some) / static_cast<double>(all) : 0.0;
      };
      common.push_back(share(point.common, m.kinds.number_common()));
      discriminative.push_back(share(point.discriminative, m.kinds.number_discriminative()));
    }
    const Summary c(common), d(discriminative);
    lines += line({threshold, c.mean, c.mean - c.deviation, c.mean + c.deviation, d.mean, d.mean - d.deviation,
                   d.mean + d.deviation});
  }
  return lines;
}

/// gnuplot's list of the rows that a picture shows, and their number.
std::string definitions(const std::vector<std::string>& titles) {
  std::string text = "array titles[" + std::to_string(titles.size()) + "]\n";
  for (std::size_t i = 0; i < titles.size(); ++i)
    text += "titles[" + std::to_string(i + 1) + "] = " + for_gnuplot(titles[i]) + "\n";
  return text + "rows = " + std::to_string(titles.size()) + "\n";
}

/// A chart of a page of results.
nlohmann::json chart(const std::string& title, const std::string& note, const char* x, const char* y) {
  return {{"kind", "lines"},     {"title", title},      {"note", note},
          {"x", {{"title", x}}}, {"y", {{"title", y}}}, {"series", nlohmann::json::array()}};
}

}  // namespace

std::string Report::titled(const std::string& what) const {
  const auto& s = results_.settings();
  const auto epochs = s.at("epochs").get<Index>();
  return "title = " + for_gnuplot(what) + ".\"\\n\"." +
         for_gnuplot("recipe " + s.at("recipe").get<std::string>() + ", " + s.at("data").get<std::string>() + ", " +
                     readable(s.at("samples").get<Index>()) + " samples, " + readable(epochs) +
                     (epochs == 1 ? " epoch" : " epochs")) +
         "\n";
}

nlohmann::json Report::figures() const {
  auto charts = nlohmann::json::array();
  for (const Row& row : kRows) {
    const auto runs = measured(row);
    if (runs.empty()) continue;
    auto gates = chart(std::string(row.title) + ": mean gate over correlation (figure 2)", "each neuron of each seed",
                       "absolute c (eq. 5)", "mean gate");
    auto suppressed = chart(std::string(row.title) + ": suppressed neurons over thresholds (figure 3)",
                            "each seed; below y = x more common than discriminative ones", "suppressed common neurons",
                            "suppressed discriminative neurons");
    for (std::size_t seed = 0; seed < runs.size(); ++seed) {
      const RunMeasures& m = runs[seed];
      const std::string name = "seed " + std::to_string(seed);
      gates["series"].push_back({{"name", name}, {"x", m.sizes}, {"y", m.gates}, {"points", true}});
      nlohmann::json series{{"name", name}, {"x", nlohmann::json::array()}, {"y", nlohmann::json::array()}};
      for (const auto& point : neuroinhib::suppressed_neurons(m.kinds, m.gates, thresholds())) {
        series["x"].push_back(point.common);
        series["y"].push_back(point.discriminative);
      }
      suppressed["series"].push_back(std::move(series));
    }
    charts.push_back(std::move(gates));
    charts.push_back(std::move(suppressed));
  }
  return charts;
}

void Report::draw_examples() const {
  constexpr Index kAcross = 10, kDown = 2;  // rows of each kind
  std::vector<std::string> lines(static_cast<std::size_t>(2 * kDown * set_.height));
  Index shown[2] = {0, 0};
  for (Index i = 0; i < set_.count(); ++i) {
    const auto kind = set_.kinds[static_cast<std::size_t>(i)];
    const Index place = shown[kind];
    if (place == kAcross * kDown) continue;
    ++shown[kind];
    for (Index y = 0; y < set_.height; ++y)
      for (Index x = 0; x < set_.width; ++x)
        lines[static_cast<std::size_t>((kind * kDown + place / kAcross) * set_.height + y)] +=
            std::to_string(set_.image(i)[static_cast<std::size_t>(y * set_.width + x)]) + " ";
  }
  std::string pixels;
  for (const std::string& row : lines) pixels += row + "\n";
  draw(results_.folder(), "figure1", "800,400",
       titled("Images of the mixed-numbers set: handwritten digits, and squares") + block("pixels", {pixels}), R"(
set title title
set palette gray
unset colorbox
unset tics
unset border
set yrange [*:*] reverse
plot $pixels matrix with image notitle
)");
}

template <class Points, class Band>
std::string Report::panels(const Points& points_of, const Band& band_of) const {
  std::vector<std::string> titles, points, bands;
  for (const Row& row : kRows) {
    const auto runs = measured(row);
    if (runs.empty()) continue;
    titles.emplace_back(row.title);
    points.push_back(points_of(runs));
    bands.push_back(band_of(runs));
  }
  return definitions(titles) + block("points", points) + block("bands", bands);
}

void Report::draw_gates() const {
  const auto points = [](const std::vector<RunMeasures>& runs) {
    std::string part;
    for (std::size_t seed = 0; seed < runs.size(); ++seed)
      for (std::size_t i = 0; i < runs[seed].sizes.size(); ++i)
        part += line({runs[seed].sizes[i], runs[seed].gates[i], static_cast<double>(seed)});
    return part;
  };
  draw(results_.folder(), "figure2", "1200,480",
       titled("Mean gate of each neuron over its correlation with the kind of image (figure 2)") +
           panels(points, gate_band),
       R"(
set multiplot layout 1,rows title title margins .06,.98,.28,.82 spacing .02,.1
set grid
set xrange [0:1]
set xtics .2
set yrange [-.03:1.03]
set xlabel '|c|, Pearson (eq. 5)'
set ylabel 'mean gate'
set style fill transparent solid .3 noborder
set key at screen .58, .165
do for [row = 1 : rows] {
set title titles[row]
plot $points index row - 1 using 1:2 with points pointtype 7 pointsize .3 linecolor rgb '#a0a0a0' title 'a neuron of a seed', \
     $bands index row - 1 using 1:3:4 with filledcurves linecolor rgb '#0072b2' title 'its deviation over seeds', \
     $bands index row - 1 using 1:2 with linespoints pointtype 7 pointsize .6 linewidth 2 linecolor rgb '#0072b2' title 'mean of 16 neurons by |c|'
set ylabel ''
set ytics format ''
unset key
}
unset multiplot
)");
}

void Report::draw_suppressed() const {
  const auto points = [](const std::vector<RunMeasures>& runs) {
    std::string part;
    for (const RunMeasures& m : runs) {
      if (!part.empty()) part += "\n";  // begins a line of its own
      for (const auto& point : neuroinhib::suppressed_neurons(m.kinds, m.gates, thresholds()))
        part += line({static_cast<double>(point.common), static_cast<double>(point.discriminative)});
    }
    return part;
  };
  draw(results_.folder(), "figure3", "1200,760",
       titled("Suppressed neurons over thresholds of the mean gate (figure 3); bands: one deviation over seeds") +
           panels(points, suppressed_band),
       R"(
set multiplot layout 2,rows title title margins .06,.98,.14,.86 spacing .02,.14
set grid
set style fill transparent solid .25 noborder
unset key
set xrange [0:128]
set yrange [0:128]
set xlabel 'suppressed common neurons'
set ylabel 'suppressed discriminative neurons'
do for [row = 1 : rows] {
set title titles[row]
plot x with lines dashtype 2 linecolor rgb '#606060', \
     $points index row - 1 using 1:2 with linespoints pointtype 7 pointsize .3 linecolor rgb '#0072b2'
set ylabel ''
set ytics format ''
}
set key at screen .56, .06
set xrange [0:1]
set yrange [0:1]
set xlabel 'threshold'
set ylabel 'share of its kind'
set ytics format '%g'
do for [row = 1 : rows] {
set title ''
plot $bands index row - 1 using 1:3:4 with filledcurves linecolor rgb '#009e73' notitle, \
     $bands index row - 1 using 1:6:7 with filledcurves linecolor rgb '#d55e00' notitle, \
     $bands index row - 1 using 1:2 with lines linewidth 2 linecolor rgb '#009e73' title 'common neurons', \
     $bands index row - 1 using 1:5 with lines linewidth 2 linecolor rgb '#d55e00' title 'discriminative neurons'
set ylabel ''
set ytics format ''
unset key
}
unset multiplot
)");
}

void Report::draw_masks() const {
  std::vector<std::string> titles, parts;
  for (const Row& row : kRows) {
    const auto runs = runs_of(row);
    if (runs.empty()) continue;
    titles.emplace_back(row.title);
    std::string& part = parts.emplace_back();
    for (const std::size_t neuron : by_size(measures_of(runs.front()))) {
      for (const char* kind : {"digit_masks", "square_masks"})
        for (const auto& mask : runs.front().at(kind))
          part += shortest(std::stoi(mask.get<std::string>().substr(2 * neuron, 2), nullptr, 16) / 255.0) + " ";
      part += "\n";
    }
  }
  draw(results_.folder(), "masks", "1200,520",
       titled("Gates of the lowest seed: neurons, the most discriminative on top, over test images") +
           definitions(titles) + block("masks", parts),
       R"(
set multiplot layout 1,rows title title margins .06,.92,.14,.82 spacing .02,.1
set palette defined (0 '#440154', 1 '#3b528b', 2 '#21918c', 3 '#5ec962', 4 '#fde725')
set cbrange [0:1]
set cblabel 'gate'
unset colorbox
set xtics ('32 digits' 15.5, '32 squares' 47.5)
set ylabel 'neuron, by |c|'
set yrange [-.5:127.5]
set xrange [-.5:63.5]
do for [row = 1 : rows] {
set title titles[row]
if (row == rows) { set colorbox user origin .935,.14 size .012,.68 }
plot $masks index row - 1 matrix with image notitle
set ylabel ''
set ytics format ''
}
unset multiplot
)");
}

}  // namespace inhibition_analysis
