// Units in the last place: floats as the integers that order them.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

#include "kernels/half.h"
#include "kernels/host_device.h"
#include "kernels/view.h"

namespace nnm {
namespace {

/// Floats in the order of their values: the bits as integers, the negative ones turned around, both
/// zeros at 0.
template <class Bits>
NNM_HD inline int64_t ordered(Bits bits) {
  return bits < 0 ? std::numeric_limits<Bits>::min() - static_cast<int64_t>(bits) : bits;
}

NNM_HD inline uint64_t distance(int64_t a, int64_t b) {
  return a > b ? static_cast<uint64_t>(a) - static_cast<uint64_t>(b)
               : static_cast<uint64_t>(b) - static_cast<uint64_t>(a);
}

/// The place of x among the values of a float type.
NNM_HD inline int64_t place(DType dtype, double x) {
  const auto f = static_cast<float>(x);
  switch (dtype) {
    case DType::f64: return ordered(std::bit_cast<int64_t>(x));
    case DType::f16: return ordered(static_cast<int16_t>(Half(f).bits));
    case DType::bf16: return ordered(static_cast<int16_t>(BFloat16(f).bits));
    default: return ordered(std::bit_cast<int32_t>(f));
  }
}

/// Significant bits of a float type.
NNM_HD inline int precision(DType dtype) {
  switch (dtype) {
    case DType::f64: return 53;
    case DType::f32: return 24;
    case DType::f16: return 11;
    default: return 8;
  }
}

}  // namespace
}  // namespace nnm
