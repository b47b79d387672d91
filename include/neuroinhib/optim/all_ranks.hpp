#pragma once

#include <algorithm>
#include <string>
#include <utility>

#include <neuroinhib/core/parameters.hpp>
#include <neuroinhib/ops/collectives/op.hpp>

/// Gradients of all ranks, and values from those that updated them.
namespace neuroinhib {
namespace detail {

/// A part of a flat buffer, as a tensor.
template <class T>
[[nodiscard]] Tensor<T> part_of(T* numbers, const Share& part) {
  Tensor<T> result;
  result.data = numbers + part.begin;
  result.shape = {part.count()};
  return result;
}

/// Calls f(part) for buckets of the flat buffers, in order, of at most so many elements and none beyond its window,
/// without the slices, whose gradients no other rank has.
template <class T, class F>
void for_each_bucket(const Parameters<T>& parameters, Index most, const F& f) {
  const Index size = parameters.size();
  Index begin = 0;
  const auto send_until = [&](Index end) {
    for (Index next; begin < end; begin = next) {
      next = std::min({end, begin + most, (begin / Shard::kWindow + 1) * Shard::kWindow});
      f(Share{begin, next, size});
    }
  };
  for (const auto& entry : parameters.entries()) {
    if (!parameters.slice_of(entry)) continue;
    send_until(entry.offset);
    begin = entry.offset + entry.tensor.size();
  }
  send_until(size);
}

/// Throws ConfigError where ranks have slices of parameters.
template <class T>
void require_whole(std::string_view where, const Parameters<T>& parameters) {
  for (const auto& entry : parameters.entries())
    if (parameters.slice_of(entry))
      fail<ConfigError>(where, "parameters that every rank has whole", "a slice of \"" + entry.name + "\"",
                        "leave it out, or keep all experts on every rank");
}

}  // namespace detail

/// The elements whose moments this rank keeps in a sharded optimizer: for the last argument of Adam and Sgd. Each rank
/// then updates its own values and gets the others', for the bytes that a sum of gradients takes. Throws ConfigError
/// where ranks have slices of parameters.
template <class B, class T>
[[nodiscard]] Shard shard_of(B& backend, const Parameters<T>& parameters) {
  detail::require_whole("sharded optimizer", parameters);
  if constexpr (kAlone<B>)
    return {parameters.size()};
  else
    return {parameters.size(), backend.rank(), backend.size()};
}

namespace detail {

/// The flat gradient, of which what no backward pass has reached is cleared by the backend, in its order.
template <class B, class T>
[[nodiscard]] View<T> filled_gradient(B& backend, Parameters<T>& parameters) {
  return parameters.gradients([&](T* target, Index count) { backend.fill(target, count, T{0}); });
}

/// The elements of a window, and how many each rank has of them.
template <class B>
[[nodiscard]] std::pair<Share, ops::RankRows> window_of(B& backend, const Shard& shard, Index window) {
  Index* const count = backend.arena().template allocate<Index>(shard.ranks);
  for (Index r = 0; r < shard.ranks; ++r) count[r] = shard.piece(window, r).count();
  return {{shard.piece(window, 0).begin, shard.piece(window, shard.ranks - 1).end, shard.size}, {count, 0}};
}

/// Each rank's own elements of flat buffers, to all ranks.
template <class B, class T>
void gather_pieces(B& backend, T* numbers, const Shard& shard) {
  shard.for_each_piece([&](const Share& own, Index window, Index) {
    const auto [all, counts] = window_of(backend, shard, window);
    backend.run(ops::AllGather<T, CommunicatorType<B>>{part_of(numbers, own), part_of(numbers, all),
                                                       &backend.communicator(), counts});
  });
}

/// The same; on several ranks, the sum of theirs, which is made once before the gradients start from zero again.
template <class B, class T>
[[nodiscard]] View<T> flat_gradient(B& backend, Parameters<T>& parameters) {
  const View<T> gradient = filled_gradient(backend, parameters);
  if constexpr (!kAlone<B>) {
    if (parameters.claim_sum())
      for_each_bucket(parameters, Shard::kWindow,
                      [&](const Share& bucket) { all_reduce_in_place(backend, part_of(gradient.data, bucket)); });
    if (parameters.sum_is_sharded()) gather_pieces(backend, gradient.data, shard_of(backend, parameters));
    parameters.set_sum_sharded(false);
  }
  return gradient;
}

/// As flat_gradient, of which an optimizer reads the elements of its shard.
template <class B, class T>
[[nodiscard]] View<T> gradient_of_shard(B& backend, Parameters<T>& parameters, const Shard& shard) {
  if constexpr (!kAlone<B>) {
    if (!shard.whole() && (parameters.sum_is_sharded() || parameters.claim_sum())) {
      const View<T> gradient = filled_gradient(backend, parameters);
      if (!parameters.sum_is_sharded())
        shard.for_each_piece([&](const Share& own, Index window, Index) {
          const auto [all, counts] = window_of(backend, shard, window);
          backend.run(ops::ReduceScatter<T, CommunicatorType<B>>{
              part_of(gradient.data, all), part_of(gradient.data, own), &backend.communicator(), counts});
        });
      return gradient;
    }
  }
  return flat_gradient(backend, parameters);
}

/// One update of the values of a shard: operation(values, gradient, their number, number of the part, elements of the
/// parts before) is that of a part. Then the other ranks' values come, and the gradients start from zero again.
template <class B, class T, class OperationOf>
void update(B& backend, Parameters<T>& parameters, const Shard& shard, const OperationOf& operation) {
  const T* const gradient = gradient_of_shard(backend, parameters, shard).data;
  T* const values = parameters.values().data;
  shard.for_each_piece([&](const Share& own, Index part, Index before) {
    if (own.count() > 0)
      run_forward(computing(backend), operation(values + own.begin, gradient + own.begin, own.count(), part, before));
  });
  if constexpr (!kAlone<B>)
    if (!shard.whole()) gather_pieces(backend, values, shard);
  parameters.zero_gradients();
}

}  // namespace detail

}  // namespace neuroinhib
