// Muon (torch.optim.Muon).
#include <algorithm>
#include <cmath>

#include "nnm/ops/ops.h"
#include "nnm/optim/optimizers.h"
#include "nnm/optim/rule.h"

namespace nnm::optim {

namespace {

Tensor rounded(const Tensor& x) { return to(to(x, DType::bf16), DType::f32); }

/// The nearest orthogonal matrix, about: a polynomial of the singular values, several times. As in
/// PyTorch all of it is rounded to bf16, each product with what is added to it once.
Tensor orthogonal(const Tensor& update, const Muon::Options& o) {
  const bool tall = update.size(0) > update.size(1);
  Tensor x = rounded(tall ? t(update) : update);
  x = rounded(x / clamp(rounded(norm(x)), Scalar(o.eps.d)));
  const double a = o.ns_coefficients[0].d, b = o.ns_coefficients[1].d, c = o.ns_coefficients[2].d;
  for (int64_t step = 0; step < o.ns_steps; ++step) {
    const Tensor gram = rounded(matmul(x, t(x)));
    x = rounded(addmm(x, rounded(addmm(gram, gram, gram, b, c)), x, a));
  }
  return tall ? t(x) : x;
}

/// How much longer a matrix of that shape steps.
double lengthened(const std::optional<std::string>& how, const Tensor& param) {
  const auto rows = static_cast<double>(param.size(0)),
             columns = static_cast<double>(param.size(1));
  if (how == "match_rms_adamw") return 0.2 * std::sqrt(std::max(rows, columns));
  return std::sqrt(std::max(1.0, rows / columns));
}

}  // namespace

const Spec<Muon::Options>& Muon::spec() {
  static const auto s =
      Spec<Options>("Muon", "momentum made orthogonal, for matrices")
          .opt(NNM_ARG(lr), "learning rate")
          .opt(NNM_ARG(weight_decay), "shrink weights by lr times this")
          .opt(NNM_ARG(momentum), "decay of the average of the gradient")
          .opt(NNM_ARG(nesterov), "step from where the momentum leads")
          .opt(NNM_ARG(ns_coefficients), "of the polynomial of singular values")
          .opt(NNM_ARG(eps), "least norm that is divided by")
          .opt(NNM_ARG(ns_steps), "how often the polynomial is applied", at_least(0))
          .opt(NNM_ARG(adjust_lr_fn), "how a matrix's shape changes its step; none: original",
               one_of({"original", "match_rms_adamw"}));
  return s;
}

Muon::Muon(const Options& o) : Optimizer(spec().write(o)) { Muon::check(defaults()); }

const Signature& Muon::signature() const {
  static const Signature s = spec().signature();
  return s;
}

void Muon::check(const Values& options) const {
  const Options o = spec().read(options);
  require_option(o.lr.d >= 0, "Learning rate should be >= 0", "lr", o.lr);
  require_option(o.momentum.d >= 0, "momentum should be >= 0", "momentum", o.momentum);
  require_option(o.weight_decay.d >= 0, "weight decay should be >= 0", "weight_decay",
                 o.weight_decay);
  NNM_CHECK(o.ns_steps < 100, value,
            "Number of steps must be less than 100 for computational efficiency");
}

void Muon::check_parameter(const Tensor& param) const {
  NNM_CHECK(param.dim() == 2, value,
            "Muon only supports 2D parameters whereas we found a parameter with size: "
            "torch.Size({})",
            param.shape().str());
}

void Muon::begin_group(const Values& options) { o_ = spec().read(options); }

void Muon::init_state(const Tensor& param, State& state) const {
  state.tensors = {filled_like(param, 0)};
}

void Muon::update(const Tensor& param, const Tensor& grad, State& state) {
  const Tensor& average = state.tensors[0];
  copy_(average, lerp(average, grad, 1 - o_.momentum.d));
  const Tensor step = o_.nesterov ? lerp(grad, average, o_.momentum.d) : average;
  const double rate = o_.lr.d * lengthened(o_.adjust_lr_fn, param);
  mul_(param, Scalar(1 - o_.lr.d * o_.weight_decay.d));
  add_(param, orthogonal(step, o_), Scalar(-rate));
}

NNM_REGISTER(Optimizer, Muon);

}  // namespace nnm::optim
