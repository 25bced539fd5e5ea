// Adadelta, Adamax, NAdam, RAdam, Rprop and ASGD, each in one pass over parameter, gradient and
// state; sums of powers for the norm of gradients.
#include <cmath>

#include "kernels/cpu/update.h"
#include "kernels/optim.h"

namespace nnm {
namespace {

void adadelta_cpu(const View& param, const View& grad, const View& square_avg,
                  const View& acc_delta, const AdadeltaStep& s) {
  update(param, grad, square_avg, acc_delta, {}, [&]<class C>() {
    return [&](C* __restrict p, const C* __restrict g, C* __restrict sq, C* __restrict acc, C*,
               int64_t n) {
      const C lr = C(s.lr), rho = C(s.rho), rest = C(1 - s.rho), eps = C(s.eps);
      const C wd = C(s.weight_decay), sign = C(s.maximize ? -1 : 1);
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) {
        const C d = sign * g[i] + wd * p[i];
        sq[i] = rho * sq[i] + rest * d * d;
        const C delta = std::sqrt(acc[i] + eps) / std::sqrt(sq[i] + eps) * d;
        acc[i] = rho * acc[i] + rest * delta * delta;
        p[i] -= lr * delta;
      }
    };
  });
}

void adamax_cpu(const View& param, const View& grad, const View& exp_avg, const View& exp_inf,
                const AdamaxStep& s) {
  update(param, grad, exp_avg, exp_inf, {}, [&]<class C>() {
    return [&](C* __restrict p, const C* __restrict g, C* __restrict m, C* __restrict top, C*,
               int64_t n) {
      const C rate = C(s.lr / (1 - std::pow(s.beta1, static_cast<double>(s.step))));
      const C b1 = C(1 - s.beta1), b2 = C(s.beta2), eps = C(s.eps);
      const C wd = C(s.weight_decay), sign = C(s.maximize ? -1 : 1);
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) {
        const C d = sign * g[i] + wd * p[i];
        m[i] += b1 * (d - m[i]);
        const C kept = b2 * top[i], now = std::abs(d) + eps;
        top[i] = kept > now ? kept : now;
        p[i] -= rate * m[i] / top[i];
      }
    };
  });
}

void moment_cpu(const View& param, const View& grad, const View& exp_avg, const View& exp_avg_sq,
                const MomentStep& s) {
  update(param, grad, exp_avg, exp_avg_sq, {}, [&]<class C>() {
    return [&](C* __restrict p, const C* __restrict g, C* __restrict m, C* __restrict v, C*,
               int64_t n) {
      const C b1 = C(1 - s.beta1), b2 = C(s.beta2), c2 = C(1 - s.beta2), eps = C(s.eps);
      const C grad_rate = C(s.grad_rate), rate = C(s.rate), spread = C(s.spread);
      const C shrink = C(s.shrink), wd = C(s.weight_decay), sign = C(s.maximize ? -1 : 1);
      const bool plain = s.plain;
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) {
        const C d = sign * g[i] + wd * p[i];
        m[i] += b1 * (d - m[i]);
        v[i] = b2 * v[i] + c2 * d * d;
        const C way = grad_rate * d + rate * m[i];
        p[i] = shrink * p[i] - (plain ? way : way / (std::sqrt(v[i]) * spread + eps));
      }
    };
  });
}

void rprop_cpu(const View& param, const View& grad, const View& prev, const View& step_size,
               const RpropStep& s) {
  update(param, grad, prev, step_size, {}, [&]<class C>() {
    return [&](C* __restrict p, const C* __restrict g, C* __restrict before, C* __restrict size, C*,
               int64_t n) {
      const C less = C(s.eta_minus), more = C(s.eta_plus), sign = C(s.maximize ? -1 : 1);
      const C low = C(s.step_min), high = C(s.step_max);
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) {
        const C product = sign * g[i] * before[i];
        const C scaled = size[i] * (product > 0 ? more : product < 0 ? less : C(1));
        size[i] = scaled < low ? low : scaled > high ? high : scaled;
        // After a change of sign the gradient is forgotten.
        const C d = product < 0 ? C(0) : sign * g[i];
        p[i] -= d > 0 ? size[i] : d < 0 ? -size[i] : C(0);
        before[i] = d;
      }
    };
  });
}

void asgd_cpu(const View& param, const View& grad, const View& ax, const AsgdStep& s) {
  update(param, grad, ax, {}, {}, [&]<class C>() {
    return [&](C* __restrict p, const C* __restrict g, C* __restrict average, C*, C*, int64_t n) {
      const C eta = C(s.eta), keep = C(1 - s.lambd * s.eta), mu = C(s.mu);
      const C wd = C(s.weight_decay), sign = C(s.maximize ? -1 : 1);
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) {
        const C d = sign * g[i] + wd * p[i];
        p[i] = keep * p[i] - eta * d;
        average[i] = mu == C(1) ? p[i] : average[i] + mu * (p[i] - average[i]);
      }
    };
  });
}

/// The sum (or for p = inf the maximum) over n elements, in eight lanes.
template <class T>
double power_sum_of(const T* x, int64_t n, double p) {
  constexpr int kLanes = 8;
  const bool top = std::isinf(p);
  double lane[kLanes] = {};
  const auto add = [&](double& into, double v) {
    if (p == 2) into += v * v;
    else if (p == 1) into += std::abs(v);
    else if (!top) into += std::pow(std::abs(v), p);
    else into = std::abs(v) > into || v != v ? std::abs(v) : into;
  };
  int64_t i = 0;
  if (p == 2) {
    for (; i + kLanes <= n; i += kLanes) {
      for (int l = 0; l < kLanes; ++l)
        lane[l] += double(Compute<T>(x[i + l])) * double(Compute<T>(x[i + l]));
    }
  }
  for (; i < n; ++i) add(lane[0], double(Compute<T>(x[i])));
  for (int l = 1; l < kLanes; ++l) {
    if (top) add(lane[0], lane[l]);
    else lane[0] += lane[l];
  }
  return lane[0];
}

double power_sum(const View& x, double p) {
  // A part per slot, however many threads there are.
  constexpr int64_t kParts = 128, kLeast = 16384;
  const int64_t n = x.numel(), part = std::max(kLeast, (n + kParts - 1) / kParts);
  double parts[kParts] = {};
  by_floating(x.dtype, [&]<class T>() {
    parallel_for((n + part - 1) / part, 1, [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        const int64_t at = k * part;
        parts[k] = power_sum_of(x.as<T>() + at, std::min(part, n - at), p);
      }
    });
  });
  double sum = 0;
  for (const double v : parts) sum = kernels::joined_power_sum(sum, v, p);
  return sum;
}

void power_sums_cpu(const View&, std::span<const View> all, double p, double* sums) {
  for (const View& x : all) *sums++ = power_sum(x, p);
}

void clip_all_cpu(const View&, std::span<const View> all, double scale, double limit) {
  for (const View& x : all) {
    by_floating(x.dtype, [&]<class T>() {
      using C = Compute<T>;
      const C by = C(scale), most = C(limit);
      T* const p = x.as<T>();
      parallel_for(x.numel(), kGrain, [=](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const C v = C(p[i]) * by;
          p[i] = T(v < -most ? -most : v > most ? most : v);
        }
      });
    });
  }
}

}  // namespace

NNM_KERNEL(adadelta_step, adadelta_cpu);
NNM_KERNEL(adamax_step, adamax_cpu);
NNM_KERNEL(moment_step, moment_cpu);
NNM_KERNEL(rprop_step, rprop_cpu);
NNM_KERNEL(asgd_step, asgd_cpu);
NNM_KERNEL(power_sums, power_sums_cpu);
NNM_KERNEL(clip_all, clip_all_cpu);

}  // namespace nnm
