#pragma once

#include <algorithm>
#include <string>

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

/// What is sent at once: bounds the memory that a sum takes.
inline constexpr Index kBucket = Index{1} << 22;

/// Calls f(part) for buckets of the flat buffers, in order, without the slices, whose gradients no other rank has.
template <class T, class F>
void for_each_bucket(const Parameters<T>& parameters, Index most, const F& f) {
  const Index size = parameters.size();
  Index begin = 0;
  const auto send_until = [&](Index end) {
    for (; begin < end; begin = std::min(end, begin + most)) f(Share{begin, std::min(end, begin + most), size});
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

/// The flat gradient, of which what no backward pass has reached is cleared by the backend, in its order.
template <class B, class T>
[[nodiscard]] View<T> filled_gradient(B& backend, Parameters<T>& parameters) {
  return parameters.gradients([&](T* target, Index count) { backend.fill(target, count, T{0}); });
}

/// The same; on several ranks, the sum of theirs, which is made once before the gradients start from zero again.
template <class B, class T>
[[nodiscard]] View<T> flat_gradient(B& backend, Parameters<T>& parameters) {
  const View<T> gradient = filled_gradient(backend, parameters);
  if constexpr (!kAlone<B>)
    if (parameters.claim_sum())
      for_each_bucket(parameters, kBucket,
                      [&](const Share& bucket) { all_reduce_in_place(backend, part_of(gradient.data, bucket)); });
  return gradient;
}

/// Elements of the flat buffers that each rank updates, where an optimizer is sharded; whole lines of a cache.
[[nodiscard]] inline Share shard_of(Index size, Index rank, Index ranks) {
  constexpr Index kLine = 16;
  const Share lines = Share::of((size + kLine - 1) / kLine, rank, ranks);
  return {lines.begin * kLine, std::min(size, lines.end * kLine), size};
}

/// Their numbers on all ranks.
template <class B>
[[nodiscard]] ops::RankRows shards(B& backend, Index size) {
  Index* const count = backend.arena().template allocate<Index>(backend.size());
  for (Index r = 0; r < backend.size(); ++r) count[r] = shard_of(size, r, backend.size()).count();
  return {count, 0};
}

/// As flat_gradient, of which an optimizer reads the elements `own`.
template <class B, class T>
[[nodiscard]] View<T> gradient_of_shard(B& backend, Parameters<T>& parameters, const Share& own) {
  if constexpr (!kAlone<B>) {
    if (own.count() < own.total && parameters.claim_sum()) {
      const View<T> gradient = filled_gradient(backend, parameters);
      backend.run(ops::ReduceScatter<T, CommunicatorType<B>>{part_of(gradient.data, {0, own.total, own.total}),
                                                             part_of(gradient.data, own), &backend.communicator(),
                                                             shards(backend, own.total)});
      return gradient;
    }
  }
  return flat_gradient(backend, parameters);
}

/// After each rank has updated the elements `own` of the values: the others' elements from them.
template <class B, class T>
void gather_values(B& backend, Parameters<T>& parameters, const Share& own) {
  if constexpr (!kAlone<B>) {
    if (own.count() == own.total) return;
    T* const values = parameters.values().data;
    backend.run(ops::AllGather<T, CommunicatorType<B>>{part_of(values, own), part_of(values, {0, own.total, own.total}),
                                                       &backend.communicator(), shards(backend, own.total)});
  }
}

}  // namespace detail

/// The share of a sharded optimizer's moments that this rank keeps: for the last argument of Adam and Sgd. Each rank
/// then updates its share of the values and gets the others', for the bytes that a sum of gradients takes.
template <class B, class T>
[[nodiscard]] Share shard_of(B& backend, const Parameters<T>& parameters) {
  detail::require_whole("sharded optimizer", parameters);
  if constexpr (kAlone<B>)
    return {0, parameters.size(), parameters.size()};
  else
    return detail::shard_of(parameters.size(), backend.rank(), backend.size());
}

}  // namespace neuroinhib
