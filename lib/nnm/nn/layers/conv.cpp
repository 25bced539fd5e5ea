// Convolutions.
#include "nnm/nn/layers/conv.h"

#include <algorithm>
#include <cmath>

#include "nnm/nn/init.h"
#include "nnm/ops/ops.h"

namespace nnm::nn {

namespace {

template <int N>
Spec<ConvOptions<N>> conv_spec(const char* name, const char* doc) {
  using Options = ConvOptions<N>;
  return Spec<Options>(name, doc)
      .req(NNM_ARG(in_channels), "channels of the input", at_least(0))
      .req(NNM_ARG(out_channels), "channels of the output", at_least(0))
      .req(NNM_ARG(kernel_size), "extents of the kernel", at_least(1))
      .opt(NNM_ARG(stride), "step of the kernel", at_least(1))
      .opt(NNM_ARG(padding), "elements added on both sides, \"same\" or \"valid\"")
      .opt(NNM_ARG(dilation), "distance between the kernel's elements", at_least(1))
      .opt(NNM_ARG(groups), "blocks of channels that do not see each other", at_least(1))
      .opt(NNM_ARG(bias), "learn an additive bias")
      .opt(NNM_ARG(padding_mode), "what is added at the sides",
           one_of({"zeros", "reflect", "replicate", "circular"}));
}

template <int N>
std::string tuple_text(const IntTuple<N>& t) {
  return Value::tuple(Values(t.v.begin(), t.v.end())).repr();
}

template <int N>
bool all_are(const IntTuple<N>& t, int64_t value) {
  return std::all_of(t.v.begin(), t.v.end(), [value](int64_t x) { return x == value; });
}

}  // namespace

template <int N>
void ConvNd<N>::make(const Options& o) {
  NNM_CHECK(o.groups > 0, value, "groups must be a positive integer");
  NNM_CHECK(o.in_channels % o.groups == 0, value, "in_channels must be divisible by groups");
  NNM_CHECK(o.out_channels % o.groups == 0, value, "out_channels must be divisible by groups");
  const std::string& mode = o.padding.mode;
  NNM_CHECK(mode.empty() || mode == "same" || mode == "valid", value,
            "Invalid padding string {}, should be one of {{'same', 'valid'}}", python_string(mode));
  NNM_CHECK(mode != "same" || all_are(o.stride, 1), value,
            "padding='same' is not supported for strided convolutions");
  NNM_CHECK(o.padding_mode == "zeros" || o.padding_mode == "reflect" ||
                o.padding_mode == "replicate" || o.padding_mode == "circular",
            value,
            "padding_mode must be one of {{'zeros', 'reflect', 'replicate', 'circular'}}, but got "
            "padding_mode='{}'",
            o.padding_mode);
  // "same" puts the odd element behind, which the convolution cannot do by itself.
  bool lopsided = false;
  for (int d = N - 1; d >= 0; --d) {
    int64_t before = mode.empty() ? o.padding.extents[d] : 0, after = before;
    if (mode == "same") {
      const int64_t total = o.dilation[d] * (o.kernel_size[d] - 1);
      before = total / 2;
      after = total - before;
      lopsided |= before != after;
    }
    inside_.v[static_cast<size_t>(d)] = before;
    outside_.insert(outside_.end(), {before, after});
  }
  const bool zeros = o.padding_mode == "zeros";
  outside_mode_ = zeros ? "constant" : o.padding_mode;
  if (zeros && !lopsided) outside_.clear();
  else inside_ = 0;

  Shape size{o.out_channels, o.in_channels / o.groups};
  for (int64_t k : o.kernel_size.v) size.push_back(k);
  weight = register_parameter("weight", new_parameter(size));
  bias = register_parameter("bias", o.bias ? new_parameter({o.out_channels}) : Tensor());
}

template <int N>
void ConvNd<N>::reset_parameters(const Streams& streams) {
  init::kaiming_uniform_(*weight, std::sqrt(5.0), "fan_in", "leaky_relu", streams("weight"));
  if (!bias) return;
  const auto fan_in = static_cast<double>(init::calculate_fan_in_and_fan_out(*weight).first);
  const double bound = fan_in > 0 ? 1 / std::sqrt(fan_in) : 0;
  init::uniform_(*bias, -bound, bound, streams("bias"));
}

template <int N>
Tensor ConvNd<N>::padded(const Tensor& x) const {
  return outside_.empty() ? x : pad(x, outside_, outside_mode_);
}

template <int N>
std::string ConvNd<N>::text(const Options& o) const {
  std::string s = fmt::format("{}, {}, kernel_size={}, stride={}", o.in_channels, o.out_channels,
                              tuple_text(o.kernel_size), tuple_text(o.stride));
  if (!o.padding.mode.empty()) s += ", padding=" + o.padding.mode;
  else if (!all_are(o.padding.extents, 0)) s += ", padding=" + tuple_text(o.padding.extents);
  if (!all_are(o.dilation, 1)) s += ", dilation=" + tuple_text(o.dilation);
  if (o.groups != 1) s += fmt::format(", groups={}", o.groups);
  if (!bias) s += ", bias=False";
  if (o.padding_mode != "zeros") s += ", padding_mode=" + o.padding_mode;
  return s;
}

template class ConvNd<1>;
template class ConvNd<2>;

const Spec<Conv1d::Options>& Conv1d::spec() {
  static const auto s = conv_spec<1>("Conv1d", "convolution over sequences (N, C, L)");
  return s;
}

Conv1d::Conv1d(const Options& o) : options(o) {
  make(o);
  draw_parameters(*this);
}

Tensor Conv1d::forward(const Tensor& x) {
  return conv1d(padded(x), weight, bias, options.stride[0], inside_[0], options.dilation[0],
                options.groups);
}

NNM_REGISTER(Module, Conv1d);

const Spec<Conv2d::Options>& Conv2d::spec() {
  static const auto s = conv_spec<2>("Conv2d", "convolution over images (N, C, H, W)");
  return s;
}

Conv2d::Conv2d(const Options& o) : options(o) {
  make(o);
  draw_parameters(*this);
}

Tensor Conv2d::forward(const Tensor& x) {
  return conv2d(padded(x), weight, bias, options.stride, inside_, options.dilation, options.groups);
}

NNM_REGISTER(Module, Conv2d);

}  // namespace nnm::nn
