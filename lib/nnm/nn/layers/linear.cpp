// Linear maps.
#include "nnm/nn/layers/linear.h"

#include <cmath>

#include "nnm/nn/init.h"
#include "nnm/ops/ops.h"

namespace nnm::nn {

const Spec<Linear::Options>& Linear::spec() {
  static const auto s = Spec<Options>("Linear", "y = x W^T + b over the last dimension")
                            .req(NNM_ARG(in_features), "size of each input sample", at_least(0))
                            .req(NNM_ARG(out_features), "size of each output sample", at_least(0))
                            .opt(NNM_ARG(bias), "learn an additive bias");
  return s;
}

Linear::Linear(const Options& o) : options(o) {
  weight = register_parameter("weight", new_parameter({o.out_features, o.in_features}));
  bias = register_parameter("bias", o.bias ? new_parameter({o.out_features}) : Tensor());
  draw_parameters(*this);
}

void Linear::reset_parameters(const Streams& streams) {
  init::kaiming_uniform_(*weight, std::sqrt(5.0), "fan_in", "leaky_relu", streams("weight"));
  if (!bias) return;
  const auto fan_in = static_cast<double>(weight->size(1));
  const double bound = fan_in > 0 ? 1 / std::sqrt(fan_in) : 0;
  init::uniform_(*bias, -bound, bound, streams("bias"));
}

Tensor Linear::forward(const Tensor& x) { return linear(x, weight, bias); }

std::string Linear::extra_repr() const {
  return fmt::format("in_features={}, out_features={}, bias={}", options.in_features,
                     options.out_features, bias ? "True" : "False");
}

NNM_REGISTER(Module, Linear);

const Spec<Bilinear::Options>& Bilinear::spec() {
  static const auto s = Spec<Options>("Bilinear", "y = x1^T A x2 + b over the last dimensions")
                            .req(NNM_ARG(in1_features), "size of the first input", at_least(1))
                            .req(NNM_ARG(in2_features), "size of the second input", at_least(0))
                            .req(NNM_ARG(out_features), "size of each output sample", at_least(0))
                            .opt(NNM_ARG(bias), "learn an additive bias");
  return s;
}

Bilinear::Bilinear(const Options& o) : options(o) {
  NNM_CHECK(o.in1_features > 0, value, "in1_features must be > 0, but got (in1_features={})",
            o.in1_features);
  weight =
      register_parameter("weight", new_parameter({o.out_features, o.in1_features, o.in2_features}));
  bias = register_parameter("bias", o.bias ? new_parameter({o.out_features}) : Tensor());
  draw_parameters(*this);
}

void Bilinear::reset_parameters(const Streams& streams) {
  const double bound = 1 / std::sqrt(static_cast<double>(weight->size(1)));
  init::uniform_(*weight, -bound, bound, streams("weight"));
  if (bias) init::uniform_(*bias, -bound, bound, streams("bias"));
}

Value Bilinear::forward(const Args& args) {
  static const Signature signature = Signature::parse("forward(input1: Tensor, input2: Tensor)");
  const Values a = forward_args(signature, args);
  return bilinear(a[0].as<Tensor>(), a[1].as<Tensor>(), weight, bias);
}

std::string Bilinear::extra_repr() const {
  return fmt::format("in1_features={}, in2_features={}, out_features={}, bias={}",
                     options.in1_features, options.in2_features, options.out_features,
                     bias ? "True" : "False");
}

NNM_REGISTER(Module, Bilinear);

const Spec<Identity::Options>& Identity::spec() {
  static const auto s = Spec<Options>("Identity", "returns its input");
  return s;
}

Identity::Identity(const Options& o) : options(o) {}

namespace {

// Its arguments are any, which no Options are.
[[maybe_unused]] const bool identity_added = Registry<Module>::add(
    "Identity", {[]() -> const Signature& {
                   static const Signature s =
                       Signature::parse("Identity(*args: any, **kwargs: any)");
                   return s;
                 },
                 []() -> const std::string& { return Identity::spec().doc(); },
                 [](const Values&) -> Ref<Module> { return make_ref<Identity>(); }});

}  // namespace

}  // namespace nnm::nn
