// Two operands: arithmetic, comparison, logic; and selection, copies, fills.
#include <cmath>
#include <type_traits>

#include "kernels/cpu/math.h"
#include "kernels/cpu/strided.h"
#include "kernels/dtype.h"
#include "kernels/pointwise.h"

namespace nnm {
namespace {

template <class T, class F>
void loop(T* __restrict out, const T* const* in, const int64_t* stride, int64_t n, const F& f) {
  const T* __restrict a = in[0], * __restrict b = in[1];
  if (stride[0] == 1 && stride[1] == 1) {
    for (int64_t i = 0; i < n; ++i) out[i] = f(a[i], b[i]);
  } else if (stride[0] == 1) {
    const T y = *b;
    for (int64_t i = 0; i < n; ++i) out[i] = f(a[i], y);
  } else if (stride[1] == 1) {
    const T x = *a;
    for (int64_t i = 0; i < n; ++i) out[i] = f(x, b[i]);
  } else {
    const T r = f(*a, *b);
    for (int64_t i = 0; i < n; ++i) out[i] = r;
  }
}

template <class T, class F>
void run(const Walk<3>& w, const F& f) {
  w.each_run([&](char* const* p, int64_t n) {
    run_blocks<T>(w, p, n, [&f](T* out, const T* const* in, const int64_t* stride, int64_t m) {
      loop<T>(out, in, stride, m, f);
    });
  });
}

template <class T>
void binary_typed(const Walk<3>& w, Binary f, double alpha) {
  const T k = static_cast<T>(alpha);
  switch (f) {
    case Binary::add:
      if (alpha == 1) return run<T>(w, [](T a, T b) { return plus(a, b); });
      if (alpha == -1) return run<T>(w, [](T a, T b) { return minus(a, b); });
      return run<T>(w, [k](T a, T b) { return plus(a, times(k, b)); });
#define NNM_BINARY(name) \
  case Binary::name:     \
    return run<T>(w, [](T a, T b) { return binary_of<Binary::name>(a, b); });
#include "kernels/binary.def"
#undef NNM_BINARY
  }
}

void binary_cpu(const View& out, const View& a, const View& b, Binary f, DType compute,
                double alpha) {
  const Walk<3> w({&out, &a, &b});
  switch (compute) {
    case DType::f32: return binary_typed<float>(w, f, alpha);
    case DType::f64: return binary_typed<double>(w, f, alpha);
    default: return binary_typed<int64_t>(w, f, alpha);
  }
}

template <class T>
void where_typed(const Walk<4>& w) {
  w.each_run([&](char* const* p, int64_t n) {
    run_blocks<T>(w, p, n, [](T* out, const T* const* in, const int64_t* s, int64_t m) {
      T repeated[3][kBlock];
      for (int k = 0; k < 3; ++k) {
        if (s[k] == 0) std::fill_n(repeated[k], std::min(m, kBlock), *in[k]);
      }
      for (int64_t at = 0; at < m; at += kBlock) {
        const T* c = s[0] ? in[0] + at : repeated[0];
        const T* a = s[1] ? in[1] + at : repeated[1];
        const T* b = s[2] ? in[2] + at : repeated[2];
        T* to = out + at;
        const int64_t block = std::min(kBlock, m - at);
        for (int64_t i = 0; i < block; ++i) {
          const T x = a[i], y = b[i];
          to[i] = c[i] != T(0) ? x : y;
        }
      }
    });
  });
}

void where_cpu(const View& out, const View& condition, const View& a, const View& b) {
  const Walk<4> w({&out, &condition, &a, &b});
  switch (compute_type(out.dtype)) {
    case DType::f32: return where_typed<float>(w);
    case DType::f64: return where_typed<double>(w);
    default: return where_typed<int64_t>(w);
  }
}

template <class T>
void copy_typed(const Walk<2>& w) {
  w.each_run([&](char* const* p, int64_t n) {
    run_blocks<T>(w, p, n, [](T* out, const T* const* in, const int64_t* stride, int64_t m) {
      if (stride[0] == 1) {
        std::memcpy(out, in[0], static_cast<size_t>(m) * sizeof(T));
      } else {
        std::fill_n(out, m, *in[0]);
      }
    });
  });
}

// Rows of elements as they are; also where only the rows' order differs.
void copy_bytes(const Walk<2>& w) {
  const size_t item = item_size(w.dtype[0]);
  w.each_run([&](char* const* p, int64_t n) {
    if (w.step(0) == 1 && w.step(1) == 1) {
      std::memcpy(p[0], p[1], static_cast<size_t>(n) * item);
      return;
    }
    for (int64_t i = 0; i < n; ++i) {
      std::memcpy(p[0] + i * w.step(0) * static_cast<int64_t>(item),
                  p[1] + i * w.step(1) * static_cast<int64_t>(item), item);
    }
  });
}

/// The dimension along which the source is dense while the output is so along the last one; -1
/// where there is none.
int transposed_dim(const Walk<2>& w) {
  if (w.step(0) != 1 || w.step(1) == 1) return -1;
  for (int d = 0; d + 1 < w.ndim; ++d) {
    if (w.stride[1][d] == 1) return d;
  }
  return -1;
}

/// Tiles of one cache line square, by way of a buffer: every line is read and written once.
template <class T>
void copy_transposed(const Walk<2>& w, int dim) {
  constexpr int64_t kTile = 64 / sizeof(T);
  const int last = w.ndim - 1;
  const int64_t rows = w.size[dim], columns = w.size[last];
  const int64_t to_row = w.stride[0][dim], from_column = w.stride[1][last];
  const int64_t bands = (rows + kTile - 1) / kTile, outer = w.outer() / rows;
  parallel_for(outer * bands, std::max<int64_t>(1, kPointwiseGrain / (kTile * columns)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t k = begin; k < end; ++k) {
                   const int64_t i = k % bands * kTile, height = std::min(kTile, rows - i);
                   T* to = reinterpret_cast<T*>(w.data[0]) + i * to_row;
                   const T* from = reinterpret_cast<const T*>(w.data[1]) + i;
                   int64_t rest = k / bands;
                   for (int d = last - 1; d >= 0; --d) {
                     if (d == dim) continue;
                     to += rest % w.size[d] * w.stride[0][d];
                     from += rest % w.size[d] * w.stride[1][d];
                     rest /= w.size[d];
                   }
                   T tile[kTile][kTile];
                   for (int64_t j = 0; j < columns; j += kTile) {
                     const int64_t width = std::min(kTile, columns - j);
                     for (int64_t c = 0; c < width; ++c) {
                       std::copy_n(from + (j + c) * from_column, height, tile[c]);
                     }
                     for (int64_t r = 0; r < height; ++r) {
                       for (int64_t c = 0; c < width; ++c) to[r * to_row + j + c] = tile[c][r];
                     }
                   }
                 }
               });
}

bool copied_transposed(const Walk<2>& w) {
  const int dim = transposed_dim(w);
  if (dim < 0) return false;
  by_size(w.dtype[0], [&]<class Bits>() { copy_transposed<Bits>(w, dim); });
  return true;
}

void copy_cpu(const View& out, const View& src) {
  if (out.numel() == 0) return;
  const Walk<2> w({&out, &src});
  if (out.dtype == src.dtype && copied_transposed(w)) return;
  if (out.dtype == src.dtype && out.dtype != DType::f32 && out.dtype != DType::f64)
    return copy_bytes(w);
  const bool integers = !is_floating(out.dtype) && !is_floating(src.dtype);
  if (integers) return copy_typed<int64_t>(w);
  if (out.dtype == DType::f64 || src.dtype == DType::f64 || src.dtype == DType::i64 ||
      out.dtype == DType::i64)
    return copy_typed<double>(w);
  copy_typed<float>(w);
}

void fill_cpu(const View& out, double real, int64_t integer) {
  const Walk<1> w({&out});
  const size_t item = item_size(out.dtype);
  char value[8];
  if (is_floating(out.dtype)) {
    store<double>(value, out.dtype, 1, &real, 1);
  } else {
    store<int64_t>(value, out.dtype, 1, &integer, 1);
  }
  w.each_run([&](char* const* p, int64_t n) {
    if (w.step(0) == 1 && item == 4) {
      uint32_t v;
      std::memcpy(&v, value, 4);
      std::fill_n(reinterpret_cast<uint32_t*>(p[0]), n, v);
      return;
    }
    for (int64_t i = 0; i < n; ++i)
      std::memcpy(p[0] + i * w.step(0) * static_cast<int64_t>(item), value, item);
  });
}

template <class T>
void range_typed(const View& out, T start, T step) {
  const auto item = static_cast<int64_t>(item_size(out.dtype));
  const int64_t stride = out.stride[0];
  parallel_for(out.size[0], kPointwiseGrain, [&](int64_t begin, int64_t end) {
    T block[kBlock];
    for (int64_t i = begin; i < end; i += kBlock) {
      const int64_t n = std::min(kBlock, end - i);
      for (int64_t j = 0; j < n; ++j) block[j] = start + static_cast<T>(i + j) * step;
      store<T>(out.as<char>() + i * stride * item, out.dtype, stride, block, n);
    }
  });
}

void range_cpu(const View& out, double start, double step, int64_t integer_start,
               int64_t integer_step) {
  if (is_floating(out.dtype)) return range_typed<double>(out, start, step);
  range_typed<int64_t>(out, integer_start, integer_step);
}

NNM_KERNEL(binary, binary_cpu);
NNM_KERNEL(where, where_cpu);
NNM_KERNEL(copy, copy_cpu);
NNM_KERNEL(fill, fill_cpu);
NNM_KERNEL(range, range_cpu);

}  // namespace
}  // namespace nnm
