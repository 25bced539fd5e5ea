// The functions of formulas on a device: CUDA's own, at most 2 ulp off in float.
#pragma once

#include <cmath>

#include "kernels/host_device.h"

namespace nnm {
namespace {
namespace m {

#define NNM_FUNCTION(name)    \
  template <class T>          \
  NNM_HD inline T name(T x) { \
    return std::name(x);      \
  }
NNM_FUNCTION(exp)
NNM_FUNCTION(log)
NNM_FUNCTION(tanh)
NNM_FUNCTION(erf)
NNM_FUNCTION(expm1)
NNM_FUNCTION(log1p)
#undef NNM_FUNCTION

}  // namespace m
}  // namespace
}  // namespace nnm

#include "kernels/formulas.h"
