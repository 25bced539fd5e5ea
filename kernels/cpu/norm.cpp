// Layer normalisation over rows of memory.
#include "kernels/norm.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cpu/dtype.h"
#include "kernels/cpu/moments.h"
#include "kernels/parallel.h"

namespace nnm {
namespace {

constexpr int64_t kParts = 16;  ///< of sums over rows; fixed, so that sums do not depend on threads

template <class C>
C mean_square(const C* x, int64_t n) {
  C q = 0;
#pragma omp simd reduction(+ : q)
  for (int64_t i = 0; i < n; ++i) q += x[i] * x[i];
  return q / C(n);
}

template <class T>
void norm_row(T* y, const Compute<T>* x, const Compute<T>* w, const Compute<T>* b, int64_t n,
              Compute<T> mean, Compute<T> rstd) {
  using C = Compute<T>;
  if (w && b) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) y[i] = T((x[i] - mean) * rstd * w[i] + b[i]);
  } else {
    for (int64_t i = 0; i < n; ++i)
      y[i] = T((x[i] - mean) * rstd * (w ? w[i] : C(1)) + (b ? b[i] : C(0)));
  }
}

void layer_norm_cpu(const View& y, const View& x, const View& weight, const View& bias,
                    const View& mean, const View& rstd, double eps, bool rms) {
  const int64_t rows = x.size[0], n = x.size[1];
  by_floating(x.dtype, [&]<class T>() {
    using C = Compute<T>;
    const Loaded<T> w(weight), b(bias);
    parallel_for(rows, row_grain(n), [&](int64_t begin, int64_t end) {
      std::vector<C> buffer(kIsHalf<T> ? static_cast<size_t>(n) : 0);
      for (int64_t r = begin; r < end; ++r) {
        const C* row = load<T>(x.as<T>() + r * n, n, buffer.data());
        C mu = 0, var = 0;
        if (rms) var = mean_square(row, n);
        else moments(row, n, mu, var);
        const C s = C(1) / std::sqrt(var + C(eps));
        if (!rms) mean.as<C>()[r] = mu;
        rstd.as<C>()[r] = s;
        norm_row<T>(y.as<T>() + r * n, row, w.p, b.p, n, mu, s);
      }
    });
  });
}

// dx of a row whose weighted gradient is g w: the parts along 1 and along the normalised x fall
// away.
template <class T>
void norm_row_gradient(T* dx, const Compute<T>* g, const Compute<T>* x, const Compute<T>* w,
                       int64_t n, Compute<T> mean, Compute<T> rstd, bool rms) {
  using C = Compute<T>;
  C a = 0, b = 0;
  if (w) {
#pragma omp simd reduction(+ : a, b)
    for (int64_t i = 0; i < n; ++i) {
      const C d = g[i] * w[i];
      a += d * (x[i] - mean);
      b += d;
    }
  } else {
#pragma omp simd reduction(+ : a, b)
    for (int64_t i = 0; i < n; ++i) {
      a += g[i] * (x[i] - mean);
      b += g[i];
    }
  }
  const C along_x = a * rstd * rstd / C(n), along_1 = rms ? C(0) : b / C(n);
  if (w) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i)
      dx[i] = T(rstd * (g[i] * w[i] - along_1 - (x[i] - mean) * along_x));
  } else {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) dx[i] = T(rstd * (g[i] - along_1 - (x[i] - mean) * along_x));
  }
}

// Sums over rows into vectors of n: a fixed number of parts, added in order.
template <class T, class AddRow>
void sum_rows(int64_t rows, int64_t n, const View& dw, const View& db, const AddRow& add_row) {
  using C = Compute<T>;
  const int64_t parts = std::clamp<int64_t>(rows / row_grain(n), 1, kParts);
  std::vector<C> sums(static_cast<size_t>(2 * n * parts));
  parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      C* w = sums.data() + 2 * n * p;
      add_row(w, w + n, rows * p / parts, rows * (p + 1) / parts);
    }
  });
  for (int64_t p = 1; p < parts; ++p)
    for (int64_t i = 0; i < 2 * n; ++i)
      sums[static_cast<size_t>(i)] += sums[static_cast<size_t>(2 * n * p + i)];
  if (dw.data)
    for (int64_t i = 0; i < n; ++i) dw.as<T>()[i] = T(sums[static_cast<size_t>(i)]);
  if (db.data)
    for (int64_t i = 0; i < n; ++i) db.as<T>()[i] = T(sums[static_cast<size_t>(n + i)]);
}

void layer_norm_backward_cpu(const View& rstd, const View& dx, const View& dw, const View& db,
                             const View& g, const View& x, const View& weight, const View& mean,
                             bool rms) {
  const int64_t rows = x.size[0], n = x.size[1];
  by_floating(x.dtype, [&]<class T>() {
    using C = Compute<T>;
    const Loaded<T> w(weight);
    const auto mean_of = [&](int64_t r) { return rms ? C(0) : mean.as<C>()[r]; };
    if (dx.data) {
      parallel_for(rows, row_grain(n), [&](int64_t begin, int64_t end) {
        std::vector<C> xb(kIsHalf<T> ? static_cast<size_t>(n) : 0), gb(xb.size());
        for (int64_t r = begin; r < end; ++r) {
          norm_row_gradient<T>(dx.as<T>() + r * n, load<T>(g.as<T>() + r * n, n, gb.data()),
                               load<T>(x.as<T>() + r * n, n, xb.data()), w.p, n, mean_of(r),
                               rstd.as<C>()[r], rms);
        }
      });
    }
    if (!dw.data && !db.data) return;
    sum_rows<T>(rows, n, dw, db,
                [&](C* __restrict sw, C* __restrict sb, int64_t begin, int64_t end) {
                  for (int64_t r = begin; r < end; ++r) {
                    const T *gr = g.as<T>() + r * n, *xr = x.as<T>() + r * n;
                    const C mu = mean_of(r), s = rstd.as<C>()[r];
#pragma omp simd
                    for (int64_t i = 0; i < n; ++i) {
                      const C gi = static_cast<C>(gr[i]);
                      sw[i] += gi * (static_cast<C>(xr[i]) - mu) * s;
                      sb[i] += gi;
                    }
                  }
                });
  });
}

}  // namespace

NNM_KERNEL(layer_norm, layer_norm_cpu);
NNM_KERNEL(layer_norm_backward, layer_norm_backward_cpu);

}  // namespace nnm
