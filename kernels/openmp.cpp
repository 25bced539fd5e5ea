// Loading libgomp.
#include "kernels/openmp.h"

#include <dlfcn.h>

#include <cstdlib>

namespace nnm {

namespace {

const OpenMp* load_openmp() {
#ifdef __SANITIZE_THREAD__
  // The thread sanitizer does not see libgomp's barriers: the one thread there is runs all parts.
  return nullptr;
#endif
  // libgomp reads its settings while it is being loaded.
  if (!std::getenv("OMP_WAIT_POLICY")) setenv("GOMP_SPINCOUNT", "10000", 0);
  void* library = dlopen("libgomp.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) return nullptr;
  static OpenMp api;
  const auto find = [&]<class F>(F& f, const char* name) {
    f = reinterpret_cast<F>(dlsym(library, name));
    return f != nullptr;
  };
  const bool complete = find(api.parallel, "GOMP_parallel") &&
                        find(api.thread_num, "omp_get_thread_num") &&
                        find(api.num_threads, "omp_get_num_threads");
  return complete ? &api : nullptr;
}

}  // namespace

const OpenMp* openmp() {
  static const OpenMp* const api = load_openmp();
  return api;
}

}  // namespace nnm
