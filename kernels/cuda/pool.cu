// Maximum and average pooling, one result a thread. Gradients are gathered by the input's pixels,
// so that sums run in the order of the outputs.
#include "kernels/pool.h"

#include <limits>

#include "kernels/cuda/element.h"
#include "kernels/cuda/plugin.h"
#include "kernels/pool_window.h"

namespace nnm::cuda {
namespace {

/// (N, C, H, W) in some strides.
struct Image {
  int64_t size[4], stride[4];
  explicit Image(const View& v) {
    for (int d = 0; d < 4; ++d) size[d] = v.size[d], stride[d] = v.stride[d];
  }
  __device__ int64_t at(int64_t n, int64_t c, int64_t h, int64_t w) const {
    return n * stride[0] + c * stride[1] + h * stride[2] + w * stride[3];
  }
  NNM_HD int64_t numel() const { return size[0] * size[1] * size[2] * size[3]; }
};

struct Place {
  int64_t n, c, h, w;
};

/// The thread's element of v: neighbours in memory are neighbours in number.
__device__ inline Place place_of(const Image& v, int64_t i) {
  Place p;
  if (v.stride[1] == 1) {
    i = divide(i, v.size[1], &p.c);
    i = divide(i, v.size[3], &p.w);
    p.n = divide(i, v.size[2], &p.h);
  } else {
    i = divide(i, v.size[3], &p.w);
    i = divide(i, v.size[2], &p.h);
    p.n = divide(i, v.size[1], &p.c);
  }
  return p;
}

template <class T>
__global__ void max_pool(Image y, T* out, Image places, int64_t* indices, Image x, const T* in,
                         Pool2d p) {
  using C = Compute<T>;
  const int64_t i = global_thread();
  if (i >= y.numel()) return;
  const Place at = place_of(y, i);
  const Window rows = window(p, 0, at.h, x.size[2], y.size[2]),
               columns = window(p, 1, at.w, x.size[3], y.size[3]);
  C best = -std::numeric_limits<C>::infinity();
  int64_t place = rows.first * x.size[3] + columns.first;
  for (int64_t h = rows.first; h < rows.last; h += rows.step) {
    for (int64_t w = columns.first; w < columns.last; w += columns.step) {
      const C value = static_cast<C>(in[x.at(at.n, at.c, h, w)]);
      if (value > best || value != value) {
        best = value;
        place = h * x.size[3] + w;
      }
    }
  }
  out[y.at(at.n, at.c, at.h, at.w)] = T(best);
  if (indices) indices[places.at(at.n, at.c, at.h, at.w)] = place;
}

void max_pool2d_cuda(const View& y, const View& indices, const View& x, const Pool2d& p) {
  by_floating(x.dtype, [&]<class T>() {
    NNM_LAUNCH(max_pool<T>, blocks_for(y.numel()), dim3(kThreads), 0, Image(y), y.as<T>(),
               Image(indices.data ? indices : y), indices.as<int64_t>(), Image(x), x.as<T>(), p);
  });
}

/// The outputs [first, last] along one dimension whose windows may have the input's position i.
struct Range {
  int64_t first, last;
};

__device__ inline Range windows_over(const Pool2d& p, int d, int64_t i, int64_t in, int64_t out) {
  Range r;
  if (p.adaptive) {
    r = {i * out / in, ceil_divide((i + 1) * out, in) - 1};
  } else {
    const int64_t first = i + p.padding[d] - (p.kernel[d] - 1) * p.dilation[d];
    r = {first <= 0 ? 0 : ceil_divide(first, p.stride[d]), (i + p.padding[d]) / p.stride[d]};
  }
  if (r.last >= out) r.last = out - 1;
  return r;
}

template <class T>
__global__ void max_pool_backward(Image dx, T* out, Image g, const T* in, Image places,
                                  const int64_t* indices, Pool2d p) {
  using C = Compute<T>;
  const int64_t i = global_thread();
  if (i >= dx.numel()) return;
  const Place at = place_of(dx, i);
  const Range rows = windows_over(p, 0, at.h, dx.size[2], g.size[2]),
              columns = windows_over(p, 1, at.w, dx.size[3], g.size[3]);
  const int64_t place = at.h * dx.size[3] + at.w;
  C sum = 0;
  for (int64_t h = rows.first; h <= rows.last; ++h) {
    for (int64_t w = columns.first; w <= columns.last; ++w) {
      if (indices[places.at(at.n, at.c, h, w)] == place)
        sum += static_cast<C>(in[g.at(at.n, at.c, h, w)]);
    }
  }
  out[dx.at(at.n, at.c, at.h, at.w)] = T(sum);
}

void max_pool2d_backward_cuda(const View& dx, const View& g, const View& indices, const Pool2d& p) {
  by_floating(dx.dtype, [&]<class T>() {
    NNM_LAUNCH(max_pool_backward<T>, blocks_for(dx.numel()), dim3(kThreads), 0, Image(dx),
               dx.as<T>(), Image(g), g.as<T>(), Image(indices), indices.as<int64_t>(), p);
  });
}

template <class T>
__global__ void avg_pool(Image y, T* out, Image x, const T* in, Pool2d p) {
  using C = Compute<T>;
  const int64_t i = global_thread();
  if (i >= y.numel()) return;
  const Place at = place_of(y, i);
  const Window rows = window(p, 0, at.h, x.size[2], y.size[2]),
               columns = window(p, 1, at.w, x.size[3], y.size[3]);
  C sum = 0;
  for (int64_t h = rows.first; h < rows.last; ++h)
    for (int64_t w = columns.first; w < columns.last; ++w)
      sum += static_cast<C>(in[x.at(at.n, at.c, h, w)]);
  out[y.at(at.n, at.c, at.h, at.w)] = T(sum / C(divisor(p, rows, columns)));
}

void avg_pool2d_cuda(const View& y, const View& x, const Pool2d& p) {
  by_floating(x.dtype, [&]<class T>() {
    NNM_LAUNCH(avg_pool<T>, blocks_for(y.numel()), dim3(kThreads), 0, Image(y), y.as<T>(), Image(x),
               x.as<T>(), p);
  });
}

template <class T>
__global__ void avg_pool_backward(Image dx, T* out, Image g, const T* in, Pool2d p) {
  using C = Compute<T>;
  const int64_t i = global_thread();
  if (i >= dx.numel()) return;
  const Place at = place_of(dx, i);
  const Range rows = windows_over(p, 0, at.h, dx.size[2], g.size[2]),
              columns = windows_over(p, 1, at.w, dx.size[3], g.size[3]);
  C sum = 0;
  for (int64_t h = rows.first; h <= rows.last; ++h) {
    const Window wh = window(p, 0, h, dx.size[2], g.size[2]);
    for (int64_t w = columns.first; w <= columns.last; ++w) {
      const Window ww = window(p, 1, w, dx.size[3], g.size[3]);
      sum += C(1 / divisor(p, wh, ww)) * static_cast<C>(in[g.at(at.n, at.c, h, w)]);
    }
  }
  out[dx.at(at.n, at.c, at.h, at.w)] = T(sum);
}

void avg_pool2d_backward_cuda(const View& dx, const View& g, const Pool2d& p) {
  by_floating(dx.dtype, [&]<class T>() {
    NNM_LAUNCH(avg_pool_backward<T>, blocks_for(dx.numel()), dim3(kThreads), 0, Image(dx),
               dx.as<T>(), Image(g), g.as<T>(), p);
  });
}

}  // namespace
}  // namespace nnm::cuda

NNM_CUDA_KERNEL(max_pool2d, nnm::cuda::max_pool2d_cuda);
NNM_CUDA_KERNEL(max_pool2d_backward, nnm::cuda::max_pool2d_backward_cuda);
NNM_CUDA_KERNEL(avg_pool2d, nnm::cuda::avg_pool2d_cuda);
NNM_CUDA_KERNEL(avg_pool2d_backward, nnm::cuda::avg_pool2d_backward_cuda);
