// What hooks that look on need: a full backward hook that never replaces a gradient, and the call
// that hooks run for.
#pragma once

#include <cstdint>
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

/// The call of a module that the hooks running now belong to: one number for those around its
/// forward and those of its backward passes, which grows from call to call. 0 outside of hooks.
uint64_t hooked_call();

}  // namespace nnm
