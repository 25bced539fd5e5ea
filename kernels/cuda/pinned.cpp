// Blocks by size, each with an event that tells when its copies are done.
#include "kernels/cuda/pinned.h"

#include <map>

#include "kernels/cuda/plugin.h"

namespace nnm::cuda {

void* Pinned::get(size_t bytes) {
  const std::lock_guard lock(mutex_);
  auto& list = free_[bytes];
  for (size_t i = 0; i < list.size(); ++i) {
    if (cudaEventQuery(list[i].last_use) != cudaSuccess) continue;
    const Block b = list[i];
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(i));
    used_.emplace(b.data, b);
    return b.data;
  }
  cudaGetLastError();  // "not ready" is no error of the next call
  Block b{nullptr, bytes, nullptr};
  check(cudaHostAlloc(&b.data, bytes, cudaHostAllocDefault), "page-locked memory");
  check(cudaEventCreateWithFlags(&b.last_use, cudaEventDisableTiming), "CUDA event");
  used_.emplace(b.data, b);
  return b.data;
}

bool Pinned::used(const void* p, cudaStream_t stream) {
  const std::lock_guard lock(mutex_);
  const auto at = used_.find(p);
  if (at == used_.end()) return false;
  check(cudaEventRecord(at->second.last_use, stream), "CUDA event");
  return true;
}

void Pinned::wait(const void* p) {
  cudaEvent_t last_use = nullptr;
  {
    const std::lock_guard lock(mutex_);
    const auto at = used_.find(p);
    if (at == used_.end()) return;
    last_use = at->second.last_use;
  }
  check(cudaEventSynchronize(last_use), "CUDA copy");
}

void Pinned::put(void* p) noexcept {
  const std::lock_guard lock(mutex_);
  const auto at = used_.find(p);
  if (at == used_.end()) return;
  const Block b = at->second;
  used_.erase(at);
  free_[b.bytes].push_back(b);
}

// Never destroyed: batches in static storage outlive any static object.
Pinned& pinned_of(int device) {
  static auto* all = new std::map<int, Pinned>;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  return (*all)[device];
}

}  // namespace nnm::cuda
