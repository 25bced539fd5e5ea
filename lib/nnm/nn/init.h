// Initialisers: torch.nn.init as functions on tensors, and as types that a config's `init:` names.
#pragma once

#include <string>

#include "nnm/base/registry.h"
#include "nnm/tensor/generator.h"
#include "nnm/tensor/tensor.h"

namespace nnm {

/// A rule that fills a tensor: `Registry<Initializer>::make("normal", args)` for
/// `normal(std=0.02)`. Names and arguments are those of torch.nn.init without the trailing
/// underscore.
class Initializer : public Object {
 public:
  static constexpr const char* kRegistryKind = "initializer";
  /// Fills t in place, off the tape; a null generator is the process's default one. On meta tensors
  /// only the checks run. Throws Error(value) where the rule does not fit t's shape.
  virtual void operator()(const Tensor& t, Generator* generator = nullptr) const = 0;
};

}  // namespace nnm

/// The functions of torch.nn.init. All of them work in place, off the tape, return their tensor and
/// draw from `generator` (null: the default one). Errors are Error(value) with PyTorch's texts.
namespace nnm::nn::init {

const Tensor& uniform_(const Tensor& t, double a = 0, double b = 1, Generator* generator = nullptr);
const Tensor& normal_(const Tensor& t, double mean = 0, double std = 1,
                      Generator* generator = nullptr);
/// Normal, with what falls outside of [a, b] drawn again.
const Tensor& trunc_normal_(const Tensor& t, double mean = 0, double std = 1, double a = -2,
                            double b = 2, Generator* generator = nullptr);
const Tensor& constant_(const Tensor& t, double val);
const Tensor& ones_(const Tensor& t);
const Tensor& zeros_(const Tensor& t);
/// Ones on the diagonal of a matrix.
const Tensor& eye_(const Tensor& t);
/// Convolution weights (O, I, K…) that pass their inputs on, in each of the groups.
const Tensor& dirac_(const Tensor& t, int64_t groups = 1);
/// Glorot and Bengio 2010; t is (fan_out, fan_in, …).
const Tensor& xavier_uniform_(const Tensor& t, double gain = 1, Generator* generator = nullptr);
const Tensor& xavier_normal_(const Tensor& t, double gain = 1, Generator* generator = nullptr);
/// He et al. 2015. mode: "fan_in" keeps variances forward, "fan_out" backward; `a` is the slope of
/// a leaky_relu; nonlinearity as in calculate_gain.
const Tensor& kaiming_uniform_(const Tensor& t, double a = 0, const std::string& mode = "fan_in",
                               const std::string& nonlinearity = "leaky_relu",
                               Generator* generator = nullptr);
const Tensor& kaiming_normal_(const Tensor& t, double a = 0, const std::string& mode = "fan_in",
                              const std::string& nonlinearity = "leaky_relu",
                              Generator* generator = nullptr);
/// Saxe et al. 2013: rows or columns (whichever are fewer) orthonormal times gain; dimensions after
/// the first count as one.
const Tensor& orthogonal_(const Tensor& t, double gain = 1, Generator* generator = nullptr);
/// Martens 2010: normal, with that share of each column zero.
const Tensor& sparse_(const Tensor& t, double sparsity, double std = 0.01,
                      Generator* generator = nullptr);

/// The recommended gain for "linear", "conv1d" …, "sigmoid", "tanh", "relu", "leaky_relu" (param:
/// its negative_slope, 0.01 if absent), "selu".
double calculate_gain(const std::string& nonlinearity, std::optional<double> param = {});
/// Inputs and outputs of one unit of a weight (out, in, …). Needs two dimensions.
std::pair<int64_t, int64_t> calculate_fan_in_and_fan_out(const Tensor& t);

}  // namespace nnm::nn::init
