// Norms and distances between rows.
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
  const auto unit = [&](const Tensor& x) {
    const Tensor wide = to(x.shape() == shape ? x : expand(x, shape), type);
    return div(wide, clamp(norm(wide, 2, {dim}, true), Scalar(eps)));
  };
  return sum(mul(unit(a), unit(b)), {dim});
}

Tensor pairwise_distance(const Tensor& a, const Tensor& b, double p, double eps, bool keepdim) {
  const int rank = std::max(a.dim(), b.dim());
  return norm(add(sub(a, b), Scalar(eps)), p, {std::max(rank, 1) - 1}, keepdim);
}

Tensor cdist(const Tensor& x1, const Tensor& x2, double p) {
  NNM_CHECK(x1.dim() >= 2, runtime, "X1 must be at least 2-D, got: {}D", x1.dim());
  NNM_CHECK(x2.dim() >= 2, runtime, "X2 must be at least 2-D, got: {}D", x2.dim());
  NNM_CHECK(x1.size(-1) == x2.size(-1), runtime,
            "X1 and X2 must have the same number of columns. X1: {} X2: {}", x1.size(-1),
            x2.size(-1));
  NNM_CHECK(p >= 0, runtime, "cdist only supports non-negative p values");
  return norm(sub(unsqueeze(x1, -2), unsqueeze(x2, -3)), p, {-1});
}

namespace {

Tensor cdist_call(const Tensor& x1, const Tensor& x2, double p, const std::string&) {
  return cdist(x1, x2, p);
}

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
     "the p-norms of the differences of all rows", call<cdist_call>},
    {"dist(input: Tensor, other: Tensor, p: float = 2.0)", "the p-norm of input - other",
     [](const Value* a) -> Value {
       return norm(sub(a[0].as<Tensor>(), a[1].as<Tensor>()), a[2].real());
     }},
};
NNM_REGISTER_FUNCTIONS(kDistanceFunctions);

}  // namespace
}  // namespace nnm
