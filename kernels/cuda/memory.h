// The caching allocator of one device's memory.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>

#include "kernels/cuda.h"

namespace nnm::cuda {

/// Segments from the driver, cut into blocks that are kept and joined again when they are freed:
/// the driver's own allocation waits for the whole device. Small blocks share segments of 2 MiB,
/// larger ones of 20 MiB, the largest have their own; the best fit is taken. Sizes and thresholds
/// are those of PyTorch's CUDACachingAllocator. One stream uses a device's memory, so that a block
/// is free as soon as it is given back. Any thread.
class Memory {
 public:
  /// Bytes on the current device, which must be this memory's. Throws Error(device).
  void* get(size_t bytes);
  void put(void* p) noexcept;
  CudaMemory figures();
  void reset_peak();

 private:
  struct Block {
    char* data;
    size_t bytes;
    bool small;  ///< of a segment for small blocks
    bool used = false;
    Block *before = nullptr, *after = nullptr;  ///< neighbours in the segment
  };
  struct Smaller {
    bool operator()(const Block* a, const Block* b) const {
      return a->bytes != b->bytes ? a->bytes < b->bytes : a->data < b->data;
    }
  };
  using Free = std::set<Block*, Smaller>;

  Block* best_fit(size_t bytes, bool small);
  Block* segment(size_t bytes, bool small);
  void split(Block* b, size_t bytes);
  Block* join(Block* a, Block* b);
  void release_unused();
  [[noreturn]] void out_of_memory(size_t bytes);

  std::mutex mutex_;
  Free free_[2];  ///< large, small
  std::unordered_map<void*, Block*> used_;
  CudaMemory figures_;
};

Memory& memory_of(int device);

}  // namespace nnm::cuda
