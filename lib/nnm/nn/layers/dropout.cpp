// Dropout of elements and of channels.
#include "nnm/nn/layers/dropout.h"

#include "nnm/nn/hooks_detail.h"
#include "nnm/ops/functional.h"

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

// One draw for each channel of each sample, broadcast over the rest.
Tensor channel_dropout(const Tensor& x, double p, int channel_dim) {
  Shape size = x.shape();
  for (int d = channel_dim + 1; d < size.size(); ++d) size[d] = 1;
  return mul(x, dropout(ones(size, x.options()), p, true));
}

}  // namespace

const Spec<DropoutOptions>& Dropout::spec() {
  static const auto s = dropout_spec("Dropout", "zeroes elements at random in training");
  return s;
}
Dropout::Dropout(const Options& o) : options(checked(o)) {}
Tensor Dropout::forward(const Tensor& x) { return dropout(x, options.p.d, training()); }
std::string Dropout::extra_repr() const { return dropout_repr(options); }
NNM_REGISTER(Module, Dropout);

const Spec<DropoutOptions>& Dropout1d::spec() {
  static const auto s = dropout_spec("Dropout1d", "zeroes channels at random in training");
  return s;
}
Dropout1d::Dropout1d(const Options& o) : options(checked(o)) {}
Tensor Dropout1d::forward(const Tensor& x) {
  NNM_CHECK(x.dim() == 2 || x.dim() == 3, runtime,
            "dropout1d: Expected 2D or 3D input, but received a {}D input. Note that dropout1d "
            "exists to provide channel-wise dropout on inputs with 1 spatial dimension, a channel "
            "dimension, and an optional batch dimension (i.e. 2D or 3D inputs).",
            x.dim());
  return training() ? channel_dropout(x, options.p.d, x.dim() - 2) : x;
}
std::string Dropout1d::extra_repr() const { return dropout_repr(options); }
NNM_REGISTER(Module, Dropout1d);

const Spec<DropoutOptions>& Dropout2d::spec() {
  static const auto s = dropout_spec("Dropout2d", "zeroes channels at random in training");
  return s;
}
Dropout2d::Dropout2d(const Options& o) : options(checked(o)) {}
Tensor Dropout2d::forward(const Tensor& x) {
  if (x.dim() != 3 && x.dim() != 4) {
    warn_once(
        fmt::format("dropout2d: Received a {}-D input to dropout2d, which is deprecated and will "
                    "result in an error in a future release. To retain the behavior and silence "
                    "this warning, please use dropout instead. Note that dropout2d exists to "
                    "provide channel-wise dropout on inputs with 2 spatial dimensions, a channel "
                    "dimension, and an optional batch dimension (i.e. 3D or 4D inputs).",
                    x.dim()));
  }
  if (x.dim() == 3) {
    warn_once(
        "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout "
        "behavior is desired - input is interpreted as shape (N, C, L), where C is the channel "
        "dim. This behavior will change in a future release to interpret the input as one without "
        "a batch dimension, i.e. shape (C, H, W). To maintain the 1D channel-wise dropout "
        "behavior, please switch to using dropout1d instead.");
  }
  NNM_CHECK(x.dim() >= 2, runtime, "Feature dropout requires at least 2 dimensions in the input");
  return training() ? channel_dropout(x, options.p.d, 1) : x;
}
std::string Dropout2d::extra_repr() const { return dropout_repr(options); }
NNM_REGISTER(Module, Dropout2d);

const Spec<DropoutOptions>& Dropout3d::spec() {
  static const auto s = dropout_spec("Dropout3d", "zeroes channels at random in training");
  return s;
}
Dropout3d::Dropout3d(const Options& o) : options(checked(o)) {}
Tensor Dropout3d::forward(const Tensor& x) {
  NNM_CHECK(x.dim() == 4 || x.dim() == 5, runtime,
            "dropout3d: Expected 4D or 5D input, but received a {}D input", x.dim());
  return training() ? channel_dropout(x, options.p.d, x.dim() - 4) : x;
}
std::string Dropout3d::extra_repr() const { return dropout_repr(options); }
NNM_REGISTER(Module, Dropout3d);

const Spec<DropoutOptions>& AlphaDropout::spec() {
  static const auto s =
      dropout_spec("AlphaDropout", "dropout that keeps mean and variance of SELU's outputs");
  return s;
}
AlphaDropout::AlphaDropout(const Options& o) : options(checked(o)) {}
Tensor AlphaDropout::forward(const Tensor& x) { return alpha_dropout(x, options.p.d, training()); }
std::string AlphaDropout::extra_repr() const { return dropout_repr(options); }
NNM_REGISTER(Module, AlphaDropout);

const Spec<DropoutOptions>& FeatureAlphaDropout::spec() {
  static const auto s = dropout_spec("FeatureAlphaDropout", "AlphaDropout of whole channels");
  return s;
}
FeatureAlphaDropout::FeatureAlphaDropout(const Options& o) : options(checked(o)) {}
Tensor FeatureAlphaDropout::forward(const Tensor& x) {
  return feature_alpha_dropout(x, options.p.d, training());
}
std::string FeatureAlphaDropout::extra_repr() const { return dropout_repr(options); }
NNM_REGISTER(Module, FeatureAlphaDropout);

}  // namespace nnm::nn
