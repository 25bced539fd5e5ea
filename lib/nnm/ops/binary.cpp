// Arithmetic, comparison and logic of two operands: tensors, or a tensor and a number.
#include <cmath>

#include "kernels/half.h"
#include "kernels/pointwise.h"
#include "nnm/ops/detail.h"
#include "nnm/tensor/device.h"

namespace nnm {

namespace {

using detail::ScalarOperand;

/// The device of the result: a 0-d tensor on the CPU goes anywhere, as a number does.
void check_devices(const Tensor& a, const Tensor& b) {
  if (a.device() == b.device()) return;
  const auto travels = [](const Tensor& x) {
    return x.dim() == 0 && x.device().type == DeviceType::cpu;
  };
  if (travels(a) || travels(b)) return;
  detail::check_same_device(a, b);
}

Tensor run(Binary f, const Tensor& a, const Tensor& b, DType common, DType out_type,
           double alpha = 1) {
  Tensor out;
  if (a.device() == Device{} && b.device().type == DeviceType::cuda)
    return run(f, moved(a, b.device()), b, common, out_type, alpha);
  if (b.device() == Device{} && a.device().type == DeviceType::cuda)
    return run(f, a, moved(b, a.device()), common, out_type, alpha);
  if (a.shape() == b.shape()) {
    out = a.device() == b.device() || a.is_meta() ? detail::empty_pointwise(a, out_type)
                                                  : detail::empty_pointwise(b, out_type);
    kernels::binary(out, a, b, f, compute_type(common), alpha);
    return out;
  }
  const Shape shape = broadcast_shapes(a.shape(), b.shape());
  out = b.is_meta() && !a.is_meta() ? detail::empty_pointwise(shape, out_type, b, a)
                                    : detail::empty_pointwise(shape, out_type, a, b);
  kernels::binary(out, detail::broadcast_view(a, shape), detail::broadcast_view(b, shape), f,
                  compute_type(common), alpha);
  return out;
}

Tensor run(Binary f, const Tensor& a, Scalar b, DType common, DType out_type, double alpha = 1) {
  Tensor out = detail::empty_pointwise(a, out_type);
  kernels::binary(out, a, ScalarOperand(b, a.shape(), a.device()), f, compute_type(common), alpha);
  return out;
}

Tensor run(Binary f, Scalar a, const Tensor& b, DType common, DType out_type) {
  Tensor out = detail::empty_pointwise(b, out_type);
  kernels::binary(out, ScalarOperand(a, b.shape(), b.device()), b, f, compute_type(common), 1.0);
  return out;
}

/// The common type, after the checks that all two-operand functions make.
DType common_type(const Tensor& a, const Tensor& b, const char* op) {
  detail::check_defined(a, op);
  detail::check_defined(b, op);
  check_devices(a, b);
  return detail::result_type(a, b);
}
DType common_type(const Tensor& a, Scalar b, const char* op) {
  detail::check_defined(a, op);
  return detail::result_type(a, b);
}

/// x kept for the gradient of the other operand, where that is wanted.
Saved saved_for(const Tensor& other, const Tensor& x) {
  return needs_grad({&other}) ? Saved(x) : Saved();
}

void set_reduced(Backward& b, size_t i, const Tensor& g) {
  const Tensor sum = sum_to(g, b.input(i).sizes);
  b.set(i, to(sum, {sum.dtype(), b.input(i).device}));
}

void check_alpha(Scalar alpha, DType t) {
  NNM_CHECK(alpha.kind != Scalar::Kind::real || is_floating(t), runtime,
            "For integral input tensors, argument alpha must not be a floating point number.");
}

void check_subtraction(bool a_bool, bool b_bool) {
  NNM_CHECK(!a_bool || !b_bool, runtime,
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
            "`logical_xor()` operator instead.");
  NNM_CHECK(!a_bool && !b_bool, runtime,
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying "
            "to invert a mask, use the `~` or `logical_not()` operator instead.");
}

Tensor sum_of(const char* node, const Tensor& a, const Tensor& b, DType type, double alpha) {
  Tensor y = run(Binary::add, a, b, type, type, alpha);
  if (!needs_grad({&a, &b})) return y;
  return record(node, y, {&a, &b}, [alpha](Backward& back) {
    const Tensor& g = back.grad();
    if (back.needs(0)) set_reduced(back, 0, g);
    if (!back.needs(1)) return;
    set_reduced(back, 1, alpha == 1 ? g : alpha == -1 ? neg(g) : mul(g, alpha));
  });
}

/// A recorded sum or difference of x and a number.
Tensor shifted(const char* node, const Tensor& x, Tensor y) {
  if (!needs_grad({&x})) return y;
  return record(node, y, {&x, &kNumber}, [](Backward& b) { b.set(0, b.maybe_grad()); });
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b, Scalar alpha) {
  const DType type = common_type(a, b, "add");
  check_alpha(alpha, type);
  return sum_of("AddBackward0", a, b, type, alpha.d);
}

Tensor add(const Tensor& a, Scalar b) {
  const DType type = common_type(a, b, "add");
  return shifted("AddBackward0", a, run(Binary::add, a, b, type, type));
}

Tensor sub(const Tensor& a, const Tensor& b, Scalar alpha) {
  const DType type = common_type(a, b, "sub");
  check_subtraction(a.dtype() == DType::b8, b.dtype() == DType::b8);
  check_alpha(alpha, type);
  return sum_of("SubBackward0", a, b, type, -alpha.d);
}

Tensor sub(const Tensor& a, Scalar b) {
  const DType type = common_type(a, b, "sub");
  check_subtraction(a.dtype() == DType::b8, b.kind == Scalar::Kind::boolean);
  return shifted("SubBackward0", a, run(Binary::add, a, b, type, type, -1));
}

Tensor rsub(Scalar a, const Tensor& b) {
  const DType type = common_type(b, a, "rsub");
  check_subtraction(b.dtype() == DType::b8, a.kind == Scalar::Kind::boolean);
  Tensor out = detail::empty_pointwise(b, type);
  kernels::binary(out, ScalarOperand(a, b.shape(), b.device()), b, Binary::add, compute_type(type),
                  -1.0);
  if (!needs_grad({&b})) return out;
  return record("RsubBackward1", out, {&b}, [](Backward& back) { back.set(0, neg(back.grad())); });
}

Tensor mul(const Tensor& a, const Tensor& b) {
  const DType type = common_type(a, b, "mul");
  Tensor y = run(Binary::mul, a, b, type, type);
  if (!needs_grad({&a, &b})) return y;
  return record("MulBackward0", y, {&a, &b},
                [a = saved_for(b, a), b = saved_for(a, b)](Backward& back) {
                  if (back.needs(0)) set_reduced(back, 0, mul(back.grad(), b.get()));
                  if (back.needs(1)) set_reduced(back, 1, mul(back.grad(), a.get()));
                });
}

Tensor mul(const Tensor& a, Scalar b) {
  const DType type = common_type(a, b, "mul");
  Tensor y = run(Binary::mul, a, b, type, type);
  if (!needs_grad({&a})) return y;
  return record("MulBackward0", y, {&a, &kNumber}, [b = SavedNumber(b)](Backward& back) {
    back.set(0, b.value.d == 1 ? back.maybe_grad() : mul(back.grad(), b.value.d));
  });
}

Tensor div(const Tensor& a, const Tensor& b) {
  const DType type = detail::float_type(common_type(a, b, "div"));
  Tensor y = run(Binary::div, a, b, type, type);
  if (!needs_grad({&a, &b})) return y;
  return record("DivBackward0", y, {&a, &b}, [a = saved_for(b, a), b = Saved(b)](Backward& back) {
    if (back.needs(0)) set_reduced(back, 0, div(back.grad(), b.get()));
    if (back.needs(1)) {
      set_reduced(back, 1, neg(mul(back.grad(), div(div(a.get(), b.get()), b.get()))));
    }
  });
}

Tensor div(const Tensor& a, Scalar b) {
  const DType type = detail::float_type(common_type(a, b, "div"));
  Tensor y = run(Binary::div, a, b, type, type);
  if (!needs_grad({&a})) return y;
  return record("DivBackward0", y, {&a, &kNumber},
                [b = SavedNumber(b)](Backward& back) { back.set(0, div(back.grad(), b.value)); });
}

Tensor div(Scalar a, const Tensor& b) {
  const DType type = detail::float_type(common_type(b, a, "div"));
  Tensor y = run(Binary::div, a, b, type, type);
  if (!needs_grad({&b})) return y;
  // PyTorch computes reciprocal(b) * a, names the node after the product, and keeps the reciprocal
  // alone: b and the result may be written to.
  const Tensor r = run(Binary::div, Scalar(1.0), b, type, type);
  return record("MulBackward0", y, {&b}, [r = Saved(r), a](Backward& back) {
    back.set(0, mul(neg(mul(back.grad(), a)), mul(r.get(), r.get())));
  });
}

namespace {

/// Integers have no quotient by zero.
void check_divisor(const Tensor& b, DType type) {
  NNM_CHECK(is_floating(type) || b.is_meta() || all(b).item().i != 0, runtime, "ZeroDivisionError");
}

}  // namespace

Tensor floor_divide(const Tensor& a, const Tensor& b) {
  const DType type = common_type(a, b, "floor_divide");
  check_divisor(b, type);
  Tensor y = run(Binary::floor_divide, a, b, type, type);
  if (!needs_grad({&a, &b})) return y;
  return record("torch::autograd::NotImplemented", y, {&a, &b}, [](Backward&) {
    fail(ErrorKind::runtime, "derivative for aten::floor_divide is not implemented");
  });
}

Tensor remainder(const Tensor& a, const Tensor& b) {
  const DType type = common_type(a, b, "remainder");
  check_divisor(b, type);
  Tensor y = run(Binary::remainder, a, b, type, type);
  if (!needs_grad({&a, &b})) return y;
  return record("RemainderBackward1", y, {&a, &b},
                [a = saved_for(b, a), b = saved_for(b, b)](Backward& back) {
                  const Tensor& g = back.grad();
                  if (back.needs(0)) set_reduced(back, 0, g);
                  if (!back.needs(1)) return;
                  set_reduced(back, 1, neg(mul(g, floor_divide(a.get(), b.get()))));
                });
}

Tensor floor_divide(const Tensor& a, Scalar b) {
  const DType type = common_type(a, b, "floor_divide");
  NNM_CHECK(is_floating(type) || b.i != 0, runtime, "ZeroDivisionError");
  Tensor y = run(Binary::floor_divide, a, b, type, type);
  if (!needs_grad({&a})) return y;
  return record("torch::autograd::NotImplemented", y, {&a}, [](Backward&) {
    fail(ErrorKind::runtime, "derivative for aten::floor_divide is not implemented");
  });
}

Tensor remainder(const Tensor& a, Scalar b) {
  const DType type = common_type(a, b, "remainder");
  NNM_CHECK(is_floating(type) || b.i != 0, runtime, "ZeroDivisionError");
  Tensor y = run(Binary::remainder, a, b, type, type);
  if (!needs_grad({&a})) return y;
  return record("RemainderBackward0", y, {&a}, [](Backward& g) { g.set(0, g.maybe_grad()); });
}

Tensor pow(const Tensor& a, const Tensor& b) {
  const DType type = common_type(a, b, "pow");
  Tensor y = run(Binary::pow, a, b, type, type);
  if (!needs_grad({&a, &b})) return y;
  return record("PowBackward1", y, {&a, &b},
                [a = Saved(a), b = Saved(b), y = saved_for(b, y)](Backward& back) {
                  const Tensor &g = back.grad(), &x = a.get(), &e = b.get();
                  if (back.needs(0)) {
                    // d x^e = e x^(e-1), and 0 where e is 0, whatever x is.
                    const Tensor slope = mul(e, pow(x, sub(e, Scalar(1.0))));
                    set_reduced(back, 0, masked_fill(mul(g, slope), eq(e, zeros_like(e)), 0.0));
                  }
                  if (back.needs(1)) {
                    const Tensor flat = logical_and(eq(x, zeros_like(x)), ge(e, zeros_like(e)));
                    set_reduced(back, 1, masked_fill(mul(g, mul(y.get(), log(x))), flat, 0.0));
                  }
                });
}

namespace {

/// x^e by multiplications and roots for the exponents that everybody uses.
Tensor power_of(const Tensor& x, double e, DType type) {
  NoGradGuard no_grad;
  if (is_floating(type)) {
    if (e == 2) return square(x);
    if (e == 3) return mul(square(x), x);
    if (e == -2) return reciprocal(square(x));
    if (e == 0.5) return sqrt(x);
    if (e == -0.5) return rsqrt(x);
    if (e == -1) return reciprocal(x);
    if (e == 1) return clone(x);
  }
  return {};
}

}  // namespace

Tensor pow(const Tensor& a, Scalar b) {
  const DType type = common_type(a, b, "pow");
  NNM_CHECK(is_floating(type) || b.i >= 0, runtime,
            "Integers to negative integer powers are not allowed.");
  Tensor y = is_floating(a.dtype()) ? power_of(a, b.d, type) : Tensor();
  if (!y.defined()) y = run(Binary::pow, a, b, type, type);
  if (!needs_grad({&a})) return y;
  return record("PowBackward0", y, {&a}, [a = Saved(a), e = b.d](Backward& back) {
    const Tensor& g = back.grad();
    if (e == 0) return back.set(0, zeros_like(g));
    back.set(0, e == 1 ? g : mul(g, mul(e == 2 ? a.get() : pow(a.get(), e - 1), e)));
  });
}

Tensor pow(Scalar a, const Tensor& b) {
  const DType type = common_type(b, a, "pow");
  Tensor y = run(Binary::pow, a, b, type, type);
  if (!needs_grad({&b})) return y;
  constexpr const char* kNode = "PowBackward2";
  return record(kNode, y, {&b}, [y = Saved::output(y, kNode), a = a.d](Backward& back) {
    back.set(0, mul(back.grad(), mul(y.get(), std::log(a))));
  });
}

namespace {

/// Ties share the gradient: half each, as in PyTorch.
Tensor extremum_of(Binary f, const char* node, const Tensor& a, const Tensor& b, const char* op) {
  const DType type = common_type(a, b, op);
  Tensor y = run(f, a, b, type, type);
  if (!needs_grad({&a, &b})) return y;
  return record(node, y, {&a, &b}, [a = Saved(a), b = Saved(b), f](Backward& back) {
    const Tensor &g = back.grad(), &x = a.get(), &z = b.get();
    const Tensor shared = where(eq(x, z), div(g, Scalar(2.0)), g);
    const bool larger = f == Binary::maximum;
    if (back.needs(0)) set_reduced(back, 0, masked_fill(shared, larger ? lt(x, z) : gt(x, z), 0.0));
    if (back.needs(1)) set_reduced(back, 1, masked_fill(shared, larger ? gt(x, z) : lt(x, z), 0.0));
  });
}

}  // namespace

Tensor maximum(const Tensor& a, const Tensor& b) {
  return extremum_of(Binary::maximum, "MaximumBackward0", a, b, "maximum");
}
Tensor minimum(const Tensor& a, const Tensor& b) {
  return extremum_of(Binary::minimum, "MinimumBackward0", a, b, "minimum");
}

Tensor atan2(const Tensor& a, const Tensor& b) {
  const DType type = detail::float_type(common_type(a, b, "atan2"));
  Tensor y = run(Binary::atan2, a, b, type, type);
  if (!needs_grad({&a, &b})) return y;
  return record("Atan2Backward0", y, {&a, &b}, [a = Saved(a), b = Saved(b)](Backward& back) {
    const Tensor &x = a.get(), &z = b.get();
    const Tensor squares = add(square(x), square(z));
    // At the origin there is no angle, and no gradient.
    const Tensor scale = masked_fill(div(back.grad(), squares), eq(squares, Scalar(0)), Scalar(0));
    if (back.needs(0)) set_reduced(back, 0, mul(scale, z));
    if (back.needs(1)) set_reduced(back, 1, neg(mul(scale, x)));
  });
}

Tensor lerp(const Tensor& a, const Tensor& b, double weight) {
  const DType type = common_type(a, b, "lerp");
  NNM_CHECK(a.dtype() == b.dtype(), runtime, "expected dtype {} for `end` but got dtype {}",
            detail::c_type_name(a.dtype()), detail::c_type_name(b.dtype()));
  Tensor y;
  {
    NoGradGuard no_grad;
    // From the nearer end, so that both ends are exact.
    const Tensor span = run(Binary::add, b, a, type, type, -1);
    y = weight < 0.5 ? run(Binary::add, a, span, type, type, weight)
                     : run(Binary::add, b, span, type, type, weight - 1);
  }
  if (!needs_grad({&a, &b})) return y;
  return record("LerpBackward0", y, {&a, &b}, [weight](Backward& back) {
    if (back.needs(0)) set_reduced(back, 0, mul(back.grad(), 1 - weight));
    if (back.needs(1)) set_reduced(back, 1, mul(back.grad(), weight));
  });
}

namespace {

/// Comparisons see a number as the tensor's type has it: bf16(0.1) == 0.1.
Scalar rounded(Scalar s, DType t) {
  if (s.kind != Scalar::Kind::real) return s;
  if (t == DType::bf16) return static_cast<double>(static_cast<float>(BFloat16(float(s.d))));
  if (t == DType::f16) return static_cast<double>(static_cast<float>(Half(float(s.d))));
  return s;
}

/// A tensor without dimensions is such a number.
Tensor rounded(const Tensor& x, DType t) {
  const bool half = t == DType::bf16 || t == DType::f16;
  return half && x.dim() == 0 && is_floating(x.dtype()) ? to(x.detach(), t) : x;
}

}  // namespace

#define NNM_COMPARISON(name)                                                       \
  Tensor name(const Tensor& a, const Tensor& b) {                                  \
    const DType type = common_type(a, b, #name);                                   \
    return run(Binary::name, rounded(a, type), rounded(b, type), type, DType::b8); \
  }                                                                                \
  Tensor name(const Tensor& a, Scalar b) {                                         \
    const DType type = common_type(a, b, #name);                                   \
    return run(Binary::name, a, rounded(b, type), type, DType::b8);                \
  }
NNM_COMPARISON(eq)
NNM_COMPARISON(ne)
NNM_COMPARISON(lt)
NNM_COMPARISON(le)
NNM_COMPARISON(gt)
NNM_COMPARISON(ge)
#undef NNM_COMPARISON

Tensor logical_and(const Tensor& a, const Tensor& b) {
  return run(Binary::logical_and, a, b, common_type(a, b, "logical_and"), DType::b8);
}
Tensor logical_or(const Tensor& a, const Tensor& b) {
  return run(Binary::logical_or, a, b, common_type(a, b, "logical_or"), DType::b8);
}
Tensor logical_xor(const Tensor& a, const Tensor& b) {
  return run(Binary::logical_xor, a, b, common_type(a, b, "logical_xor"), DType::b8);
}
Tensor logical_not(const Tensor& a) { return eq(a, Scalar(0)); }

}  // namespace nnm
