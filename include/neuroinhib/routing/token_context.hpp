#pragma once

#include <neuroinhib/ops/append/op.hpp>
#include <neuroinhib/ops/attention_inform/op.hpp>
#include <neuroinhib/ops/count_tokens/op.hpp>

namespace neuroinhib {

/// What a mutual-inform router leaves behind for the tokens decoded after these.
template <class T>
struct InformCache {
  TokenCache<T> scores;  ///< e_j
  TokenCache<T> keys;    ///< W_s u_j of similarity-inform; unused by attention-inform
};

/// What routers may look at besides a token's own features; all of it optional, a router says what it misses.
template <class T>
struct TokenContext {
  Sequences sequences{};            ///< which tokens see each other
  Tensor<T> raw{};                  ///< [tokens, width] the layer's input before its normalisation
  AttentionTrace<T> attention{};    ///< of the attention before the layer
  View<const int> ids{};            ///< [tokens] word numbers, for hash routing
  InformCache<T>* cache = nullptr;  ///< while decoding
  CountedTokens<T> counted{};       ///< of losses, loads and pools; none: all but documents below zero
};

}  // namespace neuroinhib
