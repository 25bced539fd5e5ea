// Statistics by pieces, one to a block; the last block of each tensor puts their sums together in
// their order.
#include "kernels/statistics.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/cuda/block.h"
#include "kernels/cuda/element.h"
#include "kernels/cuda/pieces.h"
#include "kernels/cuda/together.h"
#include "kernels/statistics_sums.h"

namespace nnm::cuda {
namespace {

constexpr int kWarps = kThreads / 32;
constexpr int kMost = 128;  // tensors of a launch

/// Elements in the order of memory: of type S, …
template <class S>
struct Row {
  const void* p;
  __device__ double operator()(int64_t i) const {
    return static_cast<double>(static_cast<Compute<S>>(static_cast<const S*>(p)[i]));
  }
};
/// … of any type, …
struct AnyRow {
  const void* p;
  DType dtype;
  __device__ double operator()(int64_t i) const { return load<double>(p, dtype, i); }
};
/// … and of any strides.
struct Walk {
  Folded<1> w;
  __device__ double operator()(int64_t i) const {
    int64_t at[1];
    offsets(w, i, at);
    return load<double>(w.data[0], w.dtype[0], at[0]);
  }
};

/// What is to be known of a tensor.
struct Wish {
  bool all, histogram;
};

/// Dense tensors of one launch.
struct Listed {
  const void* p[kMost];
  int64_t n[kMost];
  unsigned first[kMost];  ///< block of each
  DType dtype[kMost];
  Wish wish[kMost];
  int count = 0;
  unsigned blocks = 0;
};
static_assert(sizeof(Listed) + 64 <= kMostArguments);

/// Blocks that have summed up their pieces, of each tensor of the launch that runs.
__device__ unsigned arrived[kMost];

__device__ inline bool finite(double x) { return std::abs(x) < kInf; }

constexpr int kFew = 15;

/// A number amid the others, since sums of distances from it keep the second moment where the mean
/// is large: the middle one of a few that lie scattered, so that no outlier is taken.
template <class X>
__device__ double centre(const X& x, int64_t n) {
  constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;
  __shared__ double looked[kFew], found;
  const int looks = n == 0 ? 0 : n <= kPiece ? 5 : kFew, rank = static_cast<int>(threadIdx.x);
  if (rank == 0) found = 0;
  if (rank < looks) {
    // The golden ratio's multiples, modulo 1, times n.
    const uint64_t part = static_cast<uint64_t>(rank + 1) * kGolden;
    looked[rank] = x(static_cast<int64_t>(__umul64hi(part, static_cast<uint64_t>(n))));
  }
  __syncthreads();
  if (rank < looks && finite(looked[rank])) {
    int below = 0, count = 0;
    for (int i = 0; i < looks; ++i) {
      if (!finite(looked[i])) continue;
      ++count;
      below += looked[i] < looked[rank] || (looked[i] == looked[rank] && i < rank);
    }
    if (below == count / 2) found = looked[rank];
  }
  __syncthreads();
  return found;
}

__device__ inline int bin_of(double x) {
  const auto bits = std::bit_cast<uint64_t>(x);
  const uint64_t size = bits << 1 >> 1, negative = size != 0 ? bits >> 63 : 0;
  return nnm::bin_of(negative != 0, static_cast<int>((size - negative) >> 52) - 1023);
}

/// The thread's share of a piece. Without kAll, no magnitudes and no zeros.
template <bool kAll, class X>
__device__ Sums share(const X& x, int64_t begin, int64_t end, double shift, uint32_t* bins) {
  Sums s;
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    const double v = x(i), d = v - shift;
    s.nan += v != v;
    if (!finite(v)) continue;
    s.d1 += d;
    s.d2 += d * d;
    s.low = v < s.low ? v : s.low;
    s.high = v > s.high ? v : s.high;
    ++s.finite;
    if constexpr (kAll) {
      s.l1 += std::abs(v);
      s.zero += v == 0;
    }
    if (bins) atomicAdd(&bins[bin_of(v)], 1u);
  }
  return s;
}

__device__ inline Sums over_threads(Sums s) {
  s.d1 = over_block<kWarps>(s.d1, Plus());
  s.d2 = over_block<kWarps>(s.d2, Plus());
  s.l1 = over_block<kWarps>(s.l1, Plus());
  s.low = -over_block<kWarps>(-s.low, Most());
  s.high = over_block<kWarps>(s.high, Most());
  s.finite = over_block<kWarps>(s.finite, Plus());
  s.nan = over_block<kWarps>(s.nan, Plus());
  s.zero = over_block<kWarps>(s.zero, Plus());
  return s;
}

/// The sums of a tensor's pieces, which other blocks have written.
__device__ inline Sums joined(const Sums* pieces, int64_t count) {
  Sums s;
  for (int64_t i = threadIdx.x; i < count; i += kThreads) {
    const Sums& p = pieces[i];
    s.d1 += __ldcg(&p.d1);
    s.d2 += __ldcg(&p.d2);
    s.l1 += __ldcg(&p.l1);
    const double low = __ldcg(&p.low), high = __ldcg(&p.high);
    s.low = low < s.low ? low : s.low;
    s.high = high > s.high ? high : s.high;
    s.finite += __ldcg(&p.finite);
    s.nan += __ldcg(&p.nan);
    s.zero += __ldcg(&p.zero);
  }
  return over_threads(s);
}

/// Block `piece` of those of a tensor, whose number in the launch is k; `pieces` are its own.
template <class X>
__device__ void sum_piece(const X& x, const Pieces& cut, unsigned piece, Wish wish, int k,
                          Sums* pieces, StatisticsRecord* out) {
  __shared__ uint32_t bins[kHistogramBins];
  for (int i = static_cast<int>(threadIdx.x); i < kHistogramBins; i += kThreads) bins[i] = 0;
  const double shift = centre(x, cut.n);
  const int64_t begin = cut.begin(piece), end = cut.end(piece);
  uint32_t* const counted = wish.histogram ? bins : nullptr;
  Sums s = over_threads(wish.all ? share<true>(x, begin, end, shift, counted)
                                 : share<false>(x, begin, end, shift, counted));
  if (wish.histogram)
    for (int i = static_cast<int>(threadIdx.x); i < kHistogramBins; i += kThreads)
      if (bins[i]) atomicAdd(&out->bins[i], bins[i]);
  if (cut.count > 1) {
    if (threadIdx.x == 0) pieces[piece] = s;
    if (!last_block(&arrived[k], static_cast<unsigned>(cut.count))) return;
    s = joined(pieces, cut.count);
  }
  if (threadIdx.x != 0) return;
  out->shift = shift;
  out->d1 = s.d1;
  out->d2 = s.d2;
  out->l1 = s.l1;
  out->low = s.low;
  out->high = s.high;
  out->finite = s.finite;
  out->nan = s.nan;
  out->zero = s.zero;
}

__global__ void sum_listed(Listed all, Sums* pieces, StatisticsRecord* out) {
  const int k = listed(all.first, all.count);
  const Pieces cut(all.n[k]);
  const unsigned first = all.first[k];
  const auto sum = [&](const auto& x) {
    sum_piece(x, cut, blockIdx.x - first, all.wish[k], k, pieces + first, out + k);
  };
  switch (all.dtype[k]) {
    case DType::f32: return sum(Row<float>{all.p[k]});
    case DType::bf16: return sum(Row<BFloat16>{all.p[k]});
    case DType::f16: return sum(Row<Half>{all.p[k]});
    default: return sum(AnyRow{all.p[k], all.dtype[k]});
  }
}

__global__ void sum_walk(Walk x, int64_t n, Wish wish, Sums* pieces, StatisticsRecord* out) {
  sum_piece(x, Pieces(n), blockIdx.x, wish, 0, pieces, out);
}

void launch(const Listed& list, StatisticsRecord* out) {
  if (list.count == 0) return;
  const Scratch<Sums> pieces(list.blocks);
  NNM_LAUNCH(sum_listed, list.blocks, kThreads, 0, list, pieces.get(), out);
}

void records(const View& out, std::span<const StatisticsTask> tasks) {
  auto* record = out.as<StatisticsRecord>();
  const auto counts = [](const StatisticsTask& t) { return t.histogram; };
  if (std::any_of(tasks.begin(), tasks.end(), counts))
    check(cudaMemsetAsync(record, 0, tasks.size() * sizeof(StatisticsRecord), stream(&arrived)),
          "clear histograms");
  Listed list;
  StatisticsRecord* first = record;
  for (const StatisticsTask& t : tasks) {
    const int64_t n = t.x.numel();
    const Pieces cut(n);
    const Wish wish{t.all, t.histogram};
    const Walk walk{Folded<1>({&t.x})};
    const bool dense = n == 0 || (walk.w.ndim == 1 && walk.w.stride[0][0] == 1) || n == 1;
    if (!dense) {
      const Scratch<Sums> pieces(cut.count);
      NNM_LAUNCH(sum_walk, cut.blocks(), kThreads, 0, walk, n, wish, pieces.get(), record);
    }
    // One that is launched alone ends the list: records of a list lie side by side.
    if (dense) {
      list.p[list.count] = t.x.data;
      list.n[list.count] = n;
      list.first[list.count] = list.blocks;
      list.dtype[list.count] = t.x.dtype;
      list.wish[list.count++] = wish;
      list.blocks += cut.blocks();
    }
    ++record;
    if (dense && list.count < kMost) continue;
    launch(list, first);
    list.count = 0;
    list.blocks = 0;
    first = record;
  }
  launch(list, first);
}

template <bool kAll>
void one(const View& x, TensorStatistics* out, uint32_t* histogram) {
  const Scratch<StatisticsRecord> memory(1);
  View to;
  to.data = memory.get();
  to.device = x.device;
  const StatisticsTask task{x, kAll, histogram != nullptr};
  records(to, {&task, 1});
  const StatisticsRecord record = read_back(memory.get());
  *out = statistics_of(record, x.numel());
  if (!histogram) return;
  for (int i = 0; i < kHistogramBins; ++i) histogram[i] += record.bins[i];
}

void statistics(const View& x, TensorStatistics* out, uint32_t* histogram) {
  one<true>(x, out, histogram);
}
void moments(const View& x, TensorStatistics* out, uint32_t* histogram) {
  one<false>(x, out, histogram);
}

NNM_CUDA_KERNEL(statistics, statistics);
NNM_CUDA_KERNEL(moments, moments);
NNM_CUDA_KERNEL(statistics_records, records);

}  // namespace
}  // namespace nnm::cuda
