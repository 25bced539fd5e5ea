// The caching allocator of one device's memory.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "kernels/cuda.h"

namespace nnm::cuda {

/// Segments from the driver, cut into blocks that are kept and joined again when they are freed:
/// the driver's own allocation waits for the whole device. Small blocks share segments of 2 MiB,
/// larger ones of 20 MiB, the largest have their own; the best fit is taken. Sizes and thresholds
/// are those of PyTorch's CUDACachingAllocator. One stream uses a device's memory, so that a block
/// is free as soon as it is given back. Any thread.
class Memory {
 public:
  struct Pool;

 private:
  struct Block {
    char* data;
    size_t bytes;
    bool small;  ///< of a segment for small blocks
    Pool* pool;
    uint64_t number = 0;  ///< of the request that it serves
    bool used = false;
    size_t asked = 0;                           ///< bytes of the request
    Block *before = nullptr, *after = nullptr;  ///< neighbours in the segment
  };
  struct Smaller {
    bool operator()(const Block* a, const Block* b) const {
      return a->bytes != b->bytes ? a->bytes < b->bytes : a->data < b->data;
    }
  };
  using Free = std::set<Block*, Smaller>;

 public:
  /// What work that is done again has to itself: blocks taken while it is open serve nobody else.
  struct Pool {
    Free free[2];         ///< large, small
    uint64_t opened = 0;  ///< the number of requests before
    bool holds = true;
  };

  /// Bytes on the current device, which must be this memory's. Throws Error(device).
  void* get(size_t bytes);
  void put(void* p) noexcept;
  CudaMemory figures();
  void reset_peak();

  /// From here to close() every block comes from a new pool. What is kept for others goes back to
  /// the driver first: the pool is going to take the place of much of it.
  Pool* open();
  void close();
  /// Whether all that was in use when the pool was opened still is, so that work of then may read
  /// it, and the pool is still its own: where the device has no memory left, others get it.
  bool holds(const Pool* pool);
  /// Gives the pool's memory to everybody.
  void dissolve(Pool* pool) noexcept;

 private:
  Block* best_fit(size_t bytes, bool small);
  Block* segment(size_t bytes, bool small);
  void split(Block* b, size_t bytes);
  Block* join(Block* a, Block* b);
  void release_unused();
  void share(Pool* pool);
  bool give_up_pools();
  [[noreturn]] void out_of_memory(size_t bytes);

  std::mutex mutex_;
  Pool common_;
  Pool* pool_ = &common_;  ///< where blocks come from
  std::vector<Pool*> opened_;
  uint64_t requests_ = 0;
  std::unordered_map<void*, Block*> used_;
  CudaMemory figures_;
};

Memory& memory_of(int device);

}  // namespace nnm::cuda
