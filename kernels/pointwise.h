// Pointwise kernels: one operand, two operands, copies, fills, selection. Operands are views of the
// output's shape (broadcast by strides of 0), of any element types: each op runs in one compute
// type (f32, f64 or i64) and converts on the way.
#pragma once

#include "kernels/kernel.h"

namespace nnm {

enum class Unary : uint8_t {
#define NNM_UNARY(name, ...) name,
#include "kernels/pointwise.def"
#undef NNM_UNARY
};

enum class Binary : uint8_t {
  add,  ///< a + alpha b
#define NNM_BINARY(name) name,
#include "kernels/binary.def"
#undef NNM_BINARY
};

/// The type an op on operands of type t runs in: f64, i64 (integers and bool), else f32.
constexpr DType compute_type(DType t) {
  return t == DType::f64 ? DType::f64 : is_floating(t) ? DType::f32 : DType::i64;
}

}  // namespace nnm

namespace nnm::kernels {

/// y = f(x); x and y of one floating type, or of one integer type for neg, abs, sign, square, relu.
inline constinit Kernel<void(const View& y, const View& x, Unary f)> unary{"unary"};
/// dx from g and the saved tensor (input or output, as the table's row says).
inline constinit Kernel<void(const View& dx, const View& g, const View& saved, Unary f)>
    unary_backward{"unary_backward"};
/// out = f(a, b), computed in `compute` (one of compute_type's results). Comparisons give bool.
inline constinit Kernel<void(const View& out, const View& a, const View& b, Binary f, DType compute,
                             double alpha)>
    binary{"binary"};
/// out = condition ? a : b.
inline constinit Kernel<void(const View& out, const View& condition, const View& a, const View& b)>
    where{"where"};
/// out = src, converted. Floating to integer truncates; anything to bool is `!= 0`.
inline constinit Kernel<void(const View& out, const View& src)> copy{"copy"};
/// out[...] = value; integer types take `integer`, others `real`.
inline constinit Kernel<void(const View& out, double real, int64_t integer)> fill{"fill"};
/// out (n) = start + i * step; integer types take the integers, others the reals.
inline constinit Kernel<void(const View& out, double start, double step, int64_t integer_start,
                             int64_t integer_step)>
    range{"range"};

}  // namespace nnm::kernels
