// Convolution: of images and volumes with channels innermost; a sequence is an image of one row.
#include "kernels/conv.h"

#include <cmath>

#include "nnm/ops/autocast.h"
#include "nnm/ops/conv_passes.h"
#include "nnm/ops/conv_tail.h"
#include "nnm/ops/detail.h"
#include "nnm/ops/function.h"
#include "nnm/ops/gemm.h"
#include "nnm/ops/kept.h"
#include "nnm/ops/layout.h"
#include "nnm/ops/volume.h"

namespace nnm {

namespace {

using detail::Convolution;

void check_params(const Tensor& w, const Convolution& p) {
  NNM_CHECK(w.dim() == p.rank + 2, runtime,
            "expected weight of {} dimensions to match the convolution, but got weight of size {}",
            p.rank + 2, w.shape().str());
  for (int i = 3 - p.rank; i < 3; ++i) {
    NNM_CHECK(p.before[i] >= 0, runtime, "negative padding is not supported");
    NNM_CHECK(p.stride[i] > 0, runtime, "non-positive stride is not supported");
    NNM_CHECK(p.dilation[i] > 0, runtime, "non-positive dilation is not supported");
  }
}

void check_channels(const Tensor& x, const Tensor& w, const Tensor& bias, const Convolution& p) {
  const int64_t groups = p.groups;
  const Shape& k = w.shape();
  NNM_CHECK(groups > 0, runtime, "non-positive groups is not supported");
  NNM_CHECK(k[0] >= groups, runtime,
            "Given groups={}, expected weight to be at least {} at dimension 0, but got weight of "
            "size {} instead",
            groups, groups, k.str());
  NNM_CHECK(k[0] % groups == 0, runtime,
            "Given groups={}, expected weight to be divisible by {} at dimension 0, but got weight "
            "of size [{}] instead",
            groups, groups, k.str());
  NNM_CHECK(x.shape()[1] == k[1] * groups, runtime,
            "Given groups={}, weight of size {}, expected input{} to have {} channels, but got {} "
            "channels instead",
            groups, k.str(), x.shape().str(), k[1] * groups, x.shape()[1]);
  NNM_CHECK(!bias.defined() || (bias.dim() == 1 && bias.shape()[0] == k[0]), runtime,
            "Given weight of size {}, expected bias to be 1-dimensional with {} elements, but got "
            "bias of size {} instead",
            k.str(), k[0], bias.shape().str());
}

// (N, O, OH, OW) of x (N, C, H, W) and w (O, C / groups, KH, KW), or the same with a depth.
Shape output_shape(const Tensor& x, const Tensor& w, const Convolution& p) {
  Shape y{x.shape()[0], w.shape()[0]};
  std::string padded, kernel;
  bool fits = true;
  for (int i = p.first(); i < 3; ++i) {
    const int64_t in = x.shape()[p.dim(x, i)] + p.before[i] + p.after[i];
    const int64_t reach = p.dilation[i] * (w.shape()[p.dim(w, i)] - 1) + 1;
    y.push_back(in < reach ? 0 : (in - reach) / p.stride[i] + 1);
    if (i < 3 - p.rank) continue;
    fits = fits && in >= reach && reach > 0;
    padded += fmt::format("{}{}", padded.empty() ? "" : " x ", in);
    kernel += fmt::format("{}{}", kernel.empty() ? "" : " x ", reach);
  }
  NNM_CHECK(fits, runtime,
            "Calculated padded input size per channel: ({}). Kernel size: ({}). Kernel size can't "
            "be greater than actual input size",
            padded, kernel);
  return y;
}

void convolution_backward(Backward& b, const Tensor& x, const Tensor& w, const Convolution& p) {
  const Tensor g = detail::channels_innermost(b.grad());
  if (b.needs(0)) {
    const Tensor dx = empty_channels_last(x.shape(), x.options());
    detail::conv_backward_input(dx, g, w, p);
    b.set(0, dx);
  }
  if (!b.needs(1) && !b.needs(2)) return;
  const Tensor dw = empty(w.shape(), w.options());
  const Tensor dbias = b.needs(2) ? empty({w.shape()[0]}, w.options()) : Tensor();
  detail::conv_backward_weight(dw, dbias, g, x, p);
  if (b.needs(1)) b.set(1, dw);
  b.set(2, dbias);
}

Tensor convolution(const Tensor& x, const Tensor& w, const Tensor& bias, const Convolution& p) {
  Tensor y = empty_channels_last(output_shape(x, w, p), x.options());
  const Tensor in = detail::channels_innermost(x), k = detail::row_major(w);
  const Tensor b = bias.defined() ? detail::row_major(bias) : bias;
  const auto weights = grad_enabled() ? detail::Weights::change : detail::Weights::stay;
  detail::conv_forward(y, in, k, b, p, weights);
  if (!needs_grad({&x, &w, &bias})) return y;
  detail::forget_weights(w);
  return record("ConvolutionBackward0", y, {&x, &w, &bias},
                [x = Saved(in), w = Saved(k), p](Backward& b) {
                  convolution_backward(b, x.get(), w.get(), p);
                });
}

// The checks that speak of the tensors as they were given, then the convolution.
Tensor checked(const Tensor& input, const Tensor& weight, const Tensor& b, const Convolution& p) {
  const Tensor x = autocast_short(input), w = autocast_short(weight), bias = autocast_short(b);
  const int n = p.rank;
  NNM_CHECK(x.dim() == n + 1 || x.dim() == n + 2, runtime,
            "Expected {}D (unbatched) or {}D (batched) input to conv{}d, but got input of size: {}",
            n + 1, n + 2, n, x.shape().str());
  detail::check_conv_types(x, w, bias);
  const bool batched = x.dim() == n + 2;
  const Tensor batch = batched ? x : unsqueeze(x, 0);
  check_params(w, p);
  check_channels(batch, w, bias, p);
  const Tensor y = n >= 2 ? convolution(batch, w, bias, p)
                          : squeeze(convolution(unsqueeze(batch, 2), unsqueeze(w, 2), bias, p), 2);
  return batched ? y : squeeze(y, 0);
}

template <int N>
Convolution arguments(const IntTuple<N>& stride, const IntTuple<N>& padding,
                      const IntTuple<N>& dilation, int64_t groups) {
  Convolution p{.rank = N, .groups = groups};
  for (int i = 0, at = 3 - N; i < N; ++i, ++at) {
    p.stride[at] = stride[i];
    p.dilation[at] = dilation[i];
    p.before[at] = p.after[at] = padding[i];
  }
  return p;
}
template <int N>
Convolution arguments(const IntTuple<N>& stride, Padding padding, const IntTuple<N>& dilation,
                      int64_t groups, const Tensor& w) {
  Convolution p = arguments<N>(stride, 0, dilation, groups);
  for (int i = 3 - N; i < 3 && padding == Padding::same; ++i) {
    NNM_CHECK(p.stride[i] == 1, runtime,
              "padding='same' is not supported for strided convolutions");
    const int64_t total = p.dilation[i] * (w.size(i - 3) - 1);
    p.before[i] = total / 2;
    p.after[i] = total - total / 2;
  }
  return p;
}

}  // namespace

Padding parse_padding(const std::string& word) {
  NNM_CHECK(word == "valid" || word == "same", value,
            "Invalid padding string '{}', should be one of 'valid', 'same'", word);
  return word == "same" ? Padding::same : Padding::valid;
}

Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t stride,
              int64_t padding, int64_t dilation, int64_t groups) {
  return checked(x, weight, bias, arguments<1>(stride, padding, dilation, groups));
}

Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t stride,
              Padding padding, int64_t dilation, int64_t groups) {
  return checked(x, weight, bias, arguments<1>(stride, padding, dilation, groups, weight));
}

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, Size2 stride,
              Size2 padding, Size2 dilation, int64_t groups) {
  return checked(x, weight, bias, arguments(stride, padding, dilation, groups));
}

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, Size2 stride,
              Padding padding, Size2 dilation, int64_t groups) {
  return checked(x, weight, bias, arguments(stride, padding, dilation, groups, weight));
}

Tensor conv3d(const Tensor& x, const Tensor& weight, const Tensor& bias, Size3 stride,
              Size3 padding, Size3 dilation, int64_t groups) {
  return checked(x, weight, bias, arguments(stride, padding, dilation, groups));
}

Tensor conv3d(const Tensor& x, const Tensor& weight, const Tensor& bias, Size3 stride,
              Padding padding, Size3 dilation, int64_t groups) {
  return checked(x, weight, bias, arguments(stride, padding, dilation, groups, weight));
}

namespace {

bool is_plain_f32(const Tensor& t) {
  return t.defined() && t.dtype() == DType::f32 && t.device().type == DeviceType::cpu;
}

// Whether t is a vector of n numbers, or absent.
bool fits_channels(const Tensor& t, int64_t n) {
  return !t.defined() || (is_plain_f32(t) && t.numel() == n && t.dim() == 1);
}

bool tail_fits(const Tensor& x, const Tensor& w, const Tensor& bias, const ConvTail& tail) {
  if (grad_enabled() || detail::autocast_dtype) return false;
  if (!is_plain_f32(x) || !is_plain_f32(w) || x.dim() != 4 || w.dim() != 4) return false;
  if (tail.mean.defined() != tail.var.defined()) return false;
  for (const Tensor* t : {&bias, &tail.mean, &tail.var, &tail.weight, &tail.bias})
    if (!fits_channels(*t, w.shape()[0])) return false;
  return !tail.addend.defined() || is_plain_f32(tail.addend);
}

// The shape of the result; empty where operands do not fit: the convolution by itself says why.
Shape fitting_shape(const Tensor& x, const Tensor& w, const Tensor& bias, const Convolution& p) {
  try {
    check_params(w, p);
    check_channels(x, w, bias, p);
    return output_shape(x, w, p);
  } catch (const Error&) {
    return {};
  }
}

// What a norm does to channel o: y scale + shift.
struct Affine {
  std::vector<float> scale;
  Tensor shift;
};

Affine folded(const Tensor& bias, const ConvTail& tail) {
  const auto dense = [](const Tensor& t) { return t.defined() ? detail::row_major(t) : t; };
  const Tensor before = dense(bias);
  if (!tail.mean.defined()) return {{}, before};
  const Tensor mean = dense(tail.mean), var = dense(tail.var), weight = dense(tail.weight),
               after = dense(tail.bias);
  const auto number = [](const Tensor& t, int64_t i, double otherwise) {
    return t.defined() ? static_cast<double>(t.data<float>()[i]) : otherwise;
  };
  const int64_t n = mean.numel();
  Affine out{std::vector<float>(static_cast<size_t>(n)), empty({n})};
  for (int64_t i = 0; i < n; ++i) {
    const double s = number(weight, i, 1) / std::sqrt(number(var, i, 1) + tail.eps);
    out.scale[static_cast<size_t>(i)] = static_cast<float>(s);
    out.shift.data<float>()[i] =
        static_cast<float>((number(before, i, 0) - number(mean, i, 0)) * s + number(after, i, 0));
  }
  return out;
}

}  // namespace

Tensor conv2d_with_tail(const Tensor& x, const Tensor& w, const Tensor& bias, Size2 stride,
                        Size2 padding, Size2 dilation, int64_t groups, const ConvTail& tail) {
  if (!tail_fits(x, w, bias, tail)) return {};
  const Convolution p = arguments(stride, padding, dilation, groups);
  const Shape size = fitting_shape(x, w, bias, p);
  if (size.size() == 0) return {};
  if (tail.addend.defined() && tail.addend.shape() != size) return {};
  const Tensor y = empty_channels_last(size);
  if (y.numel() == 0) return {};
  const Affine norm = folded(bias, tail);
  const Tensor addend =
      tail.addend.defined() ? detail::channels_innermost(tail.addend) : tail.addend;
  const bool done =
      detail::conv2d_forward(y, detail::channels_innermost(x), detail::row_major(w), norm.shift,
                             p.image(), detail::ConvAfter{norm.scale, addend, tail.relu});
  return done ? y : Tensor();
}

namespace {

using Size1 = IntTuple<1>;

// A number, a tuple of N, or one of the two words.
template <int N>
IntTuple<N> read_padding(const Value& v) {
  return Codec<IntTuple<N>>::read(ArgType{.base = ArgType::Base::integer, .tuple = N}.convert(v));
}

Tensor conv1d_call(const Tensor& x, const Tensor& w, const Tensor& bias, const Size1& stride,
                   const Value& padding, const Size1& dilation, int64_t groups) {
  if (padding.is(Value::Kind::string))
    return conv1d(x, w, bias, stride[0], parse_padding(padding.string()), dilation[0], groups);
  return conv1d(x, w, bias, stride[0], read_padding<1>(padding)[0], dilation[0], groups);
}

Tensor conv2d_call(const Tensor& x, const Tensor& w, const Tensor& bias, const Size2& stride,
                   const Value& padding, const Size2& dilation, int64_t groups) {
  if (padding.is(Value::Kind::string))
    return conv2d(x, w, bias, stride, parse_padding(padding.string()), dilation, groups);
  return conv2d(x, w, bias, stride, read_padding<2>(padding), dilation, groups);
}

Tensor conv3d_call(const Tensor& x, const Tensor& w, const Tensor& bias, const Size3& stride,
                   const Value& padding, const Size3& dilation, int64_t groups) {
  if (padding.is(Value::Kind::string))
    return conv3d(x, w, bias, stride, parse_padding(padding.string()), dilation, groups);
  return conv3d(x, w, bias, stride, read_padding<3>(padding), dilation, groups);
}

constexpr Function kConvFunctions[] = {
    {"conv1d(input: Tensor, weight: Tensor, bias: Tensor? = none, stride: int[1] = 1, padding: any "
     "= 0, dilation: int[1] = 1, groups: int = 1)",
     "convolution of (N, C, L); padding may be \"same\" or \"valid\"", call<conv1d_call>},
    {"conv2d(input: Tensor, weight: Tensor, bias: Tensor? = none, stride: int[2] = 1, padding: any "
     "= 0, dilation: int[2] = 1, groups: int = 1)",
     "convolution of (N, C, H, W); padding may be \"same\" or \"valid\"", call<conv2d_call>},
    {"conv3d(input: Tensor, weight: Tensor, bias: Tensor? = none, stride: int[3] = 1, padding: any "
     "= 0, dilation: int[3] = 1, groups: int = 1)",
     "convolution of (N, C, D, H, W); padding may be \"same\" or \"valid\"", call<conv3d_call>},
};
NNM_REGISTER_FUNCTIONS(kConvFunctions);

}  // namespace
}  // namespace nnm
