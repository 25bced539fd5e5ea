// Pointwise functions and operators, as a config calls them.
#include <cmath>

#include "kernels/pointwise.h"
#include "nnm/ops/arguments.h"
#include "nnm/ops/functional.h"

namespace nnm {
namespace {

using namespace detail;

using TensorTensor = Tensor (*)(const Tensor&, const Tensor&);
using TensorScalar = Tensor (*)(const Tensor&, Scalar);
using ScalarTensor = Tensor (*)(Scalar, const Tensor&);

[[noreturn]] void throw_no_tensor(const Value& v) {
  fail(ErrorKind::type, "expected a Tensor, got {}", v.config_text());
}

/// a and b are tensors or numbers, one of them at least a tensor.
template <TensorTensor TT, TensorScalar TS, ScalarTensor ST>
Value binary(const Value* a) {
  if (is_tensor(a[0])) {
    return is_tensor(a[1]) ? TT(tensor(a[0]), tensor(a[1])) : TS(tensor(a[0]), a[1].scalar());
  }
  if (!is_tensor(a[1])) throw_no_tensor(a[0]);
  return ST(a[0].scalar(), tensor(a[1]));
}

/// A number becomes a 0-d tensor of the type it would have had beside the other.
template <TensorTensor F>
Value of_tensors(const Value* a) {
  if (is_tensor(a[0])) {
    const Tensor x = tensor(a[0]);
    return F(x, is_tensor(a[1]) ? tensor(a[1]) : operand(a[1].scalar(), x));
  }
  if (!is_tensor(a[1])) throw_no_tensor(a[0]);
  const Tensor y = tensor(a[1]);
  return F(operand(a[0].scalar(), y), y);
}

/// number op tensor, for an operation without a form of its own for it.
template <TensorTensor F>
Tensor left_number(Scalar s, const Tensor& x) {
  return F(operand(s, x), x);
}
template <TensorScalar F>
Tensor swapped(Scalar s, const Tensor& x) {
  return F(x, s);
}

Value add_of(const Value* a) {
  const Scalar alpha = a[2].scalar();
  if (is_tensor(a[0]) && is_tensor(a[1])) return add(tensor(a[0]), tensor(a[1]), alpha);
  const auto times = [&](Scalar s) {
    if (alpha.kind == Scalar::Kind::integer && alpha.i == 1) return s;
    const bool whole = s.kind != Scalar::Kind::real && alpha.kind != Scalar::Kind::real;
    return whole ? Scalar(s.i * alpha.i) : Scalar(s.d * alpha.d);
  };
  if (is_tensor(a[0])) return add(tensor(a[0]), times(a[1].scalar()));
  if (!is_tensor(a[1])) throw_no_tensor(a[0]);
  const Tensor x = tensor(a[1]);
  return alpha.d == 1 ? add(x, a[0].scalar()) : add(operand(a[0].scalar(), x), x, alpha);
}

Value sub_of(const Value* a) {
  const Scalar alpha = a[2].scalar();
  if (is_tensor(a[0]) && is_tensor(a[1])) return sub(tensor(a[0]), tensor(a[1]), alpha);
  if (is_tensor(a[0])) {
    const Tensor x = tensor(a[0]);
    return alpha.d == 1 ? sub(x, a[1].scalar()) : sub(x, operand(a[1].scalar(), x), alpha);
  }
  if (!is_tensor(a[1])) throw_no_tensor(a[0]);
  const Tensor x = tensor(a[1]);
  return alpha.d == 1 ? rsub(a[0].scalar(), x) : sub(operand(a[0].scalar(), x), x, alpha);
}

bool is_whole(const Value& v) {
  return is_tensor(v) ? !is_floating(tensor(v).dtype()) : !v.is(Value::Kind::real);
}

/// input / other without the part behind the point: flat wherever it has a slope.
Tensor rounded_quotient(const Value* a, bool floor) {
  if (floor) {
    return binary<floor_divide, floor_divide, left_number<floor_divide>>(a).as<Tensor>();
  }
  if (!is_whole(a[0]) || !is_whole(a[1])) return trunc(binary<div, div, div>(a).as<Tensor>());
  if (!is_tensor(a[0]) && !is_tensor(a[1])) throw_no_tensor(a[0]);
  // Floats would not hold all of them.
  const Tensor like = is_tensor(a[0]) ? tensor(a[0]) : tensor(a[1]);
  const auto whole = [&](const Value& v) {
    return is_tensor(v) ? tensor(v) : operand(v.scalar(), like);
  };
  const DType type = result_type(whole(a[0]), whole(a[1]));
  const Tensor x = to(whole(a[0]), type), y = to(whole(a[1]), type);
  return floor_divide(sub(x, fmod(x, y)), y);
}

Value div_of(const Value* a) {
  if (a[2].is_none()) return binary<div, div, div>(a);
  Tensor y;
  {
    NoGradGuard no_grad;
    y = rounded_quotient(a, a[2].string() == "floor");
  }
  const Tensor x = is_tensor(a[0]) ? tensor(a[0]) : Tensor();
  const Tensor z = is_tensor(a[1]) ? tensor(a[1]) : Tensor();
  if (!needs_grad({&x, &z})) return y;
  return record("DivBackward2", y, {&x, &z}, [](Backward& b) {
    for (size_t i = 0; i < 2; ++i) {
      if (b.needs(i)) b.set(i, zeros(b.input(i).sizes, {b.input(i).dtype, b.input(i).device}));
    }
  });
}

Value clamp_of(const Value* a) {
  const Tensor x = tensor(a[0]);
  if (!is_tensor(a[1]) && !is_tensor(a[2])) {
    const auto bound = [](const Value& v) {
      return v.is_none() ? std::nullopt : std::optional(v.scalar());
    };
    return clamp(x, bound(a[1]), bound(a[2]));
  }
  const auto bound = [&](const Value& v) {
    return v.is_none() ? Tensor() : is_tensor(v) ? tensor(v) : operand(v.scalar(), x);
  };
  return clamped_between(x, bound(a[1]), bound(a[2]));
}

Value lerp_of(const Value* a) {
  const Tensor x = tensor(a[0]), end = tensor(a[1]);
  if (!is_tensor(a[2])) return lerp(x, end, a[2].real());
  return add(x, mul(tensor(a[2]), sub(end, x)));
}

template <Tensor (*F)(const Tensor&)>
Value activation(const Value* a) {
  return maybe_inplace(a[0], a[1], F);
}

#define NNM_COMPARISON(name, alias, mirrored, doc)                                    \
  {#name "(input: any, other: any)", doc, binary<name, name, swapped<mirrored>>}, {   \
#alias "(input: any, other: any)", doc, binary < name, name, swapped < mirrored>> \
  }

const Function kOperators[] = {
    {"add(input: any, other: any, *, alpha: number = 1)", "input + alpha * other", add_of},
    {"sub(input: any, other: any, *, alpha: number = 1)", "input - alpha * other", sub_of},
    {"subtract(input: any, other: any, *, alpha: number = 1)", "input - alpha * other", sub_of},
    {"rsub(input: Tensor, other: any, *, alpha: number = 1)", "other - alpha * input",
     [](const Value* a) {
       const Value swapped[] = {a[1], a[0], a[2]};
       return sub_of(swapped);
     }},
    {"mul(input: any, other: any)", "input * other", binary<mul, mul, swapped<mul>>},
    {"multiply(input: any, other: any)", "input * other", binary<mul, mul, swapped<mul>>},
    {"div(input: any, other: any, *, rounding_mode: str(\"trunc\", \"floor\") = none)",
     "input / other", div_of},
    {"divide(input: any, other: any, *, rounding_mode: str(\"trunc\", \"floor\") = none)",
     "input / other", div_of},
    {"true_divide(input: any, other: any)", "input / other", binary<div, div, div>},
    {"floor_divide(input: any, other: any)", "input // other",
     binary<floor_divide, floor_divide, left_number<floor_divide>>},
    {"remainder(input: any, other: any)", "input % other, with the divisor's sign",
     binary<remainder, remainder, left_number<remainder>>},
    {"pow(input: any, exponent: any)", "input ** exponent", binary<pow, pow, pow>},
    {"maximum(input: any, other: any)", "the larger", of_tensors<maximum>},
    {"minimum(input: any, other: any)", "the smaller", of_tensors<minimum>},
    {"atan2(input: any, other: any)", "the angle of (other, input)", of_tensors<atan2>},
    {"arctan2(input: any, other: any)", "the angle of (other, input)", of_tensors<atan2>},
    {"eq(input: any, other: any)", "input == other", binary<eq, eq, swapped<eq>>},
    NNM_COMPARISON(ne, not_equal, ne, "input != other"),
    NNM_COMPARISON(lt, less, gt, "input < other"),
    NNM_COMPARISON(le, less_equal, ge, "input <= other"),
    NNM_COMPARISON(gt, greater, lt, "input > other"),
    NNM_COMPARISON(ge, greater_equal, le, "input >= other"),
    {"logical_and(input: any, other: any)", "both are true", of_tensors<logical_and>},
    {"logical_or(input: any, other: any)", "one is true", of_tensors<logical_or>},
    {"logical_xor(input: any, other: any)", "exactly one is true", of_tensors<logical_xor>},
    {"logical_not(input: Tensor)", "is false", call<logical_not>},
    {"lerp(input: Tensor, end: Tensor, weight: any)", "input + weight * (end - input)", lerp_of},
    {"clamp(input: Tensor, min: any = none, max: any = none)", "kept within bounds", clamp_of},
    {"clip(input: Tensor, min: any = none, max: any = none)", "kept within bounds", clamp_of},
    {"clamp_min(input: Tensor, min: any)", "at least min",
     [](const Value* a) {
       const Value bounds[] = {a[0], a[1], Value()};
       return clamp_of(bounds);
     }},
    {"clamp_max(input: Tensor, max: any)", "at most max",
     [](const Value* a) {
       const Value bounds[] = {a[0], Value(), a[1]};
       return clamp_of(bounds);
     }},
    {"isnan(input: Tensor)", "is not a number", call<isnan>},
    {"isinf(input: Tensor)", "is infinite", call<isinf>},
    {"isfinite(input: Tensor)", "is neither infinite nor NaN", call<isfinite>},
    {"allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, "
     "equal_nan: bool = false)",
     "all elements differ by at most atol + rtol |other|", call<allclose>},
    {"isclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, "
     "equal_nan: bool = false)",
     "differs by at most atol + rtol |other|", call<isclose>},
    {"equal(input: Tensor, other: Tensor)", "same shape and elements", call<equal>},
    {"nan_to_num(input: Tensor, nan: float = 0.0, posinf: float = none, neginf: float = none)",
     "with numbers for NaN and infinities", call<nan_to_num>},
    {"addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: number = 1)",
     "input + value * tensor1 * tensor2", call<addcmul>},
    {"addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: number = 1)",
     "input + value * tensor1 / tensor2", call<addcdiv>},
    {"hypot(input: any, other: any)", "sqrt(input^2 + other^2)", of_tensors<hypot>},
    {"logaddexp(input: any, other: any)", "log(e^input + e^other)", of_tensors<logaddexp>},
    {"logit(input: Tensor, eps: float = none)", "log(x / (1 - x))", call<logit>},
};
#undef NNM_COMPARISON

const Function kActivations[] = {
    {"relu(input: Tensor, inplace: bool = false)", "max(x, 0)", activation<relu>},
    {"relu6(input: Tensor, inplace: bool = false)", "min(max(x, 0), 6)", activation<relu6>},
    {"hardsigmoid(input: Tensor, inplace: bool = false)", "relu6(x + 3) / 6",
     activation<hardsigmoid>},
    {"hardswish(input: Tensor, inplace: bool = false)", "x relu6(x + 3) / 6",
     activation<hardswish>},
    {"mish(input: Tensor, inplace: bool = false)", "x tanh(log(1 + e^x))", activation<mish>},
    {"silu(input: Tensor, inplace: bool = false)", "x / (1 + e^-x)", activation<silu>},
    {"selu(input: Tensor, inplace: bool = false)", "elu, scaled to keep mean and variance",
     activation<selu>},
    {"leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = false)",
     "x, times the slope below 0",
     [](const Value* a) {
       return maybe_inplace(a[0], a[2],
                            [&](const Tensor& x) { return leaky_relu(x, a[1].real()); });
     }},
    {"rrelu(input: Tensor, lower: float = 0.125, upper: float = 0.3333333333333333, training: bool "
     "= false, inplace: bool = false)",
     "x, times a random slope below 0",
     [](const Value* a) {
       return maybe_inplace(a[0], a[4], [&](const Tensor& x) {
         return rrelu(x, a[1].real(), a[2].real(), a[3].boolean());
       });
     },
     true},
    {"elu(input: Tensor, alpha: float = 1.0, inplace: bool = false)", "x, alpha (e^x - 1) below 0",
     [](const Value* a) {
       return maybe_inplace(a[0], a[2], [&](const Tensor& x) { return elu(x, a[1].real()); });
     }},
    {"celu(input: Tensor, alpha: float = 1.0, inplace: bool = false)",
     "x, alpha (e^(x / alpha) - 1) below 0",
     [](const Value* a) {
       return maybe_inplace(a[0], a[2], [&](const Tensor& x) { return celu(x, a[1].real()); });
     }},
    {"hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = false)",
     "kept within bounds",
     [](const Value* a) {
       return maybe_inplace(a[0], a[3],
                            [&](const Tensor& x) { return hardtanh(x, a[1].real(), a[2].real()); });
     }},
    {"threshold(input: Tensor, threshold: float, value: float, inplace: bool = false)",
     "x above the threshold, else the value",
     [](const Value* a) {
       return maybe_inplace(
           a[0], a[3], [&](const Tensor& x) { return threshold(x, a[1].real(), a[2].real()); });
     }},
    {"gelu(input: Tensor, *, approximate: str = \"none\")",
     "x times the normal distribution function", call<gelu>},
    {"softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0)",
     "log(1 + e^(beta x)) / beta", call<softplus>},
    {"hardshrink(input: Tensor, lambd: float = 0.5)", "0 within [-lambd, lambd]", call<hardshrink>},
    {"softshrink(input: Tensor, lambd: float = 0.5)", "nearer to 0 by lambd", call<softshrink>},
    {"prelu(input: Tensor, weight: Tensor)", "x, times the weight below 0", call<prelu>},
    {"glu(input: Tensor, dim: int = -1)", "one half times the sigmoid of the other", call<glu>},
};

const Function kUnary[] = {
    {"round(input: Tensor, *, decimals: int = 0)", "to the nearest even of two integers",
     [](const Value* a) -> Value {
       const Tensor x = tensor(a[0]);
       if (a[1].integer() == 0) return round(x);
       const Scalar shift(std::pow(10.0, static_cast<double>(std::abs(a[1].integer()))));
       return a[1].integer() > 0 ? round(x * shift) / shift : round(x / shift) * shift;
     }},
    {"absolute(input: Tensor)", "|x|", call<abs>},
    {"negative(input: Tensor)", "-x", call<neg>},
    {"positive(input: Tensor)", "x", [](const Value* a) -> Value { return tensor(a[0]); }},
    {"arccos(input: Tensor)", "arc cosine", call<acos>},
    {"arcsin(input: Tensor)", "arc sine", call<asin>},
    {"arctan(input: Tensor)", "arc tangent", call<atan>},
    {"arccosh(input: Tensor)", "inverse hyperbolic cosine", call<acosh>},
    {"arcsinh(input: Tensor)", "inverse hyperbolic sine", call<asinh>},
    {"arctanh(input: Tensor)", "inverse hyperbolic tangent", call<atanh>},
    {"expit(input: Tensor)", "1 / (1 + e^-x)", call<sigmoid>},
#define NNM_UNARY(name, node, save, forward, backward, doc) \
  {#name "(input: Tensor)", doc, call<name>},
#include "kernels/pointwise.def"
#undef NNM_UNARY
};

const Function kInPlace[] = {
    {"add_(input: Tensor, other: any, *, alpha: number = 1)", "input += alpha * other",
     [](const Value* a) -> Value {
       const Tensor x = tensor(a[0]);
       if (!is_tensor(a[1]) && a[2].scalar().d == 1) return add_(x, a[1].scalar());
       return add_(x, is_tensor(a[1]) ? tensor(a[1]) : operand(a[1].scalar(), x), a[2].scalar());
     }},
    {"sub_(input: Tensor, other: any, *, alpha: number = 1)", "input -= alpha * other",
     [](const Value* a) -> Value {
       const Tensor x = tensor(a[0]);
       return sub_(x, is_tensor(a[1]) ? tensor(a[1]) : operand(a[1].scalar(), x), a[2].scalar());
     }},
    {"mul_(input: Tensor, other: any)", "input *= other",
     [](const Value* a) -> Value {
       const Tensor x = tensor(a[0]);
       return is_tensor(a[1]) ? mul_(x, tensor(a[1])) : mul_(x, a[1].scalar());
     }},
    {"div_(input: Tensor, other: any, *, rounding_mode: str(\"trunc\", \"floor\") = none)",
     "input /= other",
     [](const Value* a) -> Value {
       const Tensor x = tensor(a[0]);
       if (!a[2].is_none()) {
         return apply_(x, [&](const Tensor& t) {
           const Value args[] = {t, a[1], a[2]};
           return div_of(args).as<Tensor>();
         });
       }
       if (!is_tensor(a[1])) return div_(x, a[1].scalar());
       return apply_(x, [y = tensor(a[1])](const Tensor& t) { return div(t, y); });
     }},
    {"relu_(input: Tensor)", "input = max(input, 0)",
     [](const Value* a) -> Value { return relu_(tensor(a[0])); }},
    {"fill_(input: Tensor, value: any)", "input = value",
     [](const Value* a) -> Value {
       fill_(tensor(a[0]), number(a[1]));
       return a[0];
     }},
    {"zero_(input: Tensor)", "input = 0",
     [](const Value* a) -> Value {
       zero_(tensor(a[0]));
       return a[0];
     }},
    {"copy_(input: Tensor, src: Tensor)", "input = src, broadcast and converted",
     [](const Value* a) -> Value {
       copy_(tensor(a[0]), tensor(a[1]));
       return a[0];
     }},
};

// The activations and `round` stand before the rows of the same names, which have less arguments.
NNM_REGISTER_FUNCTIONS(kOperators);
NNM_REGISTER_FUNCTIONS(kActivations);
NNM_REGISTER_FUNCTIONS(kUnary);
NNM_REGISTER_FUNCTIONS(kInPlace);

}  // namespace
}  // namespace nnm
