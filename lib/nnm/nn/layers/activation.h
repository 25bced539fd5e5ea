// Activations: functions of each element, and softmax and its kin along one dimension. All keep the
// shape of their input but GLU, which halves a dimension. `inplace` overwrites the input.
#pragma once

#include "nnm/nn/layers/layer.h"

namespace nnm::nn {

/// Activations with `inplace` as their only option.
struct InplaceOptions {
  bool inplace = false;
};
struct NoOptions {};

NNM_TENSOR_LAYER(ReLU, InplaceOptions, 0);   ///< max(x, 0)
NNM_TENSOR_LAYER(ReLU6, InplaceOptions, 0);  ///< min(max(x, 0), 6)
NNM_TENSOR_LAYER(SELU, InplaceOptions, 0);   ///< Klambauer et al. 2017: their scale times their ELU
NNM_TENSOR_LAYER(SiLU, InplaceOptions, 0);   ///< x / (1 + e^-x)
NNM_TENSOR_LAYER(Mish, InplaceOptions, 0);   ///< x tanh(log(1 + e^x)), Misra 2019
NNM_TENSOR_LAYER(Hardswish, InplaceOptions, 0);    ///< x relu6(x + 3) / 6, Howard et al. 2019
NNM_TENSOR_LAYER(Hardsigmoid, InplaceOptions, 0);  ///< relu6(x + 3) / 6
NNM_TENSOR_LAYER(Sigmoid, NoOptions, 0);           ///< 1 / (1 + e^-x)
NNM_TENSOR_LAYER(LogSigmoid, NoOptions, 0);        ///< log(1 / (1 + e^-x))
NNM_TENSOR_LAYER(Tanh, NoOptions, 0);
NNM_TENSOR_LAYER(Softsign, NoOptions, 0);    ///< x / (1 + |x|)
NNM_TENSOR_LAYER(Tanhshrink, NoOptions, 0);  ///< x - tanh(x)
NNM_TENSOR_LAYER(Softmax2d, NoOptions,
                 0);  ///< softmax over the channels of (N, C, H, W) or (C, H, W)

struct LeakyReLUOptions {
  Scalar negative_slope = 0.01;
  bool inplace = false;
};
NNM_TENSOR_LAYER(LeakyReLU, LeakyReLUOptions, 0);  ///< max(0, x) + negative_slope min(0, x)

struct RReLUOptions {
  Scalar lower = 1.0 / 8, upper = 1.0 / 3;
  bool inplace = false;
};
/// x where it is positive, else x times a slope: drawn from [lower, upper) in training, else their
/// mean. Xu et al. 2015.
NNM_TENSOR_LAYER(RReLU, RReLUOptions, 0);

struct AlphaOptions {
  Scalar alpha = 1.0;
  bool inplace = false;
};
NNM_TENSOR_LAYER(ELU, AlphaOptions,
                 0);  ///< x above zero, alpha (e^x - 1) below: Clevert et al. 2015
NNM_TENSOR_LAYER(CELU, AlphaOptions,
                 0);  ///< x above zero, alpha (e^(x / alpha) - 1) below: Barron 2017

struct GELUOptions {
  std::string approximate = "none";  ///< or "tanh"
};
/// x times the normal distribution's cumulative function at x, or its approximation by tanh:
/// Hendrycks and Gimpel 2016.
NNM_TENSOR_LAYER(GELU, GELUOptions, 0);

struct SoftplusOptions {
  Scalar beta = 1.0, threshold = 20.0;
};
/// log(1 + e^(beta x)) / beta; x where beta x is above the threshold.
NNM_TENSOR_LAYER(Softplus, SoftplusOptions, 0);

struct ShrinkOptions {
  Scalar lambd = 0.5;
};
NNM_TENSOR_LAYER(Softshrink, ShrinkOptions, 0);  ///< x moved by lambd towards zero, 0 within
NNM_TENSOR_LAYER(Hardshrink, ShrinkOptions, 0);  ///< x outside of [-lambd, lambd], 0 within

struct HardtanhOptions {
  Scalar min_val = -1.0, max_val = 1.0;
  bool inplace = false;
};
NNM_TENSOR_LAYER(Hardtanh, HardtanhOptions, 0);  ///< x cut to [min_val, max_val]

struct GLUOptions {
  int64_t dim = -1;
};
NNM_TENSOR_LAYER(GLU, GLUOptions,
                 0);  ///< a sigmoid(b), where a and b are the halves of x along dim

struct SoftmaxOptions {
  std::optional<int64_t> dim = {};  ///< none: PyTorch's implicit choice, with its warning
};
NNM_TENSOR_LAYER(Softmax, SoftmaxOptions, 0);     ///< e^x over its sum along dim
NNM_TENSOR_LAYER(LogSoftmax, SoftmaxOptions, 0);  ///< the logarithm of that
NNM_TENSOR_LAYER(Softmin, SoftmaxOptions, 0);     ///< softmax of -x

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
