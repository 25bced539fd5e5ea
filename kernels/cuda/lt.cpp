// Loading cuBLASLt, or its emulation.
#include "kernels/cuda/lt.h"

#include <dlfcn.h>

#include "kernels/cuda.h"
#include "kernels/cuda/libraries.h"

namespace nnm::cuda {

namespace {

#ifdef NNM_SIMT_EMULATED

Lt load() {
  Lt lt;
  lt.path = "emulated on the CPU";
#define NNM_LT_ADDRESS(name) lt.name = cublasLt##name;
  NNM_LT_FUNCTIONS(NNM_LT_ADDRESS)
#undef NNM_LT_ADDRESS
  return lt;
}

#else

// Of the version whose headers the plug-in is built with.
#define NNM_TEXT_OF(number) #number
#define NNM_TEXT(number) NNM_TEXT_OF(number)
constexpr const char* kSoname = "libcublasLt.so." NNM_TEXT(CUBLAS_VER_MAJOR);

Lt load() {
  Lt lt;
  const OpenLibrary library = open_library(kSoname);
  lt.why = library.why;
  if (!library.handle) return lt;
#define NNM_LT_ADDRESS(name)                                                              \
  lt.name = reinterpret_cast<decltype(lt.name)>(dlsym(library.handle, "cublasLt" #name)); \
  if (!lt.name && lt.why.empty()) lt.why = std::string(kSoname) + " lacks cublasLt" #name;
  NNM_LT_FUNCTIONS(NNM_LT_ADDRESS)
#undef NNM_LT_ADDRESS
  if (lt.why.empty()) lt.path = file_of(reinterpret_cast<const void*>(lt.Create));
  return lt;
}

#endif

const Lt& loaded() {
  static const Lt lt = load();
  return lt;
}

}  // namespace

const Lt& lt() {
  const Lt& lt = loaded();
  if (!lt.why.empty())
    throw_device_error("matrix products on GPUs need cuBLASLt: " + lt.why,
                       "name its folder in NNM_CUDA_LIBS, or use --device cpu");
  return lt;
}

bool lt_found() { return loaded().why.empty(); }

std::string lt_facts() {
  const Lt& lt = loaded();
  if (!lt.why.empty()) return lt.why;
  const size_t v = lt.GetVersion();
  return std::to_string(v / 10000) + "." + std::to_string(v / 100 % 100) + "." +
         std::to_string(v % 100) + ", " + lt.path;
}

void check(cublasStatus_t result, const char* what) {
  if (result != CUBLAS_STATUS_SUCCESS)
    throw_device_error(std::string(what) + ": " + lt().GetStatusString(result));
}

}  // namespace nnm::cuda
