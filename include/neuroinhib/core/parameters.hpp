#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <neuroinhib/core/arena.hpp>
#include <neuroinhib/core/initializer.hpp>
#include <neuroinhib/core/tensor.hpp>

namespace neuroinhib {

/// A trained tensor of a module: a shape and an initialiser, until Parameters gives it memory.
template <class T>
struct Parameter {
  Tensor<T> tensor;
  Initializer initializer;

  Parameter() = default;
  Parameter(const Shape& shape, const Initializer& init) : initializer(init) { tensor.shape = shape; }
  operator const Tensor<T>&() const { return tensor; }  // NOLINT(google-explicit-constructor)
};

/// State of a module that is kept in checkpoints but not trained, such as the post-text memory. Its first extent may
/// change from step to step.
template <class T>
struct Buffer {
  std::vector<T> values;
  Shape shape;

  [[nodiscard]] View<const T> view() const { return {values.data(), shape}; }
  void assign(const View<const T>& source) {
    values.assign(source.begin(), source.end());
    shape = source.shape;
  }
};

namespace detail {

template <class M>
concept Visitable = requires(M& module) {
  module.visit([](std::string_view, auto&) {});
};

/// Walks a module's tree and hands each leaf, with its dotted name, to `leaf`.
template <class Leaf>
struct LeafVisitor {
  std::string prefix;
  Leaf& leaf;

  template <class M>
  void operator()(std::string_view name, M& child) const {
    const std::string full = prefix.empty() ? std::string(name) : prefix + "." + std::string(name);
    if constexpr (Visitable<M>) {
      child.visit(LeafVisitor{full, leaf});
    } else if constexpr (
        requires {
          child.begin();
          child[0].visit(*this);
        } ||
        requires { child[0].tensor; }) {
      int i = 0;
      for (auto& element : child) LeafVisitor{full, leaf}(std::to_string(i++), element);
    } else {
      leaf(full, child);
    }
  }
};

template <class M, class Leaf>
void for_each_leaf(M& module, Leaf leaf) {
  module.visit(LeafVisitor<Leaf>{"", leaf});
}

}  // namespace detail

/// The trained values of a module in one flat buffer, and their gradients in another, each tensor with its name
/// ("moe.router.weight"). Binds the module's Parameters to that memory: the module must stay where it is, and must not
/// outlive this object.
template <class T>
class Parameters {
 public:
  struct Entry {
    std::string name;
    Tensor<T> tensor;
    Index offset;
  };
  struct State {
    std::string name;
    Buffer<T>* buffer;
  };

  /// Allocates and initialises. A value depends on the seed and the parameter's name, not on its neighbours.
  template <class Module>
  Parameters(Module& module, std::uint64_t seed) {
    std::vector<Parameter<T>*> found;
    detail::for_each_leaf(module, [&](const std::string& name, auto& leaf) {
      if constexpr (std::same_as<std::remove_cvref_t<decltype(leaf)>, Buffer<T>>) {
        states_.push_back({name, &leaf});
      } else {
        found.push_back(&leaf);
        entries_.push_back({name, {}, size_});
        size_ += padded(leaf.tensor.size());
      }
    });
    values_ = allocate(size_);
    gradients_ = allocate(size_);
    written_ = std::make_unique<bool[]>(found.size());
    for (std::size_t i = 0; i < found.size(); ++i) bind(*found[i], entries_[i], written_[i], seed);
  }

  /// Elements of the flat buffers, padding between tensors (always zero) included.
  [[nodiscard]] Index size() const { return size_; }
  /// Trained scalars, without padding.
  [[nodiscard]] Index count() const {
    Index total = 0;
    for (const Entry& entry : entries_) total += entry.tensor.size();
    return total;
  }
  [[nodiscard]] View<T> values() { return {values_.get(), Shape{size_}}; }
  /// The flat gradient; parameters that no backward pass has reached since zero_gradients() read as zero.
  [[nodiscard]] View<T> gradients() {
    for (Entry& entry : entries_) {
      if (*entry.tensor.gradient_written) continue;
      std::fill_n(entry.tensor.gradient, entry.tensor.size(), T{0});
      *entry.tensor.gradient_written = true;
    }
    return {gradients_.get(), Shape{size_}};
  }
  /// The next backward pass starts from zero; until then, passes add up.
  void zero_gradients() { std::fill_n(written_.get(), entries_.size(), false); }

  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
  [[nodiscard]] const std::vector<State>& states() const { return states_; }

  /// The tensor of that name. Throws ConfigError where there is none.
  [[nodiscard]] const Tensor<T>& operator[](std::string_view name) const {
    for (const Entry& entry : entries_)
      if (entry.name == name) return entry.tensor;
    fail<ConfigError>("parameters", "the name of a parameter", "\"" + std::string(name) + "\"",
                      "list entries() for the names");
  }

 private:
  struct Release {
    void operator()(T* memory) const { HostMemory::release(memory); }
  };
  using Storage = std::unique_ptr<T, Release>;

  static Index padded(Index count) {
    constexpr auto kStep = static_cast<Index>(HostMemory::kAlignment / sizeof(T));
    return (count + kStep - 1) / kStep * kStep;
  }
  static Storage allocate(Index count) {
    Storage storage(static_cast<T*>(HostMemory::allocate(static_cast<std::size_t>(count) * sizeof(T))));
    std::fill_n(storage.get(), count, T{0});
    return storage;
  }
  void bind(Parameter<T>& parameter, Entry& entry, bool& written, std::uint64_t seed) {
    parameter.tensor.data = values_.get() + entry.offset;
    parameter.tensor.gradient = gradients_.get() + entry.offset;
    parameter.tensor.gradient_written = &written;
    parameter.initializer.fill(View<T>(parameter.tensor), RandomStream{seed, 0, hash_name(entry.name)});
    entry.tensor = parameter.tensor;
  }

  std::vector<Entry> entries_;
  std::vector<State> states_;
  Index size_ = 0;
  Storage values_, gradients_;
  std::unique_ptr<bool[]> written_;
};

}  // namespace neuroinhib
