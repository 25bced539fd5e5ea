// Sums and products of elements. Integers wrap around where they leave their range, as PyTorch's
// do; C++ defines that for unsigned ones alone.
#pragma once

#include <type_traits>

#include "kernels/host_device.h"

namespace nnm {
namespace {

template <class T>
NNM_HD inline T plus(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    using U = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<U>(a) + static_cast<U>(b));
  } else {
    return a + b;
  }
}

template <class T>
NNM_HD inline T minus(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    using U = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<U>(a) - static_cast<U>(b));
  } else {
    return a - b;
  }
}

template <class T>
NNM_HD inline T times(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    using U = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<U>(a) * static_cast<U>(b));
  } else {
    return a * b;
  }
}

}  // namespace
}  // namespace nnm
