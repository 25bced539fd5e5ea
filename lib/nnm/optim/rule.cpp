// Checks and state tensors of the update rules.
#include "nnm/optim/rule.h"

#include "kernels/pointwise.h"

namespace nnm::optim {

namespace {

[[noreturn]] void refuse(const std::string& text, const char* name, Scalar value) {
  throw BindError(fmt::format("{}: {}", text, Codec<Scalar>::write(value).repr()), "", -1, name,
                  ErrorKind::value);
}

}  // namespace

void check_option(bool holds, const char* what, const char* name, Scalar value) {
  if (!holds) refuse(fmt::format("Invalid {}", what), name, value);
}

void require_option(bool holds, const char* rule, const char* name, Scalar value) {
  if (!holds) refuse(fmt::format("{} but is", rule), name, value);
}

void check_not_negative(const char* what, const char* name, Scalar value) {
  check_option(value.d >= 0, what, name, value);
}

void check_betas(Scalar beta1, Scalar beta2) {
  check_option(beta1.d >= 0 && beta1.d < 1, "beta parameter at index 0", "betas", beta1);
  check_option(beta2.d >= 0 && beta2.d < 1, "beta parameter at index 1", "betas", beta2);
}

void check_implementation(std::optional<bool> foreach, std::optional<bool> fused,
                          bool differentiable) {
  NNM_CHECK(!(fused.value_or(false) && differentiable), runtime,
            "`fused` does not support `differentiable`");
  NNM_CHECK(!(fused.value_or(false) && foreach.value_or(false)), runtime,
            "`fused` and `foreach` cannot be `True` together.");
  NNM_CHECK(!differentiable, not_implemented,
            "gradients through the optimizer's step (differentiable=True) are not built");
}

Tensor filled_like(const Tensor& param, double value) {
  Tensor t = empty_like(param);
  kernels::fill(t, value, static_cast<int64_t>(value));
  return t;
}

Tensor number_for(const Tensor& param, double value) {
  Tensor t = empty({}, {param.dtype() == DType::f64 ? DType::f64 : DType::f32, Device{}});
  set_number(t, value);
  return t;
}

void set_number(const Tensor& number, double value) {
  kernels::fill(number, value, static_cast<int64_t>(value));
}

}  // namespace nnm::optim
