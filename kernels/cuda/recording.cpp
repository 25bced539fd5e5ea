// Recording by stream capture, with memory that nobody else gets.
#include "kernels/cuda/recording.h"

#include <cstring>
#include <exception>

#include "kernels/cuda/draw.h"
#include "kernels/cuda/graphs.h"
#include "kernels/cuda/plugin.h"

namespace nnm::cuda {

namespace {

constexpr size_t kSlot = 16, kSlots = 4;

}  // namespace

Recording::Recording(uint64_t seed, uint64_t offset) : device_(current_device()) {
  void* p = nullptr;
  check(cudaHostAlloc(&p, kSlot * kSlots, cudaHostAllocDefault), "page-locked memory");
  page_locked_ = static_cast<char*>(p);
  check(cudaEventCreateWithFlags(&first_done_, cudaEventDisableTiming), "CUDA event");
  begin_draws(seed, offset);
  pool_ = memory_of(device_).open();
  graphs().begin(flushed_stream());
}

Recording::~Recording() {
  try {
    const OnDevice here(device_);
    // What was asked for and is not launched yet is done: others may build on it.
    const cudaStream_t stream = flushed_stream();
    graphs().rest(false);
    cudaStreamSynchronize(stream);
  } catch (const std::exception&) {
    // A device that fails says so at the next call, too.
  }
  if (open_) close();
  for (const cudaGraphExec_t part : parts_)
    if (part) cudaGraphExecDestroy(part);
  memory_of(device_).dissolve(pool_);
  cudaEventDestroy(first_done_);
  cudaFreeHost(page_locked_);
}

void Recording::close() {
  open_ = false;
  memory_of(device_).close();
  draws_ = end_draws();
}

bool Recording::end_part(bool more) {
  const OnDevice here(device_);
  const cudaGraphExec_t part = graphs().end();
  const cudaStream_t stream = flushed_stream();
  parts_.push_back(part);
  if (part) check(cudaGraphLaunch(part, stream), "CUDA graph");
  launched(parts_.size() - 1);
  whole_ = whole_ && part;
  if (more) {
    graphs().begin(stream);
    return whole_;
  }
  close();
  whole_ = whole_ && memory_of(device_).holds(pool_);
  graphs().rest(whole_);
  return whole_;
}

bool Recording::replay(size_t part, uint64_t offset) {
  if (!whole_ || !memory_of(device_).holds(pool_)) return false;
  const OnDevice here(device_);
  if (part == 0 && draws_) set_draws(offset);
  check(cudaGraphLaunch(parts_[part], flushed_stream()), "CUDA graph");
  launched(part);
  return true;
}

void Recording::launched(size_t part) {
  if (part == 0) check(cudaEventRecord(first_done_, flushed_stream()), "CUDA event");
}

void Recording::fetch(size_t slot, const void* from, size_t bytes) {
  static constexpr char kKind = 0;
  const OnDevice here(device_);
  check(
      cudaMemcpyAsync(page_locked_ + slot * kSlot, from, bytes, cudaMemcpyDefault, stream(&kKind)),
      "CUDA copy");
}

void Recording::fetched(size_t slot, void* to, size_t bytes) {
  check(cudaEventSynchronize(first_done_), "CUDA");
  std::memcpy(to, page_locked_ + slot * kSlot, bytes);
}

}  // namespace nnm::cuda
