// torch.nn.init: how parameters start.
#include "nnm/nn/init.h"

#include <cmath>
#include <numeric>

#include "nnm/autograd/node.h"
#include "nnm/nn/hooks_detail.h"
#include "nnm/ops/ops.h"

namespace nnm::nn::init {

namespace {

bool is_empty(const Tensor& t) {
  if (t.numel() > 0) return false;
  warn_once("Initializing zero-element tensors is a no-op");
  return true;
}

int64_t correct_fan(const Tensor& t, const std::string& mode) {
  NNM_CHECK(mode == "fan_in" || mode == "fan_out", value,
            "Mode {} not supported, please use one of ['fan_in', 'fan_out']", mode);
  const auto [in, out] = calculate_fan_in_and_fan_out(t);
  return mode == "fan_in" ? in : out;
}

double xavier_std(const Tensor& t, double gain) {
  const auto [in, out] = calculate_fan_in_and_fan_out(t);
  return gain * std::sqrt(2.0 / static_cast<double>(in + out));
}

double kaiming_std(const Tensor& t, double a, const std::string& mode,
                   const std::string& nonlinearity) {
  const auto fan = static_cast<double>(correct_fan(t, mode));
  return calculate_gain(nonlinearity, a) / std::sqrt(fan);
}

// Values computed on the host, row-major, into t.
void put(const Tensor& t, const std::vector<double>& values) {
  const NoGradGuard no_grad;
  copy_(t, tensor_of<double>(values, t.shape(), {DType::f64}));
}

// Makes the n vectors of length m orthonormal (Gram-Schmidt, each vector cleaned twice). Signs are
// those of a QR whose R has a positive diagonal, which makes the result uniform (Mezzadri 2007).
void orthonormalize(std::vector<double>& v, size_t n, size_t m) {
  for (size_t i = 0; i < n; ++i) {
    double* x = v.data() + i * m;
    for (size_t j = 0; j < 2 * i; ++j) {
      const double* q = v.data() + (j % i) * m;
      const double along = std::inner_product(x, x + m, q, 0.0);
      for (size_t k = 0; k < m; ++k) x[k] -= along * q[k];
    }
    const double norm = std::sqrt(std::inner_product(x, x + m, x, 0.0));
    for (size_t k = 0; k < m; ++k) x[k] /= norm;
  }
}

}  // namespace

const Tensor& uniform_(const Tensor& t, double a, double b, Generator* generator) {
  const NoGradGuard no_grad;
  nnm::uniform_(t, a, b, generator);
  return t;
}

const Tensor& normal_(const Tensor& t, double mean, double std, Generator* generator) {
  const NoGradGuard no_grad;
  nnm::normal_(t, mean, std, generator);
  return t;
}

const Tensor& trunc_normal_(const Tensor& t, double mean, double std, double a, double b,
                            Generator* generator) {
  if (mean < a - 2 * std || mean > b + 2 * std) {
    warn_once(
        "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. The distribution of values "
        "may be incorrect.");
  }
  const NoGradGuard no_grad;
  nnm::trunc_normal_(t, mean, std, a, b, generator);
  return t;
}

const Tensor& constant_(const Tensor& t, double val) {
  const NoGradGuard no_grad;
  fill_(t, val);
  return t;
}

const Tensor& ones_(const Tensor& t) { return constant_(t, 1); }
const Tensor& zeros_(const Tensor& t) { return constant_(t, 0); }

const Tensor& eye_(const Tensor& t) {
  NNM_CHECK(t.dim() == 2, value, "Only tensors with 2 dimensions are supported");
  const NoGradGuard no_grad;
  copy_(t, eye(t.size(0), t.size(1), t.options()));
  return t;
}

const Tensor& dirac_(const Tensor& t, int64_t groups) {
  NNM_CHECK(t.dim() >= 3 && t.dim() <= 5, value,
            "Only tensors with 3, 4, or 5 dimensions are supported");
  NNM_CHECK(groups > 0 && t.size(0) % groups == 0, value, "dim 0 must be divisible by groups");
  if (t.is_meta()) return t;
  const int64_t per_group = t.size(0) / groups;
  const Shape strides = contiguous_strides(t.shape());
  int64_t centre = 0;
  for (int d = 2; d < t.dim(); ++d) centre += t.size(d) / 2 * strides[d];
  std::vector<double> values(static_cast<size_t>(t.numel()));
  for (int64_t g = 0; g < groups; ++g) {
    for (int64_t i = 0; i < std::min(per_group, t.size(1)); ++i) {
      values[static_cast<size_t>((g * per_group + i) * strides[0] + i * strides[1] + centre)] = 1;
    }
  }
  put(t, values);
  return t;
}

const Tensor& xavier_uniform_(const Tensor& t, double gain, Generator* generator) {
  const double bound = std::sqrt(3.0) * xavier_std(t, gain);
  return init::uniform_(t, -bound, bound, generator);
}

const Tensor& xavier_normal_(const Tensor& t, double gain, Generator* generator) {
  return init::normal_(t, 0, xavier_std(t, gain), generator);
}

const Tensor& kaiming_uniform_(const Tensor& t, double a, const std::string& mode,
                               const std::string& nonlinearity, Generator* generator) {
  if (is_empty(t)) return t;
  const double bound = std::sqrt(3.0) * kaiming_std(t, a, mode, nonlinearity);
  return init::uniform_(t, -bound, bound, generator);
}

const Tensor& kaiming_normal_(const Tensor& t, double a, const std::string& mode,
                              const std::string& nonlinearity, Generator* generator) {
  if (is_empty(t)) return t;
  return init::normal_(t, 0, kaiming_std(t, a, mode, nonlinearity), generator);
}

const Tensor& orthogonal_(const Tensor& t, double gain, Generator* generator) {
  NNM_CHECK(t.dim() >= 2, value, "Only tensors with 2 or more dimensions are supported");
  if (t.numel() == 0 || t.is_meta()) return t;
  const auto rows = static_cast<size_t>(t.size(0));
  const size_t cols = static_cast<size_t>(t.numel()) / rows;
  const size_t n = std::min(rows, cols), m = std::max(rows, cols);
  const Tensor drawn = empty({static_cast<int64_t>(n), static_cast<int64_t>(m)}, {DType::f64});
  init::normal_(drawn, 0, 1, generator);
  std::vector<double> q = drawn.to_vector<double>();
  orthonormalize(q, n, m);
  std::vector<double> values(n * m);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < cols; ++c) {
      values[r * cols + c] = gain * (rows <= cols ? q[r * m + c] : q[c * m + r]);
    }
  }
  put(t, values);
  return t;
}

const Tensor& sparse_(const Tensor& t, double sparsity, double std, Generator* generator) {
  NNM_CHECK(t.dim() == 2, value, "Only tensors with 2 dimensions are supported");
  if (t.is_meta()) return t;
  const auto rows = static_cast<size_t>(t.size(0)), cols = static_cast<size_t>(t.size(1));
  const auto zeros_per_column =
      std::min(rows, static_cast<size_t>(std::max(0.0, std::ceil(sparsity * t.size(0)))));
  const Tensor drawn = empty(t.shape(), {DType::f64});
  init::normal_(drawn, 0, std, generator);
  std::vector<double> values = drawn.to_vector<double>();
  for (size_t c = 0; c < cols; ++c) {
    const auto order = randperm(t.size(0), generator).to_vector<int64_t>();
    for (size_t i = 0; i < zeros_per_column; ++i) {
      values[static_cast<size_t>(order[i]) * cols + c] = 0;
    }
  }
  put(t, values);
  return t;
}

double calculate_gain(const std::string& nonlinearity, std::optional<double> param) {
  static const char* const kOnes[] = {"linear",           "conv1d",           "conv2d",
                                      "conv3d",           "conv_transpose1d", "conv_transpose2d",
                                      "conv_transpose3d", "sigmoid"};
  for (const char* name : kOnes) {
    if (nonlinearity == name) return 1;
  }
  if (nonlinearity == "tanh") return 5.0 / 3;
  if (nonlinearity == "relu") return std::sqrt(2.0);
  if (nonlinearity == "selu") return 3.0 / 4;
  NNM_CHECK(nonlinearity == "leaky_relu", value, "Unsupported nonlinearity {}", nonlinearity);
  const double slope = param.value_or(0.01);
  return std::sqrt(2.0 / (1 + slope * slope));
}

std::pair<int64_t, int64_t> calculate_fan_in_and_fan_out(const Tensor& t) {
  NNM_CHECK(t.dim() >= 2, value,
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions");
  int64_t field = 1;
  for (int d = 2; d < t.dim(); ++d) field *= t.size(d);
  return {t.size(1) * field, t.size(0) * field};
}

}  // namespace nnm::nn::init
