// How wide the processor's multipliers are.
#pragma once

namespace nnm {

/// Whether 512 bits are multiplied at once rather than in two halves: on Intel's processors with
/// AVX-512, unless `NNM_ISA` (kernel.h) asks for less.
bool wide_multipliers();

}  // namespace nnm
