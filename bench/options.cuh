#pragma once

#include <neuroinhib/cuda.cuh>

#include <CLI/CLI.hpp>
#include <map>
#include <string>

/// --precision tf32|bf16|strict, or another option of that kind.
inline void add_precision(CLI::App& app, neuroinhib::Precision& precision, const char* name = "--precision",
                          const char* description = "of products (default: tf32)") {
  using neuroinhib::Precision;
  app.add_option(name, precision, description)
      ->transform(CLI::CheckedTransformer(std::map<std::string, Precision>{
          {"tf32", Precision::tf32}, {"bf16", Precision::bf16}, {"strict", Precision::strict}}));
}
