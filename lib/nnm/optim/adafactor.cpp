// Adafactor (torch.optim.Adafactor).
#include <algorithm>
#include <cmath>
#include <limits>

#include "nnm/ops/ops.h"
#include "nnm/optim/optimizers.h"
#include "nnm/optim/rule.h"

namespace nnm::optim {

namespace {

/// The smallest number that makes a difference to 1.
double resolution(DType t) {
  switch (t) {
    case DType::f64: return std::numeric_limits<double>::epsilon();
    case DType::bf16: return 0x1p-7;
    case DType::f16: return 0x1p-10;
    default: return std::numeric_limits<float>::epsilon();
  }
}

double root_mean_square(const Tensor& x) {
  return norm(x).item().d / std::sqrt(static_cast<double>(x.numel()));
}

/// The mean of the squares along a dimension, which stays.
Tensor mean_square(const Tensor& x, int64_t dim) {
  return square(norm(x, 2, {dim}, true)) / Scalar(static_cast<double>(x.size(dim)));
}

void blend(const Tensor& average, const Tensor& now, double share) {
  copy_(average, lerp(average, now, share));
}

}  // namespace

const Spec<Adafactor::Options>& Adafactor::spec() {
  static const auto s =
      Spec<Options>("Adafactor", "steps scaled by squares that rows and columns share")
          .opt(NNM_ARG(lr), "largest relative step")
          .opt(NNM_ARG(beta2_decay), "exponent by which the averages grow longer")
          .opt(NNM_ARG(eps), "least root of the squares (none: the type's own), and of weights")
          .opt(NNM_ARG(d), "where updates are clipped")
          .opt(NNM_ARG(weight_decay), "shrink weights by lr times this")
          .keyword_only()
          .opt(NNM_ARG(foreach), "PyTorch's choice of implementation; without effect")
          .opt(NNM_ARG(maximize), "maximize the objective instead of minimizing it");
  return s;
}

Adafactor::Adafactor(const Options& o) : Optimizer(spec().write(o)) {
  Adafactor::check(defaults());
}

const Signature& Adafactor::signature() const {
  static const Signature s = spec().signature();
  return s;
}

void Adafactor::check(const Values& options) const {
  const Options o = spec().read(options);
  require_option(o.lr.d >= 0, "Learning rate should be >= 0", "lr", o.lr);
  require_option(o.beta2_decay.d <= 0, "beta2_decay should be <= 0", "beta2_decay", o.beta2_decay);
  if (const auto& least = o.eps.of_squares)
    require_option(least->d >= 0, "epsilon1 should be >= 0", "eps", *least);
  require_option(o.eps.of_weights.d >= 0, "epsilon2 should be >= 0", "eps", o.eps.of_weights);
  require_option(o.d.d >= 1, "Clipping threshold d should be >= 1", "d", o.d);
  require_option(o.weight_decay.d >= 0, "weight_decay should be >= 0", "weight_decay",
                 o.weight_decay);
}

void Adafactor::begin_group(const Values& options) { o_ = spec().read(options); }

void Adafactor::init_state(const Tensor& param, State& state) const {
  if (param.dim() < 2) {
    state.tensors = {{}, {}, filled_like(param, 0)};
    return;
  }
  Shape rows = param.shape(), columns = param.shape();
  rows[param.dim() - 1] = columns[param.dim() - 2] = 1;
  state.tensors = {zeros(rows, param.options()), zeros(columns, param.options()), {}};
}

void Adafactor::update(const Tensor& param, const Tensor& grad, State& state) {
  const Tensor g = o_.maximize ? neg(grad) : grad;
  const auto step = static_cast<double>(state.step);
  const double share = std::pow(step, o_.beta2_decay.d);
  const double rate = std::max(o_.eps.of_weights.d, root_mean_square(param)) *
                      std::min(o_.lr.d, 1 / std::sqrt(step));
  const double least = o_.eps.of_squares ? o_.eps.of_squares->d : resolution(param.dtype());
  if (o_.weight_decay.d != 0) mul_(param, Scalar(1 - o_.lr.d * o_.weight_decay.d));
  Tensor squares;
  if (g.dim() > 1) {
    const Tensor &rows = state.tensors[0], &columns = state.tensors[1];
    blend(rows, mean_square(g, -1), share);
    blend(columns, mean_square(g, -2), share);
    squares = matmul(rows, columns) / clamp(mean(rows, {-2}, true), Scalar(least));
  } else {
    blend(state.tensors[2], g * g, share);
    squares = state.tensors[2];
  }
  const Tensor update = rsqrt(clamp(squares, Scalar(least * least))) * g;
  add_(param, update, Scalar(-rate / std::max(1.0, root_mean_square(update) / o_.d.d)));
}

NNM_REGISTER(Optimizer, Adafactor);

}  // namespace nnm::optim
