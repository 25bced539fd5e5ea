// Normalisation of single samples.
#include "nnm/nn/layers/norm.h"

#include "nnm/nn/init.h"
#include "nnm/ops/functional.h"

namespace nnm::nn {

const Spec<LayerNorm::Options>& LayerNorm::spec() {
  static const auto s =
      Spec<Options>("LayerNorm", "normalises the last dimensions")
          .req(NNM_ARG(normalized_shape), "extents of the last dimensions", at_least(0))
          .opt(NNM_ARG(eps), "added to the variance")
          .opt(NNM_ARG(elementwise_affine), "learn a scale and a shift for each element")
          .opt(NNM_ARG(bias), "learn the shift");
  return s;
}

LayerNorm::LayerNorm(const Options& o) : options(o), shape_(o.normalized_shape.shape()) {
  const bool affine = o.elementwise_affine;
  weight = register_parameter("weight", affine ? new_parameter(shape_) : Tensor());
  bias = register_parameter("bias", affine && o.bias ? new_parameter(shape_) : Tensor());
  draw_parameters(*this);
}

void LayerNorm::reset_parameters(const Streams&) {
  if (weight) init::ones_(*weight);
  if (bias) init::zeros_(*bias);
}

Tensor LayerNorm::forward(const Tensor& x) {
  return layer_norm(x, shape_, weight, bias, options.eps.d);
}

std::string LayerNorm::extra_repr() const {
  return fmt::format("{}, {}, bias={}", options.normalized_shape.repr(),
                     arguments_text(spec(), options, {"eps", "elementwise_affine"}),
                     bias ? "True" : "False");
}

NNM_REGISTER(Module, LayerNorm);

const Spec<GroupNorm::Options>& GroupNorm::spec() {
  static const auto s = Spec<Options>("GroupNorm", "normalises groups of channels of each sample")
                            .req(NNM_ARG(num_groups), "number of groups", at_least(1))
                            .req(NNM_ARG(num_channels), "number of channels", at_least(0))
                            .opt(NNM_ARG(eps), "added to the variance")
                            .opt(NNM_ARG(affine), "learn a scale and a shift for each channel")
                            .opt(NNM_ARG(bias), "learn the shift");
  return s;
}

GroupNorm::GroupNorm(const Options& o) : options(o) {
  NNM_CHECK(o.num_groups > 0 && o.num_channels % o.num_groups == 0, value,
            "num_channels ({}) must be divisible by num_groups ({})", o.num_channels, o.num_groups);
  weight = register_parameter("weight", o.affine ? new_parameter({o.num_channels}) : Tensor());
  bias =
      register_parameter("bias", o.affine && o.bias ? new_parameter({o.num_channels}) : Tensor());
  draw_parameters(*this);
}

void GroupNorm::reset_parameters(const Streams&) {
  if (weight) init::ones_(*weight);
  if (bias) init::zeros_(*bias);
}

Tensor GroupNorm::forward(const Tensor& x) {
  return group_norm(x, options.num_groups, weight, bias, options.eps.d);
}

std::string GroupNorm::extra_repr() const {
  return fmt::format(
      "{}, bias={}",
      arguments_text(spec(), options, {"=num_groups", "=num_channels", "eps", "affine"}),
      bias ? "True" : "False");
}

NNM_REGISTER(Module, GroupNorm);

const Spec<RMSNorm::Options>& RMSNorm::spec() {
  static const auto s =
      Spec<Options>("RMSNorm", "divides the last dimensions by their root mean square")
          .req(NNM_ARG(normalized_shape), "extents of the last dimensions", at_least(0))
          .opt(NNM_ARG(eps), "added to the mean square; none: the type's epsilon")
          .opt(NNM_ARG(elementwise_affine), "learn a scale for each element");
  return s;
}

RMSNorm::RMSNorm(const Options& o) : options(o), shape_(o.normalized_shape.shape()) {
  weight = register_parameter("weight", o.elementwise_affine ? new_parameter(shape_) : Tensor());
  draw_parameters(*this);
}

void RMSNorm::reset_parameters(const Streams&) {
  if (weight) init::ones_(*weight);
}

Tensor RMSNorm::forward(const Tensor& x) {
  return rms_norm(x, shape_, weight, options.eps ? std::optional(options.eps->d) : std::nullopt);
}

std::string RMSNorm::extra_repr() const {
  return fmt::format("{}, {}", options.normalized_shape.repr(),
                     arguments_text(spec(), options, {"eps", "elementwise_affine"}));
}

NNM_REGISTER(Module, RMSNorm);

const Spec<LocalResponseNorm::Options>& LocalResponseNorm::spec() {
  static const auto s =
      Spec<Options>("LocalResponseNorm", "divides by the activity of channels nearby")
          .req(NNM_ARG(size), "how many channels", at_least(1))
          .opt(NNM_ARG(alpha), "weight of their mean square")
          .opt(NNM_ARG(beta), "exponent")
          .opt(NNM_ARG(k), "added to the mean square");
  return s;
}

LocalResponseNorm::LocalResponseNorm(const Options& o) : options(o) {}

Tensor LocalResponseNorm::forward(const Tensor& x) {
  return local_response_norm(x, options.size, options.alpha.d, options.beta.d, options.k.d);
}

std::string LocalResponseNorm::extra_repr() const {
  return fmt::format("{}, {}", options.size,
                     arguments_text(spec(), options, {"alpha", "beta", "k"}));
}

NNM_REGISTER(Module, LocalResponseNorm);

const Spec<CrossMapLRN2d::Options>& CrossMapLRN2d::spec() {
  static const auto s =
      Spec<Options>("CrossMapLRN2d", "divides images by the activity of channels nearby")
          .req(NNM_ARG(size), "how many channels", at_least(1))
          .opt(NNM_ARG(alpha), "weight of their mean square")
          .opt(NNM_ARG(beta), "exponent")
          .opt(NNM_ARG(k), "added to the mean square");
  return s;
}

CrossMapLRN2d::CrossMapLRN2d(const Options& o) : options(o) {}

Tensor CrossMapLRN2d::forward(const Tensor& x) {
  NNM_CHECK(x.dim() == 4, value, "CrossMapLRN2d: Expected input to be 4D, got {}D instead.",
            x.dim());
  const int64_t aside = (options.size + 1) / 2 - 1, channels = x.size(1);
  const Tensor squares = pad(square(x), {0, 0, 0, 0, aside, aside});
  Tensor sums = narrow(squares, 1, 0, channels);
  for (int64_t i = 1; i <= 2 * aside; ++i) sums = sums + narrow(squares, 1, i, channels);
  // PyTorch never takes the first channel out of its running sums.
  if (const int64_t near = aside + 1; near < channels)
    sums = cat({narrow(sums, 1, 0, near),
                narrow(sums, 1, near, channels - near) + narrow(squares, 1, aside, 1)},
               1);
  const double share = options.alpha.d / static_cast<double>(options.size);
  return x * pow(sums * Scalar(share) + Scalar(options.k.d), Scalar(-options.beta.d));
}

std::string CrossMapLRN2d::extra_repr() const {
  return fmt::format("{}, {}", options.size,
                     arguments_text(spec(), options, {"alpha", "beta", "k"}));
}

NNM_REGISTER(Module, CrossMapLRN2d);

}  // namespace nnm::nn
