// Operands of a matrix product as its tiles read them: panels of packed slabs.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#include "kernels/cpu/transpose.h"
#include "kernels/cpu/vector.h"

namespace nnm {
namespace {

// The next multiple of unit.
constexpr int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// A strided matrix.
template <class T>
struct Mat {
  T* p;
  int64_t rs, cs;
  T& at(int64_t i, int64_t j) const { return p[i * rs + j * cs]; }
  Mat sub(int64_t i, int64_t j) const { return {p + i * rs + j * cs, rs, cs}; }
};

// As many rows as leave room in the registers: AVX-512 has twice as many of them.
template <class T>
struct Tile {
  typedef T Vec __attribute__((vector_size(kVectorBytes), aligned(sizeof(T))));
  static constexpr int64_t kLanes = kVectorBytes / static_cast<int64_t>(sizeof(T));
  static constexpr bool kWide = kVectorBytes == 64;
  static constexpr int64_t kRows = kWide ? 12 : 6, kCols = 2 * kLanes;
  // A block of b stays in the second cache, of 2 MB where vectors are wide, while rows of tiles
  // pass. Where they are not, that cache is small, and copying a once more for each of several
  // blocks of b costs more than reading b from the third.
  static constexpr int64_t kDepth = kWide ? 400 : 256, kRowBlock = 96;
  static constexpr int64_t kColBlock = (kWide ? 2048 : 4096) / static_cast<int64_t>(sizeof(T));
};

// Numbers of a cache line.
template <class T>
constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(T));

// Memory of a thread's panels, kept for the next product.
template <class T>
T* scratch(int which, size_t count) {
  struct Buffer {
    void* p = nullptr;
    size_t bytes = 0;
    ~Buffer() { std::free(p); }
  };
  static thread_local Buffer buffers[2];
  Buffer& b = buffers[which];
  if (b.bytes < count * sizeof(T)) {
    std::free(b.p);
    b.bytes = (count * sizeof(T) + 4095) / 4096 * 4096;
    b.p = std::aligned_alloc(64, b.bytes);
    if (!b.p) std::abort();
  }
  return static_cast<T*>(b.p);
}

// Terms that are copied before the next slab's.
constexpr int64_t kPackStep = 8;

// kCols columns as rows.
template <class T>
void copy_columns(T* out, Mat<const T> b, int64_t depth) {
  constexpr int64_t C = Tile<T>::kCols;
  if constexpr (std::is_same_v<T, float>) {
    if (b.rs == 1) {
      for (int64_t x = 0; x < C; x += 8) transpose_eight(out + x, C, &b.at(0, x), b.cs, depth);
      return;
    }
  }
  for (int64_t k = 0; k < depth; ++k)
    for (int64_t x = 0; x < C; ++x) out[k * C + x] = b.at(k, x);
}

// depth x cols of b, in slabs of kCols: slab, k, column; missing columns are zeros.
template <class T>
void pack_b(T* out, Mat<const T> b, int64_t depth, int64_t cols) {
  constexpr int64_t C = Tile<T>::kCols;
  if (const int64_t c = cols % C) {
    T* last = out + (cols - c) * depth;
    std::memset(last, 0, sizeof(T) * static_cast<size_t>(C * depth));
    for (int64_t k = 0; k < depth; ++k)
      for (int64_t x = 0; x < c; ++x) last[k * C + x] = b.at(k, cols - c + x);
    cols -= c;
  }
  if (b.cs != 1) {
    for (int64_t j = 0; j < cols; j += C) copy_columns(out + j * depth, b.sub(0, j), depth);
    return;
  }
  // Some rows of all slabs before the next rows: what is read lies close together.
  for (int64_t k0 = 0; k0 < depth; k0 += kPackStep) {
    const int64_t end = std::min(depth, k0 + kPackStep);
    for (int64_t j = 0; j < cols; j += C)
      for (int64_t k = k0; k < end; ++k)
        std::memcpy(out + j * depth + k * C, &b.at(k, j), sizeof(T) * static_cast<size_t>(C));
  }
}

// rows x depth of a, in slabs of kRows: slab, k, row; what missing rows hold is never read.
template <class T>
void pack_a(T* out, Mat<const T> a, int64_t rows, int64_t depth) {
  constexpr int64_t R = Tile<T>::kRows;
  int64_t whole = 0;
  if constexpr (std::is_same_v<T, float>) {
    if (a.cs == 1) {
      for (; whole + R <= rows; whole += R) {
#ifdef __AVX512F__
        transpose_twelve(out + whole * depth, &a.at(whole, 0), a.rs, depth);
#else
        transpose_columns<R>(out + whole * depth, R, &a.at(whole, 0), a.rs, depth);
#endif
      }
    }
  }
  if (a.rs == 1) {
    // Some terms of all slabs before the next terms: what is read lies close together.
    whole = rows / R * R;
    for (int64_t k0 = 0; k0 < depth; k0 += kPackStep) {
      const int64_t end = std::min(depth, k0 + kPackStep);
      for (int64_t i = 0; i < whole; i += R)
        for (int64_t k = k0; k < end; ++k)
          std::memcpy(out + i * depth + k * R, &a.at(i, k), sizeof(T) * static_cast<size_t>(R));
    }
  }
  for (int64_t i = whole; i < rows; i += R) {
    const int64_t r = std::min(R, rows - i);
    for (int64_t k = 0; k < depth; ++k)
      for (int64_t x = 0; x < r; ++x) out[i * depth + k * R + x] = a.at(i + x, k);
  }
}

}  // namespace
}  // namespace nnm
