// bfloat16 and IEEE half as storage types: arithmetic happens in float. GPUs convert by
// instructions that round the same way, where they have them; only the payloads of NaN differ.
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/host_device.h"

namespace nnm {

struct BFloat16 {
  uint16_t bits;
  BFloat16() = default;
  /// Rounds to nearest even; NaN stays NaN (quiet).
  NNM_HD explicit BFloat16(float f) {
#if NNM_DEVICE_ARCH >= 800
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(f));
#else
    const uint32_t u = std::bit_cast<uint32_t>(f);
    const bool is_nan = (u & 0x7fffffffu) > 0x7f800000u;
    bits = is_nan ? static_cast<uint16_t>((u >> 16) | 0x40u)
                  : static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
#endif
  }
  NNM_HD explicit operator float() const { return std::bit_cast<float>(uint32_t{bits} << 16); }
};

struct Half {
  uint16_t bits;
  Half() = default;
  /// Rounds to nearest even, overflows to infinity, keeps denormals and NaN (quiet).
  NNM_HD explicit Half(float f) {
#if NNM_DEVICE_ARCH > 0
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(f));
#else
    const uint32_t u = std::bit_cast<uint32_t>(f);
    const uint32_t sign = (u >> 16) & 0x8000u;
    const uint32_t mag = u & 0x7fffffffu;
    uint32_t h;
    if (mag > 0x7f800000u) {
      h = 0x7e00u | ((mag >> 13) & 0x3ffu);
    } else if (mag >= 0x477ff000u) {
      h = 0x7c00u;
    } else if (mag < 0x38800000u) {
      // Adding 2^-1 scaled magic aligns the denormal's mantissa so that the FPU rounds it.
      const float magic = std::bit_cast<float>(0x3f000000u);
      h = std::bit_cast<uint32_t>(std::bit_cast<float>(mag) + magic) - 0x3f000000u;
    } else {
      h = (mag - 0x38000000u + 0xfffu + ((mag >> 13) & 1u)) >> 13;
    }
    bits = static_cast<uint16_t>(sign | h);
#endif
  }
  NNM_HD explicit operator float() const {
#if NNM_DEVICE_ARCH > 0
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(bits));
    return f;
#else
    const uint32_t sign = uint32_t{bits & 0x8000u} << 16;
    const uint32_t mag = bits & 0x7fffu;
    if (mag >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | ((mag & 0x3ffu) << 13));
    if (mag >= 0x400u) return std::bit_cast<float>(sign | ((mag << 13) + 0x38000000u));
    const float tiny = static_cast<float>(mag) * 5.9604644775390625e-08f;  // 2^-24
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(tiny));
#endif
  }
};

}  // namespace nnm
