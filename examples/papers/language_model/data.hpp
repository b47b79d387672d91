#pragma once

#include "training.hpp"

namespace language_model {

/// The text that a call names, or built-in grammars, with a vocabulary of so many words.
Corpus load_corpus(const Settings& settings, Index vocabulary);
/// At most so many rows, spread evenly over all, or the first blocks of streams; 0: all.
Rows some_rows(const Rows& rows, Index most);
/// The same rows after word-swap attacks on these shares of their words.
std::vector<Rows> attacked(const Rows& rows, const std::vector<double>& shares);
/// Throws ConfigError unless each rank has some of every batch of so many rows, and as many texts that go on from batch
/// to batch as every other one: what it keeps of them is told apart by that in a checkpoint.
void require_shares(const Data& data, Index batch);
/// The text of a task.
Data make_data(const Settings& settings, const Corpus& corpus, const Task& task);

}  // namespace language_model
