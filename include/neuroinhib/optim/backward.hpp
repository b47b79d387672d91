#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include <neuroinhib/autodiff/recording.hpp>
#include <neuroinhib/optim/all_ranks.hpp>
#include <neuroinhib/optim/own_parameters.hpp>

namespace neuroinhib {

/// How gradients travel while the backward pass runs.
struct SumOptions {
  Index bucket = Shard::kWindow;  ///< numbers that are added up at once, > 0
  Shard shard{};                  ///< of a sharded optimizer, its shard(): each rank gets the sum of its elements alone
};

namespace detail {

/// Buckets of a flat gradient that are added up over the ranks as soon as no operation is left that writes to them. No
/// more than kTravelling of them are on their way, since each takes memory.
template <class B, class T>
class TravellingGradient {
 public:
  TravellingGradient(Recording<B>& ex, Parameters<T>& parameters, const SumOptions& options)
      : backend_(ex.backend()), parameters_(parameters), shard_(options.shard) {
    for_each_bucket(parameters, options.bucket, [&](const Share&) { ++count_; });
    if (count_ == 0) return;
    buckets_ = backend_.arena().template allocate<Bucket>(count_);
    sealed_ = backend_.arena().template allocate<bool>(static_cast<Index>(parameters.entries().size()));
    std::fill_n(sealed_, parameters.entries().size(), false);
    Index* const last = last_uses(ex);
    Index at = 0;
    int channel = kBucketChannels;
    for_each_bucket(parameters, options.bucket, [&](const Share& part) {
      Bucket& bucket = *::new (buckets_ + at++) Bucket{part, 0, {}};
      bucket.sum.numbers = {gradient() + part.begin, Shape{part.count()}};
      bucket.sum.channel = channel++;
      if (!shard_.whole()) bucket.sum.of_rank = parts_of_ranks(part);
      room_ = std::max(room_, ops::SumShares{part.count(), backend_.size(), bucket.sum.of_rank}.room(backend_.rank()));
      for_each_entry(part, [&](const auto&, Index i) { bucket.final_after = std::max(bucket.final_after, last[i]); });
    });
    std::stable_sort(buckets_, buckets_ + count_,
                     [](const Bucket& a, const Bucket& b) { return a.final_after < b.final_after; });
    send();
  }
  /// Behind each operation of the backward pass.
  void after_operation() {
    ++operations_;
    send();
  }
  /// Waits until all have been added up. Throws ConfigError if an operation wrote to a gradient that had set out.
  void finish() {
    for (; over_ < count_; ++over_) advance(buckets_[over_], true);
    const std::string* late = nullptr;
    for (const auto& entry : parameters_.entries()) {
      if (*entry.tensor.gradient_written) late = &entry.name;
      set_flag(*entry.tensor.gradient_written, true);
    }
    if (late != nullptr)
      fail<ConfigError>("backward_and_sum", "operations that show which gradients they write to",
                        "one that wrote to that of " + *late + " behind a pointer, after it had been sent",
                        "give the operation a member further_tensors(), or call ex.backward()");
  }

 private:
  struct Bucket {
    Share part;
    Index final_after;  ///< operations of the backward pass after which nothing writes to it
    ops::SideSum<T> sum;
  };

  static constexpr Index kTravelling = 4;

  [[nodiscard]] T* gradient() const { return parameters_.entries().front().tensor.gradient; }
  /// What of a bucket each rank gets the sum of, counted from its beginning.
  [[nodiscard]] Share* parts_of_ranks(const Share& bucket) const {
    Share* const parts = backend_.arena().template allocate<Share>(shard_.ranks);
    for (Index r = 0; r < shard_.ranks; ++r) {
      const Share piece = shard_.piece(bucket.begin / Shard::kWindow, r);
      const auto place = [&](Index at) { return std::clamp(at, bucket.begin, bucket.end) - bucket.begin; };
      parts[r] = {place(piece.begin), place(piece.end), bucket.count()};
    }
    return parts;
  }
  /// f(entry, number) for the parameters that a part of the flat buffers has something of.
  template <class F>
  void for_each_entry(const Share& part, const F& f) const {
    const auto& entries = parameters_.entries();
    auto entry = std::partition_point(entries.begin(), entries.end(),
                                      [&](const auto& e) { return e.offset + e.tensor.size() <= part.begin; });
    for (; entry != entries.end() && entry->offset < part.end; ++entry) f(*entry, entry - entries.begin());
  }
  /// Of each parameter, the number of operations of the backward pass up to the last that has its gradient's address in
  /// it. What looks like an address by chance lets a parameter wait longer.
  [[nodiscard]] Index* last_uses(const Recording<B>& ex) const {
    const auto& entries = parameters_.entries();
    Index* const last = backend_.arena().template allocate<Index>(static_cast<Index>(entries.size()));
    std::fill_n(last, entries.size(), Index{0});
    const auto base = reinterpret_cast<std::uintptr_t>(gradient());
    const std::uintptr_t bytes = static_cast<std::uintptr_t>(parameters_.size()) * sizeof(T);
    Index number = 0;
    ex.for_each_operation([&](const RecordedOperation& operation) {
      ++number;
      for (const std::span<const std::byte> contents : {operation.own, operation.further})
        for (std::size_t at = 0; at + sizeof base <= contents.size(); at += sizeof base) {
          std::uintptr_t word = 0;
          std::memcpy(&word, contents.data() + at, sizeof word);
          if (word - base >= bytes) continue;
          const auto element = static_cast<Index>((word - base) / sizeof(T));
          for_each_entry({element, element + 1, 0}, [&](const auto&, Index i) { last[i] = number; });
        }
    });
    return last;
  }
  /// A gradient that sets out reads as not written, so that a later writer is found.
  void seal(const Tensor<T>& tensor, bool& sealed) {
    if (sealed) return;
    (void)cleared_slot(backend_, tensor);
    set_flag(*tensor.gradient_written, false);
    sealed = true;
  }
  /// Sends what has become final, and takes what is on its way further.
  void send() {
    for (; begun_ < count_ && buckets_[begun_].final_after <= operations_; ++begun_) {
      for_each_entry(buckets_[begun_].part, [&](const auto& entry, Index i) { seal(entry.tensor, sealed_[i]); });
      begin(buckets_[begun_]);
    }
    for (Index i = over_; i < begun_; ++i) advance(buckets_[i], false);
    while (over_ < begun_ && buckets_[over_].sum.stage == ops::SumStage::done) ++over_;
  }
  /// The memory of the bucket that left kTravelling before serves the next, once it is over.
  void begin(Bucket& bucket) {
    if (begun_ < kTravelling) {
      bucket.sum.parts = backend_.template kernel_memory<T>(room_);
    } else {
      Bucket& earlier = buckets_[begun_ - kTravelling];
      advance(earlier, true);
      bucket.sum.parts = earlier.sum.parts;
    }
    advance(bucket, false);
  }
  void advance(Bucket& bucket, bool wait) {
    if (bucket.sum.stage != ops::SumStage::done)
      backend_.run(ops::AdvanceSum<T, CommunicatorType<B>>{&bucket.sum, &backend_.communicator(), wait, {}});
  }

  B& backend_;
  Parameters<T>& parameters_;
  Bucket* buckets_ = nullptr;
  bool* sealed_ = nullptr;  ///< of each parameter, whether it has set out
  Shard shard_;
  Index count_ = 0, begun_ = 0, over_ = 0, operations_ = 0;
  Index room_ = 0;  ///< numbers that a sum has from all ranks, at most
};

}  // namespace detail

/// The last backward pass before an update, in the place of ex.backward(loss): on several ranks, gradients are added up
/// while it runs, each bucket of them as soon as it is final. Clipping and optimizers then find the sum, which has the
/// bits of one made afterwards; clipping has the elements of other ranks' shards sent. It is made afterwards where the
/// communicator is no SideCommunicator. Throws ConfigError for gradients that have been added up already, for
/// operations that hide theirs behind a pointer, for another rank's shard, and as ex.backward().
template <class B, class T>
void backward_and_sum(Recording<B>& ex, const Tensor<T>& loss, Parameters<T>& parameters,
                      const SumOptions& options = {}) {
  require_option("backward_and_sum", "bucket", options.bucket, options.bucket > 0, "> 0",
                 "leave it as it is, about four million numbers");
  if constexpr (kAlone<Recording<B>>) {
    ex.backward(loss);
  } else if constexpr (!SideCommunicator<detail::CommunicatorType<B>, B>) {
    ex.backward(loss);
  } else if (alone(ex)) {
    ex.backward(loss);
  } else {
    if (!parameters.claim_sum())
      fail<ConfigError>("backward_and_sum", "gradients that are not yet added up",
                        "a second call, or one after clipping", "call it once an update, for the last backward pass");
    detail::OwnParameters<T>("backward_and_sum", parameters, options.shard)
        .require("backward_and_sum", ex.backend(), parameters);
    detail::TravellingGradient<B, T> gradient(ex, parameters, options);
    ex.backward(loss, [&] { gradient.after_operation(); });
    gradient.finish();
    parameters.set_sum_sharded(!options.shard.whole());
  }
}

}  // namespace neuroinhib
