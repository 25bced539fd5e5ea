// Functions of float that vectorise inside plain loops, about 1-2 ulp; of double, the C library's.
// Method: argument reduction and the minimax polynomials of the Cephes library (Moshier); erf is
// the rational approximation also used by Eigen.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace nnm {
namespace {
namespace m {

inline double exp(double x) { return std::exp(x); }
inline double log(double x) { return std::log(x); }
inline double tanh(double x) { return std::tanh(x); }
inline double erf(double x) { return std::erf(x); }
inline double expm1(double x) { return std::expm1(x); }
inline double log1p(double x) { return std::log1p(x); }

inline float power_of_two(int32_t n) { return std::bit_cast<float>((n + 127) << 23); }

/// Infinite above 88.72, denormal below -87.3, 0 below -104; NaN stays NaN.
inline float exp(float x) {
  x = x > 89.0f ? 89.0f : x;
  x = x < -104.0f ? -104.0f : x;
  const float k =
      (x * 1.44269504088896341f + 12582912.0f) - 12582912.0f;  // rounds to the nearest integer
  float r = x - k * 0.693359375f;
  r = r - k * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  // Two factors, so that neither leaves the range of exponents.
  const auto n = static_cast<int32_t>(k);
  const int32_t half = n >> 1;
  return p * power_of_two(half) * power_of_two(n - half);
}

/// -inf at 0, NaN below; denormals too.
inline float log(float x) {
  const bool tiny = x < 1.17549435e-38f;
  const float y = tiny ? x * 8388608.0f : x;
  // The mantissa in [sqrt(1/2), sqrt(2)). Unsigned: of negative numbers the difference wraps.
  const auto shifted = static_cast<int32_t>(std::bit_cast<uint32_t>(y) - 0x3f3504f3u);
  const int32_t e = (shifted >> 23) - (tiny ? 23 : 0);
  const float f = std::bit_cast<float>((shifted & 0x007fffff) + 0x3f3504f3) - 1.0f;
  float p = 7.0376836292e-2f;
  p = p * f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  const float z = f * f;
  const auto k = static_cast<float>(e);
  float r = p * f * z + k * -2.12194440e-4f - 0.5f * z;
  r = f + r + k * 0.693359375f;
  r = x == 0.0f ? -__builtin_inff() : r;
  r = x < 0.0f ? __builtin_nanf("") : r;
  // One condition at a time: `a || b` in a selection keeps GCC from vectorising.
  r = x == __builtin_inff() ? x : r;
  return x != x ? x : r;
}

inline float tanh(float x) {
  const float a = x < 0 ? -x : x;
  const float z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const float small = p * z * x + x;
  const float large = 1.0f - 2.0f / (m::exp(2.0f * a) + 1.0f);
  const float signed_large = x < 0 ? -large : large;
  return a < 0.625f ? small : (x != x ? x : signed_large);
}

inline float erf(float x) {
  const float nan = x;
  x = x > 4.0f ? 4.0f : x;
  x = x < -4.0f ? -4.0f : x;
  const float z = x * x;
  float p = -2.72614225801306e-10f;
  p = p * z + 2.77068142495902e-08f;
  p = p * z - 2.10102402082508e-06f;
  p = p * z - 5.69250639462346e-05f;
  p = p * z - 7.34990630326855e-04f;
  p = p * z - 2.95459980854025e-03f;
  p = p * z - 1.60960333262415e-02f;
  float q = -1.45660718464996e-05f;
  q = q * z - 2.13374055278905e-04f;
  q = q * z - 1.68282697438203e-03f;
  q = q * z - 7.37332916720468e-03f;
  q = q * z - 1.42647390514189e-02f;
  return nan != nan ? nan : x * p / q;
}

/// The Taylor series within 1/2, where e^x - 1 would cancel.
inline float expm1(float x) {
  float p = 2.7557319e-6f;
  p = p * x + 2.4801587e-5f;
  p = p * x + 1.9841270e-4f;
  p = p * x + 1.3888889e-3f;
  p = p * x + 8.3333333e-3f;
  p = p * x + 4.1666667e-2f;
  p = p * x + 1.6666667e-1f;
  p = p * x + 5.0e-1f;
  p = p * x * x + x;
  const float far = m::exp(x) - 1.0f;
  return x > -0.5f && x < 0.5f ? p : far;
}

/// log(u) for u = 1 + x, corrected by what the sum lost of x (Kahan).
inline float log1p(float x) {
  const float u = 1.0f + x, kept = u - 1.0f;
  float r = m::log(u) * (x / kept);
  r = kept == 0.0f ? x : r;
  return x == __builtin_inff() ? x : r;
}

/// Up to where sin and cos of a float come of an angle that is reduced in double.
constexpr float kMostTurned = 1048576.0f;

/// sin(x + quarters π/2), |x| <= kMostTurned: the angle within π/4 of a multiple of π/2 (in two
/// parts, the first of which is exact times any such multiple; Cody and Waite), then the Taylor
/// series.
inline float sine_of(float x, int64_t quarters) {
  const double d = x, magic = 6755399441055744.0;  // rounds to the nearest integer, its last bits
  const double shifted = d * 0.63661977236758134 + magic, k = shifted - magic;
  const double r = (d - k * 1.5707963267341256) - k * 6.077100506506192e-11, z = r * r;
  const double sine = r + r * z * (-1.0 / 6 + z * (1.0 / 120 + z * (-1.0 / 5040 + z / 362880)));
  const double cosine =
      1 - z * (0.5 - z * (1.0 / 24 - z * (1.0 / 720 - z * (1.0 / 40320 - z / 3628800))));
  const int64_t quarter = std::bit_cast<int64_t>(shifted) + quarters;
  const double value = quarter & 1 ? cosine : sine;
  return static_cast<float>(quarter & 2 ? -value : value);
}

}  // namespace m
}  // namespace
}  // namespace nnm

#include "kernels/formulas.h"
