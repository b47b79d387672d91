#pragma once

#include <cmath>

#include <neuroinhib/backend/executor.hpp>

/// The optimizers' rules over flat buffers. They write no tensor of the step and are not recorded.
namespace neuroinhib::ops {

/// The updates that an optimizer has made, where its parameters live: an update reads their number and raises it there.
struct UpdateCounter {
  Index updates = 0;
  unsigned blocks = 0;  ///< of the update under way, on a GPU: those that have ended
};

/// What changes from step to step.
struct UpdateStep {
  double factor;           ///< on the learning rate
  UpdateCounter* counter;  ///< the updates made before
};

/// Adam (Kingma and Ba 2015), or AdamW (Loshchilov and Hutter 2019) where `decoupled`. All arrays [size].
template <class T>
struct AdamUpdate {
  static constexpr const char* name = "adam";
  static constexpr int kKept = 3;  ///< arrays kept beside the gradient
  T* kept[kKept];                  ///< value, first and second moment
  const T* gradient;               ///< of the loss
  Index size;
  double learning_rate, beta1, beta2, epsilon, weight_decay;  ///< as in AdamOptions
  bool decoupled;
  UpdateStep step;  ///< factor and counter

  /// What the update's number (from 1) and factor come to.
  struct Rates {
    T size;  ///< of the step, with the first moment's bias
    T root;  ///< on the second moment's root, for its bias
    T keep;  ///< share of the value that decoupled decay leaves
  };
  /// Of the update of that number, from 1.
  NEUROINHIB_DEVICE [[nodiscard]] Rates rates(Index number, double factor) const {
    const double rate = learning_rate * factor, n = static_cast<double>(number);
    return {static_cast<T>(rate / (1 - std::pow(beta1, n))), static_cast<T>(1 / std::sqrt(1 - std::pow(beta2, n))),
            static_cast<T>(decoupled ? 1 - rate * weight_decay : 1)};
  }
  /// The rule for elements [begin, end).
  NEUROINHIB_DEVICE void apply(Index begin, Index end, const Rates& rates) const {
    const T b1 = static_cast<T>(beta1), b2 = static_cast<T>(beta2), floor = static_cast<T>(epsilon);
    const T decay = static_cast<T>(decoupled ? 0 : weight_decay);
    T* const __restrict v = kept[0];
    const T* const __restrict dv = gradient;
    T* const __restrict m1 = kept[1];
    T* const __restrict m2 = kept[2];
    for (Index i = begin; i < end; ++i) {
      const T g = dv[i] + decay * v[i];
      m1[i] = b1 * m1[i] + (1 - b1) * g;
      m2[i] = b2 * m2[i] + (1 - b2) * g * g;
      v[i] = rates.keep * v[i] - rates.size * m1[i] / (std::sqrt(m2[i]) * rates.root + floor);
    }
  }
};

/// Stochastic gradient descent with momentum, without dampening. All arrays [size].
template <class T>
struct SgdUpdate {
  static constexpr const char* name = "sgd";
  static constexpr int kKept = 2;  ///< arrays kept beside the gradient
  T* kept[kKept];                  ///< value and velocity
  const T* gradient;
  Index size;
  double learning_rate, momentum, weight_decay;  ///< as in SgdOptions
  bool nesterov;                                 ///< as in SgdOptions
  UpdateStep step;                               ///< factor and counter

  /// The update's step `size`.
  struct Rates {
    T size;
  };
  /// Of any update: only the factor matters.
  NEUROINHIB_DEVICE [[nodiscard]] Rates rates(Index /*number*/, double factor) const {
    return {static_cast<T>(learning_rate * factor)};
  }
  /// The rule for elements [begin, end).
  NEUROINHIB_DEVICE void apply(Index begin, Index end, const Rates& rates) const {
    const T m = static_cast<T>(momentum), decay = static_cast<T>(weight_decay);
    T* const __restrict v = kept[0];
    const T* const __restrict dv = gradient;
    T* const __restrict velocity = kept[1];
    for (Index i = begin; i < end; ++i) {
      const T g = dv[i] + decay * v[i];
      velocity[i] = m * velocity[i] + g;
      v[i] -= rates.size * (nesterov ? g + m * velocity[i] : velocity[i]);
    }
  }
};

}  // namespace neuroinhib::ops
