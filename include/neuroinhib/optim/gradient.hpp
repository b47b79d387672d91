#pragma once

#include <string>

#include <neuroinhib/backend/backend.hpp>
#include <neuroinhib/ops/clip_norm/op.hpp>
#include <neuroinhib/optim/all_ranks.hpp>
#include <neuroinhib/optim/own_parameters.hpp>

namespace neuroinhib {

/// Scales all gradients so that their Euclidean norm is at most `largest`, between backward() and the optimizer's
/// step(); on several ranks the gradients are added up before. Part of a captured step where that is captured. Returns
/// the norm before, [1], in the backend's memory until the next step begins: backend.read(norm)[0]. Throws ConfigError
/// unless largest > 0. A norm that is not finite leaves the gradients as they are and throws NumericError: on a GPU,
/// when the host next reads or calls check().
template <Backend B, class T>
View<const double> clip_gradient_norm(B& backend, Parameters<T>& parameters, double largest) {
  require_option("gradient clipping", "a largest norm", largest, largest > 0, "> 0", "leave clipping out instead");
  detail::require_space("gradient clipping", backend, parameters);
  if constexpr (!kAlone<B>) detail::require_whole("gradient clipping", parameters);
  const View<T> gradient = detail::flat_gradient(backend, parameters);
  double* norm = backend.template kernel_memory<double>(1);
  detail::run_forward(detail::computing(backend), ops::ClipNorm<T>{gradient.data, parameters.size(), largest, norm});
  return {norm, {1}};
}

}  // namespace neuroinhib
