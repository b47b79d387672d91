#pragma once

#include <neuroinhib/neuroinhib.hpp>

#include "informed.hpp"

namespace papers {

/// What is asked of informed routers; other routers have none of it.
template <class Config>
void set_router(Config& config, const Informed& informed) {
  using neuroinhib::HeadChoice;
  using neuroinhib::SimilarityOf;
  if constexpr (requires {
                  config.temperature;
                  config.compare;
                }) {
    config.temperature = informed.temperature;
    config.compare = informed.compare == "raw"          ? SimilarityOf::raw
                     : informed.compare == "normalised" ? SimilarityOf::normalised
                                                        : SimilarityOf::features;
  }
  if constexpr (requires { config.deviation; }) {
    config.deviation = informed.deviation;
    config.choice = informed.head == "batch" ? HeadChoice::batch
                    : informed.head == "all" ? HeadChoice::all
                                             : HeadChoice::average;
  }
}

}  // namespace papers
