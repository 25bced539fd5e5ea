// torch.nn.utils.parametrizations: weight_norm, spectral_norm and orthogonal.
//
//   nn::utils::parametrizations::weight_norm(conv);  // parametrizations.weight.original0 and 1
#pragma once

#include <optional>
#include <string>

#include "nnm/nn/parametrize.h"

namespace nnm::nn::utils::parametrizations {

/// w = g v / |v|, with norms over all dimensions but `dim`; none: of the whole tensor. original0 is
/// g, original1 v. States with weight_g and weight_v of the older weight_norm load as well.
/// Salimans and Kingma 2016. Returns the module, as the others do.
Module& weight_norm(Module& module, const std::string& name = "weight",
                    std::optional<int64_t> dim = 0);

/// w / sigma, the largest singular value, which n_power_iterations for each reading in training
/// follow. `dim` of the outputs: 1 of transposed convolutions, else 0. Miyato et al. 2018.
Module& spectral_norm(Module& module, const std::string& name = "weight",
                      int64_t n_power_iterations = 1, double eps = 1e-12,
                      std::optional<int64_t> dim = {});

/// Matrices with orthonormal columns, or rows where there are fewer. `orthogonal_map`: matrix_exp
/// (the default of square ones), cayley or householder. Lezcano-Casado 2019.
Module& orthogonal(Module& module, const std::string& name = "weight",
                   const std::string& orthogonal_map = "", bool use_trivialization = true);

}  // namespace nnm::nn::utils::parametrizations

namespace nnm::nn::utils {

/// The norms of v over all dimensions but `dim`, kept as extents of 1; none: one for all, 0-d.
Tensor norm_except_dim(const Tensor& v, std::optional<int64_t> dim);

/// x (…) as a matrix (extent of `dim`, the rest).
Tensor as_matrix(const Tensor& x, int64_t dim);

/// 1 of transposed convolutions, 0 of everything else: the dimension of the outputs.
int64_t output_dim(const Module& module);

}  // namespace nnm::nn::utils
