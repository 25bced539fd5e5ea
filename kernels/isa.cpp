// Finds the processor's instruction set once.
#include <cstdlib>
#include <cstring>

#include "kernels/kernel.h"

namespace nnm {

namespace {

Isa detect() {
  const char* asked = std::getenv("NNM_ISA");
  if (asked && std::strcmp(asked, "baseline") == 0) return Isa::baseline;
#ifdef __x86_64__
  // The avx2 copies are compiled for x86-64-v3, so the compiler may use all that the level has.
  __builtin_cpu_init();
  if (__builtin_cpu_supports("x86-64-v3")) return Isa::avx2;
#endif
  return Isa::baseline;
}

}  // namespace

Isa cpu_isa() {
  static const Isa isa = detect();
  return isa;
}

}  // namespace nnm
