// What the specs of losses have in common. Private to lib/nnm/nn/layers.
#pragma once

#include "nnm/nn/hooks_detail.h"
#include "nnm/nn/layers/layer.h"
#include "nnm/ops/reduction.h"

namespace nnm::nn {

/// What `reduction` may be.
inline Limit loss_reductions() { return one_of({"none", "mean", "sum"}); }

/// The deprecated arguments, put into `reduction`.
template <class Options>
Options modern_loss(Options o) {
  if (!o.size_average && !o.reduce) return o;
  o.reduction = nnm::detail::legacy_reduction(o.size_average, o.reduce, o.reduction);
  warn_once(fmt::format(
      "size_average and reduce args will be deprecated, please use reduction='{}' instead.",
      o.reduction));
  return o;
}

/// The three arguments as most losses have them, at the end.
template <class Options>
Spec<Options> with_reduction(Spec<Options> s, const Limit& reductions = loss_reductions()) {
  return s.opt(NNM_ARG(size_average), "deprecated, see reduction")
      .opt(NNM_ARG(reduce), "deprecated, see reduction")
      .opt(NNM_ARG(reduction), "what becomes of the elements", reductions);
}

}  // namespace nnm::nn
