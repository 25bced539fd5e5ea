// The losses of loss.def: elementwise or summed in one pass, and their gradients.
#include "kernels/loss.h"

#include <algorithm>
#include <vector>

#include "kernels/cpu/dtype.h"
#include "kernels/cpu/math.h"
#include "kernels/parallel.h"

namespace nnm {
namespace {

constexpr int64_t kGrain = 16384;
constexpr int64_t kBlock = 1024;

#define NNM_LOSS(name, node, forward, backward)                                \
  struct name##_fn {                                                           \
    template <class T>                                                         \
    static inline T f(T x, T t, [[maybe_unused]] T a) {                        \
      return forward;                                                          \
    }                                                                          \
    template <class T>                                                         \
    static inline T df(T g, [[maybe_unused]] T x, T t, [[maybe_unused]] T a) { \
      return backward;                                                         \
    }                                                                          \
  };
#include "kernels/loss.def"
#undef NNM_LOSS

template <class F, class T>
void map_block(T* y, const T* x, const T* t, int64_t n, double a, double scale) {
  using C = Compute<T>;
  C xb[kBlock], tb[kBlock], yb[kBlock];
  const C *xs = load<T>(x, n, xb), *ts = load<T>(t, n, tb);
  const C ca = C(a), cs = C(scale);
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) yb[i] = cs * F::template f<C>(xs[i], ts[i], ca);
  for (int64_t i = 0; i < n; ++i) y[i] = T(yb[i]);
}

template <class F, class T>
double sum_block(const T* x, const T* t, int64_t n, double a) {
  using C = Compute<T>;
  C xb[kBlock], tb[kBlock];
  const C *xs = load<T>(x, n, xb), *ts = load<T>(t, n, tb);
  const C ca = C(a);
  C sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += F::template f<C>(xs[i], ts[i], ca);
  return static_cast<double>(sum);
}

template <class F, class T>
void gradient_block(T* dx, const T* g, bool one_g, const T* x, const T* t, int64_t n, double a,
                    double scale) {
  using C = Compute<T>;
  C xb[kBlock], tb[kBlock], gb[kBlock], db[kBlock];
  const C *xs = load<T>(x, n, xb), *ts = load<T>(t, n, tb);
  const C ca = C(a), cs = C(scale);
  if (one_g) {
    const C gs = static_cast<C>(*g) * cs;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) db[i] = F::template df<C>(gs, xs[i], ts[i], ca);
  } else {
    const C* gs = load<T>(g, n, gb);
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) db[i] = F::template df<C>(gs[i] * cs, xs[i], ts[i], ca);
  }
  for (int64_t i = 0; i < n; ++i) dx[i] = T(db[i]);
}

template <class Body>
void by_case(DType type, Loss f, const Body& body) {
  by_floating(type, [&]<class T>() {
    switch (f) {
#define NNM_LOSS(name, ...) \
  case Loss::name:          \
    return body.template operator()<name##_fn, T>();
#include "kernels/loss.def"
#undef NNM_LOSS
    }
  });
}

template <class Body>
void for_blocks(int64_t n, const Body& body) {
  const int64_t blocks = (n + kBlock - 1) / kBlock;
  parallel_for(blocks, kGrain / kBlock, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) body(b, b * kBlock, std::min(kBlock, n - b * kBlock));
  });
}

void loss_cpu(const View& y, const View& x, const View& t, Loss f, double a, double scale) {
  const int64_t n = x.numel();
  by_case(x.dtype, f, [&]<class F, class T>() {
    const T *xs = x.as<T>(), *ts = t.as<T>();
    if (y.ndim == x.ndim && y.numel() == n && y.ndim > 0) {
      for_blocks(n, [&](int64_t, int64_t at, int64_t count) {
        map_block<F, T>(y.as<T>() + at, xs + at, ts + at, count, a, scale);
      });
      return;
    }
    std::vector<double> sums(static_cast<size_t>((n + kBlock - 1) / kBlock));
    for_blocks(n, [&](int64_t block, int64_t at, int64_t count) {
      sums[static_cast<size_t>(block)] = sum_block<F, T>(xs + at, ts + at, count, a);
    });
    double total = 0;
    for (double s : sums) total += s;
    *y.as<T>() = T(static_cast<Compute<T>>(total * scale));
  });
}

void loss_backward_cpu(const View& dx, const View& g, const View& x, const View& t, Loss f,
                       double a, double scale) {
  const bool one_g = g.ndim == 0;
  by_case(x.dtype, f, [&]<class F, class T>() {
    for_blocks(x.numel(), [&](int64_t, int64_t at, int64_t count) {
      gradient_block<F, T>(dx.as<T>() + at, g.as<T>() + (one_g ? 0 : at), one_g, x.as<T>() + at,
                           t.as<T>() + at, count, a, scale);
    });
  });
}

}  // namespace

NNM_KERNEL(loss, loss_cpu);
NNM_KERNEL(loss_backward, loss_backward_cpu);

}  // namespace nnm
