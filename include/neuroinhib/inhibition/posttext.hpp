#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <neuroinhib/inhibition/pretext.hpp>
#include <neuroinhib/ops/batch_pool/op.hpp>
#include <neuroinhib/ops/remember/op.hpp>

namespace neuroinhib {

/// What a post-text term looks at when the model is not training.
enum class PosttextEvaluation {
  frozen,          ///< the last training iteration's pooled signal (default: an output depends on its own input alone)
  average,         ///< an exponential moving average of that signal over training
  previous_batch,  ///< the evaluation batch before this one
  off              ///< nothing: the term is zero
};

/// A later activation that conditions the next iteration.
struct PosttextSource {
  std::string name;  ///< one of namespace tap, or a name of the caller's that layer.tap() is called with
  Index width = 0;   ///< elements a row; 0 for mask, hidden and output, whose widths the layer knows
};

/// Σ_j pool(Po_j(x_j^(k−1))): later activations of the iteration before, without gradient, through trained layers
/// (Neural Inhibition, eq. 3). In iteration 0 there is none and the term is zero. Batches may differ in size; padding
/// is not pooled.
struct Posttext {
  static constexpr std::string_view kName = "posttext";
  struct Config {
    /// By their names: the mask, the router's hidden vector and the layer's output, if nothing else is said.
    std::vector<PosttextSource> sources{
        {std::string(tap::mask)}, {std::string(tap::hidden)}, {std::string(tap::output)}};
    Pooling pooling = Pooling::max;                              ///< over the rows of the batch before
    PosttextEvaluation evaluation = PosttextEvaluation::frozen;  ///< what evaluation looks at
    Index start_after = 0;                                       ///< training iterations before the term acts
    double average_decay = 0.99;                                 ///< of PosttextEvaluation::average
  };

  template <class T>
  class Module {
   public:
    /// Throws ConfigError for a source of unknown width or named twice, an average of row-by-row signals, and a decay
    /// outside [0, 1).
    Module(const Config& config, const InhibitionSizes& sizes) : config_(config) {
      if (config.sources.empty())
        fail<ConfigError>("post-text inhibition", "at least one source", "none",
                          "list activations in Config::sources, or leave the term out");
      if (config.pooling == Pooling::row && config.evaluation == PosttextEvaluation::average)
        fail<ConfigError>("post-text inhibition", "max or mean pooling for an averaged signal", "row-by-row pooling",
                          "set pooling to max or mean, or evaluation to another than average");
      require_option("post-text inhibition", "average_decay", config.average_decay,
                     config.average_decay >= 0 && config.average_decay < 1, "in [0, 1)",
                     "0.99 averages over about a hundred iterations");
      require_option("post-text inhibition", "start_after", config.start_after,
                     config.start_after >= 0 && config.start_after <= kMaxCounted<T>,
                     "from 0 to " + std::to_string(kMaxCounted<T>), "0 lets the term act as soon as there is a memory");
      for (const PosttextSource& source : config.sources) {
        if (std::any_of(sources_.begin(), sources_.end(), [&](const Source& s) { return s.name == source.name; }))
          fail<ConfigError>("post-text source \"" + source.name + "\"", "each source once", "it a second time",
                            "list each activation once");
        sources_.push_back(Source(source.name, width_of(source, sizes), sizes.gated));
      }
      signal_.start = {config.pooling == Pooling::row ? 0 : 1, sizes.gated};
      signal_.starts_empty = true;
      counted_.counts = evaluation_counted_.counts = true;
      iterations_.stays_on_host = iterations_.counts = true;
    }

    void visit(auto&& v) {
      for (Source& source : sources_) v(source.name, source);
      v("signal", signal_);
      v("iterations", iterations_);
      v("counted", counted_);
      v("evaluation_counted", evaluation_counted_);
    }

    template <Executor Ex>
    [[nodiscard]] Tensor<T> term(Ex& ex, const InhibitionInputs<T>& inputs) const {
      if (ex.training()) return train(ex, inputs);
      switch (config_.evaluation) {
        case PosttextEvaluation::frozen:
        case PosttextEvaluation::average: return kept_signal(ex, inputs.gated.rows());
        case PosttextEvaluation::previous_batch: {
          const Tensor<T> before = signal(ex, &Source::evaluation, evaluation_counted_, inputs.gated.rows());
          remember_counted(ex, inputs, evaluation_counted_);
          return before;
        }
        case PosttextEvaluation::off: break;
      }
      return {};
    }

    /// Keeps a copy of the activation, if it is a source, for the next iteration. Throws ShapeError.
    template <Executor Ex>
    void tap(Ex& ex, std::string_view name, const Tensor<T>& activation) const {
      if (!ex.training() && config_.evaluation != PosttextEvaluation::previous_batch) return;
      for (const Source& source : sources_) {
        if (source.name != name) continue;
        const Index width = source.layer.weight.tensor.shape[1];
        if (activation.cols() != width)
          fail<ShapeError>("post-text source \"" + source.name + "\"", "rows of width " + std::to_string(width),
                           activation.shape.text(),
                           "tap an activation of that width, or set the source's width to this one's");
        remember(ex, activation, ex.training() ? source.training : source.evaluation);
      }
    }

   private:
    struct Source {
      std::string name;
      nn::Linear<T> layer;
      Buffer<T> training, evaluation;  ///< [rows of the batch, width]

      Source(std::string of, Index width, Index gated)
          : name(std::move(of)), layer(width, gated), training(Shape{0, width}), evaluation(Shape{0, width}) {}
      void visit(auto&& v) {
        v("layer", layer);
        v("training", training);
        v("evaluation", evaluation);
      }
    };

    static Index width_of(const PosttextSource& source, const InhibitionSizes& sizes) {
      if (source.width > 0) return source.width;
      if (source.name == tap::mask) return sizes.gated;
      if (source.name == tap::hidden) return sizes.hidden;
      if (source.name == tap::output) return sizes.output;
      fail<ConfigError>("post-text source \"" + source.name + "\"", "a width ≥ 1", "none",
                        "set PosttextSource::width to the elements of a row");
    }

    template <Executor Ex>
    Tensor<T> train(Ex& ex, const InhibitionInputs<T>& inputs) const {
      T& count = *iterations_.data();
      const bool active = count >= static_cast<T>(config_.start_after);
      const auto of_memory = [&] { return signal(ex, &Source::training, counted_, inputs.gated.rows()); };
      const Tensor<T> current = active ? ahead(ex, of_memory) : Tensor<T>{};
      if constexpr (requires { ex.backend().next_step_differs(); })
        if (!current.defined()) ex.backend().next_step_differs();
      if (!active) count += 1;
      remember_counted(ex, inputs, counted_);
      if (!current.defined()) return {};
      if (config_.evaluation == PosttextEvaluation::frozen) remember(ex, current, signal_);
      if (config_.evaluation == PosttextEvaluation::average)
        remember_average(ex, current, signal_, config_.average_decay);
      return current;
    }

    /// What compute() makes of the memory alone, which a GPU may do while the step's own activations are made.
    template <Executor Ex, class Compute>
    static Tensor<T> ahead(Ex& ex, const Compute& compute) {
      if constexpr (kAlone<Ex> && requires { ex.backend().compute_ahead(compute); })
        return ex.backend().compute_ahead(compute);
      else
        return compute();
    }
    /// Σ_j pool(Po_j) over the memory, whose counted rows are in `marks`.
    template <Executor Ex>
    Tensor<T> signal(Ex& ex, Buffer<T> Source::* memory, const Buffer<T>& marks, Index tokens) const {
      const CountedTokens<T> counted{recall(ex, marks)};
      Tensor<T> total;
      for (const Source& source : sources_) {
        const Tensor<T> before = recall(ex, source.*memory);
        if (!before.defined()) continue;
        const bool of_tokens = counted.marks.size() == before.rows() + 1;  // a loss has one row
        const Tensor<T> one = batch_pool(ex, source.layer(ex, before), config_.pooling, tokens,
                                         of_tokens ? counted : rows_of_ranks(ex, before.rows()));
        total = total.defined() ? sum<Ex>(ex, {total, one}) : one;
      }
      return total;
    }
    /// Marks of rows, such as a loss, that are no tokens.
    template <Executor Ex>
    static CountedTokens<T> rows_of_ranks(Ex& ex, Index rows) {
      if (alone(ex)) return {};
      const auto marks = detail::all_counted(ex, rows, rows).marks;
      detail::all_reduce_in_place(ex, detail::number_of(marks));
      return {marks};
    }
    /// What evaluation keeps of training.
    template <Executor Ex>
    Tensor<T> kept_signal(Ex& ex, Index tokens) const {
      const Tensor<T> kept = recall(ex, signal_);
      return kept.defined() && config_.pooling == Pooling::row ? batch_pool(ex, kept, Pooling::row, tokens) : kept;
    }
    /// Which rows of this batch the next iteration pools.
    template <Executor Ex>
    static void remember_counted(Ex& ex, const InhibitionInputs<T>& inputs, const Buffer<T>& marks) {
      const Index tokens = inputs.gated.rows();
      const auto counted = detail::counted_of(ex, "post-text inhibition", inputs.counted, tokens);
      if (counted.defined()) return remember(ex, counted.marks, marks);
      if (marks.shape().size() > 0) remember(ex, detail::all_counted(ex, tokens, tokens).marks, marks);
    }

    Config config_;
    std::vector<Source> sources_;
    Buffer<T> signal_;                   ///< what frozen or averaged evaluation reads: [1, gated], or [rows, gated]
    Buffer<T> iterations_{Shape{1, 1}};  ///< training iterations so far, up to start_after
    Buffer<T> counted_{Shape{0, 1}}, evaluation_counted_{Shape{0, 1}};  ///< marks of the rows in the memories
  };
};

/// z* = z ⊙ σ(G(x) + Σ_j pool(Po_j(x_j^(k−1)))).
using PosttextInhibition = Gated<Glu, Posttext>;

/// All terms: "all-to-local" inhibition (Neural Inhibition, eq. 4).
using GlobalInhibition = Gated<Glu, Pretext, Posttext>;

}  // namespace neuroinhib
