#pragma once

#include <array>
#include <initializer_list>
#include <string>
#include <vector>

#include "support.hpp"

/// One small use of every operation, for whatever must hold of all: gradients, backends that agree.
namespace testing {

/// How the values of a case's input are drawn.
struct Drawn {
  Shape shape;
  double least = -1e300;  ///< values below are mirrored above it
  double favour = 0;      ///< added to the second column
  double scale = 1;
};

inline std::vector<Drawn> inputs(std::initializer_list<Drawn> list) {
  return list;
}

/// Small whole numbers in the step's memory, such as labels.
template <class Ex>
View<int> whole_numbers(Ex& ex, const std::vector<int>& values) {
  const View<int> target = ex.integers({static_cast<Index>(values.size())});
  ex.backend().write(target, values.data());
  return target;
}

/// A tensor of zeros in the step's memory.
template <class Ex>
TensorOf<Ex> zeros(Ex& ex, const Shape& shape) {
  const auto target = ex.tensor(shape, false);
  ex.backend().fill(target.data, target.size(), 0);
  return target;
}

/// The handle to a module's state that is nobody else's.
template <class T>
Buffer<T> bound_to(ModuleState<T>& state) {
  Buffer<T> buffer;
  buffer.bound = &state;
  return buffer;
}

/// Makes the inputs of a case.
template <class T>
std::vector<Values<T>> draw(const std::vector<Drawn>& drawn, std::uint64_t seed) {
  std::vector<Values<T>> values;
  for (const Drawn& input : drawn) {
    auto& made = values.emplace_back(input.shape, seed++, input.scale);
    for (T& v : made.values)
      if (static_cast<double>(v) < input.least) v = static_cast<T>(2 * input.least - static_cast<double>(v));
    if (input.favour != 0)
      for (Index row = 0; row < input.shape.rows(); ++row)
        made.values[static_cast<std::size_t>(row * input.shape.cols() + 1)] += static_cast<T>(input.favour);
  }
  return values;
}

/// The parts of attention's result that have a gradient, as one tensor.
template <class Ex, class R>
auto with_log_sum(Ex& ex, const R& result, Index heads) {
  const Index rows = result.y.rows();
  return sum(
      ex, {batch_pool(ex, activate(ex, result.y.reshaped({result.y.size(), 1}), Activation::tanh), Pooling::mean),
           batch_pool(ex, activate(ex, result.log_sum.reshaped({rows * heads, 1}), Activation::tanh), Pooling::mean)});
}

/// Attention in all its forms: masks, documents, one tensor as queries and keys, log-sums that are used; for
/// mutual-inform routing, one head and all.
template <class Visit>
void for_each_attention(const Visit& visit, Index sequences, Index length, Index width, const std::string& size) {
  const Index rows = sequences * length;
  const double unit = 1 / std::sqrt(static_cast<double>(width));  // logits of unit scale
  std::vector<int> documents;
  for (Index i = 0; i < rows; ++i)
    documents.push_back(i % length == length - 1 ? -1 : static_cast<int>(i % length >= length / 2));
  for (const Mask mask : {Mask::causal, Mask::none})
    for (const bool several : {false, true}) {
      const std::string name = size + (mask == Mask::causal ? ", causal" : "") + (several ? ", documents" : "");
      const auto sequences_of = [=](auto& ex) {
        Sequences all{length, mask};
        if (several) all.document = whole_numbers(ex, documents);
        return all;
      };
      visit("attention, " + name, inputs({{{rows, 6 * width}}}), [=]<class Ex>(Ex& ex, const auto& in) {
        const Columns<ScalarOf<Ex>> q(in[0], 0, 2 * width), k(in[0], 2 * width, 2 * width),
            v(in[0], 4 * width, 2 * width);
        return with_log_sum(ex, attention(ex, q, k, v, sequences_of(ex), 2), 2);
      });
      visit("attention's log-sum alone, " + name, inputs({{{rows, 6 * width}}}), [=]<class Ex>(Ex& ex, const auto& in) {
        using C = Columns<ScalarOf<Ex>>;
        const Index two = 2 * width;
        return attention(ex, C(in[0], 0, two), C(in[0], two, two), C(in[0], 2 * two, two), sequences_of(ex), 2).log_sum;
      });
      visit("attention of tokens like each other, " + name, inputs({{{rows, width}, -1e300, 0, unit}, {{rows, 5}}}),
            [=]<class Ex>(Ex& ex, const auto& in) {
              using C = Columns<ScalarOf<Ex>>;
              return attention(ex, C(in[0]), C(in[0]), C(in[1]), sequences_of(ex), 1, .7).y;
            });
      for (const bool all : {false, true})
        visit(
            "attention-inform, " + name + (all ? ", all heads" : ""),
            inputs(
                {{{rows, 6 * width}}, {{7, 2 * width}, -1e300, 0, .5 * unit}, {{rows, 7}, -1e300, 0, .7}, {{rows, 4}}}),
            [=]<class Ex>(Ex& ex, const auto& in) {
              AttentionTrace<ScalarOf<Ex>> trace;
              trace.q = {in[0], 0, 2 * width};
              trace.k = {in[0], 2 * width, 2 * width};
              trace.v = {in[0], 4 * width, 2 * width};
              const Sequences s = sequences_of(ex);
              Sequences causal = s;  // the attention's mask, whatever the routing's
              causal.mask = Mask::causal;
              const auto attended = attention(ex, trace.q, trace.k, trace.v, causal, 2);
              trace.log_sum = attended.log_sum;
              trace.output_weight = in[1];
              trace.output = in[2];
              trace.heads = 2;
              trace.key_rows = length;
              const auto e = softmax(ex, in[3]);
              const View<const int> head = all ? View<const int>{} : View<const int>(whole_numbers(ex, {1}));
              const auto p = attention_inform(ex, trace, e, s, head, 2, 1.4).y;
              const auto mean = [&](const auto& t) { return batch_pool(ex, t.reshaped({t.size(), 1}), Pooling::mean); };
              return sum(ex, {scale(ex, mean(gated_activation(ex, p, in[3], Activation::tanh)), 50), mean(attended.y)});
            });
    }
}

/// Attention on columns that leave some of a tensor out, or that meet each other; on more keys than the sequences have,
/// and on keys that lie apart, as in a cache.
template <class Visit>
void for_each_partial_attention(const Visit& visit) {
  struct Part {
    const char* name;
    Index q, k, v;  ///< first columns
  };
  for (const Part& p :
       {Part{"some columns", 1, 5, 10}, Part{"columns that overlap", 0, 2, 5}, Part{"all columns", 0, 4, 8},
        Part{"keys that are the values", 0, 4, 4}, Part{"queries that are the values", 4, 8, 4}})
    visit(std::string("attention on a projection's part: ") + p.name, inputs({{{6, 14}}}),
          [=]<class Ex>(Ex& ex, const auto& in) {
            using C = Columns<ScalarOf<Ex>>;
            const C q(in[0], p.q, 4), k(in[0], p.k, 4), v(in[0], p.v, p.v == 8 ? 6 : 4);
            return with_log_sum(ex, attention(ex, q, k, v, {.length = 3}, 2), 2);
          });
  for (const Index apart : {3, 5})
    visit("attention, sequences' keys " + std::to_string(apart) + " rows apart",
          inputs({{{6, 8}}, {{11, 8}}, {{11, 4}}}), [=]<class Ex>(Ex& ex, const auto& in) {
            using C = Columns<ScalarOf<Ex>>;
            return attention(ex, C(in[0]), C(in[1]), C(in[2]), {.length = 3}, 2, {}, apart).y;
          });
  for (const bool all : {false, true})
    visit(std::string("attention-inform on a projection's part, keys apart") + (all ? ", all heads" : ""),
          inputs({{{6, 5}}, {{11, 11}}, {{3, 4}}, {{6, 3}}, {{11, 4}}}), [=]<class Ex>(Ex& ex, const auto& in) {
            AttentionTrace<ScalarOf<Ex>> trace;
            trace.q = {in[0], 0, 4};
            trace.k = {in[1], 1, 4};
            trace.v = {in[1], 6, 4};
            trace.output_weight = in[2];
            trace.output = in[3];
            trace.heads = 2;
            trace.key_rows = 5;
            const Sequences s{3};
            trace.log_sum = attention(ex, trace.q, trace.k, trace.v, s, 2, {}, 5).log_sum;
            const View<const int> head = all ? View<const int>{} : View<const int>(whole_numbers(ex, {1}));
            return attention_inform(ex, trace, softmax(ex, in[4]), s, head, 2, 1.4).y;
          });
}

/// Calls visit(name, inputs, f) for each case: f(executor, tensors) → Tensor.
template <class Visit>
void for_each_operation(const Visit& visit) {
  visit("linear", inputs({{{5, 7}}, {{4, 7}}, {{4}}}),
        [](auto& ex, const auto& in) { return linear(ex, in[0], in[1], in[2]); });

  for (const Activation kind : {Activation::relu, Activation::tanh, Activation::sigmoid, Activation::gelu,
                                Activation::silu, Activation::softplus, Activation::log_sigmoid}) {
    const std::string number = std::to_string(static_cast<int>(kind));
    visit("activation " + number, inputs({{{6, 5}}}),
          [=](auto& ex, const auto& in) { return activate(ex, in[0], kind); });
    visit("gated activation " + number, inputs({{{6, 5}}, {{6, 5}}}),
          [=](auto& ex, const auto& in) { return gated_activation(ex, in[0], in[1], kind); });
  }

  for (const Bracket bracket : {Bracket::inside, Bracket::as_printed})
    visit(bracket == Bracket::inside ? "gate, bracket inside" : "gate, bracket as printed",
          inputs({{{4, 5}}, {{4, 5}}, {{1, 5}}, {{4, 5}}}), [=]<class Ex>(Ex& ex, const auto& in) {
            using T = ScalarOf<Ex>;
            const std::array<GateTerm<T>, 4> terms{{{in[1], true}, {in[2], false}, {{}, false}, {in[3], false}}};
            return gate(ex, in[0], std::span<const GateTerm<T>>(terms), bracket).y;
          });

  visit("softmax", inputs({{{4, 6}}}), [](auto& ex, const auto& in) { return softmax(ex, in[0]); });
  visit("normalise", inputs({{{4, 6}, 0.05}}), [](auto& ex, const auto& in) { return normalise(ex, in[0]); });
  visit("layer norm", inputs({{{4, 9}}}), [](auto& ex, const auto& in) { return layer_norm(ex, in[0]); });
  visit("layer norm with an affine map", inputs({{{4, 9}}, {{9}}, {{9}}}),
        [](auto& ex, const auto& in) { return layer_norm(ex, in[0], in[1], in[2]); });
  visit("dropout", inputs({{{5, 7}}}), [](auto& ex, const auto& in) { return dropout(ex, in[0], 0.4); });
  visit("dropout of numbered rows", inputs({{{5, 7}}}),
        [](auto& ex, const auto& in) { return dropout(ex, in[0], 0.4, whole_numbers(ex, {3, 0, 4, 2, 1})); });
  visit("noise", inputs({{{5, 7}}, {{5, 7}}}), [](auto& ex, const auto& in) { return add_noise(ex, in[0], in[1]); });

  const std::vector<ConvOptions> convolutions{
      {},
      {.stride = 2},
      {.stride = 3, .padding = 2},
      {.padding = 1, .activation = Activation::tanh},
      {.activation = Activation::relu, .pool = {.kernel = 3, .stride = 1}},
      {.stride = 2, .padding = 1, .activation = Activation::sigmoid, .pool = {.kernel = 2, .stride = 2}}};
  for (std::size_t i = 0; i < convolutions.size(); ++i)
    visit("convolution " + std::to_string(i) + (convolutions[i].pool.kernel > 1 ? " with its pool" : ""),
          inputs({{{2, 9, 8, 3}}, {{5, 3, 2, 3}, -1e300, 0, .3}, {{5}}}),
          [options = convolutions[i]](auto& ex, const auto& in) { return conv2d(ex, in[0], in[1], in[2], options); });
  visit("convolution by Winograd's method", inputs({{{2, 5, 7, 16}}, {{17, 3, 3, 16}, -1e300, 0, .1}, {{17}}}),
        [](auto& ex, const auto& in) {
          return conv2d(ex, in[0], in[1], in[2],
                        {.padding = 1, .activation = Activation::tanh, .pool = {.kernel = 2, .stride = 2}});
        });
  for (const PoolOptions& options : {PoolOptions{3, 1}, PoolOptions{2, 2}, PoolOptions{3, 2}, PoolOptions{2, 3}})
    visit("max-pooling " + std::to_string(options.kernel) + "/" + std::to_string(options.stride),
          inputs({{{2, 7, 8, 3}}}), [=](auto& ex, const auto& in) { return max_pool2d(ex, in[0], options); });

  for (const Index leading : {0, 2})
    visit("patches after " + std::to_string(leading) + " rows", inputs({{{2, 4, 6, 3}}}),
          [=](auto& ex, const auto& in) { return patches(ex, in[0], 2, leading); });
  for (const Index first : {0, 2})
    visit("every third row from row " + std::to_string(first), inputs({{{6, 5}}}), [=](auto& ex, const auto& in) {
      return sum(ex, {strided_rows(ex, in[0], 3, first), strided_rows(ex, in[0], 3, 1)});
    });

  for (const Index skip : {0, 3})
    visit("rows joined, without " + std::to_string(skip), inputs({{{4, 3}}, {{6, 3}}}), [=](auto& ex, const auto& in) {
      return sum(ex, {join_rows(ex, in[0], in[1], 2, skip), join_rows(ex, in[0], in[1], 2, skip)});
    });

  visit("top M, grouped linear on tokens and slots, combine",
        inputs({{{9, 4}}, {{9, 5}}, {{4, 6, 5}}, {{4, 6}}, {{4, 3, 6}}}), [](auto& ex, const auto& in) {
          const auto top = top_m(ex, in[0], 2);
          const RoutingPlan plan = routing_plan(ex, top.expert, 4);
          const auto hidden = grouped_linear(ex, in[1], in[2], in[3], plan, ExpertRows::tokens);
          return combine(ex, grouped_linear(ex, hidden, in[4], {}, plan, ExpertRows::slots), top.value, plan);
        });

  visit("tokens of the slots that have an expert", inputs({{{7, 3}}}), [](auto& ex, const auto& in) {
    const View<int> expert = whole_numbers(ex, {2, 0, 1, 3, 0, 2, 3, 3, 1, 0, 2, 1, 0, 1});
    return take_slots(ex, in[0], routing_plan(ex, {expert.data, {7, 2}}, 3, true), 11);
  });

  visit("rows for a fixed number of slots of each expert", inputs({{{14, 3}}}), [](auto& ex, const auto& in) {
    const View<int> expert = whole_numbers(ex, {2, 0, 1, 3, 0, 2, 3, 3, 1, 0, 2, 1, 0, 1});
    const auto rows = slot_rows(ex, routing_plan(ex, {expert.data, {14, 1}}, 4), 3, 2);
    return move_rows(ex, in[0], rows.of_row, rows.of_slot);
  });

  for (const Pooling pooling : {Pooling::max, Pooling::mean, Pooling::row})
    for (const Index tokens : {3, 6})
      visit("batch pool " + std::to_string(static_cast<int>(pooling)), inputs({{{4, 6}}}),
            [=](auto& ex, const auto& in) { return batch_pool(ex, in[0], pooling, tokens); });

  visit("zero for the maximum of no rows", inputs({{{4, 6}}}),
        [](auto& ex, const auto& in) { return map(ex, ops::ZeroForNothing{}, in[0]); });

  visit("cross-entropy", inputs({{{5, 4}}}),
        [](auto& ex, const auto& in) { return cross_entropy(ex, in[0], whole_numbers(ex, {0, 3, 1, 2, 3})); });
  visit("softmax, then cross-entropy", inputs({{{5, 4}}}), [](auto& ex, const auto& in) {
    return softmax_then_cross_entropy(ex, in[0], whole_numbers(ex, {0, 3, 1, 2, 3}));
  });

  visit("projected cross-entropy", inputs({{{5, 6}}, {{9, 6}}, {{9}}}), [](auto& ex, const auto& in) {
    return projected_cross_entropy(ex, in[0], in[1], in[2], whole_numbers(ex, {0, 8, -1, 2, 3})).mean;
  });
  visit("embedding with positions", inputs({{{5, 6}}, {{4, 6}}}), [](auto& ex, const auto& in) {
    return embedding(ex, in[0], in[1], whole_numbers(ex, {4, 0, 4, 1, 1, 4}), 3, 1, 1.5);
  });
  visit("l2 normalise", inputs({{{4, 6}}}), [](auto& ex, const auto& in) { return l2_normalise(ex, in[0]); });
  for_each_attention(visit, 2, 5, 3, "small");
  for_each_partial_attention(visit);

  visit("sum and scale; a tensor used twice", inputs({{{3, 4}}, {{3, 4}}}),
        [](auto& ex, const auto& in) { return sum(ex, {in[0], {}, scale(ex, in[1], -2.5), in[0]}); });
  visit("one tensor as both factors", inputs({{{3, 4}}}),
        [](auto& ex, const auto& in) { return gated_activation(ex, in[0], in[0], Activation::tanh); });

  visit("importance, balance and z-loss", inputs({{{7, 5}}}), [](auto& ex, const auto& in) {
    const auto probabilities = softmax(ex, in[0]);
    const auto top = top_m(ex, probabilities, 2);
    const auto plan = routing_plan(ex, top.expert, 5);
    return sum(ex, {cv_squared(ex, importance(ex, top.value, plan)), balance_loss(ex, probabilities, plan),
                    z_loss(ex, in[0])});
  });
  visit("top P, whose slots may have no expert", inputs({{{7, 5}}, {{7, 4}}, {{5, 3, 4}}}),
        [](auto& ex, const auto& in) {
          const auto kept = nucleus(ex, top_m(ex, softmax(ex, in[0]), 4), 5, .7);
          const RoutingPlan plan = routing_plan(ex, kept.expert, 5, true);
          return combine(ex, grouped_linear(ex, in[1], in[2], {}, plan, ExpertRows::tokens), kept.value, plan);
        });
  visit("expert choice", inputs({{{8, 3}}}),
        [](auto& ex, const auto& in) { return expert_choice(ex, softmax(ex, in[0]), 2, 4, 2).value; });
  visit("all experts", inputs({{{4, 3}}, {{2, 5, 3}}}), [](auto& ex, const auto& in) {
    const auto all = every_expert(ex, 4, 2);
    return combine(ex, grouped_linear(ex, in[0], in[1], {}, all.plan, ExpertRows::tokens), all.gates, all.plan);
  });
  visit("a trained factor", inputs({{{4, 6}}, {{1}}}),
        [](auto& ex, const auto& in) { return learned_scale(ex, in[0], in[1], 2.5); });
  visit("scores by hash", inputs({{{3, 5}}}), [](auto& ex, const auto& in) {
    return linear(ex, hash_scores(ex, whole_numbers(ex, {4, 0, 4, 1}), 5, 2, 7), in[0]);
  });
  visit("append to a cache", inputs({{{3, 5}}}), []<class Ex>(Ex& ex, const auto& in) {
    const auto rows = hash_scores(ex, whole_numbers(ex, {4, 0, 4, 1}), 5, 2, 7), cache = zeros(ex, {2 * 6, 5});
    ex.run(ops::Append<ScalarOf<Ex>>{rows, cache, /*capacity=*/6, /*past=*/3, /*rows=*/2, {}});
    return linear(ex, cache, in[0]);
  });
  visit("a bias that balances", inputs({{{7, 4}}, {{5, 4}}}), []<class Ex>(Ex& ex, const auto& in) {
    const auto bias = zeros(ex, {5});
    const auto top = top_m(ex, linear(ex, in[0], in[1]), 2);
    ex.run(ops::BalanceBias<ScalarOf<Ex>>{
        expert_load(ex, routing_plan(ex, top.expert, 5)), bias.data, ScalarOf<Ex>(.1), {}});
    return linear(ex, in[0], in[1], bias);
  });
  visit("remember and recall, and their average", inputs({{{3, 5}}}), []<class Ex>(Ex& ex, const auto& in) {
    ModuleState<ScalarOf<Ex>> state;
    state.values = Storage<ScalarOf<Ex>>(ex.backend().space());
    const Buffer<ScalarOf<Ex>> buffer = bound_to(state);
    remember(ex, hash_scores(ex, whole_numbers(ex, {4, 0}), 5, 2, 7), buffer);
    remember_average(ex, hash_scores(ex, whole_numbers(ex, {1, 2}), 5, 2, 7), buffer, .75);
    return linear(ex, recall(ex, buffer), in[0]);
  });
  for (const bool documents : {false, true})
    visit(documents ? "the head of the lowest entropy, padding left out" : "the head of the lowest entropy",
          inputs({{{3, 3}}}), [=](auto& ex, const auto& in) {
            const auto entropy = hash_scores(ex, whole_numbers(ex, {0, 1, 2, 3, 4, 5}), 3, 2, 7);
            const View<const int> document =
                documents ? View<const int>(whole_numbers(ex, {0, 0, -1, 0, 1, 1})) : View<const int>{};
            const auto mean = mean_entropy(ex, entropy, count_tokens(ex, 6, document));
            return cross_entropy(ex, linear(ex, mean, in[0]), lowest_head(ex, mean));
          });
  visit("arithmetic with a row and a column", inputs({{{4, 5}}, {{1, 5}, .5}, {{4, 1}}}), [](auto& ex, const auto& in) {
    return divide(ex, subtract(ex, multiply(ex, in[0], in[2]), in[1]), add(ex, in[1], multiply(ex, in[2], in[2])));
  });
  visit("sums, means, largest and smallest", inputs({{{4, 5}}, {{6, 5}}}), [](auto& ex, const auto& in) {
    const auto rows = multiply(ex, row_means(ex, in[0]), row_maxima(ex, in[0]));
    return add(ex, rows, multiply(ex, column_sums(ex, in[1]), reduce_columns(ex, Minimum{}, in[1])));
  });
  visit("importance, balance and z-loss, padding left out", inputs({{{7, 5}}}), [](auto& ex, const auto& in) {
    const auto counted =
        count_tokens(ex, 7, whole_numbers(ex, {0, -1, 0, 1, 1, 0, -2}), whole_numbers(ex, {0, 0, 0, -1, 0, 0, 0}));
    const auto probabilities = softmax(ex, in[0]);
    const auto top = top_m(ex, probabilities, 2);
    const auto plan = routing_plan(ex, top.expert, 5);
    return sum(ex, {cv_squared(ex, importance(ex, top.value, plan, counted)),
                    balance_loss(ex, probabilities, plan, counted), z_loss(ex, in[0], counted)});
  });
  visit("load loss, padding left out", inputs({{{4, 5}}, {{4, 5}}, {{4, 5}, 0.3}}), [](auto& ex, const auto& in) {
    const auto counted = count_tokens(ex, 4, whole_numbers(ex, {0, -1, 0, 0}));
    return cv_squared(ex, smooth_load(ex, in[0], in[1], in[2], 2, counted));
  });
  for (const Pooling pooling : {Pooling::max, Pooling::mean, Pooling::row})
    visit("batch pool " + std::to_string(static_cast<int>(pooling)) + ", padding left out", inputs({{{5, 3}}}),
          [=](auto& ex, const auto& in) {
            return batch_pool(ex, in[0], pooling, 7, count_tokens(ex, 5, whole_numbers(ex, {-1, 0, 3, -1, 0})));
          });
  visit("load loss", inputs({{{7, 5}}, {{7, 5}}, {{7, 5}, 0.3}}),
        [](auto& ex, const auto& in) { return cv_squared(ex, smooth_load(ex, in[0], in[1], in[2], 2)); });
}

/// Calls visit(name, inputs, f) for uses of the size that kernels cut into many tiles, and for the odd ones.
template <class Visit>
void for_each_large_operation(const Visit& visit) {
  struct Routed {
    const char* name;
    Index tokens, experts, in, out, chosen;
    double favour;  ///< of the second expert: all tokens on one, and experts without a token
  };
  for (const Routed& r : {Routed{"one token", 1, 4, 8, 12, 2, 0}, Routed{"odd sizes", 37, 5, 33, 19, 3, 0},
                          Routed{"multiples of four", 203, 6, 132, 68, 2, 0},
                          Routed{"one for all", 77, 5, 64, 32, 1, 9}, Routed{"many experts", 64, 48, 16, 20, 4, 0},
                          Routed{"large tiles", 4099, 3, 96, 160, 2, 0}, Routed{"Table 1", 128, 5, 3200, 128, 3, 0}})
    visit(std::string("experts: ") + r.name,
          inputs({{{r.tokens, r.experts}, -1e300, r.favour},
                  {{r.tokens, r.in}},
                  {{r.experts, r.out, r.in}},
                  {{r.experts, r.out}}}),
          [=](auto& ex, const auto& in) {
            const auto top = top_m(ex, in[0], r.chosen);
            const RoutingPlan plan = routing_plan(ex, top.expert, r.experts);
            return combine(ex, grouped_linear(ex, in[1], in[2], in[3], plan, ExpertRows::tokens), top.value, plan);
          });

  const auto convolution = [&](const char* name, const Shape& x, const Shape& w, const ConvOptions& options) {
    visit(name, inputs({{x}, {w}, {{w[0]}}}),
          [=](auto& ex, const auto& in) { return conv2d(ex, in[0], in[1], in[2], options); });
  };
  convolution("conv 1 of Table 1 with its pool", {5, 28, 28, 1}, {64, 3, 3, 1},
              {.activation = Activation::relu, .pool = {.kernel = 3, .stride = 1}});
  convolution("conv 2 of Table 1 with its pool", {5, 24, 24, 64}, {32, 4, 4, 64},
              {.activation = Activation::relu, .pool = {.kernel = 3, .stride = 2}});
  convolution("conv 2 of odd height with its pool", {2, 20, 20, 64}, {32, 3, 3, 64},
              {.activation = Activation::relu, .pool = {.kernel = 2, .stride = 2}});
  convolution("conv 1 of odd width with its pool", {3, 17, 17, 1}, {80, 3, 3, 1},
              {.padding = 1, .activation = Activation::relu, .pool = {.kernel = 3, .stride = 1}});
  convolution("conv 1 of 70 channels with its pool", {3, 17, 17, 1}, {70, 3, 3, 1},
              {.pool = {.kernel = 3, .stride = 1}});
  convolution("conv 1 of Table 1 alone", {5, 28, 28, 1}, {64, 3, 3, 1}, {});
  convolution("conv 2 of Table 1 alone", {5, 24, 24, 64}, {32, 4, 4, 64}, {});
  convolution("convolution with padding with its pool", {3, 14, 11, 64}, {32, 3, 3, 64},
              {.padding = 1, .activation = Activation::tanh, .pool = {.kernel = 2, .stride = 2}});
  convolution("convolution of as many channels", {2, 12, 12, 32}, {32, 3, 3, 32}, {});
  convolution("convolution with stride and padding", {3, 17, 13, 8}, {72, 5, 3, 8}, {.stride = 2, .padding = 2});
  visit("layer norm, wide", inputs({{{130, 3200}}}), [](auto& ex, const auto& in) { return layer_norm(ex, in[0]); });
  visit("softmax, wide", inputs({{{65, 1003}}}), [](auto& ex, const auto& in) { return softmax(ex, in[0]); });
  visit("linear, wide", inputs({{{129, 300}}, {{77, 300}}, {{77}}}),
        [](auto& ex, const auto& in) { return linear(ex, in[0], in[1], in[2]); });
  visit("projected cross-entropy, wide", inputs({{{130, 50}, -1e300, 0, .4}, {{1003, 50}, -1e300, 0, .4}, {{1003}}}),
        [](auto& ex, const auto& in) {
          std::vector<int> labels;
          for (int i = 0; i < 130; ++i) labels.push_back(i % 7 == 0 ? -1 : i * 37 % 1003);
          return projected_cross_entropy(ex, in[0], in[1], in[2], whole_numbers(ex, labels)).mean;
        });
  visit("embedding, many of one word", inputs({{{40, 33}}, {{70, 33}}}), [](auto& ex, const auto& in) {
    std::vector<int> ids;
    for (int i = 0; i < 630; ++i) ids.push_back(i % 3 == 0 ? 5 : i * 7 % 40);
    return embedding(ex, in[0], in[1], whole_numbers(ex, ids), 63);
  });
  for_each_attention(visit, 2, 131, 25, "no multiple of a tile");
  for (const Mask mask : {Mask::causal, Mask::none})
    visit(mask == Mask::causal ? "attention of wide tokens, causal" : "attention of wide tokens",
          inputs({{{2 * 1100, 140}, -1e300, 0, .09}, {{2 * 1100, 5}}}), [=]<class Ex>(Ex& ex, const auto& in) {
            using C = Columns<ScalarOf<Ex>>;
            return attention(ex, C(in[0]), C(in[0]), C(in[1]), {.length = 1100, .mask = mask}, 1, .7).y;
          });
  visit("attention of wide heads and values", inputs({{{2 * 70, 4 * 140}, -1e300, 0, .3}, {{2 * 70, 2 * 136}}}),
        []<class Ex>(Ex& ex, const auto& in) {
          using C = Columns<ScalarOf<Ex>>;
          return with_log_sum(ex, attention(ex, C(in[0], 0, 280), C(in[0], 280, 280), C(in[1]), {.length = 70}, 2), 2);
        });
  visit("projected cross-entropy of wide tokens",
        inputs({{{70, 260}, -1e300, 0, .2}, {{1003, 260}, -1e300, 0, .2}, {{1003}}}), [](auto& ex, const auto& in) {
          std::vector<int> labels;
          for (int i = 0; i < 70; ++i) labels.push_back(i % 7 == 0 ? -1 : i * 37 % 1003);
          return projected_cross_entropy(ex, in[0], in[1], in[2], whole_numbers(ex, labels)).mean;
        });
  for (const Pooling pooling : {Pooling::max, Pooling::mean})
    visit(pooling == Pooling::max ? "batch maximum, tall" : "batch mean, tall", inputs({{{2051, 33}}}),
          [=](auto& ex, const auto& in) { return batch_pool(ex, in[0], pooling); });
  visit("gate, tall, with a row for all tokens", inputs({{{517, 2099}}, {{517, 2099}}, {{1, 2099}}}),
        []<class Ex>(Ex& ex, const auto& in) {
          const std::array<GateTerm<ScalarOf<Ex>>, 2> terms{{{in[1], true}, {in[2], true}}};
          return gate(ex, in[0], std::span<const GateTerm<ScalarOf<Ex>>>(terms)).y;
        });
  visit("layer norm with an affine map, tall", inputs({{{1031, 70}}, {{70}}, {{70}}}),
        [](auto& ex, const auto& in) { return layer_norm(ex, in[0], in[1], in[2]); });
  visit("dropout, wide", inputs({{{65, 1003}}}), [](auto& ex, const auto& in) { return dropout(ex, in[0], 0.4); });
  visit("dropout of numbered rows, wide", inputs({{{65, 1003}}}), [](auto& ex, const auto& in) {
    std::vector<int> numbers;
    for (int i = 0; i < 65; ++i) numbers.push_back(i * 37 % 65);
    return dropout(ex, in[0], 0.4, whole_numbers(ex, numbers));
  });
  visit("cross-entropy, wide", inputs({{{65, 1003}}}), [](auto& ex, const auto& in) {
    std::vector<int> labels;
    for (int i = 0; i < 65; ++i) labels.push_back(i * 37 % 1003);
    return cross_entropy(ex, in[0], whole_numbers(ex, labels));
  });
}

}  // namespace testing
