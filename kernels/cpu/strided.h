// The loop under all pointwise kernels: operands of one shape walked together, their dimensions
// folded into as few as possible, and everything that is not a dense run of the compute type taken
// through small blocks.
#pragma once

#include <algorithm>
#include <cstring>

#include "kernels/folded.h"
#include "kernels/half.h"
#include "kernels/parallel.h"
#include "kernels/view.h"

namespace nnm {
namespace {

constexpr int64_t kBlock = 512;
/// Elements worth a second thread, about 15 us of a simple op.
constexpr int64_t kPointwiseGrain = 32768;

/// Operands walked together, over the threads.
template <int N>
struct Walk : Folded<N> {
  using Folded<N>::Folded, Folded<N>::ndim, Folded<N>::size, Folded<N>::stride, Folded<N>::data,
      Folded<N>::dtype, Folded<N>::outer, Folded<N>::inner, Folded<N>::step;

  /// f(pointers, n) for every innermost run, over the threads.
  template <class F>
  void each_run(const F& f) const {
    const int64_t rows = outer(), n = inner();
    if (rows == 0 || n == 0) return;
    if (rows == 1) {
      parallel_for(n, kPointwiseGrain, [&](int64_t begin, int64_t end) {
        char* p[N];
        for (int k = 0; k < N; ++k)
          p[k] = data[k] + begin * step(k) * static_cast<int64_t>(item_size(dtype[k]));
        f(p, end - begin);
      });
      return;
    }
    parallel_for(rows, std::max<int64_t>(1, kPointwiseGrain / n), [&](int64_t begin, int64_t end) {
      int64_t index[kMaxDims] = {};
      char* p[N];
      for (int k = 0; k < N; ++k) p[k] = data[k];
      int64_t rest = begin;
      for (int d = ndim - 2; d >= 0; --d) {
        index[d] = rest % size[d];
        rest /= size[d];
        for (int k = 0; k < N; ++k)
          p[k] += index[d] * stride[k][d] * static_cast<int64_t>(item_size(dtype[k]));
      }
      for (int64_t row = begin; row < end; ++row) {
        f(p, n);
        for (int d = ndim - 2; d >= 0; --d) {
          for (int k = 0; k < N; ++k)
            p[k] += stride[k][d] * static_cast<int64_t>(item_size(dtype[k]));
          if (++index[d] < size[d]) break;
          for (int k = 0; k < N; ++k)
            p[k] -= size[d] * stride[k][d] * static_cast<int64_t>(item_size(dtype[k]));
          index[d] = 0;
        }
      }
    });
  }
};

template <class T>
constexpr DType dtype_of() {
  if constexpr (sizeof(T) == 4) return DType::f32;
  return T(0.5) != T(0) ? DType::f64 : DType::i64;
}

template <class T, class S>
inline T convert(S s) {
  if constexpr (std::is_same_v<S, BFloat16> || std::is_same_v<S, Half>) {
    return static_cast<T>(static_cast<float>(s));
  } else {
    return static_cast<T>(s);
  }
}

template <class T, class S>
void load_as(T* __restrict out, const char* p, int64_t step, int64_t n) {
  const S* s = reinterpret_cast<const S*>(p);
  if (step == 1) {
    for (int64_t i = 0; i < n; ++i) out[i] = convert<T>(s[i]);
  } else {
    for (int64_t i = 0; i < n; ++i) out[i] = convert<T>(s[i * step]);
  }
}

/// n elements of type t, `step` apart, as T.
template <class T>
void load(T* out, const char* p, DType t, int64_t step, int64_t n) {
  switch (t) {
    case DType::f32: return load_as<T, float>(out, p, step, n);
    case DType::f64: return load_as<T, double>(out, p, step, n);
    case DType::bf16: return load_as<T, BFloat16>(out, p, step, n);
    case DType::f16: return load_as<T, Half>(out, p, step, n);
    case DType::i64: return load_as<T, int64_t>(out, p, step, n);
    case DType::i32: return load_as<T, int32_t>(out, p, step, n);
    case DType::i16: return load_as<T, int16_t>(out, p, step, n);
    case DType::i8: return load_as<T, int8_t>(out, p, step, n);
    case DType::u8: return load_as<T, uint8_t>(out, p, step, n);
    case DType::b8: return load_as<T, bool>(out, p, step, n);
  }
}

template <class T, class S>
void store_as(char* p, int64_t step, const T* __restrict x, int64_t n) {
  S* s = reinterpret_cast<S*>(p);
  for (int64_t i = 0; i < n; ++i) {
    if constexpr (std::is_same_v<S, BFloat16> || std::is_same_v<S, Half>) {
      s[i * step] = S(static_cast<float>(x[i]));
    } else if constexpr (std::is_same_v<S, bool>) {
      s[i * step] = x[i] != T(0);
    } else if constexpr (std::is_integral_v<S> && sizeof(S) < 8) {
      s[i * step] = static_cast<S>(static_cast<int64_t>(x[i]));
    } else {
      s[i * step] = static_cast<S>(x[i]);
    }
  }
}

template <class T>
void store(char* p, DType t, int64_t step, const T* x, int64_t n) {
  switch (t) {
    case DType::f32: return store_as<T, float>(p, step, x, n);
    case DType::f64: return store_as<T, double>(p, step, x, n);
    case DType::bf16: return store_as<T, BFloat16>(p, step, x, n);
    case DType::f16: return store_as<T, Half>(p, step, x, n);
    case DType::i64: return store_as<T, int64_t>(p, step, x, n);
    case DType::i32: return store_as<T, int32_t>(p, step, x, n);
    case DType::i16: return store_as<T, int16_t>(p, step, x, n);
    case DType::i8: return store_as<T, int8_t>(p, step, x, n);
    case DType::u8: return store_as<T, uint8_t>(p, step, x, n);
    case DType::b8: return store_as<T, bool>(p, step, x, n);
  }
}

/// out = block(inputs …) over a run of n elements. Block is f(T* out, const T* const* in, const
/// int64_t* in_stride, n): dense runs in one call, others block by block.
template <class T, int N, class F>
void run_blocks(const Walk<N>& w, char* const* p, int64_t n, const F& block) {
  const bool out_direct = w.dtype[0] == dtype_of<T>() && w.step(0) == 1;
  bool direct = out_direct;
  const T* in[N - 1];
  int64_t stride[N - 1];
  for (int k = 1; k < N; ++k) {
    direct = direct && w.dtype[k] == dtype_of<T>() && (w.step(k) == 1 || w.step(k) == 0);
    in[k - 1] = reinterpret_cast<const T*>(p[k]);
    stride[k - 1] = w.step(k) == 0 ? 0 : 1;
  }
  if (direct) return block(reinterpret_cast<T*>(p[0]), in, stride, n);
  alignas(64) T buffers[N][kBlock];
  for (int64_t at = 0; at < n; at += kBlock) {
    const int64_t m = std::min(kBlock, n - at);
    for (int k = 1; k < N; ++k) {
      const int64_t step = w.step(k);
      if (w.dtype[k] == dtype_of<T>() && (step == 1 || step == 0)) {
        in[k - 1] = reinterpret_cast<const T*>(p[k]) + at * step;
      } else {
        if (step != 0 || at == 0) {
          load<T>(buffers[k], p[k] + at * step * static_cast<int64_t>(item_size(w.dtype[k])),
                  w.dtype[k], step, step == 0 ? 1 : m);
        }
        in[k - 1] = buffers[k];
      }
    }
    if (out_direct) {
      block(reinterpret_cast<T*>(p[0]) + at, in, stride, m);
    } else {
      block(buffers[0], in, stride, m);
      store<T>(p[0] + at * w.step(0) * static_cast<int64_t>(item_size(w.dtype[0])), w.dtype[0],
               w.step(0), buffers[0], m);
    }
  }
}

}  // namespace
}  // namespace nnm
