// The rows of pointwise.def as differentiable functions.
#include "kernels/pointwise.h"
#include "nnm/ops/detail.h"

namespace nnm {

namespace {

/// What a row's backward needs: the input, the output, nothing.
enum class Save : uint8_t { X, Y, N };

/// What happens to integers: f32 comes out, they stay what they are, or there is no such function.
enum class Integers : uint8_t { promoted, kept, refused };

constexpr Integers integers_of(Unary f) {
  switch (f) {
    case Unary::abs:
    case Unary::ceil:
    case Unary::floor:
    case Unary::neg:
    case Unary::relu:
    case Unary::relu6:
    case Unary::round:
    case Unary::sign:
    case Unary::square:
    case Unary::trunc: return Integers::kept;
    case Unary::frac:
    case Unary::hardsigmoid:
    case Unary::hardswish:
    case Unary::logsigmoid:
    case Unary::mish:
    case Unary::silu: return Integers::refused;
    default: return Integers::promoted;
  }
}

DType output_type(const Tensor& x, Unary f, const char* name) {
  detail::check_defined(x, name);
  const DType t = x.dtype();
  if (is_floating(t)) return t;
  const Integers rule = integers_of(f);
  NNM_CHECK(rule != Integers::refused, not_implemented, "\"{}_cpu\" not implemented for '{}'", name,
            detail::scalar_type_name(t));
  if (t == DType::b8 && rule == Integers::kept) {
    NNM_CHECK(f != Unary::neg, runtime,
              "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to "
              "invert a mask, use the `~` or `logical_not()` operator instead.");
    NNM_CHECK(f != Unary::relu, runtime, "Boolean inputs not supported for relu");
    NNM_CHECK(f != Unary::abs, not_implemented, "\"abs_cpu\" not implemented for 'Bool'");
    NNM_CHECK(f == Unary::sign || f == Unary::square, not_implemented,
              "\"{}_vml_cpu\" not implemented for 'Bool'", name);
    if (f == Unary::square) return DType::i64;
  }
  return rule == Integers::kept ? t : DType::f32;
}

Tensor apply(const Tensor& x, Unary f, const char* node, Save save, const char* name) {
  Tensor y = detail::empty_pointwise(x, output_type(x, f, name));
  kernels::unary(y, x, f);
  if (!needs_grad({&x})) return y;
  const auto backward = [f](const Tensor& g, const Tensor& saved) {
    Tensor dx = detail::empty_pointwise(saved.defined() ? saved : g, g.dtype());
    kernels::unary_backward(dx, g, saved, f);
    return dx;
  };
  if (save == Save::N) {
    return record(node, y, {&x}, [backward](Backward& b) { b.set(0, backward(b.grad(), {})); });
  }
  Saved saved = save == Save::X ? Saved(x) : Saved::output(y, node);
  return record(node, y, {&x}, [backward, saved = std::move(saved)](Backward& b) {
    b.set(0, backward(b.grad(), saved.get()));
  });
}

}  // namespace

#define NNM_UNARY(name, node, save, ...) \
  Tensor name(const Tensor& x) { return apply(x, Unary::name, node, Save::save, #name); }
#include "kernels/pointwise.def"
#undef NNM_UNARY

}  // namespace nnm
