// Gather, scatter and windows at offsets over strided memory.
#include "kernels/gather.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/strided.h"
#include "kernels/dtype.h"

namespace nnm {
namespace {

/// Walks all positions of `shape` from `begin` to `end` in row-major order and keeps the element
/// offsets of N views along.
template <int N>
class Cursor {
 public:
  Cursor(const View& shape, const View* const (&views)[N], int skip, int64_t begin)
      : shape_(shape), skip_(skip) {
    for (int k = 0; k < N; ++k) view_[k] = views[k];
    int64_t rest = begin;
    for (int d = shape.ndim - 1; d >= 0; --d) {
      index_[d] = rest % shape.size[d];
      rest /= shape.size[d];
      for (int k = 0; k < N; ++k) at[k] += index_[d] * stride(k, d);
    }
  }
  void next() {
    for (int d = shape_.ndim - 1; d >= 0; --d) {
      for (int k = 0; k < N; ++k) at[k] += stride(k, d);
      if (++index_[d] < shape_.size[d]) return;
      for (int k = 0; k < N; ++k) at[k] -= shape_.size[d] * stride(k, d);
      index_[d] = 0;
    }
  }
  int64_t at[N] = {};

 private:
  // View 0 stands still along the dimension that an index replaces.
  int64_t stride(int k, int d) const { return k == 0 && d == skip_ ? 0 : view_[k]->stride[d]; }

  const View& shape_;
  const View* view_[N];
  int skip_;
  int64_t index_[kMaxDims] = {};
};

template <class T, class A>
inline void add_to(T& into, T x) {
  into = static_cast<T>(static_cast<A>(into) + static_cast<A>(x));
}

/// Calls f(offset in views 0 … 2) at the start of every run along the last dimension of `shape`,
/// for the runs from `begin` to `end`; view 0 stands still along `dim`.
template <class F>
void each_row(const View& shape, const View* const (&views)[3], int64_t dim, int64_t begin,
              int64_t end, const F& f) {
  View outer = shape;
  outer.ndim = std::max(shape.ndim - 1, 0);
  Cursor<3> c(outer, views, static_cast<int>(dim), begin);
  for (int64_t i = begin; i < end; ++i, c.next()) f(c.at[0], c.at[1], c.at[2]);
}

/// Extent and stride of a view's last dimension; a 0-d view is one element.
int64_t last_size(const View& v) { return v.ndim ? v.size[v.ndim - 1] : 1; }
int64_t last_stride(const View& v) { return v.ndim ? v.stride[v.ndim - 1] : 0; }

void gather_cpu(const View& out, const View& x, const View& index, int64_t dim) {
  const int64_t n = last_size(out), step = x.ndim ? x.stride[dim] : 0;
  if (out.numel() == 0) return;
  const int64_t along = dim == x.ndim - 1 ? 0 : last_stride(x);
  const int64_t si = last_stride(index), so = last_stride(out);
  by_size(out.dtype, [&]<class T>() {
    parallel_for(out.numel() / n, std::max<int64_t>(1, kPointwiseGrain / n),
                 [&](int64_t begin, int64_t end) {
                   each_row(out, {&x, &index, &out}, dim, begin, end,
                            [&](int64_t xo, int64_t io, int64_t oo) {
                              const T* from = x.as<T>() + xo;
                              const int64_t* at = index.as<int64_t>() + io;
                              T* to = out.as<T>() + oo;
                              for (int64_t j = 0; j < n; ++j)
                                to[j * so] = from[j * along + at[j * si] * step];
                            });
                 });
  });
}

void scatter_cpu(const View& out, const View& index, const View& src, int64_t dim,
                 bool accumulate) {
  const int64_t n = last_size(index), step = out.ndim ? out.stride[dim] : 0;
  if (index.numel() == 0) return;
  const int64_t along = dim == out.ndim - 1 ? 0 : last_stride(out);
  const int64_t si = last_stride(index), ss = last_stride(src);
  by_sum(out.dtype, [&]<class T, class A>() {
    each_row(index, {&out, &index, &src}, dim, 0, index.numel() / n,
             [&](int64_t oo, int64_t io, int64_t so) {
               T* to = out.as<T>() + oo;
               const int64_t* at = index.as<int64_t>() + io;
               const T* from = src.as<T>() + so;
               if (!accumulate) {
                 for (int64_t j = 0; j < n; ++j) to[j * along + at[j * si] * step] = from[j * ss];
                 return;
               }
               for (int64_t j = 0; j < n; ++j) {
                 add_to<T, A>(to[j * along + at[j * si] * step], from[j * ss]);
               }
             });
  });
}

/// Elements that lie side by side at the end of both views.
int64_t dense_tail(const View& a, const View& b, int& dims) {
  int64_t run = 1;
  dims = a.ndim;
  while (dims > 0 &&
         (a.size[dims - 1] == 1 || (a.stride[dims - 1] == run && b.stride[dims - 1] == run))) {
    run *= a.size[--dims];
  }
  return run;
}

/// Calls f(offset in the window, offset in the row) for every dense run of a window.
template <class F>
void each_run(const View& window, const View& row, int dims, const F& f) {
  View outer = window;
  outer.ndim = dims;
  const int64_t n = outer.numel();
  Cursor<2> c(outer, {&window, &row}, -1, 0);
  for (int64_t i = 0; i < n; ++i, c.next()) f(c.at[0], c.at[1]);
}

/// Where no elements of a window lie side by side, one element of every window after the other:
/// calls f(offset in the window, offset in the row) for each, from `begin` to `end`.
template <class F>
void each_element(const View& window, const View& row, int64_t begin, int64_t end, const F& f) {
  Cursor<2> c(row, {&window, &row}, -1, begin);
  for (int64_t i = begin; i < end; ++i, c.next()) f(c.at[0], c.at[1]);
}

void take_cpu(const View& out, const View& x, const View& offsets) {
  const View row = out.at(0);
  const int64_t n = out.size[0], width = row.numel(), step = out.stride[0],
                offset_step = offsets.stride[0];
  const int64_t* const offset = offsets.as<int64_t>();
  int dims;
  const int64_t run = dense_tail(x, row, dims);
  if (width == 0 || n == 0) return;
  by_size(out.dtype, [&]<class T>() {
    T *const to = out.as<T>(), *const from = x.as<T>();
    if (run == 1) {
      const int64_t grain = std::max<int64_t>(1, kPointwiseGrain / n);
      return parallel_for(width, grain, [&](int64_t b, int64_t e) {
        each_element(x, row, b, e, [&](int64_t at, int64_t r) {
          for (int64_t i = 0; i < n; ++i) to[r + i * step] = from[at + offset[i * offset_step]];
        });
      });
    }
    parallel_for(n, std::max<int64_t>(1, kPointwiseGrain / width), [&](int64_t b, int64_t e) {
      for (int64_t i = b; i < e; ++i)
        each_run(x, row, dims, [&](int64_t at, int64_t r) {
          std::copy_n(from + offset[i * offset_step] + at, run, to + i * step + r);
        });
    });
  });
}

/// to[j] = or += from[j * stride] for n elements side by side.
template <class T, class A>
void put_run(T* to, const T* from, int64_t stride, int64_t n, bool accumulate) {
  if (!accumulate && stride == 1) std::copy_n(from, n, to);
  else if (!accumulate)
    for (int64_t j = 0; j < n; ++j) to[j] = from[j * stride];
  else if (stride == 1)
    for (int64_t j = 0; j < n; ++j) add_to<T, A>(to[j], from[j]);
  else
    for (int64_t j = 0; j < n; ++j) add_to<T, A>(to[j], from[j * stride]);
}

void put_cpu(const View& x, const View& src, const View& offsets, bool accumulate) {
  const View row = src.at(0);
  const int64_t n = src.size[0], step = src.stride[0], offset_step = offsets.stride[0];
  const int64_t* const offset = offsets.as<int64_t>();
  int dims;
  int64_t run = dense_tail(x, row, dims), along = 1;
  if (row.numel() == 0) return;
  if (run == 1 && last_size(x) > 1 && last_stride(x) == 1) {
    // Side by side in x alone: a gradient that is one number everywhere has no strides.
    dims = x.ndim - 1;
    run = last_size(x);
    along = last_stride(row);
  }
  by_sum(x.dtype, [&]<class T, class A>() {
    T *const to = x.as<T>(), *const from = src.as<T>();
    if (run == 1) {
      return each_element(x, row, 0, row.numel(), [&](int64_t at, int64_t r) {
        for (int64_t i = 0; i < n; ++i) {
          T& t = to[at + offset[i * offset_step]];
          if (accumulate) add_to<T, A>(t, from[r + i * step]);
          else t = from[r + i * step];
        }
      });
    }
    for (int64_t i = 0; i < n; ++i) {
      T* const window = to + offset[i * offset_step];
      each_run(x, row, dims, [&](int64_t at, int64_t r) {
        put_run<T, A>(window + at, from + i * step + r, along, run, accumulate);
      });
    }
  });
}

void triangle_cpu(const View& out, const View& x, int64_t diagonal, bool upper) {
  const int r = out.ndim - 2, c = out.ndim - 1;
  View outer = out;
  outer.ndim = c;
  const int64_t rows = outer.numel(), height = out.size[r], width = out.size[c];
  by_size(out.dtype, [&]<class T>() {
    parallel_for(rows, std::max<int64_t>(1, kPointwiseGrain / std::max<int64_t>(width, 1)),
                 [&](int64_t begin, int64_t end) {
                   Cursor<2> at(outer, {&out, &x}, -1, begin);
                   for (int64_t i = begin; i < end; ++i, at.next()) {
                     // Columns [from, to) are kept.
                     const int64_t edge =
                         std::clamp<int64_t>(i % height + diagonal + !upper, 0, width);
                     const int64_t from = upper ? edge : 0, to = upper ? width : edge;
                     T* y = out.as<T>() + at.at[0];
                     const T* v = x.as<T>() + at.at[1];
                     if (out.stride[c] == 1 && x.stride[c] == 1) {
                       std::fill_n(y, from, T(0));
                       std::copy(v + from, v + to, y + from);
                       std::fill_n(y + to, width - to, T(0));
                       continue;
                     }
                     for (int64_t j = 0; j < width; ++j) {
                       y[j * out.stride[c]] = j >= from && j < to ? v[j * x.stride[c]] : T(0);
                     }
                   }
                 });
  });
}

NNM_KERNEL(gather, gather_cpu);
NNM_KERNEL(scatter, scatter_cpu);
NNM_KERNEL(take, take_cpu);
NNM_KERNEL(put, put_cpu);
NNM_KERNEL(triangle, triangle_cpu);

}  // namespace
}  // namespace nnm
