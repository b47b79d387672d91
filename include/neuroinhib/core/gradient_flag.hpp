#pragma once

#include <vector>

namespace neuroinhib::detail {

/// The flags "this gradient has been written" that change while it lives, with what they were: a captured step claims
/// gradients on the host although nothing runs.
class FlagJournal {
 public:
  struct Entry {
    bool* flag;
    bool before;
  };

  FlagJournal() : outer_(active()) { active() = this; }
  FlagJournal(const FlagJournal&) = delete;
  FlagJournal& operator=(const FlagJournal&) = delete;
  ~FlagJournal() { active() = outer_; }

  /// Of this thread; null where none lives.
  [[nodiscard]] static FlagJournal*& active() {
    thread_local FlagJournal* journal = nullptr;
    return journal;
  }
  void note(bool& flag) {
    for (const Entry& entry : entries_)
      if (entry.flag == &flag) return;
    entries_.push_back({&flag, flag});
  }
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
  void put_back() const {
    for (const Entry& entry : entries_) *entry.flag = entry.before;
  }

 private:
  FlagJournal* outer_;
  std::vector<Entry> entries_;
};

/// The only way in which a gradient's flag changes.
inline void set_flag(bool& flag, bool value) {
  if (FlagJournal* const journal = FlagJournal::active()) journal->note(flag);
  flag = value;
}

}  // namespace neuroinhib::detail
