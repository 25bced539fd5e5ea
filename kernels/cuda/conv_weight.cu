// The gradients of a convolution for weights and bias: sums over all pixels, in parts whose number
// depends on the shape alone, added in order.
#include <algorithm>
#include <type_traits>

#include "kernels/cuda/conv.h"
#include "kernels/cuda/dnn_conv.h"
#include "kernels/cuda/parts.h"
#include "kernels/cuda/patches.h"
#include "kernels/cuda/plugin.h"
#include "kernels/cuda/tile.h"
#include "kernels/gemm.h"

namespace nnm::cuda {
namespace {

/// Outputs of a group, and weights of one, from which tiles are not mostly empty.
constexpr int kTileOutputs = 8, kTileWeights = 32;
/// Blocks that fill a large device twice, and pixels that are worth one.
constexpr int64_t kBlocks = 264, kLeastPixels = 256;

int parts_of(int64_t pixels, int64_t blocks) {
  return static_cast<int>(std::clamp<int64_t>(kBlocks / std::max<int64_t>(blocks, 1), 1,
                                              std::max<int64_t>(pixels / kLeastPixels, 1)));
}

/// dw of a part of the pixels: rows are a group's outputs, columns its weights (tap, channel), the
/// depth the pixels.
template <class T>
struct BackwardWeight {
  using C = Compute<T>;
  static constexpr bool kDeep = false;
  ConvShape s;
  C* sums;  ///< (parts, O, C, taps)
  const T *g, *x;
  int rows, columns, depth, parts, group = 0, first = 0;

  __device__ void place(int i) {
    const int part = i / s.groups, pixels = s.n * s.oh * s.ow;
    group = i % s.groups;
    first = static_cast<int>(int64_t{pixels} * part / parts);
    depth = static_cast<int>(int64_t{pixels} * (part + 1) / parts) - first;
    sums += part * s.weights();
  }
  __device__ int row(int m) const { return m; }
  __device__ int level(int k) const { return k; }
  __device__ C a(int m, int k) const {
    if (m >= rows || k >= depth) return 0;
    return widened<C>(g[static_cast<int64_t>(first + k) * s.outputs + group * s.o + m], s.f16);
  }
  __device__ Tap column(int n) const { return tap_of(s, n, s.c, s.by_c); }
  __device__ Corner step(int k) const {
    return k < depth ? window_of(s, first + k) : Corner{0, kOutside, kOutside};
  }
  __device__ C b(const Tap& tap, const Corner& at) const {
    return pixel_at(s, x, at, tap, group * s.c);
  }
  __device__ void store(int m, int n, C sum) const {
    int c;
    const int tap = s.by_c.divide(n, c);
    sums[(static_cast<int64_t>(group) * s.o + m) * columns + c * s.taps() + tap] = sum;
  }
};

/// dw where groups are small: a weight and a part of the pixels along x, 32 outputs along y. The
/// eight rows of threads take turns at the pixels.
template <class T>
__global__ void weight_sums(ConvShape s, Compute<T>* sums, const T* g, const T* x, int parts) {
  using C = Compute<T>;
  __shared__ C rows[8][32];
  const auto o = static_cast<int>(blockIdx.y * 32 + threadIdx.x);
  const auto row = static_cast<int>(threadIdx.y);
  const int part = static_cast<int>(blockIdx.x) % parts,
            weight = static_cast<int>(blockIdx.x) / parts;
  const int64_t pixels = int64_t{s.n} * s.oh * s.ow;
  const auto first = static_cast<int>(pixels * part / parts),
             last = static_cast<int>(pixels * (part + 1) / parts);
  const Tap tap = tap_of(s, weight, s.c, s.by_c);
  C sum = 0;
  if (o < s.outputs) {
    for (int i = first + row; i < last; i += 8)
      sum += widened<C>(g[static_cast<int64_t>(i) * s.outputs + o], s.f16) *
             pixel_at(s, x, window_of(s, i), tap, o / s.o * s.c);
  }
  rows[row][threadIdx.x] = sum;
  __syncthreads();
  if (row != 0 || o >= s.outputs) return;
  for (int i = 1; i < 8; ++i) sum += rows[i][threadIdx.x];
  int c;
  const int at = s.by_c.divide(weight, c);
  sums[part * s.weights() + static_cast<int64_t>(o) * s.depth() + c * s.taps() + at] = sum;
}

/// sums (O, C, taps) += product (O, taps, C), or = where `first`.
template <class T>
__global__ void add_product(ConvShape s, Compute<T>* sums, const T* product, bool first) {
  const int64_t i = global_thread();
  if (i >= s.weights()) return;
  int64_t rest;
  const int64_t o = divide(i, s.depth(), &rest);
  int c;
  const int tap = s.by_c.divide(static_cast<int>(rest), c);
  Compute<T>& sum = sums[o * s.depth() + c * s.taps() + tap];
  sum = (first ? Compute<T>(0) : sum) + widened<Compute<T>>(product[i], s.f16);
}

/// dw as products of g (O, pixels) and patches.
template <class T>
void weight_gradient_by_patches(const ConvShape& s, const View& dw, const View& g, const View& x) {
  using C = Compute<T>;
  const Scratch<T> patches(patch_elements(s)), product(s.weights());
  const Scratch<C> sums(s.weights());
  each_batch(s, [&](const Batch& b) {
    const int64_t pixels = int64_t{s.oh} * s.ow, n = b.count * pixels;
    lay(s, patches.get(), x.as<T>(), b);
    View outputs = matrix(g, s.o, n, 1, s.o);
    outputs.data = g.as<T>() + b.first * pixels * s.o;
    kernels::gemm(pixel_rows(dw, product.get(), s.o, s.depth()), outputs,
                  pixel_rows(dw, patches.get(), n, s.depth()), View{}, 1, 0);
    NNM_LAUNCH(add_product<T>, blocks_for(s.weights()), dim3(kThreads), 0, s, sums.get(),
               product.get(), b.first == 0);
  });
  sum_parts(dw.as<T>(), sums.get(), 1, s.weights(), s.f16);
}

template <class T>
void weight_gradient(const ConvShape& s, const View& dw, const View& g, const View& x) {
  using C = Compute<T>;
  if constexpr (std::is_same_v<T, Short>)
    if (has_patches(s, x) && s.out_pixels() > 0) return weight_gradient_by_patches<T>(s, dw, g, x);
  const bool small = s.groups > 1 && (s.o < kTileOutputs || s.depth() < kTileWeights);
  const int64_t blocks =
      small ? int64_t{tiles_along(s.outputs, 32)} * s.depth()
            : int64_t{tiles_along(s.o, 64)} * tiles_along(s.depth(), 64) * s.groups;
  const int parts = parts_of(s.out_pixels(), blocks);
  const Scratch<C> sums(parts * s.weights());
  if (small) {
    NNM_LAUNCH(weight_sums<T>,
               dim3(static_cast<unsigned>(s.depth() * parts),
                    static_cast<unsigned>(tiles_along(s.outputs, 32))),
               dim3(32, 8), 0, s, sums.get(), g.as<T>(), x.as<T>(), parts);
  } else {
    multiply_tiles(BackwardWeight<T>{s, sums.get(), g.as<T>(), x.as<T>(), s.o, s.depth(),
                                     s.out_pixels(), parts},
                   s.groups * parts);
  }
  sum_parts(dw.as<T>(), sums.get(), parts, s.weights(), s.f16);
}

/// The sums of g (pixels, outputs) over a part of the pixels, for 32 outputs a block.
template <class T>
__global__ void bias_sums(double* sums, const T* g, int64_t pixels, int outputs, bool f16) {
  using C = Compute<T>;
  __shared__ double rows[8][32];
  const auto o = static_cast<int>(blockIdx.x * 32 + threadIdx.x);
  const int64_t first = pixels * blockIdx.y / gridDim.y,
                last = pixels * (blockIdx.y + 1) / gridDim.y;
  C sum = 0;
  if (o < outputs)
    for (int64_t i = first + threadIdx.y; i < last; i += 8)
      sum += widened<C>(g[i * outputs + o], f16);
  rows[threadIdx.y][threadIdx.x] = static_cast<double>(sum);
  __syncthreads();
  if (threadIdx.y != 0 || o >= outputs) return;
  double total = 0;
  for (int i = 0; i < 8; ++i) total += rows[i][threadIdx.x];
  sums[static_cast<int64_t>(blockIdx.y) * outputs + o] = total;
}

template <class T>
void bias_gradient(const ConvShape& s, const View& dbias, const View& g) {
  const int blocks = tiles_along(s.outputs, 32), parts = parts_of(s.out_pixels(), blocks);
  const Scratch<double> sums(int64_t{parts} * s.outputs);
  NNM_LAUNCH(bias_sums<T>, dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(parts)),
             dim3(32, 8), 0, sums.get(), g.as<T>(), int64_t{s.out_pixels()}, s.outputs, s.f16);
  sum_parts(dbias.as<T>(), sums.get(), parts, s.outputs, s.f16);
}

void conv2d_backward_weight_cuda(const View& dw, const View& dbias, const View& g, const View& x,
                                 const Conv2d& p) {
  const ConvShape s(x, dw, g, p);
  by_memory(dw.dtype, [&]<class T>() {
    if (dbias.data) bias_gradient<T>(s, dbias, g);
    if (dw.numel() == 0) return;
    if (s.pointwise() && s.out_pixels() > 0) {
      kernels::gemm(matrix(dw, s.o, s.c, s.c, 1), matrix(g, s.o, s.out_pixels(), 1, s.o),
                    matrix(x, s.out_pixels(), s.c, s.c, 1), View{}, 1, 0);
    } else if (!conv2d_backward_weight_by_dnn(dw, g, x, p)) {
      weight_gradient<T>(s, dw, g, x);
    }
  });
}

}  // namespace
}  // namespace nnm::cuda

NNM_CUDA_KERNEL(conv2d_backward_weight, nnm::cuda::conv2d_backward_weight_cuda);
