#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <neuroinhib/backend/backend.hpp>
#include <neuroinhib/core/tensor.hpp>

namespace neuroinhib {

/// Whether a recording trains: `evaluate` has gradients too, with dropout and random inhibition off.
enum class Mode { train, evaluate };

/// What a recorded operation is made of, to find the tensors whose addresses are in it: its own bytes, and those of
/// tensors that it points to, which it shows by further_tensors().
struct RecordedOperation {
  std::span<const std::byte> own;      ///< of the operation itself
  std::span<const std::byte> further;  ///< of the tensors that it points to
};

/// Runs the same forward as a plain backend and keeps each operation for one backward pass. Nodes are a function
/// pointer and a copy of the operation, in the backend's arena. Recording allocates no heap memory.
/// Construction begins a step, in Mode::train the next one of the random state; one Recording a backend at a time.
template <class B>
class Recording {
  static_assert(detail::is_backend<B>());

 public:
  using Backend = B;
  using Scalar = typename B::Scalar;

  /// Begins a step on `backend`, which must outlive the recording.
  explicit Recording(B& backend, Mode mode = Mode::train) : backend_(backend), mode_(mode) {
    if (training())
      backend_.begin_training_step();
    else
      backend_.begin_step();
  }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  [[nodiscard]] B& backend() { return backend_; }
  [[nodiscard]] bool training() const { return mode_ == Mode::train; }
  [[nodiscard]] RandomStream random_stream() { return backend_.random_stream(); }
  /// Memory for int, of that shape, for this step.
  [[nodiscard]] View<int> integers(const Shape& shape) { return backend_.integers(shape); }

  /// Memory for a tensor of this step, and for its gradient where one is wanted.
  [[nodiscard]] Tensor<Scalar> tensor(const Shape& shape, bool wants_gradient) {
    Tensor<Scalar> result = backend_.tensor(shape, wants_gradient);
    if (wants_gradient) {
      result.gradient = backend_.tensor(shape, false).data;
      result.gradient_written = ::new (backend_.arena().template allocate<bool>(1)) bool(false);
    }
    const int number = outputs_ == nullptr ? 1 : outputs_->number + 1;
    outputs_ = ::new (backend_.arena().template allocate<Output>(1)) Output{outputs_, kUnnamed, number, result};
    return result;
  }

  /// Runs the operation. Its member `y` is the output that a gradient comes back through; where `y` wants none, nothing
  /// is kept.
  template <class Op>
  void run(const Op& op) {
    static_assert(std::is_trivially_copyable_v<Op>, "an operation is a plain struct of tensors and numbers");
    static_assert(requires { op.y.has_gradient(); }, "an operation names its differentiable output y");
    detail::run_forward(detail::computing(backend_), op);
    name_outputs(Op::name);
    if (!op.y.wants_gradient()) return;
    const auto* kept = ::new (backend_.arena().template allocate<Op>(1)) Op(op);
    const RecordedOperation contents{std::as_bytes(std::span(kept, 1)), further_tensors(op)};
    last_ = ::new (backend_.arena().template allocate<Node>(1)) Node{last_, kept, &replay<Op>, contents};
  }

  /// Writes the gradient of a scalar into every tensor that wants one. Throws ConfigError the second time.
  void backward(const Tensor<Scalar>& loss) { backward(loss, Nothing{}); }
  /// The same; after() is called behind each operation, in the order of for_each_operation().
  template <class After>
  void backward(const Tensor<Scalar>& loss, const After& after) {
    if (loss.size() != 1)
      fail<ShapeError>("backward", "a scalar loss", loss.shape.text(), "reduce it to one number first");
    if (!loss.wants_gradient())
      fail<ConfigError>("backward", "a loss that depends on a parameter", "one without gradient",
                        "compute it with this recording, from Parameters that train");
    if (std::exchange(done_, true))
      fail<ConfigError>("backward", "one backward pass a recording", "a second",
                        "add the losses with sum() before, or record the step again");
    backend_.fill(loss.claim_gradient().data, 1, Scalar{1});
    for (const Node* node = last_; node != nullptr; node = node->before) {
      node->run(backend_, node->op);
      if constexpr (!std::is_same_v<After, Nothing>) join();
      after();
    }
    join();
  }
  /// f(operation) for what has been recorded, the last first, as backward() goes through it.
  template <class F>
  void for_each_operation(const F& f) const {
    for (const Node* node = last_; node != nullptr; node = node->before) f(node->contents);
  }

  /// Throws NumericError if `loss` is not finite, naming the first operation of this step whose output is not.
  /// Waits for the device, where the backend is one.
  void require_finite(const Tensor<Scalar>& loss, std::string_view where) const {
    const auto value = static_cast<double>(backend_.value(loss.data));
    if (std::isfinite(value)) return;
    const Output* first = nullptr;
    for (const Output* output = outputs_; output != nullptr; output = output->before)
      if (!all_finite(backend_.read(output->tensor))) first = output;
    const std::string origin = first == nullptr
                                   ? "no recorded operation"
                                   : std::string("the output of ") + first->name + ", " + first->tensor.shape.text() +
                                         ", number " + std::to_string(first->number) + " of this step";
    fail<NumericError>(where, "a finite loss", std::to_string(value) + ", first seen in " + origin,
                       "check the input for NaN, lower the learning rate or clip gradients");
  }

 private:
  struct Nothing {
    void operator()() const {}
  };
  struct Node {
    const Node* before;
    const void* op;
    void (*run)(B&, const void*);
    RecordedOperation contents;
  };
  struct Output {
    Output* before;
    const char* name;
    int number;
    Tensor<Scalar> tensor;
  };
  static constexpr const char* kUnnamed = "no operation yet";

  template <class Op>
  static void replay(B& backend, const void* kept) {
    const Op& op = *static_cast<const Op*>(kept);
    if (reached(op)) detail::run_backward(detail::computing(backend), op);
  }
  /// An operation with several differentiable outputs says itself whether a gradient came back through any.
  template <class Op>
  static bool reached(const Op& op) {
    if constexpr (requires { op.reached(); })
      return op.reached();
    else
      return op.y.has_gradient();
  }
  template <class Op>
  static std::span<const std::byte> further_tensors(const Op& op) {
    if constexpr (requires { op.further_tensors(); })
      return std::as_bytes(op.further_tensors());
    else
      return {};
  }
  /// All gradients up to here are there for what comes next.
  void join() {
    if constexpr (requires { backend_.join(); }) backend_.join();
  }
  static bool all_finite(const std::vector<Scalar>& values) {
    return std::all_of(values.begin(), values.end(), [](Scalar value) { return std::isfinite(value); });
  }
  /// The tensors asked for since the operation before this one are its outputs.
  void name_outputs(const char* name) {
    for (Output* output = outputs_; output != nullptr && output->name == kUnnamed; output = output->before)
      output->name = name;
  }

  B& backend_;
  Mode mode_;
  const Node* last_ = nullptr;
  Output* outputs_ = nullptr;
  bool done_ = false;
};

}  // namespace neuroinhib
