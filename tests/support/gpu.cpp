// The emulated GPU.
#include "support/gpu.h"

#include <cstdlib>
#include <filesystem>

#include "support/paths.h"

namespace nnm::testing {

Device emulated_gpu() {
  const auto build = std::filesystem::path(nnm_binary()).parent_path();
  // Read when the plug-in is first asked for, which only tests that call this do.
  setenv("NNM_CUDA_PLUGIN", (build / "libnnm_cuda_emulated.so").c_str(), 0);
  setenv("NNM_EMULATED_MEMORY", "536870912", 0);
  return {DeviceType::cuda, 0};
}

}  // namespace nnm::testing
