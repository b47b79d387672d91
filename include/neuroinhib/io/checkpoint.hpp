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
  writer.note("configuration", progress.configuration);
  writer.note("notes", progress.notes);
  writer.note(detail::kOptimizerSteps, std::to_string(optimizer.state().steps));
  writer.note("random_seed", std::to_string(random.seed));
  writer.note("random_step", std::to_string(random.step));
  writer.write(path);
}

/// Brings everything back; read_notes(std::string) is called first, once all else has been read and fits. Values come
/// back as they were saved, NaN and infinity included. Throws ConfigError for a checkpoint of another configuration,
/// FormatError for a damaged file and for one whose names, shapes, dtypes or counts are not the model's and the
/// optimizer's, and what read_notes throws; nothing is changed then.
template <class T, template <class> class Optimizer, class ReadNotes>
void load_checkpoint(const std::filesystem::path& path, Parameters<T>& parameters, Optimizer<T>& optimizer,
                     RandomState& random, const std::string& configuration, const ReadNotes& read_notes) {
  const Safetensors file(path);
  if (file.note("configuration") != configuration)
    fail<ConfigError>("checkpoint " + path.string(), "the configuration " + configuration, file.note("configuration"),
                      "resume with the options it was made with, or choose another output folder");
  // Everything is read and checked before anything is changed.
  const LoadOptions same{.convert = false};
  auto tensors = detail::incoming(parameters, same);
  auto names = detail::places_of(tensors);
  detail::for_each_vector<T>(optimizer.state(), [&](const char* name, const Storage<T>&, bool) { names.insert(name); });
  detail::require_names(file, names, same.may_go_unused, "resume with the model and the optimizer it was made with");
  for (auto& tensor : tensors) detail::read(file, tensor, same.convert);
  std::vector<std::vector<T>> moments;
  detail::for_each_vector<T>(optimizer.state(), [&](const char* name, const Storage<T>& moment, bool square) {
    moments.push_back(file.values<T>(name, {moment.size()}));
    if (square && std::any_of(moments.back().begin(), moments.back().end(), [](T value) { return value < 0; }))
      file.refuse("squares in \"" + std::string(name) + "\"", "negative numbers");
  });
  const auto steps = static_cast<Index>(file.number(detail::kOptimizerSteps, detail::kMaxSteps));
  const RandomState kept{file.number("random_seed"), file.number("random_step")};
  read_notes(file.note("notes"));

  detail::assign(parameters, tensors);
  auto moment = moments.begin();
  detail::for_each_vector<T>(optimizer.state(), [&](const char*, Storage<T>& target, bool) {
    target.assign(moment->data(), target.size());
    ++moment;
  });
  optimizer.state().steps = steps;
  random = kept;
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
