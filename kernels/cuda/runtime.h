// The CUDA runtime, or the part of it that the emulated plug-in has on the CPU.
#pragma once

#ifdef NNM_SIMT_EMULATED
#include "kernels/cuda/emulated/runtime.h"
#else
#include <cuda_runtime.h>
#endif
