// Group normalisation: rows of memory where the pixels of a channel lie together, vectors of
// channels where those are innermost.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cpu/dtype.h"
#include "kernels/cpu/moments.h"
#include "kernels/norm.h"
#include "kernels/parallel.h"

namespace nnm {
namespace {

bool has_channels_innermost(const View& x) { return x.stride[1] == 1 && x.stride[2] != 1; }

void norm_planes(const View& y, const View& x, const View& weight, const View& bias,
                 const View& mean, const View& rstd, int64_t groups, double eps) {
  const int64_t samples = x.size[0], channels = x.size[1], inner = x.size[2];
  const int64_t per = channels / groups, n = per * inner;
  by_floating(x.dtype, [&]<class T>() {
    using C = Compute<T>;
    const Loaded<T> w(weight), b(bias);
    parallel_for(samples * groups, row_grain(n), [&](int64_t begin, int64_t end) {
      std::vector<C> buffer(kIsHalf<T> ? static_cast<size_t>(n) : 0);
      for (int64_t r = begin; r < end; ++r) {
        const C* row = load<T>(x.as<T>() + r * n, n, buffer.data());
        C mu, var;
        moments(row, n, mu, var);
        const C s = C(1) / std::sqrt(var + C(eps));
        mean.as<C>()[r] = mu;
        rstd.as<C>()[r] = s;
        for (int64_t k = 0; k < per; ++k) {
          const int64_t c = r % groups * per + k;
          const C scale = w.p ? s * w.p[c] : s, shift = (b.p ? b.p[c] : C(0)) - mu * scale;
          T* out = y.as<T>() + r * n + k * inner;
          const C* in = row + k * inner;
#pragma omp simd
          for (int64_t i = 0; i < inner; ++i) out[i] = T(in[i] * scale + shift);
        }
      }
    });
  });
}

// Channels innermost: whole groups of about so many channels are what a thread takes at a time.
constexpr int64_t kChannelsAtOnce = 64;

// body(sample, first channel, last channel) for all.
template <class Body>
void for_channels(int64_t samples, int64_t channels, int64_t per, const Body& body) {
  const int64_t width = std::max<int64_t>(1, kChannelsAtOnce / per) * per,
                blocks = (channels + width - 1) / width;
  parallel_for(samples * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % blocks * width;
      body(i / blocks, first, std::min(channels, first + width));
    }
  });
}

// The sums over all pixels of what add(pixel, sums) adds to each of `width` channels; in parts, so
// that long sums stay exact.
template <class C, class Add>
std::vector<double> pixel_sums(int64_t pixels, int64_t width, const Add& add) {
  constexpr int64_t kPart = 64;
  std::vector<double> sums(static_cast<size_t>(width));
  std::vector<C> part(sums.size());
  for (int64_t p = 0; p < pixels; p += kPart) {
    std::fill(part.begin(), part.end(), C(0));
    for (int64_t q = p; q < std::min(pixels, p + kPart); ++q) add(q, part.data());
    for (size_t c = 0; c < sums.size(); ++c) sums[c] += static_cast<double>(part[c]);
  }
  return sums;
}

// For each channel the mean of its group's sums, over n elements.
template <class C>
std::vector<C> group_means(const std::vector<double>& sums, int64_t per, int64_t n) {
  std::vector<C> means(sums.size());
  for (size_t c = 0; c < sums.size(); c += static_cast<size_t>(per)) {
    double sum = 0;
    for (int64_t k = 0; k < per; ++k) sum += sums[c + static_cast<size_t>(k)];
    std::fill_n(means.begin() + static_cast<int64_t>(c), per,
                static_cast<C>(sum / static_cast<double>(n)));
  }
  return means;
}

template <class T>
void norm_channels(const View& y, const View& x, const View& weight, const View& bias,
                   const View& mean, const View& rstd, int64_t groups, double eps) {
  using C = Compute<T>;
  const int64_t channels = x.size[1], pixels = x.size[2], per = channels / groups;
  const Loaded<T> w(weight), b(bias);
  for_channels(x.size[0], channels, per, [&](int64_t sample, int64_t first, int64_t last) {
    const int64_t width = last - first, at = sample * channels * pixels + first;
    const T* in = x.as<T>() + at;
    const auto mu = group_means<C>(pixel_sums<C>(pixels, width,
                                                 [&](int64_t p, C* __restrict sums) {
                                                   const T* row = in + p * channels;
                                                   for (int64_t c = 0; c < width; ++c)
                                                     sums[c] += static_cast<C>(row[c]);
                                                 }),
                                   per, per * pixels);
    const auto var =
        group_means<C>(pixel_sums<C>(pixels, width,
                                     [&, m = mu.data()](int64_t p, C* __restrict sums) {
                                       const T* row = in + p * channels;
                                       for (int64_t c = 0; c < width; ++c) {
                                         const C d = static_cast<C>(row[c]) - m[c];
                                         sums[c] += d * d;
                                       }
                                     }),
                       per, per * pixels);
    std::vector<C> scale(mu.size()), shift(mu.size());
    for (int64_t c = 0; c < width; ++c) {
      const auto i = static_cast<size_t>(c);
      const int64_t group = sample * groups + (first + c) / per;
      const C s = C(1) / std::sqrt(var[i] + C(eps));
      mean.as<C>()[group] = mu[i];
      rstd.as<C>()[group] = s;
      scale[i] = w.p ? s * w.p[first + c] : s;
      shift[i] = (b.p ? b.p[first + c] : C(0)) - mu[i] * scale[i];
    }
    for (int64_t p = 0; p < pixels; ++p) {
      const T* row = in + p * channels;
      T* out = y.as<T>() + at + p * channels;
      const C *const a = scale.data(), *const d = shift.data();
#pragma omp simd
      for (int64_t c = 0; c < width; ++c) out[c] = T(static_cast<C>(row[c]) * a[c] + d[c]);
    }
  });
}

void group_norm_cpu(const View& y, const View& x, const View& weight, const View& bias,
                    const View& mean, const View& rstd, int64_t groups, double eps) {
  if (!has_channels_innermost(x)) return norm_planes(y, x, weight, bias, mean, rstd, groups, eps);
  by_floating(x.dtype,
              [&]<class T>() { norm_channels<T>(y, x, weight, bias, mean, rstd, groups, eps); });
}

// Per sample and channel: the sums of g and of g x, from which all gradients follow.
template <class T>
std::vector<Compute<T>> sums_of_planes(const View& g, const View& x) {
  using C = Compute<T>;
  const int64_t rows = x.size[0] * x.size[1], inner = x.size[2];
  std::vector<C> sums(static_cast<size_t>(2 * rows));
  parallel_for(rows, row_grain(inner), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T *gr = g.as<T>() + r * inner, *xr = x.as<T>() + r * inner;
      C a = 0, b = 0;
#pragma omp simd reduction(+ : a, b)
      for (int64_t i = 0; i < inner; ++i) {
        a += static_cast<C>(gr[i]);
        b += static_cast<C>(gr[i]) * static_cast<C>(xr[i]);
      }
      sums[static_cast<size_t>(2 * r)] = a;
      sums[static_cast<size_t>(2 * r + 1)] = b;
    }
  });
  return sums;
}

template <class T>
std::vector<Compute<T>> sums_of_channels(const View& g, const View& x, int64_t per) {
  using C = Compute<T>;
  const int64_t channels = x.size[1], pixels = x.size[2];
  std::vector<C> sums(static_cast<size_t>(2 * x.size[0] * channels));
  for_channels(x.size[0], channels, per, [&](int64_t sample, int64_t first, int64_t last) {
    const int64_t width = last - first, at = sample * channels * pixels + first;
    const T *gs = g.as<T>() + at, *xs = x.as<T>() + at;
    const auto of_both = pixel_sums<C>(pixels, 2 * width, [&](int64_t p, C* __restrict into) {
      const T *gr = gs + p * channels, *xr = xs + p * channels;
      C* __restrict products = into + width;
      for (int64_t c = 0; c < width; ++c) {
        into[c] += static_cast<C>(gr[c]);
        products[c] += static_cast<C>(gr[c]) * static_cast<C>(xr[c]);
      }
    });
    for (int64_t c = 0; c < width; ++c) {
      C* const to = &sums[static_cast<size_t>(2 * (sample * channels + first + c))];
      to[0] = static_cast<C>(of_both[static_cast<size_t>(c)]);
      to[1] = static_cast<C>(of_both[static_cast<size_t>(width + c)]);
    }
  });
  return sums;
}

// A channel's gradient is g by `of_g`, plus x by `of_x`, plus `constant`.
template <class C>
struct Slopes {
  std::vector<C> of_g, of_x, constant;
};

template <class C>
Slopes<C> slopes(const std::vector<C>& sums, const C* weight, const C* mu, const C* rs,
                 const View& x, int64_t groups) {
  const int64_t channels = x.size[1], per = channels / groups;
  const C n = static_cast<C>(per * x.size[2]);
  Slopes<C> s;
  for (int64_t group = 0; group < x.size[0] * groups; ++group) {
    const auto weight_of = [&](int64_t k) {
      return weight ? weight[group % groups * per + k] : C(1);
    };
    C a = 0, b = 0;
    for (int64_t k = 0; k < per; ++k) {
      a += weight_of(k) * sums[static_cast<size_t>(2 * (group * per + k))];
      b += weight_of(k) * sums[static_cast<size_t>(2 * (group * per + k) + 1)];
    }
    const C along_x = (b - mu[group] * a) * rs[group] * rs[group] / n, along_1 = a / n;
    for (int64_t k = 0; k < per; ++k) {
      s.of_g.push_back(rs[group] * weight_of(k));
      s.of_x.push_back(-rs[group] * along_x);
      s.constant.push_back(rs[group] * (mu[group] * along_x - along_1));
    }
  }
  return s;
}

template <class T>
void gradient_of_planes(const View& dx, const View& g, const View& x, const Slopes<Compute<T>>& s) {
  using C = Compute<T>;
  const int64_t inner = x.size[2];
  parallel_for(x.size[0] * x.size[1], row_grain(inner), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const auto i = static_cast<size_t>(r);
      const C a = s.of_g[i], b = s.of_x[i], c = s.constant[i];
      const T *gr = g.as<T>() + r * inner, *xr = x.as<T>() + r * inner;
      T* out = dx.as<T>() + r * inner;
#pragma omp simd
      for (int64_t j = 0; j < inner; ++j)
        out[j] = T(static_cast<C>(gr[j]) * a + static_cast<C>(xr[j]) * b + c);
    }
  });
}

template <class T>
void gradient_of_channels(const View& dx, const View& g, const View& x,
                          const Slopes<Compute<T>>& s) {
  using C = Compute<T>;
  const int64_t channels = x.size[1], pixels = x.size[2];
  parallel_for(x.size[0] * pixels, row_grain(channels), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const int64_t first = p / pixels * channels;
      const C *a = s.of_g.data() + first, *b = s.of_x.data() + first,
              *d = s.constant.data() + first;
      const T *gr = g.as<T>() + p * channels, *xr = x.as<T>() + p * channels;
      T* out = dx.as<T>() + p * channels;
#pragma omp simd
      for (int64_t c = 0; c < channels; ++c)
        out[c] = T(static_cast<C>(gr[c]) * a[c] + static_cast<C>(xr[c]) * b[c] + d[c]);
    }
  });
}

void group_norm_backward_cpu(const View& rstd, const View& dx, const View& dw, const View& db,
                             const View& g, const View& x, const View& weight, const View& mean,
                             int64_t groups) {
  const int64_t samples = x.size[0], channels = x.size[1], per = channels / groups;
  by_floating(x.dtype, [&]<class T>() {
    using C = Compute<T>;
    const Loaded<T> w(weight);
    const bool innermost = has_channels_innermost(x);
    const std::vector<C> sums =
        innermost ? sums_of_channels<T>(g, x, per) : sums_of_planes<T>(g, x);
    const C *mu = mean.as<C>(), *rs = rstd.as<C>();
    if (dx.data) {
      const Slopes<C> s = slopes<C>(sums, w.p, mu, rs, x, groups);
      if (innermost) gradient_of_channels<T>(dx, g, x, s);
      else gradient_of_planes<T>(dx, g, x, s);
    }
    for (int64_t c = 0; c < channels && (dw.data || db.data); ++c) {
      C a = 0, b = 0;
      for (int64_t s = 0; s < samples; ++s) {
        const int64_t r = s * channels + c, group = s * groups + c / per;
        const C sum = sums[static_cast<size_t>(2 * r)];
        a += (sums[static_cast<size_t>(2 * r + 1)] - mu[group] * sum) * rs[group];
        b += sum;
      }
      if (dw.data) dw.as<T>()[c] = T(a);
      if (db.data) db.as<T>()[c] = T(b);
    }
  });
}

NNM_KERNEL(group_norm, group_norm_cpu);
NNM_KERNEL(group_norm_backward, group_norm_backward_cpu);

}  // namespace
}  // namespace nnm
