// The convolutions of known networks, asked of the real cuDNN for a GPU that is described, not
// there: each must get a plan. Without cuDNN it says so and does nothing.
#include <dlfcn.h>
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "kernels/cuda/dnn_plan.h"
#include "kernels/cuda/libraries.h"
#include "support/paths.h"

namespace nnm::cuda {
namespace {

/// What cuDNN is told of an NVIDIA H100.
constexpr const char* kH100 = R"({
  "deviceVer": 900, "driverVer": 13000, "deviceName": "NVIDIA H100 80GB HBM3", "cudaDeviceId": 0,
  "pciDeviceId": 0, "isTccDriver": 0, "multiProcessorCount": 132, "smCountOrigin": 0,
  "supportCoopLaunch": 1, "smClockRateKHz": 1980000, "memClockRateKHz": 2619000,
  "memoryBusWidth": 5120, "l2CacheSize": 52428800, "totalGlobalMem": 85017493504, "warpSize": 32,
  "maxSharedMemoryPerBlock": 49152, "maxSharedMemoryPerBlockOptin": 232448,
  "reservedSharedMemoryPerBlock": 1024, "oversizedSharedMemoryPerBlock": 0,
  "regsPerBlock": 65536, "maxRegistersPerSM": 65536, "maxCtasPerSM": 32,
  "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048, "maxBlockSize": [1024, 1024, 64],
  "maxGridSize": [2147483647, 65535, 65535]})";

/// Why cuDNN cannot be asked; empty where it can. Its parts look for the driver, and end the
/// process where they do not find cuBLASLt.
std::string unable() {
  const Dnn& library = dnn_library();
  if (!library.why.empty()) return library.why;
  const std::string lt = "libcublasLt.so." + std::to_string(library.GetCudartVersion() / 1000);
  if (const OpenLibrary found = open_library(lt); !found.handle) return found.why;
  const auto build = std::filesystem::path(testing::nnm_binary()).parent_path();
  if (!dlopen("libcuda.so.1", RTLD_NOW) &&
      !dlopen((build / "no-driver/libcuda.so.1").c_str(), RTLD_NOW))
    return dlerror();
  return library.GetVersion() < 90800 ? "it is older than 9.8" : "";
}

dnn::Descriptor described(const char* json) {
  const Dnn& library = dnn_library();
  dnn::Descriptor device = nullptr;
  REQUIRE(library.BackendCreateDescriptor(dnn::kDeviceProperties, &device) == dnn::kSuccess);
  REQUIRE(library.BackendSetAttribute(device, dnn::kDeviceJson, dnn::kChar,
                                      static_cast<int64_t>(std::strlen(json)) + 1,
                                      json) == dnn::kSuccess);
  REQUIRE(library.BackendFinalize(device) == dnn::kSuccess);
  return device;
}

/// Of square images: samples, channels, their side, outputs, the kernel's side, stride, padding.
struct Square {
  int64_t n, c, side, o, k, stride, pad;

  DnnConvolution of(DnnPass pass, DType dtype) const {
    const int64_t out = (side + 2 * pad - k) / stride + 1;
    return {
        pass,   dtype,      {n, c, side, side}, {o, c, k, k}, {n, o, out, out}, {stride, stride},
        {1, 1}, {pad, pad}, {pad, pad}};
  }
};

/// Those of ResNet-18 at 32 x 32, of ResNet-50 at 224 x 224 and of the MNIST CNN that are no
/// products of matrices as they lie.
constexpr Square kNetworks[] = {
    {512, 3, 32, 64, 3, 1, 1},    {512, 64, 32, 64, 3, 1, 1},   {512, 64, 32, 128, 3, 2, 1},
    {512, 64, 32, 128, 1, 2, 0},  {512, 128, 16, 128, 3, 1, 1}, {512, 128, 16, 256, 3, 2, 1},
    {512, 128, 16, 256, 1, 2, 0}, {512, 256, 8, 256, 3, 1, 1},  {512, 256, 8, 512, 3, 2, 1},
    {512, 256, 8, 512, 1, 2, 0},  {512, 512, 4, 512, 3, 1, 1},  {256, 3, 224, 64, 7, 2, 3},
    {256, 64, 56, 64, 3, 1, 1},   {256, 128, 56, 128, 3, 2, 1}, {256, 256, 56, 512, 1, 2, 0},
    {256, 128, 28, 128, 3, 1, 1}, {256, 256, 28, 256, 3, 2, 1}, {256, 512, 28, 1024, 1, 2, 0},
    {256, 256, 14, 256, 3, 1, 1}, {256, 512, 14, 512, 3, 2, 1}, {256, 1024, 14, 2048, 1, 2, 0},
    {256, 512, 7, 512, 3, 1, 1},  {128, 1, 28, 32, 3, 1, 0},    {128, 32, 26, 64, 3, 1, 0}};

TEST_CASE("cuDNN has an engine for every convolution of known networks") {
  if (const std::string why = unable(); !why.empty()) {
    MESSAGE("skipped, cuDNN cannot be asked: ", why);
    return;
  }
  const dnn::Descriptor device = described(kH100);
  for (const Square& s : kNetworks) {
    for (const DType dtype : {DType::bf16, DType::f16, DType::f32}) {
      for (const DnnPass pass : {DnnPass::forward, DnnPass::input, DnnPass::weight}) {
        const DnnConvolution c = s.of(pass, dtype);
        CHECK(c.consistent());
        const DnnPlan plan(dnn_library(), {nullptr, device}, c);
        INFO(fmt::format("{} of {} x {} to {}, kernel {}, stride {}, pass {}: {}", info(dtype).name,
                         s.c, s.side, s.o, s.k, s.stride, static_cast<int>(pass), plan.why()));
        CHECK(plan.known());
        // Its choice is the same each time.
        CHECK(DnnPlan(dnn_library(), {nullptr, device}, c).engine() == plan.engine());
        if (dtype != DType::f32) continue;
        DnnConvolution rounded = c;
        rounded.tf32 = true;
        const DnnPlan tensor_cores(dnn_library(), {nullptr, device}, rounded);
        CHECK(tensor_cores.known());
        CHECK(tensor_cores.engine() != plan.engine());
      }
    }
  }
  dnn_library().BackendDestroyDescriptor(device);
}

}  // namespace
}  // namespace nnm::cuda
