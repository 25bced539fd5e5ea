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

/// body.template operator()<T>() with an unsigned integer of the element's size.
template <class F>
void by_size(DType t, const F& body) {
  switch (item_size(t)) {
    case 1: return body.template operator()<uint8_t>();
    case 2: return body.template operator()<uint16_t>();
    case 4: return body.template operator()<uint32_t>();
    default: return body.template operator()<uint64_t>();
  }
}

/// body.template operator()<T, A>() with the element type and the type it is added in.
template <class F>
void by_sum(DType t, const F& body) {
  switch (t) {
    case DType::f32: return body.template operator()<float, float>();
    case DType::f64: return body.template operator()<double, double>();
    case DType::bf16: return body.template operator()<BFloat16, float>();
    case DType::f16: return body.template operator()<Half, float>();
    case DType::i64: return body.template operator()<int64_t, int64_t>();
    case DType::i32: return body.template operator()<int32_t, int64_t>();
    case DType::i16: return body.template operator()<int16_t, int64_t>();
    case DType::i8: return body.template operator()<int8_t, int64_t>();
    case DType::u8: return body.template operator()<uint8_t, int64_t>();
    case DType::b8: return body.template operator()<bool, int64_t>();
  }
}

}  // namespace
}  // namespace nnm
