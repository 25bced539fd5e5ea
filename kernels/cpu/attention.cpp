// Attention by blocks of queries: scores, softmax and the sum over values while they are in cache.
#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cpu/dtype.h"
#include "kernels/cpu/math.h"
#include "kernels/gemm.h"
#include "kernels/parallel.h"
#include "kernels/philox.h"

namespace nnm {
namespace {

constexpr int64_t kQueries = 64;

// Matrix (b, h) of a (B, H, rows, columns) tensor.
View slice(const View& x, int64_t b, int64_t h) {
  View v = x;
  v.data =
      x.as<char>() + (b * x.stride[0] + h * x.stride[1]) * static_cast<int64_t>(item_size(x.dtype));
  v.ndim = 2;
  for (int i = 0; i < 2; ++i) v.size[i] = x.size[i + 2], v.stride[i] = x.stride[i + 2];
  return v;
}

View transposed(const View& m) {
  View v = m;
  std::swap(v.size[0], v.size[1]);
  std::swap(v.stride[0], v.stride[1]);
  return v;
}

template <class C>
View matrix(C* data, int64_t r, int64_t c) {
  View v;
  v.data = data;
  v.dtype = std::is_same_v<C, double> ? DType::f64 : DType::f32;
  v.ndim = 2;
  v.size[0] = r, v.size[1] = c, v.stride[0] = c, v.stride[1] = 1;
  return v;
}

// A matrix in the computing type: itself, or a float copy of a half type.
template <class T>
struct Wide {
  using C = Compute<T>;
  View view;
  explicit Wide(const View& m, bool read = true) : view(m) {
    if constexpr (kIsHalf<T>) {
      copy_.resize(static_cast<size_t>(m.size[0] * m.size[1]));
      view = matrix(copy_.data(), m.size[0], m.size[1]);
      for (int64_t i = 0; read && i < m.size[0]; ++i) {
        for (int64_t j = 0; j < m.size[1]; ++j)
          copy_[static_cast<size_t>(i * m.size[1] + j)] =
              static_cast<float>(m.as<T>()[i * m.stride[0] + j * m.stride[1]]);
      }
    }
  }
  void write(const View& m) const {
    if constexpr (kIsHalf<T>) {
      for (int64_t i = 0; i < m.size[0]; ++i) {
        for (int64_t j = 0; j < m.size[1]; ++j)
          m.as<T>()[i * m.stride[0] + j * m.stride[1]] =
              T(copy_[static_cast<size_t>(i * m.size[1] + j)]);
      }
    }
  }

 private:
  std::vector<C> copy_;
};

// Scores of queries [begin, end) against keys [0, keys): scaled and masked.
template <class T>
struct Scores {
  using C = Compute<T>;
  const View& mask;
  const Attention& p;
  int64_t b, h, heads, queries, all_keys;

  int64_t keys(int64_t end) const { return p.causal ? std::min(all_keys, end) : all_keys; }

  void compute(C* s, const View& q, const View& k, int64_t begin, int64_t end, int64_t n) const {
    kernels::gemm(matrix(s, end - begin, n), q.part(begin, end), transposed(k.part(0, n)), View{},
                  p.scale, 0);
    for (int64_t i = begin; i < end; ++i) {
      C* row = s + (i - begin) * n;
      if (p.causal)
        for (int64_t j = i + 1; j < n; ++j) row[j] = -std::numeric_limits<C>::infinity();
      if (mask.data) add_mask(row, i, n);
    }
  }

  void add_mask(C* row, int64_t i, int64_t n) const {
    const int64_t at = b * mask.stride[0] + h * mask.stride[1] + i * mask.stride[2],
                  step = mask.stride[3];
    if (mask.dtype == DType::b8) {
      const auto* m = mask.as<uint8_t>() + at;
      for (int64_t j = 0; j < n; ++j)
        row[j] = m[j * step] ? row[j] : -std::numeric_limits<C>::infinity();
    } else {
      const T* m = mask.as<T>() + at;
      for (int64_t j = 0; j < n; ++j) row[j] += static_cast<C>(m[j * step]);
    }
  }

  // Multiplies a row of weights by the dropout mask of query i.
  void drop(C* row, int64_t i, int64_t n) const {
    const C scale = C(p.dropout_p < 1 ? 1 / (1 - p.dropout_p) : 0);
    const auto limit = static_cast<uint32_t>(p.dropout_p * 16777216.0);
    const auto first = static_cast<uint64_t>(((b * heads + h) * queries + i) * all_keys);
    for (int64_t j = 0; j < n;) {
      const uint64_t at = first + static_cast<uint64_t>(j);
      const auto bits = philox(p.seed, p.offset + at / 4);
      for (uint64_t lane = at % 4; lane < 4 && j < n; ++lane, ++j)
        row[j] = (bits[lane] >> 8) >= limit ? row[j] * scale : C(0);
    }
  }
};

// Weights of one row in place of its scores, and the log of their sum; a row of -inf gives zeros.
template <class C>
C normalise(C* row, int64_t n) {
  C top = -std::numeric_limits<C>::infinity();
#pragma omp simd reduction(max : top)
  for (int64_t j = 0; j < n; ++j) top = row[j] > top ? row[j] : top;
  if (top == -std::numeric_limits<C>::infinity() && n > 0 && row[0] == row[0]) {
    std::fill_n(row, n, C(0));
    return top;
  }
  C sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < n; ++j) {
    row[j] = m::exp(row[j] - top);
    sum += row[j];
  }
  const C r = C(1) / sum;
#pragma omp simd
  for (int64_t j = 0; j < n; ++j) row[j] *= r;
  return top + m::log(sum);
}

void attention_cpu(const View& out, const View& lse, const View& q, const View& k, const View& v,
                   const View& mask, const Attention& p) {
  const int64_t heads = q.size[1], queries = q.size[2], keys = k.size[2],
                blocks = (queries + kQueries - 1) / kQueries;
  by_floating(q.dtype, [&]<class T>() {
    using C = Compute<T>;
    parallel_for(q.size[0] * heads * blocks, 1, [&](int64_t from, int64_t to) {
      std::vector<C> s(static_cast<size_t>(kQueries * keys));
      for (int64_t item = from; item < to; ++item) {
        const int64_t bh = item / blocks, b = bh / heads, h = bh % heads;
        const int64_t begin = item % blocks * kQueries, end = std::min(queries, begin + kQueries);
        const Scores<T> scores{mask, p, b, h, heads, queries, keys};
        const int64_t n = scores.keys(end);
        const Wide<T> block(slice(q, b, h).part(begin, end)), kw(slice(k, b, h).part(0, n)),
            vw(slice(v, b, h).part(0, n));
        // Rows of `block` count from 0; causal masking needs the query's own number.
        View shifted = block.view;
        shifted.data = static_cast<C*>(shifted.data) - begin * shifted.stride[0];
        scores.compute(s.data(), shifted, kw.view, begin, end, n);
        for (int64_t i = begin; i < end; ++i) {
          C* row = s.data() + (i - begin) * n;
          lse.as<C>()[bh * queries + i] = normalise(row, n);
          if (p.dropout_p > 0) scores.drop(row, i, n);
        }
        const View target = slice(out, b, h).part(begin, end);
        const Wide<T> result(target, false);
        kernels::gemm(result.view, matrix(s.data(), end - begin, n), vw.view, View{}, 1, 0);
        result.write(target);
      }
    });
  });
}

// One block of queries: recomputes its weights P and turns dP into dS, both in place.
template <class T>
void block_gradients(const Scores<T>& scores, const View& lse, int64_t bh, int64_t begin,
                     int64_t end, int64_t n, std::vector<Compute<T>>& w,
                     std::vector<Compute<T>>& dw, std::vector<Compute<T>>& dropped) {
  using C = Compute<T>;
  const bool drop = scores.p.dropout_p > 0;
  for (int64_t i = begin; i < end; ++i) {
    C* pr = w.data() + (i - begin) * n;
    C* dr = dw.data() + (i - begin) * n;
    const C shift = lse.as<C>()[bh * scores.queries + i];
    if (shift == -std::numeric_limits<C>::infinity()) {
      std::fill_n(pr, n, C(0));
    } else {
#pragma omp simd
      for (int64_t j = 0; j < n; ++j) pr[j] = m::exp(pr[j] - shift);
    }
    if (drop) {
      C* kept = dropped.data() + (i - begin) * n;
      std::copy_n(pr, n, kept);
      scores.drop(kept, i, n);
      scores.drop(dr, i, n);
    }
    C along = 0;
#pragma omp simd reduction(+ : along)
    for (int64_t j = 0; j < n; ++j) along += pr[j] * dr[j];
    const C scale = C(scores.p.scale);
#pragma omp simd
    for (int64_t j = 0; j < n; ++j) dr[j] = pr[j] * (dr[j] - along) * scale;
  }
}

void attention_backward_cpu(const View& dq, const View& dk, const View& dv, const View& g,
                            const View&, const View& lse, const View& q, const View& k,
                            const View& v, const View& mask, const Attention& p) {
  const int64_t heads = q.size[1], queries = q.size[2], keys = k.size[2];
  by_floating(q.dtype, [&]<class T>() {
    using C = Compute<T>;
    parallel_for(q.size[0] * heads, 1, [&](int64_t from, int64_t to) {
      const auto room = static_cast<size_t>(kQueries * keys);
      std::vector<C> w(room), dw(room), dropped(p.dropout_p > 0 ? room : 0);
      for (int64_t bh = from; bh < to; ++bh) {
        const int64_t b = bh / heads, h = bh % heads;
        const Scores<T> scores{mask, p, b, h, heads, queries, keys};
        const Wide<T> qw(slice(q, b, h)), kw(slice(k, b, h)), vw(slice(v, b, h)),
            gw(slice(g, b, h));
        const View dqs = slice(dq, b, h), dks = slice(dk, b, h), dvs = slice(dv, b, h);
        const Wide<T> dqw(dqs, false), dkw(dks, false), dvw(dvs, false);
        const auto clear = [](const View& m) {
          for (int64_t i = 0; i < m.size[0]; ++i)
            for (int64_t j = 0; j < m.size[1]; ++j)
              m.as<C>()[i * m.stride[0] + j * m.stride[1]] = C(0);
        };
        clear(dkw.view);
        clear(dvw.view);
        for (int64_t begin = 0; begin < queries; begin += kQueries) {
          const int64_t end = std::min(queries, begin + kQueries), n = scores.keys(end);
          scores.compute(w.data(), qw.view, kw.view, begin, end, n);
          const View gb = gw.view.part(begin, end);
          kernels::gemm(matrix(dw.data(), end - begin, n), gb, transposed(vw.view.part(0, n)),
                        View{}, 1, 0);
          block_gradients<T>(scores, lse, bh, begin, end, n, w, dw, dropped);
          const View weights = matrix(p.dropout_p > 0 ? dropped.data() : w.data(), end - begin, n);
          const View ds = matrix(dw.data(), end - begin, n);
          kernels::gemm(dqw.view.part(begin, end), ds, kw.view.part(0, n), View{}, 1, 0);
          kernels::gemm(dkw.view.part(0, n), transposed(ds), qw.view.part(begin, end), View{}, 1,
                        1);
          kernels::gemm(dvw.view.part(0, n), transposed(weights), gb, View{}, 1, 1);
        }
        dqw.write(dqs);
        dkw.write(dks);
        dvw.write(dvs);
      }
    });
  });
}

}  // namespace

NNM_KERNEL(attention, attention_cpu);
NNM_KERNEL(attention_backward, attention_backward_cpu);

}  // namespace nnm
