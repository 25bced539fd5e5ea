// Loading cuDNN, or its emulation.
#include "kernels/cuda/dnn.h"

#include <dlfcn.h>

#include <cstdlib>

#include "kernels/cuda/libraries.h"
#ifdef NNM_SIMT_EMULATED
#include "kernels/cuda/emulated/cudnn.h"
#endif

namespace nnm::cuda {

namespace {

#ifdef NNM_SIMT_EMULATED

constexpr bool kWanted = false;

Dnn load_dnn() {
  Dnn dnn;
  dnn.path = "emulated on the CPU";
#define NNM_DNN_ADDRESS(name, ...) dnn.name = cudnn##name;
  NNM_DNN_FUNCTIONS(NNM_DNN_ADDRESS)
#undef NNM_DNN_ADDRESS
  return dnn;
}

#else

constexpr bool kWanted = true;
constexpr const char* kDnnSoname = "libcudnn.so.9";

Dnn load_dnn() {
  Dnn dnn;
  const OpenLibrary library = open_library(kDnnSoname);
  dnn.why = library.why;
  if (!library.handle) return dnn;
#define NNM_DNN_ADDRESS(name, ...)                                                       \
  dnn.name = reinterpret_cast<decltype(dnn.name)>(dlsym(library.handle, "cudnn" #name)); \
  if (!dnn.name && dnn.why.empty()) dnn.why = std::string(kDnnSoname) + " lacks cudnn" #name;
  NNM_DNN_FUNCTIONS(NNM_DNN_ADDRESS)
#undef NNM_DNN_ADDRESS
  if (dnn.why.empty()) dnn.path = file_of(reinterpret_cast<const void*>(dnn.GetVersion));
  return dnn;
}

#endif

}  // namespace

const Dnn& dnn_library() {
  static const Dnn dnn = load_dnn();
  return dnn;
}

bool dnn_wanted() {
  const char* wish = std::getenv("NNM_CUDA_CUDNN");
  return wish && *wish ? *wish != '0' : kWanted;
}

std::string dnn_why(int runtime) {
  const Dnn& dnn = dnn_library();
  if (!dnn.why.empty()) return dnn.why;
  // It would look for the cuBLASLt of its own CUDA, and end the process where there is none.
  const int own = static_cast<int>(dnn.GetCudartVersion()) / 1000;
  if (own == runtime / 1000) return {};
  return dnn.path + " is for CUDA " + std::to_string(own) + ", not " +
         std::to_string(runtime / 1000);
}

std::string dnn_facts(int runtime) {
  if (!dnn_wanted()) return "not used: NNM_CUDA_CUDNN=0";
  if (std::string why = dnn_why(runtime); !why.empty()) return why;
  const size_t v = dnn_library().GetVersion();
  return std::to_string(v / 10000) + "." + std::to_string(v / 100 % 100) + "." +
         std::to_string(v % 100) + ", " + dnn_library().path;
}

}  // namespace nnm::cuda
