// Work that is recorded once and done again on other contents of the same memory.
#pragma once

#include <vector>

#include "kernels/cuda.h"
#include "kernels/cuda/memory.h"
#include "kernels/cuda/runtime.h"

namespace nnm::cuda {

/// By stream capture, a graph for each part.
class Recording final : public CudaRecording {
 public:
  /// Of the current device.
  Recording(uint64_t seed, uint64_t offset);
  ~Recording() override;
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  bool end_part(bool more) override;
  bool replay(size_t part, uint64_t offset) override;
  void fetch(size_t slot, const void* from, size_t bytes) override;
  void fetched(size_t slot, void* to, size_t bytes) override;

 private:
  void close();
  void launched(size_t part);

  const int device_;
  char* page_locked_ = nullptr;
  cudaEvent_t first_done_ = nullptr;  ///< after the first part
  Memory::Pool* pool_ = nullptr;
  std::vector<cudaGraphExec_t> parts_;  ///< null where a part cannot be done again
  bool open_ = true;                    ///< being recorded
  bool whole_ = true;                   ///< can be done again
  bool draws_ = false;
};

}  // namespace nnm::cuda
