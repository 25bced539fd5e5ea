// The caching allocator of tensor memory, and what it has handed out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/view.h"

namespace nnm {

/// Bytes in use, at the peak since the last reset, and held from the system.
struct MemoryStats {
  size_t allocated = 0, peak = 0, reserved = 0;
};

/// 64-byte aligned memory on the device. CPU blocks are kept for reuse in size classes and never
/// given back to the system during a run: fresh pages are far dearer than old ones. Throws
/// Error(device) "out of memory: …" when there is none. Any thread. Null for 0 bytes and for meta.
void* allocate(size_t bytes, Device device);
void deallocate(void* p, size_t bytes, Device device) noexcept;

/// On meta: what the tensors there would take; `reserved` is 0.
MemoryStats memory_stats(DeviceType device = DeviceType::cpu);
/// The peak is what is in use now.
void reset_peak_memory(DeviceType device = DeviceType::cpu);

}  // namespace nnm
