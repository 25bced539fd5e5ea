// Words of kernels for GPUs of compute capability 8.0 and newer, by PTX instructions: products of
// small matrices by a warp on tensor cores, what moves their operands, and copies to shared memory
// that go on beside what the threads do.
//
// A lane holds of the first operand a (16 x 16) the rows lane / 4 and lane / 4 + 8, of the second b
// (16 x 8) the column lane / 4, and of the sum (16 x 8) the rows of a and the columns lane % 4 * 2
// and the next one. Two elements of 16 bits share a register, the first in its lower half.
// Source: PTX ISA, "Matrix Fragments for mma.m16n8k16", "ldmatrix", "cp.async".
#pragma once

#include "kernels/cuda/element.h"

namespace nnm::cuda {
namespace {

/// Whether what is compiled here may use these words; a kernel for other GPUs is left empty.
constexpr bool kTensorCores = NNM_DEVICE_ARCH == 0 || NNM_DEVICE_ARCH >= 800;

}  // namespace
}  // namespace nnm::cuda

#ifdef NNM_SIMT_EMULATED
#include "kernels/cuda/emulated/mma.h"
#else

namespace nnm::cuda {
namespace {

__device__ inline uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

/// sum += a b, where b0 are the rows lane % 4 * 2 and the next one of b, b1 those 8 below.
template <class T>
__device__ inline void mma(float (&sum)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#if NNM_DEVICE_ARCH >= 800
  if constexpr (std::is_same_v<T, BFloat16>) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  } else {
    static_assert(std::is_same_v<T, Half>);
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
#endif
}

/// Four matrices of 8 x 8 elements of 16 bits from shared memory, the rows of matrix m at the
/// addresses of the lanes 8 m to 8 m + 7, each a multiple of 16. Of each, a lane gets the elements
/// lane % 4 * 2 and the next one of the row lane / 4.
__device__ inline void load_matrices(uint32_t (&to)[4], const void* row) {
#if NNM_DEVICE_ARCH >= 800
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
#endif
}
/// The same of their transposes.
__device__ inline void load_transposes(uint32_t (&to)[4], const void* row) {
#if NNM_DEVICE_ARCH >= 800
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
#endif
}

/// Begins to copy `there` bytes to shared memory, and zeros up to kBytes. Both addresses are
/// multiples of kBytes, even where nothing is there.
template <int kBytes>
__device__ inline void copy_async(void* to, const void* from, int there) {
  static_assert(kBytes == 8 || kBytes == 16);
#if NNM_DEVICE_ARCH >= 800
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
                 "l"(from), "r"(there)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(shared_address(to)),
                 "l"(from), "r"(there)
                 : "memory");
  }
#endif
}
/// Waits for the thread's own copies; a barrier makes those of others seen.
__device__ inline void wait_for_copies() {
#if NNM_DEVICE_ARCH >= 800
  asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

/// Two numbers as elements of a register.
template <class T>
__device__ inline uint32_t pack(float first, float second) {
  uint32_t both = 0;
#if NNM_DEVICE_ARCH >= 800
  if constexpr (std::is_same_v<T, BFloat16>)
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(second), "f"(first));
  else asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(second), "f"(first));
#endif
  return both;
}

/// 2 to the power of x, at most 2 ulp off; 0 where that is not a normal number.
__device__ inline float power_of_2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

}  // namespace
}  // namespace nnm::cuda
#endif
