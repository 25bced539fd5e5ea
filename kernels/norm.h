// Normalisations. Statistics are f64 for f64 and f32 otherwise; weight and bias may be absent, and
// have x's type. Gradients that are not wanted are absent.
#pragma once

#include "kernels/kernel.h"

namespace nnm::kernels {

/// x (N, C, …) dense, row-major or with C innermost (channels_last); y has its strides. Writes the
/// batch's mean (C) and 1 / sqrt(var + eps) (C), and moves running_mean and running_var, if
/// present, by momentum (towards the unbiased variance). Throws nothing; N·… > 1 is the caller's
/// duty.
inline constinit Kernel<void(const View& y, const View& x, const View& weight, const View& bias,
                             const View& mean, const View& invstd, const View& running_mean,
                             const View& running_var, double momentum, double eps)>
    batch_norm{"batch_norm"};
/// y = (x - mean) / sqrt(var + eps) weight + bias, by given statistics of any floating type.
inline constinit Kernel<void(const View& y, const View& x, const View& weight, const View& bias,
                             const View& mean, const View& var, double eps)>
    batch_norm_eval{"batch_norm_eval"};
/// dx, dweight, dbias (each may be absent) with the strides of x; `training` says that mean and
/// invstd are functions of x. The device is that of mean.
inline constinit Kernel<void(const View& mean, const View& dx, const View& dweight,
                             const View& dbias, const View& g, const View& x, const View& weight,
                             const View& invstd, bool training)>
    batch_norm_backward{"batch_norm_backward"};

/// Rows x (R, n) row-major. mean and rstd (R) are written; rms: mean is absent, no centring.
inline constinit Kernel<void(const View& y, const View& x, const View& weight, const View& bias,
                             const View& mean, const View& rstd, double eps, bool rms)>
    layer_norm{"layer_norm"};
inline constinit Kernel<void(const View& rstd, const View& dx, const View& dweight,
                             const View& dbias, const View& g, const View& x, const View& weight,
                             const View& mean, bool rms)>
    layer_norm_backward{"layer_norm_backward"};

/// x and y (N, C, I), row-major or, on the CPU, with channels innermost, in `groups` of channels;
/// weight and bias (C); mean, rstd (N, groups). Backward's images lie alike.
inline constinit Kernel<void(const View& y, const View& x, const View& weight, const View& bias,
                             const View& mean, const View& rstd, int64_t groups, double eps)>
    group_norm{"group_norm"};
inline constinit Kernel<void(const View& rstd, const View& dx, const View& dweight,
                             const View& dbias, const View& g, const View& x, const View& weight,
                             const View& mean, int64_t groups)>
    group_norm_backward{"group_norm_backward"};

}  // namespace nnm::kernels
