// The emulated CUDA runtime.
#include "kernels/cuda/emulated/runtime.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "kernels/cuda/emulated/simt.h"

/// Operations in their order, each with what tells its kind.
struct CUgraph_st {
  std::vector<std::pair<const void*, std::function<void()>>> work;
};
struct CUgraphExec_st : CUgraph_st {};

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
std::map<void*, size_t> pinned;
std::atomic<CUgraph_st*> captured = nullptr;

/// One line of NNM_EMULATED_LOG for what is done with graphs, or the driver's memory, in the order
/// of the calls.
void tell(const char* what, const void* graph, size_t operations) {
  static std::FILE* const f = [] {
    const char* path = std::getenv("NNM_EMULATED_LOG");
    return path && *path ? std::fopen(path, "w") : nullptr;
  }();
  if (f) std::fprintf(f, "%s %p %zu\n", what, graph, operations);
}

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

bool keep_captured(const void* kind, const std::function<void()>& work) {
  CUgraph_st* const graph = captured;
  if (graph) graph->work.emplace_back(kind, work);
  return graph != nullptr;
}

[[maybe_unused]] const bool launches_are_seen = [] {
  nnm::simt::around_launch = [](bool begins) { change_access(begins ? 1 : -1); };
  nnm::simt::keep_captured = keep_captured;
  return true;
}();

/// Whether p lies in one of the blocks: in the last one that begins before it or with it.
template <class Blocks, class Bytes>
bool within(const Blocks& of, const void* p, const Bytes& bytes) {
  auto at = of.upper_bound(const_cast<void*>(p));
  if (at == of.begin()) return false;
  --at;
  return p < static_cast<const char*>(at->first) + bytes(at->second);
}

/// Whether a copy can wait: other memory of the CPU may be another's by then.
bool stays(const void* p) {
  std::lock_guard lock(mutex);
  return within(blocks, p, [](const auto& b) { return b.second; }) ||
         within(pinned, p, [](size_t b) { return b; });
}

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

void do_or_keep(const void* kind, const std::function<void()>& work) {
  if (keep_captured(kind, work)) return;
  const DeviceAccess access;
  work();
}

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
    case cudaErrorGraphExecUpdateFailure:
      return "the graph update was not performed because it included changes which violated "
             "constraints specific to instantiated graph update";
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
  static const auto capability = static_cast<int>(setting("NNM_EMULATED_CAPABILITY", 90));
  *p = {"emulated on the CPU", total_memory(), capability / 10, capability % 10, 2};
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
  tell("malloc", *p, bytes);
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
  if (!captured) tell("copy", from, bytes);
  if (captured && !(stays(to) && stays(from))) return cudaErrorStreamCaptureUnsupported;
  nnm::simt::do_or_keep(reinterpret_cast<const void*>(&cudaMemcpyAsync),
                        [=] { std::memmove(to, from, bytes); });
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t) {
  nnm::simt::do_or_keep(reinterpret_cast<const void*>(&cudaMemsetAsync),
                        [=] { std::memset(p, value, bytes); });
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = nullptr;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t) {
  tell("wait", nullptr, 0);
  return unless_captured();
}

cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode) {
  if (captured) return cudaErrorStreamCaptureUnsupported;
  captured = new CUgraph_st;
  tell("begin", captured, 0);
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t* graph) {
  *graph = captured.exchange(nullptr);
  if (*graph) tell("end", *graph, (*graph)->work.size());
  return *graph ? cudaSuccess : cudaErrorStreamCaptureInvalidated;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  *exec = new CUgraphExec_st{*graph};
  tell("instantiate", *exec, graph->work.size());
  return cudaSuccess;
}
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph,
                                cudaGraphExecUpdateResultInfo*) {
  const auto same_kind = [](const auto& a, const auto& b) { return a.first == b.first; };
  const bool same = std::equal(exec->work.begin(), exec->work.end(), graph->work.begin(),
                               graph->work.end(), same_kind);
  tell(same ? "update" : "refuse", exec, graph->work.size());
  if (!same) return cudaErrorGraphExecUpdateFailure;
  exec->work = graph->work;
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t) {
  if (captured) return cudaErrorStreamCaptureUnsupported;
  tell("launch", exec, exec->work.size());
  const nnm::simt::DeviceAccess access;
  for (const auto& [kind, work] : exec->work) work();
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  tell("destroy", exec, 0);
  delete exec;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  tell("drop", graph, 0);
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** p, size_t bytes, unsigned) {
  *p = std::malloc(bytes);
  if (!*p) return cudaErrorMemoryAllocation;
  std::lock_guard lock(mutex);
  pinned[*p] = bytes;
  tell("pin", *p, bytes);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* p) {
  std::lock_guard lock(mutex);
  if (pinned.erase(p) == 0) return cudaErrorInvalidValue;
  std::free(p);
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = nullptr;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return unless_captured(); }
cudaError_t cudaEventQuery(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return unless_captured(); }
cudaError_t cudaEventDestroy(cudaEvent_t) { return cudaSuccess; }
