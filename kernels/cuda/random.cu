// Draws and dropout on a device, four elements and one counter of Philox to a thread: the numbers
// are those of the CPU.
#include "kernels/random.h"

#include <map>

#include "kernels/cuda/draw.h"
#include "kernels/cuda/element.h"
#include "kernels/dropout.h"
#include "kernels/philox.h"

namespace nnm::cuda {
namespace {

using Words = std::array<uint32_t, 4>;

/// Calls f(i, k) for the elements i = 4 c + k of this thread's counter c.
template <class F>
__device__ inline void each_of_four(int64_t n, const F& f) {
  const int64_t at = global_thread() * 4;
  for (int k = 0; k < 4 && at + k < n; ++k) f(at + k, k);
}

__device__ inline Words words(const Draw& draw, uint64_t stream = 0) {
  return philox(draw.seed, draw.at() + static_cast<uint64_t>(global_thread()), stream);
}

inline dim3 blocks_of_fours(int64_t n) { return blocks_for((n + 3) / 4); }

__global__ void uniform_kernel(void* x, DType dtype, int64_t n, Draw draw, float low, float span) {
  const Words w = words(draw);
  each_of_four(n, [&](int64_t i, int k) {
    store<float>(x, dtype, i, low + span * uniform24(w[static_cast<size_t>(k)]));
  });
}

__global__ void uniform_double_kernel(double* x, int64_t n, Draw draw, double from, double span) {
  const Words a = words(draw), b = words(draw, 1);
  each_of_four(n, [&](int64_t i, int k) {
    x[i] = from + span * uniform53(a[static_cast<size_t>(k)], b[static_cast<size_t>(k)]);
  });
}

void uniform(const View& x, uint64_t seed, uint64_t offset, double from, double to) {
  const int64_t n = x.numel();
  if (x.dtype == DType::f64)
    NNM_LAUNCH(uniform_double_kernel, blocks_of_fours(n), kThreads, 0, x.as<double>(), n,
               draw_from(seed, offset), from, to - from);
  else
    NNM_LAUNCH(uniform_kernel, blocks_of_fours(n), kThreads, 0, x.data, x.dtype, n,
               draw_from(seed, offset), static_cast<float>(from), static_cast<float>(to - from));
}

__global__ void normal_kernel(void* x, DType dtype, int64_t n, Draw draw, double mean, double std) {
  const Words a = words(draw), b = words(draw, 1);
  each_of_four(n, [&](int64_t i, int k) {
    const double z = normal_from(a[static_cast<size_t>(k)], b[static_cast<size_t>(k)]);
    store<double>(x, dtype, i, mean + std * z);
  });
}

void normal(const View& x, uint64_t seed, uint64_t offset, double mean, double std) {
  const int64_t n = x.numel();
  NNM_LAUNCH(normal_kernel, blocks_of_fours(n), kThreads, 0, x.data, x.dtype, n,
             draw_from(seed, offset), mean, std);
}

__global__ void integers_kernel(int64_t* x, int64_t n, Draw draw, int64_t low, uint64_t span) {
  const Words a = words(draw), b = words(draw, 1);
  each_of_four(n, [&](int64_t i, int k) {
    const uint64_t w = uint64_t{a[static_cast<size_t>(k)]} << 32 | b[static_cast<size_t>(k)];
    x[i] = low + static_cast<int64_t>(__umul64hi(w, span));
  });
}

void integers(const View& x, uint64_t seed, uint64_t offset, int64_t low, int64_t high) {
  const int64_t n = x.numel();
  NNM_LAUNCH(integers_kernel, blocks_of_fours(n), kThreads, 0, x.as<int64_t>(), n,
             draw_from(seed, offset), low, static_cast<uint64_t>(high - low));
}

/// y = x * scale where the number's 24 bits are at least `limit`, else 0.
template <class T>
__global__ void masked_kernel(T* y, const T* x, int64_t n, Draw draw, uint32_t limit,
                              Compute<T> scale, bool packs) {
  using C = Compute<T>;
  const Words w = words(draw);
  const auto masked = [&](T v, int k) {
    return w[static_cast<size_t>(k)] >> 8 >= limit ? T(static_cast<C>(v) * scale) : T(C(0));
  };
  const int64_t at = global_thread() * 4;
  if (!packs || at + 4 > n) {
    each_of_four(n, [&](int64_t i, int k) { y[i] = masked(x[i], k); });
    return;
  }
  Pack<T, 4> p = *reinterpret_cast<const Pack<T, 4>*>(x + at);
  for (int k = 0; k < 4; ++k) p.v[k] = masked(p.v[k], k);
  *reinterpret_cast<Pack<T, 4>*>(y + at) = p;
}

void masked(const View& y, const View& x, uint64_t seed, uint64_t offset, uint32_t limit,
            double scale) {
  const int64_t n = x.numel();
  by_floating(x.dtype, [&]<class T>() {
    const auto fits = [](const View& v) {
      return reinterpret_cast<uintptr_t>(v.data) % sizeof(Pack<T, 4>) == 0;
    };
    NNM_LAUNCH(masked_kernel<T>, blocks_of_fours(n), kThreads, 0, y.as<T>(), x.as<T>(), n,
               draw_from(seed, offset), limit, static_cast<Compute<T>>(scale), fits(x) && fits(y));
  });
}

void mask(const View& y, const View& x, uint64_t seed, uint64_t offset, double p, double scale) {
  // The least number of 24 bits that is at least p, which the CPU rounds to float.
  const double least = static_cast<double>(static_cast<float>(p)) * 16777216.0;
  auto limit = static_cast<uint32_t>(least);
  if (static_cast<double>(limit) < least) ++limit;
  masked(y, x, seed, offset, limit, scale);
}

void dropout(const View& y, const View& x, double p, uint64_t seed, uint64_t offset) {
  masked(y, x, seed, offset, static_cast<uint32_t>(p * 16777216.0), p < 1 ? 1 / (1 - p) : 0);
}

__global__ void set_base(uint64_t* base, uint64_t offset) { *base = offset; }

/// What draws are made relative to; one recording at a time.
struct Draws {
  std::map<int, uint64_t*> bases;  ///< by device
  bool relative = false, any = false;
  uint64_t seed = 0, start = 0;
};
Draws draws;

NNM_CUDA_KERNEL(random_uniform, uniform);
NNM_CUDA_KERNEL(random_normal, normal);
NNM_CUDA_KERNEL(random_integers, integers);
NNM_CUDA_KERNEL(random_mask, mask);
NNM_CUDA_KERNEL(dropout, dropout);

}  // namespace

Draw draw_from(uint64_t seed, uint64_t offset) {
  if (!draws.relative) return {seed, offset};
  if (seed != draws.seed) {
    flushed_stream();
    return {seed, offset};
  }
  draws.any = true;
  return {seed, offset - draws.start, draws.bases[current_device()]};
}

void begin_draws(uint64_t seed, uint64_t offset) {
  uint64_t*& base = draws.bases[current_device()];
  if (!base) base = static_cast<uint64_t*>(allocate(sizeof(uint64_t)));
  draws.relative = true;
  draws.any = false;
  draws.seed = seed;
  draws.start = offset;
  set_draws(offset);
}

bool end_draws() {
  draws.relative = false;
  return draws.any;
}

void set_draws(uint64_t offset) {
  NNM_LAUNCH(set_base, 1, 1, 0, draws.bases[current_device()], offset);
}

}  // namespace nnm::cuda
