// Size-class free lists over aligned_alloc; the memory of GPUs is the plug-in's.
#include "nnm/tensor/allocator.h"

#include <sys/mman.h>

#include <atomic>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <vector>

#include "kernels/cuda.h"
#include "nnm/base/error.h"

namespace nnm {
namespace {

constexpr size_t kAlign = 64;
constexpr size_t kHugePage = size_t{2} << 20;

// Four classes per power of two: at most a quarter of a block is unused.
size_t round_up(size_t bytes) {
  if (bytes <= kAlign) return kAlign;
  const size_t step = std::max(std::bit_floor(bytes - 1) / 4, kAlign);
  return (bytes + step - 1) / step * step;
}

int class_of(size_t rounded) {
  const int log = std::bit_width(rounded) - 1;
  return log * 4 + static_cast<int>((rounded - (size_t{1} << log)) * 4 >> log);
}

class Cache {
 public:
  void* get(size_t rounded) {
    std::lock_guard lock(mutex_);
    stats_.allocated += rounded;
    stats_.peak = std::max(stats_.peak, stats_.allocated);
    auto& list = free_[class_of(rounded)];
    if (list.empty()) return nullptr;
    void* p = list.back();
    list.pop_back();
    return p;
  }
  void put(void* p, size_t rounded) noexcept {
    std::lock_guard lock(mutex_);
    stats_.allocated -= rounded;
    free_[class_of(rounded)].push_back(p);
  }
  void grew(size_t rounded) {
    std::lock_guard lock(mutex_);
    stats_.reserved += rounded;
  }
  void failed(size_t rounded) {
    std::lock_guard lock(mutex_);
    stats_.allocated -= rounded;
  }
  MemoryStats stats() {
    std::lock_guard lock(mutex_);
    return stats_;
  }
  void reset_peak() {
    std::lock_guard lock(mutex_);
    stats_.peak = stats_.allocated;
  }

 private:
  std::mutex mutex_;
  std::vector<void*> free_[64 * 4];
  MemoryStats stats_;
};

// Never destroyed: tensors in static storage outlive any static cache.
Cache& cache() {
  static Cache* c = new Cache;
  return *c;
}

// Of tensors on meta: counted, so that a dry run tells what a real one would take.
class Imagined {
 public:
  void add(size_t bytes) {
    const size_t now = allocated_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
    size_t peak = peak_.load(std::memory_order_relaxed);
    while (now > peak && !peak_.compare_exchange_weak(peak, now, std::memory_order_relaxed)) {
    }
  }
  void remove(size_t bytes) { allocated_.fetch_sub(bytes, std::memory_order_relaxed); }
  MemoryStats stats() const { return {allocated_.load(), peak_.load(), 0}; }
  void reset_peak() { peak_.store(allocated_.load()); }

 private:
  std::atomic<size_t> allocated_{0}, peak_{0};
};
constinit Imagined imagined;

}  // namespace

void* allocate(size_t bytes, Device device) {
  if (device.type == DeviceType::meta) {
    imagined.add(bytes);
    return nullptr;
  }
  if (device.type == DeviceType::cuda) {
    // Kernels are there once the table is, for tensors without elements, too.
    const Cuda& gpu = cuda_table(device);
    return bytes ? gpu.allocate(bytes, device.index) : nullptr;
  }
  if (bytes == 0) return nullptr;
  const size_t rounded = round_up(bytes);
  if (void* p = cache().get(rounded)) return p;
  const size_t align = rounded >= 2 * kHugePage ? kHugePage : kAlign;
  void* p =
      rounded < bytes ? nullptr : std::aligned_alloc(align, (rounded + align - 1) / align * align);
  if (!p) {
    cache().failed(rounded);
    fail(ErrorKind::device, "out of memory: tried to allocate {} bytes with {} in use", bytes,
         cache().stats().allocated);
  }
  if (align == kHugePage) madvise(p, rounded, MADV_HUGEPAGE);
  cache().grew(rounded);
  return p;
}

void deallocate(void* p, size_t bytes, Device device) noexcept {
  if (device.type == DeviceType::meta) imagined.remove(bytes);
  else if (p && device.type == DeviceType::cuda) cuda_plugin().table->deallocate(p, device.index);
  else if (p) cache().put(p, round_up(bytes));
}

void copy_bytes(void* to, Device to_device, const void* from, Device from_device, size_t bytes) {
  if (bytes == 0) return;
  if (to_device.type == DeviceType::cpu && from_device.type == DeviceType::cpu) {
    std::memcpy(to, from, bytes);
    return;
  }
  const Device gpu = to_device.type == DeviceType::cuda ? to_device : from_device;
  cuda_table(gpu).copy(to, to_device, from, from_device, bytes);
}

void synchronize(Device device) {
  if (device.type == DeviceType::cuda) cuda_table(device).synchronize(device.index);
}

MemoryStats memory_stats(Device device) {
  if (device.type == DeviceType::meta) return imagined.stats();
  if (device.type == DeviceType::cpu) return cache().stats();
  const CudaMemory m = cuda_table(device).memory(device.index);
  return {m.allocated, m.peak, m.reserved};
}
void reset_peak_memory(Device device) {
  if (device.type == DeviceType::meta) imagined.reset_peak();
  else if (device.type == DeviceType::cpu) cache().reset_peak();
  else cuda_table(device).reset_peak(device.index);
}

}  // namespace nnm
