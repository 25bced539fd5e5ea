// cuBLASLt: found and loaded when a product first needs it, so that neither the plug-in nor the
// programs that load it depend on a library of half a gigabyte.
#pragma once

#include <string>

#ifdef NNM_SIMT_EMULATED
#include "kernels/cuda/emulated/cublasLt.h"
#else
#include <cublasLt.h>
#endif

namespace nnm::cuda {

#define NNM_LT_FUNCTIONS(F)       \
  F(Create)                       \
  F(GetVersion)                   \
  F(GetStatusString)              \
  F(MatmulDescCreate)             \
  F(MatmulDescDestroy)            \
  F(MatmulDescSetAttribute)       \
  F(MatrixLayoutCreate)           \
  F(MatrixLayoutDestroy)          \
  F(MatrixLayoutSetAttribute)     \
  F(MatmulPreferenceCreate)       \
  F(MatmulPreferenceDestroy)      \
  F(MatmulPreferenceSetAttribute) \
  F(MatmulAlgoGetHeuristic)       \
  F(Matmul)

/// The functions that the plug-in calls: `lt().Matmul` is cublasLtMatmul.
struct Lt {
#define NNM_LT_MEMBER(name) decltype(&cublasLt##name) name = nullptr;
  NNM_LT_FUNCTIONS(NNM_LT_MEMBER)
#undef NNM_LT_MEMBER
  std::string path;
  std::string why;  ///< why it is not there; empty where it is
};

/// Loaded at the first call. Throws Error(device) naming the folders that were searched.
const Lt& lt();
/// Loads it, and says whether it is there.
bool lt_found();
/// Version and path, or why it is missing.
std::string lt_facts();
/// Throws Error(device) "<what>: <cuBLASLt's words>" unless the call succeeded.
void check(cublasStatus_t result, const char* what);

}  // namespace nnm::cuda
