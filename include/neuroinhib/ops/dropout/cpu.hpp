#pragma once

#include <algorithm>
#include <type_traits>

#include <neuroinhib/backend/cpu.hpp>
#include <neuroinhib/ops/dropout/op.hpp>

namespace neuroinhib::ops::inline NEUROINHIB_TARGET {

/// Word w of the stream's block first + i as words[w][i]: round by round, in loops that compilers vectorise.
template <int N>
void draw_blocks(const RandomStream& random, Index first, std::uint32_t (&words)[4][N]) {
  PhiloxKey key(random.seed);
  const auto set = [&](int i, const RandomWords& block) {
    for (int w = 0; w < 4; ++w) words[w][i] = block.words[w];
  };
  for (int i = 0; i < N; ++i) set(i, random.counter(first + i));
  for (int round = 0; round < kPhiloxRounds; ++round, key.next())
    for (int i = 0; i < N; ++i) set(i, key.mix({{words[0][i], words[1][i], words[2][i], words[3][i]}}));
}

/// The factors, 0 or 1 / (1 − p), of 4 N elements whose first random block is `first`.
template <int N, class T>
void draw_factors(const Dropout<T>& op, Index first, T (&factors)[4 * N]) {
  const T p = op.p, kept = 1 / (1 - p);
  std::uint32_t words[4][N];
  T drawn[4][N];
  draw_blocks(op.random, first, words);
  for (int w = 0; w < 4; ++w)
    for (int i = 0; i < N; ++i) drawn[w][i] = unit_uniform<T>(words[w][i]) < p ? T{0} : kept;
  for (int i = 0; i < N; ++i)
    for (int w = 0; w < 4; ++w) factors[4 * i + w] = drawn[w][i];
}

/// Calls visit(i, factor) for every element; one random block serves four elements of a row.
template <class T, class Visit>
void for_each_kept(const Cpu<T>& cpu, const Dropout<T>& op, const Visit& visit) {
  const Index width = op.x.size() / std::max<Index>(op.rows(), 1);
  // Blocks from place `begin` to `end` of those that row r draws.
  const auto draw = [&]<int N>(Index r, Index begin, Index end, std::integral_constant<int, N>) {
    const Index first = op.first(r, width), before = first % 4;  // elements of the first block that are not ours
    T factors[4 * N];
    for (; begin < end; begin += 4 * N) {
      draw_factors<N>(op, (first + begin) / 4, factors);
      for (Index i = std::max(begin, before); i < std::min({begin + 4 * N, end, width + before}); ++i)
        visit(r * width + i - before, factors[i - begin]);
    }
  };
  constexpr std::integral_constant<int, 64> kOfAll;
  constexpr std::integral_constant<int, 16> kOfRow;
  if (op.number.data == nullptr)
    cpu.parallel_blocks(width + op.first(0, width) % 4, cost::random / 4, 4 * kOfAll,
                        [&](Index begin, Index end) { draw(0, begin, end, kOfAll); });
  else
    cpu.parallel_for(op.rows(), width * cost::random / 4, [&](Index r) { draw(r, 0, width + 3, kOfRow); });
}

template <class T>
void forward(Cpu<T>& cpu, const Dropout<T>& op) {
  for_each_kept(cpu, op, [&](Index i, T factor) { op.y[i] = op.x[i] * factor; });
}

template <class T>
void backward(Cpu<T>& cpu, const Dropout<T>& op) {
  const auto dx = op.x.claim_gradient();
  for_each_kept(cpu, op, [&](Index i, T factor) { dx.put(i, op.y.gradient[i] * factor); });
}

template <class T>
void forward(Cpu<T>& cpu, const AddNoise<T>& op) {
  cpu.parallel_for(op.x.size(), cost::random,
                   [&](Index i) { op.y[i] = op.x[i] + op.scale[i] * op.random.template normal<T>(i); });
}

template <class T>
void backward(Cpu<T>& cpu, const AddNoise<T>& op) {
  const auto dx = op.x.claim_gradient();
  const auto dscale = op.scale.claim_gradient();
  cpu.parallel_for(op.x.size(), cost::random, [&](Index i) {
    if (dx) dx.put(i, op.y.gradient[i]);
    if (dscale) dscale.put(i, op.y.gradient[i] * op.random.template normal<T>(i));
  });
}

}  // namespace neuroinhib::ops::inline NEUROINHIB_TARGET
