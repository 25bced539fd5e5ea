// Loading the oneDNN plug-in.
#include "kernels/onednn.h"

#include <dlfcn.h>

#include <string>

#include "kernels/kernel.h"
#include "kernels/library_folder.h"
#include "kernels/openmp.h"

namespace nnm {

namespace {

const OneDnn* load_onednn() {
  if (cpu_isa() == Isa::baseline) return nullptr;
  const std::string path =
      library_folder(reinterpret_cast<const void*>(&onednn)) + "libnnm_onednn.so";
  openmp();  // with its settings, before the plug-in brings it along
  // Never closed: its threads and generated code live as long as the process.
  void* library = dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (!library) return nullptr;
  using Entry = const OneDnn* (*)();
  const auto entry = reinterpret_cast<Entry>(dlsym(library, "nnm_onednn"));
  const OneDnn* table = entry ? entry() : nullptr;
  return table && table->version == OneDnn::kVersion ? table : nullptr;
}

}  // namespace

const OneDnn* onednn() {
  static const OneDnn* const table = load_onednn();
  return table;
}

}  // namespace nnm
