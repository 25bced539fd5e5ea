// Transposed convolution: the gradient of a convolution with respect to its input, as a forward.
#include "kernels/conv.h"
#include "nnm/ops/autocast.h"
#include "nnm/ops/conv_passes.h"
#include "nnm/ops/detail.h"
#include "nnm/ops/function.h"
#include "nnm/ops/gemm.h"
#include "nnm/ops/layout.h"
#include "nnm/ops/volume.h"

namespace nnm {

namespace {

// `conv` is the convolution that leads from the result back to x.
struct Params {
  detail::Convolution conv;
  int64_t extra[3] = {};  ///< at the end of the result, where no window decides
};

// "stride_height: 1 stride_width: 2"
std::string each(const char* what, const int64_t* values, int rank) {
  constexpr const char* kNames[] = {"depth", "height", "width"};
  std::string out;
  for (int i = rank == 3 ? 0 : 1; i < 3; ++i)
    out += fmt::format("{}{}_{}: {}", out.empty() ? "" : " ", what, kNames[i], values[i]);
  return out;
}

void check_params(const Tensor& w, const Params& p) {
  const detail::Convolution& c = p.conv;
  NNM_CHECK(w.dim() == c.rank + 2, runtime,
            "expected weight of {} dimensions to match the convolution, but got weight of size {}",
            c.rank + 2, w.shape().str());
  for (int i = 3 - c.rank; i < 3; ++i) {
    NNM_CHECK(c.before[i] >= 0, runtime, "negative padding is not supported");
    NNM_CHECK(p.extra[i] >= 0, runtime, "negative output_padding is not supported");
    NNM_CHECK(c.stride[i] > 0, runtime, "non-positive stride is not supported");
    NNM_CHECK(c.dilation[i] > 0, runtime, "non-positive dilation is not supported");
    NNM_CHECK(p.extra[i] < c.stride[i] || p.extra[i] < c.dilation[i], runtime,
              "output padding must be smaller than either stride or dilation, but got {} {} {}",
              each("output_padding", p.extra, c.rank), each("stride", c.stride, c.rank),
              each("dilation", c.dilation, c.rank));
  }
}

void check_channels(const Tensor& x, const Tensor& w, const Tensor& bias, const Params& p) {
  const int64_t groups = p.conv.groups;
  const Shape& k = w.shape();
  NNM_CHECK(groups > 0, runtime, "non-positive groups is not supported");
  NNM_CHECK(k[0] % groups == 0, runtime,
            "Given groups={}, expected weight to be divisible by {} at dimension 0, but got weight "
            "of size [{}] instead",
            groups, groups, k.str());
  NNM_CHECK(x.shape()[1] == k[0], runtime,
            "Given transposed=1, weight of size {}, expected input{} to have {} channels, but got "
            "{} channels instead",
            k.str(), x.shape().str(), k[0], x.shape()[1]);
  NNM_CHECK(!bias.defined() || (bias.dim() == 1 && bias.shape()[0] == k[1] * groups), runtime,
            "Given transposed=1, weight of size {}, expected bias to be 1-dimensional with {} "
            "elements, but got bias of size {} instead",
            k.str(), k[1] * groups, bias.shape().str());
}

// (N, O, OH, OW) of x (N, C, H, W) and w (C, O / groups, KH, KW), or the same with a depth.
Shape output_shape(const Tensor& x, const Tensor& w, const Params& p) {
  const detail::Convolution& c = p.conv;
  Shape y{x.shape()[0], w.shape()[1] * c.groups};
  std::string in, out;
  bool fits = true;
  for (int i = c.first(); i < 3; ++i) {
    const int64_t n = x.shape()[c.dim(x, i)];
    const int64_t made = (n - 1) * c.stride[i] - 2 * c.before[i] +
                         c.dilation[i] * (w.shape()[c.dim(w, i)] - 1) + p.extra[i] + 1;
    y.push_back(made);
    if (i < 3 - c.rank) continue;
    fits = fits && made >= 1;
    in += fmt::format("{}{}", in.empty() ? "" : " x ", n);
    out += fmt::format("{}{}", out.empty() ? "" : " x ", made);
  }
  NNM_CHECK(fits, runtime,
            "Given input size per channel: ({}). Calculated output size per channel: ({}). Output "
            "size is too small",
            in, out);
  return y;
}

void backward(Backward& b, const Tensor& x, const Tensor& w, const detail::Convolution& p) {
  const Tensor g = detail::channels_innermost(b.grad());
  if (b.needs(0)) {
    const Tensor dx = empty_channels_last(x.shape(), x.options());
    detail::conv_forward(dx, g, w, {}, p);
    b.set(0, dx);
  }
  if (b.needs(1)) {
    const Tensor dw = empty(w.shape(), w.options());
    detail::conv_backward_weight(dw, {}, x, g, p);
    b.set(1, dw);
  }
  if (b.needs(2)) b.set(2, sum(flatten(g, 2), {0, 2}));
}

Tensor transposed(const Tensor& x, const Tensor& w, const Tensor& bias, const Params& p) {
  Tensor y = empty_channels_last(output_shape(x, w, p), x.options());
  const Tensor in = detail::channels_innermost(x), k = detail::row_major(w);
  detail::conv_backward_input(y, in, k, p.conv);
  if (bias.defined()) {
    const NoGradGuard no_grad;
    Shape along = Shape::filled(y.dim() - 1, 1);
    along[0] = bias.shape()[0];
    add_(y, view(detail::row_major(bias.detach()), along));
  }
  if (!needs_grad({&x, &w, &bias})) return y;
  return record("ConvolutionBackward0", y, {&x, &w, &bias},
                [x = Saved(in), w = Saved(k), conv = p.conv](Backward& b) {
                  backward(b, x.get(), w.get(), conv);
                });
}

Tensor checked(const Tensor& input, const Tensor& weight, const Tensor& b, const Params& p) {
  const Tensor x = autocast_short(input), w = autocast_short(weight), bias = autocast_short(b);
  const int n = p.conv.rank;
  NNM_CHECK(
      x.dim() == n + 1 || x.dim() == n + 2, runtime,
      "Expected {}D (unbatched) or {}D (batched) input to conv_transpose{}d, but got input of "
      "size: {}",
      n + 1, n + 2, n, x.shape().str());
  detail::check_conv_types(x, w, bias);
  const bool batched = x.dim() == n + 2;
  const Tensor batch = batched ? x : unsqueeze(x, 0);
  check_params(w, p);
  check_channels(batch, w, bias, p);
  const Tensor y = n >= 2 ? transposed(batch, w, bias, p)
                          : squeeze(transposed(unsqueeze(batch, 2), unsqueeze(w, 2), bias, p), 2);
  return batched ? y : squeeze(y, 0);
}

template <int N>
Params arguments(const IntTuple<N>& stride, const IntTuple<N>& padding,
                 const IntTuple<N>& output_padding, int64_t groups, const IntTuple<N>& dilation) {
  Params p{.conv = {.rank = N, .groups = groups}};
  for (int i = 0, at = 3 - N; i < N; ++i, ++at) {
    p.conv.stride[at] = stride[i];
    p.conv.dilation[at] = dilation[i];
    p.conv.before[at] = padding[i];
    p.conv.after[at] = padding[i] - output_padding[i];
    p.extra[at] = output_padding[i];
  }
  return p;
}

}  // namespace

Tensor conv_transpose1d(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t stride,
                        int64_t padding, int64_t output_padding, int64_t groups, int64_t dilation) {
  return checked(x, weight, bias, arguments<1>(stride, padding, output_padding, groups, dilation));
}

Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias, Size2 stride,
                        Size2 padding, Size2 output_padding, int64_t groups, Size2 dilation) {
  return checked(x, weight, bias, arguments(stride, padding, output_padding, groups, dilation));
}

Tensor conv_transpose3d(const Tensor& x, const Tensor& weight, const Tensor& bias, Size3 stride,
                        Size3 padding, Size3 output_padding, int64_t groups, Size3 dilation) {
  return checked(x, weight, bias, arguments(stride, padding, output_padding, groups, dilation));
}

namespace {

using Size1 = IntTuple<1>;

Tensor conv_transpose1d_call(const Tensor& x, const Tensor& w, const Tensor& bias,
                             const Size1& stride, const Size1& padding, const Size1& output_padding,
                             int64_t groups, const Size1& dilation) {
  return conv_transpose1d(x, w, bias, stride[0], padding[0], output_padding[0], groups,
                          dilation[0]);
}

constexpr Function kConvTransposeFunctions[] = {
    {"conv_transpose1d(input: Tensor, weight: Tensor, bias: Tensor? = none, stride: int[1] = 1, "
     "padding: int[1] = 0, output_padding: int[1] = 0, groups: int = 1, dilation: int[1] = 1)",
     "transposed convolution of (N, C, L)", call<conv_transpose1d_call>},
    {"conv_transpose2d(input: Tensor, weight: Tensor, bias: Tensor? = none, stride: int[2] = 1, "
     "padding: int[2] = 0, output_padding: int[2] = 0, groups: int = 1, dilation: int[2] = 1)",
     "transposed convolution of (N, C, H, W)", call<conv_transpose2d>},
    {"conv_transpose3d(input: Tensor, weight: Tensor, bias: Tensor? = none, stride: int[3] = 1, "
     "padding: int[3] = 0, output_padding: int[3] = 0, groups: int = 1, dilation: int[3] = 1)",
     "transposed convolution of (N, C, D, H, W)", call<conv_transpose3d>},
};
NNM_REGISTER_FUNCTIONS(kConvTransposeFunctions);

}  // namespace
}  // namespace nnm
