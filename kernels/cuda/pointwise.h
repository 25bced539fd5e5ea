// How pointwise ops run over operands of one shape: 16 bytes a thread where all have one type and
// lie in rows that allow it, else element by element.
#pragma once

#include "kernels/cuda/element.h"

namespace nnm::cuda {
namespace {

/// out = f(inputs) by packs of S. Sizes and strides of the innermost dimension count packs; an
/// operand whose innermost stride is 0 has one element, of any type, for the whole row. `n`
/// elements in all: only a single row may end within a pack.
template <class S, int N, class F>
__global__ void packed_kernel(Folded<N> w, int64_t packs, int64_t n, F f) {
  using C = typename F::C;
  constexpr int kWide = 16 / sizeof(S);
  const int64_t i = global_thread();
  if (i >= packs) return;
  int64_t at[N];
  offsets(w, i, at);
  const int inner = w.ndim - 1;
  const bool f16 = w.dtype[0] == DType::f16;
  const int64_t left = n - i * kWide;
  const bool whole = left >= kWide;
  Pack<S> packed[N];
  C single[N];
  for (int k = 1; k < N; ++k) {
    const S* const from = reinterpret_cast<const S*>(w.data[k]) + at[k];
    if (w.stride[k][inner] == 0) {
      single[k] = load<C>(w.data[k], w.dtype[k], at[k]);
    } else if (whole) {
      packed[k] = *reinterpret_cast<const Pack<S>*>(from);
    } else {
      // The first element in place of those beyond the end, whose results are not stored: f may be
      // large, and stands here once.
      for (int j = 0; j < kWide; ++j) packed[k].v[j] = from[j < left ? j : 0];
    }
  }
  for (int j = 0; j < kWide; ++j) {
    C in[N];
    for (int k = 1; k < N; ++k)
      in[k - 1] = w.stride[k][inner] ? widened<C>(packed[k].v[j], f16) : single[k];
    packed[0].v[j] = narrowed<S>(f(in), f16);
  }
  S* const out = reinterpret_cast<S*>(w.data[0]) + at[0];
  if (whole) {
    *reinterpret_cast<Pack<S>*>(out) = packed[0];
    return;
  }
  for (int j = 0; j < kWide; ++j)
    if (j < left) out[j] = packed[0].v[j];
}

template <int N, class F>
__global__ void strided_kernel(Folded<N> w, int64_t n, F f) {
  using C = typename F::C;
  const int64_t i = global_thread();
  if (i >= n) return;
  int64_t at[N];
  offsets(w, i, at);
  C in[N];
  for (int k = 1; k < N; ++k) in[k - 1] = load<C>(w.data[k], w.dtype[k], at[k]);
  store<C>(w.data[0], w.dtype[0], at[0], f(in));
}

/// Whether packed_kernel can take it, with `wide` elements to a pack.
template <int N>
bool packs(const Folded<N>& w, int64_t wide) {
  const int inner = w.ndim - 1;
  if (w.stride[0][inner] != 1 && w.size[inner] != 1) return false;
  if (w.ndim > 1 && w.size[inner] % wide != 0) return false;
  for (int k = 0; k < N; ++k) {
    if (k > 0 && w.stride[k][inner] == 0) continue;
    if (w.dtype[k] != w.dtype[0] || w.stride[k][inner] < 0 || w.stride[k][inner] > 1) return false;
    if (!aligned(w.data[k])) return false;
    for (int d = 0; d < inner; ++d)
      if (w.stride[k][d] % wide != 0) return false;
  }
  return true;
}

template <class S, int N, class F>
bool packed(const Folded<N>& operands, const F& f) {
  constexpr int64_t kWide = 16 / sizeof(S);
  if (!packs(operands, kWide)) return false;
  Folded<N> w = operands;
  const int64_t n = w.outer() * w.inner(), count = (n + kWide - 1) / kWide;
  w.size[w.ndim - 1] = (w.inner() + kWide - 1) / kWide;
  for (int k = 0; k < N; ++k) w.stride[k][w.ndim - 1] *= kWide;
  NNM_LAUNCH((packed_kernel<S, N, F>), blocks_for(count), kThreads, 0, w, count, n, f);
  return true;
}

template <int N, class F>
void strided(const Folded<N>& w, const F& f) {
  const int64_t n = w.outer() * w.inner();
  NNM_LAUNCH((strided_kernel<N, F>), blocks_for(n), kThreads, 0, w, n, f);
}

/// Packs of the types that training uses; false, with nothing done, where there are none.
template <int N, class F>
bool packed_any(const Folded<N>& w, const F& f) {
  switch (w.dtype[0]) {
    case DType::f32: return packed<float>(w, f);
    case DType::bf16:
    case DType::f16: return packed<Short>(w, f);
    default: return false;
  }
}

/// Operands that are dense with the same strides, in whatever order of dimensions, as rows.
template <int N>
Folded<N> flat(const View* const (&v)[N]) {
  View rows[N];
  const View* at[N];
  for (int k = 0; k < N; ++k) {
    rows[k] = *v[k];
    rows[k].ndim = 1;
    rows[k].size[0] = v[0]->numel();
    rows[k].stride[0] = 1;
    at[k] = &rows[k];
  }
  return Folded<N>(at);
}

}  // namespace
}  // namespace nnm::cuda
