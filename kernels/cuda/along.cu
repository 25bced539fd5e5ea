// What runs along one dimension in order: extrema with their places, running sums, sorting.
#include <algorithm>

#include "kernels/cuda/element.h"
#include "kernels/reduce.h"
#include "kernels/reduction.h"
#include "kernels/wrapping.h"

namespace nnm::cuda {
namespace {

/// Lanes along `dim` of up to three tensors that agree in the other dimensions; a lane has n
/// elements, step[k] apart.
struct Lanes {
  int ndim = 0;
  int64_t size[kMaxDims], stride[3][kMaxDims];
  int64_t count = 1, n = 1, step[3] = {1, 1, 1};
  char* data[3] = {};
  DType dtype[3] = {};

  Lanes(const View& x, const View& a, const View& b, int64_t dim) {
    const View* const v[3] = {&x, &a, &b};
    for (int d = 0; d < x.ndim; ++d) {
      if (d == dim) continue;
      size[ndim] = x.size[d];
      count *= x.size[d];
      for (int k = 0; k < 3; ++k) stride[k][ndim] = v[k]->stride[d];
      ++ndim;
    }
    for (int k = 0; k < 3; ++k) {
      data[k] = v[k]->as<char>();
      dtype[k] = v[k]->dtype;
      if (x.ndim) step[k] = v[k]->stride[dim];
    }
    if (x.ndim) n = x.size[dim];
  }
  __device__ void start(int64_t lane, int64_t (&at)[3]) const {
    for (int64_t& a : at) a = 0;
    for (int d = ndim - 1; d >= 0; --d) {
      int64_t place;
      lane = divide(lane, size[d], &place);
      for (int k = 0; k < 3; ++k) at[k] += place * stride[k][d];
    }
  }
};

/// Calls body.template operator()<C>() with double for floating types and int64_t for others.
template <class Body>
void by_category(DType t, const Body& body) {
  if (is_floating(t)) body.template operator()<double>();
  else body.template operator()<int64_t>();
}

template <class C>
struct Found {
  C value;
  int64_t at;
};

/// Whether b is preferred to a: NaN to numbers, then the extreme, then the first.
template <class C>
__device__ inline bool preferred(const Found<C>& b, const Found<C>& a, bool largest) {
  if (b.at < 0) return false;
  if (a.at < 0) return true;
  const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
  if (a_nan || b_nan) return a_nan && b_nan ? b.at < a.at : b_nan;
  if (a.value == b.value) return b.at < a.at;
  return largest ? b.value > a.value : b.value < a.value;
}

/// `width` threads (a power of two up to 32) to a lane. Tensors: x, values, indices.
template <class C>
__global__ void extremum_kernel(Lanes lanes, bool largest, int width) {
  const int rank = static_cast<int>(threadIdx.x) & (width - 1);
  const int64_t lane = global_thread() / width;
  Found<C> best = {C(0), -1};
  int64_t at[3];
  lanes.start(lane < lanes.count ? lane : 0, at);
  if (lane < lanes.count) {
    for (int64_t i = rank; i < lanes.n; i += width) {
      const Found<C> now = {load<C>(lanes.data[0], lanes.dtype[0], at[0] + i * lanes.step[0]), i};
      if (preferred(now, best, largest)) best = now;
    }
  }
  for (int d = width / 2; d > 0; d /= 2) {
    const Found<C> other = {__shfl_xor_sync(~0u, best.value, d, width),
                            __shfl_xor_sync(~0u, best.at, d, width)};
    if (preferred(other, best, largest)) best = other;
  }
  if (lane >= lanes.count || rank != 0) return;
  store<C>(lanes.data[1], lanes.dtype[1], at[1], best.value);
  static_cast<int64_t*>(static_cast<void*>(lanes.data[2]))[at[2]] = best.at;
}

void extremum(const View& values, const View& indices, const View& x, int64_t dim, bool largest) {
  const Lanes lanes(x, values, indices, dim);
  if (lanes.count == 0 || lanes.n == 0) return;
  int width = 1;
  if (lanes.step[0] == 1 || lanes.count < 1024)
    while (width < 32 && width < lanes.n) width *= 2;
  by_category(x.dtype, [&]<class C>() {
    NNM_LAUNCH(extremum_kernel<C>, blocks_for(lanes.count * width), kThreads, 0, lanes, largest,
               width);
  });
}

/// A block to a lane: runs of kThreads elements, each summed by a scan of warps and of their
/// totals, on top of what came before. Tensors: x, y.
template <class C>
__global__ void cumsum_kernel(Lanes lanes, bool reverse) {
  __shared__ C totals[kThreads / 32];
  int64_t at[3];
  lanes.start(blockIdx.x, at);
  const int thread = static_cast<int>(threadIdx.x), rank = thread % 32, warp = thread / 32;
  C before = 0;
  for (int64_t run = 0; run < lanes.n; run += kThreads) {
    const int64_t i = run + thread, k = reverse ? lanes.n - 1 - i : i;
    C sum = i < lanes.n ? load<C>(lanes.data[0], lanes.dtype[0], at[0] + k * lanes.step[0]) : C(0);
    for (int d = 1; d < 32; d *= 2) {
      const C left = __shfl_up_sync(~0u, sum, static_cast<unsigned>(d));
      if (rank >= d) sum = plus(sum, left);
    }
    if (rank == 31) totals[warp] = sum;
    __syncthreads();
    C base = before;
    for (int w = 0; w < kThreads / 32; ++w) {
      if (w < warp) base = plus(base, totals[w]);
      before = plus(before, totals[w]);
    }
    if (i < lanes.n)
      store<C>(lanes.data[1], lanes.dtype[1], at[1] + k * lanes.step[1], plus(base, sum));
    __syncthreads();
  }
}

void cumsum(const View& y, const View& x, int64_t dim, bool reverse) {
  const Lanes lanes(x, y, y, dim);
  by_category(x.dtype, [&]<class C>() {
    NNM_LAUNCH(cumsum_kernel<C>, static_cast<unsigned>(lanes.count), kThreads, 0, lanes, reverse);
  });
}

/// The order is total, since no two items have one index: so the network below, which is not
/// stable, sorts stably. Items that fill lanes up to a power of two come last.
template <class C>
__device__ inline bool stands_before(const Found<C>& a, const Found<C>& b, int64_t n,
                                     bool descending) {
  if (a.at >= n || b.at >= n) return a.at < b.at;
  const C x = descending ? b.value : a.value, y = descending ? a.value : b.value;
  if (x < y || (y != y && x == x)) return true;
  const bool after = y < x || (x != x && y == y);
  return !after && a.at < b.at;
}

template <class C>
__global__ void gather_items(Found<C>* items, Lanes lanes, int64_t padded) {
  int64_t i;
  const int64_t lane = divide(global_thread(), padded, &i);
  if (lane >= lanes.count) return;
  int64_t at[3];
  lanes.start(lane, at);
  const C value =
      i < lanes.n ? load<C>(lanes.data[0], lanes.dtype[0], at[0] + i * lanes.step[0]) : C(0);
  items[lane * padded + i] = {value, i};
}

/// One exchange of Batcher's bitonic network: pairs `far` apart in runs of 2 `run`.
template <class C>
__device__ inline void exchange(Found<C>* items, int64_t pair, int64_t place, int64_t far,
                                int64_t run, int64_t n, bool descending) {
  const int64_t low = pair / far * 2 * far + pair % far;
  const bool up = ((place + low) & (2 * run)) == 0;
  const Found<C> a = items[low], b = items[low + far];
  if (stands_before(b, a, n, descending) != up) return;
  items[low] = b;
  items[low + far] = a;
}

template <class C>
__global__ void exchange_far(Found<C>* items, int64_t pairs, int64_t padded, int64_t far,
                             int64_t run, int64_t n, bool descending) {
  const int64_t i = global_thread();
  if (i >= pairs) return;
  int64_t pair;
  const int64_t lane = divide(i, padded / 2, &pair);
  exchange(items + lane * padded, pair, 0, far, run, n, descending);
}

constexpr int64_t kTileItems = 2 * kThreads;

/// All exchanges of distances up to far within tiles of shared memory, for runs from first to last.
template <class C>
__global__ void exchange_near(Found<C>* items, int64_t padded, int64_t tile, int64_t first,
                              int64_t last, int64_t n, bool descending) {
  __shared__ Found<C> kept[kTileItems];
  Found<C>* const own = items + blockIdx.x * tile;
  int64_t place;
  divide(blockIdx.x * tile, padded, &place);
  for (int64_t i = threadIdx.x; i < tile; i += kThreads) kept[i] = own[i];
  __syncthreads();
  for (int64_t run = first; run <= last; run *= 2) {
    for (int64_t far = run < tile / 2 ? run : tile / 2; far > 0; far /= 2) {
      for (int64_t pair = threadIdx.x; pair < tile / 2; pair += kThreads)
        exchange(kept, pair, place, far, run, n, descending);
      __syncthreads();
    }
  }
  for (int64_t i = threadIdx.x; i < tile; i += kThreads) own[i] = kept[i];
}

template <class C>
__global__ void put_items(const Found<C>* items, Lanes lanes, int64_t padded, int64_t first) {
  int64_t i;
  const int64_t lane = divide(global_thread(), first, &i);
  if (lane >= lanes.count) return;
  int64_t at[3];
  lanes.start(lane, at);
  const Found<C> item = items[lane * padded + i];
  store<C>(lanes.data[1], lanes.dtype[1], at[1] + i * lanes.step[1], item.value);
  store<int64_t>(lanes.data[2], lanes.dtype[2], at[2] + i * lanes.step[2], item.at);
}

/// Sorts lanes of `padded` items, a power of two.
template <class C>
void sort_items(Found<C>* items, int64_t lanes, int64_t padded, int64_t n, bool descending) {
  const int64_t tile = std::min(padded, kTileItems);
  const auto tiles = static_cast<unsigned>(lanes * (padded / tile));
  NNM_LAUNCH(exchange_near<C>, tiles, kThreads, 0, items, padded, tile, int64_t{1}, tile / 2, n,
             descending);
  for (int64_t run = tile; run < padded; run *= 2) {
    const int64_t pairs = lanes * padded / 2;
    for (int64_t far = run; far >= tile; far /= 2)
      NNM_LAUNCH(exchange_far<C>, blocks_for(pairs), kThreads, 0, items, pairs, padded, far, run, n,
                 descending);
    NNM_LAUNCH(exchange_near<C>, tiles, kThreads, 0, items, padded, tile, run, run, n, descending);
  }
}

void sort(const View& values, const View& indices, const View& x, int64_t dim, bool descending) {
  const Lanes lanes(x, values, indices, dim);
  const int64_t first = values.ndim ? values.size[dim] : 1;
  if (lanes.count == 0 || lanes.n == 0 || first == 0) return;
  int64_t padded = 1;
  while (padded < lanes.n) padded *= 2;
  by_category(x.dtype, [&]<class C>() {
    const Scratch<Found<C>> items(lanes.count * padded);
    NNM_LAUNCH(gather_items<C>, blocks_for(lanes.count * padded), kThreads, 0, items.get(), lanes,
               padded);
    if (padded > 1) sort_items(items.get(), lanes.count, padded, lanes.n, descending);
    NNM_LAUNCH(put_items<C>, blocks_for(lanes.count * first), kThreads, 0, items.get(), lanes,
               padded, first);
  });
}

NNM_CUDA_KERNEL(extremum, extremum);
NNM_CUDA_KERNEL(cumsum, cumsum);
NNM_CUDA_KERNEL(sort, sort);

}  // namespace
}  // namespace nnm::cuda
