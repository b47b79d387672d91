#pragma once

#include <algorithm>
#include <span>

#include <neuroinhib/backend/executor.hpp>

namespace neuroinhib {

/// Where σ closes in equations (3) and (4) of the Neural Inhibition paper.
enum class Bracket {
  inside,     ///< z ⊙ σ(G(x) + Σ others): every term inhibits
  as_printed  ///< z ⊙ σ(G(x)) + Σ others: the other terms are added to the signal
};

/// One term under (or, as printed, beside) the gate's σ: [tokens, width], or [1, width] for all tokens alike.
template <class T>
struct GateTerm {
  Tensor<T> value;    ///< the term, before σ
  bool local = true;  ///< G(x), the term that stays inside σ as printed
};

namespace ops {

/// y = z ⊙ mask + Σ outer,  mask = σ(Σ inner).   z, mask, y [tokens, width]; terms [tokens, width] or [1, width].
/// dz = dy ⊙ mask,  d(inner) = dy ⊙ z ⊙ mask ⊙ (1 − mask),  d(outer) = dy; summed over tokens for a [1, width] term.
template <class T>
struct Gate {
  static constexpr const char* name = "gate";
  Tensor<T> z, mask, y;
  const GateTerm<T>* terms;
  Index count;      ///< how many terms there are
  Bracket bracket;  ///< where σ closes

  [[nodiscard]] bool inner(const GateTerm<T>& term) const { return bracket == Bracket::inside || term.local; }
};

}  // namespace ops

/// What gate() gives.
template <class T>
struct GateResult {
  Tensor<T> y;     ///< [tokens, width]
  Tensor<T> mask;  ///< σ(Σ terms); carries no gradient of its own
};

/// z ⊙ σ(Σ terms), one fused operation. Undefined terms (a post-text term without memory) count as zero.
/// Throws ShapeError for a term that is neither [tokens, width] nor [1, width].
template <Executor Ex>
[[nodiscard]] GateResult<ScalarOf<Ex>> gate(Ex& ex, const TensorOf<Ex>& z,
                                            std::span<const GateTerm<ScalarOf<Ex>>> terms,
                                            Bracket bracket = Bracket::inside) {
  using T = ScalarOf<Ex>;
  auto* kept = ex.backend().arena().template allocate<GateTerm<T>>(static_cast<Index>(terms.size()));
  Index count = 0;
  bool wants_gradient = z.wants_gradient();
  for (const GateTerm<T>& term : terms) {
    if (!term.value.defined()) continue;
    require_width("gate term", z.cols(), term.value.shape, "make the term's last layer as wide as the gated vector");
    if (term.value.rows() != 1 && term.value.rows() != z.rows())
      fail<ShapeError>("gate term", "1 or " + std::to_string(z.rows()) + " rows", term.value.shape.text(),
                       "return one row for all tokens, or one each");
    wants_gradient |= term.value.wants_gradient();
    kept[count++] = term;
  }
  auto mask = ex.tensor(z.shape, false);
  auto y = ex.tensor(z.shape, wants_gradient);
  ex.run(ops::Gate<T>{z, mask, y, kept, count, bracket});
  return {y, mask};
}

}  // namespace neuroinhib
