// softmax and log_softmax.
#include "nnm/ops/softmax.h"

#include "kernels/softmax.h"
#include "nnm/base/warn_once.h"
#include "nnm/ops/detail.h"
#include "nnm/ops/function.h"
#include "nnm/ops/gemm.h"
#include "nnm/ops/layout.h"

namespace nnm {

namespace {

Tensor softmax_op(const Tensor& x, int64_t dim, bool log) {
  detail::check_defined(x, log ? "log_softmax" : "softmax");
  detail::check_floating(x,
                         log ? "log_softmax_lastdim_kernel_impl" : "softmax_lastdim_kernel_impl");
  const int d = wrap_dim(dim, x.dim());
  const Tensor in = x.is_contiguous() ? x : detail::row_major(x);
  Tensor y = empty(x.shape(), x.options());
  kernels::softmax(y, in, d, log);
  if (!needs_grad({&x})) return y;
  const char* node = log ? "LogSoftmaxBackward0" : "SoftmaxBackward0";
  return record(node, y, {&x}, [y = Saved::output(y, node), d, log](Backward& b) {
    const Tensor dx = empty(y.get().shape(), y.get().options());
    kernels::softmax_backward(dx, detail::row_major(b.grad()), y.get(), d, log);
    b.set(0, dx);
  });
}

Tensor cast_first(const Tensor& x, std::optional<DType> dtype) { return dtype ? to(x, *dtype) : x; }

}  // namespace

int64_t softmax_dim(std::optional<int64_t> dim, const Tensor& x, const char* function) {
  if (dim.has_value()) return *dim;
  warn_once(
      fmt::format("Implicit dimension choice for {} has been deprecated. Change the call to "
                  "include dim=X as an argument.",
                  function));
  return x.dim() == 0 || x.dim() == 1 || x.dim() == 3 ? 0 : 1;
}

Tensor softmax(const Tensor& x, int64_t dim) { return softmax_op(x, dim, false); }

Tensor log_softmax(const Tensor& x, int64_t dim) { return softmax_op(x, dim, true); }

Tensor softmin(const Tensor& x, int64_t dim) { return softmax(neg(x), dim); }

namespace {

Tensor softmax_call(const Tensor& x, std::optional<int64_t> dim, std::optional<DType> dtype) {
  return softmax(cast_first(x, dtype), softmax_dim(dim, x, "softmax"));
}
Tensor log_softmax_call(const Tensor& x, std::optional<int64_t> dim, std::optional<DType> dtype) {
  return log_softmax(cast_first(x, dtype), softmax_dim(dim, x, "log_softmax"));
}
Tensor softmin_call(const Tensor& x, std::optional<int64_t> dim, std::optional<DType> dtype) {
  return softmin(cast_first(x, dtype), softmax_dim(dim, x, "softmin"));
}

constexpr Function kSoftmaxFunctions[] = {
    {"softmax(input: Tensor, dim: int? = none, dtype: dtype? = none)", "e^x over its sum along dim",
     call<softmax_call>},
    {"log_softmax(input: Tensor, dim: int? = none, dtype: dtype? = none)",
     "the logarithm of softmax", call<log_softmax_call>},
    {"softmin(input: Tensor, dim: int? = none, dtype: dtype? = none)", "softmax of -x",
     call<softmin_call>},
};
NNM_REGISTER_FUNCTIONS(kSoftmaxFunctions);

}  // namespace
}  // namespace nnm
