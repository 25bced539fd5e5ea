// Rows of a table by index, and the sums of their gradients in the order of the indices.
#include "kernels/embedding.h"

#include <algorithm>
#include <bit>

#include "kernels/cuda/element.h"
#include "kernels/cuda/order.h"
#include "kernels/cuda/plugin.h"

namespace nnm::cuda {
namespace {

/// Elements of one size: their type does not matter to what only moves them.
template <class Bits>
__global__ void take_rows(Bits* y, const Bits* weight, const int64_t* indices, int64_t n,
                          int64_t width) {
  const int64_t i = global_thread();
  if (i >= n * width) return;
  int64_t column;
  const int64_t row = divide(i, width, &column);
  y[i] = weight[indices[row] * width + column];
}

template <class Bits>
void take_rows_as(const View& y, const View& weight, const View& indices, int64_t bytes) {
  const int64_t width = bytes / static_cast<int64_t>(sizeof(Bits)), n = indices.numel();
  NNM_LAUNCH(take_rows<Bits>, blocks_for(n * width), dim3(kThreads), 0, y.as<Bits>(),
             weight.as<Bits>(), indices.as<int64_t>(), n, width);
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

constexpr int kWarps = 8;
constexpr int64_t kLeastRows = 16;  ///< of a warp, where a run is longer

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

/// Blocks whose place begins a run of one row add that run's gradients for 32 columns. Warps share
/// a long run, each a part of it in order; their sums are added in order.
template <class T>
__global__ void add_rows(T* dw, const T* g, const int64_t* rows, const int64_t* places, int64_t n,
                         int64_t width, int64_t padding) {
  using C = Compute<T>;
  __shared__ C sums[kWarps][32];
  const int64_t begin = blockIdx.x, row = rows[begin];
  if ((begin > 0 && rows[begin - 1] == row) || row == padding) return;
  const int64_t count = run_end(rows, begin, n) - begin;
  const int64_t share = (count + kWarps - 1) / kWarps,
                part = share > kLeastRows ? share : kLeastRows;
  const int64_t column = static_cast<int64_t>(blockIdx.y) * 32 + threadIdx.x;
  const int64_t first = threadIdx.y * part, last = first + part < count ? first + part : count;
  C sum = 0;
  if (column < width) {
#pragma unroll 8
    for (int64_t i = first; i < last; ++i)
      sum += static_cast<C>(g[places[begin + i] * width + column]);
  }
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= width) return;
  for (int64_t w = 1; w * part < count; ++w) sum += sums[w][threadIdx.x];
  dw[row * width + column] = T(sum);
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
    NNM_LAUNCH(add_rows<T>,
               dim3(static_cast<unsigned>(n), static_cast<unsigned>((width + 31) / 32)),
               dim3(32, kWarps), 0, dw.as<T>(), g.as<T>(), sorted.get(), order.get(), n, width,
               padding_idx);
  });
}

}  // namespace
}  // namespace nnm::cuda

NNM_CUDA_KERNEL(embedding, nnm::cuda::embedding_cuda);
NNM_CUDA_KERNEL(embedding_backward, nnm::cuda::embedding_backward_cuda);
NNM_CUDA_KERNEL(bounded_indices, nnm::cuda::bounded_indices_cuda);
