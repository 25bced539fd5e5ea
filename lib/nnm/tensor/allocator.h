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
/// Error(device) "out of memory: …" when there is none, and where there is no such device. Any
/// thread. Null for 0 bytes and for meta.
void* allocate(size_t bytes, Device device);
void deallocate(void* p, size_t bytes, Device device) noexcept;

/// Copies bytes from memory of one device to that of another, or the same. Memory of the CPU may be
/// reused when it returns, and holds the bytes then; between GPUs it happens in their order.
void copy_bytes(void* to, Device to_device, const void* from, Device from_device, size_t bytes);

/// Waits until a GPU has done all that was asked of it; the CPU never lags behind.
void synchronize(Device device);

/// On meta: what the tensors there would take; `reserved` is 0.
MemoryStats memory_stats(Device device = {});
/// The peak is what is in use now.
void reset_peak_memory(Device device = {});

}  // namespace nnm
