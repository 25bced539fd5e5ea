// Convolution in bf16 and f16 as products of matrices, which tensor cores compute: patches of the
// image are laid out in memory, so few at a time that they stay in the device's cache.
#pragma once

#include "kernels/cuda/conv.h"
#include "kernels/gemm.h"

namespace nnm::cuda {
namespace {

constexpr int64_t kPatchBytes = 16 << 20;
constexpr int kPatchChannels = 8;  ///< that move in one access

/// Whether products of patches serve: where channels and outputs come in eights. `image` is read or
/// written so.
inline bool has_patches(const ConvShape& s, const View& image) {
  return s.groups == 1 && s.c % kPatchChannels == 0 && s.o % kPatchChannels == 0 &&
         aligned(image.data);
}

/// Images [first, first + count) in work at once.
struct Batch {
  int first, count;
};

/// Calls f(batch) for all images, in order.
template <class F>
void each_batch(const ConvShape& s, const F& f) {
  const int64_t bytes = int64_t{s.oh} * s.ow * s.depth() * 2;
  const int most = static_cast<int>(kPatchBytes / bytes > 0 ? kPatchBytes / bytes : 1);
  for (int first = 0; first < s.n; first += most)
    f(Batch{first, s.n - first < most ? s.n - first : most});
}

/// Of all batches the largest one's patches.
inline int64_t patch_elements(const ConvShape& s) {
  int64_t most = 0;
  each_batch(s, [&](const Batch& b) {
    const int64_t n = int64_t{b.count} * s.oh * s.ow * s.depth();
    most = n > most ? n : most;
  });
  return most;
}

/// A matrix of the batch's pixels in an image's memory or in patches, as a view like `like`.
template <class T>
View pixel_rows(const View& like, T* data, int64_t pixels, int64_t columns) {
  View v = matrix(like, pixels, columns, columns, 1);
  v.data = data;
  return v;
}

/// patches (pixels of the batch, taps, C) of x.
template <class T>
__global__ void lay_patches(ConvShape s, T* patches, const T* x, Batch b) {
  using Access = Pack<T, kPatchChannels>;
  const int64_t i = global_thread();
  const int pixels = b.count * s.oh * s.ow, each = s.depth() / kPatchChannels;
  if (i >= int64_t{pixels} * each) return;
  int64_t k;
  const int pixel = static_cast<int>(divide(i, each, &k));
  const Corner at = window_of(s, b.first * s.oh * s.ow + pixel);
  const Tap tap = tap_of(s, static_cast<int>(k) * kPatchChannels, s.c, s.by_c);
  const int y = at.y + tap.y, column = at.x + tap.x;
  Access v = {};
  if (y >= 0 && y < s.h && column >= 0 && column < s.w)
    v = *reinterpret_cast<const Access*>(
        x + static_cast<int64_t>(at.image + y * s.w + column) * s.c + tap.channel);
  reinterpret_cast<Access*>(patches)[i] = v;
}

template <class T>
void lay(const ConvShape& s, T* patches, const T* x, const Batch& b) {
  const int64_t n = int64_t{b.count} * s.oh * s.ow * s.depth() / kPatchChannels;
  NNM_LAUNCH(lay_patches<T>, blocks_for(n), dim3(kThreads), 0, s, patches, x, b);
}

}  // namespace
}  // namespace nnm::cuda
