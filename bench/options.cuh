#pragma once

#include <neuroinhib/cuda.cuh>

#include <CLI/CLI.hpp>
#include <map>
#include <string>

/// --precision tf32|bf16|strict and --routing strict|tf32.
inline void add_precisions(CLI::App& app, neuroinhib::CudaOptions& options) {
  using neuroinhib::Precision;
  const std::map<std::string, Precision> names{
      {"tf32", Precision::tf32}, {"bf16", Precision::bf16}, {"strict", Precision::strict}};
  app.add_option("--precision", options.precision, "of products (default: tf32)")
      ->transform(CLI::CheckedTransformer(names));
  app.add_option("--routing", options.routing, "of the products that routing decides by (default: strict)")
      ->transform(CLI::CheckedTransformer(names));
}
