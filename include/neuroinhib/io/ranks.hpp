#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <neuroinhib/io/checkpoint.hpp>
#include <neuroinhib/parallel/agreement.hpp>

/// Checkpoints of several ranks: one file, the same that one process writes, so that training goes on with any number
/// of ranks. Every rank calls these functions; all see one file system. For host memory.
namespace neuroinhib::io {

namespace detail {

/// A state of the whole batch: where there is a row a token, those of all ranks, and the number of marks once.
template <class T, class C>
[[nodiscard]] std::vector<T> whole_state(C& communicator, const ModuleState<T>& state) {
  std::vector<T> own = state.values.to_host();
  if (!state.form.by_rows()) return own;
  const bool marks = state.form.counts && !own.empty();
  const T number = marks ? own.back() : T{0};
  if (marks) own.pop_back();
  std::vector<T> all = gather_numbers(communicator, own);
  if (marks) all.push_back(number);
  return all;
}

/// Flat moments, of which each rank has those of its shard.
template <class T, class C>
[[nodiscard]] std::vector<T> flat_moments(C& communicator, const Shard& shard, const Storage<T>& moments) {
  if (shard.whole()) return moments.to_host();
  const std::vector<T> numbers = gather_numbers(communicator, moments.to_host());
  std::vector<T> all(numbers.size());
  auto from = numbers.begin();
  for (Index rank = 0; rank < shard.ranks; ++rank)
    Shard{shard.size, rank, shard.ranks}.for_each_piece([&](const Share& part, Index, Index) {
      std::copy_n(from, part.count(), all.begin() + part.begin);
      from += part.count();
    });
  return all;
}

/// Moments as a process that has all ranks' parameters keeps them.
template <class T, class C>
[[nodiscard]] std::vector<T> whole_moments(C& communicator, const Parameters<T>& parameters, const Shard& shard,
                                           const Storage<T>& moments) {
  const std::vector<T> own = flat_moments(communicator, shard, moments);
  std::vector<T> all;
  for_each_place(parameters, [&](const auto& entry, Index at, const Share& rows) {
    const auto begin = own.begin() + entry.offset;
    std::vector<T> part(begin, begin + entry.tensor.size());
    if (rows.count() < rows.total) part = gather_numbers(communicator, part);
    all.resize(static_cast<std::size_t>(at));
    all.insert(all.end(), part.begin(), part.end());
  });
  all.resize(static_cast<std::size_t>(for_each_place(parameters, [](const auto&, Index, const Share&) {})));
  return all;
}

}  // namespace detail

/// save_checkpoint of all ranks: rank 0 writes. Throws Error on every rank where it could not; the checkpoint before is
/// then still there.
template <class B, class T, template <class> class Optimizer>
void save_checkpoint(B& backend, const std::filesystem::path& path, const Parameters<T>& parameters,
                     Optimizer<T>& optimizer, const Progress& progress) {
  auto& communicator = backend.communicator();
  SafetensorsWriter writer;
  for (const auto& entry : parameters.entries()) {
    const Share rows = detail::rows_of(parameters, entry);
    std::vector<T> values = parameters.values_of(entry);
    if (rows.count() < rows.total) values = gather_numbers(communicator, values);
    writer.add(entry.name, std::move(values), neuroinhib::detail::with_rows(entry.tensor.shape, rows.total));
  }
  for (const auto& state : parameters.states()) {
    std::vector<T> values = detail::whole_state(communicator, state);
    const Index each = state.shape.cols();
    const Shape shape = state.form.by_rows() && each > 0
                            ? neuroinhib::detail::with_rows(state.shape, static_cast<Index>(values.size()) / each)
                            : state.shape;
    writer.add(state.name, std::move(values), shape);
  }
  detail::for_each_vector<T>(optimizer.state(), [&](const char* name, const Storage<T>& moments, bool) {
    std::vector<T> all = detail::whole_moments(communicator, parameters, optimizer.shard(), moments);
    const auto size = static_cast<Index>(all.size());
    writer.add(name, std::move(all), {size});
  });
  detail::note(writer, optimizer, backend.random(), progress);
  std::string trouble;
  try {
    if (communicator.rank() == 0) writer.write(path);
  } catch (const Error& error) {
    trouble = error.what();
  }
  require_success(communicator, trouble);
}

/// load_checkpoint on all ranks, as many as there are now; returns the notes. Throws Error on every rank where one of
/// them cannot read the file or does not fit it, as load_checkpoint says; nothing is changed then.
template <class B, class T, template <class> class Optimizer>
std::string load_checkpoint(B& backend, const std::filesystem::path& path, Parameters<T>& parameters,
                            Optimizer<T>& optimizer, const std::string& configuration) {
  auto& communicator = backend.communicator();
  const Share rank{communicator.rank(), communicator.rank() + 1, communicator.size()};
  std::string notes;
  bool told = false;
  try {
    detail::load(path, parameters, optimizer, backend.random(), configuration, rank, [&](std::string text) {
      told = true;
      require_success(communicator, "");
      notes = std::move(text);
    });
  } catch (const CommunicationError&) {
    throw;
  } catch (const Error& error) {
    if (told) throw;
    require_success(communicator, error.what());
  }
  return notes;
}

}  // namespace neuroinhib::io
