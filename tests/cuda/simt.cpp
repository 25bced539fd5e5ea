// The emulation of CUDA's threads: what it computes, and that it finds what a GPU would.
#include "kernels/cuda/simt.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

namespace nnm {
namespace {

/// The sum of each block's values in shared memory, with the barrier between the steps or without.
template <bool kBarrier>
__global__ void block_sums(const int* x, int* sums) {
  __shared__ int part[64];
  const unsigned t = threadIdx.x;
  part[t] = x[blockIdx.x * 64 + t];
  __syncthreads();
  for (unsigned half = 32; half > 0; half /= 2) {
    if (t < half) part[t] += part[t + half];
    if (kBarrier) __syncthreads();
  }
  if (t == 0) sums[blockIdx.x] = part[0];
}

template <bool kBarrier>
std::vector<int> sums_of_blocks() {
  std::vector<int> x(192), sums(3, -1);
  for (int i = 0; i < 192; ++i) x[static_cast<size_t>(i)] = i * i;
  NNM_LAUNCH(block_sums<kBarrier>, 3, 64, 0, x.data(), sums.data());
  return sums;
}

std::vector<int> expected_sums() {
  std::vector<int> sums(3, 0);
  for (int i = 0; i < 192; ++i) sums[static_cast<size_t>(i / 64)] += i * i;
  return sums;
}

struct Ordered {
  explicit Ordered(simt::Order order, uint64_t seed = 0) { simt::set_order(order, seed); }
  ~Ordered() { simt::set_order(simt::Order::forward); }
};

TEST_CASE("simt: barriers hold in every order of threads") {
  CHECK(sums_of_blocks<true>() == expected_sums());
  {
    const Ordered reverse(simt::Order::reverse);
    CHECK(sums_of_blocks<true>() == expected_sums());
  }
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const Ordered shuffled(simt::Order::shuffled, seed);
    CHECK(sums_of_blocks<true>() == expected_sums());
  }
}

/// Overwrites what the others still read, unless a barrier keeps it.
template <bool kBarrier>
__global__ void minus_first(int* x) {
  const int first = x[0];
  if (kBarrier) __syncthreads();
  x[threadIdx.x] -= first;
}

template <bool kBarrier>
__global__ void minus_last(int* x) {
  const int last = x[blockDim.x - 1];
  if (kBarrier) __syncthreads();
  x[threadIdx.x] -= last;
}

TEST_CASE("simt: a missing barrier shows in reverse order or in forward order") {
  const auto run = [](auto kernel) {
    std::vector<int> x(40, 7);
    NNM_LAUNCH(kernel, 1, 40, 0, x.data());
    return x;
  };
  const std::vector<int> right(40, 0);
  CHECK(sums_of_blocks<false>() != expected_sums());
  CHECK(run(minus_first<true>) == right);
  CHECK(run(minus_first<false>) != right);
  CHECK(run(minus_last<false>) == right);
  const Ordered reverse(simt::Order::reverse);
  CHECK(run(minus_first<true>) == right);
  CHECK(run(minus_first<false>) == right);  // thread 0 comes last, and hides it
  CHECK(run(minus_last<true>) == right);    // of which only this order shows the race
  CHECK(run(minus_last<false>) != right);
}

__device__ inline int over_lanes(int v) {
  for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(~0u, v, d);
  return v;
}

/// Two sums over the block by way of the same shared memory, with the barrier between them or not.
template <bool kBarrier>
__global__ void two_sums(int* out) {
  __shared__ int parts[2];
  const int t = static_cast<int>(threadIdx.x);
  int sums[2];
  for (int k = 0; k < 2; ++k) {
    const int warp = over_lanes(k == 0 ? t : 1);
    if (t % 32 == 0) parts[t / 32] = warp;
    __syncthreads();
    sums[k] = parts[0] + parts[1];
    if (kBarrier) __syncthreads();
  }
  out[t] = sums[0] * 100 + sums[1];
}

TEST_CASE("simt: a warp that runs ahead overwrites what others have not read") {
  const auto run = [](auto kernel) {
    std::vector<int> out(64);
    NNM_LAUNCH(kernel, 1, 64, 0, out.data());
    return out;
  };
  const std::vector<int> right(64, 64 * 63 / 2 * 100 + 64);
  for (const simt::Order order :
       {simt::Order::forward, simt::Order::reverse, simt::Order::shuffled}) {
    const Ordered ordered(order, 5);
    CHECK(run(two_sums<true>) == right);
    CHECK(run(two_sums<false>) != right);
  }
}

__global__ void warp_words(int* out) {
  const int t = static_cast<int>(threadIdx.x);
  int v = t;
  for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(~0u, v, d);
  const int up = __shfl_up_sync(~0u, t, 1), down = __shfl_down_sync(~0u, t, 3, 8);
  const int from = __shfl_sync(~0u, t, 5, 8);
  const unsigned odd = __ballot_sync(~0u, t & 1);
  int* const row = out + t * 5;
  row[0] = v;
  row[1] = up;
  row[2] = down;
  row[3] = from;
  row[4] = static_cast<int>(odd);
}

TEST_CASE("simt: shuffles and ballots") {
  for (const simt::Order order :
       {simt::Order::forward, simt::Order::reverse, simt::Order::shuffled}) {
    const Ordered ordered(order, 5);
    std::vector<int> out(64 * 5);
    NNM_LAUNCH(warp_words, 1, 64, 0, out.data());
    for (int t = 0; t < 64; ++t) {
      const int* row = out.data() + t * 5;
      const int lane = t % 32;
      CHECK(row[0] == (t < 32 ? 496 : 1520));
      CHECK(row[1] == (lane ? t - 1 : t));
      CHECK(row[2] == (lane % 8 + 3 < 8 ? t + 3 : t));
      CHECK(row[3] == t / 8 * 8 + 5);
      CHECK(static_cast<unsigned>(row[4]) == 0xaaaaaaaau);
    }
  }
}

__global__ void places(int* out, int value) {
  NNM_DYNAMIC_SHARED(int, kept);
  const unsigned t = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned n = blockDim.x * blockDim.y * blockDim.z;
  const unsigned b = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  CHECK(kept[t] == -1);
  kept[t] = static_cast<int>(t);
  __syncthreads();
  out[b * n + t] = kept[n - 1 - t] * value + static_cast<int>(b);
  if (t == 0) atomicAdd(out + gridDim.x * gridDim.y * gridDim.z * n, 1);
}

TEST_CASE("simt: three dimensions, dynamic shared memory, atomics") {
  const dim3 grid(3, 2, 2), block(4, 3, 2);
  std::vector<int> out(12 * 24 + 1, 0);
  NNM_LAUNCH(places, grid, block, 24 * sizeof(int), out.data(), 100);
  for (int b = 0; b < 12; ++b)
    for (int t = 0; t < 24; ++t)
      REQUIRE(out[static_cast<size_t>(b * 24 + t)] == (23 - t) * 100 + b);
  CHECK(out.back() == 12);
  NNM_LAUNCH(places, dim3(0), block, 0, nullptr, 0);  // launches nothing
}

}  // namespace
}  // namespace nnm
