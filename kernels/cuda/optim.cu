// The update rules of kernels/optim.h on a device: one pass over parameter, gradient and state, a
// pack of 16 bytes of each to a thread.
#include "kernels/optim.h"

#include <cmath>

#include "kernels/cuda/element.h"
#include "kernels/cuda/together.h"

namespace nnm::cuda {
namespace {

/// Parameter, gradient and up to three states of one type; absent ones are null.
constexpr int kViews = 5;
template <class T>
struct Memory5 {
  T* p[kViews];
};

template <class T, class R>
__device__ inline void update_one(const Memory5<T>& v, const R& rule, bool f16, int64_t i) {
  using C = Compute<T>;
  C x[kViews] = {};
  for (int k = 0; k < kViews; ++k)
    if (v.p[k]) x[k] = widened<C>(v.p[k][i], f16);
  rule(x);
  for (int k = 0; k < kViews; ++k)
    if (v.p[k] && k != 1) v.p[k][i] = narrowed<T>(x[k], f16);
}

/// rule(C (&x)[5]) with x = parameter, gradient, states; it leaves what they become. For the
/// `pack`-th 16 bytes of each.
template <class T, class R>
__device__ inline void update_pack(const Memory5<T>& v, int64_t n, int64_t pack, const R& rule,
                                   bool f16) {
  using C = Compute<T>;
  constexpr int kWide = 16 / sizeof(T);
  const int64_t at = pack * kWide;
  if (at + kWide > n) {
#pragma unroll 1  // once in a vector
    for (int64_t i = at; i < n; ++i) update_one(v, rule, f16, i);
    return;
  }
  Pack<T> packs[kViews];
  for (int k = 0; k < kViews; ++k)
    if (v.p[k]) packs[k] = *reinterpret_cast<const Pack<T>*>(v.p[k] + at);
  for (int j = 0; j < kWide; ++j) {
    C x[kViews] = {};
    for (int k = 0; k < kViews; ++k)
      if (v.p[k]) x[k] = widened<C>(packs[k].v[j], f16);
    rule(x);
    for (int k = 0; k < kViews; ++k)
      if (v.p[k]) packs[k].v[j] = narrowed<T>(x[k], f16);
  }
  for (int k = 0; k < kViews; ++k)
    if (v.p[k] && k != 1) *reinterpret_cast<Pack<T>*>(v.p[k] + at) = packs[k];
}

template <class T, class R>
__global__ void update_kernel(Memory5<T> v, int64_t n, R rule, bool f16) {
  update_pack(v, n, global_thread(), rule, f16);
}

/// For memory that packs do not reach: a parameter that is a part of another tensor.
template <class T, class R>
__global__ void update_singly(Memory5<T> v, int64_t n, R rule, bool f16) {
  const int64_t i = global_thread();
  if (i < n) update_one(v, rule, f16, i);
}

/// Parameters that one launch updates, as many as a kernel's arguments hold with the rule.
template <class T>
struct Together {
  static constexpr int kMost = 64;
  Memory5<T> memory[kMost];
  int64_t n[kMost];
  unsigned first[kMost];  ///< block of each
  int count = 0;
  unsigned blocks = 0;
  void add(const Memory5<T>& v, int64_t size) {
    constexpr int64_t kWide = 16 / sizeof(T);
    memory[count] = v;
    n[count] = size;
    first[count++] = blocks;
    blocks += blocks_for((size + kWide - 1) / kWide).x;
  }
};

template <class T, class R>
__global__ void update_together(Together<T> all, R rule, bool f16) {
  const int k = listed(all.first, all.count);
  const int64_t block = blockIdx.x - all.first[k];
  update_pack(all.memory[k], all.n[k], block * kThreads + threadIdx.x, rule, f16);
}

template <class T>
Memory5<T> memory_of(const View* const (&views)[kViews], bool* packs) {
  Memory5<T> v;
  for (int k = 0; k < kViews; ++k) {
    v.p[k] = views[k]->as<T>();
    *packs = *packs && aligned(v.p[k]);
  }
  return v;
}

/// make.template operator()<C>() gives the rule that computes in C.
template <class Make>
void update(const View& param, const View& grad, const View& a, const View& b, const View& c,
            const Make& make) {
  const int64_t n = param.numel();
  const bool f16 = param.dtype == DType::f16;
  by_memory(param.dtype, [&]<class T>() {
    bool packs = true;
    const Memory5<T> v = memory_of<T>({&param, &grad, &a, &b, &c}, &packs);
    const auto rule = make.template operator()<Compute<T>>();
    using R = std::remove_const_t<decltype(rule)>;
    constexpr int64_t kWide = 16 / sizeof(T);
    if (packs)
      NNM_LAUNCH((update_kernel<T, R>), blocks_for((n + kWide - 1) / kWide), kThreads, 0, v, n,
                 rule, f16);
    else NNM_LAUNCH((update_singly<T, R>), blocks_for(n), kThreads, 0, v, n, rule, f16);
  });
}

/// The same for many parameters; update() takes one alone, whose launch has fewer arguments.
template <class Make>
void update_all(std::span<const kernels::UpdateOperands> all, const Make& make) {
  if (all.empty()) return;
  const bool f16 = all[0].param.dtype == DType::f16;
  by_memory(all[0].param.dtype, [&]<class T>() {
    const auto rule = make.template operator()<Compute<T>>();
    using R = std::remove_const_t<decltype(rule)>;
    static_assert(sizeof(Together<T>) + sizeof(R) + 8 <= kMostArguments);
    Together<T> batch;
    const auto launch = [&] {
      NNM_LAUNCH((update_together<T, R>), batch.blocks, kThreads, 0, batch, rule, f16);
      batch.count = 0;
      batch.blocks = 0;
    };
    for (const kernels::UpdateOperands& o : all) {
      bool packs = true;
      const Memory5<T> v = memory_of<T>({&o.param, &o.grad, &o.a, &o.b, &o.c}, &packs);
      if (!packs || all.size() == 1) {
        update(o.param, o.grad, o.a, o.b, o.c, make);
        continue;
      }
      batch.add(v, o.param.numel());
      if (batch.count == Together<T>::kMost) launch();
    }
    launch();
  });
}

template <class C>
C sign_of(bool maximize) {
  return C(maximize ? -1 : 1);
}

template <class C>
struct SgdRule {
  C lr, wd, mu, damp, sign;
  bool buffer, first, nesterov;
  __device__ void operator()(C (&x)[kViews]) const {
    const C d = sign * x[1] + wd * x[0];
    if (!buffer) {
      x[0] -= lr * d;
      return;
    }
    x[2] = first ? d : mu * x[2] + damp * d;
    x[0] -= lr * (nesterov ? d + mu * x[2] : x[2]);
  }
};

void sgd(const View&, std::span<const kernels::UpdateOperands> all, const SgdStep& s) {
  update_all(all, [&]<class C>() {
    return SgdRule<C>{C(s.lr),
                      C(s.weight_decay),
                      C(s.momentum),
                      C(1 - s.dampening),
                      sign_of<C>(s.maximize),
                      all[0].a.data != nullptr,
                      s.first,
                      s.nesterov};
  });
}

template <class C>
struct AdamRule {
  C step_size, unit, eps, b1, b2, c2, sign, keep, wd;
  bool amsgrad;
  __device__ void operator()(C (&x)[kViews]) const {
    const C d = sign * x[1] + wd * x[0];
    x[2] += b1 * (d - x[2]);
    x[3] = b2 * x[3] + c2 * d * d;
    C spread = x[3];
    if (amsgrad) {
      x[4] = x[3] > x[4] ? x[3] : x[4];
      spread = x[4];
    }
    x[0] = keep * x[0] - step_size * x[2] / (std::sqrt(spread) * unit + eps);
  }
};

template <class C>
AdamRule<C> adam_rule(const AdamStep& s, bool amsgrad) {
  const auto step = static_cast<double>(s.step);
  const double correction1 = 1 - std::pow(s.beta1, step), correction2 = 1 - std::pow(s.beta2, step);
  return {C(s.lr / correction1),
          C(1 / std::sqrt(correction2)),
          C(s.eps),
          C(1 - s.beta1),
          C(s.beta2),
          C(1 - s.beta2),
          sign_of<C>(s.maximize),
          C(s.decoupled ? 1 - s.lr * s.weight_decay : 1),
          C(s.decoupled ? 0 : s.weight_decay),
          amsgrad};
}

void adam(const View&, std::span<const kernels::UpdateOperands> all, const AdamStep& s) {
  update_all(all, [&]<class C>() { return adam_rule<C>(s, all[0].c.data != nullptr); });
}

template <class C>
struct RmspropRule {
  C lr, wd, alpha, rest, mu, eps, sign;
  bool centered, buffer;
  __device__ void operator()(C (&x)[kViews]) const {
    const C d = sign * x[1] + wd * x[0];
    x[2] = alpha * x[2] + rest * d * d;
    C spread = x[2];
    if (centered) {
      x[3] += rest * (d - x[3]);
      spread -= x[3] * x[3];
    }
    const C step = d / (std::sqrt(spread) + eps);
    if (buffer) x[4] = mu * x[4] + step;
    x[0] -= lr * (buffer ? x[4] : step);
  }
};

void rmsprop(const View&, std::span<const kernels::UpdateOperands> all, const RmspropStep& s) {
  update_all(all, [&]<class C>() {
    return RmspropRule<C>{C(s.lr),
                          C(s.weight_decay),
                          C(s.alpha),
                          C(1 - s.alpha),
                          C(s.momentum),
                          C(s.eps),
                          sign_of<C>(s.maximize),
                          all[0].b.data != nullptr,
                          all[0].c.data != nullptr};
  });
}

template <class C>
struct AdagradRule {
  C lr, wd, eps, sign;
  __device__ void operator()(C (&x)[kViews]) const {
    const C d = sign * x[1] + wd * x[0];
    x[2] += d * d;
    x[0] -= lr * d / (std::sqrt(x[2]) + eps);
  }
};

void adagrad(const View&, std::span<const kernels::UpdateOperands> all, const AdagradStep& s) {
  update_all(all, [&]<class C>() {
    return AdagradRule<C>{C(s.lr / (1 + static_cast<double>(s.step - 1) * s.lr_decay)),
                          C(s.weight_decay), C(s.eps), sign_of<C>(s.maximize)};
  });
}

template <class C>
struct AdadeltaRule {
  C lr, rho, rest, eps, wd, sign;
  __device__ void operator()(C (&x)[kViews]) const {
    const C d = sign * x[1] + wd * x[0];
    x[2] = rho * x[2] + rest * d * d;
    const C delta = std::sqrt(x[3] + eps) / std::sqrt(x[2] + eps) * d;
    x[3] = rho * x[3] + rest * delta * delta;
    x[0] -= lr * delta;
  }
};

void adadelta(const View& param, const View& grad, const View& square_avg, const View& acc_delta,
              const AdadeltaStep& s) {
  update(param, grad, square_avg, acc_delta, {}, [&]<class C>() {
    return AdadeltaRule<C>{C(s.lr),  C(s.rho),          C(1 - s.rho),
                           C(s.eps), C(s.weight_decay), sign_of<C>(s.maximize)};
  });
}

template <class C>
struct AdamaxRule {
  C rate, b1, b2, eps, wd, sign;
  __device__ void operator()(C (&x)[kViews]) const {
    const C d = sign * x[1] + wd * x[0];
    x[2] += b1 * (d - x[2]);
    const C kept = b2 * x[3], now = std::abs(d) + eps;
    x[3] = kept > now ? kept : now;
    x[0] -= rate * x[2] / x[3];
  }
};

void adamax(const View& param, const View& grad, const View& exp_avg, const View& exp_inf,
            const AdamaxStep& s) {
  const double correction = 1 - std::pow(s.beta1, static_cast<double>(s.step));
  update(param, grad, exp_avg, exp_inf, {}, [&]<class C>() {
    return AdamaxRule<C>{C(s.lr / correction), C(1 - s.beta1),        C(s.beta2), C(s.eps),
                         C(s.weight_decay),    sign_of<C>(s.maximize)};
  });
}

template <class C>
struct MomentRule {
  C b1, b2, c2, eps, grad_rate, rate, spread, shrink, wd, sign;
  bool plain;
  __device__ void operator()(C (&x)[kViews]) const {
    const C d = sign * x[1] + wd * x[0];
    x[2] += b1 * (d - x[2]);
    x[3] = b2 * x[3] + c2 * d * d;
    const C way = grad_rate * d + rate * x[2];
    x[0] = shrink * x[0] - (plain ? way : way / (std::sqrt(x[3]) * spread + eps));
  }
};

void moment(const View& param, const View& grad, const View& exp_avg, const View& exp_avg_sq,
            const MomentStep& s) {
  update(param, grad, exp_avg, exp_avg_sq, {}, [&]<class C>() {
    return MomentRule<C>{
        C(1 - s.beta1), C(s.beta2),  C(1 - s.beta2), C(s.eps),          C(s.grad_rate),
        C(s.rate),      C(s.spread), C(s.shrink),    C(s.weight_decay), sign_of<C>(s.maximize),
        s.plain};
  });
}

template <class C>
struct RpropRule {
  C less, more, low, high, sign;
  __device__ void operator()(C (&x)[kViews]) const {
    const C product = sign * x[1] * x[2];
    const C scaled = x[3] * (product > 0 ? more : product < 0 ? less : C(1));
    x[3] = scaled < low ? low : scaled > high ? high : scaled;
    // After a change of sign the gradient is forgotten.
    const C d = product < 0 ? C(0) : sign * x[1];
    x[0] -= d > 0 ? x[3] : d < 0 ? -x[3] : C(0);
    x[2] = d;
  }
};

void rprop(const View& param, const View& grad, const View& prev, const View& step_size,
           const RpropStep& s) {
  update(param, grad, prev, step_size, {}, [&]<class C>() {
    return RpropRule<C>{C(s.eta_minus), C(s.eta_plus), C(s.step_min), C(s.step_max),
                        sign_of<C>(s.maximize)};
  });
}

template <class C>
struct AsgdRule {
  C eta, keep, mu, wd, sign;
  __device__ void operator()(C (&x)[kViews]) const {
    const C d = sign * x[1] + wd * x[0];
    x[0] = keep * x[0] - eta * d;
    x[2] = mu == C(1) ? x[0] : x[2] + mu * (x[0] - x[2]);
  }
};

void asgd(const View& param, const View& grad, const View& ax, const AsgdStep& s) {
  update(param, grad, ax, {}, {}, [&]<class C>() {
    return AsgdRule<C>{C(s.eta), C(1 - s.lambd * s.eta), C(s.mu), C(s.weight_decay),
                       sign_of<C>(s.maximize)};
  });
}

NNM_CUDA_KERNEL(sgd_steps, sgd);
NNM_CUDA_KERNEL(adam_steps, adam);
NNM_CUDA_KERNEL(rmsprop_steps, rmsprop);
NNM_CUDA_KERNEL(adagrad_steps, adagrad);
NNM_CUDA_KERNEL(adadelta_step, adadelta);
NNM_CUDA_KERNEL(adamax_step, adamax);
NNM_CUDA_KERNEL(moment_step, moment);
NNM_CUDA_KERNEL(rprop_step, rprop);
NNM_CUDA_KERNEL(asgd_step, asgd);

}  // namespace
}  // namespace nnm::cuda
