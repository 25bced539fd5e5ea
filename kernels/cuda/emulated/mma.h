// The words of kernels/cuda/mma.h on the emulation: what the lanes of a warp give comes together,
// and each computes its part of it. Copies land as late as a GPU lets them, or, where threads run
// in shuffled order, some at once.
#pragma once

#include <bit>
#include <cmath>

namespace nnm::cuda {
namespace {

/// What the 32 lanes give to an operation that they do together.
template <class P>
struct Lanes {
  P of[32];
};

/// Waits for all lanes. What they gave stays until the operation after the next: none is further.
template <class P>
const Lanes<P>& gather_lanes(const P& mine, const char* file, int line) {
  static Lanes<P> given[32][2];
  static unsigned turns[32][32];
  const unsigned rank = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned warp = rank / 32, lane = rank % 32;
  Lanes<P>& all = given[warp][turns[warp][lane]++ % 2];
  all.of[lane] = mine;
  __syncwarp(~0u, file, line);
  return all;
}

template <class T>
float half_of(uint32_t both, int which) {
  T x;
  x.bits = static_cast<uint16_t>(both >> (16 * which));
  return static_cast<float>(x);
}

/// In the order of the registers' halves.
struct MmaOperands {
  float a[8], b[4];
};

template <class T>
void mma(float (&sum)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, NNM_SIMT_HERE) {
  MmaOperands mine;
  for (int i = 0; i < 8; ++i) mine.a[i] = half_of<T>(a[i / 2], i % 2);
  for (int i = 0; i < 4; ++i) mine.b[i] = half_of<T>(i < 2 ? b0 : b1, i % 2);
  const Lanes<MmaOperands>& all = gather_lanes(mine, file, line);
  const int lane = simt::lane();
  for (int e = 0; e < 4; ++e) {
    const int row = lane / 4, column = lane % 4 * 2 + e % 2;
    for (int k = 0; k < 16; ++k) {
      const MmaOperands &x = all.of[row * 4 + k % 8 / 2], &y = all.of[column * 4 + k % 8 / 2];
      sum[e] += x.a[e / 2 * 2 + k / 8 * 4 + k % 2] * y.b[k / 8 * 2 + k % 2];
    }
  }
}

inline const uint16_t* matrix_row(const void* given) {
  if (reinterpret_cast<uintptr_t>(given) % 16 != 0) simt::die("a row that is not aligned");
  return static_cast<const uint16_t*>(given);
}
inline void load_matrices(uint32_t (&to)[4], const void* row, NNM_SIMT_HERE) {
  const Lanes<const void*>& all = gather_lanes(row, file, line);
  const int lane = simt::lane();
  for (int m = 0; m < 4; ++m) {
    const uint16_t* const x = matrix_row(all.of[8 * m + lane / 4]) + lane % 4 * 2;
    to[m] = x[0] | uint32_t{x[1]} << 16;
  }
}
inline void load_transposes(uint32_t (&to)[4], const void* row, NNM_SIMT_HERE) {
  const Lanes<const void*>& all = gather_lanes(row, file, line);
  const int lane = simt::lane();
  for (int m = 0; m < 4; ++m) {
    const void* const* const rows = all.of + 8 * m + lane % 4 * 2;
    to[m] = matrix_row(rows[0])[lane / 4] | uint32_t{matrix_row(rows[1])[lane / 4]} << 16;
  }
}

template <int kBytes>
void copy_async(void* to, const void* from, int there) {
  simt::begin_copy(to, from, kBytes, there);
}
inline void wait_for_copies() { simt::end_copies(); }

template <class T>
uint32_t pack(float first, float second) {
  return T(first).bits | uint32_t{T(second).bits} << 16;
}

inline float power_of_2(float x) { return std::exp2(x); }

}  // namespace
}  // namespace nnm::cuda
