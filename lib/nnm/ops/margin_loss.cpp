// Losses as PyTorch puts them together from other functions.
#include "nnm/ops/margin_loss.h"

#include <numbers>

#include "nnm/ops/bounded.h"
#include "nnm/ops/detail.h"
#include "nnm/ops/function.h"
#include "nnm/ops/ops.h"
#include "nnm/ops/reduction.h"

namespace nnm {

namespace {

Tensor reduced_terms(const Tensor& terms, const std::string& reduction) {
  switch (detail::parse_reduction(reduction)) {
    case detail::Reduction::mean: return mean(terms);
    case detail::Reduction::sum: return sum(terms);
    case detail::Reduction::none: return terms;
  }
  return terms;
}

/// The variances in a shape that broadcasts with the input, which lacks or has 1 in one dimension.
Tensor variance_beside(const Tensor& input, const Tensor& var) {
  if (var.device().type == DeviceType::cpu && var.numel() > 0) {
    const NoGradGuard no_grad;
    NNM_CHECK(!(min(var).item().d < 0), value, "var has negative entry/entries");
  }
  if (var.shape() == input.shape()) return var;
  Dims leading(input.shape().begin(), input.shape().end());
  if (!leading.empty()) leading.pop_back();
  if (var.shape() == Shape(leading)) return unsqueeze(var, -1);
  int64_t differing = 0;
  for (int d = 0; d < std::min(var.dim(), input.dim()); ++d)
    if (var.size(d) != input.size(d)) differing += var.size(d);
  NNM_CHECK(var.dim() == input.dim() && differing == 1, value, "var is of incorrect size");
  return var;
}

Value gaussian_nll_of(const Value* a) {
  const Tensor input = a[0].as<Tensor>();
  const Tensor var = a[2].is(Value::Kind::tensor)
                         ? a[2].as<Tensor>()
                         : full(input.shape(), Scalar(a[2].real()), input.options());
  return gaussian_nll_loss(input, a[1].as<Tensor>(), var, a[3].boolean(), a[4].real(),
                           a[5].string());
}

/// Its gradient passes at 0.
Tensor above_zero(const Tensor& x) { return clamp(x, Scalar(0)); }

/// x where the condition holds, else 0.
Tensor only_where(const Tensor& condition, const Tensor& x) {
  return where(condition, x, zeros_like(x));
}

/// Its gradient is 0 at 0.
Tensor strictly_above_zero(const Tensor& x) { return only_where(gt(x, Scalar(0)), x); }

Tensor triplet_terms(const Tensor& anchor, const Tensor& positive, const Tensor& negative,
                     const DistanceFunction& distance, double margin, bool swap,
                     const std::string& reduction) {
  NNM_CHECK(margin > 0, value, "margin must be greater than 0, got {}", margin);
  const Tensor near = distance(anchor, positive);
  Tensor far = distance(anchor, negative);
  if (swap) far = minimum(far, distance(positive, negative));
  return reduced_terms(above_zero(near - far + Scalar(margin)), reduction);
}

/// input as rows of classes.
Tensor class_rows(const Tensor& input) {
  NNM_CHECK((input.dim() == 1 || input.dim() == 2) && input.size(-1) > 0, runtime,
            "Expected non-empty vector or matrix with optional 0-dim batch size, but got: {}",
            input.shape().str());
  return input.dim() == 2 ? input : unsqueeze(input, 0);
}

}  // namespace

Tensor soft_margin_loss(const Tensor& input, const Tensor& target, const std::string& reduction) {
  const Shape shape = broadcast_shapes(input.shape(), target.shape());
  NNM_CHECK(shape == input.shape(), runtime,
            "output with shape {} doesn't match the broadcast shape {}", input.shape().str(),
            shape.str());
  // Above it log(1 + e^x) is x to the last digit.
  constexpr double kSame = 40;
  return reduced_terms(softplus(neg(target) * input, 1, kSame), reduction);
}

Tensor hinge_embedding_loss(const Tensor& input, const Tensor& target, double margin,
                            const std::string& reduction) {
  const Tensor far = only_where(ne(target, Scalar(1)), above_zero(Scalar(margin) - input));
  return reduced_terms(only_where(ne(target, Scalar(-1)), input) + far, reduction);
}

Tensor margin_ranking_loss(const Tensor& input1, const Tensor& input2, const Tensor& target,
                           double margin, const std::string& reduction) {
  NNM_CHECK(input1.dim() == input2.dim() && input1.dim() == target.dim(), runtime,
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            "input1: {}, input2: {}, target: {} ",
            input1.shape().str(), input2.shape().str(), target.shape().str());
  return reduced_terms(above_zero(neg(target) * (input1 - input2) + Scalar(margin)), reduction);
}

Tensor cosine_embedding_loss(const Tensor& input1, const Tensor& input2, const Tensor& target,
                             double margin, const std::string& reduction) {
  const bool batch = target.dim() == 1 && input1.dim() == 2 && input2.dim() == 2;
  NNM_CHECK(batch || (target.dim() == 0 && input1.dim() == 1 && input2.dim() == 1), runtime,
            "{}D target tensor expects {}D input tensors, but found inputs with sizes {} and {}.",
            target.dim(), target.dim() + 1, input1.shape().str(), input2.shape().str());
  constexpr double kTiny = 1e-12;
  const Dims last = {-1};
  const Tensor norms =
      (sum(input1 * input1, last) + Scalar(kTiny)) * (sum(input2 * input2, last) + Scalar(kTiny));
  const Tensor cosine = sum(input1 * input2, last) / sqrt(norms);
  const Tensor alike = only_where(eq(target, Scalar(1)), Scalar(1) - cosine);
  const Tensor apart = only_where(eq(target, Scalar(-1)), above_zero(cosine - Scalar(margin)));
  return reduced_terms(alike + apart, reduction);
}

Tensor triplet_margin_loss(const Tensor& anchor, const Tensor& positive, const Tensor& negative,
                           double margin, double p, double eps, bool swap,
                           const std::string& reduction) {
  const auto distance = [p, eps](const Tensor& a, const Tensor& b) {
    return pairwise_distance(a, b, p, eps);
  };
  return triplet_terms(anchor, positive, negative, distance, margin, swap, reduction);
}

Tensor triplet_margin_with_distance_loss(const Tensor& anchor, const Tensor& positive,
                                         const Tensor& negative,
                                         const DistanceFunction& distance_function, double margin,
                                         bool swap, const std::string& reduction) {
  NNM_CHECK(anchor.dim() == positive.dim() && anchor.dim() == negative.dim(), runtime,
            "The anchor, positive, and negative tensors are expected to have the same number of "
            "dimensions, but got: anchor {}D, positive {}D, and negative {}D inputs",
            anchor.dim(), positive.dim(), negative.dim());
  if (distance_function)
    return triplet_terms(anchor, positive, negative, distance_function, margin, swap, reduction);
  return triplet_margin_loss(anchor, positive, negative, margin, 2, 1e-6, swap, reduction);
}

Tensor poisson_nll_loss(const Tensor& input, const Tensor& target, bool log_input, bool full,
                        double eps, const std::string& reduction) {
  Tensor terms =
      log_input ? exp(input) - target * input : input - target * log(input + Scalar(eps));
  if (full) {
    const Tensor stirling =
        target * log(target) - target + Scalar(0.5) * log(Scalar(2 * std::numbers::pi) * target);
    terms = terms + only_where(gt(target, Scalar(1)), stirling);
  }
  return reduced_terms(terms, reduction);
}

Tensor gaussian_nll_loss(const Tensor& input, const Tensor& target, const Tensor& var, bool full,
                         double eps, const std::string& reduction) {
  const Tensor spread = variance_beside(input, var);
  const Tensor bounded = detail::bounded_below(spread, eps);
  const Tensor difference = input - target;
  Tensor terms = Scalar(0.5) * (log(bounded) + difference * difference / bounded);
  if (full) terms = terms + Scalar(0.5 * std::log(2 * std::numbers::pi));
  return reduced_terms(terms, reduction);
}

Tensor multi_margin_loss(const Tensor& input, const Tensor& target, int64_t p, double margin,
                         const Tensor& weight, const std::string& reduction) {
  NNM_CHECK(p == 1 || p == 2, value, "only p == 1 and p == 2 supported");
  const Tensor x = class_rows(input), y = reshape(target, {x.size(0), 1});
  Tensor over = strictly_above_zero(Scalar(margin) - gather(x, 1, y) + x);
  if (p == 2) over = over * over;
  if (weight.defined()) over = over * reshape(index_select(weight, 0, reshape(y, {-1})), {-1, 1});
  const Tensor classes = arange(0, x.size(1), 1, DType::i64, x.device());
  const Tensor terms = mean(only_where(ne(classes, y), over), {1});
  return reduced_terms(input.dim() == 2 ? terms : squeeze(terms, 0), reduction);
}

Tensor multilabel_margin_loss(const Tensor& input, const Tensor& target,
                              const std::string& reduction) {
  const Tensor x = class_rows(input);
  NNM_CHECK(target.shape() == input.shape(), runtime,
            "inconsistent target size: {} for input of size: {}", target.shape().str(),
            input.shape().str());
  NNM_CHECK(target.dtype() == DType::i64, runtime, "expected scalar type Long but found {}",
            detail::scalar_type_name(target.dtype()));
  detail::check_index_range(target, -1, x.size(1), [](int64_t) {
    fail(ErrorKind::runtime, "argument #2 'target' is out of range");
  });
  const Tensor y = reshape(target, x.shape());
  const Tensor counts = eq(cumsum(to(lt(y, Scalar(0)), DType::i64), 1), Scalar(0));
  const Tensor named = clamp(y, Scalar(0));
  const Tensor in_target =
      gt(scatter_add(zeros(y.shape(), y.options()), 1, named, to(counts, DType::i64)), Scalar(0));
  // Pairs of a class in the target and one that is not: (N, C, C).
  const Tensor over =
      strictly_above_zero(Scalar(1) - unsqueeze(gather(x, 1, named), 2) + unsqueeze(x, 1));
  const Tensor pairs = logical_and(unsqueeze(counts, 2), logical_not(unsqueeze(in_target, 1)));
  const Tensor terms =
      sum(only_where(pairs, over), {1, 2}) / Scalar(static_cast<double>(x.size(1)));
  return reduced_terms(input.dim() == 2 ? terms : squeeze(terms, 0), reduction);
}

Tensor multilabel_soft_margin_loss(const Tensor& input, const Tensor& target, const Tensor& weight,
                                   const std::string& reduction) {
  Tensor terms = neg(target * logsigmoid(input) + (Scalar(1) - target) * logsigmoid(neg(input)));
  if (weight.defined()) terms = terms * weight;
  return reduced_terms(mean(terms, {-1}), reduction);
}

namespace {

Tensor tensor_or_none(const Value& v) { return v.is_none() ? Tensor() : v.as<Tensor>(); }

/// The reduction out of three arguments that follow one another.
std::string reduction_of(const Value* a) {
  return detail::legacy_reduction(Codec<std::optional<bool>>::read(a[0]),
                                  Codec<std::optional<bool>>::read(a[1]), a[2].string());
}

Value soft_margin_call(const Value* a) {
  return soft_margin_loss(a[0].as<Tensor>(), a[1].as<Tensor>(), reduction_of(a + 2));
}
Value hinge_embedding_call(const Value* a) {
  return hinge_embedding_loss(a[0].as<Tensor>(), a[1].as<Tensor>(), a[2].real(),
                              reduction_of(a + 3));
}
Value margin_ranking_call(const Value* a) {
  return margin_ranking_loss(a[0].as<Tensor>(), a[1].as<Tensor>(), a[2].as<Tensor>(), a[3].real(),
                             reduction_of(a + 4));
}
Value cosine_embedding_call(const Value* a) {
  return cosine_embedding_loss(a[0].as<Tensor>(), a[1].as<Tensor>(), a[2].as<Tensor>(), a[3].real(),
                               reduction_of(a + 4));
}
Value triplet_margin_call(const Value* a) {
  return triplet_margin_loss(a[0].as<Tensor>(), a[1].as<Tensor>(), a[2].as<Tensor>(), a[3].real(),
                             a[4].real(), a[5].real(), a[6].boolean(), reduction_of(a + 7));
}
Tensor triplet_distance_call(const Tensor& anchor, const Tensor& positive, const Tensor& negative,
                             double margin, bool swap, const std::string& reduction) {
  return triplet_margin_with_distance_loss(anchor, positive, negative, {}, margin, swap, reduction);
}
Value multilabel_margin_call(const Value* a) {
  return multilabel_margin_loss(a[0].as<Tensor>(), a[1].as<Tensor>(), reduction_of(a + 2));
}
Value poisson_nll_call(const Value* a) {
  return poisson_nll_loss(
      a[0].as<Tensor>(), a[1].as<Tensor>(), a[2].boolean(), a[3].boolean(), a[5].real(),
      detail::legacy_reduction(Codec<std::optional<bool>>::read(a[4]),
                               Codec<std::optional<bool>>::read(a[6]), a[7].string()));
}
Value multi_margin_call(const Value* a) {
  return multi_margin_loss(a[0].as<Tensor>(), a[1].as<Tensor>(), a[2].integer(), a[3].real(),
                           tensor_or_none(a[4]), reduction_of(a + 5));
}
Value multilabel_soft_margin_call(const Value* a) {
  return multilabel_soft_margin_loss(a[0].as<Tensor>(), a[1].as<Tensor>(), tensor_or_none(a[2]),
                                     reduction_of(a + 3));
}

#define NNM_REDUCTION "size_average: bool? = none, reduce: bool? = none, reduction: str = \"mean\")"

constexpr Function kMarginLossFunctions[] = {
    {"soft_margin_loss(input: Tensor, target: Tensor, " NNM_REDUCTION,
     "log(1 + exp(-target input))", soft_margin_call},
    {"hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, " NNM_REDUCTION,
     "input where target is 1, what it lacks of the margin where it is -1", hinge_embedding_call},
    {"margin_ranking_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = "
     "0, " NNM_REDUCTION,
     "max(0, -target (input1 - input2) + margin)", margin_ranking_call},
    {"cosine_embedding_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = "
     "0, " NNM_REDUCTION,
     "1 - cos where target is 1, what cos exceeds the margin by where it is -1",
     cosine_embedding_call},
    {"triplet_margin_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, "
     "p: float = 2, eps: float = 1e-06, swap: bool = false, " NNM_REDUCTION,
     "max(0, d(anchor, positive) - d(anchor, negative) + margin)", triplet_margin_call},
    {"triplet_margin_with_distance_loss(anchor: Tensor, positive: Tensor, negative: Tensor, *, "
     "margin: float = 1.0, swap: bool = false, reduction: str = \"mean\")",
     "triplet_margin_loss of the Euclidean distance", call<triplet_distance_call>},
    {"multilabel_margin_loss(input: Tensor, target: Tensor, " NNM_REDUCTION,
     "by how much classes that are not in the target come near those that are",
     multilabel_margin_call},
    {"poisson_nll_loss(input: Tensor, target: Tensor, log_input: bool = true, full: bool = false, "
     "size_average: bool? = none, eps: float = 1e-08, reduce: bool? = none, "
     "reduction: str = \"mean\")",
     "exp(input) - target input", poisson_nll_call},
    {"gaussian_nll_loss(input: Tensor, target: Tensor, var: any, full: bool = false, "
     "eps: float = 1e-06, reduction: str = \"mean\")",
     "(log(var) + (input - target)² / var) / 2", gaussian_nll_of},
    {"multi_margin_loss(input: Tensor, target: Tensor, p: int = 1, margin: float = 1.0, "
     "weight: Tensor? = none, " NNM_REDUCTION,
     "what other classes come nearer to the target's than the margin", multi_margin_call},
    {"multilabel_soft_margin_loss(input: Tensor, target: Tensor, weight: Tensor? = "
     "none, " NNM_REDUCTION,
     "binary_cross_entropy_with_logits, the mean over classes first", multilabel_soft_margin_call},
};
NNM_REGISTER_FUNCTIONS(kMarginLossFunctions);

#undef NNM_REDUCTION

}  // namespace

}  // namespace nnm
