// Mixed precision by torch.autocast's policy on the CPU: matrix products, convolutions and
// attention in a short type, losses in f32, everything else in the type that arrives.
#pragma once

#include <optional>

#include "nnm/tensor/tensor.h"

namespace nnm {

/// While one lives, operations of this thread cast f32 operands as the policy says. `dtype` is bf16
/// or f16; none switches autocast off.
class AutocastGuard {
 public:
  explicit AutocastGuard(std::optional<DType> dtype);
  ~AutocastGuard();
  AutocastGuard(const AutocastGuard&) = delete;
  AutocastGuard& operator=(const AutocastGuard&) = delete;

 private:
  std::optional<DType> before_;
};

namespace detail {
extern constinit thread_local std::optional<DType> autocast_dtype;
Tensor autocast_short_slow(const Tensor& x);
Tensor autocast_f32_slow(const Tensor& x);
}  // namespace detail

/// x as the policy wants the operand of a matrix product: x itself outside of autocast.
inline Tensor autocast_short(const Tensor& x) {
  return detail::autocast_dtype && x.defined() ? detail::autocast_short_slow(x) : x;
}
/// x as it wants the operand of a loss.
inline Tensor autocast_f32(const Tensor& x) {
  return detail::autocast_dtype && x.defined() ? detail::autocast_f32_slow(x) : x;
}

}  // namespace nnm
