// Maximum and average pooling, one result a thread, or a pack of channels where those lie side by
// side. Gradients are gathered by the input's pixels, so that sums run in the order of the outputs.
#include "kernels/pool.h"

#include <algorithm>
#include <initializer_list>
#include <limits>

#include "kernels/cuda/element.h"
#include "kernels/cuda/plugin.h"
#include "kernels/pool_window.h"

namespace nnm::cuda {
namespace {

/// (N, C, H, W) in some strides, with `wide` channels for one; `f16`: of Short which it is.
struct Image {
  int64_t size[4], stride[4];
  bool inner_channels, f16;
  explicit Image(const View& v, int64_t wide = 1)
      : inner_channels(v.stride[1] == 1), f16(v.dtype == DType::f16) {
    for (int d = 0; d < 4; ++d) size[d] = v.size[d], stride[d] = v.stride[d];
    size[1] /= wide;
    stride[1] *= wide;
  }
  __device__ int64_t at(int64_t n, int64_t c, int64_t h, int64_t w) const {
    return n * stride[0] + c * stride[1] + h * stride[2] + w * stride[3];
  }
  NNM_HD int64_t numel() const { return size[0] * size[1] * size[2] * size[3]; }
};

/// Whether an image consists of packs of `wide` channels.
bool packs(const View& v, int64_t wide) {
  if (v.stride[1] != 1 || v.size[1] % wide != 0 || !aligned(v.data)) return false;
  for (const int d : {0, 2, 3})
    if (v.size[d] != 1 && v.stride[d] % wide != 0) return false;
  return true;
}

/// Calls body.template operator()<kWide>() with packs of 16 bytes where all images have them.
template <class T, class Body>
void by_pack(std::initializer_list<const View*> images, const Body& body) {
  constexpr int kWide = 16 / sizeof(T);
  if (std::all_of(images.begin(), images.end(), [](const View* v) { return packs(*v, kWide); }))
    return body.template operator()<kWide>();
  body.template operator()<1>();
}

template <int kWide, class T>
__device__ inline Pack<T, kWide> pack_at(const T* from) {
  return *reinterpret_cast<const Pack<T, kWide>*>(from);
}

/// Places of a pack's elements: more than 16 bytes, by accesses of 16.
template <int kWide>
struct Places {
  static constexpr int kAtOnce = kWide > 1 ? 2 : 1;
  int64_t v[kWide];

  __device__ void load(const int64_t* from) {
    for (int j = 0; j < kWide; j += kAtOnce) {
      const auto p = pack_at<kAtOnce>(from + j);
      for (int k = 0; k < kAtOnce; ++k) v[j + k] = p.v[k];
    }
  }
  __device__ void store(int64_t* to) const {
    for (int j = 0; j < kWide; j += kAtOnce) {
      Pack<int64_t, kAtOnce> p;
      for (int k = 0; k < kAtOnce; ++k) p.v[k] = v[j + k];
      *reinterpret_cast<Pack<int64_t, kAtOnce>*>(to + j) = p;
    }
  }
};

struct Place {
  int64_t n, c, h, w;
};

/// The thread's element of v: neighbours in memory are neighbours in number.
__device__ inline Place place_of(const Image& v, int64_t i) {
  Place p;
  if (v.inner_channels) {
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

template <class T, int kWide>
__global__ void max_pool(Image y, T* out, Image places, int64_t* indices, Image x, const T* in,
                         Pool2d p) {
  using C = Compute<T>;
  const int64_t i = global_thread();
  if (i >= y.numel()) return;
  const Place at = place_of(y, i);
  const Window rows = window(p, 0, at.h, x.size[2], y.size[2]),
               columns = window(p, 1, at.w, x.size[3], y.size[3]);
  C best[kWide];
  Places<kWide> found;
  for (int j = 0; j < kWide; ++j) {
    best[j] = -std::numeric_limits<C>::infinity();
    found.v[j] = rows.first * x.size[3] + columns.first;
  }
  for (int64_t h = rows.first; h < rows.last; h += rows.step) {
    for (int64_t w = columns.first; w < columns.last; w += columns.step) {
      const auto pack = pack_at<kWide>(in + x.at(at.n, at.c, h, w));
      for (int j = 0; j < kWide; ++j) {
        const C value = widened<C>(pack.v[j], x.f16);
        const bool better = value > best[j] || value != value;
        best[j] = better ? value : best[j];
        found.v[j] = better ? h * x.size[3] + w : found.v[j];
      }
    }
  }
  Pack<T, kWide> result;
  for (int j = 0; j < kWide; ++j) result.v[j] = narrowed<T>(best[j], y.f16);
  *reinterpret_cast<Pack<T, kWide>*>(out + y.at(at.n, at.c, at.h, at.w)) = result;
  if (indices) found.store(indices + places.at(at.n, at.c, at.h, at.w));
}

void max_pool2d_cuda(const View& y, const View& indices, const View& x, const Pool2d& p) {
  const View& places = indices.data ? indices : y;
  by_memory(x.dtype, [&]<class T>() {
    by_pack<T>({&y, &places, &x}, [&]<int kWide>() {
      const Image out(y, kWide);
      NNM_LAUNCH((max_pool<T, kWide>), blocks_for(out.numel()), dim3(kThreads), 0, out, y.as<T>(),
                 Image(places, kWide), indices.as<int64_t>(), Image(x, kWide), x.as<T>(), p);
    });
  });
}

/// The outputs [first, last] along one dimension whose windows may have the input's position i.
struct Range {
  int64_t first, last;
};

__device__ inline int64_t quotient(int64_t a, int64_t b) {
  int64_t rest;
  return divide(a, b, &rest);
}

__device__ inline Range windows_over(const Pool2d& p, int d, int64_t i, int64_t in, int64_t out) {
  Range r;
  if (p.adaptive) {
    r = {quotient(i * out, in), quotient((i + 1) * out + in - 1, in) - 1};
  } else {
    const int64_t first = i + p.padding[d] - (p.kernel[d] - 1) * p.dilation[d];
    r = {first <= 0 ? 0 : quotient(first + p.stride[d] - 1, p.stride[d]),
         quotient(i + p.padding[d], p.stride[d])};
  }
  if (r.last >= out) r.last = out - 1;
  return r;
}

template <class T, int kWide>
__global__ void max_pool_backward(Image dx, T* out, Image g, const T* in, Image places,
                                  const int64_t* indices, Pool2d p) {
  using C = Compute<T>;
  const int64_t i = global_thread();
  if (i >= dx.numel()) return;
  const Place at = place_of(dx, i);
  const Range rows = windows_over(p, 0, at.h, dx.size[2], g.size[2]),
              columns = windows_over(p, 1, at.w, dx.size[3], g.size[3]);
  const int64_t place = at.h * dx.size[3] + at.w;
  C sum[kWide] = {};
  for (int64_t h = rows.first; h <= rows.last; ++h) {
    for (int64_t w = columns.first; w <= columns.last; ++w) {
      Places<kWide> found;
      found.load(indices + places.at(at.n, at.c, h, w));
      const auto pack = pack_at<kWide>(in + g.at(at.n, at.c, h, w));
      for (int j = 0; j < kWide; ++j)
        if (found.v[j] == place) sum[j] += widened<C>(pack.v[j], g.f16);
    }
  }
  Pack<T, kWide> result;
  for (int j = 0; j < kWide; ++j) result.v[j] = narrowed<T>(sum[j], dx.f16);
  *reinterpret_cast<Pack<T, kWide>*>(out + dx.at(at.n, at.c, at.h, at.w)) = result;
}

constexpr int64_t kMostOwned = 16;  ///< positions that one thread writes

/// Whether each position has one window at most, so that a thread can have a window's positions.
bool windows_apart(const Pool2d& p) {
  if (p.adaptive || p.stride[0] * p.stride[1] > kMostOwned) return false;
  for (const int d : {0, 1})
    if ((p.kernel[d] - 1) * p.dilation[d] + 1 > p.stride[d]) return false;
  return true;
}

/// Where the positions of window i begin with those between it and the one before; of the window
/// after the last, the end of the input.
__device__ inline int64_t owned_from(const Pool2d& p, int d, int64_t i, int64_t in, int64_t out) {
  if (i == 0) return 0;
  const int64_t first = i * p.stride[d] - p.padding[d];
  return i == out || first > in ? in : first < 0 ? 0 : first;
}

/// Of windows apart, by the outputs: every gradient and its place are read once.
template <class T, int kWide>
__global__ void max_pool_backward_apart(Image dx, T* out, Image g, const T* in, Image places,
                                        const int64_t* indices, Pool2d p) {
  const int64_t i = global_thread();
  if (i >= g.numel()) return;
  const Place at = place_of(g, i);
  Places<kWide> found;
  found.load(indices + places.at(at.n, at.c, at.h, at.w));
  const auto pack = pack_at<kWide>(in + g.at(at.n, at.c, at.h, at.w));
  const int64_t bottom = owned_from(p, 0, at.h + 1, dx.size[2], g.size[2]),
                left = owned_from(p, 1, at.w, dx.size[3], g.size[3]),
                right = owned_from(p, 1, at.w + 1, dx.size[3], g.size[3]);
  for (int64_t h = owned_from(p, 0, at.h, dx.size[2], g.size[2]); h < bottom; ++h) {
    for (int64_t w = left; w < right; ++w) {
      Pack<T, kWide> result;
      for (int j = 0; j < kWide; ++j)
        result.v[j] = found.v[j] == h * dx.size[3] + w ? pack.v[j] : T{};
      *reinterpret_cast<Pack<T, kWide>*>(out + dx.at(at.n, at.c, h, w)) = result;
    }
  }
}

void max_pool2d_backward_cuda(const View& dx, const View& g, const View& indices, const Pool2d& p) {
  by_memory(dx.dtype, [&]<class T>() {
    by_pack<T>({&dx, &g, &indices}, [&]<int kWide>() {
      const Image to(dx, kWide), from(g, kWide), places(indices, kWide);
      if constexpr (kWide > 1) {
        if (windows_apart(p) && from.numel() > 0) {
          NNM_LAUNCH((max_pool_backward_apart<T, kWide>), blocks_for(from.numel()), dim3(kThreads),
                     0, to, dx.as<T>(), from, g.as<T>(), places, indices.as<int64_t>(), p);
          return;
        }
      }
      NNM_LAUNCH((max_pool_backward<T, kWide>), blocks_for(to.numel()), dim3(kThreads), 0, to,
                 dx.as<T>(), from, g.as<T>(), places, indices.as<int64_t>(), p);
    });
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
      sum += widened<C>(in[x.at(at.n, at.c, h, w)], x.f16);
  out[y.at(at.n, at.c, at.h, at.w)] = narrowed<T>(sum / C(divisor(p, rows, columns)), y.f16);
}

void avg_pool2d_cuda(const View& y, const View& x, const Pool2d& p) {
  by_memory(x.dtype, [&]<class T>() {
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
      sum += C(1 / divisor(p, wh, ww)) * widened<C>(in[g.at(at.n, at.c, h, w)], g.f16);
    }
  }
  out[dx.at(at.n, at.c, at.h, at.w)] = narrowed<T>(sum, dx.f16);
}

void avg_pool2d_backward_cuda(const View& dx, const View& g, const Pool2d& p) {
  by_memory(dx.dtype, [&]<class T>() {
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
