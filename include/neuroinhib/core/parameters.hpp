#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <neuroinhib/core/initializer.hpp>
#include <neuroinhib/core/memory.hpp>
#include <neuroinhib/core/tensor.hpp>

namespace neuroinhib {

/// Which part of a larger parameter a module has, where the others are on other ranks: along the first extent.
struct Slice {
  Index first = 0;  ///< where it begins
  Index whole = 0;  ///< first extent of the larger one; 0: the parameter is whole

  /// Whether it is a part.
  explicit operator bool() const { return whole > 0; }
};

/// A trained tensor of a module: a shape and an initialiser, until Parameters gives it memory. A module may move and
/// stays bound. It cannot be copied: both copies would train the same memory. `tensor` has the shape, then the values
/// and the gradient; `initializer` says how it starts.
template <class T>
struct Parameter {
  Tensor<T> tensor;
  Initializer initializer;
  Slice slice{};  ///< of a larger one: its values are those that the larger one has there

  Parameter() = default;
  /// Of that shape, without memory until Parameters gives it some.
  Parameter(const Shape& shape, const Initializer& init) : initializer(init) { tensor.shape = shape; }
  Parameter(Parameter&&) noexcept = default;
  Parameter& operator=(Parameter&&) noexcept = default;
  /// Undefined for a parameter that the module does not have. Throws ConfigError for one that has no memory yet.
  operator const Tensor<T>&() const {  // NOLINT(google-explicit-constructor)
    if (tensor.size() > 0 && !tensor.defined())
      fail<ConfigError>("parameter " + tensor.shape.text(), "a module with memory", "one without",
                        "make Parameters(module, seed) first");
    return tensor;
  }
};

/// What values a state may have: what a file is held to.
struct StateForm {
  Shape start;  ///< of the values; an extent of 0 may become any other, and there are no values until then
  bool starts_empty = false;  ///< no values until the first assign(), though no extent is 0
  bool counts = false;        ///< whole numbers from 0 on

  /// Without `start`, every shape will do.
  [[nodiscard]] bool allows(const Shape& shape) const {
    if (start == Shape{}) return true;
    if (shape.size() == 0) return starts_empty || start.size() == 0;
    bool fits = shape.rank() == start.rank();
    for (int axis = 0; axis < start.rank(); ++axis) fits = fits && (start[axis] == 0 || start[axis] == shape[axis]);
    return fits;
  }
  /// Whether there is a row for every token of the batch before, so that each of several ranks has its own.
  [[nodiscard]] bool by_rows() const { return start.rank() > 0 && start[0] == 0; }
  /// For people to read, as in "[any, 6]".
  [[nodiscard]] std::string text() const {
    std::string out;
    for (int axis = 0; axis < start.rank(); ++axis)
      out += (axis > 0 ? ", " : "") + (start[axis] > 0 ? std::to_string(start[axis]) : "any");
    return "[" + out + "]";
  }
};

/// The largest count that a state of T tells from the next one: 2²⁴ in float.
template <class T>
inline constexpr Index kMaxCounted = Index{1} << std::numeric_limits<T>::digits;

/// What Parameters keeps for a Buffer: values, their present shape, and the form that they must have.
template <class T>
struct ModuleState {
  std::string name;
  Storage<T> values;
  Shape shape;
  StateForm form;

  /// The values, on the space where they live.
  [[nodiscard]] View<const T> view() const { return {values.data(), shape}; }
  /// Takes values and shape over, from host memory or from the same space.
  void assign(const View<const T>& source) {
    values.assign(source.data, source.size());
    shape = source.shape;
  }
};

/// State of a module that is kept in checkpoints but not trained, such as the post-text memory. Like a Parameter it is
/// a handle to memory that Parameters owns: a training step writes to it, inference only reads. `initializer` says how
/// it starts; `bound` is null until Parameters gives it memory.
template <class T>
struct Buffer : StateForm {
  Initializer initializer{};
  bool stays_on_host = false;  ///< read by the module itself, between kernels
  ModuleState<T>* bound = nullptr;

  Buffer() = default;
  /// Of that starting shape; see StateForm for extents of 0.
  explicit Buffer(const Shape& shape, const Initializer& init = {}) : StateForm{shape}, initializer(init) {}
  Buffer(Buffer&&) noexcept = default;
  Buffer& operator=(Buffer&&) noexcept = default;

  /// Throws ConfigError before Parameters has given the module memory.
  [[nodiscard]] ModuleState<T>& state() const {
    if (bound == nullptr)
      fail<ConfigError>("module state", "a module with memory", "one without", "make Parameters(module, seed) first");
    return *bound;
  }
  /// The present shape. Throws ConfigError as state().
  [[nodiscard]] const Shape& shape() const { return state().shape; }
  /// The values, where they live. Throws ConfigError as state().
  [[nodiscard]] T* data() const { return state().values.data(); }
};

namespace detail {

/// `count` elements filled up to whole lines of the cache, as they lie in flat buffers.
template <class T>
[[nodiscard]] constexpr Index padded(Index count) {
  constexpr auto kLine = static_cast<Index>(HostMemory::kAlignment / sizeof(T));
  return (count + kLine - 1) / kLine * kLine;
}

template <class M, class Visitor>
concept Visitable = requires(M& module, Visitor&& visitor) { module.visit(std::move(visitor)); };

/// Throws ConfigError for a leaf, or a name, that has come before: names are what files and initial values go by.
class DistinctLeaves {
 public:
  void add(const std::string& name, const void* leaf) {
    if (!leaves_.insert(leaf).second)
      fail<ConfigError>("parameters", "each parameter and state once", "\"" + name + "\", shown under another name too",
                        "show it once, and use it where it is shared");
    if (!names_.insert(name).second)
      fail<ConfigError>("parameters", "one parameter or state a name", "two called \"" + name + "\"",
                        "give the module's parts different names in visit()");
  }

 private:
  std::set<const void*> leaves_;
  std::set<std::string_view> names_;
};

/// A module's parameters and states, in the order of its visit(), with their dotted names.
template <class T>
struct Leaves {
  template <class Leaf>
  struct Named {
    std::string name;
    Leaf* leaf;
  };
  std::vector<Named<Parameter<T>>> parameters;
  std::vector<Named<Buffer<T>>> states;

  void add(const std::string& name, Parameter<T>& leaf) { parameters.push_back({name, &leaf}); }
  void add(const std::string& name, Buffer<T>& leaf) { states.push_back({name, &leaf}); }
  /// Throws ConfigError where a module's visit() shows one leaf twice, or gives one name twice.
  void require_distinct() const {
    DistinctLeaves distinct;
    for (const auto& [name, leaf] : parameters) distinct.add(name, leaf);
    for (const auto& [name, leaf] : states) distinct.add(name, leaf);
  }
};

/// The name of a part: that of the whole, a dot and the part's own; its own alone where the whole has none.
[[nodiscard, gnu::noinline]] inline std::string dotted(std::string_view whole, std::string_view part) {
  std::string name(whole);
  if (!whole.empty()) name += '.';
  return name.append(part);
}

/// Walks a module's tree. Never inlined, and of one type for all modules: a kind of layer is compiled once, however
/// many models have it.
template <class T>
struct LeafVisitor {
  std::string_view prefix;
  Leaves<T>& leaves;

  template <class M>
  [[gnu::noinline]] void operator()(std::string_view name, M& child) const {
    const std::string full = dotted(prefix, name);
    if constexpr (Visitable<M, LeafVisitor>) {
      child.visit(LeafVisitor{full, leaves});
    } else if constexpr (
        requires {
          child.begin();
          child[0].visit(*this);
        } || requires { child[0].tensor; }) {
      int i = 0;
      for (auto& element : child) LeafVisitor{full, leaves}(std::to_string(i++), element);
    } else {
      constexpr bool kIsLeaf = requires { leaves.add(full, child); };
      static_assert(kIsLeaf,
                    "a module needs visit(v), which calls v(\"name\", part) for each of its parts: modules, and "
                    "Parameter<T> or Buffer<T> with the T of Parameters<T>; see docs/write-a-policy.md");
      if constexpr (kIsLeaf) leaves.add(full, child);
    }
  }
};

template <class T, class M>
[[nodiscard]] Leaves<T> leaves_of(M& module) {
  static_assert(Visitable<M, LeafVisitor<T>>,
                "Parameters takes a module with visit(v), not const; see docs/write-a-policy.md");
  Leaves<T> leaves;
  if constexpr (Visitable<M, LeafVisitor<T>>) module.visit(LeafVisitor<T>{"", leaves});
  return leaves;
}

}  // namespace detail

/// The trained values of a module in one flat buffer, and their gradients in another, each tensor with its name
/// ("moe.router.weight"); and the module's states. Binds the module's Parameters and Buffers to that memory: the module
/// must not outlive this object. Both may be moved. Binding a module again starts it anew.
template <class T>
class Parameters {
 public:
  /// A parameter in the flat buffers.
  struct Entry {
    std::string name;  ///< dotted, as in "moe.router.weight"
    Tensor<T> tensor;  ///< with the place for its gradient
    Index offset;      ///< element of the flat buffers where it begins
  };

  /// Allocates and initialises. A value depends on the seed and the parameter's name, not on its neighbours.
  /// `space`: where they live, such as Backend::space(); it must be the backend's that computes with them.
  /// Throws ConfigError where the module gives one name twice, or one parameter under two names.
  template <class Module>
  Parameters(Module& module, std::uint64_t seed, const MemorySpace& space = kSpaceOf<HostMemory>)
      : Parameters(detail::leaves_of<T>(module), seed, space) {}

  Parameters(const Parameters&) = delete;
  Parameters& operator=(const Parameters&) = delete;
  Parameters(Parameters&&) = default;
  Parameters& operator=(Parameters&&) = default;
  ~Parameters() = default;

  /// Elements of the flat buffers, padding between tensors (always zero) included.
  [[nodiscard]] Index size() const { return size_; }
  /// Trained scalars, without padding.
  [[nodiscard]] Index count() const {
    Index total = 0;
    for (const Entry& entry : entries_) total += entry.tensor.size();
    return total;
  }
  /// The flat values, of size() elements, to read them.
  [[nodiscard]] const T* data() const { return values_.data(); }
  /// To write them. A backend may keep them in other numbers too (bf16): write before the next step, or call this
  /// again.
  [[nodiscard]] View<T> values() {
    space().changed(values_.data());
    return {values_.data(), Shape{size_}};
  }
  /// The flat gradient; parameters that no backward pass has reached since zero_gradients() read as zero, which
  /// clear(T*, count) makes them.
  template <class Clear>
  [[nodiscard]] View<T> gradients(const Clear& clear) {
    for (Entry& entry : entries_) {
      if (*entry.tensor.gradient_written) continue;
      clear(entry.tensor.gradient, entry.tensor.size());
      detail::set_flag(*entry.tensor.gradient_written, true);
    }
    return {gradients_.data(), Shape{size_}};
  }
  /// The flat gradient as above, cleared by the memory space.
  [[nodiscard]] View<T> gradients() {
    return gradients([this](T* target, Index count) { space().clear(target, bytes(count)); });
  }
  /// The next backward pass starts from zero; until then, passes add up.
  void zero_gradients() {
    for (Entry& entry : entries_) detail::set_flag(*entry.tensor.gradient_written, false);
    detail::set_flag(summed_.flag, false);
    detail::set_flag(sharded_.flag, false);
  }
  /// Whether the gradients of all ranks are still to be added up; true once until zero_gradients().
  [[nodiscard]] bool claim_sum() {
    const bool first = !summed_.flag;
    detail::set_flag(summed_.flag, true);
    return first;
  }
  /// Whether each rank has that sum for the elements of its shard alone, until zero_gradients().
  [[nodiscard]] bool sum_is_sharded() const { return sharded_.flag; }
  /// Says whether it is so.
  void set_sum_sharded(bool sharded) { detail::set_flag(sharded_.flag, sharded); }

  /// Where values and gradients live.
  [[nodiscard]] const MemorySpace& space() const { return values_.space(); }
  /// An entry's values on the host.
  [[nodiscard]] std::vector<T> values_of(const Entry& entry) const { return to_host(entry.tensor.data, entry); }
  /// An entry's gradient on the host; call gradients() before, where some may not have been written.
  [[nodiscard]] std::vector<T> gradient_of(const Entry& entry) const { return to_host(entry.tensor.gradient, entry); }
  /// Throws ShapeError unless there is one value an element.
  void set_values(const Entry& entry, const std::vector<T>& values) {
    if (static_cast<Index>(values.size()) != entry.tensor.size())
      fail<ShapeError>("parameter " + entry.name, std::to_string(entry.tensor.size()) + " values",
                       std::to_string(values.size()), "give one value an element");
    space().copy(entry.tensor.data, values.data(), bytes(entry.tensor.size()));
  }

  /// Which part of a larger parameter an entry is.
  [[nodiscard]] const Slice& slice_of(const Entry& entry) const {
    return slices_[static_cast<std::size_t>(&entry - entries_.data())];
  }
  /// Parameters in the order of the module's visit(). Before you write to an entry's tensor, call values() each time.
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
  /// The entries: `for (const auto& [name, tensor, offset] : parameters)`.
  [[nodiscard]] auto begin() const { return entries_.begin(); }
  /// Behind the last entry.
  [[nodiscard]] auto end() const { return entries_.end(); }
  /// The module's states, such as the memory of post-text inhibition.
  [[nodiscard]] std::vector<ModuleState<T>>& states() { return states_; }
  [[nodiscard]] const std::vector<ModuleState<T>>& states() const { return states_; }

  /// The tensor of that name. Before you write to it, call values() each time. Throws ConfigError where there is none.
  [[nodiscard]] const Tensor<T>& operator[](std::string_view name) const {
    for (const Entry& entry : entries_)
      if (entry.name == name) return entry.tensor;
    fail<ConfigError>("parameters", "the name of a parameter", "\"" + std::string(name) + "\"",
                      "list entries() for the names");
  }

 private:
  /// A flag with an address of its own, which std::vector<bool> does not give.
  struct Written {
    bool flag = false;
  };

  Parameters(const detail::Leaves<T>& leaves, std::uint64_t seed, const MemorySpace& space)
      : values_(space), gradients_(space) {
    leaves.require_distinct();
    for (const auto& [name, leaf] : leaves.parameters) {
      entries_.push_back({name, {}, size_});
      slices_.push_back(leaf->slice);
      size_ += detail::padded<T>(leaf->tensor.size());
    }
    states_.reserve(leaves.states.size());
    for (const auto& [name, leaf] : leaves.states)
      states_.push_back({name, Storage<T>(leaf->stays_on_host ? kSpaceOf<HostMemory> : space), {}, *leaf});
    values_.assign_zeros(size_);
    space.reports_writes(values_.data());
    gradients_.assign_zeros(size_);
    written_.resize(entries_.size());
    for (std::size_t i = 0; i < entries_.size(); ++i)
      bind(*leaves.parameters[i].leaf, entries_[i], written_[i].flag, seed);
    for (std::size_t i = 0; i < states_.size(); ++i) bind(*leaves.states[i].leaf, states_[i], seed);
  }
  static std::size_t bytes(Index count) { return static_cast<std::size_t>(count) * sizeof(T); }
  [[nodiscard]] std::vector<T> to_host(const T* source, const Entry& entry) const {
    std::vector<T> values(static_cast<std::size_t>(entry.tensor.size()));
    space().copy(values.data(), source, bytes(entry.tensor.size()));
    return values;
  }
  void bind(Parameter<T>& parameter, Entry& entry, bool& written, std::uint64_t seed) {
    parameter.tensor.data = values_.data() + entry.offset;
    parameter.tensor.gradient = gradients_.data() + entry.offset;
    parameter.tensor.gradient_written = &written;
    parameter.tensor.space = &space();
    entry.tensor = parameter.tensor;
    const Index first = parameter.slice.first * entry.tensor.cols();
    set_values(entry, initial(parameter.initializer, entry.tensor.shape, entry.name, seed, first));
  }
  static void bind(Buffer<T>& buffer, ModuleState<T>& state, std::uint64_t seed) {
    buffer.bound = &state;
    if (buffer.starts_empty || buffer.start.size() == 0) return;
    const std::vector<T> start = initial(buffer.initializer, buffer.start, state.name, seed);
    state.assign({start.data(), buffer.start});
  }
  static std::vector<T> initial(const Initializer& initializer, const Shape& shape, std::string_view name,
                                std::uint64_t seed, Index first = 0) {
    std::vector<T> start(static_cast<std::size_t>(shape.size()));
    initializer.fill(View<T>{start.data(), shape}, RandomStream{seed, 0, hash_name(name), first});
    return start;
  }

  std::vector<Entry> entries_;
  std::vector<Slice> slices_;           // of the entries
  std::vector<ModuleState<T>> states_;  // reserved at once: modules point to the elements
  Index size_ = 0;
  Storage<T> values_, gradients_;
  std::vector<Written> written_;  // tensors point to the flags
  Written summed_, sharded_;
};

}  // namespace neuroinhib
