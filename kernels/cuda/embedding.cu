// Rows of a table by index, and the sums of their gradients in the order of the indices.
#include "kernels/embedding.h"

#include <algorithm>
#include <bit>

#include "kernels/cuda/element.h"
#include "kernels/cuda/order.h"
#include "kernels/cuda/plugin.h"

namespace nnm::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kEach = 4;  ///< elements of a thread, which are under way at once

/// Elements of one size, `total` of them: their type does not matter to what only moves them.
template <class Bits>
__global__ void take_rows(Bits* y, const Bits* weight, const int64_t* indices, int64_t total,
                          int64_t width) {
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kThreads * kEach + threadIdx.x;
  int64_t from[kEach];
#pragma unroll
  for (int k = 0; k < kEach; ++k) {
    // The last element in place of those beyond the end: so no load waits for a branch.
    const int64_t i = first + kThreads * k;
    int64_t column;
    const int64_t row = divide(i < total ? i : total - 1, width, &column);
    from[k] = indices[row] * width + column;
  }
  Bits held[kEach];
#pragma unroll
  for (int k = 0; k < kEach; ++k) held[k] = weight[from[k]];
#pragma unroll
  for (int k = 0; k < kEach; ++k)
    if (first + kThreads * k < total) y[first + kThreads * k] = held[k];
}

template <class Bits>
void take_rows_as(const View& y, const View& weight, const View& indices, int64_t bytes) {
  const int64_t width = bytes / static_cast<int64_t>(sizeof(Bits)), total = indices.numel() * width;
  NNM_LAUNCH(take_rows<Bits>, blocks_for((total + kEach - 1) / kEach), dim3(kThreads), 0,
             y.as<Bits>(), weight.as<Bits>(), indices.as<int64_t>(), total, width);
}

void embedding_cuda(const View& y, const View& weight, const View& indices) {
  const int64_t bytes = weight.size[1] * static_cast<int64_t>(item_size(weight.dtype));
  if (bytes % 16 == 0 && aligned(y.data) && aligned(weight.data))
    return take_rows_as<Pack<uint64_t>>(y, weight, indices, bytes);
  by_size(weight.dtype, [&]<class Bits>() { take_rows_as<Bits>(y, weight, indices, bytes); });
}

__global__ void bound_indices(int64_t* safe, const int64_t* indices, int64_t* bad, int64_t n,
                              int64_t count, int64_t ignore) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const int64_t at = indices[i];
  const bool good = (at >= 0 && at < count) || at == ignore;
  safe[i] = good ? at : 0;
  if (!good) *bad = 1;
}

void bounded_indices_cuda(const View& safe, const View& indices, const View& bad, int64_t count,
                          int64_t ignore) {
  const int64_t n = indices.numel();
  NNM_LAUNCH(bound_indices, blocks_for(n), kThreads, 0, safe.as<int64_t>(), indices.as<int64_t>(),
             bad.as<int64_t>(), n, count, ignore);
}

/// The end of the run of equal rows that begins at `first`.
__device__ inline int64_t run_end(const int64_t* rows, int64_t first, int64_t n) {
  int64_t low = first + 1, high = n;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (rows[middle] == rows[first]) low = middle + 1;
    else high = middle;
  }
  return low;
}

constexpr int kLongRun = 33;  ///< of what a warp counts at once: so many or more
constexpr int kColumns = 2;   ///< packs of a lane

/// Gradients of rows of `width` packs, and what a lane adds of them: `column` and those 32 further
/// on.
template <class T, int kWide>
struct Gradients {
  using C = Compute<T>;
  const Pack<T, kWide>* g;
  int64_t width, column;
  using Sums = C[kColumns][kWide];

  __device__ void add(Sums& sums, int64_t place) const {
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      // The first column in place of those beyond the end, whose sums are not stored.
      const int64_t at = column + 32 * c < width ? column + 32 * c : 0;
      const Pack<T, kWide> p = g[place * width + at];
      for (int j = 0; j < kWide; ++j) sums[c][j] += static_cast<C>(p.v[j]);
    }
  }
  __device__ void store(Pack<T, kWide>* row, const Sums& sums) const {
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      if (column + 32 * c >= width) continue;
      Pack<T, kWide> p;
      for (int j = 0; j < kWide; ++j) p.v[j] = T(sums[c][j]);
      row[column + 32 * c] = p;
    }
  }
};

/// The length of the run of rows that begins at `first`, kLongRun for longer ones; 0 where none
/// begins or it is of the padding. For all lanes.
__device__ inline int run_length(const int64_t* rows, int64_t first, int64_t n, int64_t padding) {
  const int64_t at = first + 1 + threadIdx.x;
  // All loads at once, none waits for what another says.
  const int64_t row = rows[first < n ? first : n - 1], next = rows[at < n ? at : n - 1],
                before = rows[first > 0 && first < n ? first - 1 : 0];
  const unsigned same = __ballot_sync(~0u, at < n && next == row);
  if (first >= n || (first > 0 && before == row) || row == padding) return 0;
  return same == ~0u ? kLongRun : __ffs(static_cast<int>(~same));
}

/// A run of one row that begins at a warp's place is added by the warp, in order, for the columns
/// of blockIdx.y; a long one then by the block, each warp a part of it in order, and their sums in
/// order.
template <class T, int kWide>
__global__ void add_rows(T* dw, const T* g, const int64_t* rows, const int64_t* places, int64_t n,
                         int64_t width, int64_t padding) {
  using C = Compute<T>;
  using P = Pack<T, kWide>;
  __shared__ C parts[kWarps][kColumns * kWide][32];
  __shared__ int counts[kWarps];
  const int lane = static_cast<int>(threadIdx.x), warp = static_cast<int>(threadIdx.y);
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kWarps, own = first + warp;
  const Gradients<T, kWide> gradients{reinterpret_cast<const P*>(g), width,
                                      static_cast<int64_t>(blockIdx.y) * 32 * kColumns + lane};
  P* const out = reinterpret_cast<P*>(dw);
  const int64_t place = places[own + lane < n ? own + lane : n - 1];
  const int count = run_length(rows, own, n, padding);
  if (count > 0 && count < kLongRun) {
    C sums[kColumns][kWide] = {};
#pragma unroll 4
    for (int i = 0; i < count; ++i) gradients.add(sums, __shfl_sync(~0u, place, i));
    gradients.store(out + rows[own] * width, sums);
  }
  if (lane == 0) counts[warp] = count;
  __syncthreads();
  for (int w = 0; w < kWarps; ++w) {
    if (counts[w] < kLongRun) continue;
    const int64_t begin = first + w, length = run_end(rows, begin, n) - begin,
                  part = (length + kWarps - 1) / kWarps;
    C sums[kColumns][kWide] = {};
#pragma unroll 4
    for (int64_t i = warp * part; i < (warp + 1) * part && i < length; ++i)
      gradients.add(sums, places[begin + i]);
    for (int j = 0; j < kColumns * kWide; ++j) parts[warp][j][lane] = sums[j / kWide][j % kWide];
    __syncthreads();
    if (warp == 0) {
      for (int other = 1; other < kWarps; ++other)
        for (int j = 0; j < kColumns * kWide; ++j)
          sums[j / kWide][j % kWide] += parts[other][j][lane];
      gradients.store(out + rows[begin] * width, sums);
    }
    __syncthreads();
  }
}

template <class T, int kWide>
void add_rows_of(const View& dw, const View& g, const int64_t* rows, const int64_t* places,
                 int64_t n, int64_t padding) {
  const int64_t width = dw.size[1] / kWide, columns = 32 * kColumns;
  const dim3 grid(static_cast<unsigned>((n + kWarps - 1) / kWarps),
                  static_cast<unsigned>((width + columns - 1) / columns));
  NNM_LAUNCH((add_rows<T, kWide>), grid, dim3(32, kWarps), 0, dw.as<T>(), g.as<T>(), rows, places,
             n, width, padding);
}

void embedding_backward_cuda(const View& dw, const View& g, const View& indices,
                             int64_t padding_idx) {
  const int64_t n = indices.numel(), width = dw.size[1];
  if (dw.numel() == 0) return;
  check(
      cudaMemsetAsync(dw.data, 0, static_cast<size_t>(dw.numel()) * item_size(dw.dtype), stream()),
      "embedding_backward");
  const Scratch<int64_t> sorted(n), order(n);
  stable_order(sorted.get(), order.get(), indices.as<int64_t>(), n,
               static_cast<int>(std::bit_width(static_cast<uint64_t>(dw.size[0]))));
  by_floating(dw.dtype, [&]<class T>() {
    constexpr int kWide = 16 / sizeof(T);
    const bool packs = width % kWide == 0 && aligned(dw.data) && aligned(g.data);
    if (packs) add_rows_of<T, kWide>(dw, g, sorted.get(), order.get(), n, padding_idx);
    else add_rows_of<T, 1>(dw, g, sorted.get(), order.get(), n, padding_idx);
  });
}

}  // namespace
}  // namespace nnm::cuda

NNM_CUDA_KERNEL(embedding, nnm::cuda::embedding_cuda);
NNM_CUDA_KERNEL(embedding_backward, nnm::cuda::embedding_backward_cuda);
NNM_CUDA_KERNEL(bounded_indices, nnm::cuda::bounded_indices_cuda);
