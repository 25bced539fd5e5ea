// Attention by blocks of queries: scores, softmax and the sum over values while they are in cache.
// Tiles in which no query sees a key are left out.
#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <utility>
#include <vector>

#include "kernels/cpu/dtype.h"
#include "kernels/cpu/gemm_tiles.h"
#include "kernels/cpu/math.h"
#include "kernels/parallel.h"
#include "kernels/philox.h"

namespace nnm {
namespace {

// Matrix (b, h) of a (B, H, rows, columns) tensor.
View slice(const View& x, int64_t b, int64_t h) {
  View v = x;
  v.data =
      x.as<char>() + (b * x.stride[0] + h * x.stride[1]) * static_cast<int64_t>(item_size(x.dtype));
  v.ndim = 2;
  for (int i = 0; i < 2; ++i) v.size[i] = x.size[i + 2], v.stride[i] = x.stride[i + 2];
  return v;
}

// A matrix in the computing type: itself, or a float copy of a half type.
template <class T>
class Wide {
 public:
  using C = Compute<T>;
  explicit Wide(const View& m, bool read = true) : of_(m) {
    if constexpr (kIsHalf<T>) {
      copy_.resize(static_cast<size_t>(m.size[0] * m.size[1]));
      each([&](C& wide, T& narrow) {
        if (read) wide = static_cast<float>(narrow);
      });
    }
  }
  Mat<C> written() { return mat<C>(); }
  Mat<const C> read() { return mat<const C>(); }
  /// Puts what was written there into the matrix of half types.
  void write() {
    if constexpr (kIsHalf<T>) each([](C& wide, T& narrow) { narrow = T(wide); });
  }

 private:
  template <class E>
  Mat<E> mat() {
    if constexpr (kIsHalf<T>) return {copy_.data(), of_.size[1], 1};
    else return {of_.as<C>(), of_.stride[0], of_.stride[1]};
  }
  template <class F>
  void each(const F& f) {
    for (int64_t i = 0; i < of_.size[0]; ++i)
      for (int64_t j = 0; j < of_.size[1]; ++j)
        f(copy_[static_cast<size_t>(i * of_.size[1] + j)],
          of_.as<T>()[i * of_.stride[0] + j * of_.stride[1]]);
  }

  View of_;
  std::vector<C> copy_;
};

template <class C>
Mat<C> turned(const Mat<C>& m) {
  return {m.p, m.cs, m.rs};
}

// A part of a thread's memory, and how many numbers it has room for.
template <class C>
struct Room {
  C*& p;
  int64_t count;
};

// Deals a thread's memory out, in parts that begin at a cache line.
template <class C>
void deal(std::initializer_list<Room<C>> rooms) {
  int64_t all = 0;
  for (const Room<C>& r : rooms) all += round_up(r.count, kLine<C>);
  C* next = scratch<C>(0, static_cast<size_t>(all));
  for (const Room<C>& r : rooms) r.p = std::exchange(next, next + round_up(r.count, kLine<C>));
}

// How the queries of a head meet its keys.
template <class T>
struct Scores {
  using C = Compute<T>;
  using S = Tile<C>;
  static constexpr int64_t kBlock = 8 * S::kRows;  // queries whose scores are in cache at a time
  const View& mask;
  const Attention& p;
  int64_t b, h, heads, queries, all_keys;

  // What the queries before `end` see.
  int64_t keys(int64_t end) const { return p.causal ? std::min(all_keys, end) : all_keys; }
  // The numbers of a row of scores that are computed with: whole vectors of what the tiles with
  // query i read.
  int64_t width(int64_t i) const { return round_up(keys(round_up(i + 1, S::kRows)), S::kLanes); }
  // From a row of scores to the next: tiles write whole vectors, and rows a power of two apart
  // would fall upon each other in the cache.
  static int64_t stride(int64_t keys) { return round_up(keys, S::kCols) + S::kLanes; }

  // What tiles take whose queries end at `last`: of queries by keys, of queries by features.
  Part<C> by_keys(int64_t last, int64_t depth) const {
    return {round_up(keys(last), S::kCols), 0, depth, 0};
  }
  Part<C> by_features(int64_t last, int64_t cols) const { return {cols, 0, keys(last), 0}; }
  // Of keys from `key` by features, summed over the queries of a block.
  Part<C> by_queries(int64_t key, int64_t begin, int64_t end, int64_t cols) const {
    const int64_t first = p.causal ? std::max<int64_t>(0, key - begin) : 0;
    const bool earlier = begin > (p.causal ? key : 0);
    return {cols, first, end - begin - first, C(earlier)};
  }

  // Scores of queries [begin, end), scaled and masked; -inf where tiles read beyond.
  void compute(C* s, Mat<const C> q, const Slabs<C>& keys_across, int64_t depth, int64_t begin,
               int64_t end) const {
    const int64_t step = stride(all_keys);
    multiply_by_tiles<C>(q, keys_across, {s, step, 1}, end - begin, by_keys(end, depth).cols,
                         C(p.scale),
                         [&](int64_t i, int64_t r) { return by_keys(begin + i + r, depth); });
    for (int64_t i = begin; i < end; ++i) {
      C* row = s + (i - begin) * step;
      const int64_t n = keys(i + 1);
      if (mask.data) add_mask(row, i, n);
      std::fill(row + n, row + width(i), -std::numeric_limits<C>::infinity());
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

// A thread's memory for the outputs of one head after another.
template <class T>
class HeadOutputs {
 public:
  using C = Compute<T>;

  HeadOutputs(int64_t keys, int64_t depth, int64_t cols)
      : keys_(keys), depth_(depth), cols_(cols), step_(Scores<T>::stride(keys)) {
    deal<C>({{scores_, Scores<T>::kBlock * step_},
             {key_room_, slabs_room<C>(depth, keys)},
             {value_room_, slabs_room<C>(keys, cols)}});
  }

  /// The head whose blocks come next.
  void begin(Mat<const C> k, Mat<const C> v) {
    keys_across_ = slabs_of(turned(k), depth_, keys_, key_room_);
    values_ = slabs_of(v, keys_, cols_, value_room_);
  }

  /// The output of queries [begin, end), whose rows q and out begin with, and the logs of sums.
  void block(const Scores<T>& scores, Mat<const C> q, Mat<C> out, C* lse, int64_t begin,
             int64_t end) {
    scores.compute(scores_, q, keys_across_, depth_, begin, end);
    for (int64_t i = begin; i < end; ++i) {
      C* row = scores_ + (i - begin) * step_;
      lse[i] = normalise(row, scores.width(i));
      if (scores.p.dropout_p > 0) scores.drop(row, i, scores.keys(i + 1));
    }
    multiply_by_tiles<C>(
        {scores_, step_, 1}, values_, out, end - begin, cols_, C(1),
        [&](int64_t i, int64_t r) { return scores.by_features(begin + i + r, cols_); });
  }

 private:
  int64_t keys_, depth_, cols_, step_;
  C *scores_, *key_room_, *value_room_;
  Slabs<C> keys_across_{}, values_{};
};

void attention_cpu(const View& out, const View& lse, const View& q, const View& k, const View& v,
                   const View& mask, const Attention& p) {
  const int64_t heads = q.size[1], queries = q.size[2], keys = k.size[2];
  by_floating(q.dtype, [&]<class T>() {
    using C = Compute<T>;
    constexpr int64_t kBlock = Scores<T>::kBlock;
    const int64_t blocks = (queries + kBlock - 1) / kBlock;
    parallel_for(q.size[0] * heads * blocks, 1, [&](int64_t from, int64_t to) {
      HeadOutputs<T> head(keys, q.size[3], v.size[3]);
      for (int64_t item = from; item < to; ++item) {
        const int64_t bh = item / blocks, b = bh / heads, h = bh % heads;
        const int64_t begin = item % blocks * kBlock, end = std::min(queries, begin + kBlock);
        if (item == from || begin == 0) {
          Wide<T> kw(slice(k, b, h)), vw(slice(v, b, h));
          head.begin(kw.read(), vw.read());
        }
        Wide<T> rows(slice(q, b, h).part(begin, end)),
            result(slice(out, b, h).part(begin, end), false);
        head.block({mask, p, b, h, heads, queries, keys}, rows.read(), result.written(),
                   lse.as<C>() + bh * queries, begin, end);
        result.write();
      }
    });
  });
}

// A thread's memory for the gradients of one head after another.
template <class T>
class HeadGradients {
 public:
  using C = Compute<T>;
  struct Operands {
    Mat<const C> q, k, v, g;
    Mat<C> dq, dk, dv;
    const C* lse;
  };

  HeadGradients(int64_t keys, int64_t depth, int64_t cols, bool drops)
      : keys_(keys), depth_(depth), cols_(cols), step_(Scores<T>::stride(keys)) {
    constexpr int64_t kBlock = Scores<T>::kBlock;
    deal<C>({{w_, kBlock * step_},
             {dw_, kBlock * step_},
             {dropped_, drops ? kBlock * step_ : 0},
             {k_across_, slabs_room<C>(depth, keys)},
             {v_across_, slabs_room<C>(cols, keys)},
             {k_, slabs_room<C>(keys, depth)},
             {q_, slabs_room<C>(kBlock, depth)},
             {g_, slabs_room<C>(kBlock, cols)}});
    if (!drops) dropped_ = nullptr;
  }

  void compute(const Scores<T>& scores, const Operands& x) {
    const Keys keys{slabs_of(turned(x.k), depth_, keys_, k_across_),
                    slabs_of(turned(x.v), cols_, keys_, v_across_),
                    slabs_of(x.k, keys_, depth_, k_)};
    for (int64_t begin = 0; begin < scores.queries; begin += scores.kBlock)
      block(scores, x, keys, begin, std::min(scores.queries, begin + scores.kBlock));
    for (int64_t j = scores.queries ? scores.keys(scores.queries) : 0; j < keys_; ++j) {
      for (int64_t e = 0; e < depth_; ++e) x.dk.at(j, e) = 0;
      for (int64_t e = 0; e < cols_; ++e) x.dv.at(j, e) = 0;
    }
  }

 private:
  struct Keys {
    Slabs<C> k_across, v_across, k;
  };

  void block(const Scores<T>& scores, const Operands& x, const Keys& keys, int64_t begin,
             int64_t end) {
    const int64_t rows = end - begin;
    const Mat<const C> q = x.q.sub(begin, 0), g = x.g.sub(begin, 0);
    scores.compute(w_, q, keys.k_across, depth_, begin, end);
    multiply_by_tiles<C>(
        g, keys.v_across, {dw_, step_, 1}, rows, scores.by_keys(end, cols_).cols, C(1),
        [&](int64_t i, int64_t r) { return scores.by_keys(begin + i + r, cols_); });
    for (int64_t i = 0; i < rows; ++i)
      row_gradients(scores, begin + i, x.lse[begin + i], w_ + i * step_, dw_ + i * step_,
                    dropped_ ? dropped_ + i * step_ : nullptr);
    const Mat<const C> ds{dw_, step_, 1}, weights{dropped_ ? dropped_ : w_, step_, 1};
    multiply_by_tiles<C>(
        ds, keys.k, x.dq.sub(begin, 0), rows, depth_, C(1),
        [&](int64_t i, int64_t r) { return scores.by_features(begin + i + r, depth_); });
    const auto add_keys = [&](Mat<const C> over_keys, const Slabs<C>& by, const Mat<C>& to,
                              int64_t cols) {
      multiply_by_tiles<C>(
          turned(over_keys), by, to, scores.keys(end), cols, C(1),
          [&](int64_t key, int64_t) { return scores.by_queries(key, begin, end, cols); });
    };
    add_keys(ds, slabs_of(q, rows, depth_, q_), x.dk, depth_);
    add_keys(weights, slabs_of(g, rows, cols_, g_), x.dv, cols_);
  }

  // Scores of query i become weights P, and dP becomes dS, both in place.
  static void row_gradients(const Scores<T>& scores, int64_t i, C lse, C* pr, C* dr, C* dropped) {
    const int64_t seen = scores.keys(i + 1), n = scores.width(i);
    std::fill(dr + seen, dr + n, C(0));
    if (lse == -std::numeric_limits<C>::infinity()) {
      std::fill_n(pr, n, C(0));
    } else {
#pragma omp simd
      for (int64_t j = 0; j < n; ++j) pr[j] = m::exp(pr[j] - lse);
    }
    if (dropped) {
      std::copy_n(pr, n, dropped);
      scores.drop(dropped, i, seen);
      scores.drop(dr, i, seen);
    }
    C along = 0;
#pragma omp simd reduction(+ : along)
    for (int64_t j = 0; j < n; ++j) along += pr[j] * dr[j];
    const C scale = C(scores.p.scale);
#pragma omp simd
    for (int64_t j = 0; j < n; ++j) dr[j] = pr[j] * (dr[j] - along) * scale;
  }

  int64_t keys_, depth_, cols_, step_;
  C *w_, *dw_, *dropped_, *k_across_, *v_across_, *k_, *q_, *g_;
};

void attention_backward_cpu(const View& dq, const View& dk, const View& dv, const View& g,
                            const View&, const View& lse, const View& q, const View& k,
                            const View& v, const View& mask, const Attention& p) {
  const int64_t heads = q.size[1], queries = q.size[2], keys = k.size[2];
  by_floating(q.dtype, [&]<class T>() {
    using C = Compute<T>;
    parallel_for(q.size[0] * heads, 1, [&](int64_t from, int64_t to) {
      HeadGradients<T> gradients(keys, q.size[3], v.size[3], p.dropout_p > 0);
      for (int64_t bh = from; bh < to; ++bh) {
        const int64_t b = bh / heads, h = bh % heads;
        Wide<T> qw(slice(q, b, h)), kw(slice(k, b, h)), vw(slice(v, b, h)), gw(slice(g, b, h));
        Wide<T> dqw(slice(dq, b, h), false), dkw(slice(dk, b, h), false),
            dvw(slice(dv, b, h), false);
        gradients.compute({mask, p, b, h, heads, queries, keys},
                          {qw.read(), kw.read(), vw.read(), gw.read(), dqw.written(), dkw.written(),
                           dvw.written(), lse.as<C>() + bh * queries});
        dqw.write();
        dkw.write();
        dvw.write();
      }
    });
  });
}

}  // namespace

NNM_KERNEL(attention, attention_cpu);
NNM_KERNEL(attention_backward, attention_backward_cpu);

}  // namespace nnm
