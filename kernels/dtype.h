// Element types as C++ types: dispatch, and the type that arithmetic happens in.
#pragma once

#include <type_traits>

#include "kernels/half.h"
#include "kernels/view.h"

namespace nnm {
namespace {

/// The type that arithmetic on T happens in.
template <class T>
using Compute = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <class T>
constexpr bool kIsHalf = std::is_same_v<T, BFloat16> || std::is_same_v<T, Half>;

/// body.template operator()<T>() with the floating type t; nothing for others.
template <class Body>
void by_floating(DType t, const Body& body) {
  switch (t) {
    case DType::f32: return body.template operator()<float>();
    case DType::f64: return body.template operator()<double>();
    case DType::bf16: return body.template operator()<BFloat16>();
    case DType::f16: return body.template operator()<Half>();
    default: return;
  }
}

}  // namespace
}  // namespace nnm
