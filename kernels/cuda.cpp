// Loading the CUDA plug-in.
#include "kernels/cuda.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>

#include "kernels/library_folder.h"

namespace nnm {

namespace {

CudaPlugin load_cuda() {
  CudaPlugin p;
  const char* chosen = std::getenv("NNM_CUDA_PLUGIN");
  p.path = chosen && *chosen
               ? chosen
               : library_folder(reinterpret_cast<const void*>(&cuda_plugin)) + "libnnm_cuda.so";
  if (p.path == "none") {
    p.why = "CUDA is left out: NNM_CUDA_PLUGIN=none";
    return p;
  }
  if (access(p.path.c_str(), F_OK) != 0) {
    p.why = "no CUDA plug-in: " + p.path + " is not there";
    return p;
  }
  // Never closed: its kernels stand in the slots as long as the process lives.
  void* library = dlopen(p.path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char* error = dlerror();
    p.why = std::string("the CUDA plug-in cannot be loaded: ") + (error ? error : p.path);
    return p;
  }
  using Entry = const Cuda* (*)();
  const auto entry = reinterpret_cast<Entry>(dlsym(library, "nnm_cuda"));
  const Cuda* table = entry ? entry() : nullptr;
  if (!table || table->version != Cuda::kVersion) {
    p.why = "the CUDA plug-in " + p.path + " is of another version of nnm";
    return p;
  }
  p.table = table;
  p.devices = table->devices(&p.why);
  return p;
}

}  // namespace

const CudaPlugin& cuda_plugin() {
  static const CudaPlugin plugin = load_cuda();
  return plugin;
}

const Cuda& cuda_table(Device device) {
  const CudaPlugin& p = cuda_plugin();
  if (p.devices == 0) throw_device_error(p.why, "use --device cpu");
  if (device.index < 0 || device.index >= p.devices) {
    throw_device_error("there is no device cuda:" + std::to_string(device.index) + ": " +
                       (p.devices == 1
                            ? "the only one is cuda:0"
                            : "they are cuda:0 to cuda:" + std::to_string(p.devices - 1)));
  }
  return *p.table;
}

}  // namespace nnm
