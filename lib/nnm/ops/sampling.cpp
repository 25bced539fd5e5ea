// Draws by weights.
#include "nnm/ops/arguments.h"
#include "nnm/ops/gemm.h"

namespace nnm {

namespace {

/// Exponentially distributed: -log u of a u in [0, 1), which is never 0.
Tensor exponential(const Shape& shape, const TensorOptions& options, Generator* generator) {
  return neg(log(rand(shape, options, generator)));
}

}  // namespace

Tensor gumbel_softmax(const Tensor& logits, double tau, bool hard, int64_t dim,
                      Generator* generator) {
  detail::check_floating(logits, "gumbel_softmax");
  const Tensor gumbels = neg(log(exponential(logits.shape(), logits.options(), generator)));
  Tensor soft = softmax(div(add(logits, gumbels), Scalar(tau)), dim);
  if (!hard) return soft;
  const Tensor place = argmax(soft.detach(), dim, true);
  const Tensor one = ones(place.shape(), logits.options());
  const Tensor chosen = scatter(zeros(logits.shape(), logits.options()), dim, place, one);
  return add(sub(chosen, soft.detach()), soft);
}

Tensor multinomial(const Tensor& weights, int64_t num_samples, bool replacement,
                   Generator* generator) {
  const NoGradGuard no_grad;
  NNM_CHECK(weights.dim() == 1 || weights.dim() == 2, runtime, "prob_dist must be 1 or 2 dim");
  detail::check_floating(weights, "multinomial");
  NNM_CHECK(num_samples > 0, runtime, "cannot sample n_sample <= 0 samples");
  NNM_CHECK(replacement || num_samples <= weights.size(-1), runtime,
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement");
  if (!weights.is_meta() && weights.numel() > 0) {
    NNM_CHECK(all(isfinite(weights)).item().i && min(weights).item().d >= 0, runtime,
              "probability tensor contains either `inf`, `nan` or element < 0");
    NNM_CHECK(min(sum(weights, {-1})).item().d > 0, runtime,
              "invalid multinomial distribution (sum of probabilities <= 0)");
  }
  // The largest of weight / exponential falls on each with its share of the weights.
  if (!replacement) {
    const Tensor noise = exponential(weights.shape(), weights.options(), generator);
    return topk(div(weights, noise), num_samples, -1).second;
  }
  Shape each = weights.shape();
  each.insert(each.size() - 1, num_samples);
  const Tensor noise = exponential(each, weights.options(), generator);
  return argmax(div(unsqueeze(weights, -2), noise), -1);
}

namespace {

using namespace detail;

/// normal(mean, std) of tensors or numbers, normal(mean, std, size) of numbers.
Value normal_of(const Value* a) {
  if (!a[2].is_none()) {
    const Tensor z = randn(shape(a[2]), options(a[3], a[4]));
    return add(mul(z, number(a[1])), number(a[0]));
  }
  NNM_CHECK(is_tensor(a[0]) || is_tensor(a[1]), type,
            "normal: numbers alone need a size: `normal(0.0, 1.0, [2, 3])`");
  const Tensor like = is_tensor(a[0]) ? tensor(a[0]) : tensor(a[1]);
  const auto given = [&](const Value& v) {
    return is_tensor(v) ? tensor(v) : operand(number(v), like);
  };
  const Tensor mean = given(a[0]), std = given(a[1]);
  const Tensor z = randn(broadcast_shapes(mean.shape(), std.shape()), like.options());
  return add(mul(z, std), mean);
}

/// randint_like(x, high), randint_like(x, low, high).
Value randint_like_of(const Value* a) {
  const Tensor x = tensor(a[0]);
  const bool low_given = !a[2].is_none();
  const int64_t low = low_given ? a[1].integer() : 0;
  const int64_t high = low_given ? a[2].integer() : a[1].integer();
  return to(randint(low, high, x.shape()), {dtype(a[3]).value_or(x.dtype()), x.device()});
}

const Function kSamplingFunctions[] = {
    {"gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = false, eps: float = 1e-10, dim: "
     "int = -1)",
     "a sample of a class, soft or one-hot, with a gradient",
     [](const Value* a) -> Value {
       return gumbel_softmax(tensor(a[0]), a[1].real(), a[2].boolean(), a[4].integer());
     }},
    {"multinomial(input: Tensor, num_samples: int, replacement: bool = false)",
     "places drawn by weights",
     [](const Value* a) -> Value {
       return multinomial(tensor(a[0]), a[1].integer(), a[2].boolean());
     }},
    {"normal(mean: any = 0.0, std: any = 1.0, size: any = none, *, dtype: dtype = none, device: "
     "str = none)",
     "normal, of a mean and a standard deviation", normal_of},
    {"randint_like(input: Tensor, low: int, high: int = none, *, dtype: dtype = none)",
     "uniform integers, in the shape of another", randint_like_of},
};
NNM_REGISTER_FUNCTIONS(kSamplingFunctions);

}  // namespace
}  // namespace nnm
