// Copies between any strides and types, fills, ranges.
#include "kernels/cuda/pointwise.h"
#include "kernels/pointwise.h"

namespace nnm::cuda {
namespace {

template <class T>
struct Same {
  using C = T;
  __device__ T operator()(const T* in) const { return in[0]; }
};

/// Elements as they are, in units of U bytes.
template <class U>
__global__ void copy_units(Folded<2> w, int64_t n) {
  const int64_t i = global_thread();
  if (i >= n) return;
  int64_t at[2];
  offsets(w, i, at);
  reinterpret_cast<U*>(w.data[0])[at[0]] = reinterpret_cast<const U*>(w.data[1])[at[1]];
}

/// Counts in units of `wide` elements where rows, distances and addresses are multiples of it.
bool widen(Folded<2>& w, int64_t wide, size_t item) {
  const int inner = w.ndim - 1;
  if (w.size[inner] % wide != 0 || w.stride[0][inner] != 1 || w.stride[1][inner] != 1) return false;
  for (int k = 0; k < 2; ++k) {
    if (reinterpret_cast<uintptr_t>(w.data[k]) % (static_cast<size_t>(wide) * item) != 0)
      return false;
    for (int d = 0; d < inner; ++d)
      if (w.stride[k][d] % wide != 0) return false;
  }
  w.size[inner] /= wide;
  for (int k = 0; k < 2; ++k)
    for (int d = 0; d < inner; ++d) w.stride[k][d] /= wide;
  return true;
}

template <class U>
void launch_units(const Folded<2>& w) {
  const int64_t n = w.outer() * w.inner();
  NNM_LAUNCH(copy_units<U>, blocks_for(n), kThreads, 0, w, n);
}

constexpr int kTile = 32, kTileRows = 8;

/// Where the source is dense along `dim` and the output along the last dimension: tiles by way of
/// shared memory, so that both are accessed in runs. The grid has the tiles of the two dimensions
/// in y and x, and the other dimensions in z.
template <class U>
__global__ void copy_transposed(Folded<2> w, int dim) {
  __shared__ U tile[kTile][kTile + 1];
  const int last = w.ndim - 1;
  int64_t to = 0, from = 0, rest = blockIdx.z;
  for (int d = last - 1; d >= 0; --d) {
    if (d == dim) continue;
    int64_t place;
    rest = divide(rest, w.size[d], &place);
    to += place * w.stride[0][d];
    from += place * w.stride[1][d];
  }
  const int64_t row = static_cast<int64_t>(blockIdx.y) * kTile,
                column = static_cast<int64_t>(blockIdx.x) * kTile;
  const U* const in = reinterpret_cast<const U*>(w.data[1]) + from;
  U* const out = reinterpret_cast<U*>(w.data[0]) + to;
  for (int j = static_cast<int>(threadIdx.y); j < kTile; j += kTileRows) {
    const int64_t r = row + threadIdx.x, c = column + j;
    if (r < w.size[dim] && c < w.size[last]) tile[j][threadIdx.x] = in[r + c * w.stride[1][last]];
  }
  __syncthreads();
  for (int j = static_cast<int>(threadIdx.y); j < kTile; j += kTileRows) {
    const int64_t r = row + j, c = column + threadIdx.x;
    if (r < w.size[dim] && c < w.size[last]) out[r * w.stride[0][dim] + c] = tile[threadIdx.x][j];
  }
}

/// The dimension along which the source is dense while the output is so along the last one; -1
/// where there is none, or where the grid could not hold it.
int transposed_dim(const Folded<2>& w) {
  const int last = w.ndim - 1;
  if (w.stride[0][last] != 1 || w.stride[1][last] == 1 || w.size[last] < kTile / 2) return -1;
  for (int d = 0; d < last; ++d) {
    if (w.stride[1][d] != 1 || w.size[d] < kTile / 2) continue;
    const bool fits = w.outer() / w.size[d] <= 65535 && (w.size[d] + kTile - 1) / kTile <= 65535;
    return fits ? d : -1;
  }
  return -1;
}

template <class U>
void copy_same(const Folded<2>& w) {
  const int dim = transposed_dim(w);
  if (dim < 0) return launch_units<U>(w);
  const dim3 grid(static_cast<unsigned>((w.inner() + kTile - 1) / kTile),
                  static_cast<unsigned>((w.size[dim] + kTile - 1) / kTile),
                  static_cast<unsigned>(w.outer() / w.size[dim]));
  NNM_LAUNCH(copy_transposed<U>, grid, dim3(kTile, kTileRows), 0, w, dim);
}

/// A dense row of any length: its end, which fills no unit of 16 bytes, by single elements.
void copy_row(Folded<2> w, size_t item) {
  const auto wide = static_cast<int64_t>(16 / item);
  const int64_t n = w.size[0], whole = n / wide * wide;
  w.size[0] = whole / wide;
  launch_units<Pack<uint8_t, 16>>(w);
  w.size[0] = (n - whole) * static_cast<int64_t>(item);
  for (char*& p : w.data) p += whole * static_cast<int64_t>(item);
  launch_units<uint8_t>(w);
}

constexpr int64_t kLongRow = 2048;  ///< bytes from which blocks have rows of their own
constexpr int kEach = 4;            ///< packs of a thread

/// Rows of `bytes` bytes that begin anywhere, and so differently in the source and in the output:
/// packs of the output, whose ends are stored by halves. Distances in w are of bytes, and count
/// rows.
__global__ void copy_shifted(Folded<2> w, int64_t bytes) {
  int64_t row[2];
  offsets(w, blockIdx.x, row);
  char* const out = w.data[0] + row[0];
  const char* const in = w.data[1] + row[1];
  const int64_t before = static_cast<int64_t>(reinterpret_cast<uintptr_t>(out) % 16);
  int64_t at[kEach];
  Pack<uint32_t> p[kEach];
#pragma unroll
  for (int k = 0; k < kEach; ++k) {
    at[k] = ((static_cast<int64_t>(blockIdx.y) * kEach + k) * kThreads + threadIdx.x) * 16 - before;
    p[k] = load_shifted(in + at[k], in, in + bytes);
  }
#pragma unroll
  for (int k = 0; k < kEach; ++k) {
    if (at[k] >= 0 && at[k] + 16 <= bytes) {
      *reinterpret_cast<Pack<uint32_t>*>(out + at[k]) = p[k];
    } else {
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        const int64_t i = at[k] + 2 * j;
        const auto half = static_cast<uint16_t>(p[k].v[j / 2] >> (j % 2 * 16));
        if (i >= 0 && i < bytes) *reinterpret_cast<uint16_t*>(out + i) = half;
      }
    }
  }
}

/// False, with nothing done, where the rows are short or their elements do not lie side by side.
bool copy_long_rows(Folded<2> w, size_t item) {
  const int inner = w.ndim - 1;
  const int64_t bytes = w.inner() * static_cast<int64_t>(item), rows = w.outer(),
                chunks = (bytes + 15 + kEach * kThreads * 16) / (kEach * kThreads * 16);
  if (item == 1 || bytes < kLongRow || chunks > 65535 || rows > INT32_MAX) return false;
  if (w.stride[0][inner] != 1 || w.stride[1][inner] != 1) return false;
  w.size[inner] = 1;
  for (int k = 0; k < 2; ++k)
    for (int d = 0; d < w.ndim; ++d) w.stride[k][d] *= static_cast<int64_t>(item);
  NNM_LAUNCH(copy_shifted, dim3(static_cast<unsigned>(rows), static_cast<unsigned>(chunks)),
             kThreads, 0, w, bytes);
  return true;
}

/// One element everywhere, as the gradients of sums are.
template <class Bits>
__global__ void spread_element(Bits* out, const Bits* in, int64_t n) {
  constexpr int kWide = 16 / sizeof(Bits);
  const int64_t at = global_thread() * kWide;
  if (at >= n) return;
  Pack<Bits> p;
  for (Bits& v : p.v) v = *in;
  if (at + kWide <= n) {
    *reinterpret_cast<Pack<Bits>*>(out + at) = p;
    return;
  }
  for (int64_t i = at; i < n; ++i) out[i] = p.v[0];
}

template <class Bits>
void spread(const Folded<2>& w) {
  constexpr int64_t kWide = 16 / sizeof(Bits);
  const int64_t n = w.size[0];
  NNM_LAUNCH(spread_element<Bits>, blocks_for((n + kWide - 1) / kWide), kThreads, 0,
             reinterpret_cast<Bits*>(w.data[0]), reinterpret_cast<const Bits*>(w.data[1]), n);
}

void copy_alike(Folded<2> w) {
  const size_t item = item_size(w.dtype[0]);
  if (w.ndim == 1 && w.stride[0][0] == 1 && w.stride[1][0] == 0 && aligned(w.data[0]))
    return by_size(w.dtype[0], [&]<class Bits>() { spread<Bits>(w); });
  const bool dense = w.ndim == 1 && w.stride[0][0] == 1 && w.stride[1][0] == 1;
  if (dense && aligned(w.data[0]) && aligned(w.data[1])) return copy_row(w, item);
  for (size_t unit = 16; unit > item; unit /= 2) {
    if (!widen(w, static_cast<int64_t>(unit / item), item)) {
      if (unit == 16 && copy_long_rows(w, item)) return;
      continue;
    }
    switch (unit) {
      case 16: return launch_units<Pack<uint8_t, 16>>(w);
      case 8: return launch_units<uint64_t>(w);
      case 4: return launch_units<uint32_t>(w);
      default: return launch_units<uint16_t>(w);
    }
  }
  by_size(w.dtype[0], [&]<class Bits>() { copy_same<Bits>(w); });
}

/// Four elements a thread: the conversions of mixed precision.
template <class To, class From>
__global__ void convert_packs(To* out, const From* in, int64_t n) {
  const int64_t at = global_thread() * 4;
  if (at + 4 <= n) {
    const Pack<From, 4> p = *reinterpret_cast<const Pack<From, 4>*>(in + at);
    Pack<To, 4> q;
    for (int j = 0; j < 4; ++j) q.v[j] = To(static_cast<float>(p.v[j]));
    *reinterpret_cast<Pack<To, 4>*>(out + at) = q;
    return;
  }
  for (int64_t i = at; i < n; ++i) out[i] = To(static_cast<float>(in[i]));
}

template <class To, class From>
bool convert(const Folded<2>& w) {
  const int64_t n = w.size[0];
  NNM_LAUNCH((convert_packs<To, From>), blocks_for((n + 3) / 4), kThreads, 0,
             reinterpret_cast<To*>(w.data[0]), reinterpret_cast<const From*>(w.data[1]), n);
  return true;
}

bool converted_dense(const Folded<2>& w) {
  if (w.ndim != 1 || w.stride[0][0] != 1 || w.stride[1][0] != 1) return false;
  if (!aligned(w.data[0]) || !aligned(w.data[1])) return false;
  const DType to = w.dtype[0], from = w.dtype[1];
  if (to == DType::bf16 && from == DType::f32) return convert<BFloat16, float>(w);
  if (to == DType::f32 && from == DType::bf16) return convert<float, BFloat16>(w);
  if (to == DType::f16 && from == DType::f32) return convert<Half, float>(w);
  if (to == DType::f32 && from == DType::f16) return convert<float, Half>(w);
  return false;
}

void copy(const View& out, const View& src) {
  const Folded<2> w({&out, &src});
  if (out.dtype == src.dtype) return copy_alike(w);
  if (converted_dense(w)) return;
  if (!is_floating(out.dtype) && !is_floating(src.dtype)) return strided(w, Same<int64_t>{});
  const auto wide = [](DType t) { return t == DType::f64 || t == DType::i64; };
  if (wide(out.dtype) || wide(src.dtype)) return strided(w, Same<double>{});
  strided(w, Same<float>{});
}

template <class T>
__global__ void fill_kernel(Folded<1> w, int64_t n, T value) {
  const int64_t i = global_thread();
  if (i >= n) return;
  int64_t at[1];
  offsets(w, i, at);
  reinterpret_cast<T*>(w.data[0])[at[0]] = value;
}

/// Rows of packs first, where they can be written so; `value` is the element's bits.
template <class T>
void fill_typed(Folded<1> w, T value) {
  constexpr int64_t kWide = 16 / sizeof(T);
  if (w.ndim == 1 && w.stride[0][0] == 1 && aligned(w.data[0])) {
    Pack<T> row;
    for (T& v : row.v) v = value;
    const int64_t n = w.size[0], whole = n / kWide;
    w.size[0] = whole;
    NNM_LAUNCH(fill_kernel<Pack<T>>, blocks_for(whole), kThreads, 0, w, whole, row);
    w.data[0] += whole * 16;
    w.size[0] = n - whole * kWide;
  }
  const int64_t n = w.outer() * w.inner();
  NNM_LAUNCH(fill_kernel<T>, blocks_for(n), kThreads, 0, w, n, value);
}

void fill(const View& out, double real, int64_t integer) {
  const Folded<1> w({&out});
  switch (out.dtype) {
    case DType::f32: return fill_typed(w, static_cast<float>(real));
    case DType::f64: return fill_typed(w, real);
    case DType::bf16: return fill_typed(w, BFloat16(static_cast<float>(real)).bits);
    case DType::f16: return fill_typed(w, Half(static_cast<float>(real)).bits);
    case DType::i64: return fill_typed(w, integer);
    case DType::i32: return fill_typed(w, static_cast<int32_t>(integer));
    case DType::i16: return fill_typed(w, static_cast<int16_t>(integer));
    case DType::i8:
    case DType::u8: return fill_typed(w, static_cast<uint8_t>(integer));
    case DType::b8: return fill_typed(w, static_cast<uint8_t>(integer != 0));
  }
}

template <class T>
__global__ void range_kernel(char* out, DType dtype, int64_t stride, int64_t n, T start, T step) {
  const int64_t i = global_thread();
  if (i < n) store<T>(out, dtype, i * stride, start + static_cast<T>(i) * step);
}

void range(const View& out, double start, double step, int64_t integer_start,
           int64_t integer_step) {
  const int64_t n = out.size[0];
  if (is_floating(out.dtype))
    NNM_LAUNCH(range_kernel<double>, blocks_for(n), kThreads, 0, out.as<char>(), out.dtype,
               out.stride[0], n, start, step);
  else
    NNM_LAUNCH(range_kernel<int64_t>, blocks_for(n), kThreads, 0, out.as<char>(), out.dtype,
               out.stride[0], n, integer_start, integer_step);
}

NNM_CUDA_KERNEL(copy, copy);
NNM_CUDA_KERNEL(fill, fill);
NNM_CUDA_KERNEL(range, range);

}  // namespace
}  // namespace nnm::cuda
