// Selection by a condition: where, masked_fill, clamp.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/activation.h"
#include "kernels/pointwise.h"
#include "nnm/ops/arguments.h"

namespace nnm {

namespace {

using detail::broadcast_view;
using detail::ScalarOperand;

/// condition ? g : 0, or the other way round.
Tensor masked_gradient(const Tensor& g, const Tensor& condition, bool keep) {
  Tensor out = detail::empty_pointwise(g, g.dtype());
  const ScalarOperand zero(0.0, g.shape(), g.device());
  const View mask = broadcast_view(condition, g.shape());
  if (keep) {
    kernels::where(out, mask, g, zero);
  } else {
    kernels::where(out, mask, zero, g);
  }
  return out;
}

/// A real number cut off behind the point; integers refuse what does not fit into them.
Scalar whole_number(double value, DType type) {
  if (type == DType::b8) return Scalar(value != 0);
  const int bits = static_cast<int>(8 * item_size(type)), sign = type == DType::u8 ? 0 : 1;
  const double limit = std::ldexp(1.0, bits - sign);
  const double cut = std::trunc(value);
  NNM_CHECK(cut < limit && cut >= (sign ? -limit : 0), runtime,
            "value cannot be converted to type {} without overflow", detail::c_type_name(type));
  return Scalar(static_cast<int64_t>(cut));
}

}  // namespace

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  NNM_CHECK(condition.dtype() == DType::b8 || condition.dtype() == DType::u8, runtime,
            "where expected condition to be a boolean tensor, but got a tensor with dtype {}",
            detail::scalar_type_name(condition.dtype()));
  const Shape shape = broadcast_shapes(broadcast_shapes(condition.shape(), a.shape()), b.shape());
  const DType type = detail::result_type(a, b);
  Tensor y = a.shape() == shape || b.shape() == shape
                 ? detail::empty_pointwise(shape, type, a, b)
                 : detail::empty_pointwise(shape, type, condition, a);
  kernels::where(y, broadcast_view(condition, shape), broadcast_view(a, shape),
                 broadcast_view(b, shape));
  if (!needs_grad({&a, &b})) return y;
  return record("WhereBackward0", y, {&a, &b}, [condition = Saved(condition)](Backward& back) {
    const Tensor& g = back.grad();
    for (size_t i = 0; i < 2; ++i) {
      if (!back.needs(i)) continue;
      back.set(i, sum_to(masked_gradient(g, condition.get(), i == 0), back.input(i).sizes));
    }
  });
}

Tensor masked_fill(const Tensor& x, const Tensor& mask, Scalar value) {
  NNM_CHECK(mask.dtype() == DType::b8, runtime,
            "masked_fill_ only supports boolean masks, but got mask with dtype {}",
            detail::c_type_name(mask.dtype()));
  if (value.kind == Scalar::Kind::real && !is_floating(x.dtype()))
    value = whole_number(value.d, x.dtype());
  const Shape shape = broadcast_shapes(x.shape(), mask.shape());
  Tensor y = detail::empty_pointwise(shape, x.dtype(), x, mask);
  kernels::where(y, broadcast_view(mask, shape), ScalarOperand(value, shape, x.device()),
                 broadcast_view(x, shape));
  if (!needs_grad({&x})) return y;
  return record("MaskedFillBackward0", y, {&x}, [mask = Saved(mask)](Backward& b) {
    b.set(0, sum_to(masked_gradient(b.grad(), mask.get(), false), b.input(0).sizes));
  });
}

namespace {

Tensor clamped(const Tensor& x, std::optional<Scalar> min, std::optional<Scalar> max, DType type) {
  Tensor y = detail::empty_pointwise(x, type);
  if (is_floating(type) && x.dtype() == type && x.is_dense()) {
    constexpr double kInf = std::numeric_limits<double>::infinity();
    const double high = max ? max->d : kInf;
    // Where the bounds are crossed the upper one counts; a NaN bound makes all of it NaN.
    const double low = min ? (max ? std::min(min->d, high) : min->d) : -kInf;
    if (!std::isnan(low) && !std::isnan(high)) {
      kernels::activation(y, x, Activation::hardtanh, {low, high, 0});
      return y;
    }
  }
  if (min) {
    const ScalarOperand bound(*min, x.shape(), x.device());
    kernels::binary(y, x, bound, Binary::maximum, compute_type(type), 1.0);
  }
  if (max) {
    const ScalarOperand bound(*max, x.shape(), x.device());
    kernels::binary(y, min ? y : x, bound, Binary::minimum, compute_type(type), 1.0);
  }
  return y;
}

}  // namespace

Tensor clamp(const Tensor& x, std::optional<Scalar> min, std::optional<Scalar> max) {
  NNM_CHECK(min || max, runtime, "torch.clamp: At least one of 'min' or 'max' must not be None");
  DType type = x.dtype();
  if (min) type = promote_types(type, detail::result_type(x, *min));
  if (max) type = promote_types(type, detail::result_type(x, *max));
  Tensor y = clamped(x, min, max, type);
  if (!needs_grad({&x})) return y;
  return record("ClampBackward1", y, {&x}, [x = Saved(x), min, max](Backward& b) {
    const Tensor& v = x.get();
    const Tensor inside = min && max ? logical_and(ge(v, *min), le(v, *max))
                          : min      ? ge(v, *min)
                                     : le(v, *max);
    b.set(0, masked_gradient(b.grad(), inside, true));
  });
}

Tensor detail::clamped_between(const Tensor& x, const Tensor& min, const Tensor& max) {
  Tensor y = x;
  {
    const NoGradGuard no_grad;
    if (min.defined()) y = maximum(y, min);
    if (max.defined()) y = minimum(y, max);
  }
  if (!needs_grad({&x, &min, &max})) return y;
  return record("ClampBackward0", y, {&x, &min, &max},
                [x = Saved(x), min = min.defined() ? Saved(min) : Saved(),
                 max = max.defined() ? Saved(max) : Saved()](Backward& b) {
                  const NoGradGuard no_grad;
                  const Tensor& v = x.get();
                  const auto flow = [&](size_t i, const Tensor& where) {
                    const Tensor g = masked_gradient(b.grad(), where, true);
                    b.set(i, sum_to(g, b.input(i).sizes));
                  };
                  // What is equal to a bound counts as its own; of crossed bounds the upper one
                  // counts.
                  if (!min.defined()) {
                    if (b.needs(0)) flow(0, le(v, max.get()));
                    if (b.needs(2)) flow(2, gt(v, max.get()));
                    return;
                  }
                  const Tensor below = lt(v, min.get());
                  if (!max.defined()) {
                    if (b.needs(0)) flow(0, ge(v, min.get()));
                    if (b.needs(1)) flow(1, below);
                    return;
                  }
                  if (b.needs(0)) flow(0, logical_and(ge(v, min.get()), le(v, max.get())));
                  if (b.needs(1)) flow(1, logical_and(below, lt(min.get(), max.get())));
                  if (b.needs(2)) flow(2, logical_or(gt(v, max.get()), lt(max.get(), min.get())));
                });
}

}  // namespace nnm
