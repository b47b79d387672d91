#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

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

/// Draws NAME.png and NAME.svg in the output folder, and leaves NAME.gnuplot, which draws them again. `data` are
/// gnuplot's blocks, `plot` its commands; `size` in pixels, such as "1000,500". Without gnuplot, says so.
inline void draw(const OutputFolder& folder, const std::string& name, const std::string& size, const std::string& data,
                 const std::string& plot) {
  const std::string script = name + ".gnuplot";
  neuroinhib::io::write_file(folder.file(script),
                             data +
                                 "do for [type in \"png svg\"] {\n"
                                 "if (type eq \"png\") {\n  set terminal pngcairo noenhanced size " +
                                 size + " font \"Sans,11\"\n} else {\n  set terminal svg noenhanced size " + size +
                                 " font \"Sans,11\" background rgb \"white\"\n}\n"
                                 "set output \"" +
                                 name + ".\".type\n" + plot + "unset output\n}\n");
  const std::string command =
      "cd " + in_quotes(folder.path().string(), R"('\'')") + " && gnuplot " + script + " 2>/dev/null";
  if (std::system(command.c_str()) == 0)
    std::printf("picture in %s and .svg\n", folder.file(name + ".png").c_str());
  else
    std::printf("no picture: install gnuplot, and run it in %s on %s\n", folder.path().c_str(), script.c_str());
}

}  // namespace papers
