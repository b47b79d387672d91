#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <neuroinhib/io/file.hpp>

#include "results.hpp"

namespace papers {

/// A text between a quoting program's single quotes; `quote` stands for one within.
inline std::string in_quotes(const std::string& text, const std::string& quote) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? quote : std::string(1, c);
  return quoted + "'";
}
inline std::string for_gnuplot(const std::string& text) {
  return in_quotes(text, "''");
}

/// Draws NAME.png and NAME.svg in the output folder, and leaves NAME.gnuplot, which draws them again. `definitions` are
/// gnuplot's variables and data, `commands` draw one picture of `size` pixels, such as "1000,500". Without gnuplot, or
/// where it refuses, says so.
inline void draw(const OutputFolder& folder, const std::string& name, const std::string& size,
                 const std::string& definitions, const std::string& commands) {
  const std::string script = name + ".gnuplot";
  neuroinhib::io::write_file(folder.file(script), definitions + "do for [type in \"pngcairo svg\"] {\nreset\n" +
                                                      "set terminal type noenhanced size " + size +
                                                      " font 'Sans,11' background rgb 'white'\nset output '" + name +
                                                      ".'.type[1:3]\n" + commands + "unset output\n}\n");
  const std::string command =
      "cd " + in_quotes(folder.path().string(), R"('\'')") + " && gnuplot " + script + " 2>/dev/null";
  if (std::system(command.c_str()) == 0)
    std::printf("picture in %s and .svg\n", folder.file(name + ".png").c_str());
  else if (std::system("command -v gnuplot >/dev/null") == 0)
    std::printf("no picture: gnuplot refuses %s; run it in %s to see why\n", script.c_str(), folder.path().c_str());
  else
    std::printf("no picture: install gnuplot, and run it in %s on %s\n", folder.path().c_str(), script.c_str());
}

/// Draws charts of lines over whole numbers, as results.json has them in its figures, side by side: NAME.png and
/// NAME.svg. A series has one colour in all of them.
inline void draw_lines(const OutputFolder& folder, const std::string& name, const nlohmann::json& charts) {
  const auto quoted = [](const nlohmann::json& words) { return for_gnuplot(words.get<std::string>()); };
  std::vector<std::string> names;
  std::string data, commands;
  for (std::size_t c = 0; c < charts.size(); ++c) {
    const auto& chart = charts.at(c);
    const std::string lines = "$chart" + std::to_string(c + 1);
    std::string colours;  // by the series' places among all names
    data += lines + " << EOD\n";
    for (const auto& series : chart.at("series")) {
      const auto own = series.at("name").get<std::string>();
      if (std::find(names.begin(), names.end(), own) == names.end()) names.push_back(own);
      colours += std::to_string(std::find(names.begin(), names.end(), own) - names.begin()) + " ";
      data += '"' + own + "\"\n";
      for (std::size_t i = 0; i < series.at("x").size(); ++i) {
        for (const char* numbers : {"x", "y", "low", "high"})
          data += text(" %.6g", number_in(series.at(numbers).at(i)));
        data += "\n";
      }
      data += "\n\n";
    }
    data += "EOD\n";
    const std::string each = "for [line = 1 : words(own)] " + lines + " index line - 1 using ";
    commands += "own = '" + colours + "'\nset title " + quoted(chart.at("title")) + "\nset xlabel " +
                quoted(chart.at("x").at("title")) + "\nset ylabel " + quoted(chart.at("y").at("title")) + "\nplot " +
                each + "1:3:4 with filledcurves linecolor rgb colour(line) notitle, " + each +
                "1:2 with linespoints pointtype 7 linewidth 2 linecolor rgb colour(line) title columnheader(1)\n";
  }
  draw(folder, name, std::to_string(700 * charts.size()) + ",520",
       data, "set multiplot layout 1," + std::to_string(charts.size()) + R"(
colours = '#000000 #0072b2 #d55e00 #009e73 #56b4e9 #e69f00 #cc79a7 #f0e442'
colour(line) = word(colours, word(own, line) % words(colours) + 1)
set grid
set key below
set xtics 1
set style fill transparent solid .1 noborder
)" + commands + "unset multiplot\n");
}

}  // namespace papers
