#pragma once

#include <algorithm>
#include <string>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/embedding/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

template <class T>
void forward(Cpu<T>& cpu, const Embedding<T>& op) {
  const Index width = op.y.cols();
  for (Index row = 0; row < op.ids.size(); ++row)
    if (op.ids[row] < 0 || op.ids[row] >= op.table.rows())
      fail<ConfigError>("embedding", "ids from 0 to " + std::to_string(op.table.rows() - 1),
                        std::to_string(op.ids[row]) + " in row " + std::to_string(row),
                        "read the text with the model's vocabulary");
  cpu.parallel_for(op.y.rows(), 2 * width, [&](Index row) {
    const T* word = op.table.data + op.ids[row] * width;
    for (Index c = 0; c < width; ++c) op.y[row * width + c] = op.scale * word[c];
    if (!op.positions.defined()) return;
    const T* place = op.positions.data + (op.first + row % op.length) * width;
    for (Index c = 0; c < width; ++c) op.y[row * width + c] += place[c];
  });
}

/// Adds rows of dy to the rows of a table that target(row) names, by columns: every sum has one order.
template <class T, class Target>
void scatter(Cpu<T>& cpu, const Tensor<T>& table, const Tensor<T>& y, T scale, const Target& target) {
  const GradientSlot<T> slot = table.claim_gradient();
  if (!slot) return;
  const Index width = y.cols();
  if (!slot.add) cpu.fill(slot.data, table.size(), T{0});
  const Index strip = std::clamp<Index>(width / 8, 16, 256);
  cpu.parallel_blocks(width, y.rows(), strip, [&](Index begin, Index end) {
    for (Index row = 0; row < y.rows(); ++row) {
      T* to = slot.data + target(row) * width;
      const T* from = y.gradient + row * width;
      for (Index c = begin; c < end; ++c) to[c] += scale * from[c];
    }
  });
}

template <class T>
void backward(Cpu<T>& cpu, const Embedding<T>& op) {
  scatter(cpu, op.table, op.y, op.scale, [&](Index row) { return op.ids[row]; });
  scatter(cpu, op.positions, op.y, T{1}, [&](Index row) { return op.first + row % op.length; });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
