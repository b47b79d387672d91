#pragma once

#include <algorithm>

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

/// Calls visit(i, factor) for every element, factor 0 or 1 / (1 − p); one random block serves four elements.
template <class T, class Visit>
void for_each_kept(const Cpu<T>& cpu, const Dropout<T>& op, const Visit& visit) {
  constexpr int kBlocks = 64;
  const Index before = op.random.first % 4;  // elements of the first block that are not ours
  cpu.parallel_blocks(op.x.size() + before, cost::random / 4, 4 * kBlocks, [&](Index begin, Index end) {
    const T p = op.p, kept = 1 / (1 - p);
    std::uint32_t words[4][kBlocks];
    T drawn[4][kBlocks], factors[4 * kBlocks];
    draw_blocks(op.random, (op.random.first + begin) / 4, words);
    for (int w = 0; w < 4; ++w)
      for (int i = 0; i < kBlocks; ++i) drawn[w][i] = unit_uniform<T>(words[w][i]) < p ? T{0} : kept;
    for (int i = 0; i < kBlocks; ++i)
      for (int w = 0; w < 4; ++w) factors[4 * i + w] = drawn[w][i];
    for (Index i = std::max(begin, before); i < end; ++i) visit(i - before, factors[i - begin]);
  });
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
