// Radix sort of keys with their places.
#include "kernels/cuda/order.h"

#include <utility>

#include "kernels/cuda/element.h"
#include "kernels/cuda/plugin.h"

namespace nnm::cuda {
namespace {

constexpr int kDigitBits = 8, kDigits = 1 << kDigitBits;
static_assert(kDigits == kThreads, "a thread looks after a digit");
constexpr int kWarps = kThreads / 32, kRounds = 8, kTile = kRounds * kThreads;

struct Keys {
  int64_t *key, *place;
};

__device__ inline int digit_of(int64_t key, int shift) {
  return static_cast<int>(key >> shift & (kDigits - 1));
}

__global__ void number(Keys to, const int64_t* keys, int64_t n) {
  const int64_t i = global_thread();
  if (i >= n) return;
  to.key[i] = keys[i];
  to.place[i] = i;
}

/// counts (digits, tiles): how often each tile has each digit.
__global__ void count_digits(int64_t* counts, const int64_t* keys, int64_t n, int shift) {
  __shared__ int count[kDigits];
  count[threadIdx.x] = 0;
  __syncthreads();
  for (int r = 0; r < kRounds; ++r) {
    const int64_t i = static_cast<int64_t>(blockIdx.x) * kTile + r * kThreads + threadIdx.x;
    if (i < n) atomicAdd(&count[digit_of(keys[i], shift)], 1);
  }
  __syncthreads();
  counts[static_cast<int64_t>(threadIdx.x) * gridDim.x + blockIdx.x] = count[threadIdx.x];
}

/// The sum over the threads up to and with this one.
__device__ inline int64_t running_sum(int64_t v) {
  __shared__ int64_t warps[kWarps];
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  for (int d = 1; d < 32; d *= 2) {
    const int64_t before = __shfl_up_sync(~0u, v, static_cast<unsigned>(d));
    if (lane >= d) v += before;
  }
  __syncthreads();  // the sum before this one has been read
  if (lane == 31) warps[warp] = v;
  __syncthreads();
  for (int w = 0; w < warp; ++w) v += warps[w];
  return v;
}

/// counts becomes where each tile's elements of each digit begin. One block: a thread has a digit.
__global__ void begin_digits(int64_t* counts, int64_t tiles) {
  int64_t* const own = counts + threadIdx.x * tiles;
  int64_t sum = 0;
#pragma unroll 8
  for (int64_t i = 0; i < tiles; ++i) sum += own[i];
  int64_t before = running_sum(sum) - sum;
#pragma unroll 8
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t count = own[i];
    own[i] = before;
    before += count;
  }
}

/// The lanes of the warp that have this lane's digit, among those that have one.
__device__ inline unsigned peers_of(int digit, bool has) {
  unsigned peers = __ballot_sync(~0u, has);
  for (int b = 0; b < kDigitBits; ++b) {
    const unsigned set = __ballot_sync(~0u, digit >> b & 1);
    peers &= digit >> b & 1 ? set : ~set;
  }
  return peers;
}

/// Moves a tile's elements, a round of threads at a time, each to where its digit goes on.
__global__ void place_elements(Keys to, Keys from, const int64_t* begins, int64_t n, int shift) {
  __shared__ int64_t begin[kDigits];
  __shared__ int count[kWarps][kDigits];
  const int t = static_cast<int>(threadIdx.x), lane = t % 32, warp = t / 32;
  begin[t] = begins[static_cast<int64_t>(t) * gridDim.x + blockIdx.x];
  for (int r = 0; r < kRounds; ++r) {
    for (int w = 0; w < kWarps; ++w) count[w][t] = 0;
    __syncthreads();
    const int64_t i = static_cast<int64_t>(blockIdx.x) * kTile + r * kThreads + t;
    const bool has = i < n;
    const int64_t key = has ? from.key[i] : 0;
    const int digit = digit_of(key, shift);
    const unsigned peers = peers_of(digit, has), lower = peers & ((1u << lane) - 1);
    if (has && lower == 0) count[warp][digit] = __popc(peers);
    __syncthreads();
    if (has) {
      int64_t at = begin[digit] + __popc(lower);
      for (int w = 0; w < warp; ++w) at += count[w][digit];
      to.key[at] = key;
      to.place[at] = from.place[i];
    }
    __syncthreads();
    for (int w = 0; w < kWarps; ++w) begin[t] += count[w][t];
  }
}

}  // namespace

void stable_order(int64_t* sorted, int64_t* order, const int64_t* keys, int64_t n, int bits) {
  if (n == 0) return;
  const int64_t tiles = (n + kTile - 1) / kTile;
  const Scratch<int64_t> spare(2 * n), counts(kDigits * tiles);
  Keys from{sorted, order}, to{spare.get(), spare.get() + n};
  // The last pass must end in the caller's memory.
  const int passes = bits <= kDigitBits ? 1 : (bits + kDigitBits - 1) / kDigitBits;
  if (passes % 2 == 1) std::swap(from, to);
  NNM_LAUNCH(number, blocks_for(n), dim3(kThreads), 0, from, keys, n);
  const dim3 grid(static_cast<unsigned>(tiles)), block(kThreads);
  for (int pass = 0; pass < passes; ++pass) {
    const int shift = pass * kDigitBits;
    NNM_LAUNCH(count_digits, grid, block, 0, counts.get(), from.key, n, shift);
    NNM_LAUNCH(begin_digits, dim3(1), block, 0, counts.get(), tiles);
    NNM_LAUNCH(place_elements, grid, block, 0, to, from, counts.get(), n, shift);
    std::swap(from, to);
  }
}

}  // namespace nnm::cuda
