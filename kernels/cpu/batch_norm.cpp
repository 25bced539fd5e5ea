// Batch normalisation, with channels in planes or innermost.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/channel_layout.h"
#include "kernels/cpu/dtype.h"
#include "kernels/norm.h"
#include "kernels/parallel.h"

namespace nnm {
namespace {

constexpr int64_t kGrain = 16384;
constexpr int64_t kParts = 16;

struct Layout : ChannelLayout {
  using ChannelLayout::ChannelLayout;
  int64_t grain() const { return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, width)); }
};

// sums[0..C) and sums[C..2C): for each channel the sums of f(i) and of h(i), over a fixed number of
// parts.
template <class C, class T, class F>
std::vector<double> channel_sums(const Layout& l, const T* x, const F& f) {
  const int64_t parts = std::clamp<int64_t>(l.rows / l.grain(), 1, kParts), c = l.channels;
  std::vector<double> sums(static_cast<size_t>(2 * c * parts));
  parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
    std::vector<C> block(static_cast<size_t>(2 * c));
    for (int64_t p = begin; p < end; ++p) {
      double* out = sums.data() + 2 * c * p;
      const int64_t first = l.rows * p / parts, last = l.rows * (p + 1) / parts;
      for (int64_t r = first; r < last;) {
        // Short runs are summed in C, and the runs in double.
        if (l.inner_channels) {
          const int64_t stop = std::min(last, r + 256);
          std::fill(block.begin(), block.end(), C(0));
          C *a = block.data(), *b = a + c;
          for (; r < stop; ++r) {
            const int64_t at = r * c;
#pragma omp simd
            for (int64_t i = 0; i < c; ++i) {
              const C v = static_cast<C>(x[at + i]);
              a[i] += f.first(v, at + i, i);
              b[i] += f.second(v, at + i, i);
            }
          }
          for (int64_t i = 0; i < 2 * c; ++i)
            out[i] += static_cast<double>(block[static_cast<size_t>(i)]);
        } else {
          const int64_t channel = r % c, at = r * l.width;
          C a = 0, b = 0;
#pragma omp simd reduction(+ : a, b)
          for (int64_t i = 0; i < l.width; ++i) {
            const C v = static_cast<C>(x[at + i]);
            a += f.first(v, at + i, channel);
            b += f.second(v, at + i, channel);
          }
          out[channel] += static_cast<double>(a);
          out[c + channel] += static_cast<double>(b);
          ++r;
        }
      }
    }
  });
  for (int64_t p = 1; p < parts; ++p)
    for (int64_t i = 0; i < 2 * c; ++i)
      sums[static_cast<size_t>(i)] += sums[static_cast<size_t>(2 * c * p + i)];
  sums.resize(static_cast<size_t>(2 * c));
  return sums;
}

// body(at, n, channel, step): n elements from `at`, of channel, channel + step, …
template <class Body>
void for_runs(const Layout& l, const Body& body) {
  parallel_for(l.rows, l.grain(), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      body(r * l.width, l.width, l.inner_channels ? 0 : r % l.channels);
  });
}

template <class C>
struct AboutShift {
  const C* shift;
  C first(C v, int64_t, int64_t c) const { return v - shift[c]; }
  C second(C v, int64_t, int64_t c) const { return (v - shift[c]) * (v - shift[c]); }
};

// y = x scale[c] + shift[c].
template <class T, class C>
void affine(const Layout& l, T* y, const T* x, const std::vector<C>& scale,
            const std::vector<C>& shift) {
  for_runs(l, [&](int64_t at, int64_t n, int64_t channel) {
    if (l.inner_channels) {
      const C *a = scale.data(), *b = shift.data();
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) y[at + i] = T(static_cast<C>(x[at + i]) * a[i] + b[i]);
    } else {
      const C a = scale[static_cast<size_t>(channel)], b = shift[static_cast<size_t>(channel)];
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) y[at + i] = T(static_cast<C>(x[at + i]) * a + b);
    }
  });
}

/// Where channel i of running statistics lies, which may be a window on something larger.
int64_t place(const View& v, int64_t i) { return v.ndim ? i * v.stride[v.ndim - 1] : i; }

double number(const View& v, int64_t i) {
  double out = 0;
  by_floating(v.dtype, [&]<class T>() {
    out = static_cast<double>(static_cast<Compute<T>>(v.as<T>()[place(v, i)]));
  });
  return out;
}

void move_towards(const View& running, int64_t i, double value, double momentum) {
  const double v = (1 - momentum) * number(running, i) + momentum * value;
  by_floating(running.dtype, [&]<class T>() {
    running.as<T>()[place(running, i)] = T(static_cast<Compute<T>>(v));
  });
}

void batch_norm_cpu(const View& y, const View& x, const View& weight, const View& bias,
                    const View& mean, const View& invstd, const View& running_mean,
                    const View& running_var, double momentum, double eps) {
  const Layout l(x);
  by_floating(x.dtype, [&]<class T>() {
    using C = Compute<T>;
    const Loaded<T> w(weight), b(bias);
    const T* in = x.as<T>();
    const auto channels = static_cast<size_t>(l.channels);
    // Deviations are taken from the first element of the channel: no cancellation for a far mean.
    std::vector<C> shift(channels), scale(channels), offset(channels);
    for (size_t c = 0; c < channels; ++c) {
      const auto i = static_cast<int64_t>(c);
      shift[c] = l.rows ? static_cast<C>(in[l.inner_channels ? i : i * l.width]) : C(0);
    }
    const std::vector<double> sums = channel_sums<C>(l, in, AboutShift<C>{shift.data()});
    const auto n = static_cast<double>(l.count);
    for (size_t c = 0; c < channels; ++c) {
      const auto i = static_cast<int64_t>(c);
      const double delta = sums[c] / n, mu = static_cast<double>(shift[c]) + delta;
      const double var = std::max(sums[channels + c] / n - delta * delta, 0.0);  // NaN stays
      const double s = 1 / std::sqrt(var + eps);
      mean.as<C>()[i] = C(mu);
      invstd.as<C>()[i] = C(s);
      if (running_mean.data) move_towards(running_mean, i, mu, momentum);
      if (running_var.data) move_towards(running_var, i, var * n / (n - 1), momentum);
      const double ws = w.p ? s * static_cast<double>(w.p[c]) : s;
      scale[c] = C(ws);
      offset[c] = C((b.p ? static_cast<double>(b.p[c]) : 0.0) - mu * ws);
    }
    affine(l, y.as<T>(), in, scale, offset);
  });
}

void batch_norm_eval_cpu(const View& y, const View& x, const View& weight, const View& bias,
                         const View& mean, const View& var, double eps) {
  const Layout l(x);
  by_floating(x.dtype, [&]<class T>() {
    using C = Compute<T>;
    const Loaded<T> w(weight), b(bias);
    const auto channels = static_cast<size_t>(l.channels);
    std::vector<C> scale(channels), offset(channels);
    for (size_t c = 0; c < channels; ++c) {
      const auto i = static_cast<int64_t>(c);
      const double s = (w.p ? static_cast<double>(w.p[c]) : 1.0) / std::sqrt(number(var, i) + eps);
      scale[c] = C(s);
      offset[c] = C((b.p ? static_cast<double>(b.p[c]) : 0.0) - number(mean, i) * s);
    }
    affine(l, y.as<T>(), x.as<T>(), scale, offset);
  });
}

template <class T, class C>
struct GradientSums {
  const T* x;
  const C* mean;
  C first(C g, int64_t, int64_t) const { return g; }
  C second(C g, int64_t at, int64_t c) const { return g * (static_cast<C>(x[at]) - mean[c]); }
};

void batch_norm_backward_cpu(const View& mean, const View& dx, const View& dw, const View& db,
                             const View& g, const View& x, const View& weight, const View& invstd,
                             bool training) {
  const Layout l(x);
  by_floating(x.dtype, [&]<class T>() {
    using C = Compute<T>;
    const Loaded<T> w(weight);
    const auto channels = static_cast<size_t>(l.channels);
    const C *mu = mean.as<C>(), *s = invstd.as<C>();
    std::vector<double> sums(2 * channels);
    if (training || dw.data || db.data)
      sums = channel_sums<C>(l, g.as<T>(), GradientSums<T, C>{x.as<T>(), mu});
    for (size_t c = 0; c < channels; ++c) {
      const auto i = static_cast<int64_t>(c);
      if (dw.data)
        dw.as<T>()[i] = T(static_cast<C>(sums[channels + c] * static_cast<double>(s[i])));
      if (db.data) db.as<T>()[i] = T(static_cast<C>(sums[c]));
    }
    if (!dx.data) return;
    // dx = a g + b x + d per channel.
    std::vector<C> a(channels), b(channels), d(channels);
    const auto n = static_cast<double>(l.count);
    for (size_t c = 0; c < channels; ++c) {
      const double is = static_cast<double>(s[c]), ws = w.p ? is * static_cast<double>(w.p[c]) : is;
      a[c] = C(ws);
      if (!training) continue;
      const double along_x = ws * sums[channels + c] * is * is / n;
      b[c] = C(-along_x);
      d[c] = C(along_x * static_cast<double>(mu[c]) - ws * sums[c] / n);
    }
    T* out = dx.as<T>();
    const T *gs = g.as<T>(), *xs = x.as<T>();
    for_runs(l, [&](int64_t at, int64_t count, int64_t channel) {
      if (l.inner_channels) {
        const C *pa = a.data(), *pb = b.data(), *pd = d.data();
#pragma omp simd
        for (int64_t i = 0; i < count; ++i)
          out[at + i] =
              T(pa[i] * static_cast<C>(gs[at + i]) + pb[i] * static_cast<C>(xs[at + i]) + pd[i]);
      } else {
        const auto c = static_cast<size_t>(channel);
        const C ca = a[c], cb = b[c], cd = d[c];
#pragma omp simd
        for (int64_t i = 0; i < count; ++i)
          out[at + i] = T(ca * static_cast<C>(gs[at + i]) + cb * static_cast<C>(xs[at + i]) + cd);
      }
    });
  });
}

}  // namespace

NNM_KERNEL(batch_norm, batch_norm_cpu);
NNM_KERNEL(batch_norm_eval, batch_norm_eval_cpu);
NNM_KERNEL(batch_norm_backward, batch_norm_backward_cpu);

}  // namespace nnm
