// Copies of weights in the order of a kernel, kept from call to call at inference.
#pragma once

#include <functional>
#include <vector>

#include "nnm/tensor/tensor.h"

namespace nnm::detail {

/// Whose order a copy is in, and which of those: what its maker wrote is read by nobody else.
struct KeptOrder {
  enum class Kernel : uint8_t { winograd, onednn, linear } kernel;
  int64_t format = 0;
  friend bool operator==(const KeptOrder&, const KeptOrder&) = default;
};

/// `bytes` of memory (u8) that `fill` has made from the row-major w, kept with w's storage until
/// something is written to that (Tensor::version), it is freed, or forget_weights is called. With
/// `scale` (w's first extent) the copy is of w times scale along its first dimension. At most three
/// copies for one window of the storage: the oldest goes. In memory of somebody else, which changes
/// unseen, nothing is kept. Any thread.
Tensor kept_weights(const Tensor& w, const std::vector<float>& scale, KeptOrder order,
                    int64_t bytes,
                    const std::function<void(const View& copy, const Tensor& scaled)>& fill);

/// The same from the second time on; undefined at the first, since a copy takes longer than to do
/// without it once, and memory. There may be none later either.
Tensor kept_weights_later(const Tensor& w, KeptOrder order, int64_t bytes,
                          const std::function<void(const View& copy, const Tensor& w)>& fill);

/// Drops what is kept of w's storage: in training weights change before they are met again.
void forget_weights(const Tensor& w);

}  // namespace nnm::detail
