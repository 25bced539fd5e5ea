// Convolutions.
#include "nnm/nn/layers/conv.h"

#include <algorithm>
#include <cmath>

#include "nnm/nn/init.h"
#include "nnm/ops/volume.h"

namespace nnm::nn {

namespace {

/// What every convolution is told first.
template <class Options>
Spec<Options> kernel_spec(const char* name, const char* doc) {
  return Spec<Options>(name, doc)
      .req(NNM_ARG(in_channels), "channels of the input", at_least(0))
      .req(NNM_ARG(out_channels), "channels of the output", at_least(0))
      .req(NNM_ARG(kernel_size), "extents of the kernel", at_least(1));
}

template <int N>
Spec<ConvOptions<N>> conv_spec(const char* name, const char* doc) {
  using Options = ConvOptions<N>;
  return kernel_spec<Options>(name, doc)
      .opt(NNM_ARG(stride), "step of the kernel", at_least(1))
      .opt(NNM_ARG(padding), "elements added on both sides, \"same\" or \"valid\"")
      .opt(NNM_ARG(dilation), "distance between the kernel's elements", at_least(1))
      .opt(NNM_ARG(groups), "blocks of channels that do not see each other", at_least(1))
      .opt(NNM_ARG(bias), "learn an additive bias")
      .opt(NNM_ARG(padding_mode), "what is added at the sides",
           one_of({"zeros", "reflect", "replicate", "circular"}));
}

template <int N>
Spec<ConvTransposeOptions<N>> transpose_spec(const char* name, const char* doc) {
  using Options = ConvTransposeOptions<N>;
  return kernel_spec<Options>(name, doc)
      .opt(NNM_ARG(stride), "step of the kernel over the output", at_least(1))
      .opt(NNM_ARG(padding), "elements taken off the output on both sides", at_least(0))
      .opt(NNM_ARG(output_padding), "elements added behind the output", at_least(0))
      .opt(NNM_ARG(groups), "blocks of channels that do not see each other", at_least(1))
      .opt(NNM_ARG(bias), "learn an additive bias")
      .opt(NNM_ARG(dilation), "distance between the kernel's elements", at_least(1))
      .opt(NNM_ARG(padding_mode), "\"zeros\", the only one there is", one_of({"zeros"}));
}

template <int N>
std::string tuple_text(const IntTuple<N>& t) {
  return Value::tuple(Values(t.v.begin(), t.v.end())).repr();
}

template <int N>
bool all_are(const IntTuple<N>& t, int64_t value) {
  return std::all_of(t.v.begin(), t.v.end(), [value](int64_t x) { return x == value; });
}

void check_groups(int64_t groups, int64_t in_channels, int64_t out_channels) {
  NNM_CHECK(groups > 0, value, "groups must be a positive integer");
  NNM_CHECK(in_channels % groups == 0, value, "in_channels must be divisible by groups");
  NNM_CHECK(out_channels % groups == 0, value, "out_channels must be divisible by groups");
}

/// The arguments that convolutions of both directions print.
template <int N, class Options>
std::string options_text(const Options& o, const std::string& padding,
                         const IntTuple<N>& output_padding, bool bias) {
  std::string s = fmt::format("{}, {}, kernel_size={}, stride={}", o.in_channels, o.out_channels,
                              tuple_text(o.kernel_size), tuple_text(o.stride));
  if (!padding.empty()) s += ", padding=" + padding;
  if (!all_are(o.dilation, 1)) s += ", dilation=" + tuple_text(o.dilation);
  if (!all_are(output_padding, 0)) s += ", output_padding=" + tuple_text(output_padding);
  if (o.groups != 1) s += fmt::format(", groups={}", o.groups);
  if (!bias) s += ", bias=False";
  if (o.padding_mode != "zeros") s += ", padding_mode=" + o.padding_mode;
  return s;
}
template <int N>
std::string padding_text(const IntTuple<N>& padding) {
  return all_are(padding, 0) ? "" : tuple_text(padding);
}

std::string list_text(std::span<const int64_t> v) {
  return Value::list(Values(v.begin(), v.end())).repr();
}

}  // namespace

void Convolution::make_parameters(int64_t first, int64_t second, std::span<const int64_t> kernel,
                                  std::optional<int64_t> biases) {
  Shape size{first, second};
  for (const int64_t k : kernel) size.push_back(k);
  weight = register_parameter("weight", new_parameter(size));
  bias = register_parameter("bias", biases ? new_parameter({*biases}) : Tensor());
}

void Convolution::reset_parameters(const Streams& streams) {
  init::kaiming_uniform_(*weight, std::sqrt(5.0), "fan_in", "leaky_relu", streams("weight"));
  if (!bias) return;
  const auto fan_in = static_cast<double>(init::calculate_fan_in_and_fan_out(*weight).first);
  const double bound = fan_in > 0 ? 1 / std::sqrt(fan_in) : 0;
  init::uniform_(*bias, -bound, bound, streams("bias"));
}

template <int N>
void ConvNd<N>::make(const Options& o) {
  check_groups(o.groups, o.in_channels, o.out_channels);
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

  make_parameters(o.out_channels, o.in_channels / o.groups, o.kernel_size.v,
                  o.bias ? std::optional(o.out_channels) : std::nullopt);
}

template <int N>
Tensor ConvNd<N>::padded(const Tensor& x) const {
  return outside_.empty() ? x : pad(x, outside_, outside_mode_);
}

template <int N>
std::string ConvNd<N>::text(const Options& o) const {
  const std::string& mode = o.padding.mode;
  return options_text<N>(o, mode.empty() ? padding_text(o.padding.extents) : mode, 0, bool(bias));
}

template class ConvNd<1>;
template class ConvNd<2>;
template class ConvNd<3>;

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

Tensor Conv2d::forward(const Tensor& x, const ConvTail& tail) {
  if (!outside_.empty()) return {};
  return conv2d_with_tail(x, weight, bias, options.stride, inside_, options.dilation,
                          options.groups, tail);
}

NNM_REGISTER(Module, Conv2d);

const Spec<Conv3d::Options>& Conv3d::spec() {
  static const auto s = conv_spec<3>("Conv3d", "convolution over volumes (N, C, D, H, W)");
  return s;
}

Conv3d::Conv3d(const Options& o) : options(o) {
  make(o);
  draw_parameters(*this);
}

Tensor Conv3d::forward(const Tensor& x) {
  return conv3d(padded(x), weight, bias, options.stride, inside_, options.dilation, options.groups);
}

NNM_REGISTER(Module, Conv3d);

template <int N>
void ConvTransposeNd<N>::make(const Options& o) {
  NNM_CHECK(o.padding_mode == "zeros", value, "Only \"zeros\" padding mode is supported for {}",
            type_name());
  check_groups(o.groups, o.in_channels, o.out_channels);
  make_parameters(o.in_channels, o.out_channels / o.groups, o.kernel_size.v,
                  o.bias ? std::optional(o.out_channels) : std::nullopt);
}

template <int N>
std::string ConvTransposeNd<N>::text(const Options& o) const {
  return options_text<N>(o, padding_text(o.padding), o.output_padding, bool(bias));
}

template <int N>
IntTuple<N> ConvTransposeNd<N>::output_padding(const Options& o, const Tensor& x,
                                               const OutputSize& size) const {
  if (!size) return o.output_padding;
  const size_t before = x.dim() == N + 2 ? 2 : 1;
  std::span<const int64_t> asked(*size);
  if (asked.size() == before + N) asked = asked.subspan(before);
  NNM_CHECK(asked.size() == N, value,
            "ConvTranspose{}D: for {}D input, output_size must have {} or {} elements (got {})", N,
            x.dim(), N, before + N, asked.size());
  std::vector<int64_t> least, most;
  bool fits = true;
  for (int d = 0; d < N; ++d) {
    const int64_t n = x.size(d + static_cast<int64_t>(before));
    least.push_back((n - 1) * o.stride[d] - 2 * o.padding[d] +
                    o.dilation[d] * (o.kernel_size[d] - 1) + 1);
    most.push_back(least.back() + o.stride[d] - 1);
    const int64_t wanted = asked[static_cast<size_t>(d)];
    fits = fits && wanted >= least.back() && wanted <= most.back();
  }
  NNM_CHECK(fits, value,
            "requested an output size of {}, but valid sizes range from {} to {} (for an input of "
            "torch.Size({}))",
            list_text(asked), list_text(least), list_text(most),
            list_text(std::span<const int64_t>(x.shape().vec()).subspan(2)));
  IntTuple<N> out;
  for (size_t d = 0; d < N; ++d) out.v[d] = asked[d] - least[d];
  return out;
}

template class ConvTransposeNd<1>;
template class ConvTransposeNd<2>;
template class ConvTransposeNd<3>;

const Spec<ConvTranspose1d::Options>& ConvTranspose1d::spec() {
  static const auto s =
      transpose_spec<1>("ConvTranspose1d", "transposed convolution over sequences (N, C, L)");
  return s;
}

ConvTranspose1d::ConvTranspose1d(const Options& o) : options(o) {
  make(o);
  draw_parameters(*this);
}

Tensor ConvTranspose1d::forward(const Tensor& x, const OutputSize& output_size) {
  return conv_transpose1d(x, weight, bias, options.stride[0], options.padding[0],
                          output_padding(options, x, output_size)[0], options.groups,
                          options.dilation[0]);
}

NNM_REGISTER(Module, ConvTranspose1d);

const Spec<ConvTranspose2d::Options>& ConvTranspose2d::spec() {
  static const auto s =
      transpose_spec<2>("ConvTranspose2d", "transposed convolution over images (N, C, H, W)");
  return s;
}

ConvTranspose2d::ConvTranspose2d(const Options& o) : options(o) {
  make(o);
  draw_parameters(*this);
}

Tensor ConvTranspose2d::forward(const Tensor& x, const OutputSize& output_size) {
  return conv_transpose2d(x, weight, bias, options.stride, options.padding,
                          output_padding(options, x, output_size), options.groups,
                          options.dilation);
}

NNM_REGISTER(Module, ConvTranspose2d);

const Spec<ConvTranspose3d::Options>& ConvTranspose3d::spec() {
  static const auto s =
      transpose_spec<3>("ConvTranspose3d", "transposed convolution over volumes (N, C, D, H, W)");
  return s;
}

ConvTranspose3d::ConvTranspose3d(const Options& o) : options(o) {
  make(o);
  draw_parameters(*this);
}

Tensor ConvTranspose3d::forward(const Tensor& x, const OutputSize& output_size) {
  return conv_transpose3d(x, weight, bias, options.stride, options.padding,
                          output_padding(options, x, output_size), options.groups,
                          options.dilation);
}

NNM_REGISTER(Module, ConvTranspose3d);

}  // namespace nnm::nn
