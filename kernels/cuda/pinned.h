// Page-locked memory for what goes to one device.
#pragma once

#include <cstddef>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "kernels/cuda/runtime.h"

namespace nnm::cuda {

/// Blocks are kept for requests of their size, as a loader makes them for batch after batch: to
/// lock pages takes longer than to copy them. A block given back is handed out again once the
/// copies from it are done. Any thread.
class Pinned {
 public:
  /// The device is the current one. Throws Error(device).
  void* get(size_t bytes);
  void put(void* p) noexcept;
  /// After a copy from p, or to it, in the stream: true where p begins a block that is handed out,
  /// which is kept until the copy is done.
  bool used(const void* p, cudaStream_t stream);
  /// Until the last copy of which used() was told is done, where p begins a block.
  void wait(const void* p);

 private:
  struct Block {
    void* data;
    size_t bytes;
    cudaEvent_t last_use;
  };
  std::mutex mutex_;
  std::unordered_map<const void*, Block> used_;
  std::unordered_map<size_t, std::vector<Block>> free_;
};

Pinned& pinned_of(int device);

}  // namespace nnm::cuda
