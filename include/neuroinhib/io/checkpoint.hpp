#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <neuroinhib/core/parameters.hpp>
#include <neuroinhib/core/random.hpp>
#include <neuroinhib/io/safetensors.hpp>
#include <neuroinhib/optim/adam.hpp>
#include <neuroinhib/optim/sgd.hpp>

/// Training to disk and back: parameters, modules' state, optimizer, random state and the caller's notes in one
/// safetensors file. Resuming from it gives the same bits as not having stopped.
namespace neuroinhib::io {

/// Where training stands, as the caller counts it.
struct Progress {
  std::string configuration;  ///< whatever must be equal for the file to fit: model, data, batch size, …
  std::string notes;          ///< whatever else the caller wants back: position in the data, curves, …
};

namespace detail {

template <class T, class F>
void for_each_vector(typename Adam<T>::State& state, const F& f) {
  f("optimizer.first_moment", state.first);
  f("optimizer.second_moment", state.second);
}
template <class T, class F>
void for_each_vector(typename Sgd<T>::State& state, const F& f) {
  f("optimizer.velocity", state.velocity);
}

}  // namespace detail

/// Writes the parameters alone, under their names.
template <class T>
void save_parameters(const std::filesystem::path& path, const Parameters<T>& parameters) {
  SafetensorsWriter writer;
  for (const auto& entry : parameters.entries())
    writer.add(entry.name, parameters.values_of(entry), entry.tensor.shape);
  writer.write(path);
}

/// Reads parameters by name. Throws FormatError where a name, shape or dtype is not the model's; nothing is changed
/// then.
template <class T>
void load_parameters(const std::filesystem::path& path, Parameters<T>& parameters) {
  const Safetensors file(path);
  std::vector<std::vector<T>> values;
  for (const auto& entry : parameters.entries()) values.push_back(file.values<T>(entry.name, entry.tensor.shape));
  for (std::size_t i = 0; i < values.size(); ++i) parameters.set_values(parameters.entries()[i], values[i]);
}

/// Writes atomically. Throws IoError; the checkpoint before is then still there.
template <class T, template <class> class Optimizer>
void save_checkpoint(const std::filesystem::path& path, const Parameters<T>& parameters, Optimizer<T>& optimizer,
                     const RandomState& random, const Progress& progress) {
  SafetensorsWriter writer;
  for (const auto& entry : parameters.entries())
    writer.add("parameters." + entry.name, parameters.values_of(entry), entry.tensor.shape);
  for (const auto& state : parameters.states())
    writer.add("state." + state.name, state.values.to_host(), state.shape);
  detail::for_each_vector<T>(optimizer.state(), [&](const char* name, const Storage<T>& values) {
    writer.add(name, values.to_host(), {values.size()});
  });
  writer.note("configuration", progress.configuration);
  writer.note("notes", progress.notes);
  writer.note("optimizer_steps", std::to_string(optimizer.state().steps));
  writer.note("random_seed", std::to_string(random.seed));
  writer.note("random_step", std::to_string(random.step));
  writer.write(path);
}

/// Brings everything back and returns the notes. Throws ConfigError for a checkpoint of another configuration,
/// FormatError for a damaged file; nothing is changed then.
template <class T, template <class> class Optimizer>
std::string load_checkpoint(const std::filesystem::path& path, Parameters<T>& parameters, Optimizer<T>& optimizer,
                            RandomState& random, const std::string& configuration) {
  const Safetensors file(path);
  if (file.note("configuration") != configuration)
    fail<ConfigError>("checkpoint " + path.string(), "the configuration " + configuration, file.note("configuration"),
                      "resume with the options it was made with, or choose another output folder");
  // Everything is read and checked before anything is changed.
  std::vector<std::vector<T>> values, states, moments;
  for (const auto& entry : parameters.entries())
    values.push_back(file.values<T>("parameters." + entry.name, entry.tensor.shape));
  for (const auto& state : parameters.states()) states.push_back(file.values<T>("state." + state.name));
  detail::for_each_vector<T>(optimizer.state(), [&](const char* name, const Storage<T>& moment) {
    moments.push_back(file.values<T>(name, {moment.size()}));
  });
  const auto steps = static_cast<Index>(file.number("optimizer_steps"));
  const RandomState kept{file.number("random_seed"), file.number("random_step")};
  std::string notes = file.note("notes");

  for (std::size_t i = 0; i < values.size(); ++i) parameters.set_values(parameters.entries()[i], values[i]);
  for (std::size_t i = 0; i < states.size(); ++i)
    parameters.states()[i].assign({states[i].data(), file.shape("state." + parameters.states()[i].name)});
  auto moment = moments.begin();
  detail::for_each_vector<T>(optimizer.state(), [&](const char*, Storage<T>& target) {
    target.assign(moment->data(), target.size());
    ++moment;
  });
  optimizer.state().steps = steps;
  random = kept;
  return notes;
}

}  // namespace neuroinhib::io
