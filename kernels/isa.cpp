// Finds the processor's instruction set once.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "kernels/kernel.h"
#include "kernels/multipliers.h"

namespace nnm {

namespace {

// The copies are compiled for a whole level of x86-64, so the compiler may use all that it has.
Isa best() {
#ifdef __x86_64__
  __builtin_cpu_init();
  if (__builtin_cpu_supports("x86-64-v4")) return Isa::avx512;
  if (__builtin_cpu_supports("x86-64-v3")) return Isa::avx2;
#endif
  return Isa::baseline;
}

Isa detect() {
  const char* asked = std::getenv("NNM_ISA");
  if (asked && std::strcmp(asked, "baseline") == 0) return Isa::baseline;
  if (asked && std::strcmp(asked, "avx2") == 0) return std::min(best(), Isa::avx2);
  return best();
}

}  // namespace

Isa cpu_isa() {
  static const Isa isa = detect();
  return isa;
}

bool wide_multipliers() {
#ifdef __x86_64__
  static const bool wide = cpu_isa() == Isa::avx512 && __builtin_cpu_is("intel");
  return wide;
#else
  return false;
#endif
}

}  // namespace nnm
