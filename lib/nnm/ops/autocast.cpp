// The casts of mixed precision.
#include "nnm/ops/autocast.h"

#include "nnm/ops/ops.h"

namespace nnm {

namespace detail {

constinit thread_local std::optional<DType> autocast_dtype;

Tensor autocast_short_slow(const Tensor& x) {
  return x.dtype() == DType::f32 ? to(x, *autocast_dtype) : x;
}

Tensor autocast_f32_slow(const Tensor& x) {
  return x.dtype() == DType::bf16 || x.dtype() == DType::f16 ? to(x, DType::f32) : x;
}

}  // namespace detail

AutocastGuard::AutocastGuard(std::optional<DType> dtype) : before_(detail::autocast_dtype) {
  NNM_CHECK(!dtype || *dtype == DType::bf16 || *dtype == DType::f16, value,
            "autocast knows bf16 and f16, got {}", info(*dtype).name);
  detail::autocast_dtype = dtype;
}

AutocastGuard::~AutocastGuard() { detail::autocast_dtype = before_; }

}  // namespace nnm
