#pragma once

#include <string>
#include <utility>

#include <neuroinhib/parallel/communicator.hpp>

namespace neuroinhib {

/// A backend whose process is one of several ranks: Ranks<Cpu<float>, Mpi> in the place of Cpu<float>. Each rank
/// computes on its part of the batch. Losses, pools, loads and entropies are those of the whole batch, random numbers
/// too, and optimizers add up the gradients of all ranks: the same program on one rank gives the same results. A loss
/// is this rank's part of it; the parts' sum is the loss.
template <class B, class C>
class Ranks : public B {
  static_assert(Communicator<C, B>, "Ranks needs a communicator with rank(), size() and exchange(): see parallel/");

 public:
  using Backend = Ranks;
  using Computing = B;  ///< the backend that each rank computes with
  using typename B::Scalar;

  /// `arguments` are those of the backend. The communicator must outlive this.
  template <class... Arguments>
  explicit Ranks(C& communicator, Arguments&&... arguments)
      : B(std::forward<Arguments>(arguments)...), communicator_(&communicator) {}

  /// What carries numbers to other ranks.
  [[nodiscard]] C& communicator() { return *communicator_; }
  [[nodiscard]] Index rank() const { return communicator_->rank(); }
  /// How many ranks there are.
  [[nodiscard]] Index size() const { return communicator_->size(); }

  /// Says that the batches from now on have `samples` (images, sequences, tokens) over all ranks, and which of them are
  /// this rank's. Without it, all ranks have as many. Throws ConfigError for fewer samples than ranks.
  Share share_batch(Index samples) {
    if (samples < size())
      fail<ConfigError>("sharing a batch", "a sample for each of " + std::to_string(size()) + " ranks",
                        std::to_string(samples), "leave such a batch out, or start fewer ranks");
    return share_ = Share::of(samples, rank(), size());
  }
  /// Which of all ranks' elements `elements` of this rank's part of the batch are.
  [[nodiscard]] Share share_of(Index elements) const {
    if (share_.total == 0) return {rank() * elements, (rank() + 1) * elements, size() * elements};
    if (elements % share_.count() != 0)
      fail<ShapeError>("share of a batch", "a multiple of this rank's " + std::to_string(share_.count()) + " samples",
                       std::to_string(elements) + " elements", "call share_batch() with each batch's samples");
    const Index each = elements / share_.count();
    return {share_.begin * each, share_.end * each, share_.total * each};
  }

  /// The backend's description, rank and size.
  [[nodiscard]] std::string describe() const {
    return B::describe() + ", rank " + std::to_string(rank()) + " of " + std::to_string(size());
  }

  // The executor's interface.
  [[nodiscard]] Ranks& backend() { return *this; }
  template <class Op>
  void run(const Op& op) {
    B::run(op);
  }

 private:
  C* communicator_;
  Share share_;
};

}  // namespace neuroinhib
