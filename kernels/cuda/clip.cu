// What clipping of gradients does, to many tensors by one launch: sums of powers by pieces, one to
// a block, and scaling.
#include <cmath>
#include <vector>

#include "kernels/cuda/block.h"
#include "kernels/cuda/element.h"
#include "kernels/cuda/pieces.h"
#include "kernels/cuda/together.h"
#include "kernels/optim.h"
#include "kernels/reduction.h"

namespace nnm::cuda {
namespace {

constexpr int kWarps = kThreads / 32;

/// Tensors of one launch.
template <class T>
struct Gradients {
  static constexpr int kMost = 190;
  T* p[kMost];
  int64_t n[kMost];
  unsigned first[kMost];  ///< block of each
  int count = 0;
  unsigned blocks = 0;
};

/// Calls launch(list) with as many of the tensors at a time as a launch takes; blocks(n) is how
/// many one of n elements gets.
template <class T, class Blocks, class Launch>
void by_lists(std::span<const View> all, const Blocks& blocks, const Launch& launch) {
  static_assert(sizeof(Gradients<T>) + 64 <= kMostArguments);
  Gradients<T> list;
  for (const View& x : all) {
    const int64_t n = x.numel();
    list.p[list.count] = x.as<T>();
    list.n[list.count] = n;
    list.first[list.count++] = list.blocks;
    list.blocks += blocks(n);
    if (list.count < Gradients<T>::kMost) continue;
    launch(list);
    list.count = 0;
    list.blocks = 0;
  }
  if (list.blocks > 0) launch(list);
}

struct MostOrNan {
  __device__ double operator()(double a, double b) const { return combine(Reduce::max, a, b); }
};

template <class T>
__global__ void power_pieces(Gradients<T> all, double p, double* out) {
  const int k = listed(all.first, all.count);
  const T* x = all.p[k];
  const Pieces pieces(all.n[k]);
  const unsigned piece = blockIdx.x - all.first[k];
  const bool top = std::isinf(p);
  double sum = 0;
  for (int64_t i = pieces.begin(piece) + threadIdx.x; i < pieces.end(piece); i += kThreads) {
    const double v = std::abs(static_cast<double>(static_cast<Compute<T>>(x[i])));
    if (p == 2) sum += v * v;
    else if (p == 1) sum += v;
    else if (top) sum = MostOrNan()(sum, v);
    else sum += std::pow(v, p);
  }
  sum = top ? over_block<kWarps>(sum, MostOrNan()) : over_block<kWarps>(sum, Plus());
  if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

void power_sums(const View& first, std::span<const View> all, double p, double* sums) {
  if (all.empty()) return;
  int64_t parts = 0;
  for (const View& x : all) parts += Pieces(x.numel()).count;
  const Scratch<double> memory(parts);
  by_floating(first.dtype, [&]<class T>() {
    double* next = memory.get();
    by_lists<T>(
        all, [](int64_t n) { return Pieces(n).blocks(); },
        [&](const Gradients<T>& list) {
          NNM_LAUNCH(power_pieces<T>, list.blocks, kThreads, 0, list, p, next);
          next += list.blocks;
        });
  });
  std::vector<double> back(static_cast<size_t>(parts));
  read_back(back.data(), memory.get(), back.size() * sizeof(double));
  const double* part = back.data();
  for (const View& x : all) {
    double sum = 0;
    for (int64_t left = Pieces(x.numel()).count; left > 0; --left)
      sum = kernels::joined_power_sum(sum, *part++, p);
    *sums++ = sum;
  }
}

/// x * scale within the limit, for a pack of 16 bytes to a thread.
template <class T>
__global__ void clip_packs(Gradients<T> all, Compute<T> scale, Compute<T> limit) {
  using C = Compute<T>;
  constexpr int kWide = 16 / sizeof(T);
  const auto clipped = [&](T x) {
    const C v = static_cast<C>(x) * scale;
    return T(v < -limit ? -limit : v > limit ? limit : v);
  };
  const int k = listed(all.first, all.count);
  T* x = all.p[k];
  const int64_t n = all.n[k];
  const int64_t at =
      (static_cast<int64_t>(blockIdx.x - all.first[k]) * kThreads + threadIdx.x) * kWide;
  if (at + kWide <= n && reinterpret_cast<uintptr_t>(x) % 16 == 0) {
    Pack<T> pack = *reinterpret_cast<const Pack<T>*>(x + at);
    for (T& v : pack.v) v = clipped(v);
    *reinterpret_cast<Pack<T>*>(x + at) = pack;
    return;
  }
  for (int64_t i = at; i < at + kWide && i < n; ++i) x[i] = clipped(x[i]);
}

void clip_all(const View& first, std::span<const View> all, double scale, double limit) {
  by_floating(first.dtype, [&]<class T>() {
    using C = Compute<T>;
    constexpr int64_t kWide = 16 / sizeof(T);
    by_lists<T>(
        all, [](int64_t n) { return blocks_for((n + kWide - 1) / kWide).x; },
        [&](const Gradients<T>& list) {
          NNM_LAUNCH(clip_packs<T>, list.blocks, kThreads, 0, list, C(scale), C(limit));
        });
  });
}

NNM_CUDA_KERNEL(power_sums, power_sums);
NNM_CUDA_KERNEL(clip_all, clip_all);

}  // namespace
}  // namespace nnm::cuda
