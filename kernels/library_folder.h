// Where a library of nnm lies, for plug-ins beside it.
#pragma once

#include <dlfcn.h>

#include <string>

namespace nnm {

/// "folder/" of the library or program that holds the address of a function or object; "" where the
/// system knows none.
inline std::string library_folder(const void* address) {
  Dl_info here;
  if (!dladdr(address, &here) || !here.dli_fname) return {};
  const std::string path(here.dli_fname);
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

/// Whether both lie in one library or program.
inline bool same_library(const void* a, const void* b) {
  Dl_info of_a, of_b;
  return dladdr(a, &of_a) && dladdr(b, &of_b) && of_a.dli_fbase == of_b.dli_fbase;
}

}  // namespace nnm
