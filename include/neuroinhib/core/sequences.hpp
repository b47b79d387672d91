#pragma once

#include <neuroinhib/core/tensor.hpp>

namespace neuroinhib {

/// Which tokens of its sequence a token sees.
enum class Mask {
  causal,  ///< itself and those before it (default)
  none     ///< all: for encoders, and for the papers' literal reading, in which a language model routes on the future
};

/// How the rows of a batch are sequences: `length` tokens each, one sequence after another.
/// While decoding, `past` tokens of each are in a cache already and the rows are those after them.
struct Sequences {
  Index length = 0;          ///< tokens of a sequence, those in a cache included
  Mask mask = Mask::causal;  ///< which tokens a token sees
  /// [rows] number of each token's document: a token sees its own document only. Below zero is padding, which only sees
  /// itself and counts in no loss, load or pool. None: a sequence is one document.
  View<const int> document{};
  Index past = 0;  ///< tokens of each sequence that are in a cache, or on the ranks before
  /// Tokens of one sequence that lies over all ranks, of which this one's rows are a part: from spread_sequence(). 0:
  /// sequences lie whole on a rank.
  Index spread = 0;
  View<const int> documents{};  ///< of such a sequence, in host memory: `document` of the tokens of all ranks
  /// Whether the sequences go on where those of the batch before ended, for layers that keep some of it
  /// (TransformerOptions::span); else they begin.
  bool continues = false;
  /// While decoding one token, which all ranks have, from a cache that lies over them: how many of the past tokens are
  /// in this rank's. Below zero: a cache has all tokens.
  Index kept = -1;

  /// Rows of a sequence.
  [[nodiscard]] Index rows() const { return length - past; }
};

/// Throws ShapeError, or ConfigError, unless the rows of a batch are whole sequences.
inline void require_sequences(std::string_view where, const Sequences& sequences, Index rows) {
  if (sequences.length < 1 || sequences.past < 0 || sequences.past >= sequences.length)
    fail<ConfigError>(
        where, "sequences of at least one token",
        "length " + std::to_string(sequences.length) + " with " + std::to_string(sequences.past) + " in the cache",
        "say in Sequences::length how many tokens a sequence has, and in past how many of them are in a cache");
  if (rows % sequences.rows() != 0)
    fail<ShapeError>(where, "whole sequences of " + std::to_string(sequences.rows()) + " tokens",
                     std::to_string(rows) + " rows", "fill the last sequence up, with documents below zero");
  if (sequences.document.data != nullptr && sequences.document.size() != rows)
    fail<ShapeError>(where, "a document number for each of " + std::to_string(rows) + " tokens",
                     sequences.document.shape.text(), "give one number a row");
  if (sequences.spread > 0 && (rows != sequences.rows() || sequences.mask != Mask::causal))
    fail<ConfigError>(where, "one causal sequence over all ranks",
                      std::to_string(rows / sequences.rows()) + (sequences.mask == Mask::causal ? "" : " not causal"),
                      "spread one sequence at a time, or keep sequences whole");
  if (sequences.kept >= 0 && (rows != 1 || sequences.rows() != 1))
    fail<ConfigError>(where, "one new token, from a cache that lies over all ranks", std::to_string(rows),
                      "decode one text, word by word, behind its first words");
  if (sequences.document.data != nullptr && sequences.past > 0 && sequences.spread == 0)
    fail<ConfigError>(where, "no document numbers while decoding", std::to_string(sequences.document.size()),
                      "decode one document a sequence");
  if (sequences.spread > 0 && sequences.documents.size() != (sequences.document.data != nullptr ? sequences.spread : 0))
    fail<ConfigError>(where, "the documents of all ranks' tokens where this rank's have some",
                      std::to_string(sequences.documents.size()) + " of " + std::to_string(sequences.spread),
                      "pass them to spread_sequence()");
}

}  // namespace neuroinhib
