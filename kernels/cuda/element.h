// Elements on a device: conversion at run time, accesses of 16 bytes, positions of strided walks.
#pragma once

#include <bit>
#include <type_traits>

#include "kernels/cuda/simt.h"
#include "kernels/dtype.h"
#include "kernels/folded.h"

namespace nnm::cuda {
namespace {

/// The element i of type t at p, as C.
template <class C>
__device__ inline C load(const void* p, DType t, int64_t i) {
  switch (t) {
    case DType::f32: return static_cast<C>(static_cast<const float*>(p)[i]);
    case DType::f64: return static_cast<C>(static_cast<const double*>(p)[i]);
    case DType::bf16: return static_cast<C>(static_cast<float>(static_cast<const BFloat16*>(p)[i]));
    case DType::f16: return static_cast<C>(static_cast<float>(static_cast<const Half*>(p)[i]));
    case DType::i64: return static_cast<C>(static_cast<const int64_t*>(p)[i]);
    case DType::i32: return static_cast<C>(static_cast<const int32_t*>(p)[i]);
    case DType::i16: return static_cast<C>(static_cast<const int16_t*>(p)[i]);
    case DType::i8: return static_cast<C>(static_cast<const int8_t*>(p)[i]);
    case DType::u8: return static_cast<C>(static_cast<const uint8_t*>(p)[i]);
    case DType::b8: return static_cast<C>(static_cast<const bool*>(p)[i]);
  }
  return C(0);
}

/// x as the element i of type t at p: to bool as `!= 0`, to integers truncated.
template <class C>
__device__ inline void store(void* p, DType t, int64_t i, C x) {
  switch (t) {
    case DType::f32: static_cast<float*>(p)[i] = static_cast<float>(x); break;
    case DType::f64: static_cast<double*>(p)[i] = static_cast<double>(x); break;
    case DType::bf16: static_cast<BFloat16*>(p)[i] = BFloat16(static_cast<float>(x)); break;
    case DType::f16: static_cast<Half*>(p)[i] = Half(static_cast<float>(x)); break;
    case DType::i64: static_cast<int64_t*>(p)[i] = static_cast<int64_t>(x); break;
    case DType::i32:
      static_cast<int32_t*>(p)[i] = static_cast<int32_t>(static_cast<int64_t>(x));
      break;
    case DType::i16:
      static_cast<int16_t*>(p)[i] = static_cast<int16_t>(static_cast<int64_t>(x));
      break;
    case DType::i8:
      static_cast<int8_t*>(p)[i] = static_cast<int8_t>(static_cast<int64_t>(x));
      break;
    case DType::u8:
      static_cast<uint8_t*>(p)[i] = static_cast<uint8_t>(static_cast<int64_t>(x));
      break;
    case DType::b8: static_cast<bool*>(p)[i] = x != C(0); break;
  }
}

/// A bf16 or an f16: kernels whose pace memory sets are compiled once for both, and told which.
struct Short {
  uint16_t bits;
};

/// x as C.
template <class C, class S>
__device__ inline C widened(S x, [[maybe_unused]] bool f16) {
  if constexpr (std::is_same_v<S, Short>) {
    const float half = static_cast<float>(std::bit_cast<Half>(x.bits));
    return f16 ? half : static_cast<float>(std::bit_cast<BFloat16>(x.bits));
  } else {
    return static_cast<C>(x);
  }
}

/// x as S.
template <class S, class C>
__device__ inline S narrowed(C x, [[maybe_unused]] bool f16) {
  if constexpr (std::is_same_v<S, Short>) return {f16 ? Half(x).bits : BFloat16(x).bits};
  else return S(x);
}

/// body.template operator()<S>() with the floating type t, Short for those of 16 bits.
template <class Body>
void by_memory(DType t, const Body& body) {
  switch (t) {
    case DType::f32: return body.template operator()<float>();
    case DType::f64: return body.template operator()<double>();
    case DType::bf16:
    case DType::f16: return body.template operator()<Short>();
    default: return;
  }
}

/// Elements that move in one access.
template <class T, int N = 16 / sizeof(T)>
struct alignas(sizeof(T) * N) Pack {
  T v[N];
};

inline bool aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

/// 16 bytes from any even address, by two aligned accesses without a branch, so that many can be
/// under way. Bytes outside [begin, end), which is not empty, may be anything: only packs that have
/// some of it are read.
__device__ inline Pack<uint32_t> load_shifted(const char* from, const char* begin,
                                              const char* end) {
  using P = Pack<uint32_t>;
  const auto in_pack = [](const char* p) { return reinterpret_cast<uintptr_t>(p) % 16; };
  const uintptr_t shift = in_pack(from);
  const char *const lowest = begin - in_pack(begin), *const highest = end - 1 - in_pack(end - 1);
  const char *low = from - shift, *high = shift == 0 ? low : low + 16;
  low = low < lowest ? lowest : low > highest ? highest : low;
  high = high < lowest ? lowest : high > highest ? highest : high;
  const P p = *reinterpret_cast<const P*>(low), q = *reinterpret_cast<const P*>(high);
  uint32_t w[8];
  for (int j = 0; j < 4; ++j) w[j] = p.v[j], w[j + 4] = q.v[j];
  // By the bits of the distance: words at places that are known keep to registers.
  for (int j = 0; j < 6; ++j) w[j] = shift & 8 ? w[j + 2] : w[j];
  for (int j = 0; j < 5; ++j) w[j] = shift & 4 ? w[j + 1] : w[j];
  for (int j = 0; j < 4; ++j) w[j] = shift & 2 ? w[j] >> 16 | w[j + 1] << 16 : w[j];
  return {{w[0], w[1], w[2], w[3]}};
}

/// a / b and a % b, in 32 bits where they suffice: a division of 64 bits is a subroutine.
__device__ inline int64_t divide(int64_t a, int64_t b, int64_t* rest) {
  if (static_cast<uint64_t>(a | b) >> 32 == 0) {
    const auto x = static_cast<uint32_t>(a), y = static_cast<uint32_t>(b);
    const uint32_t q = x / y;
    *rest = x - q * y;
    return q;
  }
  const int64_t q = a / b;
  *rest = a - q * b;
  return q;
}

/// Where the operands have the i-th element of a walk.
template <int N>
__device__ inline void offsets(const Folded<N>& w, int64_t i, int64_t (&at)[N]) {
  for (int k = 0; k < N; ++k) at[k] = 0;
    // Divisions are long, and mostly there is one row.
#pragma unroll 1
  for (int d = w.ndim - 1; d > 0; --d) {
    int64_t place;
    i = divide(i, w.size[d], &place);
    for (int k = 0; k < N; ++k) at[k] += place * w.stride[k][d];
  }
  for (int k = 0; k < N; ++k) at[k] += i * w.stride[k][0];
}

constexpr int kThreads = 256;

/// Blocks of kThreads for n threads, one each.
inline dim3 blocks_for(int64_t n) {
  return dim3(static_cast<unsigned>((n + kThreads - 1) / kThreads));
}

__device__ inline int64_t global_thread() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

}  // namespace
}  // namespace nnm::cuda
