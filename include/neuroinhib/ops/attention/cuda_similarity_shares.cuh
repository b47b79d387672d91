#pragma once

#include <cstdint>

#include <neuroinhib/core/tensor.hpp>

/// Who computes what of similarity-inform routing on Hopper: units of 128 queries and 128 keys, in equal shares.
namespace neuroinhib::ops::similarity {

/// Queries of a tile, and keys of a unit.
inline constexpr int kTile = 128;

/// Deals units out to shares of equal cost, by extents alone: tile after tile, and of each the units that it sees. A
/// unit costs 1, a tile `weighing` more for those of its units that are likely to be weighed. With at most cost()
/// shares, every share between two that have units of one tile has one too.
struct Dealing {
  int past, queries, keys, tiles;  ///< of a sequence
  bool causal;
  int weighing;
  std::int64_t sequences, shares;

  struct Unit {
    int tile, key;  ///< of all tiles; of the tile's units
  };

  __host__ __device__ int query_end(int t) const { return min((t + 1) * kTile, queries); }
  /// Of a sequence's tile t: units that it sees.
  __host__ __device__ int units(int t) const {
    return ((causal ? min(keys, past + query_end(t)) : keys) + kTile - 1) / kTile;
  }
  /// Units of a sequence's tiles before t; up to `tiles`.
  __host__ __device__ std::int64_t units_before(int t) const {
    if (!causal) return static_cast<std::int64_t>(t) * units(0);
    // Σ_{i<t} ⌈(past + 128 (i + 1)) / 128⌉; the last tile may see less.
    const std::int64_t first = (past + kTile - 1) / kTile + 1, whole = min(t, tiles - 1);
    return whole * first + whole * (whole - 1) / 2 + (t == tiles ? units(tiles - 1) : 0);
  }
  __host__ __device__ std::int64_t cost_before(int t) const {
    return units_before(t) + static_cast<std::int64_t>(weighing) * t;
  }
  __host__ __device__ std::int64_t sequence_cost() const { return cost_before(tiles); }
  __host__ __device__ std::int64_t cost() const { return sequences * sequence_cost(); }

  /// Where share `number` begins.
  __host__ __device__ Unit begin(std::int64_t number) const {
    const std::int64_t cost_of_one = sequence_cost(), wanted = (number * cost() + shares - 1) / shares;
    const std::int64_t sequence = wanted / cost_of_one, rest = wanted % cost_of_one;
    int low = 0, high = tiles;  // cost_before(low) <= rest < cost_before(high)
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      (cost_before(middle) <= rest ? low : high) = middle;
    }
    const auto key = static_cast<int>(rest - cost_before(low)), tile = static_cast<int>(sequence * tiles) + low;
    return key < units(low) ? Unit{tile, key} : Unit{tile + 1, 0};
  }
  /// The share of a unit.
  __host__ __device__ std::int64_t share_of(Unit u) const {
    return (u.tile / tiles * sequence_cost() + cost_before(u.tile % tiles) + u.key) * shares / cost();
  }
};

/// Which tile's queries are held, and in which turn.
struct TileTurn {
  int number = -1;
  unsigned parity = 1;  ///< 0 in the first turn

  /// Whether they are another tile's.
  __device__ bool enter(int tile) {
    if (tile == number) return false;
    number = tile;
    parity ^= 1;
    return true;
  }
};

/// A walk over the units of one share.
struct Walk {
  const Dealing& deal;
  Dealing::Unit at, end;
  int number = 0;  ///< of the unit in the share
  int sequence;

  __device__ Walk(const Dealing& dealing, const Dealing::Unit (&share)[2])
      : deal(dealing), at(share[0]), end(share[1]), sequence(at.tile / deal.tiles) {}
  __device__ bool more() const { return at.tile < end.tile || (at.tile == end.tile && at.key < end.key); }
  __device__ int tile() const { return at.tile - sequence * deal.tiles; }  ///< of the sequence
  __device__ bool last_of_tile() const { return at.key + 1 == deal.units(tile()); }
  __device__ void next() {
    ++number;
    if (!last_of_tile()) {
      ++at.key;
      return;
    }
    at = {at.tile + 1, 0};
    if (at.tile == (sequence + 1) * deal.tiles) ++sequence;
  }
  __device__ int first_query() const { return tile() * kTile; }
  __device__ int first_key() const { return at.key * kTile; }
  /// The first unit in which queries of the tile find their own keys.
  __device__ int first_own() const { return (deal.past + first_query()) / kTile; }
  /// Whether queries of the tile find their own keys in the unit.
  __device__ bool own() const { return at.key >= first_own() && first_key() < deal.past + deal.query_end(tile()); }
};

}  // namespace neuroinhib::ops::similarity
