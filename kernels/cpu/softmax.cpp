// Softmax along one dimension, and cross entropy that never stores probabilities.
#include "kernels/softmax.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cpu/dtype.h"
#include "kernels/cpu/math.h"
#include "kernels/parallel.h"

namespace nnm {
namespace {

constexpr int64_t kGrain = 8192;
constexpr int64_t kColumns = 128;  ///< of the strided case, handled together

// Row-major (outer, n, inner).
struct Split {
  int64_t outer = 1, n = 1, inner = 1;
  Split(const View& v, int64_t dim) {
    for (int64_t i = 0; i < v.ndim; ++i) (i < dim ? outer : i == dim ? n : inner) *= v.size[i];
  }
};

template <class C>
C row_max(const C* x, int64_t n) {
  C m = -std::numeric_limits<C>::infinity();
#pragma omp simd reduction(max : m)
  for (int64_t i = 0; i < n; ++i) m = x[i] > m ? x[i] : m;
  return m;
}

template <class C>
C exp_sum(const C* x, int64_t n, C shift) {
  C s = 0;
#pragma omp simd reduction(+ : s)
  for (int64_t i = 0; i < n; ++i) s += m::exp(x[i] - shift);
  return s;
}

template <class T>
void softmax_row(T* y, const T* x, int64_t n, bool log, Compute<T>* buffer) {
  using C = Compute<T>;
  const C* in = load<T>(x, n, buffer);
  C top = row_max(in, n);
  // A row of -inf is NaN in PyTorch too; the maximum ignores NaN, the sum does not.
  C* out;
  if constexpr (kIsHalf<T>) out = buffer;
  else out = y;
  if (log) {
    const C shift = top + m::log(exp_sum(in, n, top));
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) out[i] = in[i] - shift;
  } else {
    C s = 0;
#pragma omp simd reduction(+ : s)
    for (int64_t i = 0; i < n; ++i) {
      const C e = m::exp(in[i] - top);
      out[i] = e;
      s += e;
    }
    const C r = C(1) / s;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) out[i] *= r;
  }
  if constexpr (kIsHalf<T>)
    for (int64_t i = 0; i < n; ++i) y[i] = T(out[i]);
}

// Columns of a (n, inner) slice, `count` of them side by side.
template <class T>
void softmax_columns(T* y, const T* x, int64_t n, int64_t inner, int64_t count, bool log) {
  using C = Compute<T>;
  C top[kColumns], sum[kColumns];
  std::fill_n(top, count, -std::numeric_limits<C>::infinity());
  std::fill_n(sum, count, C(0));
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < count; ++j) {
      const C v = static_cast<C>(x[i * inner + j]);
      top[j] = v > top[j] ? v : top[j];
    }
  }
  for (int64_t i = 0; i < n; ++i) {
#pragma omp simd
    for (int64_t j = 0; j < count; ++j) sum[j] += m::exp(static_cast<C>(x[i * inner + j]) - top[j]);
  }
  for (int64_t j = 0; j < count; ++j) sum[j] = log ? top[j] + m::log(sum[j]) : C(1) / sum[j];
  for (int64_t i = 0; i < n; ++i) {
#pragma omp simd
    for (int64_t j = 0; j < count; ++j) {
      const C v = static_cast<C>(x[i * inner + j]);
      y[i * inner + j] = T(log ? v - sum[j] : m::exp(v - top[j]) * sum[j]);
    }
  }
}

template <class Body>
void for_columns(const Split& s, const Body& body) {
  const int64_t chunks = (s.inner + kColumns - 1) / kColumns;
  const int64_t grain =
      std::max<int64_t>(1, kGrain / std::max<int64_t>(1, s.n * std::min(s.inner, kColumns)));
  parallel_for(s.outer * chunks, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t at = i % chunks * kColumns;
      body(i / chunks * s.n * s.inner + at, std::min(kColumns, s.inner - at));
    }
  });
}

void softmax_cpu(const View& y, const View& x, int64_t dim, bool log) {
  const Split s(x, dim);
  if (x.numel() == 0) return;
  by_floating(x.dtype, [&]<class T>() {
    T* out = y.as<T>();
    const T* in = x.as<T>();
    if (s.inner > 1) {
      for_columns(s, [&](int64_t at, int64_t count) {
        softmax_columns(out + at, in + at, s.n, s.inner, count, log);
      });
      return;
    }
    parallel_for(s.outer, std::max<int64_t>(1, kGrain / s.n), [&](int64_t begin, int64_t end) {
      std::vector<Compute<T>> buffer(kIsHalf<T> ? static_cast<size_t>(s.n) : 0);
      for (int64_t r = begin; r < end; ++r)
        softmax_row(out + r * s.n, in + r * s.n, s.n, log, buffer.data());
    });
  });
}

template <class T>
void backward_row(T* dx, const T* g, const T* y, int64_t n, bool log) {
  using C = Compute<T>;
  C s = 0;
#pragma omp simd reduction(+ : s)
  for (int64_t i = 0; i < n; ++i)
    s += log ? static_cast<C>(g[i]) : static_cast<C>(g[i]) * static_cast<C>(y[i]);
  if (log) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i)
      dx[i] = T(static_cast<C>(g[i]) - m::exp(static_cast<C>(y[i])) * s);
  } else {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) dx[i] = T((static_cast<C>(g[i]) - s) * static_cast<C>(y[i]));
  }
}

template <class T>
void backward_columns(T* dx, const T* g, const T* y, int64_t n, int64_t inner, int64_t count,
                      bool log) {
  using C = Compute<T>;
  C sum[kColumns];
  std::fill_n(sum, count, C(0));
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < count; ++j) {
      const int64_t at = i * inner + j;
      sum[j] += log ? static_cast<C>(g[at]) : static_cast<C>(g[at]) * static_cast<C>(y[at]);
    }
  }
  for (int64_t i = 0; i < n; ++i) {
#pragma omp simd
    for (int64_t j = 0; j < count; ++j) {
      const int64_t at = i * inner + j;
      const C gv = static_cast<C>(g[at]), yv = static_cast<C>(y[at]);
      dx[at] = T(log ? gv - m::exp(yv) * sum[j] : (gv - sum[j]) * yv);
    }
  }
}

void softmax_backward_cpu(const View& dx, const View& g, const View& y, int64_t dim, bool log) {
  const Split s(y, dim);
  if (y.numel() == 0) return;
  by_floating(y.dtype, [&]<class T>() {
    T* out = dx.as<T>();
    const T *gs = g.as<T>(), *ys = y.as<T>();
    if (s.inner > 1) {
      for_columns(s, [&](int64_t at, int64_t count) {
        backward_columns(out + at, gs + at, ys + at, s.n, s.inner, count, log);
      });
      return;
    }
    parallel_for(s.outer, std::max<int64_t>(1, kGrain / s.n), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        backward_row(out + r * s.n, gs + r * s.n, ys + r * s.n, s.n, log);
    });
  });
}

// One sample of cross entropy: its classes lie `step` apart.
template <class T>
struct Sample {
  using C = Compute<T>;
  const T* x;
  int64_t classes, step;
  C at(int64_t c) const { return static_cast<C>(x[c * step]); }

  C log_sum_exp() const {
    C top = -std::numeric_limits<C>::infinity(), s = 0;
    if constexpr (!kIsHalf<T>) {
      if (step == 1) {
        top = row_max(x, classes);
        return top + m::log(exp_sum(x, classes, top));
      }
    }
    for (int64_t c = 0; c < classes; ++c) top = std::max(top, at(c));
    for (int64_t c = 0; c < classes; ++c) s += m::exp(at(c) - top);
    return top + m::log(s);
  }
};

// What the samples share: the smoothed target spreads `even` over all classes beside `peak`.
template <class T>
struct Rule {
  using C = Compute<T>;
  Rule(const View& weight, const CrossEntropy& o, int64_t classes)
      : weights(weight),
        ignore(o.ignore_index),
        log_probs(o.log_probs),
        peak(C(1 - o.label_smoothing)),
        even(C(o.label_smoothing / static_cast<double>(classes))) {}
  C weight(int64_t c) const { return weights.p ? weights.p[c] : C(1); }
  C loss(const Sample<T>& s, C lse, int64_t t) const {
    C l = peak * weight(t) * (lse - s.at(t));
    if (even != C(0)) {
      C spread = 0;
      for (int64_t c = 0; c < s.classes; ++c) spread += weight(c) * (lse - s.at(c));
      l += even * spread;
    }
    return l;
  }
  Loaded<T> weights;
  int64_t ignore;
  bool log_probs;
  C peak, even;
};

template <class C>
double total_weight(const int64_t* target, int64_t n, int64_t ignore, const C* weights) {
  double w = 0;
  for (int64_t i = 0; i < n; ++i)
    if (target[i] != ignore) w += weights ? static_cast<double>(weights[target[i]]) : 1.0;
  return w;
}

void cross_entropy_cpu(const View& y, const View& lse, const View& x, const View& target,
                       const View& weight, const CrossEntropy& o) {
  const int64_t classes = x.size[1], inner = x.size[2], n = x.size[0] * inner;
  const int64_t* t = target.as<int64_t>();
  by_floating(x.dtype, [&]<class T>() {
    using C = Compute<T>;
    const Rule<T> rule(weight, o, classes);
    const bool none = o.reduction == CrossEntropy::Reduction::none;
    std::vector<C> losses(none ? 0 : static_cast<size_t>(n));
    parallel_for(
        n, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, classes)),
        [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            const Sample<T> s{x.as<T>() + i / inner * classes * inner + i % inner, classes, inner};
            const bool ignored = t[i] == rule.ignore;
            const C l = rule.log_probs || ignored ? C(0) : s.log_sum_exp();
            lse.as<C>()[i] = l;
            const C loss = ignored ? C(0) : rule.loss(s, l, t[i]);
            if (none) y.as<T>()[i] = T(loss);
            else losses[static_cast<size_t>(i)] = loss;
          }
        });
    if (none) return;
    double sum = 0;
    for (C l : losses) sum += static_cast<double>(l);
    if (o.reduction == CrossEntropy::Reduction::mean)
      sum /= total_weight(t, n, rule.ignore, rule.weights.p);
    *y.as<T>() = T(static_cast<C>(sum));
  });
}

// Gradient of one sample, scaled by g.
template <class T>
void cross_entropy_gradient(T* dx, const Sample<T>& s, const Rule<T>& rule, int64_t t,
                            Compute<T> lse, Compute<T> g) {
  using C = Compute<T>;
  if (t == rule.ignore || rule.log_probs) {
    for (int64_t c = 0; c < s.classes; ++c) dx[c * s.step] = T(C(0));
    if (t != rule.ignore) dx[t * s.step] = T(-g * rule.weight(t));
    return;
  }
  C mass = rule.peak * rule.weight(t);
  if (rule.even != C(0))
    for (int64_t c = 0; c < s.classes; ++c) mass += rule.even * rule.weight(c);
  const C scale = g * mass;
  if (s.step == 1) {
#pragma omp simd
    for (int64_t c = 0; c < s.classes; ++c) dx[c] = T(scale * m::exp(static_cast<C>(s.x[c]) - lse));
  } else {
    for (int64_t c = 0; c < s.classes; ++c) dx[c * s.step] = T(scale * m::exp(s.at(c) - lse));
  }
  if (rule.even != C(0)) {
    for (int64_t c = 0; c < s.classes; ++c) {
      dx[c * s.step] = T(static_cast<C>(dx[c * s.step]) - g * rule.even * rule.weight(c));
    }
  }
  dx[t * s.step] = T(static_cast<C>(dx[t * s.step]) - g * rule.peak * rule.weight(t));
}

void cross_entropy_backward_cpu(const View& dx, const View& g, const View& lse, const View& x,
                                const View& target, const View& weight, const CrossEntropy& o) {
  const int64_t classes = x.size[1], inner = x.size[2], n = x.size[0] * inner;
  const int64_t* t = target.as<int64_t>();
  by_floating(x.dtype, [&]<class T>() {
    using C = Compute<T>;
    const Rule<T> rule(weight, o, classes);
    const bool none = o.reduction == CrossEntropy::Reduction::none;
    double share = 1;
    if (o.reduction == CrossEntropy::Reduction::mean)
      share /= total_weight(t, n, rule.ignore, rule.weights.p);
    parallel_for(n, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, classes)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t at = i / inner * classes * inner + i % inner;
                     const C gi = static_cast<C>(g.as<T>()[none ? i : 0]) * static_cast<C>(share);
                     cross_entropy_gradient<T>(dx.as<T>() + at, {x.as<T>() + at, classes, inner},
                                               rule, t[i], lse.as<C>()[i], gi);
                   }
                 });
  });
}

}  // namespace

NNM_KERNEL(softmax, softmax_cpu);
NNM_KERNEL(softmax_backward, softmax_backward_cpu);
NNM_KERNEL(cross_entropy, cross_entropy_cpu);
NNM_KERNEL(cross_entropy_backward, cross_entropy_backward_cpu);

}  // namespace nnm
