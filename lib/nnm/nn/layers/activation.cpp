// Activations.
#include "nnm/nn/layers/activation.h"

#include "nnm/nn/init.h"
#include "nnm/ops/functional.h"

namespace nnm::nn {

namespace {

Spec<InplaceOptions> inplace_spec(const char* name, const char* doc) {
  using Options = InplaceOptions;
  return Spec<Options>(name, doc).opt(NNM_ARG(inplace), "overwrite the input");
}

Spec<AlphaOptions> alpha_spec(const char* name, const char* doc) {
  using Options = AlphaOptions;
  return Spec<Options>(name, doc)
      .opt(NNM_ARG(alpha), "the value towards minus infinity is -alpha")
      .opt(NNM_ARG(inplace), "overwrite the input");
}

Spec<ShrinkOptions> shrink_spec(const char* name, const char* doc) {
  using Options = ShrinkOptions;
  return Spec<Options>(name, doc).opt(NNM_ARG(lambd), "half the width of the zero zone");
}

/// f(x), written into x where the layer's options say so.
template <class Layer, class F>
Tensor activated(const Layer& m, const Tensor& x, const F& f) {
  return m.options.inplace ? apply_(x, f) : f(x);
}

}  // namespace

// An activation without other options than `inplace`: its function of x, its documentation and
// whether it prints `inplace` (PyTorch's Hardswish and Hardsigmoid do not).
#define NNM_INPLACE_ACTIVATION(Type, expression, doc, prints)                                      \
  const Spec<InplaceOptions>& Type::spec() {                                                       \
    static const auto s = inplace_spec(#Type, doc);                                                \
    return s;                                                                                      \
  }                                                                                                \
  Type::Type(const Options& o) : options(o) {}                                                     \
  Tensor Type::forward(const Tensor& x) { return expression; }                                     \
  std::string Type::extra_repr() const { return prints && options.inplace ? "inplace=True" : ""; } \
  NNM_REGISTER(Module, Type)

#define NNM_PLAIN_ACTIVATION(Type, expression, doc)            \
  const Spec<NoOptions>& Type::spec() {                        \
    static const Spec<NoOptions> s(#Type, doc);                \
    return s;                                                  \
  }                                                            \
  Type::Type(const Options& o) : options(o) {}                 \
  Tensor Type::forward(const Tensor& x) { return expression; } \
  std::string Type::extra_repr() const { return {}; }          \
  NNM_REGISTER(Module, Type)

// relu's gradient looks at its result, so that the input's memory is written.
NNM_INPLACE_ACTIVATION(ReLU, options.inplace ? relu_(x) : relu(x), "max(x, 0)", true);
NNM_INPLACE_ACTIVATION(ReLU6, activated(*this, x, relu6), "min(max(x, 0), 6)", true);
NNM_INPLACE_ACTIVATION(SELU, activated(*this, x, selu),
                       "scaled exponential linear unit, Klambauer et al. 2017", true);
NNM_INPLACE_ACTIVATION(SiLU, activated(*this, x, silu), "x / (1 + e^-x)", true);
NNM_INPLACE_ACTIVATION(Mish, activated(*this, x, mish), "x tanh(log(1 + e^x))", true);
NNM_INPLACE_ACTIVATION(Hardswish, activated(*this, x, hardswish), "x relu6(x + 3) / 6", false);
NNM_INPLACE_ACTIVATION(Hardsigmoid, activated(*this, x, hardsigmoid), "relu6(x + 3) / 6", false);
NNM_PLAIN_ACTIVATION(Sigmoid, sigmoid(x), "1 / (1 + e^-x)");
NNM_PLAIN_ACTIVATION(LogSigmoid, logsigmoid(x), "log(1 / (1 + e^-x))");
NNM_PLAIN_ACTIVATION(Tanh, tanh(x), "hyperbolic tangent");
NNM_PLAIN_ACTIVATION(Softsign, softsign(x), "x / (1 + |x|)");
NNM_PLAIN_ACTIVATION(Tanhshrink, tanhshrink(x), "x - tanh(x)");

const Spec<LeakyReLUOptions>& LeakyReLU::spec() {
  static const auto s = Spec<Options>("LeakyReLU", "max(x, 0) + negative_slope min(x, 0)")
                            .opt(NNM_ARG(negative_slope), "slope below zero")
                            .opt(NNM_ARG(inplace), "overwrite the input");
  return s;
}
LeakyReLU::LeakyReLU(const Options& o) : options(o) {}
Tensor LeakyReLU::forward(const Tensor& x) {
  return activated(*this, x,
                   [&](const Tensor& t) { return leaky_relu(t, options.negative_slope.d); });
}
std::string LeakyReLU::extra_repr() const {
  return arguments_text(spec(), options, {"negative_slope", "inplace?"});
}
NNM_REGISTER(Module, LeakyReLU);

const Spec<RReLUOptions>& RReLU::spec() {
  static const auto s = Spec<Options>("RReLU", "max(x, 0) + slope min(x, 0), the slope at random")
                            .opt(NNM_ARG(lower), "least slope")
                            .opt(NNM_ARG(upper), "largest slope")
                            .opt(NNM_ARG(inplace), "overwrite the input");
  return s;
}
RReLU::RReLU(const Options& o) : options(o) {}
Tensor RReLU::forward(const Tensor& x) {
  return activated(*this, x, [&](const Tensor& t) {
    return rrelu(t, options.lower.d, options.upper.d, training());
  });
}
std::string RReLU::extra_repr() const {
  return arguments_text(spec(), options, {"lower", "upper", "inplace?"});
}
NNM_REGISTER(Module, RReLU);

const Spec<AlphaOptions>& ELU::spec() {
  static const auto s = alpha_spec("ELU", "x above zero, alpha (e^x - 1) below");
  return s;
}
ELU::ELU(const Options& o) : options(o) {}
Tensor ELU::forward(const Tensor& x) {
  return activated(*this, x, [&](const Tensor& t) { return elu(t, options.alpha.d); });
}
std::string ELU::extra_repr() const {
  return arguments_text(spec(), options, {"alpha", "inplace?"});
}
NNM_REGISTER(Module, ELU);

const Spec<AlphaOptions>& CELU::spec() {
  static const auto s = alpha_spec("CELU", "x above zero, alpha (e^(x / alpha) - 1) below");
  return s;
}
CELU::CELU(const Options& o) : options(o) {}
Tensor CELU::forward(const Tensor& x) {
  return activated(*this, x, [&](const Tensor& t) { return celu(t, options.alpha.d); });
}
std::string CELU::extra_repr() const {
  return arguments_text(spec(), options, {"alpha", "inplace?"});
}
NNM_REGISTER(Module, CELU);

const Spec<GELUOptions>& GELU::spec() {
  static const auto s =
      Spec<Options>("GELU", "x times the normal distribution function of x")
          .opt(NNM_ARG(approximate), "how to compute it", one_of({"none", "tanh"}));
  return s;
}
GELU::GELU(const Options& o) : options(o) {}
Tensor GELU::forward(const Tensor& x) { return gelu(x, options.approximate); }
std::string GELU::extra_repr() const { return arguments_text(spec(), options, {"approximate"}); }
NNM_REGISTER(Module, GELU);

const Spec<SoftplusOptions>& Softplus::spec() {
  static const auto s =
      Spec<Options>("Softplus", "log(1 + e^(beta x)) / beta")
          .opt(NNM_ARG(beta), "sharpness")
          .opt(NNM_ARG(threshold), "above this value of beta x the function is x itself");
  return s;
}
Softplus::Softplus(const Options& o) : options(o) {}
Tensor Softplus::forward(const Tensor& x) {
  return softplus(x, options.beta.d, options.threshold.d);
}
std::string Softplus::extra_repr() const {
  return arguments_text(spec(), options, {"beta", "threshold"});
}
NNM_REGISTER(Module, Softplus);

const Spec<ShrinkOptions>& Softshrink::spec() {
  static const auto s = shrink_spec("Softshrink", "x moved towards zero by lambd");
  return s;
}
Softshrink::Softshrink(const Options& o) : options(o) {}
Tensor Softshrink::forward(const Tensor& x) { return softshrink(x, options.lambd.d); }
std::string Softshrink::extra_repr() const { return arguments_text(spec(), options, {"=lambd"}); }
NNM_REGISTER(Module, Softshrink);

const Spec<ShrinkOptions>& Hardshrink::spec() {
  static const auto s = shrink_spec("Hardshrink", "x outside of [-lambd, lambd], 0 inside");
  return s;
}
Hardshrink::Hardshrink(const Options& o) : options(o) {}
Tensor Hardshrink::forward(const Tensor& x) { return hardshrink(x, options.lambd.d); }
std::string Hardshrink::extra_repr() const { return arguments_text(spec(), options, {"=lambd"}); }
NNM_REGISTER(Module, Hardshrink);

const Spec<HardtanhOptions>& Hardtanh::spec() {
  static const auto s = Spec<Options>("Hardtanh", "x within bounds")
                            .opt(NNM_ARG(min_val), "lower bound")
                            .opt(NNM_ARG(max_val), "upper bound")
                            .opt(NNM_ARG(inplace), "overwrite the input");
  return s;
}
Hardtanh::Hardtanh(const Options& o) : options(o) {
  NNM_CHECK(o.max_val.d > o.min_val.d, assertion, "max_val ({}) must be greater than min_val ({})",
            Codec<Scalar>::write(o.max_val).repr(), Codec<Scalar>::write(o.min_val).repr());
}
Tensor Hardtanh::forward(const Tensor& x) {
  return activated(
      *this, x, [&](const Tensor& t) { return hardtanh(t, options.min_val.d, options.max_val.d); });
}
std::string Hardtanh::extra_repr() const {
  return arguments_text(spec(), options, {"min_val", "max_val", "inplace?"});
}
NNM_REGISTER(Module, Hardtanh);

const Spec<GLUOptions>& GLU::spec() {
  static const auto s = Spec<Options>("GLU", "a sigmoid(b), where a and b are the halves of x")
                            .opt(NNM_ARG(dim), "dimension to halve");
  return s;
}
GLU::GLU(const Options& o) : options(o) {}
Tensor GLU::forward(const Tensor& x) { return glu(x, options.dim); }
std::string GLU::extra_repr() const { return arguments_text(spec(), options, {"dim"}); }
NNM_REGISTER(Module, GLU);

const Spec<Threshold::Options>& Threshold::spec() {
  static const auto s = Spec<Options>("Threshold", "x above the threshold, a value elsewhere")
                            .req(NNM_ARG(threshold), "the bound")
                            .req(NNM_ARG(value), "what stands for the rest")
                            .opt(NNM_ARG(inplace), "overwrite the input");
  return s;
}
Threshold::Threshold(const Options& o) : options(o) {}
Tensor Threshold::forward(const Tensor& x) {
  return activated(*this, x, [&](const Tensor& t) {
    return threshold(t, options.threshold.d, options.value.d);
  });
}
std::string Threshold::extra_repr() const {
  return arguments_text(spec(), options, {"threshold", "value", "inplace?"});
}
NNM_REGISTER(Module, Threshold);

const Spec<PReLU::Options>& PReLU::spec() {
  static const auto s = Spec<Options>("PReLU", "max(0, x) + weight min(0, x)")
                            .opt(NNM_ARG(num_parameters), "1, or one per channel", at_least(1))
                            .opt(NNM_ARG(init), "where the weights start");
  return s;
}
PReLU::PReLU(const Options& o) : options(o) {
  weight = register_parameter("weight", new_parameter({o.num_parameters}));
  draw_parameters(*this);
}
void PReLU::reset_parameters(const Streams&) { init::constant_(*weight, options.init.d); }
Tensor PReLU::forward(const Tensor& x) { return prelu(x, weight); }
std::string PReLU::extra_repr() const {
  return arguments_text(spec(), options, {"num_parameters"});
}
NNM_REGISTER(Module, PReLU);

}  // namespace nnm::nn
