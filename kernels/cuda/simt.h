// The language of the CUDA kernels: CUDA C++ under nvcc; under a C++ compiler with
// NNM_SIMT_EMULATED an emulation, so that the same bodies run, and are tested, on a machine without
// a GPU.
//
// Beyond what CUDA itself defines, kernels use four words:
// - NNM_LAUNCH(kernel, grid, block, shared_bytes, args...)  on the compute stream; a template with
//   commas in parentheses. An empty grid launches nothing.
// - NNM_DYNAMIC_SHARED(T, name)  in a kernel: the dynamic shared memory as T* name, 16-byte
// aligned.
// - NNM_HD  a function for host and device (kernels/host_device.h).
// - NNM_CUDA_KERNEL(slot, fn)  fills a slot of kernels/*.h (kernels/cuda/plugin.h).
// Those of tensor cores are in kernels/cuda/mma.h.
//
// Atomics on floating types are left out of the emulation on purpose: their order is not fixed, and
// results must be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/cuda/plugin.h"
#include "kernels/host_device.h"

#ifdef NNM_SIMT_EMULATED
#include "kernels/cuda/emulated/simt.h"
#else

namespace nnm::cuda {

/// What a block may have of dynamic shared memory without asking for more.
constexpr size_t kSharedWithoutAsking = 48 * 1024;

template <class... P>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
            const std::type_identity_t<P>&... args) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  if (shared > kSharedWithoutAsking)
    check(
        cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                             cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)),
        name);
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared;
  config.stream = stream(reinterpret_cast<const void*>(kernel));
  check(cudaLaunchKernelEx(&config, kernel, args...), name);
}

}  // namespace nnm::cuda

#define NNM_DYNAMIC_SHARED(T, name)                                   \
  extern __shared__ __align__(16) unsigned char nnm_dynamic_shared[]; \
  T* const name = reinterpret_cast<T*>(nnm_dynamic_shared)
#endif

#define NNM_LAUNCH(kernel, grid, block, shared, ...) \
  ::nnm::cuda::launch(#kernel, kernel, grid, block, shared __VA_OPT__(, ) __VA_ARGS__)
