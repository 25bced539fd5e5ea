// SGD, Adam, RMSprop and Adagrad, each in one pass over parameter, gradient and state.
#include "kernels/optim.h"

#include <cmath>

#include "kernels/cpu/update.h"

namespace nnm {
namespace {

// p -= rate (g + decay p), without the second term where there is none: the bare rule of small
// nets, whose loop is most of a step.
template <bool kDecay, class C>
void plain_sgd(C* __restrict p, const C* __restrict g, int64_t n, C rate, C decay) {
#pragma GCC unroll 4
  for (int64_t i = 0; i < n; ++i) {
    if constexpr (kDecay) p[i] -= decay * p[i] + rate * g[i];
    else p[i] -= rate * g[i];
  }
}

template <class C>
void sgd_rule(C* __restrict p, const C* __restrict g, C* __restrict buf, int64_t n,
              const SgdStep& s) {
  const C lr = C(s.lr), wd = C(s.weight_decay), mu = C(s.momentum), damp = C(1 - s.dampening),
          sign = C(s.maximize ? -1 : 1);
  if (!buf) {
    if (wd == C(0)) return plain_sgd<false>(p, g, n, lr * sign, wd);
    return plain_sgd<true>(p, g, n, lr * sign, C(s.lr * s.weight_decay));
  }
  const bool first = s.first, nesterov = s.nesterov;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const C d = sign * g[i] + wd * p[i];
    const C b = first ? d : mu * buf[i] + damp * d;
    buf[i] = b;
    p[i] -= lr * (nesterov ? d + mu * b : b);
  }
}

/// What make gives is done for every parameter: make.template operator()<C>() is its rule in C.
template <class MakeRule>
void update_all(std::span<const kernels::UpdateOperands> all, const MakeRule& make) {
  for (const kernels::UpdateOperands& o : all) update(o.param, o.grad, o.a, o.b, o.c, make);
}

void sgd_cpu(const View&, std::span<const kernels::UpdateOperands> all, const SgdStep& s) {
  update_all(all, [&]<class C>() {
    return [&](C* p, const C* g, C* buf, C*, C*, int64_t n) { sgd_rule<C>(p, g, buf, n, s); };
  });
}

template <class C>
void adam_rule(C* __restrict p, const C* __restrict g, C* __restrict m, C* __restrict v,
               C* __restrict top, int64_t n, const AdamStep& s) {
  const double correction1 = 1 - std::pow(s.beta1, static_cast<double>(s.step));
  const double correction2 = 1 - std::pow(s.beta2, static_cast<double>(s.step));
  const C step_size = C(s.lr / correction1), unit = C(1 / std::sqrt(correction2)), eps = C(s.eps);
  const C b1 = C(1 - s.beta1), b2 = C(s.beta2), c2 = C(1 - s.beta2), sign = C(s.maximize ? -1 : 1);
  const C keep = C(s.decoupled ? 1 - s.lr * s.weight_decay : 1),
          wd = C(s.decoupled ? 0 : s.weight_decay);
  if (!top) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const C d = sign * g[i] + wd * p[i];
      m[i] += b1 * (d - m[i]);
      v[i] = b2 * v[i] + c2 * d * d;
      p[i] = keep * p[i] - step_size * m[i] / (std::sqrt(v[i]) * unit + eps);
    }
    return;
  }
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const C d = sign * g[i] + wd * p[i];
    m[i] += b1 * (d - m[i]);
    v[i] = b2 * v[i] + c2 * d * d;
    top[i] = v[i] > top[i] ? v[i] : top[i];
    p[i] = keep * p[i] - step_size * m[i] / (std::sqrt(top[i]) * unit + eps);
  }
}

void adam_cpu(const View&, std::span<const kernels::UpdateOperands> all, const AdamStep& s) {
  update_all(all, [&]<class C>() {
    return
        [&](C* p, const C* g, C* m, C* v, C* t, int64_t n) { adam_rule<C>(p, g, m, v, t, n, s); };
  });
}

template <class C>
void rmsprop_rule(C* __restrict p, const C* __restrict g, C* __restrict sq, C* __restrict avg,
                  C* __restrict buf, int64_t n, const RmspropStep& s) {
  const C lr = C(s.lr), wd = C(s.weight_decay), alpha = C(s.alpha), rest = C(1 - s.alpha),
          mu = C(s.momentum);
  const C eps = C(s.eps), sign = C(s.maximize ? -1 : 1);
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const C d = sign * g[i] + wd * p[i];
    sq[i] = alpha * sq[i] + rest * d * d;
    C spread = sq[i];
    if (avg) {
      avg[i] += rest * (d - avg[i]);
      spread -= avg[i] * avg[i];
    }
    const C step = d / (std::sqrt(spread) + eps);
    if (buf) {
      buf[i] = mu * buf[i] + step;
      p[i] -= lr * buf[i];
    } else {
      p[i] -= lr * step;
    }
  }
}

void rmsprop_cpu(const View&, std::span<const kernels::UpdateOperands> all, const RmspropStep& s) {
  update_all(all, [&]<class C>() {
    return [&](C* p, const C* g, C* sq, C* avg, C* buf, int64_t n) {
      rmsprop_rule<C>(p, g, sq, avg, buf, n, s);
    };
  });
}

void adagrad_cpu(const View&, std::span<const kernels::UpdateOperands> all, const AdagradStep& s) {
  update_all(all, [&]<class C>() {
    return [&](C* __restrict p, const C* __restrict g, C* __restrict total, C*, C*, int64_t n) {
      const C lr = C(s.lr / (1 + static_cast<double>(s.step - 1) * s.lr_decay)),
              wd = C(s.weight_decay), eps = C(s.eps);
      const C sign = C(s.maximize ? -1 : 1);
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) {
        const C d = sign * g[i] + wd * p[i];
        total[i] += d * d;
        p[i] -= lr * d / (std::sqrt(total[i]) + eps);
      }
    };
  });
}

}  // namespace

NNM_KERNEL(sgd_steps, sgd_cpu);
NNM_KERNEL(adam_steps, adam_cpu);
NNM_KERNEL(rmsprop_steps, rmsprop_cpu);
NNM_KERNEL(adagrad_steps, adagrad_cpu);

}  // namespace nnm
