// What the formulas of pointwise.def, activation.def, loss.def and the ops of two operands are
// written in. Each backend's math.h brings m::exp, log, tanh, erf, expm1 and log1p for float and
// double, and then includes this.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "kernels/host_device.h"
#include "kernels/pointwise.h"
#include "kernels/wrapping.h"

namespace nnm {
namespace {
namespace m {

/// Giles' approximation ("Approximating the erfinv function", 2012), then two steps of Newton.
NNM_HD inline double erfinv(double x) {
  if (!(x > -1 && x < 1))
    return x == 1 || x == -1 ? x * std::numeric_limits<double>::infinity()
                             : std::numeric_limits<double>::quiet_NaN();
  double w = -std::log((1 - x) * (1 + x));
  constexpr double kCentre[] = {2.81022636e-08,  3.43273939e-07, -3.5233877e-06,
                                -4.39150654e-06, 0.00021858087,  -0.00125372503,
                                -0.00417768164,  0.246640727,    1.50140941};
  constexpr double kTail[] = {-0.000200214257, 0.000100950558, 0.00134934322,
                              -0.00367342844,  0.00573950773,  -0.0076224613,
                              0.00943887047,   1.00167406,     2.83297682};
  const bool centre = w < 5;
  w = centre ? w - 2.5 : std::sqrt(w) - 3;
  double p = 0;
  for (int i = 0; i < 9; ++i) p = p * w + (centre ? kCentre[i] : kTail[i]);
  double y = p * x;
  for (int i = 0; i < 2; ++i) {
    y -= (std::erf(y) - x) * 0.8862269254527580 * std::exp(y * y);
  }
  return y;
}

template <class T>
NNM_HD inline T sigmoid(T x) {
  return T(1) / (T(1) + m::exp(-x));
}
template <class T>
NNM_HD inline T abs(T x) {
  return std::fabs(x);
}
template <class T>
NNM_HD inline T sign(T x) {
  return T((x > T(0)) - (x < T(0)));
}

/// c ? a : b with both computed: a branch around a long expression would not vectorise.
template <class T>
NNM_HD inline T select(bool c, T a, T b) {
  return c ? a : b;
}

/// log(1 + e^x), linear above 20 as PyTorch has it.
template <class T>
NNM_HD inline T softplus(T x) {
  return m::select(x > T(20), x, m::log1p(m::exp(x)));
}
template <class T>
NNM_HD inline T silu_slope(T x) {
  const T s = m::sigmoid(x);
  return s * (T(1) + x * (T(1) - s));
}
template <class T>
NNM_HD inline T mish_slope(T x) {
  const T t = m::tanh(m::softplus(x));
  return t + x * m::sigmoid(x) * (T(1) - t * t);
}

}  // namespace m

// (1 + tanh(u)) / 2 = 1 / (1 + e^(-2 u)), of which the latter costs one exponential and loses
// nothing where tanh is near -1. The polynomial's slope is 0.79788456 (1 + 3 · 0.044715 x²).
template <class T>
NNM_HD inline T gelu_tanh_share(T x) {
  return m::sigmoid(T(2 * 0.79788456080286535588) * (x + T(0.044715) * x * x * x));
}
template <class T>
NNM_HD inline T gelu_tanh_forward(T x) {
  return x * gelu_tanh_share(x);
}
template <class T>
NNM_HD inline T gelu_tanh_slope(T x) {
  const T s = gelu_tanh_share(x);
  const T du = T(2 * 0.79788456080286535588) * (T(1) + T(0.134145) * x * x);
  return s + x * s * (T(1) - s) * du;
}

/// NaN stays NaN.
template <class T>
NNM_HD inline T at_least(T x, T low) {
  return x < low ? low : x;
}

template <class T>
NNM_HD inline T floor_div(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == 0) return 0;
    const T q = a / b;
    return q - ((a % b != 0) && ((a < 0) != (b < 0)));
  } else {
    if (b == T(0)) return a / b;
    const T mod = std::fmod(a, b);
    T q = (a - mod) / b;
    if (mod != T(0) && (b < T(0)) != (mod < T(0))) q -= T(1);
    if (q == T(0)) return std::copysign(T(0), a / b);
    const T floored = std::floor(q);
    return q - floored > T(0.5) ? floored + T(1) : floored;
  }
}

// The result has the divisor's sign, as in Python.
template <class T>
NNM_HD inline T remainder_of(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == 0) return 0;
    const T r = a % b;
    return r != 0 && ((r < 0) != (b < 0)) ? r + b : r;
  } else {
    const T r = std::fmod(a, b);
    return r != T(0) && ((r < T(0)) != (b < T(0))) ? r + b : r;
  }
}

template <class T>
NNM_HD inline T power(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b < 0) return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
    T r = 1;
    for (; b; b >>= 1) {
      if (b & 1) r = times(r, a);
      a = times(a, a);
    }
    return r;
  } else {
    return std::pow(a, b);
  }
}

template <class T>
NNM_HD inline T larger(T a, T b) {
  return a != a ? a : b != b ? b : a > b ? a : b;
}
template <class T>
NNM_HD inline T smaller(T a, T b) {
  return a != a ? a : b != b ? b : a < b ? a : b;
}

template <class T>
NNM_HD inline T angle(T a, T b) {
  if constexpr (std::is_integral_v<T>) return T(0);
  else return std::atan2(a, b);
}

/// The op of one whole number.
NNM_HD inline int64_t integer_of(Unary f, int64_t x) {
  switch (f) {
    case Unary::abs: return x < 0 ? minus<int64_t>(0, x) : x;
    case Unary::neg: return minus<int64_t>(0, x);
    case Unary::sign: return (x > 0) - (x < 0);
    case Unary::square: return times(x, x);
    case Unary::relu: return x > 0 ? x : 0;
    case Unary::relu6: return x < 0 ? 0 : x > 6 ? 6 : x;
    default: return x;
  }
}

/// The op of two operands. Sums have their factor with b already.
template <Binary f, class T>
NNM_HD inline T binary_of(T a, T b) {
  if constexpr (f == Binary::add) return plus(a, b);
  else if constexpr (f == Binary::mul) return times(a, b);
  else if constexpr (f == Binary::div) return std::is_integral_v<T> ? T(0) : a / b;
  else if constexpr (f == Binary::floor_divide) return floor_div(a, b);
  else if constexpr (f == Binary::remainder) return remainder_of(a, b);
  else if constexpr (f == Binary::pow) return power(a, b);
  else if constexpr (f == Binary::maximum) return larger(a, b);
  else if constexpr (f == Binary::minimum) return smaller(a, b);
  else if constexpr (f == Binary::atan2) return angle(a, b);
  else if constexpr (f == Binary::eq) return T(a == b);
  else if constexpr (f == Binary::ne) return T(a != b);
  else if constexpr (f == Binary::lt) return T(a < b);
  else if constexpr (f == Binary::le) return T(a <= b);
  else if constexpr (f == Binary::gt) return T(a > b);
  else if constexpr (f == Binary::ge) return T(a >= b);
  else if constexpr (f == Binary::logical_and) return T(a != T(0) && b != T(0));
  else if constexpr (f == Binary::logical_or) return T(a != T(0) || b != T(0));
  else return T((a != T(0)) != (b != T(0)));
}

}  // namespace
}  // namespace nnm
