// Activations: functions of each element, and softmax and its kin along one dimension. All keep the
// shape of their input but GLU, which halves a dimension. `inplace` is accepted everywhere; ReLU
// alone overwrites its input, the others save nothing by it.
#pragma once

#include "nnm/nn/layers/layer.h"

namespace nnm::nn {

/// Activations with `inplace` as their only option.
struct InplaceOptions {
  bool inplace = false;
};
struct NoOptions {};

#define NNM_ACTIVATION(Type, OptionsType)     \
  class Type : public Module {                \
   public:                                    \
    using Options = OptionsType;              \
    NNM_LAYER(Type, 0);                       \
    using Module::forward;                    \
    Tensor forward(const Tensor& x) override; \
    std::string extra_repr() const override;  \
  }

NNM_ACTIVATION(ReLU, InplaceOptions);       ///< max(x, 0)
NNM_ACTIVATION(ReLU6, InplaceOptions);      ///< min(max(x, 0), 6)
NNM_ACTIVATION(SELU, InplaceOptions);       ///< Klambauer et al. 2017: their scale times their ELU
NNM_ACTIVATION(SiLU, InplaceOptions);       ///< x / (1 + e^-x)
NNM_ACTIVATION(Mish, InplaceOptions);       ///< x tanh(log(1 + e^x)), Misra 2019
NNM_ACTIVATION(Hardswish, InplaceOptions);  ///< x relu6(x + 3) / 6, Howard et al. 2019
NNM_ACTIVATION(Hardsigmoid, InplaceOptions);  ///< relu6(x + 3) / 6
NNM_ACTIVATION(Sigmoid, NoOptions);           ///< 1 / (1 + e^-x)
NNM_ACTIVATION(LogSigmoid, NoOptions);        ///< log(1 / (1 + e^-x))
NNM_ACTIVATION(Tanh, NoOptions);
NNM_ACTIVATION(Softsign, NoOptions);    ///< x / (1 + |x|)
NNM_ACTIVATION(Tanhshrink, NoOptions);  ///< x - tanh(x)
NNM_ACTIVATION(Softmax2d, NoOptions);   ///< softmax over the channels of (N, C, H, W) or (C, H, W)

struct LeakyReLUOptions {
  Scalar negative_slope = 0.01;
  bool inplace = false;
};
NNM_ACTIVATION(LeakyReLU, LeakyReLUOptions);  ///< max(0, x) + negative_slope min(0, x)

struct RReLUOptions {
  Scalar lower = 1.0 / 8, upper = 1.0 / 3;
  bool inplace = false;
};
/// x where it is positive, else x times a slope: drawn from [lower, upper) in training, else their
/// mean. Xu et al. 2015.
NNM_ACTIVATION(RReLU, RReLUOptions);

struct AlphaOptions {
  Scalar alpha = 1.0;
  bool inplace = false;
};
NNM_ACTIVATION(ELU, AlphaOptions);   ///< x above zero, alpha (e^x - 1) below: Clevert et al. 2015
NNM_ACTIVATION(CELU, AlphaOptions);  ///< x above zero, alpha (e^(x / alpha) - 1) below: Barron 2017

struct GELUOptions {
  std::string approximate = "none";  ///< or "tanh"
};
/// x times the normal distribution's cumulative function at x, or its approximation by tanh:
/// Hendrycks and Gimpel 2016.
NNM_ACTIVATION(GELU, GELUOptions);

struct SoftplusOptions {
  Scalar beta = 1.0, threshold = 20.0;
};
/// log(1 + e^(beta x)) / beta; x where beta x is above the threshold.
NNM_ACTIVATION(Softplus, SoftplusOptions);

struct ShrinkOptions {
  Scalar lambd = 0.5;
};
NNM_ACTIVATION(Softshrink, ShrinkOptions);  ///< x moved by lambd towards zero, 0 within
NNM_ACTIVATION(Hardshrink, ShrinkOptions);  ///< x outside of [-lambd, lambd], 0 within

struct HardtanhOptions {
  Scalar min_val = -1.0, max_val = 1.0;
  bool inplace = false;
};
NNM_ACTIVATION(Hardtanh, HardtanhOptions);  ///< x cut to [min_val, max_val]

struct GLUOptions {
  int64_t dim = -1;
};
NNM_ACTIVATION(GLU, GLUOptions);  ///< a sigmoid(b), where a and b are the halves of x along dim

struct SoftmaxOptions {
  std::optional<int64_t> dim = {};  ///< none: PyTorch's implicit choice, with its warning
};
NNM_ACTIVATION(Softmax, SoftmaxOptions);     ///< e^x over its sum along dim
NNM_ACTIVATION(LogSoftmax, SoftmaxOptions);  ///< the logarithm of that
NNM_ACTIVATION(Softmin, SoftmaxOptions);     ///< softmax of -x

/// x where it is above the threshold, else the value.
class Threshold : public Module {
 public:
  struct Options {
    Scalar threshold = {}, value = {};
    bool inplace = false;
  };
  NNM_LAYER(Threshold, 2);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

/// max(0, x) + weight min(0, x); weight is (num_parameters), 1 or the number of channels
/// (dimension 1).
class PReLU : public Module {
 public:
  struct Options {
    int64_t num_parameters = 1;
    Scalar init = 0.25;
  };
  NNM_LAYER(PReLU, 0);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  void reset_parameters(const Streams& streams) override;
  std::string extra_repr() const override;
  Parameter weight;
};

}  // namespace nnm::nn
