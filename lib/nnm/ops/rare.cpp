// Rarer functions of numbers and matrices, made of others.
#include <cmath>
#include <numbers>

#include "nnm/ops/arguments.h"
#include "nnm/ops/functional.h"
#include "nnm/ops/linalg.h"

namespace nnm {

Tensor fmod(const Tensor& left, const Tensor& right) {
  const DType type = detail::result_type(left, right);
  const Tensor a = to(left, type), b = to(right, type);
  Tensor rest, quotient;
  {
    const NoGradGuard no_grad;
    const Tensor size = remainder(abs(a), abs(b));
    rest = where(lt(a, Scalar(0)), neg(size), size);
    if (is_floating(rest.dtype())) quotient = round((a - rest) / b);
  }
  if (!needs_grad({&a, &b})) return rest;
  // The remainder is exact, and its gradients are those of a - quotient b.
  const Tensor y = a - quotient * b;
  return rest + (y - y.detach());
}

Tensor fmax(const Tensor& a, const Tensor& b) {
  return where(logical_or(ge(a, b), isnan(b)), a, b);
}
Tensor fmin(const Tensor& a, const Tensor& b) {
  return where(logical_or(le(a, b), isnan(b)), a, b);
}

Tensor float_power(const Tensor& a, const Tensor& b) {
  return pow(to(a, DType::f64), to(b, DType::f64));
}

Tensor xlogy(const Tensor& a, const Tensor& b) {
  const DType type = detail::float_type(detail::result_type(a, b));
  const Tensor x = to(a, type), y = to(b, type);
  const Tensor nothing = logical_and(eq(x, Scalar(0)), le(y, Scalar(0)));
  return x * log(where(nothing, ones({}, y.options()), y));
}

Tensor sinc(const Tensor& x) {
  const Tensor angle = to(x, detail::float_type(x.dtype())) * Scalar(std::numbers::pi);
  const Tensor middle = eq(angle, Scalar(0)), one = ones({}, angle.options());
  const Tensor safe = where(middle, one, angle);
  return where(middle, one, sin(safe) / safe);
}

Tensor signbit(const Tensor& x) {
  if (!is_floating(x.dtype())) return lt(x, Scalar(0));
  const NoGradGuard no_grad;
  return logical_or(lt(x, Scalar(0)), lt(reciprocal(x), Scalar(0)));
}

Tensor copysign(const Tensor& a, const Tensor& b) {
  const Tensor size = abs(to(a, detail::float_type(detail::result_type(a, b))));
  return where(signbit(b.detach()), neg(size), size);
}

Tensor heaviside(const Tensor& x, const Tensor& values) {
  NNM_CHECK(x.dtype() == values.dtype(), runtime,
            "heaviside is not yet implemented for tensors with different dtypes.");
  const NoGradGuard no_grad;
  return where(eq(x, Scalar(0)), values, to(gt(x, Scalar(0)), x.dtype()));
}

Tensor ldexp(const Tensor& x, const Tensor& exponent) {
  if (is_floating(exponent.dtype())) return x * pow(Scalar(2.0), exponent);
  // Powers of two that bf16 and f16 do not hold may still give products that they do.
  const DType type = detail::float_type(x.dtype());
  const DType wide = type == DType::f64 ? DType::f64 : DType::f32;
  return to(to(x, wide) * pow(Scalar(2.0), to(exponent, wide)), type);
}

Tensor logaddexp2(const Tensor& left, const Tensor& right) {
  const DType type = detail::float_type(detail::result_type(left, right));
  const Tensor a = to(left, type), b = to(right, type);
  const Tensor apart = neg(abs(masked_fill(a - b, eq(a, b), Scalar(0))));
  return maximum(a, b) + log1p(exp2(apart)) * Scalar(std::numbers::log2e);
}

Tensor addr(const Tensor& x, const Tensor& a, const Tensor& b, double beta, double alpha) {
  const Tensor product = outer(a, b) * Scalar(alpha);
  if (beta == 0) return expand(product, broadcast_shapes(x.shape(), product.shape()));
  return product + x * Scalar(beta);
}

Tensor matrix_power(const Tensor& x, int64_t n) {
  NNM_CHECK(x.dim() >= 2 && x.size(-1) == x.size(-2), runtime,
            "linalg.matrix_power: A must be batches of square matrices, but they are {} by {} "
            "matrices",
            x.dim() < 2 ? 1 : x.size(-2), x.dim() == 0 ? 1 : x.size(-1));
  if (n < 0) return matrix_power(inverse(x), -n);
  Tensor y = n == 0 ? expand(eye(x.size(-1), -1, x.options()), x.shape()) : Tensor();
  Tensor square = x;
  for (; n > 0; n /= 2) {
    if (n % 2 == 1) y = y.defined() ? matmul(y, square) : square;
    if (n > 1) square = matmul(square, square);
  }
  return y.is_same(x) ? clone(x) : y;
}

Tensor trapezoid(const Tensor& y, const Tensor& x, double dx, int64_t dim) {
  const int64_t d = wrap_dim(dim, y.dim()), n = y.size(d);
  if (n == 0) return sum(y, {d});
  const Tensor pairs = narrow(y, d, 0, n - 1) + narrow(y, d, 1, n - 1);
  if (!x.defined()) return sum(pairs, {d}) * Scalar(dx / 2);
  Tensor at = x;
  if (x.dim() == 1) {
    NNM_CHECK(x.size(0) == n, runtime,
              "trapezoid: There must be one `x` value for each sample point");
    Shape along = Shape::filled(y.dim(), 1);
    along[static_cast<int>(d)] = n;
    at = reshape(x, along);
  }
  return sum(pairs * diff(at, 1, x.dim() == 1 ? d : dim), {d}) / Scalar(2);
}

Tensor cov(const Tensor& x, int64_t correction, const Tensor& fweights, const Tensor& aweights) {
  NNM_CHECK(x.dim() <= 2, runtime,
            "cov(): expected input to have two or fewer dimensions but got an input with {} "
            "dimensions",
            x.dim());
  const Tensor rows = x.dim() < 2 ? reshape(x, {1, -1}) : x;
  const Tensor values = to(rows, detail::float_type(rows.dtype()));
  Tensor weight;
  if (fweights.defined()) weight = to(fweights, values.dtype());
  if (aweights.defined()) weight = weight.defined() ? weight * aweights : aweights;
  const Tensor total = weight.defined()
                           ? sum(weight)
                           : full({}, Scalar(static_cast<double>(rows.size(1))), values.options());
  const Tensor weighted = weight.defined() ? values * weight : values;
  const Tensor centred = values - sum(weighted, {1}, true) / total;
  Tensor norm = total;
  if (aweights.defined() && correction != 0)
    norm = total - sum(weight * aweights) / total * Scalar(correction);
  else norm = total - Scalar(correction);
  const Tensor other = weight.defined() ? centred * weight : centred;
  const Tensor out = matmul(other, transpose(centred, 0, 1)) / clamp(norm, Scalar(0));
  return squeeze(out);
}

Tensor corrcoef(const Tensor& x) {
  const Tensor c = cov(x, 1);
  if (c.dim() == 0) return c / c;
  const Tensor deviation = sqrt(diag(c));
  const Tensor y = c / unsqueeze(deviation, 1) / unsqueeze(deviation, 0);
  return clamp(y, Scalar(-1), Scalar(1));
}

Tensor renorm(const Tensor& x, double p, int64_t dim, double maxnorm) {
  NNM_CHECK(x.dim() > 1, runtime, "renorm: input needs at least 2 dimensions, got {} dimensions",
            x.dim());
  NNM_CHECK(p > 0, runtime, "renorm: non-positive-norm not supported");
  NNM_CHECK(maxnorm >= 0, runtime, "renorm: expected maxnorm to be >= 0 but got {}", maxnorm);
  Dims others;
  for (int d = 0; d < x.dim(); ++d)
    if (d != wrap_dim(dim, x.dim())) others.push_back(d);
  const Tensor norms = norm(x, p, others, true);
  const Tensor scale = Scalar(maxnorm) / (norms + Scalar(1e-7));
  return x * where(gt(norms, Scalar(maxnorm)), scale, ones({}, x.options()));
}

Tensor pdist(const Tensor& x, double p) {
  NNM_CHECK(x.dim() == 2, runtime, "pdist only supports 2D tensors, got: {}D", x.dim());
  NNM_CHECK(p >= 0, runtime, "pdist only supports non-negative p values");
  const DefaultDeviceGuard here(x.device());
  const Tensor pairs = triu_indices(x.size(0), x.size(0), 1);
  const auto rows = [&](int64_t side) { return index_select(x, 0, select(pairs, 0, side)); };
  return norm(rows(0) - rows(1), p, {1});
}

Tensor sum_to_size(const Tensor& x, const Shape& shape) {
  const auto fits = [&] {
    if (shape.size() > x.dim()) return false;
    for (int d = 1; d <= shape.size(); ++d) {
      const int64_t n = shape[shape.size() - d];
      if (n != 1 && n != x.size(-d)) return false;
    }
    return true;
  };
  NNM_CHECK(fits(), runtime, "size {{[{}]}} is not expandable to size {{[{}]}}.",
            fmt::join(shape.vec(), ", "), fmt::join(x.shape().vec(), ", "));
  return sum_to(x, shape);
}

namespace {

using namespace detail;

using Pair = Tensor (*)(const Tensor&, const Tensor&);

/// A number becomes a tensor beside the other; one below 0 keeps its sign beside bytes.
template <Pair F>
Value of_two(const Value* a) {
  const Tensor like = is_tensor(a[0]) ? tensor(a[0]) : tensor(a[1]);
  const auto given = [&](const Value& v) -> Tensor {
    if (is_tensor(v)) return tensor(v);
    const Scalar n = number(v);
    if (like.dtype() == DType::u8 && n.kind == Scalar::Kind::integer && n.i < 0)
      return scalar_tensor(n, DType::i64, like.device());
    return operand(n, like);
  };
  return F(given(a[0]), given(a[1]));
}

/// a - b cos(2 pi k / n) + c cos(4 pi k / n), n being the length of a period.
Tensor cosine_window(const Value* a, double level, double first, double second) {
  const int64_t length = a[0].integer();
  NNM_CHECK(length >= 0, runtime, "window_length must be a non-negative integer, got {}", length);
  const TensorOptions how = options(a[2], a[3]);
  if (length == 1) return ones({1}, how);
  const auto n = static_cast<double>(a[1].boolean() ? length : length - 1);
  const Tensor angle =
      arange(0, length, 1, how.dtype, how.device) * Scalar(2 * std::numbers::pi / n);
  const Tensor y = Scalar(level) - cos(angle) * Scalar(first);
  return second == 0 ? y : y + cos(angle * Scalar(2)) * Scalar(second);
}

Value bartlett_of(const Value* a) {
  const int64_t length = a[0].integer();
  NNM_CHECK(length >= 0, runtime, "window_length must be a non-negative integer, got {}", length);
  const TensorOptions how = options(a[2], a[3]);
  if (length == 1) return ones({1}, how);
  const auto n = static_cast<double>(a[1].boolean() ? length : length - 1);
  const Tensor k = arange(0, length, 1, how.dtype, how.device) * Scalar(2 / n);
  return Scalar(1) - abs(k - Scalar(1));
}

Value chain_of(const Value* a) {
  const auto all = Codec<Tensors>::read(a[0]);
  NNM_CHECK(!all.empty(), runtime, "chain_matmul(): Expected one or more matrices");
  Tensor y = all[0];
  for (size_t i = 1; i < all.size(); ++i) y = mm(y, all[i]);
  return y;
}

#define NNM_OF_TWO(name, doc) \
  { #name "(input: any, other: any)", doc, of_two < name> }
#define NNM_WINDOW(arguments)                            \
  "(window_length: int, periodic: bool = true" arguments \
  ", *, dtype: dtype = none, device: str = none)"

const Function kRareFunctions[] = {
    NNM_OF_TWO(fmod, "input % other, with the dividend's sign"),
    NNM_OF_TWO(fmax, "the larger, or the one that is a number"),
    NNM_OF_TWO(fmin, "the smaller, or the one that is a number"),
    NNM_OF_TWO(xlogy, "input log(other), 0 where input is 0"),
    NNM_OF_TWO(copysign, "input with the other's sign"),
    NNM_OF_TWO(ldexp, "input times 2 to the other"),
    NNM_OF_TWO(logaddexp2, "log2(2^input + 2^other)"),
    {"float_power(input: any, exponent: any)", "input ** exponent in f64", of_two<float_power>},
    {"heaviside(input: Tensor, values: Tensor)", "0, 1, or the value where input is 0",
     call<heaviside>},
    {"sinc(input: Tensor)", "sin(pi x) / (pi x)", call<sinc>},
    {"sgn(input: Tensor)", "-1, 0 or 1", call<sign>},
    {"fix(input: Tensor)", "without the part behind the point", call<trunc>},
    {"signbit(input: Tensor)", "is negative, -0.0 too", call<signbit>},
    {"isposinf(input: Tensor)", "is infinite and positive",
     [](const Value* a) -> Value {
       return logical_and(isinf(tensor(a[0])), gt(tensor(a[0]), Scalar(0)));
     }},
    {"isneginf(input: Tensor)", "is infinite and negative",
     [](const Value* a) -> Value {
       return logical_and(isinf(tensor(a[0])), lt(tensor(a[0]), Scalar(0)));
     }},
    {"addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1)",
     "beta input + alpha (outer product)", call<addr>},
    {"ger(input: Tensor, vec2: Tensor)", "outer product", call<outer>},
    {"vdot(input: Tensor, other: Tensor)", "product of two vectors", call<dot>},
    {"chain_matmul(*matrices: Tensor)", "product of several matrices", chain_of},
    {"matrix_power(input: Tensor, n: int)", "product of a matrix with itself", call<matrix_power>},
    {"adjoint(input: Tensor)", "matrices transposed",
     [](const Value* a) -> Value {
       const Tensor x = tensor(a[0]);
       return x.dim() == 0 ? x : transpose(x, -2, -1);
     }},
    {"trapezoid(y: Tensor, x: Tensor = none, *, dx: float = 1, dim: int = -1)",
     "integral by trapezoids", call<trapezoid>},
    {"trapz(y: Tensor, x: Tensor = none, *, dx: float = 1, dim: int = -1)",
     "integral by trapezoids", call<trapezoid>},
    {"cov(input: Tensor, *, correction: int = 1, fweights: Tensor = none, aweights: Tensor = none)",
     "covariances of rows", call<cov>},
    {"corrcoef(input: Tensor)", "correlations of rows", call<corrcoef>},
    {"renorm(input: Tensor, p: float, dim: int, maxnorm: float)",
     "slices of a dimension, none longer than maxnorm", call<renorm>},
    {"pdist(input: Tensor, p: float = 2)", "p-norms of the differences of all pairs of rows",
     call<pdist>},
    {"sum_to_size(input: Tensor, *size: any)", "sums of what was broadcast",
     [](const Value* a) -> Value { return sum_to_size(tensor(a[0]), shape(a[1])); }},
    {"fill(input: Tensor, value: any)", "one number everywhere",
     [](const Value* a) -> Value { return full_like(tensor(a[0]), number(a[1])); }},
    {"hann_window" NNM_WINDOW(""), "1/2 - 1/2 cos(2 pi k / n)",
     [](const Value* a) -> Value { return cosine_window(a, 0.5, 0.5, 0); }},
    {"hamming_window" NNM_WINDOW(", alpha: float = 0.54, beta: float = 0.46"),
     "alpha - beta cos(2 pi k / n)",
     [](const Value* a) -> Value {
       const Value rest[] = {a[0], a[1], a[4], a[5]};
       return cosine_window(rest, a[2].real(), a[3].real(), 0);
     }},
    {"blackman_window" NNM_WINDOW(""), "0.42 - cos(2 pi k / n) / 2 + 0.08 cos(4 pi k / n)",
     [](const Value* a) -> Value { return cosine_window(a, 0.42, 0.5, 0.08); }},
    {"bartlett_window" NNM_WINDOW(""), "1 - |2 k / n - 1|", bartlett_of},
};
#undef NNM_OF_TWO
#undef NNM_WINDOW
NNM_REGISTER_FUNCTIONS(kRareFunctions);

}  // namespace
}  // namespace nnm
