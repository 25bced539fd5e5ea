// Functions that run on the host and on a CUDA device are marked NNM_HD; which of the two they are
// compiled for.
#pragma once

#ifdef __CUDACC__
#define NNM_HD __host__ __device__
#else
#define NNM_HD
#endif

// The GPU that is compiled for, 800 for 8.0; 0 on the host.
#ifdef __CUDA_ARCH__
#define NNM_DEVICE_ARCH __CUDA_ARCH__
#else
#define NNM_DEVICE_ARCH 0
#endif
