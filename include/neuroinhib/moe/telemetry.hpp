#pragma once

#include <concepts>

#include <neuroinhib/backend/executor.hpp>

/// What watches a layer while it runs.
namespace neuroinhib {

/// Watches nothing: a layer with it has the machine code of one that knows no telemetry.
struct NoTelemetry {
  static constexpr bool kWatches = false;
  struct Config {};
};

/// A policy struct with kWatches and a Config. Where kWatches is true, the Config has observe(executor,
/// MoeTrace<Router, T>) const, which each forward calls at its end, and which may only read. A layer keeps a copy of
/// the Config.
template <class P>
concept TelemetryPolicy = HasConfig<P> && requires {
  { P::kWatches } -> std::convertible_to<bool>;
};

}  // namespace neuroinhib
