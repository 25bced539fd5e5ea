// Softmax and its kin.
#include "nnm/ops/softmax.h"
#include "nnm/nn/hooks_detail.h"
#include "nnm/nn/layers/activation.h"
#include "nnm/ops/ops.h"

namespace nnm::nn {

namespace {

Spec<SoftmaxOptions> softmax_spec(const char* name, const char* doc) {
  using Options = SoftmaxOptions;
  return Spec<Options>(name, doc).opt(NNM_ARG(dim), "dimension that sums to 1");
}

}  // namespace

const Spec<SoftmaxOptions>& Softmax::spec() {
  static const auto s = softmax_spec("Softmax", "e^x / sum(e^x)");
  return s;
}
Softmax::Softmax(const Options& o) : options(o) {}
Tensor Softmax::forward(const Tensor& x) {
  return softmax(x, softmax_dim(options.dim, x, "softmax"));
}
std::string Softmax::extra_repr() const { return arguments_text(spec(), options, {"dim"}); }
NNM_REGISTER(Module, Softmax);

const Spec<SoftmaxOptions>& LogSoftmax::spec() {
  static const auto s = softmax_spec("LogSoftmax", "log(e^x / sum(e^x))");
  return s;
}
LogSoftmax::LogSoftmax(const Options& o) : options(o) {}
Tensor LogSoftmax::forward(const Tensor& x) {
  return log_softmax(x, softmax_dim(options.dim, x, "log_softmax"));
}
std::string LogSoftmax::extra_repr() const { return arguments_text(spec(), options, {"dim"}); }
NNM_REGISTER(Module, LogSoftmax);

const Spec<SoftmaxOptions>& Softmin::spec() {
  static const auto s = softmax_spec("Softmin", "e^-x / sum(e^-x)");
  return s;
}
Softmin::Softmin(const Options& o) : options(o) {}
Tensor Softmin::forward(const Tensor& x) {
  return softmax(neg(x), softmax_dim(options.dim, x, "softmin"));
}
std::string Softmin::extra_repr() const { return arguments_text(spec(), options, {"dim"}); }
NNM_REGISTER(Module, Softmin);

const Spec<NoOptions>& Softmax2d::spec() {
  static const Spec<NoOptions> s("Softmax2d", "softmax over the channels of each pixel");
  return s;
}
Softmax2d::Softmax2d(const Options& o) : options(o) {}
Tensor Softmax2d::forward(const Tensor& x) {
  NNM_CHECK(x.dim() == 3 || x.dim() == 4, value,
            "Softmax2d: expected input to be 3D or 4D, got {}D instead", x.dim());
  return softmax(x, -3);
}
std::string Softmax2d::extra_repr() const { return {}; }
NNM_REGISTER(Module, Softmax2d);

}  // namespace nnm::nn
