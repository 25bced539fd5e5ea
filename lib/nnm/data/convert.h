// Element types: conversion of arrays, and calls by type.
#pragma once

#include <cstdint>

#include "kernels/half.h"
#include "kernels/view.h"

namespace nnm::data {

/// Calls f with a zero of the C++ type that stands for t in memory (bool as uint8_t).
template <class F>
auto with_type(DType t, F&& f) {
  switch (t) {
    case DType::f32: return f(float{});
    case DType::f64: return f(double{});
    case DType::bf16: return f(BFloat16{});
    case DType::f16: return f(Half{});
    case DType::i64: return f(int64_t{});
    case DType::i32: return f(int32_t{});
    case DType::i16: return f(int16_t{});
    case DType::i8: return f(int8_t{});
    default: return f(uint8_t{});
  }
}
/// The same for types that compute in floating point: f64, else f32.
template <class F>
auto with_float(DType t, F&& f) {
  return t == DType::f64 ? f(double{}) : f(float{});
}
/// Calls f with an unsigned integer as wide as an element of t: for moving elements about.
template <class F>
auto with_width(DType t, F&& f) {
  switch (item_size(t)) {
    case 1: return f(uint8_t{});
    case 2: return f(uint16_t{});
    case 4: return f(uint32_t{});
    default: return f(uint64_t{});
  }
}

/// n elements from x to y as static_cast (and PyTorch's `to`) converts them; to bool: != 0.
void convert(DType from, const void* x, DType to, void* y, int64_t n);
/// One number as an element of type t.
void store_number(DType t, void* y, double v);

}  // namespace nnm::data
