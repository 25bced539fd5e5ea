// Dropout of elements and of channels.
#include "nnm/nn/layers/dropout.h"

#include "nnm/ops/dropout.h"

namespace nnm::nn {

namespace {

Spec<DropoutOptions> dropout_spec(const char* name, const char* doc) {
  using Options = DropoutOptions;
  return Spec<Options>(name, doc)
      .opt(NNM_ARG(p), "probability of zero", between(0, 1))
      .opt(NNM_ARG(inplace), "overwrite the input");
}

const DropoutOptions& checked(const DropoutOptions& o) {
  NNM_CHECK(o.p.d >= 0 && o.p.d <= 1, value,
            "dropout probability has to be between 0 and 1, but got {}",
            Codec<Scalar>::write(o.p).repr());
  return o;
}

std::string dropout_repr(const DropoutOptions& o) {
  return fmt::format("p={}, inplace={}", Codec<Scalar>::write(o.p).repr(),
                     o.inplace ? "True" : "False");
}

template <class Layer>
Tensor dropped(Dropped what, const Layer& m, const Tensor& x, bool inplace) {
  return dropout_of(what, x, m.options.p.d, m.training(), inplace);
}

}  // namespace

const Spec<DropoutOptions>& Dropout::spec() {
  static const auto s = dropout_spec("Dropout", "zeroes elements at random in training");
  return s;
}
Dropout::Dropout(const Options& o) : options(checked(o)) {}
Tensor Dropout::forward(const Tensor& x) {
  return dropped(Dropped::elements, *this, x, options.inplace);
}
std::string Dropout::extra_repr() const { return dropout_repr(options); }
NNM_REGISTER(Module, Dropout);

const Spec<DropoutOptions>& Dropout1d::spec() {
  static const auto s = dropout_spec("Dropout1d", "zeroes channels at random in training");
  return s;
}
Dropout1d::Dropout1d(const Options& o) : options(checked(o)) {}
Tensor Dropout1d::forward(const Tensor& x) {
  return dropped(Dropped::channels_1d, *this, x, options.inplace);
}
std::string Dropout1d::extra_repr() const { return dropout_repr(options); }
NNM_REGISTER(Module, Dropout1d);

const Spec<DropoutOptions>& Dropout2d::spec() {
  static const auto s = dropout_spec("Dropout2d", "zeroes channels at random in training");
  return s;
}
Dropout2d::Dropout2d(const Options& o) : options(checked(o)) {}
Tensor Dropout2d::forward(const Tensor& x) {
  return dropped(Dropped::channels_2d, *this, x, options.inplace);
}
std::string Dropout2d::extra_repr() const { return dropout_repr(options); }
NNM_REGISTER(Module, Dropout2d);

const Spec<DropoutOptions>& Dropout3d::spec() {
  static const auto s = dropout_spec("Dropout3d", "zeroes channels at random in training");
  return s;
}
Dropout3d::Dropout3d(const Options& o) : options(checked(o)) {}
Tensor Dropout3d::forward(const Tensor& x) {
  return dropped(Dropped::channels_3d, *this, x, options.inplace);
}
std::string Dropout3d::extra_repr() const { return dropout_repr(options); }
NNM_REGISTER(Module, Dropout3d);

const Spec<DropoutOptions>& AlphaDropout::spec() {
  static const auto s =
      dropout_spec("AlphaDropout", "dropout that keeps mean and variance of SELU's outputs");
  return s;
}
AlphaDropout::AlphaDropout(const Options& o) : options(checked(o)) {}
// PyTorch's layer has `inplace` too, and leaves its input alone all the same.
Tensor AlphaDropout::forward(const Tensor& x) {
  return dropped(Dropped::elements_alpha, *this, x, false);
}
std::string AlphaDropout::extra_repr() const { return dropout_repr(options); }
NNM_REGISTER(Module, AlphaDropout);

const Spec<DropoutOptions>& FeatureAlphaDropout::spec() {
  static const auto s = dropout_spec("FeatureAlphaDropout", "AlphaDropout of whole channels");
  return s;
}
FeatureAlphaDropout::FeatureAlphaDropout(const Options& o) : options(checked(o)) {}
Tensor FeatureAlphaDropout::forward(const Tensor& x) {
  return dropped(Dropped::channels_alpha, *this, x, false);
}
std::string FeatureAlphaDropout::extra_repr() const { return dropout_repr(options); }
NNM_REGISTER(Module, FeatureAlphaDropout);

}  // namespace nnm::nn
