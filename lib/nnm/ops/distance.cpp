// Norms and distances between rows.
#include <algorithm>

#include "nnm/ops/bounded.h"
#include "nnm/ops/detail.h"
#include "nnm/ops/function.h"

namespace nnm {

Tensor normalize(const Tensor& x, double p, int64_t dim, double eps) {
  return div(x, clamp(norm(x, p, {dim}, true), Scalar(eps)));
}

Tensor cosine_similarity(const Tensor& a, const Tensor& b, int64_t dim, double eps) {
  const Shape shape = broadcast_shapes(a.shape(), b.shape());
  const DType type = detail::result_type(a, b);
  NNM_CHECK(is_floating(type), runtime,
            "expected common dtype to be floating point, yet common dtype is {}",
            detail::scalar_type_name(type));
  NNM_CHECK(eps >= 0, runtime, "eps must be non-negative, got: {:g}", eps);
  const auto unit = [&](const Tensor& x) {
    const Tensor wide = to(x.shape() == shape ? x : expand(x, shape), type);
    return div(wide, detail::bounded_below(norm(wide, 2, {dim}, true), eps));
  };
  return sum(mul(unit(a), unit(b)), {dim});
}

Tensor pairwise_distance(const Tensor& a, const Tensor& b, double p, double eps, bool keepdim) {
  const int rank = std::max(a.dim(), b.dim());
  return norm(add(sub(a, b), Scalar(eps)), p, {std::max(rank, 1) - 1}, keepdim);
}

namespace {

/// The rows of x1 and x2 by |a|² - 2 a b + |b|², one product of matrices: what PyTorch does where
/// there are many.
Tensor euclidean(const Tensor& x1, const Tensor& x2) {
  const auto distances = [&] {
    const NoGradGuard no_grad;
    const Tensor n1 = sum(square(x1), {-1}, true), n2 = sum(square(x2), {-1}, true);
    const Tensor left = cat({mul(x1, Scalar(-2.0)), n1, ones_like(n1)}, -1),
                 right = cat({x2, ones_like(n2), n2}, -1);
    return sqrt(clamp(matmul(left, transpose(right, -1, -2)), Scalar(0.0)));
  };
  Tensor y = distances();
  if (!needs_grad({&x1, &x2})) return y;
  constexpr const char* kNode = "EuclideanDistBackward0";
  return record(kNode, y, {&x1, &x2},
                [a = Saved(x1), b = Saved(x2), y = Saved::output(y, kNode)](Backward& back) {
                  const Tensor &x1 = a.get(), &x2 = b.get(), &d = y.get();
                  const Tensor ratio =
                      masked_fill(div(back.grad(), d), eq(d, zeros_like(d)), Scalar(0.0));
                  if (back.needs(0))
                    back.set(0, sub(mul(x1, sum(ratio, {-1}, true)), matmul(ratio, x2)));
                  const Tensor turned = transpose(ratio, -1, -2);
                  if (back.needs(1))
                    back.set(1, sub(mul(x2, sum(turned, {-1}, true)), matmul(turned, x1)));
                });
}

constexpr const char* kCdistModes[] = {"use_mm_for_euclid_dist_if_necessary",
                                       "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist"};

}  // namespace

Tensor cdist(const Tensor& x1, const Tensor& x2, double p, const std::string& compute_mode) {
  NNM_CHECK(x1.dim() >= 2, runtime, "X1 must be at least 2-D, got: {}D", x1.dim());
  NNM_CHECK(x2.dim() >= 2, runtime, "X2 must be at least 2-D, got: {}D", x2.dim());
  NNM_CHECK(x1.size(-1) == x2.size(-1), runtime,
            "X1 and X2 must have the same number of columns. X1: {} X2: {}", x1.size(-1),
            x2.size(-1));
  NNM_CHECK(p >= 0, runtime, "cdist only supports non-negative p values");
  const auto mode = std::find(std::begin(kCdistModes), std::end(kCdistModes), compute_mode);
  NNM_CHECK(mode != std::end(kCdistModes), value, "{} is not a valid value for compute_mode",
            compute_mode);
  constexpr int64_t kMany = 25;
  const bool many = mode == kCdistModes && (x1.size(-2) > kMany || x2.size(-2) > kMany);
  if (p == 2 && (many || mode == kCdistModes + 1)) {
    const Shape batch = broadcast_shapes(detail::leading(x1, 2), detail::leading(x2, 2));
    return euclidean(detail::with_leading(x1, batch), detail::with_leading(x2, batch));
  }
  return norm(sub(unsqueeze(x1, -2), unsqueeze(x2, -3)), p, {-1});
}

namespace {

const Function kDistanceFunctions[] = {
    {"normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12)",
     "input over its norm along dim", call<normalize>},
    {"cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8)",
     "cosine of the angle between x1 and x2 along dim", call<cosine_similarity>},
    {"pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = "
     "false)",
     "the p-norm of x1 - x2 over the last dimension", call<pairwise_distance>},
    {"cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = "
     "\"use_mm_for_euclid_dist_if_necessary\")",
     "the p-norms of the differences of all rows", call<cdist>},
    {"dist(input: Tensor, other: Tensor, p: float = 2.0)", "the p-norm of input - other",
     [](const Value* a) -> Value {
       return norm(sub(a[0].as<Tensor>(), a[1].as<Tensor>()), a[2].real());
     }},
};
NNM_REGISTER_FUNCTIONS(kDistanceFunctions);

}  // namespace
}  // namespace nnm
