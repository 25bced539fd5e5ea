// Paths of CUDA's libraries, tried in order.
#include "kernels/cuda/libraries.h"

#include <dlfcn.h>
#include <glob.h>

#include <cstdlib>
#include <sstream>
#include <vector>

#include "kernels/library_folder.h"

namespace nnm::cuda {

namespace {

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
std::vector<std::string> candidates(const std::string& soname) {
  std::vector<std::string> out;
  for (const std::string& folder : split(std::getenv("NNM_CUDA_LIBS")))
    out.push_back(folder + "/" + soname);
  out.push_back(library_folder(reinterpret_cast<const void*>(&open_library)) + soname);
  if (const char* home = std::getenv("CUDA_HOME"); home && *home)
    out.push_back(std::string(home) + "/lib64/" + soname);
  out.push_back(soname);
  // The libraries of the Python that stands first in the PATH, a virtual environment's among them.
  std::vector<std::string> prefixes = split(std::getenv("VIRTUAL_ENV"));
  for (const std::string& folder : split(std::getenv("PATH")))
    if (folder.ends_with("/bin")) prefixes.push_back(folder.substr(0, folder.size() - 4));
  for (const std::string& prefix : prefixes)
    for (const char* packages : {"site-packages", "dist-packages"})
      for (std::string& path :
           matches(prefix + "/lib/python3*/" + packages + "/nvidia/*/lib/" + soname))
        out.push_back(std::move(path));
  return out;
}

}  // namespace

OpenLibrary open_library(const std::string& soname) {
  OpenLibrary out;
  for (const std::string& path : candidates(soname)) {
    out.handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (out.handle) return {out.handle, {}};
    const char* error = dlerror();
    out.why += std::string("\n  ") + (error ? error : path.c_str());
  }
  out.why = soname + " was not found:" + out.why;
  return out;
}

std::string file_of(const void* function) {
  Dl_info where;
  return dladdr(function, &where) && where.dli_fname ? where.dli_fname : "";
}

}  // namespace nnm::cuda
