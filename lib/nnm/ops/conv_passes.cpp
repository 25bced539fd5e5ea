// Choosing a kernel for each pass of a convolution, and counting its operations.
#include "nnm/ops/conv_passes.h"

#include <algorithm>

#include "kernels/gemm.h"
#include "kernels/narrow.h"
#include "kernels/onednn.h"
#include "kernels/parallel.h"
#include "kernels/pointwise.h"
#include "kernels/reduce.h"
#include "kernels/winograd.h"
#include "nnm/ops/detail.h"
#include "nnm/ops/gemm.h"
#include "nnm/ops/kept.h"
#include "nnm/ops/taps.h"

namespace nnm::detail {

namespace {

// Operations from which oneDNN is worth its start.
constexpr int64_t kLeast = 500'000;

int64_t operations(const Shape& y, const Tensor& w) {
  return 2 * y.numel() * w.shape()[1] * w.shape()[2] * w.shape()[3];
}

// Whether Winograd's way from images x to images y, of either direction, beats the direct sum. Its
// cost per tile of 4x4 results and per weight, in operations of the direct sum, fits measurements
// on Zen 3, one thread, against oneDNN 2.6 (time of direct / Winograd: forward, backward to the
// input, to the weights):
//   32 x  64 -> 64  on 32x32  2.2 2.0 2.2       1 x  64 -> 64  on 56x56  2.1 1.9 2.6
//   32 x 128 -> 128 on 16x16  3.0 2.3 2.7       1 x 128 -> 128 on 28x28  2.9 2.7 2.6
//   32 x 256 -> 256 on 8x8    3.2 2.4 2.5       1 x 256 -> 256 on 14x14  1.8 1.7 1.4
//   32 x 512 -> 512 on 4x4    2.4 2.3 3.9       1 x 512 -> 512 on 7x7    0.9 0.8 0.7
//   64 x  32 -> 64  on 14x14  1.4 1.5 1.4      32 x 256 -> 256 on 2x2    0.9 0.7 1.0
//   32 x  32 -> 32  on 32x32  1.3 1.3 1.0      32 x  16 -> 16  on 32x32  1.2 1.2 1.2
// Kept weights are only read, but they are four times as many. Forward passes on Zen 4, one thread,
// with both sides' weights kept and, as in a net, out of the cache:
//   1 x  64 -> 64  on 56x56  2.6      1 x 256 -> 256 on 14x14  1.9      8 x 256 -> 256 on
//   14x14  2.2 1 x 128 -> 128 on 28x28  2.5      1 x 512 -> 512 on 7x7    1.4      8 x 512 -> 512
//   on 7x7    2.2
// of which 1 x 512 on two threads, which share the memory's speed, 1.2: it is left to the direct
// sum.
bool winograd_wins(const Shape& x, const Shape& y, const Tensor& w, const Conv2d& p,
                   Weights weights = Weights::change) {
  constexpr double kLeastWork = 1e7, kMultiply = 72, kTransform = 950, kMargin = 0.7;
  const double kWeight = weights == Weights::stay ? 400 : 600;
  if (!kernels::winograd.has(w.device().type) || !winograd_fits(w, p)) return false;
  const auto n = [](int64_t i) { return static_cast<double>(i); };
  const double c = n(x[1]), o = n(y[1]), pixels = n(y[0] * y[2] * y[3]);
  const double tiles = n(y[0] * ((y[2] + 3) / 4) * ((y[3] + 3) / 4));
  const double direct = 18 * pixels * c * o;
  const double own = kMultiply * tiles * c * o + kTransform * tiles * (c + o) + kWeight * c * o;
  return direct >= kLeastWork && own < kMargin * direct;
}

bool is_narrow(const Tensor& w, const Conv2d& p) {
  return kernels::narrow.has(w.device().type) && narrow_fits(w, p);
}

Tensor workspace(const Tensor& x, const Tensor& y) {
  return empty({winograd_workspace(x, y)}, {DType::u8, y.device()});
}

// y = max(y + addend, 0).
void run_after(const Tensor& y, const ConvAfter& after) {
  if (after.addend.defined())
    kernels::binary(y, y, after.addend, Binary::add, compute_type(y.dtype()), 1);
  if (after.relu) kernels::unary(y, y, Unary::relu);
}

// With weights that stay: by Winograd's kernel or oneDNN, which otherwise leave it to others.
bool forward_by_kept(const Tensor& y, const Tensor& x, const Tensor& w, const Tensor& bias,
                     const Conv2d& p, const ConvAfter& after) {
  if (winograd_wins(x.shape(), y.shape(), w, p, Weights::stay)) {
    const Tensor transformed = kept_weights(w, after.scale, {KeptOrder::Kernel::winograd},
                                            winograd_transformed(w), kernels::winograd_weights);
    kernels::winograd(y, x, w, transformed, bias, workspace(x, y), p, {after.addend, after.relu});
    return true;
  }
  if (is_narrow(w, p) && after.scale.empty()) {
    kernels::narrow(y, x, w, bias, p);
    run_after(y, after);
    return true;
  }
  const OneDnn* d = onednn_for(y, operations(y.shape(), w), kLeast);
  if (!d) return false;
  const int threads = kernel_threads();
  const OneDnn::Order order = d->conv2d_order(y, x, w, bias, p, threads);
  if (order.number < 0) return false;
  Tensor own;
  if (order.number > 0 || !after.scale.empty())
    own = kept_weights(w, after.scale, {KeptOrder::Kernel::onednn, order.number}, order.bytes,
                       [&](const View& copy, const Tensor& scaled) {
                         d->conv2d_reorder(copy, scaled, p, order.number, threads);
                       });
  d->conv2d(y, x, w, own, bias, p, threads);
  run_after(y, after);
  return true;
}

// dbias (O) of g (N, O, OH, OW).
void bias_gradient(const Tensor& dbias, const Tensor& g) {
  if (!dbias.defined()) return;
  kernels::reduce(dbias.as_strided({1, dbias.numel(), 1, 1}, {0, 1, 0, 0}, dbias.impl()->offset), g,
                  Reduce::sum);
}

// The taps of a kernel that ever meet a pixel, as a convolution of their own.
struct Taps {
  Conv2d conv;
  int64_t first[2], count[2];
  /// Whether they meet all of an image at once: then images are rows of a matrix, and so are
  /// weights, which lie as images do.
  bool product = false;

  /// These taps of weights w.
  Tensor window(const Tensor& w) const {
    Shape size = w.shape();
    for (int i = 0; i < 2; ++i) size[2 + i] = count[i];
    const int64_t at = first[0] * w.strides()[2] + first[1] * w.strides()[3];
    return w.as_strided(size, w.strides(), w.impl()->offset + at);
  }
  Tensor empty_weights(const Tensor& w) const {
    const Shape size = window(w).shape();
    return product ? empty_channels_last(size, w.options()) : empty(size, w.options());
  }
  Tensor weights(const Tensor& w) const {
    Tensor own = empty_weights(w);
    kernels::copy(own, window(w));
    return own;
  }
};

// Where some taps only ever meet zeros around x, the others: of a 3x3 kernel on an image of one
// pixel one is left, and at the end of a deep net on small images such weights are most of it.
std::optional<Taps> live_taps(const Shape& x, const Shape& y, const Tensor& w, const Conv2d& p) {
  if (w.device().type != DeviceType::cpu || x.numel() == 0 || y.numel() == 0) return {};
  Taps live{.conv = p, .product = p.groups == 1};
  bool fewer = false;
  for (int i = 0; i < 2; ++i) {
    const int64_t pixels = x[2 + i], results = y[2 + i], taps = w.shape()[2 + i];
    const auto meets = [&](int64_t tap) {
      return meeting(results, pixels, tap * p.dilation[i] - p.before[i], p.stride[i]).count() > 0;
    };
    int64_t begin = 0, end = taps;
    while (begin < end && !meets(begin)) ++begin;
    while (begin < end && !meets(end - 1)) --end;
    live.first[i] = begin, live.count[i] = end - begin;
    live.conv.before[i] -= begin * p.dilation[i];
    live.conv.after[i] -= (taps - end) * p.dilation[i];
    if (begin == end || live.conv.before[i] < 0 || live.conv.after[i] < 0) return {};
    live.product &= results == 1 && end - begin == pixels && live.conv.before[i] == 0;
    fewer |= end - begin < taps;
  }
  return fewer ? std::optional(live) : std::nullopt;
}

// Images, or weights that lie as they do, as rows of a matrix.
View rows_of(const Tensor& t) {
  View v = t;
  v.ndim = 2;
  v.size[1] = v.stride[0] = t.numel() / t.shape()[0];
  v.stride[1] = 1;
  return v;
}

void forward(const Tensor& y, const Tensor& x, const Tensor& w, const Tensor& bias,
             const Conv2d& p) {
  if (winograd_wins(x.shape(), y.shape(), w, p))
    return kernels::winograd(y, x, w, View{}, bias, workspace(x, y), p, {});
  if (is_narrow(w, p)) return kernels::narrow(y, x, w, bias, p);
  const OneDnn* d = onednn_for(y, operations(y.shape(), w), kLeast);
  if (d && d->conv2d(y, x, w, View{}, bias, p, kernel_threads())) return;
  kernels::conv2d(y, x, w, bias, p);
}

void backward_input(const Tensor& dx, const Tensor& g, const Tensor& w, const Conv2d& p) {
  if (winograd_wins(g.shape(), dx.shape(), w, p))
    return kernels::winograd_backward_input(dx, g, w, workspace(g, dx), p);
  const OneDnn* d = onednn_for(dx, operations(g.shape(), w), kLeast);
  if (d && d->conv2d_backward_input(dx, g, w, p, kernel_threads())) return;
  kernels::conv2d_backward_input(dx, g, w, p);
}

// Parts of the images over which sums of weights' gradients run; fixed for repeatability.
constexpr int64_t kParts = 8;

void narrow_backward_weight(const Tensor& dw, const Tensor& dbias, const Tensor& g, const Tensor& x,
                            const Conv2d& p) {
  const Tensor sums =
      zeros({kParts, dw.numel() / dw.shape()[0] + 1, dw.shape()[0]}, {DType::f32, dw.device()});
  const View all = sums, gs = g, xs = x;
  const int64_t images = gs.size[0];
  nnm::parallel_for(kParts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      const int64_t first = images * part / kParts, last = images * (part + 1) / kParts;
      kernels::narrow_gradients(all.part(part, part + 1), gs.part(first, last),
                                xs.part(first, last), dw, p);
    }
  });
  kernels::narrow_backward_weight(dw, dbias, sums);
}

void backward_weight(const Tensor& dw, const Tensor& dbias, const Tensor& g, const Tensor& x,
                     const Conv2d& p) {
  if (winograd_wins(x.shape(), g.shape(), dw, p)) {
    kernels::winograd_backward_weight(dw, g, x, workspace(x, g), p);
    return bias_gradient(dbias, g);
  }
  if (is_narrow(dw, p)) return narrow_backward_weight(dw, dbias, g, x, p);
  const OneDnn* d = onednn_for(dw, operations(g.shape(), dw), kLeast);
  if (d && d->conv2d_backward_weight(dw, dbias, g, x, p, kernel_threads())) return;
  kernels::conv2d_backward_weight(dw, dbias, g, x, p);
}

}  // namespace

void check_conv_types(const Tensor& x, const Tensor& w, const Tensor& bias) {
  check_same_device(x, w);
  if (bias.defined()) {
    NNM_CHECK(x.dtype() == bias.dtype(), runtime,
              "Input type ({}) and bias type ({}) should be the same", c_type_name(x.dtype()),
              c_type_name(bias.dtype()));
    check_same_device(x, bias);
  }
  NNM_CHECK(x.dtype() == w.dtype(), runtime,
            "Input type ({}) and weight type ({}) should be the same", c_type_name(x.dtype()),
            c_type_name(w.dtype()));
  check_floating(x, "slow_conv2d_cpu");
}

void conv2d_forward(const Tensor& y, const Tensor& x, const Tensor& w, const Tensor& bias,
                    const Conv2d& p, Weights weights) {
  count_flops(operations(y.shape(), w));
  if (weights == Weights::stay) {
    if (!forward_by_kept(y, x, w, bias, p, {})) kernels::conv2d(y, x, w, bias, p);
    return;
  }
  const auto live = live_taps(x.shape(), y.shape(), w, p);
  if (!live) return forward(y, x, w, bias, p);
  const Tensor part = live->weights(w);
  if (!live->product) return forward(y, x, part, bias, live->conv);
  kernels::gemm(rows_of(y), rows_of(x), transposed_view(rows_of(part)), bias, 1, 0);
}

bool conv2d_forward(const Tensor& y, const Tensor& x, const Tensor& w, const Tensor& bias,
                    const Conv2d& p, const ConvAfter& after) {
  if (!forward_by_kept(y, x, w, bias, p, after)) return false;
  count_flops(operations(y.shape(), w));
  return true;
}

void conv2d_backward_input(const Tensor& dx, const Tensor& g, const Tensor& w, const Conv2d& p) {
  count_flops(operations(g.shape(), w));
  const auto live = live_taps(dx.shape(), g.shape(), w, p);
  if (!live) return backward_input(dx, g, w, p);
  const Tensor part = live->weights(w);
  if (!live->product) return backward_input(dx, g, part, live->conv);
  kernels::gemm(rows_of(dx), rows_of(g), rows_of(part), View{}, 1, 0);
}

void conv2d_backward_weight(const Tensor& dw, const Tensor& dbias, const Tensor& g, const Tensor& x,
                            const Conv2d& p) {
  count_flops(operations(g.shape(), dw));
  const auto live = live_taps(x.shape(), g.shape(), dw, p);
  if (!live) return backward_weight(dw, dbias, g, x, p);
  const Tensor part = live->empty_weights(dw);
  if (live->product) {
    kernels::gemm(rows_of(part), transposed_view(rows_of(g)), rows_of(x), View{}, 1, 0);
    bias_gradient(dbias, g);
  } else {
    backward_weight(part, dbias, g, x, live->conv);
  }
  kernels::fill(dw, 0, 0);
  kernels::copy(live->window(dw), part);
}

}  // namespace nnm::detail
