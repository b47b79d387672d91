#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <neuroinhib/core/parameters.hpp>
#include <neuroinhib/core/random.hpp>
#include <neuroinhib/io/model.hpp>
#include <neuroinhib/optim/adam.hpp>
#include <neuroinhib/optim/sgd.hpp>

/// Training to disk and back: parameters, modules' state, optimizer, random state and the caller's notes in one
/// safetensors file. Resuming from it gives the same bits as not having stopped.
namespace neuroinhib::io {

/// Where training stands, as the caller counts it.
struct Progress {
  std::string configuration{};  ///< whatever must be equal for the file to fit: model, data, batch size, …
  std::string notes{};          ///< whatever else the caller wants back: position in the data, curves, …
};

namespace detail {

/// Calls f(name, moments, whether they are squares, which cannot be negative).
template <class T, class F>
void for_each_vector(typename Adam<T>::State& state, const F& f) {
  f("optimizer.first_moment", state.first, false);
  f("optimizer.second_moment", state.second, true);
}
template <class T, class F>
void for_each_vector(typename Sgd<T>::State& state, const F& f) {
  f("optimizer.velocity", state.velocity, false);
}

/// Where training stands, in a file's metadata.
template <class Optimizer>
void note(SafetensorsWriter& writer, Optimizer& optimizer, const RandomState& random, const Progress& progress) {
  writer.note("configuration", progress.configuration);
  writer.note("notes", progress.notes);
  writer.note(detail::kOptimizerSteps, std::to_string(optimizer.state().steps));
  writer.note("random_seed", std::to_string(random.seed));
  writer.note("random_step", std::to_string(random.step));
}

/// Calls f(entry, where it begins in the flat buffers of a process that has all ranks' parameters, its rows) for every
/// parameter, and gives the size of those buffers.
template <class T, class F>
Index for_each_place(const Parameters<T>& parameters, const F& f) {
  Index at = 0;
  for (const auto& entry : parameters.entries()) {
    const Share rows = rows_of(parameters, entry);
    f(entry, at, rows);
    at += neuroinhib::detail::padded<T>(rows.total * entry.tensor.cols());
  }
  return at;
}

/// What an optimizer of `shard` keeps of moments of all ranks' parameters.
template <class T>
[[nodiscard]] std::vector<T> own_moments(const Parameters<T>& parameters, const Shard& shard,
                                         const std::vector<T>& all) {
  std::vector<T> own(static_cast<std::size_t>(parameters.size()));
  for_each_place(parameters, [&](const auto& entry, Index at, const Share& rows) {
    std::copy_n(all.begin() + at + rows.begin * entry.tensor.cols(), entry.tensor.size(), own.begin() + entry.offset);
  });
  std::vector<T> kept;
  shard.for_each_piece([&](const Share& part, Index, Index) {
    kept.insert(kept.end(), own.begin() + part.begin, own.begin() + part.end);
  });
  return kept;
}

/// Leaves of a state with a row a token the rows of one of several ranks, `rank` of its total: a share, or, of fewer
/// rows than ranks, all. Marks of tokens end with their number, which stays.
template <class T>
void cut_for_rank(Incoming<T>& state, const Share& rank) {
  const Index number = state.form.counts ? 1 : 0, rows = state.shape.rows() - number;
  if (!state.form.by_rows() || rank.total == 1 || rows < rank.total) return;
  const T last = state.values.back();
  cut(state, Share::of(rows, rank.begin, rank.total));
  if (number == 0) return;
  state.values.push_back(last);
  state.shape = neuroinhib::detail::with_rows(state.shape, state.shape.rows() + 1);
}

/// load_checkpoint for rank `rank.begin` of `rank.total`.
template <class T, template <class> class Optimizer, class ReadNotes>
void load(const std::filesystem::path& path, Parameters<T>& parameters, Optimizer<T>& optimizer, RandomState& random,
          const std::string& configuration, const Share& rank, const ReadNotes& read_notes) {
  const Safetensors file(path);
  if (file.note("configuration") != configuration)
    fail<ConfigError>("checkpoint " + path.string(), "the configuration " + configuration, file.note("configuration"),
                      "resume with the options it was made with, or choose another output folder");
  // Everything is read and checked before anything is changed.
  const LoadOptions same{.convert = false};
  auto tensors = incoming(parameters, same);
  auto names = places_of(tensors);
  for_each_vector<T>(optimizer.state(), [&](const char* name, const Storage<T>&, bool) { names.insert(name); });
  require_names(file, names, same.may_go_unused, "resume with the model and the optimizer it was made with");
  for (auto& tensor : tensors) {
    read(file, tensor, same.convert);
    cut_for_rank(tensor, rank);
  }
  const Index whole_size = for_each_place(parameters, [](const auto&, Index, const Share&) {});
  std::vector<std::vector<T>> moments;
  for_each_vector<T>(optimizer.state(), [&](const char* name, const Storage<T>&, bool square) {
    const std::vector<T> all = file.values<T>(name, {whole_size});
    moments.push_back(own_moments(parameters, optimizer.shard(), all));
    if (square && std::any_of(moments.back().begin(), moments.back().end(), [](T value) { return value < 0; }))
      file.refuse("squares in \"" + std::string(name) + "\"", "negative numbers");
  });
  const auto steps = static_cast<Index>(file.number(kOptimizerSteps, kMaxSteps));
  const RandomState kept{file.number("random_seed"), file.number("random_step")};
  read_notes(file.note("notes"));

  assign(parameters, tensors);
  auto moment = moments.begin();
  for_each_vector<T>(optimizer.state(), [&](const char*, Storage<T>& target, bool) {
    target.assign(moment->data(), target.size());
    ++moment;
  });
  optimizer.state().steps = steps;
  random = kept;
}

}  // namespace detail

/// Writes atomically. Throws IoError; the checkpoint before is then still there.
template <class T, template <class> class Optimizer>
void save_checkpoint(const std::filesystem::path& path, const Parameters<T>& parameters, Optimizer<T>& optimizer,
                     const RandomState& random, const Progress& progress) {
  SafetensorsWriter writer;
  detail::add_model(writer, parameters);
  detail::for_each_vector<T>(optimizer.state(), [&](const char* name, const Storage<T>& values, bool) {
    writer.add(name, values.to_host(), {values.size()});
  });
  detail::note(writer, optimizer, random, progress);
  writer.write(path);
}

/// Brings everything back; read_notes(std::string) is called first, once all else has been read and fits. Values come
/// back as they were saved, NaN and infinity included. Throws ConfigError for a checkpoint of another configuration,
/// FormatError for a damaged file and for one whose names, shapes, dtypes or counts are not the model's and the
/// optimizer's, and what read_notes throws; nothing is changed then.
template <class T, template <class> class Optimizer, class ReadNotes>
void load_checkpoint(const std::filesystem::path& path, Parameters<T>& parameters, Optimizer<T>& optimizer,
                     RandomState& random, const std::string& configuration, const ReadNotes& read_notes) {
  detail::load(path, parameters, optimizer, random, configuration, {0, 1, 1}, read_notes);
}

/// The same; returns the notes.
template <class T, template <class> class Optimizer>
std::string load_checkpoint(const std::filesystem::path& path, Parameters<T>& parameters, Optimizer<T>& optimizer,
                            RandomState& random, const std::string& configuration) {
  std::string notes;
  load_checkpoint(path, parameters, optimizer, random, configuration,
                  [&](std::string text) { notes = std::move(text); });
  return notes;
}

}  // namespace neuroinhib::io
