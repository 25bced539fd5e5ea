// Recording by stream capture.
#include "kernels/cuda/graphs.h"

#include <cstdlib>

#include "kernels/cuda/plugin.h"

namespace nnm::cuda {

namespace {

constexpr int kEagerWaits = 64;
constexpr int kMaxOperations = 128;  // the GPU shall not idle while much is recorded
constexpr size_t kMaxKnown = 256;

bool wanted() {
  static const bool on = [] {
    const char* text = std::getenv("NNM_CUDA_GRAPHS");
    return text && *text == '1';
  }();
  return on;
}

}  // namespace

void Graphs::record(cudaStream_t stream, const void* kind) {
  if (whole_ || !wanted() || resting_ || waits_ < kEagerWaits) return;
  if (operations_ >= kMaxOperations) flush(stream);
  if (!recording_) capture(stream);
  ++operations_;
  hash_ = (hash_ ^ reinterpret_cast<uintptr_t>(kind)) * 1099511628211u;
}

void Graphs::capture(cudaStream_t stream) {
  // Relaxed: memory may be allocated meanwhile.
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), "CUDA graph");
  recording_ = true;
  operations_ = 0;
  hash_ = 1469598103934665603u;
}

cudaGraph_t Graphs::captured(cudaStream_t stream) {
  recording_ = false;
  operations_ = 0;
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(stream, &graph), "CUDA graph");
  return graph;
}

void Graphs::flush(cudaStream_t stream) {
  if (!recording_) {
    if (waits_ < kEagerWaits) ++waits_;
    return;
  }
  const cudaGraph_t graph = captured(stream);
  if (whole_) {
    whole_ = false;
    cudaGraphExec_t once = nullptr;
    check(cudaGraphInstantiate(&once, graph, 0), "CUDA graph");
    check(cudaGraphLaunch(once, stream), "CUDA graph");
    check(cudaStreamSynchronize(stream), "CUDA graph");
    cudaGraphExecDestroy(once);
  } else {
    launch(stream, graph);
  }
  cudaGraphDestroy(graph);
}

void Graphs::begin(cudaStream_t stream) {
  flush(stream);
  capture(stream);
  stream_ = stream;
  whole_ = true;
}

cudaGraphExec_t Graphs::end() {
  if (!whole_) return nullptr;
  whole_ = false;
  const cudaGraph_t graph = captured(stream_);
  cudaGraphExec_t exec = nullptr;
  const cudaError_t result = cudaGraphInstantiate(&exec, graph, 0);
  cudaGraphDestroy(graph);
  check(result, "CUDA graph");
  return exec;
}

void Graphs::launch(cudaStream_t stream, cudaGraph_t graph) {
  if (known_.size() >= kMaxKnown) {
    for (const auto& [hash, known] : known_) cudaGraphExecDestroy(known);
    known_.clear();
  }
  cudaGraphExec_t& known = known_[hash_];
  cudaGraphExecUpdateResultInfo difference;
  if (known && cudaGraphExecUpdate(known, graph, &difference) != cudaSuccess) {
    cudaGetLastError();  // another graph after all, which is no error of the next call
    cudaGraphExecDestroy(known);
    known = nullptr;
  }
  if (!known) check(cudaGraphInstantiate(&known, graph, 0), "CUDA graph");
  check(cudaGraphLaunch(known, stream), "CUDA graph");
}

}  // namespace nnm::cuda
