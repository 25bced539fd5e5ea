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

namespace {

constexpr Function kDistanceFunctions[] = {
    {"normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12)",
     "input over its norm along dim", call<normalize>},
    {"cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8)",
     "cosine of the angle between x1 and x2 along dim", call<cosine_similarity>},
    {"pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = "
     "false)",
     "the p-norm of x1 - x2 over the last dimension", call<pairwise_distance>},
};
NNM_REGISTER_FUNCTIONS(kDistanceFunctions);

}  // namespace
}  // namespace nnm
