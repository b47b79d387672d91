#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <neuroinhib/core/error.hpp>
#include <neuroinhib/core/memory.hpp>

namespace neuroinhib {

/// Bump memory of one step, growing block by block. Steps that ask for the same sizes in the same order get the same
/// addresses, and only the first of them takes memory from the system.
template <class Memory = HostMemory>
class Arena {
 public:
  /// An empty arena on a device of `Memory`.
  explicit Arena(int device = Memory::kFirstDevice) : device_(device) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() {
    for (const Block& block : blocks_) Memory::release(device_, block.memory);
  }

  /// Memory aligned for `Memory`, until the next reset. Throws Error where a step asks for more than there is.
  [[nodiscard]] void* allocate(std::size_t bytes) {
    bytes = rounded(bytes);
    while (current_ < blocks_.size() && used_ + bytes > blocks_[current_].bytes) next_block();
    if (current_ == blocks_.size()) grow(bytes);
    void* memory = static_cast<std::byte*>(blocks_[current_].memory) + used_;
    used_ += bytes;
    peak_ = std::max(peak_, filled_ + used_);
    return memory;
  }

  template <class T>
  [[nodiscard]] T* allocate(std::ptrdiff_t count) {
    return static_cast<T*>(allocate(static_cast<std::size_t>(count) * sizeof(T)));
  }

  /// Forgets everything allocated since the last reset.
  void reset() { current_ = used_ = filled_ = 0; }

  /// How far the arena is filled: block, and bytes used of it and in the blocks before.
  struct Mark {
    std::size_t block, used, filled;  ///< the block under way, bytes used of it, bytes of the blocks before
  };
  /// The present state, for rewind().
  [[nodiscard]] Mark mark() const { return {current_, used_, filled_}; }
  /// Forgets what was allocated since `mark`.
  void rewind(const Mark& mark) {
    current_ = mark.block;
    used_ = mark.used;
    filled_ = mark.filled;
  }

  /// Whether an address lies in the arena's memory.
  [[nodiscard]] bool holds(const void* address) const {
    const auto at = reinterpret_cast<std::uintptr_t>(address);
    return std::any_of(blocks_.begin(), blocks_.end(), [&](const Block& block) {
      const auto begin = reinterpret_cast<std::uintptr_t>(block.memory);
      return at >= begin && at - begin < block.bytes;
    });
  }

  /// Largest number of bytes in use at once so far, gaps at block ends included.
  [[nodiscard]] std::size_t peak_bytes() const { return peak_; }

 private:
  struct Block {
    void* memory;
    std::size_t bytes;
  };
  static constexpr std::size_t kFirstBlock = std::size_t{1} << 20;

  [[nodiscard]] static std::size_t rounded(std::size_t bytes) {
    return (std::max<std::size_t>(bytes, 1) + Memory::kAlignment - 1) / Memory::kAlignment * Memory::kAlignment;
  }
  void next_block() {
    filled_ += blocks_[current_].bytes;
    ++current_;
    used_ = 0;
  }
  void grow(std::size_t bytes) {
    const std::size_t last = blocks_.empty() ? kFirstBlock / 2 : blocks_.back().bytes;
    const std::size_t total = Memory::total(), held = filled_;
    if (bytes > total - std::min(total, held))
      fail<Error>("step memory", "at most the machine's " + std::to_string(total >> 20) + " MiB",
                  std::to_string((held + bytes) >> 20) + " MiB since the last begin_step()",
                  "call begin_step() before every step of inference, or use a smaller batch or model");
    const std::size_t size = rounded(std::max(bytes, std::min(2 * last, total - held)));
    blocks_.push_back({Memory::allocate(device_, size), size});
  }

  int device_;
  std::vector<Block> blocks_;
  std::size_t current_ = 0, used_ = 0, filled_ = 0, peak_ = 0;
};

/// Gives back, at the end of a scope, what was taken from an arena inside it.
template <class Memory>
class ArenaScope {
 public:
  /// Until its end, what `arena` hands out is temporary.
  explicit ArenaScope(Arena<Memory>& arena) : arena_(arena), mark_(arena.mark()) {}
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;
  ~ArenaScope() { arena_.rewind(mark_); }

 private:
  Arena<Memory>& arena_;
  typename Arena<Memory>::Mark mark_;
};

}  // namespace neuroinhib
