#pragma once

/// Which tiles of a product of experts a pair of blocks computes, and in which order.
///
/// Tiles of 128 rows in pairs, one a block, which share a factor:
///
///            column tiles
///          ┌───┬───┬───┬───┐
///          │ 0 │ 2 │ 5 │ 7 │    a group of five row tiles: pairs 0, 1, 2, … are two row tiles of one column tile, and
///   row    │ 0 │ 2 │ 5 │ 7 │    share B; of the last row tile, two column tiles, which share A. A band's pairs go
///   tiles  │ 1 │ 3 │ 6 │ 8 │    down the rows first, so that blocks at work at the same time read the same columns
///          │ 1 │ 3 │ 6 │ 8 │    of B.
///          │ 4   4 │ 9   9 │
///          └───┴───┴───┴───┘
namespace neuroinhib::ops::gemm {

inline constexpr int kTileRows = 128, kTileDepth = 64, kRowBlock = 64;

/// What groups divide: rows of A and C, or the sum. offsets [groups + 1], multiples of kRowBlock.
enum class GroupsOf { rows, depth };

/// A tile: its group, where it begins, and the steps along its depth. Tiles of a pair of blocks share a factor: B where
/// they have the same columns, else A.
struct ExpertTile {
  int group, row, row_end, column_tile, depth, steps;
  bool shares_b;
};

/// Deals pairs of tiles out in one order for all roles of the pair's blocks: group after group, and within a group in
/// bands of rows whose blocks share B in the cache. A pair is two row tiles of the same columns; of a group's last row
/// tile, where their number is odd, two neighbouring columns' tiles.
template <GroupsOf Kind>
struct TileOrder {
  static constexpr int kBand = 8;  ///< pairs of row tiles, about

  const int* offsets;
  int groups, column_tiles;
  int rows;   ///< of every group, where groups divide the sum
  int steps;  ///< along the depth, where groups divide the rows

  /// The tiles of one role, in order.
  struct Cursor {
    int group = 0, before = 0;  ///< pairs of the groups before
  };
  /// The tile that block `rank` of the pair has of the pair of tiles `number`; false where there are fewer.
  __device__ bool find(int number, int rank, Cursor& cursor, ExpertTile& t) const {
    int begin = 0, end = 0, row_tiles = 0;
    for (;; ++cursor.group) {
      if (cursor.group >= groups) return false;
      begin = offsets[cursor.group], end = offsets[cursor.group + 1];
      row_tiles = ((Kind == GroupsOf::rows ? end - begin : rows) + kTileRows - 1) / kTileRows;
      const int pairs = row_tiles / 2 * column_tiles + row_tiles % 2 * ((column_tiles + 1) / 2);
      if (number < cursor.before + pairs) break;
      cursor.before += pairs;
    }
    const int first_row = Kind == GroupsOf::rows ? begin : 0;
    place(number - cursor.before, rank, row_tiles, t);
    t.group = cursor.group;
    t.row_end = t.column_tile < column_tiles ? (Kind == GroupsOf::rows ? end : rows) : 0;
    t.row = first_row + t.row * kTileRows;
    t.depth = Kind == GroupsOf::rows ? 0 : begin;
    t.steps = Kind == GroupsOf::rows ? steps : (end - begin) / kTileDepth;
    return true;
  }

 private:
  /// Row and column, in tiles, of a group's pair `number`. Bands have equal heights, as far as that goes; the lone row
  /// tile goes with the last one, after every other column.
  __device__ void place(int number, int rank, int row_tiles, ExpertTile& t) const {
    const int pairs = row_tiles / 2, bands = max(1, (pairs + kBand / 2) / kBand);
    int first = 0, height = pairs;
    bool has_lone = row_tiles % 2 == 1;
    if (bands > 1) {
      const int band = (min(number / column_tiles + 1, pairs) * bands - 1) / pairs;
      first = pairs * band / bands;
      height = pairs * (band + 1) / bands - first;
      has_lone = has_lone && band == bands - 1;
    }
    const int columns = has_lone ? 2 : 1, unit = columns * height + (has_lone ? 1 : 0);
    const int within = number - first * column_tiles, column = within / unit * columns, in_unit = within % unit;
    t.shares_b = in_unit < min(columns, column_tiles - column) * height;
    const int next = t.shares_b && in_unit >= height ? 1 : 0;
    t.column_tile = column + (t.shares_b ? next : rank);
    t.row = t.shares_b ? 2 * (first + in_unit - next * height) + rank : row_tiles - 1;
  }
};

}  // namespace neuroinhib::ops::gemm
