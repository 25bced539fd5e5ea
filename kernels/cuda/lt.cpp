// Looking for cuBLASLt where CUDA's libraries are kept: by the system, by the toolkit, and by
// PyTorch's wheels.
#include "kernels/cuda/lt.h"

#include <dlfcn.h>
#include <glob.h>

#include <cstdlib>
#include <sstream>
#include <vector>

#include "kernels/cuda.h"
#include "kernels/library_folder.h"

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

std::vector<std::string> split(const char* folders) {
  std::vector<std::string> out;
  std::istringstream in(folders ? folders : "");
  for (std::string folder; std::getline(in, folder, ':');)
    if (!folder.empty()) out.push_back(folder);
  return out;
}

std::vector<std::string> matches(const std::string& pattern) {
  std::vector<std::string> out;
  glob_t found = {};
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0)
    out.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  return out;
}

/// Names to open, in order. One without a slash is looked for as the system does: LD_LIBRARY_PATH
/// and ldconfig's cache.
std::vector<std::string> candidates() {
  std::vector<std::string> out;
  for (const std::string& folder : split(std::getenv("NNM_CUDA_LIBS")))
    out.push_back(folder + "/" + kSoname);
  out.push_back(library_folder(reinterpret_cast<const void*>(&lt_facts)) + kSoname);
  if (const char* home = std::getenv("CUDA_HOME"); home && *home)
    out.push_back(std::string(home) + "/lib64/" + kSoname);
  out.emplace_back(kSoname);
  // The libraries of the Python that stands first in the PATH, a virtual environment's among them.
  std::vector<std::string> prefixes = split(std::getenv("VIRTUAL_ENV"));
  for (const std::string& folder : split(std::getenv("PATH")))
    if (folder.ends_with("/bin")) prefixes.push_back(folder.substr(0, folder.size() - 4));
  for (const std::string& prefix : prefixes)
    for (const char* packages : {"site-packages", "dist-packages"})
      for (std::string& path :
           matches(prefix + "/lib/python3*/" + packages + "/nvidia/*/lib/" + kSoname))
        out.push_back(std::move(path));
  return out;
}

Lt load() {
  Lt lt;
  std::string tried;
  void* library = nullptr;
  for (const std::string& path : candidates()) {
    library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library) break;
    const char* error = dlerror();
    tried += std::string("\n  ") + (error ? error : path.c_str());
  }
  if (!library) {
    lt.why = std::string(kSoname) + " was not found:" + tried;
    return lt;
  }
#define NNM_LT_ADDRESS(name)                                                       \
  lt.name = reinterpret_cast<decltype(lt.name)>(dlsym(library, "cublasLt" #name)); \
  if (!lt.name && lt.why.empty()) lt.why = std::string(kSoname) + " lacks cublasLt" #name;
  NNM_LT_FUNCTIONS(NNM_LT_ADDRESS)
#undef NNM_LT_ADDRESS
  Dl_info where;
  if (lt.why.empty() && dladdr(reinterpret_cast<const void*>(lt.Create), &where))
    lt.path = where.dli_fname;
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
