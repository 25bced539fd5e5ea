// Layers that one pass over an image can do together, at inference.
#pragma once

#include <span>

#include "nnm/nn/module.h"

namespace nnm::nn {

/// While one lives, its thread calls layer after layer: what is measured then is the same to the
/// last bit whoever looks on.
class OneByOneGuard {
 public:
  OneByOneGuard();
  ~OneByOneGuard();
  OneByOneGuard(const OneByOneGuard&) = delete;

 private:
  bool before_;
};

/// A convolution and what is called on its result: a batch norm, then a relu; each may be null.
struct FusedCall {
  Module* conv = nullptr;
  Module* norm = nullptr;
  Module* relu = nullptr;

  /// Whether nobody could tell one pass from calls one after another, but for rounding: no
  /// gradients are recorded, there is no OneByOneGuard, the layers are Conv2d, BatchNorm2d in eval
  /// mode and ReLU themselves and not classes derived from them, and no hook sees what goes in and
  /// out of any.
  bool possible() const;
  /// max(norm(conv(x)) + addend, 0), with the maximum where there is a `relu` or it is asked for.
  /// Call it only if possible. Undefined where the tensors are not for it: nothing is done then.
  Tensor run(const Tensor& x, const Tensor& addend = {}, bool with_relu = false) const;
};

/// The same for the layers that follow each other in `slots` from `first` on: how many of them x
/// has passed through, 0 where one pass is not possible.
size_t run_fused(std::span<const Ref<ModuleSlot>> slots, size_t first, Tensor& x);

}  // namespace nnm::nn
