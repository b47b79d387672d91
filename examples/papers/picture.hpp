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

}  // namespace papers
