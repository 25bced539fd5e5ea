// Elements by index. What has one source for each result is read in any order; what may write one
// place several times is sorted by place first, and one thread does all of a place in their order.
#include "kernels/gather.h"

#include <bit>

#include "kernels/cuda/element.h"
#include "kernels/cuda/order.h"
#include "kernels/cuda/plugin.h"

namespace nnm::cuda {
namespace {

/// x, standing still along `dim`, whose place an index takes.
View without_step(View x, int64_t dim) {
  x.stride[dim] = 0;
  return x;
}

template <class T>
__global__ void gather_elements(Folded<3> w, int64_t n, int64_t step) {
  const int64_t i = global_thread();
  if (i >= n) return;
  int64_t at[3];
  offsets(w, i, at);
  const int64_t index = reinterpret_cast<const int64_t*>(w.data[1])[at[1]];
  reinterpret_cast<T*>(w.data[0])[at[0]] =
      reinterpret_cast<const T*>(w.data[2])[at[2] + index * step];
}

void gather_cuda(const View& out, const View& x, const View& index, int64_t dim) {
  const View still = without_step(x, dim);
  const Folded<3> w({&out, &index, &still});
  by_size(out.dtype, [&]<class T>() {
    NNM_LAUNCH(gather_elements<T>, blocks_for(out.numel()), dim3(kThreads), 0, w, out.numel(),
               x.stride[dim]);
  });
}

/// An index space whose elements count in row-major order, beside where views have them.
View in_order(const View& shape) {
  View v = shape;
  int64_t stride = 1;
  for (int d = v.ndim - 1; d >= 0; --d) {
    v.stride[d] = stride;
    stride *= v.size[d];
  }
  return v;
}

/// targets (n): the element of `out` that each index, in order, names; places (n) counts them. The
/// walk is over (order, index, out).
__global__ void find_targets(Folded<3> w, int64_t* targets, int64_t* places, int64_t n,
                             int64_t step) {
  const int64_t i = global_thread();
  if (i >= n) return;
  int64_t at[3];
  offsets(w, i, at);
  targets[i] = at[2] + reinterpret_cast<const int64_t*>(w.data[1])[at[1]] * step;
  places[i] = i;
}

/// The first thread of a run of equal targets writes what its sources add up to, or the last of
/// them. Sources are places in order, which the walk over (order, src) takes to elements.
template <class T, class A>
__global__ void scatter_runs(T* out, Folded<2> w, const int64_t* targets, const int64_t* places,
                             int64_t n, bool accumulate) {
  const int64_t first = global_thread();
  if (first >= n) return;
  const int64_t target = targets[first];
  if (first > 0 && targets[first - 1] == target) return;
  const auto source = [&](int64_t i) {
    int64_t at[2];
    offsets(w, places[i], at);
    return reinterpret_cast<const T*>(w.data[1])[at[1]];
  };
  int64_t end = first + 1;
  if (!accumulate) {
    while (end < n && targets[end] == target) ++end;
    out[target] = source(end - 1);
    return;
  }
  A sum = static_cast<A>(out[target]) + static_cast<A>(source(first));
  for (; end < n && targets[end] == target; ++end) sum += static_cast<A>(source(end));
  out[target] = static_cast<T>(sum);
}

/// Bits that tell the elements of a view apart.
int offset_bits(const View& v) {
  uint64_t last = 0;
  for (int d = 0; d < v.ndim; ++d)
    last += static_cast<uint64_t>((v.size[d] > 0 ? v.size[d] - 1 : 0) * v.stride[d]);
  return static_cast<int>(std::bit_width(last));
}

void scatter_cuda(const View& out, const View& index, const View& src, int64_t dim,
                  bool accumulate) {
  const int64_t n = index.numel();
  if (n == 0) return;
  const View order = in_order(index), still = without_step(out, dim);
  const Scratch<int64_t> targets(n), places(n);
  NNM_LAUNCH(find_targets, blocks_for(n), dim3(kThreads), 0, Folded<3>({&order, &index, &still}),
             targets.get(), places.get(), n, out.stride[dim]);
  // Indices that differ in other dimensions never name the same element.
  if (index.size[dim] > 1)
    stable_order(targets.get(), places.get(), targets.get(), n, offset_bits(out));
  const Folded<2> w({&order, &src});
  by_sum(out.dtype, [&]<class T, class A>() {
    NNM_LAUNCH((scatter_runs<T, A>), blocks_for(n), dim3(kThreads), 0, out.as<T>(), w,
               targets.get(), places.get(), n, accumulate);
  });
}

/// A vector of offsets, elements `step` apart.
struct Offsets {
  const int64_t* data;
  int64_t n, step;
  explicit Offsets(const View& v) : data(v.as<int64_t>()), n(v.size[0]), step(v.stride[0]) {}
};

/// The walk is over one row of out and the window.
template <class T>
__global__ void take_windows(Folded<2> w, Offsets windows, int64_t width, int64_t row_stride) {
  const int64_t i = global_thread();
  if (i >= windows.n * width) return;
  int64_t element, at[2];
  const int64_t row = divide(i, width, &element);
  offsets(w, element, at);
  reinterpret_cast<T*>(w.data[0])[row * row_stride + at[0]] =
      reinterpret_cast<const T*>(w.data[1])[windows.data[row * windows.step] + at[1]];
}

void take_cuda(const View& out, const View& x, const View& offsets) {
  const View row = out.at(0);
  const Folded<2> w({&row, &x});
  const int64_t width = row.numel();
  by_size(out.dtype, [&]<class T>() {
    NNM_LAUNCH(take_windows<T>, blocks_for(out.size[0] * width), dim3(kThreads), 0, w,
               Offsets(offsets), width, out.stride[0]);
  });
}

/// windows (n) and, counted, their rows.
__global__ void copy_offsets(int64_t* windows, int64_t* rows, Offsets from) {
  const int64_t i = global_thread();
  if (i >= from.n) return;
  windows[i] = from.data[i * from.step];
  rows[i] = i;
}

/// A thread has one element of the windows at one offset, whose rows of src follow each other in
/// `rows`; the walk is over the window and a row of src.
template <class T, class A>
__global__ void put_windows(Folded<2> w, const int64_t* windows, const int64_t* rows, int64_t n,
                            int64_t width, int64_t row_stride, bool accumulate) {
  const int64_t i = global_thread();
  if (i >= n * width) return;
  int64_t element, at[2];
  const int64_t first = divide(i, width, &element), window = windows[first];
  if (first > 0 && windows[first - 1] == window) return;
  offsets(w, element, at);
  const auto source = [&](int64_t j) {
    return reinterpret_cast<const T*>(w.data[1])[rows[j] * row_stride + at[1]];
  };
  T& out = reinterpret_cast<T*>(w.data[0])[window + at[0]];
  int64_t end = first + 1;
  if (!accumulate) {
    while (end < n && windows[end] == window) ++end;
    out = source(end - 1);
    return;
  }
  A sum = static_cast<A>(out) + static_cast<A>(source(first));
  for (; end < n && windows[end] == window; ++end) sum += static_cast<A>(source(end));
  out = static_cast<T>(sum);
}

void put_cuda(const View& x, const View& src, const View& offsets, bool accumulate) {
  const View row = src.at(0);
  const Folded<2> w({&x, &row});
  const int64_t n = src.size[0], width = row.numel();
  if (n * width == 0) return;
  const Scratch<int64_t> windows(n), rows(n);
  NNM_LAUNCH(copy_offsets, blocks_for(n), dim3(kThreads), 0, windows.get(), rows.get(),
             Offsets(offsets));
  // An offset may reach anywhere in the storage, whose size no view tells.
  constexpr int kBits = 63;
  if (n > 1) stable_order(windows.get(), rows.get(), windows.get(), n, kBits);
  by_sum(x.dtype, [&]<class T, class A>() {
    NNM_LAUNCH((put_windows<T, A>), blocks_for(n * width), dim3(kThreads), 0, w, windows.get(),
               rows.get(), n, width, src.stride[0], accumulate);
  });
}

struct Triangle {
  int64_t diagonal;
  bool upper;
  __device__ bool has(int64_t row, int64_t column) const {
    return upper ? column - row >= diagonal : column - row <= diagonal;
  }
};

/// The views are (…, height, width), walked in row-major order.
template <class T>
__global__ void cut_triangle(View out, View x, Triangle shape, int64_t n) {
  int64_t i = global_thread();
  if (i >= n) return;
  int64_t place[kMaxDims], to = 0, from = 0;
  for (int d = out.ndim - 1; d >= 0; --d) {
    i = divide(i, out.size[d], &place[d]);
    to += place[d] * out.stride[d];
    from += place[d] * x.stride[d];
  }
  static_cast<T*>(out.data)[to] = shape.has(place[out.ndim - 2], place[out.ndim - 1])
                                      ? static_cast<const T*>(x.data)[from]
                                      : T(0);
}

void triangle_cuda(const View& out, const View& x, int64_t diagonal, bool upper) {
  const Triangle shape{diagonal, upper};
  by_size(out.dtype, [&]<class T>() {
    NNM_LAUNCH(cut_triangle<T>, blocks_for(out.numel()), dim3(kThreads), 0, out, x, shape,
               out.numel());
  });
}

}  // namespace
}  // namespace nnm::cuda

NNM_CUDA_KERNEL(gather, nnm::cuda::gather_cuda);
NNM_CUDA_KERNEL(scatter, nnm::cuda::scatter_cuda);
NNM_CUDA_KERNEL(take, nnm::cuda::take_cuda);
NNM_CUDA_KERNEL(put, nnm::cuda::put_cuda);
NNM_CUDA_KERNEL(triangle, nnm::cuda::triangle_cuda);
