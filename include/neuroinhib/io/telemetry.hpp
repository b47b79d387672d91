#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include <neuroinhib/analysis/routing.hpp>
#include <neuroinhib/io/telemetry_file.hpp>
#include <neuroinhib/moe/moe_layer.hpp>

namespace neuroinhib::io {
namespace detail {

/// The first rows of a tensor, without its gradient; none of none.
template <class T>
[[nodiscard]] Tensor<T> first_rows(const Tensor<T>& tensor, Index rows) {
  Tensor<T> first = tensor.detached();
  if (tensor.defined()) first.shape = tensor.shape.rank() == 1 ? Shape{rows} : Shape{rows, tensor.cols()};
  return first;
}
template <class T>
[[nodiscard]] Columns<T> first_rows(Columns<T> columns, Index rows) {
  columns.tensor = first_rows(columns.tensor, rows);
  return columns;
}
/// The context of the first rows alone, as sequences of `length` tokens.
template <class T>
[[nodiscard]] TokenContext<T> first_rows(const TokenContext<T>& context, Index rows, Index length) {
  TokenContext<T> first;
  first.sequences = context.sequences;
  first.sequences.length = length;
  if (context.sequences.document.data != nullptr)
    first.sequences.document = {context.sequences.document.data, Shape{rows}};
  first.raw = first_rows(context.raw, rows);
  first.attention = context.attention;
  AttentionTrace<T>& trace = first.attention;
  for (Columns<T>* columns : {&trace.q, &trace.k, &trace.v}) *columns = first_rows(*columns, rows);
  for (Tensor<T>* tensor : {&trace.log_sum, &trace.entropy, &trace.output}) *tensor = first_rows(*tensor, rows);
  trace.output_weight = trace.output_weight.detached();
  trace.key_rows = length;
  return first;
}

/// Of which rows the weights on others are recorded: whole sequences, or the begin of a causal one.
struct Neighbourhood {
  Index rows = 0, length = 0, kept = 0;
};
template <class Router, class T>
[[nodiscard]] Neighbourhood neighbourhood(const MoeTrace<Router, T>& trace, Index rows, Index wanted) {
  const Sequences& sequences = trace.context.sequences;
  constexpr bool kWeighs =
      requires(Cpu<T>& cpu, const Tensor<T>& x) { trace.router.weighted(cpu, x, trace.context, trace.out.router, x); };
  if (!kWeighs || trace.context.cache != nullptr || wanted == 0) return {};
  const Index whole = rows / sequences.length * sequences.length;
  if (whole > 0) return {whole, sequences.length, std::min(wanted, sequences.length)};
  if (sequences.mask != Mask::causal) return {};
  return {rows, rows, std::min(wanted, rows)};
}

/// Of each token the tokens of the largest weights, and these.
template <class B, class Router, class T>
void put_neighbours(B& backend, const MoeTrace<Router, T>& trace, const Neighbourhood& near, Index rows,
                    TelemetryBytes& bytes) {
  std::vector<int> neighbour(static_cast<std::size_t>(rows * near.kept), -1),
      order(static_cast<std::size_t>(near.length));
  std::vector<float> weight(neighbour.size());
  if constexpr (requires { trace.router.weighted(backend, trace.x, trace.context, trace.out.router, trace.x); }) {
    if (near.kept > 0) {
      const Tensor<T> identity = backend.tensor({near.rows, near.rows}, false);
      backend.fill(identity.data, identity.size(), T{0});
      for (Index i = 0; i < near.rows; ++i) backend.fill(identity.data + i * (near.rows + 1), 1, T{1});
      const auto weights = backend.read(View<T>(trace.router.weighted(backend, first_rows(trace.x, near.rows),
                                                                      first_rows(trace.context, near.rows, near.length),
                                                                      trace.out.router, identity)));
      for (Index i = 0; i < near.rows; ++i) {
        const auto of = [&](int j) { return weights[static_cast<std::size_t>(i * near.rows + j)]; };
        std::iota(order.begin(), order.end(), static_cast<int>(i / near.length * near.length));
        std::partial_sort(order.begin(), order.begin() + near.kept, order.end(),
                          [&](int a, int b) { return of(a) > of(b) || (of(a) == of(b) && a < b); });
        for (Index k = 0; k < near.kept && of(order[static_cast<std::size_t>(k)]) > 0; ++k) {
          const auto at = static_cast<std::size_t>(i * near.kept + k);
          neighbour[at] = order[static_cast<std::size_t>(k)];
          weight[at] = static_cast<float>(of(neighbour[at]));
        }
      }
    }
  }
  bytes.put_all(std::span<const int>(neighbour));
  bytes.put_all(std::span<const float>(weight));
}

}  // namespace detail

/// Telemetry into a file: MoeLayer<…, Backend, io::Telemetry> with .telemetry = {&writer, "name"}. It records what
/// TelemetryLayer has in the steps that the writer records, at the end of each forward, and changes neither results nor
/// gradients. Without a writer it records nothing. A step that is recorded waits for the device, where the backend is
/// one, so that it cannot be captured: run it without a graph.
struct Telemetry {
  static constexpr bool kWatches = true;

  struct Config {
    TelemetryWriter* writer = nullptr;  ///< outlives the layer
    std::string name = "moe";           ///< of the layer

    template <Executor Ex, class Router, class T>
    void observe(Ex& ex, const MoeTrace<Router, T>& trace) const {
      if (writer == nullptr || !writer->recording()) return;
      writer->record(detail::TelemetryKind::layer, [&](detail::TelemetryBytes& bytes) {
        auto& backend = ex.backend();
        const auto scope = backend.scope();
        put_layer(backend, trace, bytes);
      });
    }

   private:
    template <class B, class Router, class T>
    void put_layer(B& backend, const MoeTrace<Router, T>& trace, detail::TelemetryBytes& bytes) const {
      const MoeOutput<T>& out = trace.out;
      const Tensor<T>& mask = out.inhibited.mask;
      const View<int>& expert = out.routing.plan.expert;
      const Index tokens = trace.x.rows(), rows = std::min(tokens, writer->options().tokens);
      const bool informed = out.router.base_scores.defined();
      // First of all, since a capture refuses to read.
      const std::vector<int> chosen = backend.read(View<int>(expert.data, {rows, expert.cols()}));
      const detail::Neighbourhood near = detail::neighbourhood(trace, rows, writer->options().neighbours);
      const auto put = [&](const Tensor<T>& tensor) {
        bytes.put_floats(backend.read(View<T>(detail::first_rows(tensor, rows))));
      };
      bytes.put_text(name);
      bytes.put((Router::kScoreKind == ScoreKind::logits ? 1u : 0u) | (informed ? 2u : 0u));
      for (const Index extent :
           {tokens, rows, out.router.scores.cols(), expert.cols(), mask.defined() ? mask.cols() : 0, near.kept})
        bytes.put_count(extent);
      const RoutingAnalysis all = analyse(backend, routing_counts(backend, out.routing, trace.context.counted));
      bytes.put(all.tokens);
      bytes.put(all.entropy());
      bytes.put_floats(all.slots);
      if (mask.defined()) bytes.put_floats(backend.read(View<T>(column_means(backend, mask.detached()))));
      bytes.put_levels(mask.defined() ? backend.read(View<T>(detail::first_rows(mask, rows))) : std::vector<T>{});
      put(out.router.scores);
      bytes.put_all(std::span<const int>(chosen));
      put(out.routing.gates);
      if (informed) {
        for (const auto* tensor : {&out.router.base_scores, &out.router.entropy, &out.router.self_weight}) put(*tensor);
        detail::put_neighbours(backend, trace, near, rows, bytes);
      }
    }
  };
};

}  // namespace neuroinhib::io
