#pragma once

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <neuroinhib/core/parameters.hpp>
#include <neuroinhib/io/safetensors.hpp>
#include <neuroinhib/ops/collectives/op.hpp>

/// A model to disk and back: its parameters and states in one safetensors file, without an optimizer. For serving, and
/// for weights that another library wrote.
namespace neuroinhib::io {

/// How load_model finds a model's tensors in a file that names, cuts or rounds them differently.
struct LoadOptions {
  /// The file's name for the model's tensor of that name. With "{k}" in it, the model's tensor is stacked along its
  /// first extent from the file's tensors for k = 0, 1, …; "" says that the file has none and the model's is to stay.
  std::function<std::string(const std::string& name)> file_name = [](const std::string& name) { return name; };
  /// Whether a tensor of the file may go unused. By default none may.
  std::function<bool(const std::string& file_name)> may_go_unused = [](const std::string&) { return false; };
  /// Whether F64, F32, F16 and BF16 become the model's type; otherwise they must be it.
  bool convert = true;
};

/// A renaming for LoadOptions::file_name: replaces, rule after rule, every place where the model's name has the first
/// text by the second.
[[nodiscard]] inline std::function<std::string(const std::string&)> replacing(
    std::vector<std::pair<std::string, std::string>> rules) {
  return [rules = std::move(rules)](std::string name) {
    for (const auto& [from, to] : rules)
      for (std::size_t at = 0; !from.empty() && (at = name.find(from, at)) != std::string::npos; at += to.size())
        name.replace(at, from.size(), to);
    return name;
  };
}

namespace detail {

/// Counts up to here are exact in every double, and leave room for counting on.
inline constexpr std::uint64_t kMaxSteps = std::uint64_t{1} << 53;

/// The first few names of a list.
[[nodiscard]] inline std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kMax = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(kMax, names.size()); ++i) text += (i > 0 ? ", \"" : "\"") + names[i] + "\"";
  return names.size() > kMax ? text + " and " + std::to_string(names.size() - kMax) + " more" : text;
}

/// The shape of one of those that are stacked along the first extent.
[[nodiscard]] inline Shape slice_of(const Shape& stack) {
  switch (stack.rank()) {
    case 4: return {stack[1], stack[2], stack[3]};
    case 3: return {stack[1], stack[2]};
    case 2: return {stack[1]};
    default: return Shape::scalar();
  }
}

/// One of a model's tensors, and what a file has for it.
template <class T>
struct Incoming {
  std::string name;                   ///< in the model
  StateForm form;                     ///< of a parameter: its shape
  Share rows{};                       ///< those of the file's tensor that the model has; none: all
  std::vector<std::string> places{};  ///< names in the file: none, one, or those of a stack
  bool stacked = false;
  std::vector<T> values{};
  Shape shape{};
};

template <class T>
void find_places(Incoming<T>& tensor, const LoadOptions& options) {
  constexpr std::string_view kNumber = "{k}";
  const std::string place = options.file_name(tensor.name);
  const std::size_t at = place.find(kNumber);
  tensor.stacked = at != std::string::npos;
  if (!tensor.stacked && !place.empty()) tensor.places = {place};
  for (Index k = 0; tensor.stacked && k < tensor.form.start.rows(); ++k)
    tensor.places.push_back(std::string(place).replace(at, kNumber.size(), std::to_string(k)));
}

/// Rows of a parameter that this rank has, of all ranks'.
template <class T>
[[nodiscard]] Share rows_of(const Parameters<T>& parameters, const typename Parameters<T>::Entry& entry) {
  const Slice& slice = parameters.slice_of(entry);
  const Index rows = entry.tensor.rows();
  return {slice.first, slice.first + rows, slice ? slice.whole : rows};
}

/// Leaves of what was read the rows that the model has.
template <class T>
void cut(Incoming<T>& tensor, const Share& rows) {
  const Index each = tensor.shape.cols();
  tensor.values = {tensor.values.begin() + rows.begin * each, tensor.values.begin() + rows.end * each};
  tensor.shape = neuroinhib::detail::with_rows(tensor.shape, rows.count());
}

/// All of a model's tensors, parameters first, with their places in a file.
template <class T>
[[nodiscard]] std::vector<Incoming<T>> incoming(const Parameters<T>& parameters, const LoadOptions& options) {
  std::vector<Incoming<T>> all;
  for (const auto& entry : parameters.entries()) {
    const Share rows = rows_of(parameters, entry);
    all.push_back({entry.name, {neuroinhib::detail::with_rows(entry.tensor.shape, rows.total)}});
    if (rows.count() < rows.total) all.back().rows = rows;
  }
  for (const auto& state : parameters.states()) all.push_back({state.name, state.form});
  for (Incoming<T>& tensor : all) find_places(tensor, options);
  return all;
}

template <class T>
[[nodiscard]] std::set<std::string> places_of(const std::vector<Incoming<T>>& tensors) {
  std::set<std::string> places;
  for (const Incoming<T>& tensor : tensors) places.insert(tensor.places.begin(), tensor.places.end());
  return places;
}

/// Throws FormatError, with their lists, where tensors are missing or more than those wanted are there.
template <class MayGoUnused>
void require_names(const Safetensors& file, const std::set<std::string>& wanted, const MayGoUnused& may_go_unused,
                   const std::string& remedy) {
  std::vector<std::string> missing, unused;
  for (const std::string& name : wanted)
    if (!file.contains(name)) missing.push_back(name);
  for (const std::string& name : file.names())
    if (!wanted.contains(name) && !may_go_unused(name)) unused.push_back(name);
  if (missing.empty() && unused.empty()) return;
  std::string actual = missing.empty() ? "all of them" : "a file without " + listed(missing);
  if (!unused.empty()) actual += ", and " + listed(unused) + " besides";
  file.refuse("the model's " + std::to_string(wanted.size()) + " tensors and no others", actual, remedy);
}

/// Reads a tensor's values. Throws FormatError where shape, dtype or numbers do not fit.
template <class T>
void read(const Safetensors& file, Incoming<T>& tensor, bool convert) {
  const StateForm form = tensor.stacked ? StateForm{slice_of(tensor.form.start)} : tensor.form;
  for (const std::string& place : tensor.places) {
    const Shape& shape = file.shape(place);
    if (!form.allows(shape))
      file.refuse("\"" + place + "\" of shape " + form.text(), shape.text(),
                  "build the model with the extents that the file was written for");
    std::vector<T> values = convert ? file.converted<T>(place) : file.values<T>(place);
    if (tensor.stacked)
      tensor.values.insert(tensor.values.end(), values.begin(), values.end());
    else
      tensor.values = std::move(values);
    tensor.shape = tensor.stacked ? tensor.form.start : shape;
  }
  for (const T value : tensor.values)
    if (tensor.form.counts && !(value >= 0 && value <= static_cast<T>(kMaxSteps) && value == std::floor(value)))
      file.refuse("whole numbers from 0 to 2⁵³ in \"" + tensor.name + "\"", std::to_string(value));
  if (tensor.rows.total > 0) cut(tensor, tensor.rows);
}

/// Gives a model what was read; nothing of it is refused any more.
template <class T>
void assign(Parameters<T>& parameters, const std::vector<Incoming<T>>& tensors) {
  auto next = tensors.begin();
  for (const auto& entry : parameters.entries()) {
    if (!next->places.empty()) parameters.set_values(entry, next->values);
    ++next;
  }
  for (auto& state : parameters.states()) {
    if (!next->places.empty()) state.assign({next->values.data(), next->shape});
    ++next;
  }
}

template <class T>
void add_model(SafetensorsWriter& writer, const Parameters<T>& parameters) {
  for (const auto& entry : parameters.entries())
    writer.add(entry.name, parameters.values_of(entry), entry.tensor.shape);
  for (const auto& state : parameters.states()) writer.add(state.name, state.values.to_host(), state.shape);
}

/// What a checkpoint has besides the model.
inline constexpr std::string_view kOptimizer = "optimizer.";
inline constexpr const char* kOptimizerSteps = "optimizer_steps";

}  // namespace detail

/// Writes a model's parameters and states under their names, in F32 or F64 as T is, atomically. Throws IoError; an
/// older file of that name is then left as it was.
template <class T>
void save_model(const std::filesystem::path& path, const Parameters<T>& parameters) {
  SafetensorsWriter writer;
  detail::add_model(writer, parameters);
  writer.write(path);
}

/// Reads a model's parameters and states from what save_model, save_checkpoint or another library wrote; a checkpoint's
/// optimizer is left out. Values come back as they were saved, NaN and infinity included. Throws IoError, and
/// FormatError where names, shapes, dtypes or numbers are not the model's, with the lists of missing and unused
/// tensors; nothing is changed then.
template <class T>
void load_model(const std::filesystem::path& path, Parameters<T>& parameters, const LoadOptions& options = {}) {
  const Safetensors file(path);
  const bool checkpoint = file.notes().contains(detail::kOptimizerSteps);
  auto tensors = detail::incoming(parameters, options);
  detail::require_names(
      file, detail::places_of(tensors),
      [&](const std::string& name) {
        return (checkpoint && name.starts_with(detail::kOptimizer)) || options.may_go_unused(name);
      },
      "say in LoadOptions::file_name how the file calls the model's tensors (for PyTorch, the keys of the state_dict), "
      "or in may_go_unused what to leave");
  for (auto& tensor : tensors) detail::read(file, tensor, options.convert);
  detail::assign(parameters, tensors);
}

}  // namespace neuroinhib::io
