#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string>
#include <vector>

#include <neuroinhib/core/memory.hpp>
#include <neuroinhib/core/parameters.hpp>

/// Experts' weights in 16 bits, for inference on the CPU: at few tokens its time is that of reading the weights.
namespace neuroinhib {

/// Rounds to bf16 (float's exponent, 7 bits of mantissa): to nearest, ties to even; NaN stays NaN.
[[nodiscard]] inline std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t quiet = bits >> 16 | 0x40, rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  return static_cast<std::uint16_t>(value == value ? rounded : quiet);
}

/// Two neighbours of a row in bf16, the first in the lower half; a row of odd length ends with a zero.
[[nodiscard]] inline std::uint32_t bf16_pair(const float* row, Index pair, Index length) {
  const float second = 2 * pair + 1 < length ? row[2 * pair + 1] : 0;
  return to_bf16(row[2 * pair]) | static_cast<std::uint32_t>(to_bf16(second)) << 16;
}

/// What multiplies factors in bf16; sums are in float on all of them.
enum class Bf16Unit {
  widened,      ///< the float product, to which factors are widened: on every processor
  avx512_bf16,  ///< the instruction VDPBF16PS of AVX512-BF16, which takes numbers below 2⁻¹²⁶ for zero
};

[[nodiscard]] inline std::string text_of(Bf16Unit unit) {
  return unit == Bf16Unit::avx512_bf16 ? "AVX512-BF16" : "widened to float";
}

/// Whether this processor has it, whatever the program was compiled for.
[[nodiscard]] inline bool has_unit(Bf16Unit unit) {
  if (unit == Bf16Unit::widened) return true;
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}
/// The fastest of the units that this processor has.
[[nodiscard]] inline Bf16Unit fastest_bf16_unit() {
  return has_unit(Bf16Unit::avx512_bf16) ? Bf16Unit::avx512_bf16 : Bf16Unit::widened;
}

/// A weight [experts, out, in] in bf16, in the order in which kernels read it: an expert is panels of kColumns outputs,
/// a panel is lines of 64 bytes, a line has a bf16_pair() of each output. Zeros beyond `out` and `in`.
struct Bf16Panels {
  static constexpr Index kColumns = 16;
  Index out, in;
  const std::uint32_t* data = nullptr;  ///< the pairs of all experts, one after another

  [[nodiscard]] Index panels() const { return (out + kColumns - 1) / kColumns; }
  /// Lines of a panel: pairs of inputs.
  [[nodiscard]] Index pairs() const { return (in + 1) / 2; }
  /// Of one expert.
  [[nodiscard]] Index size() const { return panels() * pairs() * kColumns; }
  [[nodiscard]] const std::uint32_t* panel(Index expert, Index number) const {
    return data + expert * size() + number * pairs() * kColumns;
  }
};

/// The experts' weights of a model, rounded to bf16 when this is made; the parameters stay as they are. A
/// Cpu<float>({.bf16_weights = &weights}) multiplies them by activations rounded to bf16 and sums in float; all else
/// (routers, biases, other layers) stays in float. For inference; any number of backends may share it. Make it anew
/// when the parameters have changed, and let it not outlive them.
class Bf16Weights {
 public:
  /// Throws ConfigError where the processor lacks the unit, the parameters are not in host memory, or have no experts.
  explicit Bf16Weights(const Parameters<float>& parameters, Bf16Unit unit = fastest_bf16_unit()) : unit_(unit) {
    if (!has_unit(unit))
      fail<ConfigError>("weights in bf16", "a processor with " + text_of(unit), "one without",
                        "use Bf16Unit::widened, or leave the unit out");
    if (&parameters.space() != &kSpaceOf<HostMemory>)
      fail<ConfigError>("weights in bf16", "parameters in host memory", parameters.space().text(),
                        "on a GPU use CudaOptions::precision = Precision::bf16");
    for (const auto& entry : parameters.entries())
      if (entry.tensor.shape.rank() == 3) weights_.push_back(rounded(entry.tensor));
    if (weights_.empty())
      fail<ConfigError>("weights in bf16", "a model with experts", "one without weights [experts, out, in]",
                        "compute other layers in float");
  }

  /// What multiplies them.
  [[nodiscard]] Bf16Unit unit() const { return unit_; }
  /// Memory that they take.
  [[nodiscard]] std::size_t bytes() const {
    std::size_t total = 0;
    for (const Weight& weight : weights_) total += static_cast<std::size_t>(weight.numbers.size()) * 4;
    return total;
  }
  /// A parameter's numbers. Throws ConfigError for a weight that is not among those rounded.
  [[nodiscard]] Bf16Panels of(const Tensor<float>& parameter) const {
    for (const Weight& weight : weights_)
      if (weight.parameter == parameter.data) return {parameter.shape[1], parameter.shape[2], weight.numbers.data()};
    fail<ConfigError>("expert layer", "a weight that Bf16Weights has", "another's, " + parameter.shape.text(),
                      "make Bf16Weights(parameters) of the model that runs, or a Cpu without bf16_weights");
  }

 private:
  struct Weight {
    const float* parameter;
    Storage<std::uint32_t> numbers;
  };

  [[nodiscard]] static Weight rounded(const Tensor<float>& parameter) {
    const Index experts = parameter.shape[0], out = parameter.shape[1], in = parameter.shape[2];
    const Bf16Panels form{out, in};
    Weight weight{parameter.data, {}};
    weight.numbers.resize(experts * form.size());
    std::uint32_t* to = weight.numbers.data();
    for (Index e = 0; e < experts; ++e)
      for (Index first = 0; first < out; first += Bf16Panels::kColumns)
        for (Index pair = 0; pair < form.pairs(); ++pair)
          for (Index n = first; n < first + Bf16Panels::kColumns; ++n)
            *to++ = n < out ? bf16_pair(parameter.data + (e * out + n) * in, pair, in) : 0;
    return weight;
  }

  Bf16Unit unit_;
  std::vector<Weight> weights_;
};

}  // namespace neuroinhib
