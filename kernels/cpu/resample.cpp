// Resampling: rows of B elements where there are some, else single elements, by a table of taps.
#include "kernels/resample.h"

#include <algorithm>
#include <vector>

#include "kernels/cpu/dtype.h"
#include "kernels/parallel.h"
#include "kernels/resample_taps.h"

namespace nnm {
namespace {

constexpr int64_t kResampleGrain = 4096;  // elements

/// For every element of a result, the elements that it is a weighted sum of: those numbered
/// [begin[i], begin[i + 1]).
template <class C>
struct WeightedSums {
  std::vector<int64_t> begin, at;
  std::vector<C> weight;

  void add(int64_t place, C w) {
    at.push_back(place);
    weight.push_back(w);
  }
  void end_element() { begin.push_back(static_cast<int64_t>(at.size())); }
  int64_t elements() const { return static_cast<int64_t>(begin.size()) - 1; }
};

template <class C>
WeightedSums<C> forward_sums(const Resample& r) {
  WeightedSums<C> s{{0}, {}, {}};
  for (int64_t o = 0; o < r.out; ++o) {
    const Taps<C> taps = taps_of<C>(r, o);
    for (int k = 0; k < taps.count; ++k) s.add(taps.at[k], taps.weight[k]);
    s.end_element();
  }
  return s;
}

/// The adjoint: for each input element its outputs, in their order.
template <class C>
WeightedSums<C> backward_sums(const Resample& r) {
  std::vector<std::vector<std::pair<int64_t, C>>> outputs(static_cast<size_t>(r.in));
  for (int64_t o = 0; o < r.out; ++o) {
    const Taps<C> taps = taps_of<C>(r, o);
    for (int k = 0; k < taps.count; ++k)
      outputs[static_cast<size_t>(taps.at[k])].emplace_back(o, taps.weight[k]);
  }
  WeightedSums<C> s{{0}, {}, {}};
  for (const auto& element : outputs) {
    for (const auto& [o, w] : element) s.add(o, w);
    s.end_element();
  }
  return s;
}

/// to[0, n) = the weighted sum of kTaps rows of n elements that begin at from, `n` apart.
template <int kTaps, class T>
void sum_rows(T* __restrict to, const T* from, int64_t n, const int64_t* at,
              const Compute<T>* weight) {
  using C = Compute<T>;
  const T* rows[kTaps];
  C w[kTaps];
  for (int k = 0; k < kTaps; ++k) rows[k] = from + at[k] * n, w[k] = weight[k];
  for (int64_t j = 0; j < n; ++j) {
    C sum = w[0] * static_cast<C>(rows[0][j]);
    for (int k = 1; k < kTaps; ++k) sum += w[k] * static_cast<C>(rows[k][j]);
    to[j] = T(sum);
  }
}

/// The same for any number of rows.
template <class T>
void sum_rows(T* __restrict to, const T* from, int64_t n, const int64_t* at,
              const Compute<T>* weight, int64_t taps) {
  using C = Compute<T>;
  switch (taps) {
    case 1: return sum_rows<1>(to, from, n, at, weight);
    case 2: return sum_rows<2>(to, from, n, at, weight);
    case 3: return sum_rows<3>(to, from, n, at, weight);
    case 4: return sum_rows<4>(to, from, n, at, weight);
    default: break;
  }
  constexpr int64_t kBlock = 256;
  for (int64_t b = 0; b < n; b += kBlock) {
    const int64_t m = std::min(kBlock, n - b);
    C sum[kBlock] = {};
    for (int64_t k = 0; k < taps; ++k) {
      const T* const p = from + at[k] * n + b;
      for (int64_t j = 0; j < m; ++j) sum[j] += weight[k] * static_cast<C>(p[j]);
    }
    for (int64_t j = 0; j < m; ++j) to[b + j] = T(sum[j]);
  }
}

/// The same where n is 1.
template <class T>
void sum_elements(T* __restrict to, const T* from, const WeightedSums<Compute<T>>& s) {
  using C = Compute<T>;
  const int64_t elements = s.elements();
  const int64_t *const begin = s.begin.data(), *const at = s.at.data();
  const C* const weight = s.weight.data();
  for (int64_t i = 0; i < elements; ++i) {
    C sum = 0;
    for (int64_t k = begin[i]; k < begin[i + 1]; ++k)
      sum += weight[k] * static_cast<C>(from[at[k]]);
    to[i] = T(sum);
  }
}

template <class T>
void sum_all(const View& out, const View& x, const WeightedSums<Compute<T>>& s) {
  const int64_t groups = out.size[0], m = out.size[1], n = x.size[1], inner = out.size[2];
  if (out.numel() == 0) return;
  if (inner == 1) {
    return parallel_for(groups, (kResampleGrain + m - 1) / m, [&](int64_t begin, int64_t end) {
      for (int64_t a = begin; a < end; ++a) sum_elements(out.as<T>() + a * m, x.as<T>() + a * n, s);
    });
  }
  parallel_for(groups * m, (kResampleGrain + inner - 1) / inner, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const auto i = static_cast<size_t>(row % m);
      sum_rows(out.as<T>() + row * inner, x.as<T>() + row / m * n * inner, inner,
               s.at.data() + s.begin[i], s.weight.data() + s.begin[i], s.begin[i + 1] - s.begin[i]);
    }
  });
}

void resample_cpu(const View& out, const View& x, const Resample& r) {
  by_floating(x.dtype, [&]<class T>() { sum_all<T>(out, x, forward_sums<Compute<T>>(r)); });
}

void resample_backward_cpu(const View& dx, const View& g, const Resample& r) {
  by_floating(g.dtype, [&]<class T>() { sum_all<T>(dx, g, backward_sums<Compute<T>>(r)); });
}

NNM_KERNEL(resample, resample_cpu);
NNM_KERNEL(resample_backward, resample_backward_cpu);

}  // namespace
}  // namespace nnm
