#pragma once

#include <neuroinhib/cuda.cuh>

#include <CLI/CLI.hpp>
#include <map>
#include <string>

/// --precision tf32|bf16|strict.
inline void add_precision(CLI::App& app, neuroinhib::Precision& precision) {
  using neuroinhib::Precision;
  app.add_option("--precision", precision, "of products (default: tf32)")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Precision>{
          {"tf32", Precision::tf32}, {"bf16", Precision::bf16}, {"strict", Precision::strict}}));
}
