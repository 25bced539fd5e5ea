// Work handed to the driver in graphs instead of kernel by kernel, where a launch costs more than a
// small kernel takes.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "kernels/cuda/runtime.h"

namespace nnm::cuda {

/// What a device's stream is asked to do, recorded until somebody waits for it or copies, and then
/// launched as one graph. A graph of the same kernels as an earlier one takes that one's place
/// with new arguments, which costs a fraction of their launches. Everything still happens in the
/// order of the calls, so that results are the same bit for bit. Begins after some waits of eager
/// work, in which the driver loads the kernels. NNM_CUDA_GRAPHS=1 turns it on. For one thread at a
/// time, as the stream is.
class Graphs {
 public:
  /// Before an operation on the stream that may be recorded; `kind` tells kernels apart.
  void record(cudaStream_t stream, const void* kind);
  /// Launches what is recorded: before an operation that is not.
  void flush(cudaStream_t stream);

 private:
  void launch(cudaStream_t stream, cudaGraph_t graph);

  bool recording_ = false;
  int waits_ = 0, operations_ = 0;
  uint64_t hash_ = 0;  ///< of the kinds recorded
  std::unordered_map<uint64_t, cudaGraphExec_t> known_;
};

}  // namespace nnm::cuda
