// BackwardOnlooker: a full backward hook that never replaces a gradient.
#pragma once

#include <functional>
#include <optional>

#include "nnm/nn/hooks.h"

namespace nnm {

/// Registered like any other full backward hook. Where a call has no others, gradients flow past it
/// as if it were not there: their sums are the same bits with and without.
struct BackwardOnlooker {
  std::function<void(Module&, const Tensors& grad_input, const Tensors& grad_output)> look;
  std::optional<Tensors> operator()(Module& m, const Tensors& grad_input,
                                    const Tensors& grad_output) const {
    look(m, grad_input, grad_output);
    return std::nullopt;
  }
};

}  // namespace nnm
