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
/// work, in which the driver loads the kernels. Only NNM_CUDA_GRAPHS=1 turns it on: steps that are
/// recorded as a whole leave little to gain. For one thread at a time, as the stream is.
///
/// Between begin() and end() instead everything goes into one graph, to be launched by whoever
/// asked for it, again and again (recording.h).
class Graphs {
 public:
  /// Before an operation on the stream that may be recorded; `kind` tells kernels apart.
  void record(cudaStream_t stream, const void* kind);
  /// Launches what is recorded: before an operation that is not.
  void flush(cudaStream_t stream);

  void begin(cudaStream_t stream);
  /// Null where flush() came between: everything has been launched then, and is not to be again.
  cudaGraphExec_t end();
  /// While on, nothing is recorded but from begin() to end(): what is left between graphs that are
  /// launched again is little.
  void rest(bool on) { resting_ = on; }

 private:
  void capture(cudaStream_t stream);
  cudaGraph_t captured(cudaStream_t stream);
  void launch(cudaStream_t stream, cudaGraph_t graph);

  cudaStream_t stream_ = nullptr;  ///< from begin() to end()
  bool recording_ = false;         ///< the stream is captured
  bool whole_ = false;             ///< from begin() to end(), as long as nothing came between
  bool resting_ = false;
  int waits_ = 0, operations_ = 0;
  uint64_t hash_ = 0;  ///< of the kinds recorded
  std::unordered_map<uint64_t, cudaGraphExec_t> known_;
};

}  // namespace nnm::cuda
