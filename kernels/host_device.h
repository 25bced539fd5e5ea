// Functions that run on the host and on a CUDA device are marked NNM_HD.
#pragma once

#ifdef __CUDACC__
#define NNM_HD __host__ __device__
#else
#define NNM_HD
#endif
