// Softmax along one dimension, and cross entropy that never stores probabilities. A row of classes
// belongs to a group of threads: one thread where the rows lie side by side, a warp where they are
// short, else a block. They hold a row of softmax in registers where they can.
#include "kernels/softmax.h"

#include <initializer_list>
#include <limits>

#include "kernels/cuda/held.h"
#include "kernels/cuda/math.h"

namespace nnm::cuda {
namespace {

constexpr int kRowWarps = kThreads / 32;
constexpr int64_t kShortRow = 1024;

/// The threads of a row: kWarps warps, or one thread for 0.
template <int kWarps>
struct Group {
  static constexpr int kSize = kWarps == 0 ? 1 : kWarps * 32;
  /// How often loops over elements are written out: several threads come to them only where packs
  /// do not reach.
  static constexpr int kLoop = kSize == 1 ? 4 : 1;
  __device__ static int64_t row() {
    return kWarps == 0 ? global_thread()
                       : static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  }
  __device__ static int rank() { return kWarps == 0 ? 0 : static_cast<int>(threadIdx.x); }
  template <class T, class F>
  __device__ static T over(T x, F f) {
    if constexpr (kWarps == 0) return x;
    else return over_block<kWarps>(x, f);
  }
};

/// Rows of n elements, `inner` apart; there are `inner` rows side by side.
struct Rows {
  int64_t count, n, inner;
  Rows(int64_t outer, int64_t n, int64_t inner) : count(outer * inner), n(n), inner(inner) {}
  Rows(const View& v, int64_t dim) : count(1), n(1), inner(1) {
    for (int64_t i = 0; i < v.ndim; ++i)
      (i == dim ? n : count) *= v.size[i], inner *= i > dim ? v.size[i] : 1;
  }
  __device__ int64_t start(int64_t row) const {
    if (inner == 1) return row * n;
    int64_t column;
    const int64_t slice = divide(row, inner, &column);
    return slice * n * inner + column;
  }
};

/// Calls body.template operator()<kWarps>(grid, block) with the groups that suit the rows.
template <class Body>
void by_group(const Rows& rows, const Body& body) {
  if (rows.inner > 1 || rows.n < 16)
    return body.template operator()<0>(blocks_for(rows.count), dim3(kThreads));
  if (rows.n <= kShortRow) {
    const auto blocks = static_cast<unsigned>((rows.count + kRowWarps - 1) / kRowWarps);
    return body.template operator()<1>(dim3(blocks), dim3(32, kRowWarps));
  }
  body.template operator()<kRowWarps>(dim3(static_cast<unsigned>(rows.count)), dim3(kThreads));
}

template <class C>
constexpr C kLowest = -std::numeric_limits<C>::infinity();

/// The largest element of a row, and the sum of exponentials of distances from it.
template <class C>
struct Mass {
  C top, sum;
};

/// Adds elements, of which -inf counts for nothing: what is there is scaled when a larger one
/// comes.
template <class C, int N>
__device__ inline void add(Mass<C>& mass, const C (&v)[N]) {
  C top = mass.top;
  for (const C e : v) top = e > top ? e : top;
  if (top > mass.top) {
    mass.sum *= m::exp(mass.top - top);
    mass.top = top;
  }
  for (const C e : v)
    if (e != kLowest<C>) mass.sum += m::exp(e - mass.top);
}

/// A dense row as packs of 16 bytes around it: those at its ends may have elements of others.
template <class T>
struct Around {
  static constexpr int kWide = 16 / sizeof(T);
  int n, before, packs;  ///< elements of the first pack that are not the row's
  __device__ Around(const T* row, int64_t size)
      : n(static_cast<int>(size)),
        before(static_cast<int>(reinterpret_cast<uintptr_t>(row) % 16 / sizeof(T))),
        packs((before + n + kWide - 1) / kWide) {}
  /// The element with which pack i begins, below 0 at the row's begin.
  __device__ int first(int i) const { return i * kWide - before; }
  __device__ bool has(int element) const { return element >= 0 && element < n; }
};

/// Whether a group reads a row by packs.
template <class G>
__device__ inline bool by_packs(int64_t n, int64_t step) {
  return G::kSize > 1 && step == 1 && n < INT32_MAX / 2;
}

constexpr int kBatch = 4;  ///< packs that a thread asks for at once

/// In one pass, since a long row does not stay in the cache. NaN where an element is NaN or +inf,
/// or all are -inf, as in PyTorch.
template <class G, class T>
__device__ inline Mass<Compute<T>> mass_of(const T* x, int64_t n, int64_t step, bool f16) {
  using C = Compute<T>;
  Mass<C> own{kLowest<C>, 0};
  if (by_packs<G>(n, step)) {
    const Around<T> row(x, n);
#pragma unroll 1
    for (int i = G::rank(); i < row.packs; i += G::kSize * kBatch) {
      Pack<T> p[kBatch];
#pragma unroll
      for (int k = 0; k < kBatch; ++k) {
        const int at = i + k * G::kSize;
        p[k] = *reinterpret_cast<const Pack<T>*>(x + row.first(at < row.packs ? at : i));
      }
#pragma unroll
      for (int k = 0; k < kBatch; ++k) {
        C v[row.kWide];
        for (int j = 0; j < row.kWide; ++j)
          v[j] = row.has(row.first(i + k * G::kSize) + j) ? widened<C>(p[k].v[j], f16) : kLowest<C>;
        add(own, v);
      }
    }
  } else {
#pragma unroll G::kLoop
    for (int64_t i = G::rank(); i < n; i += G::kSize) {
      const C v[] = {widened<C>(x[i * step], f16)};
      add(own, v);
    }
  }
  const C most = G::over(own.top, Most());
  const C sum = G::over(own.top == kLowest<C> ? own.sum : own.sum * m::exp(own.top - most), Plus());
  return {most, most - most == C(0) ? sum : std::numeric_limits<C>::quiet_NaN()};
}

template <class T, int kWarps>
__global__ void softmax_kernel(T* y, const T* x, Rows rows, bool log, bool f16) {
  using C = Compute<T>;
  using G = Group<kWarps>;
  const int64_t row = G::row();
  if (row >= rows.count) return;
  const int64_t at = rows.start(row), step = rows.inner;
  x += at;
  y += at;
  const Mass<C> mass = mass_of<G>(x, rows.n, step, f16);
  const C shift = log ? mass.top + m::log(mass.sum) : mass.top, scale = C(1) / mass.sum;
  for (int64_t i = G::rank(); i < rows.n; i += G::kSize) {
    const C v = widened<C>(x[i * step], f16) - shift;
    y[i * step] = narrowed<T>(log ? v : m::exp(v) * scale, f16);
  }
}

template <class T, class S>
__global__ void softmax_held(T* y, const T* x, int64_t rows, int n, bool log, bool f16) {
  using C = Compute<T>;
  const int64_t row = Group<S::kWarps>::row();
  if (row >= rows) return;
  typename S::Values v;
  S::load(v, x + row * n, n, kLowest<C>, f16);
  C top = kLowest<C>, sum = 0;
  for (int k = 0; k < S::kPacks; ++k)
    for (const C e : v[k]) top = e > top ? e : top;
  top = over_block<S::kWarps>(top, Most());
  // Of -inf alone NaN, as of +inf and NaN.
  for (int k = 0; k < S::kPacks; ++k) {
    for (C& e : v[k]) {
      e -= top;
      const C mass = m::exp(e);
      sum += mass;
      if (!log) e = mass;
    }
  }
  sum = over_block<S::kWarps>(sum, Plus());
  const C shift = log ? m::log(sum) : C(0), scale = log ? C(1) : C(1) / sum;
#pragma unroll
  for (int k = 0; k < S::kPacks; ++k) {
    for (C& e : v[k]) e = (e - shift) * scale;
    if (S::place(k) < n) S::store(y + row * n, S::place(k), v[k], f16);
  }
}

/// Calls body.template operator()<Share>(grid, block) where threads can hold the rows in registers
/// and the operands allow it; else false, with nothing done.
template <class T, class Body>
bool by_held(const Rows& rows, std::initializer_list<const View*> operands, const Body& body) {
  if (rows.inner > 1) return false;
  for (const View* v : operands)
    if (!aligned(v->data)) return false;
  return by_share<T>(rows.n, [&]<class S>() {
    constexpr int kRows = kRowWarps / S::kWarps;
    body.template operator()<S>(dim3(static_cast<unsigned>((rows.count + kRows - 1) / kRows)),
                                dim3(S::kWarps * 32, kRows));
  });
}

void softmax(const View& y, const View& x, int64_t dim, bool log) {
  const Rows rows(x, dim);
  if (x.numel() == 0) return;
  const bool f16 = x.dtype == DType::f16;
  by_memory(x.dtype, [&]<class T>() {
    const bool held = by_held<T>(rows, {&y, &x}, [&]<class S>(dim3 grid, dim3 block) {
      NNM_LAUNCH((softmax_held<T, S>), grid, block, 0, y.as<T>(), x.as<T>(), rows.count,
                 static_cast<int>(rows.n), log, f16);
    });
    if (held) return;
    by_group(rows, [&]<int kWarps>(dim3 grid, dim3 block) {
      NNM_LAUNCH((softmax_kernel<T, kWarps>), grid, block, 0, y.as<T>(), x.as<T>(), rows, log, f16);
    });
  });
}

template <class T, int kWarps>
__global__ void softmax_backward_kernel(T* dx, const T* g, const T* y, Rows rows, bool log,
                                        bool f16) {
  using C = Compute<T>;
  using G = Group<kWarps>;
  const int64_t row = G::row();
  if (row >= rows.count) return;
  const int64_t at = rows.start(row), step = rows.inner;
  C sum = 0;
  for (int64_t i = G::rank(); i < rows.n; i += G::kSize) {
    const C gi = widened<C>(g[at + i * step], f16);
    sum += log ? gi : gi * widened<C>(y[at + i * step], f16);
  }
  sum = G::over(sum, Plus());
  for (int64_t i = G::rank(); i < rows.n; i += G::kSize) {
    const int64_t k = at + i * step;
    const C gi = widened<C>(g[k], f16), yi = widened<C>(y[k], f16);
    dx[k] = narrowed<T>(log ? gi - m::exp(yi) * sum : (gi - sum) * yi, f16);
  }
}

template <class T, class S>
__global__ void softmax_backward_held(T* dx, const T* g, const T* y, int64_t rows, int n, bool log,
                                      bool f16) {
  using C = Compute<T>;
  const int64_t row = Group<S::kWarps>::row();
  if (row >= rows) return;
  typename S::Values gs, ys;
  S::load(gs, g + row * n, n, C(0), f16);
  S::load(ys, y + row * n, n, C(0), f16);
  C sum = 0;
  for (int k = 0; k < S::kPacks; ++k)
    for (int j = 0; j < S::kWide; ++j) sum += log ? gs[k][j] : gs[k][j] * ys[k][j];
  sum = over_block<S::kWarps>(sum, Plus());
#pragma unroll
  for (int k = 0; k < S::kPacks; ++k) {
    for (int j = 0; j < S::kWide; ++j)
      gs[k][j] = log ? gs[k][j] - m::exp(ys[k][j]) * sum : (gs[k][j] - sum) * ys[k][j];
    if (S::place(k) < n) S::store(dx + row * n, S::place(k), gs[k], f16);
  }
}

void softmax_backward(const View& dx, const View& g, const View& y, int64_t dim, bool log) {
  const Rows rows(y, dim);
  if (y.numel() == 0) return;
  const bool f16 = y.dtype == DType::f16;
  by_memory(y.dtype, [&]<class T>() {
    const bool held = by_held<T>(rows, {&dx, &g, &y}, [&]<class S>(dim3 grid, dim3 block) {
      NNM_LAUNCH((softmax_backward_held<T, S>), grid, block, 0, dx.as<T>(), g.as<T>(), y.as<T>(),
                 rows.count, static_cast<int>(rows.n), log, f16);
    });
    if (held) return;
    by_group(rows, [&]<int kWarps>(dim3 grid, dim3 block) {
      NNM_LAUNCH((softmax_backward_kernel<T, kWarps>), grid, block, 0, dx.as<T>(), g.as<T>(),
                 y.as<T>(), rows, log, f16);
    });
  });
}

/// Losses, their gradients or the weights of classes: of the logits' type T or, of mixed precision,
/// f32. None where `p` is null.
template <class T>
struct Losses {
  using C = Compute<T>;
  static constexpr bool kMixed = std::is_same_v<T, Short>;
  Losses(const View& v, DType logits)
      : p(v.data), f32(kMixed && v.dtype == DType::f32), f16(logits == DType::f16) {}
  __device__ C operator[](int64_t i) const {
    if (kMixed && f32) return static_cast<C>(static_cast<const float*>(p)[i]);
    return widened<C>(static_cast<const T*>(p)[i], f16);
  }
  __device__ void set(int64_t i, C x) const {
    if (kMixed && f32) static_cast<float*>(p)[i] = static_cast<float>(x);
    else static_cast<T*>(p)[i] = narrowed<T>(x, f16);
  }
  void* p;
  bool f32, f16;
};

/// What the samples of cross entropy share: the smoothed target spreads `even` over all classes
/// beside `peak`; `f16`: of a Short which it is.
template <class T>
struct Rule {
  using C = Compute<T>;
  Rule(const View& weight, const View& logits, const CrossEntropy& o, int64_t classes)
      : weights(weight, logits.dtype),
        ignore(o.ignore_index),
        log_probs(o.log_probs),
        f16(logits.dtype == DType::f16),
        peak(C(1 - o.label_smoothing)),
        even(C(o.label_smoothing / static_cast<double>(classes))) {}
  __device__ C weight(int64_t c) const { return weights.p ? weights[c] : C(1); }
  Losses<T> weights;
  int64_t ignore;
  bool log_probs, f16;
  C peak, even;
};

constexpr int64_t kFewSamples = 1024;

/// The weights of the samples that count, summed by a block of kThreads.
template <class T>
__device__ inline double weight_sum(const int64_t* target, int64_t n, const Rule<T>& rule) {
  double sum = 0;
  for (int64_t i = block_rank(); i < n; i += kThreads)
    if (target[i] != rule.ignore) sum += static_cast<double>(rule.weight(target[i]));
  return over_block<kRowWarps>(sum, Plus());
}

/// A sample's loss, of which the group's first thread gets the value, and its log_sum_exp.
template <class G, class T>
__device__ inline Compute<T> sample_loss(const T* x, int64_t t, int64_t n, int64_t step,
                                         const Rule<T>& rule, Compute<T>* lse) {
  using C = Compute<T>;
  *lse = 0;
  if (t == rule.ignore) return 0;
  if (!rule.log_probs) {
    const Mass<C> mass = mass_of<G>(x, n, step, rule.f16);
    *lse = mass.top + m::log(mass.sum);
  }
  C loss = rule.peak * rule.weight(t) * (*lse - widened<C>(x[t * step], rule.f16));
  if (rule.even == C(0)) return loss;
  C spread = 0;
#pragma unroll G::kLoop
  for (int64_t c = G::rank(); c < n; c += G::kSize)
    spread += rule.weight(c) * (*lse - widened<C>(x[c * step], rule.f16));
  return loss + rule.even * G::over(spread, Plus());
}

__device__ unsigned losses_arrived;

/// The losses of the samples into losses, whose sum or mean the last block leaves in *y; without
/// losses, into y.
template <class T, int kWarps>
__global__ void cross_entropy_kernel(Losses<T> y, Compute<T>* losses, Compute<T>* lse, const T* x,
                                     const int64_t* target, Rows rows, Rule<T> rule, bool mean) {
  using C = Compute<T>;
  using G = Group<kWarps>;
  const int64_t row = G::row();
  if (row < rows.count) {
    C log_sum;
    const C loss =
        sample_loss<G>(x + rows.start(row), target[row], rows.n, rows.inner, rule, &log_sum);
    if (G::rank() == 0) {
      lse[row] = log_sum;
      if (losses) losses[row] = loss;
      else y.set(row, loss);
    }
  }
  if (!losses || !last_block(&losses_arrived)) return;
  double sum = 0;
  for (int64_t i = block_rank(); i < rows.count; i += kThreads)
    sum += static_cast<double>(__ldcg(losses + i));
  sum = over_block<kRowWarps>(sum, Plus());
  if (mean) sum /= weight_sum(target, rows.count, rule);
  if (block_rank() == 0) y.set(0, static_cast<C>(sum));
}

void cross_entropy(const View& y, const View& lse, const View& x, const View& target,
                   const View& weight, const CrossEntropy& o) {
  const Rows rows(x.size[0], x.size[1], x.size[2]);
  const int64_t* t = target.as<int64_t>();
  by_memory(x.dtype, [&]<class T>() {
    using C = Compute<T>;
    const Rule<T> rule(weight, x, o, rows.n);
    const bool none = o.reduction == CrossEntropy::Reduction::none;
    const Scratch<C> losses(none ? 0 : rows.count);
    by_group(rows, [&]<int kWarps>(dim3 grid, dim3 block) {
      NNM_LAUNCH((cross_entropy_kernel<T, kWarps>), grid, block, 0, Losses<T>(y, x.dtype),
                 losses.get(), lse.as<C>(), x.as<T>(), t, rows, rule,
                 o.reduction == CrossEntropy::Reduction::mean);
    });
  });
}

/// What a sample's gradient is divided by in the mean.
template <class T>
__global__ void total_weight(double* total, const int64_t* target, int64_t n, Rule<T> rule) {
  const double sum = weight_sum(target, n, rule);
  if (threadIdx.x == 0) *total = sum;
}

/// The gradient of a sample's loss: scale exp(x - shift), without `even` times the class's weight
/// and, for the target, `peak`.
template <class C>
struct Slope {
  C scale, shift, even, peak;
  int64_t target;
  /// Where `even` is 0.
  __device__ C operator()(C x, int64_t c) const {
    const C d = scale * m::exp(x - shift);
    return c == target ? d - peak : d;
  }
};

template <class G, class T>
__device__ inline void store_gradient(T* dx, const T* x, int64_t n, int64_t step,
                                      const Slope<Compute<T>>& slope, const Rule<T>& rule) {
  using C = Compute<T>;
  const auto gradient = [&](T of, int64_t c) { return slope(widened<C>(of, rule.f16), c); };
  // What smooths labels is left out of the packs, where the formula stands for every element.
  if (slope.even != C(0) || !by_packs<G>(n, step)) {
#pragma unroll G::kLoop
    for (int64_t c = G::rank(); c < n; c += G::kSize) {
      const C d = gradient(x[c * step], c);
      dx[c * step] =
          narrowed<T>(slope.even != C(0) ? d - slope.even * rule.weight(c) : d, rule.f16);
    }
    return;
  }
  const Around<T> row(dx, n);
  constexpr auto item = static_cast<int64_t>(sizeof(T));
  const auto *begin = reinterpret_cast<const char*>(x), *end = begin + n * item;
#pragma unroll 1
  for (int i = G::rank(); i < row.packs; i += G::kSize * kBatch) {
    union {
      Pack<uint32_t> words;
      Pack<T> elements;
    } p[kBatch];
#pragma unroll
    for (int k = 0; k < kBatch; ++k)
      p[k].words = load_shifted(begin + row.first(i + k * G::kSize) * item, begin, end);
#pragma unroll
    for (int k = 0; k < kBatch; ++k) {
      const int first = row.first(i + k * G::kSize);
#pragma unroll
      for (int j = 0; j < row.kWide; ++j)
        p[k].elements.v[j] = narrowed<T>(gradient(p[k].elements.v[j], first + j), rule.f16);
      if (row.has(first) && row.has(first + row.kWide - 1)) {
        *reinterpret_cast<Pack<T>*>(dx + first) = p[k].elements;
        continue;
      }
#pragma unroll
      for (int j = 0; j < row.kWide; ++j)
        if (row.has(first + j)) dx[first + j] = p[k].elements.v[j];
    }
  }
}

/// The gradients of dense samples lie `apart`.
template <class T, int kWarps>
__global__ void cross_entropy_backward_kernel(T* dx, int64_t apart, Losses<T> g, bool one_g,
                                              bool mean, const double* total, const Compute<T>* lse,
                                              const T* x, const int64_t* target, Rows rows,
                                              Rule<T> rule) {
  using C = Compute<T>;
  using G = Group<kWarps>;
  double weights = 1;
  if (mean) weights = total ? *total : weight_sum(target, rows.count, rule);
  const int64_t row = G::row();
  if (row >= rows.count) return;
  const int64_t step = rows.inner, t = target[row];
  x += rows.start(row);
  dx += step == 1 ? row * apart : rows.start(row);
  const bool ignored = t == rule.ignore;
  const C gi = g[one_g ? 0 : row] * C(1 / weights);
  const C peak = ignored ? C(0) : gi * rule.peak * rule.weight(t);
  if (ignored || rule.log_probs) {
#pragma unroll G::kLoop
    for (int64_t c = G::rank(); c < rows.n; c += G::kSize)
      dx[c * step] = narrowed<T>(ignored || c != t ? C(0) : -gi * rule.weight(t), rule.f16);
    return;
  }
  C mass = 0;
  if (rule.even != C(0)) {
#pragma unroll G::kLoop
    for (int64_t c = G::rank(); c < rows.n; c += G::kSize) mass += rule.even * rule.weight(c);
    mass = G::over(mass, Plus());
  }
  const Slope<C> slope{gi * (rule.peak * rule.weight(t) + mass), lse[row], gi * rule.even, peak, t};
  store_gradient<G>(dx, x, rows.n, step, slope, rule);
}

void cross_entropy_backward(const View& dx, const View& g, const View& lse, const View& x,
                            const View& target, const View& weight, const CrossEntropy& o) {
  const Rows rows(x.size[0], x.size[1], x.size[2]);
  const int64_t* t = target.as<int64_t>();
  const bool mean = o.reduction == CrossEntropy::Reduction::mean;
  by_memory(x.dtype, [&]<class T>() {
    const Rule<T> rule(weight, x, o, rows.n);
    // Of few samples every block sums the weights for itself.
    const bool many = mean && rows.count > kFewSamples;
    const Scratch<double> total(many ? 1 : 0);
    if (many) NNM_LAUNCH(total_weight<T>, 1, kThreads, 0, total.get(), t, rows.count, rule);
    by_group(rows, [&]<int kWarps>(dim3 grid, dim3 block) {
      NNM_LAUNCH((cross_entropy_backward_kernel<T, kWarps>), grid, block, 0, dx.as<T>(),
                 dx.stride[0], Losses<T>(g, x.dtype), o.reduction != CrossEntropy::Reduction::none,
                 mean, total.get(), lse.as<Compute<T>>(), x.as<T>(), t, rows, rule);
    });
  });
}

NNM_CUDA_KERNEL(softmax, softmax);
NNM_CUDA_KERNEL(softmax_backward, softmax_backward);
NNM_CUDA_KERNEL(cross_entropy, cross_entropy);
NNM_CUDA_KERNEL(cross_entropy_backward, cross_entropy_backward);

}  // namespace
}  // namespace nnm::cuda
