// torch.nn.utils: parameters all at once, norms fused into layers, the older weight norms;
// nnm/optim/clip.h has clip_grad_norm_ and its like.
#pragma once

#include "nnm/nn/layers/conv.h"
#include "nnm/nn/layers/linear.h"
#include "nnm/nn/layers/norm.h"
#include "nnm/nn/parametrizations.h"

namespace nnm::nn::utils {

/// All elements in one vector, with their gradients' ways. Throws Error(type) for several devices.
Tensor parameters_to_vector(const Tensors& parameters);
/// Slices of the vector become the parameters' data; they share its memory.
void vector_to_parameters(const Tensor& vec, const Tensors& parameters);

/// The weight and bias of a layer that does what it and the batch norm behind it do at inference.
/// `transpose`: of a transposed convolution.
std::pair<Tensor, Tensor> fuse_conv_bn_weights(const Tensor& conv_w, const Tensor& conv_b,
                                               const Tensor& bn_rm, const Tensor& bn_rv,
                                               double bn_eps, const Tensor& bn_w,
                                               const Tensor& bn_b, bool transpose = false);
std::pair<Tensor, Tensor> fuse_linear_bn_weights(const Tensor& linear_w, const Tensor& linear_b,
                                                 const Tensor& bn_rm, const Tensor& bn_rv,
                                                 double bn_eps, const Tensor& bn_w,
                                                 const Tensor& bn_b);

namespace detail {
/// Puts the weight and bias into `fused`, a copy of `layer`. Throws Error(runtime) in training.
void fuse_norm(const Module& layer, Module& fused, const NormBase& norm, double eps,
               bool transpose);
}  // namespace detail

/// A new layer that does at inference what `conv` and then the batch norm do. Both must be in eval
/// mode: Error(runtime).
template <class Conv, class Norm>
Ref<Conv> fuse_conv_bn_eval(const Conv& conv, const Norm& norm, bool transpose = false) {
  Ref<Conv> fused = deepcopy(conv);
  detail::fuse_norm(conv, *fused, norm, norm.options.eps.d, transpose);
  return fused;
}
template <class Norm>
Ref<Linear> fuse_linear_bn_eval(const Linear& linear, const Norm& norm) {
  Ref<Linear> fused = deepcopy(linear);
  detail::fuse_norm(linear, *fused, norm, norm.options.eps.d, false);
  return fused;
}

/// The older forms, deprecated by PyTorch for those of parametrizations: parameters weight_g and
/// weight_v, or weight_orig with buffers weight_u and weight_v, of the module itself. Throw
/// Error(runtime) where the tensor has one already. Return the module.
Module& weight_norm(Module& module, const std::string& name = "weight",
                    std::optional<int64_t> dim = 0);
Module& spectral_norm(Module& module, const std::string& name = "weight",
                      int64_t n_power_iterations = 1, double eps = 1e-12,
                      std::optional<int64_t> dim = {});
/// Make the tensor a parameter again. Throw Error(value) where there is no such norm.
Module& remove_weight_norm(Module& module, const std::string& name = "weight");
Module& remove_spectral_norm(Module& module, const std::string& name = "weight");

}  // namespace nnm::nn::utils
