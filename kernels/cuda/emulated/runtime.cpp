// The emulated CUDA runtime.
#include "kernels/cuda/emulated/runtime.h"

#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "kernels/cuda/emulated/simt.h"

namespace {

uint64_t setting(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text && *text ? std::strtoull(text, nullptr, 10) : otherwise;
}

size_t total_memory() {
  static const size_t total = setting("NNM_EMULATED_MEMORY", uint64_t{4} << 30);
  return total;
}
int device_count() {
  static const int count = static_cast<int>(setting("NNM_EMULATED_DEVICES", 1));
  return count;
}

thread_local int current = 0;
// Blocks handed out, each with its device and bytes; used bytes of each device.
std::mutex mutex;
std::map<void*, std::pair<int, size_t>> blocks;
std::map<int, size_t> used;
int accesses = 0;  // under way
std::atomic<bool> captured = false;

cudaError_t unless_captured() { return captured ? cudaErrorStreamCaptureUnsupported : cudaSuccess; }

constexpr size_t kPage = 4096;
size_t pages(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

bool guarded() {
  static const bool on = setting("NNM_EMULATED_GUARD", 0) != 0;
  return on;
}

void change_access(int by) {
  if (!guarded()) return;
  std::lock_guard lock(mutex);
  const bool was_open = accesses > 0;
  accesses += by;
  const bool open = accesses > 0;
  if (open == was_open) return;
  for (const auto& [p, block] : blocks)
    mprotect(p, pages(block.second), open ? PROT_READ | PROT_WRITE : PROT_NONE);
}

[[maybe_unused]] const bool launches_open_it = [] {
  nnm::simt::around_launch = [](bool begins) { change_access(begins ? 1 : -1); };
  return true;
}();

// Fresh memory of a GPU holds anything: NaN for every floating type.
void* fresh(size_t bytes) {
  void* p = nullptr;
  if (guarded()) {
    p = mmap(nullptr, pages(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return nullptr;
  } else {
    p = std::aligned_alloc(512, (bytes + 511) / 512 * 512);
    if (!p) return nullptr;
  }
  std::memset(p, 0xff, bytes);
  if (guarded() && accesses == 0) mprotect(p, pages(bytes), PROT_NONE);
  return p;
}

}  // namespace

namespace nnm::simt {

DeviceAccess::DeviceAccess() { change_access(1); }
DeviceAccess::~DeviceAccess() { change_access(-1); }

}  // namespace nnm::simt

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInsufficientDriver:
      return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorNotReady: return "device not ready";
    case cudaErrorStreamCaptureUnsupported:
      return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated:
      return "operation failed due to a previous error during capture";
  }
  return "unknown error";
}

cudaError_t cudaGetLastError() { return cudaSuccess; }

cudaError_t cudaGetDeviceCount(int* count) {
  *count = device_count();
  return *count > 0 ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t cudaGetDevice(int* device) {
  *device = current;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= device_count()) return cudaErrorInvalidDevice;
  current = device;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  if (device < 0 || device >= device_count()) return cudaErrorInvalidDevice;
  *p = {"emulated on the CPU", total_memory(), 9, 0, 2};
  return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** p, size_t bytes) {
  std::lock_guard lock(mutex);
  if (bytes > total_memory() - used[current]) return cudaErrorMemoryAllocation;
  *p = fresh(bytes);
  if (!*p) return cudaErrorMemoryAllocation;
  blocks[*p] = {current, bytes};
  used[current] += bytes;
  return cudaSuccess;
}

cudaError_t cudaFree(void* p) {
  std::lock_guard lock(mutex);
  const auto at = blocks.find(p);
  if (at == blocks.end()) return cudaErrorInvalidValue;
  const size_t bytes = at->second.second;
  used[at->second.first] -= bytes;
  blocks.erase(at);
  if (guarded()) munmap(p, pages(bytes));
  else std::free(p);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  std::lock_guard lock(mutex);
  *total = total_memory();
  *free = *total - used[current];
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind,
                            cudaStream_t) {
  const nnm::simt::DeviceAccess access;
  std::memmove(to, from, bytes);
  return unless_captured();
}

cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t) {
  const nnm::simt::DeviceAccess access;
  std::memset(p, value, bytes);
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = nullptr;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t) { return unless_captured(); }

cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode) {
  return captured.exchange(true) ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t* graph) {
  *graph = nullptr;
  return captured.exchange(false) ? cudaSuccess : cudaErrorStreamCaptureInvalidated;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t, unsigned long long) {
  *exec = reinterpret_cast<cudaGraphExec_t>(exec);
  return cudaSuccess;
}
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t, cudaGraph_t, cudaGraphExecUpdateResultInfo*) {
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t, cudaStream_t) { return unless_captured(); }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t) { return cudaSuccess; }
cudaError_t cudaGraphDestroy(cudaGraph_t) { return cudaSuccess; }

cudaError_t cudaHostAlloc(void** p, size_t bytes, unsigned) {
  *p = std::malloc(bytes);
  return *p ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = nullptr;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return unless_captured(); }
cudaError_t cudaEventQuery(cudaEvent_t) { return cudaSuccess; }
