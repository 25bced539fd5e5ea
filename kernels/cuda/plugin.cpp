// The plug-in's table: devices, copies, errors.
#include "kernels/cuda/plugin.h"

#include <array>
#include <cstring>
#include <mutex>
#include <string>

#include "kernels/cuda/dnn.h"
#include "kernels/cuda/graphs.h"
#include "kernels/cuda/lt.h"
#include "kernels/cuda/memory.h"
#include "kernels/cuda/pinned.h"
#include "kernels/cuda/recording.h"

namespace nnm::cuda {

namespace {

constexpr int kMaxDevices = 64;
constexpr size_t kSmallCopy = 4096;

// A driver's version as it is written: 13020 is 13.2.
std::string dotted(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// Of one device, made when it is first used.
struct State {
  std::once_flag once;
  cudaStream_t stream = nullptr;
  CudaDevice facts;
  std::mutex small_mutex;
  void* small = nullptr;  ///< page-locked, of kSmallCopy
  Graphs graphs;
};

State& state(int device) {
  static std::array<State, kMaxDevices> all;
  State& s = all[static_cast<size_t>(device)];
  std::call_once(s.once, [&] {
    cudaDeviceProp p;
    check(cudaGetDeviceProperties(&p, device), "CUDA device");
    s.facts = {p.name, p.totalGlobalMem, p.major, p.minor, p.multiProcessorCount};
    const OnDevice here(device);
    check(cudaStreamCreateWithFlags(&s.stream, cudaStreamNonBlocking), "CUDA stream");
    check(cudaHostAlloc(&s.small, kSmallCopy, cudaHostAllocDefault), "page-locked memory");
  });
  return s;
}

int devices(std::string* why) {
  int count = 0;
  const cudaError_t result = cudaGetDeviceCount(&count);
  if (result == cudaSuccess && count > 0) return count < kMaxDevices ? count : kMaxDevices;
  cudaGetLastError();  // told here, not by the first kernel
  int driver = 0;
  cudaDriverGetVersion(&driver);
  if (driver == 0) {
    *why = "no NVIDIA driver is installed (libcuda.so.1)";
  } else if (result == cudaErrorInsufficientDriver) {
    int runtime = 0;
    cudaRuntimeGetVersion(&runtime);
    *why = "the NVIDIA driver is too old: it knows CUDA " + dotted(driver) +
           ", this plug-in needs CUDA " + dotted(runtime);
  } else {
    *why = std::string("no GPU: ") + cudaGetErrorString(result ? result : cudaErrorNoDevice);
  }
  return 0;
}

std::vector<std::pair<std::string, std::string>> libraries() {
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  return {{"cuda_driver", driver ? "CUDA " + dotted(driver) : "none"},
          {"cuda_runtime", "CUDA " + dotted(runtime)},
          {"cublasLt", lt_facts()},
          {"cudnn", dnn_facts(runtime)}};
}

void copy(void* to, Device to_device, const void* from, Device from_device, size_t bytes) {
  if (bytes == 0) return;
  const bool up = to_device.type == DeviceType::cuda;
  // Another GPU's stream must have written what is read here.
  const bool across = up && from_device.type == DeviceType::cuda && !(to_device == from_device);
  if (across) {
    const OnDevice there(from_device.index);
    check(cudaStreamSynchronize(flushed_stream()), "CUDA");
  }
  const OnDevice here(up ? to_device.index : from_device.index);
  if (!up) {
    read_back(to, from, bytes);
    return;
  }
  if (from_device == to_device) {
    static constexpr char kKind = 0;
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream(&kKind)), "CUDA copy");
    return;
  }
  const cudaStream_t s = flushed_stream();
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, s), "CUDA copy");
  if (across || !pinned_of(to_device.index).used(from, s))
    check(cudaStreamSynchronize(s), "CUDA copy");
}

void fetch(void* to, const void* from, size_t bytes, int device) {
  const OnDevice here(device);
  const cudaStream_t s = flushed_stream();
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, s), "CUDA copy");
  pinned_of(device).used(to, s);
}

}  // namespace

void check(cudaError_t result, const char* what) {
  if (result != cudaSuccess)
    throw_device_error(std::string(what) + ": " + cudaGetErrorString(result));
}

OnDevice::OnDevice(int device) {
  check(cudaGetDevice(&before_), "CUDA device");
  if (device != before_) check(cudaSetDevice(device), "CUDA device");
}
OnDevice::~OnDevice() { cudaSetDevice(before_); }

int current_device() {
  int device = 0;
  check(cudaGetDevice(&device), "CUDA device");
  return device;
}

cudaStream_t stream(const void* kind) {
  State& s = state(current_device());
  s.graphs.record(s.stream, kind);
  return s.stream;
}
cudaStream_t flushed_stream() {
  State& s = state(current_device());
  s.graphs.flush(s.stream);
  return s.stream;
}
Graphs& graphs() { return state(current_device()).graphs; }
const CudaDevice& device_facts() { return state(current_device()).facts; }

void read_back(void* to, const void* from, size_t bytes) {
  State& s = state(current_device());
  // The driver takes longer for few bytes into memory that may be swapped out.
  std::unique_lock small(s.small_mutex, std::defer_lock);
  if (bytes <= kSmallCopy) small.lock();
  void* at = small ? s.small : to;
  s.graphs.flush(s.stream);
  check(cudaMemcpyAsync(at, from, bytes, cudaMemcpyDefault, s.stream), "CUDA copy");
  check(cudaStreamSynchronize(s.stream), "CUDA");
  if (small) std::memcpy(to, at, bytes);
}

}  // namespace nnm::cuda

extern "C" [[gnu::visibility("default")]] const nnm::Cuda* nnm_cuda();

const nnm::Cuda* nnm_cuda() {
  using namespace nnm;
  static const Cuda table = {
      Cuda::kVersion,
      cuda::devices,
      [](int device) {
        const cuda::OnDevice here(device);
        return cuda::device_facts();
      },
      cuda::libraries,
      [](size_t bytes, int device) {
        const cuda::OnDevice here(device);
        return cuda::allocate(bytes);
      },
      [](void* p, int device) noexcept { cuda::memory_of(device).put(p); },
      [](int device) {
        const cuda::OnDevice here(device);
        return cuda::memory_of(device).figures();
      },
      [](int device) { cuda::memory_of(device).reset_peak(); },
      [](size_t bytes, int device) {
        const cuda::OnDevice here(device);
        return cuda::pinned_of(device).get(bytes);
      },
      [](void* p, int device) noexcept { cuda::pinned_of(device).put(p); },
      cuda::copy,
      cuda::fetch,
      [](const void* to, int device) { cuda::pinned_of(device).wait(to); },
      [](int device) {
        const cuda::OnDevice here(device);
        cuda::check(cudaStreamSynchronize(cuda::flushed_stream()), "CUDA");
      },
      [](int device, uint64_t seed, uint64_t offset) {
        const cuda::OnDevice here(device);
        return static_cast<CudaRecording*>(new cuda::Recording(seed, offset));
      },
  };
  return &table;
}
