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
NNM_ACTIVATION(SELU, InplaceOptions);       ///< Klambauer et al. 2017
NNM_ACTIVATION(SiLU, InplaceOptions);       ///< x / (1 + e^-x)
NNM_ACTIVATION(Mish, InplaceOptions);       ///< x tanh(log(1 + e^x))
NNM_ACTIVATION(Hardswish, InplaceOptions);  ///< x relu6(x + 3) / 6
NNM_ACTIVATION(Hardsigmoid, InplaceOptions);
NNM_ACTIVATION(Sigmoid, NoOptions);
NNM_ACTIVATION(LogSigmoid, NoOptions);
NNM_ACTIVATION(Tanh, NoOptions);
NNM_ACTIVATION(Softsign, NoOptions);    ///< x / (1 + |x|)
NNM_ACTIVATION(Tanhshrink, NoOptions);  ///< x - tanh(x)
NNM_ACTIVATION(Softmax2d, NoOptions);   ///< over the channels of (N, C, H, W) or (C, H, W)

struct LeakyReLUOptions {
  Scalar negative_slope = 0.01;
  bool inplace = false;
};
NNM_ACTIVATION(LeakyReLU, LeakyReLUOptions);

struct AlphaOptions {
  Scalar alpha = 1.0;
  bool inplace = false;
};
NNM_ACTIVATION(ELU, AlphaOptions);
NNM_ACTIVATION(CELU, AlphaOptions);

struct GELUOptions {
  std::string approximate = "none";  ///< or "tanh"
};
NNM_ACTIVATION(GELU, GELUOptions);

struct SoftplusOptions {
  Scalar beta = 1.0, threshold = 20.0;
};
NNM_ACTIVATION(Softplus, SoftplusOptions);

struct ShrinkOptions {
  Scalar lambd = 0.5;
};
NNM_ACTIVATION(Softshrink, ShrinkOptions);
NNM_ACTIVATION(Hardshrink, ShrinkOptions);

struct HardtanhOptions {
  Scalar min_val = -1.0, max_val = 1.0;
  bool inplace = false;
};
NNM_ACTIVATION(Hardtanh, HardtanhOptions);

struct GLUOptions {
  int64_t dim = -1;
};
NNM_ACTIVATION(GLU, GLUOptions);  ///< a sigmoid(b), where a and b are the halves of x along dim

struct SoftmaxOptions {
  std::optional<int64_t> dim = {};  ///< none: PyTorch's implicit choice, with its warning
};
NNM_ACTIVATION(Softmax, SoftmaxOptions);
NNM_ACTIVATION(LogSoftmax, SoftmaxOptions);
NNM_ACTIVATION(Softmin, SoftmaxOptions);

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
