// Statistics by pieces, one to a block; their sums come back to the host, which merges them in
// their order.
#include "kernels/statistics.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "kernels/cuda/block.h"
#include "kernels/cuda/element.h"
#include "kernels/statistics_sums.h"

namespace nnm::cuda {
namespace {

constexpr int64_t kPiece = 4096, kPieces = 1024;
constexpr int kWarps = kThreads / 32;

/// The elements of a tensor in the order of its memory: of type S, or for void of any type.
template <class S>
struct Numbers {
  Folded<1> w;
  __device__ double operator()(int64_t i) const {
    int64_t at[1] = {i};
    if (w.ndim > 1 || w.stride[0][0] != 1) offsets(w, i, at);
    if constexpr (std::is_void_v<S>) return load<double>(w.data[0], w.dtype[0], at[0]);
    else
      return static_cast<double>(
          static_cast<Compute<S>>(reinterpret_cast<const S*>(w.data[0])[at[0]]));
  }
};

/// What comes back before the sums of the pieces.
struct Head {
  double shift;
  uint32_t bins[kHistogramBins];
};

__device__ inline bool finite(double x) { return std::abs(x) < kInf; }

constexpr int kFew = 15;

/// By one warp: a number amid the others, since sums of distances from it keep the second moment
/// where the mean is large. The middle one of a few that lie scattered, so that no outlier is
/// taken.
template <class S>
__global__ void find_centre(Numbers<S> x, int64_t n, Head* head) {
  constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;
  __shared__ double looked[kFew];
  const int looks = n <= kPiece ? 5 : kFew, rank = static_cast<int>(threadIdx.x);
  if (rank < looks) {
    // The golden ratio's multiples, modulo 1, times n.
    const uint64_t part = static_cast<uint64_t>(rank + 1) * kGolden;
    looked[rank] = x(static_cast<int64_t>(__umul64hi(part, static_cast<uint64_t>(n))));
  }
  __syncthreads();
  if (rank != 0) return;
  double few[kFew];
  int count = 0;
  for (int i = 0; i < looks; ++i) {
    const double v = looked[i];
    if (!finite(v)) continue;
    int at = count++;
    for (; at > 0 && few[at - 1] > v; --at) few[at] = few[at - 1];
    few[at] = v;
  }
  head->shift = count ? few[count / 2] : 0;
}

__device__ inline int bin_of(double x) {
  const auto bits = std::bit_cast<uint64_t>(x);
  const uint64_t size = bits << 1 >> 1, negative = size != 0 ? bits >> 63 : 0;
  return nnm::bin_of(negative != 0, static_cast<int>((size - negative) >> 52) - 1023);
}

/// Block i sums piece i. Without kAll, no magnitudes and no zeros.
template <class S, bool kAll>
__global__ void sum_pieces(Numbers<S> x, int64_t n, int64_t piece, Head* head, Sums* pieces,
                           bool histogram) {
  __shared__ uint32_t bins[kHistogramBins];
  for (int i = static_cast<int>(threadIdx.x); i < kHistogramBins; i += kThreads) bins[i] = 0;
  __syncthreads();
  const double shift = head->shift;
  const int64_t begin = blockIdx.x * piece, end = begin + piece < n ? begin + piece : n;
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
    if (histogram) atomicAdd(&bins[bin_of(v)], 1u);
  }
  s.d1 = over_block<kWarps>(s.d1, Plus());
  s.d2 = over_block<kWarps>(s.d2, Plus());
  s.l1 = over_block<kWarps>(s.l1, Plus());
  s.low = -over_block<kWarps>(-s.low, Most());
  s.high = over_block<kWarps>(s.high, Most());
  s.finite = over_block<kWarps>(s.finite, Plus());
  s.nan = over_block<kWarps>(s.nan, Plus());
  s.zero = over_block<kWarps>(s.zero, Plus());
  if (threadIdx.x == 0) pieces[blockIdx.x] = s;
  if (!histogram) return;
  for (int i = static_cast<int>(threadIdx.x); i < kHistogramBins; i += kThreads)
    if (bins[i]) atomicAdd(&head->bins[i], bins[i]);
}

template <bool kAll, class S>
void typed(const View& x, TensorStatistics* out, uint32_t* histogram) {
  const Numbers<S> numbers{Folded<1>({&x})};
  const int64_t n = x.numel();
  const int64_t count = std::clamp<int64_t>((n + kPiece - 1) / kPiece, 1, kPieces);
  const int64_t piece = (n + count - 1) / count;
  const size_t bytes = sizeof(Head) + static_cast<size_t>(count) * sizeof(Sums);
  static_assert(sizeof(Head) % alignof(Sums) == 0);
  const Scratch<char> memory(static_cast<int64_t>(bytes));
  auto* const head = reinterpret_cast<Head*>(memory.get());
  auto* const pieces = reinterpret_cast<Sums*>(head + 1);
  check(cudaMemsetAsync(head, 0, sizeof(Head), stream()), "clear a histogram");
  NNM_LAUNCH(find_centre<S>, 1, 32, 0, numbers, n, head);
  NNM_LAUNCH((sum_pieces<S, kAll>), static_cast<unsigned>(count), kThreads, 0, numbers, n, piece,
             head, pieces, histogram != nullptr);
  std::vector<char> back(bytes);
  read_back(back.data(), memory.get(), bytes);
  const auto* const told = reinterpret_cast<const Head*>(back.data());
  const auto* const sums = reinterpret_cast<const Sums*>(told + 1);
  for (int64_t i = 0; i < count; ++i)
    out->merge(sums[i].statistics(std::min(piece, n - i * piece), told->shift));
  if (!histogram) return;
  for (int i = 0; i < kHistogramBins; ++i) histogram[i] += told->bins[i];
}

template <bool kAll>
void by_dtype(const View& x, TensorStatistics* out, uint32_t* histogram) {
  *out = {};
  out->min = kInf;
  out->max = -kInf;
  if (x.numel() == 0) return;
  switch (x.dtype) {
    case DType::f32: return typed<kAll, float>(x, out, histogram);
    case DType::bf16: return typed<kAll, BFloat16>(x, out, histogram);
    case DType::f16: return typed<kAll, Half>(x, out, histogram);
    default: return typed<kAll, void>(x, out, histogram);
  }
}

void statistics(const View& x, TensorStatistics* out, uint32_t* histogram) {
  by_dtype<true>(x, out, histogram);
}
void moments(const View& x, TensorStatistics* out, uint32_t* histogram) {
  by_dtype<false>(x, out, histogram);
}

NNM_CUDA_KERNEL(statistics, statistics);
NNM_CUDA_KERNEL(moments, moments);

}  // namespace
}  // namespace nnm::cuda
