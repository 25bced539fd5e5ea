// Best fit, splitting and joining.
#include "kernels/cuda/memory.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "kernels/cuda/plugin.h"

namespace nnm::cuda {

namespace {

constexpr size_t kMiB = size_t{1} << 20;
constexpr size_t kGrain = 512;
constexpr size_t kSmall = kMiB;  // up to here, from segments of kSmallSegment
constexpr size_t kSmallSegment = 2 * kMiB;
constexpr size_t kMedium = 10 * kMiB;  // up to here, from segments of kMediumSegment
constexpr size_t kMediumSegment = 20 * kMiB;

size_t round_up(size_t bytes, size_t grain) { return (bytes + grain - 1) / grain * grain; }

std::string human(size_t bytes) {
  char text[32];
  if (bytes < kMiB) std::snprintf(text, sizeof text, "%zu bytes", bytes);
  else if (bytes < 1024 * kMiB)
    std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / kMiB);
  else std::snprintf(text, sizeof text, "%.2f GiB", static_cast<double>(bytes) / (1024.0 * kMiB));
  return text;
}

#ifdef NNM_SIMT_EMULATED
constexpr unsigned char kEnd = 0xa5;

/// In the order of the stream: marks what a block has beyond what was asked for, …
void mark_end(char* begin, char* end) {
  static constexpr char kKind = 0;
  simt::do_or_keep(&kKind, [=] { std::memset(begin, kEnd, static_cast<size_t>(end - begin)); });
}
/// … and sees whether a kernel wrote there.
void check_end(const char* begin, const char* end) {
  static constexpr char kKind = 0;
  simt::do_or_keep(&kKind, [=] {
    for (const char* p = begin; p < end; ++p) {
      if (static_cast<unsigned char>(*p) == kEnd) continue;
      std::fprintf(stderr, "simt: memory was written %td bytes beyond its end\n", p - begin);
      std::abort();
    }
  });
}
#else
void mark_end(char*, char*) {}
void check_end(const char*, const char*) {}
#endif

}  // namespace

void* Memory::get(size_t bytes) {
  std::lock_guard lock(mutex_);
  if (bytes > SIZE_MAX - 2 * kMiB) out_of_memory(bytes);
  const size_t rounded = round_up(std::max<size_t>(bytes, 1), kGrain);
  const bool small = rounded <= kSmall;
  Block* b = best_fit(rounded, small);
  if (!b) b = segment(rounded, small);
  if (!b) {
    release_unused();
    b = segment(rounded, small);
  }
  if (!b && give_up_pools()) {
    release_unused();
    b = best_fit(rounded, small);
    if (!b) b = segment(rounded, small);
  }
  if (!b) out_of_memory(bytes);
  split(b, rounded);
  b->used = true;
  b->number = ++requests_;
  b->asked = bytes;
  mark_end(b->data + bytes, b->data + std::min(b->bytes, rounded));
  used_[b->data] = b;
  figures_.allocated += b->bytes;
  figures_.peak = std::max(figures_.peak, figures_.allocated);
  return b->data;
}

Memory::Block* Memory::best_fit(size_t bytes, bool small) {
  Block key{nullptr, bytes, small, pool_};
  Free& list = pool_->free[small];
  const auto at = list.lower_bound(&key);
  if (at == list.end()) return nullptr;
  Block* b = *at;
  list.erase(at);
  return b;
}

// A new segment of at least so many bytes as one block; null where the driver has none.
Memory::Block* Memory::segment(size_t bytes, bool small) {
  const size_t size = small              ? kSmallSegment
                      : bytes <= kMedium ? kMediumSegment
                                         : round_up(bytes, kSmallSegment);
  void* p = nullptr;
  const cudaError_t result = cudaMalloc(&p, size);
  if (result == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // dealt with here, not by the next kernel
    return nullptr;
  }
  check(result, "CUDA allocation");
  figures_.reserved += size;
  return new Block{static_cast<char*>(p), size, small, pool_};
}

// Cuts off what a request leaves of its block, unless that would be too little to be of use.
void Memory::split(Block* b, size_t bytes) {
  const size_t rest = b->bytes - bytes;
  if (rest < (b->small ? kGrain : kSmall)) return;
  auto* tail = new Block{b->data + bytes, rest, b->small, b->pool};
  tail->before = b;
  tail->after = b->after;
  if (b->after) b->after->before = tail;
  b->after = tail;
  b->bytes = bytes;
  b->pool->free[b->small].insert(tail);
}

// Both are free, in no list, and b follows a.
Memory::Block* Memory::join(Block* a, Block* b) {
  a->bytes += b->bytes;
  a->after = b->after;
  if (b->after) b->after->before = a;
  delete b;
  return a;
}

void Memory::put(void* p) noexcept {
  std::lock_guard lock(mutex_);
  const auto at = used_.find(p);
  if (at == used_.end()) return;
  Block* b = at->second;
  used_.erase(at);
  check_end(b->data + b->asked, b->data + round_up(std::max<size_t>(b->asked, 1), kGrain));
  b->used = false;
  figures_.allocated -= b->bytes;
  for (Pool* pool : opened_) pool->holds &= b->number > pool->opened;
  Free& list = b->pool->free[b->small];
  if (b->after && !b->after->used) {
    list.erase(b->after);
    b = join(b, b->after);
  }
  if (b->before && !b->before->used) {
    list.erase(b->before);
    b = join(b->before, b);
  }
  list.insert(b);
}

Memory::Pool* Memory::open() {
  std::lock_guard lock(mutex_);
  release_unused();
  opened_.push_back(new Pool);
  pool_ = opened_.back();
  pool_->opened = requests_;
  return pool_;
}

void Memory::close() {
  std::lock_guard lock(mutex_);
  pool_ = &common_;
}

bool Memory::holds(const Pool* pool) {
  std::lock_guard lock(mutex_);
  return pool->holds;
}

void Memory::dissolve(Pool* pool) noexcept {
  std::lock_guard lock(mutex_);
  share(pool);
  std::erase(opened_, pool);
  delete pool;
}

void Memory::share(Pool* pool) {
  for (const auto& [p, block] : used_)
    if (block->pool == pool) block->pool = &common_;
  for (const bool small : {false, true}) {
    for (Block* b : pool->free[small]) {
      b->pool = &common_;
      common_.free[small].insert(b);
    }
    pool->free[small].clear();
  }
}

// What is recorded can be done once more without its graphs, what is asked for now cannot. Whether
// there were pools.
bool Memory::give_up_pools() {
  bool any = false;
  for (Pool* pool : opened_) {
    if (pool == pool_ || !pool->holds) continue;
    pool->holds = false;
    share(pool);
    any = true;
  }
  return any;
}

// Gives segments that are all free back to the driver, once nothing in the stream uses them.
void Memory::release_unused() {
  check(cudaStreamSynchronize(flushed_stream()), "CUDA");
  for (Free& list : common_.free) {
    for (auto at = list.begin(); at != list.end();) {
      Block* b = *at;
      if (b->before || b->after) {
        ++at;
        continue;
      }
      check(cudaFree(b->data), "CUDA allocation");
      figures_.reserved -= b->bytes;
      at = list.erase(at);
      delete b;
    }
  }
}

void Memory::out_of_memory(size_t bytes) {
  size_t free = 0, total = 0;
  cudaMemGetInfo(&free, &total);
  const size_t cut = figures_.reserved - figures_.allocated;
  throw_device_error("out of memory on cuda:" + std::to_string(current_device()) +
                         ": tried to allocate " + human(bytes) + "; of " + human(total) + ", " +
                         human(free) + " are free, " + human(figures_.allocated) +
                         " are in tensors and " + human(cut) + " are kept for smaller ones",
                     "a smaller batch, a smaller network, or train.precision bf16");
}

CudaMemory Memory::figures() {
  std::lock_guard lock(mutex_);
  check(cudaMemGetInfo(&figures_.free, &figures_.total), "CUDA memory");
  return figures_;
}

void Memory::reset_peak() {
  std::lock_guard lock(mutex_);
  figures_.peak = figures_.allocated;
}

// Never destroyed: tensors in static storage outlive any static cache.
Memory& memory_of(int device) {
  static auto* all = new std::map<int, Memory>;
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  return (*all)[device];
}

void* allocate(size_t bytes) { return memory_of(current_device()).get(bytes); }
void deallocate(void* p) noexcept {
  int device = 0;
  cudaGetDevice(&device);
  memory_of(device).put(p);
}

}  // namespace nnm::cuda
