// Functions of integers bit by bit, and special functions of numbers; by the host.
#include <cmath>
#include <numeric>

#include "nnm/ops/arguments.h"
#include "nnm/ops/functional.h"

namespace nnm {

namespace {

/// f of every pair of integers, broadcast.
template <class F>
Tensor of_integers(const Tensor& a, const Tensor& b, const char* kernel, const F& f) {
  detail::check_defined(a, kernel);
  detail::check_defined(b, kernel);
  detail::check_same_device(a, b);
  const DType type = detail::result_type(a, b);
  NNM_CHECK(!is_floating(type), not_implemented, "\"{}\" not implemented for '{}'", kernel,
            detail::scalar_type_name(type));
  const Shape shape = broadcast_shapes(a.shape(), b.shape());
  if (a.is_meta()) return empty(shape, {type, a.device()});
  const std::vector<int64_t> x = expand(to(a, type), shape).to_vector<int64_t>();
  const std::vector<int64_t> y = expand(to(b, type), shape).to_vector<int64_t>();
  std::vector<int64_t> out(x.size());
  for (size_t i = 0; i < x.size(); ++i) out[i] = f(x[i], y[i], type);
  return to(tensor_of<int64_t>(out, shape, {DType::i64}), {type, a.device()});
}

void refuse_bool(const Tensor& a, const Tensor& b, const char* kernel) {
  NNM_CHECK(detail::result_type(a, b) != DType::b8, not_implemented,
            "\"{}\" not implemented for 'Bool'", kernel);
}

int bits_of(DType t) { return static_cast<int>(8 * item_size(t)); }

}  // namespace

Tensor bitwise_and(const Tensor& a, const Tensor& b) {
  return of_integers(a, b, "bitwise_and_cpu", [](int64_t x, int64_t y, DType) { return x & y; });
}
Tensor bitwise_or(const Tensor& a, const Tensor& b) {
  return of_integers(a, b, "bitwise_or_cpu", [](int64_t x, int64_t y, DType) { return x | y; });
}
Tensor bitwise_xor(const Tensor& a, const Tensor& b) {
  return of_integers(a, b, "bitwise_xor_cpu", [](int64_t x, int64_t y, DType) { return x ^ y; });
}
Tensor bitwise_not(const Tensor& x) {
  return of_integers(x, x, "bitwise_not_cpu", [](int64_t v, int64_t, DType t) {
    return t == DType::b8 ? int64_t{v == 0} : ~v;
  });
}

Tensor bitwise_left_shift(const Tensor& a, const Tensor& b) {
  refuse_bool(a, b, "lshift_cpu");
  return of_integers(a, b, "lshift_cpu", [](int64_t x, int64_t by, DType t) -> int64_t {
    if (by < 0 || by >= bits_of(t)) return 0;
    return static_cast<int64_t>(static_cast<uint64_t>(x) << by);
  });
}
Tensor bitwise_right_shift(const Tensor& a, const Tensor& b) {
  refuse_bool(a, b, "rshift_cpu");
  return of_integers(a, b, "rshift_cpu", [](int64_t x, int64_t by, DType t) -> int64_t {
    if (by < 0 || by >= bits_of(t)) return x < 0 ? -1 : 0;
    return x >> by;
  });
}

Tensor gcd(const Tensor& a, const Tensor& b) {
  refuse_bool(a, b, "gcd_cpu");
  return of_integers(a, b, "gcd_cpu", [](int64_t x, int64_t y, DType) { return std::gcd(x, y); });
}
Tensor lcm(const Tensor& a, const Tensor& b) {
  refuse_bool(a, b, "lcm_cpu");
  return of_integers(a, b, "lcm_cpu", [](int64_t x, int64_t y, DType) { return std::lcm(x, y); });
}

namespace {

/// f of every element; the gradient is the output's times `slope` of x.
Tensor by_element(const Tensor& x, const char* op, const char* node, double (*f)(int64_t, double),
                  int64_t n, const std::function<Tensor(const Tensor&)>& slope) {
  detail::check_defined(x, op);
  const DType type = detail::float_type(x.dtype());
  Tensor y;
  if (x.is_meta()) {
    y = empty(x.shape(), {type, x.device()});
  } else {
    const NoGradGuard no_grad;
    std::vector<double> values = x.to_vector<double>();
    for (double& v : values) v = f(n, v);
    y = to(tensor_of<double>(values, x.shape(), {DType::f64}), {type, x.device()});
  }
  if (!needs_grad({&x})) return y;
  return record(node, y, {&x}, [x = Saved(x), slope](Backward& b) {
    const NoGradGuard no_grad;
    b.set(0, b.grad() * slope(x.get()));
  });
}

constexpr double kPi = 3.141592653589793;
constexpr double kFar = 10;  // from here on the asymptotic series are exact to the last bit

/// B_2k of k from 1 on.
constexpr double kBernoulli[] = {1.0 / 6,  -1.0 / 30,     1.0 / 42, -1.0 / 30,
                                 5.0 / 66, -691.0 / 2730, 7.0 / 6,  -3617.0 / 510};

double digamma_at(int64_t, double x) {
  if (x == 0) return std::copysign(INFINITY, -x);
  if (x < 0) {
    if (x == std::floor(x)) return NAN;
    return digamma_at(0, 1 - x) - kPi / std::tan(kPi * x);
  }
  double sum = 0;
  for (; x < kFar; ++x) sum -= 1 / x;
  sum += std::log(x) - 0.5 / x;
  double power = 1;
  for (size_t k = 0; k < std::size(kBernoulli); ++k) {
    power /= x * x;
    sum -= kBernoulli[k] / (2.0 * static_cast<double>(k + 1)) * power;
  }
  return sum;
}

/// The zeta function of Hurwitz, sum of (x + k)^-s, by Euler and Maclaurin.
double zeta(double s, double x) {
  if (x <= 0 && x == std::floor(x)) return INFINITY;
  double sum = 0;
  for (; x < kFar; ++x) sum += std::pow(x, -s);
  sum += std::pow(x, 1 - s) / (s - 1) + 0.5 * std::pow(x, -s);
  double term = s * std::pow(x, -s - 1), factorial = 2;
  for (size_t k = 0; k < std::size(kBernoulli); ++k) {
    sum += kBernoulli[k] / factorial * term;
    const double j = 2.0 * static_cast<double>(k + 1);
    term *= (s + j - 1) * (s + j) / (x * x);
    factorial *= (j + 1) * (j + 2);
  }
  return sum;
}

double polygamma_at(int64_t n, double x) {
  const auto order = static_cast<double>(n);
  return (n % 2 ? 1 : -1) * std::tgamma(order + 1) * zeta(order + 1, x);
}

double lgamma_at(int64_t, double x) { return std::lgamma(x); }

double entr_at(int64_t, double x) {
  if (x == 0) return 0;
  return x < 0 ? -INFINITY : -x * std::log(x);
}

constexpr double kRootHalf = 0.7071067811865475, kRootTwoPi = 2.5066282746310002;

double ndtr_at(int64_t, double x) { return std::erfc(-x * kRootHalf) / 2; }

double log_ndtr_at(int64_t, double x) {
  constexpr double kSmall = -35;  // erfc is no longer a normal number soon below
  if (x > 0) return std::log1p(-ndtr_at(0, -x));
  if (!(x < kSmall)) return std::log(ndtr_at(0, x));
  const double r = 1 / (x * x);  // Abramowitz and Stegun 26.2.12
  return -x * x / 2 - std::log(-x * kRootTwoPi) +
         std::log1p(r * (-1 + r * (3 - r * (15 - r * 105))));
}

/// The density of the normal distribution.
Tensor density(const Tensor& x) { return exp(x * x * Scalar(-0.5)) / Scalar(kRootTwoPi); }

/// I_n for n of 0 and 1.
double bessel_at(int64_t n, double x) {
  constexpr double kOverflows = 714;  // where even f64 holds no more; the library throws far above
  if (std::isnan(x)) return x;
  const double size = std::abs(x);
  const double y = size > kOverflows ? INFINITY : std::cyl_bessel_i(static_cast<double>(n), size);
  return n == 1 && x < 0 ? -y : y;
}

Tensor i1(const Tensor& x) { return by_element(x, "i1", "I1Backward0", bessel_at, 1, {}); }

}  // namespace

Tensor lgamma(const Tensor& x) {
  return by_element(x, "lgamma", "LgammaBackward0", lgamma_at, 0,
                    [](const Tensor& v) { return digamma(v); });
}

Tensor digamma(const Tensor& x) {
  return by_element(x, "digamma", "DigammaBackward0", digamma_at, 0,
                    [](const Tensor& v) { return polygamma(1, v); });
}

Tensor entr(const Tensor& x) {
  return by_element(x, "special_entr", "SpecialEntrBackward0", entr_at, 0,
                    [](const Tensor& v) { return neg(log(v)) - Scalar(1); });
}

Tensor ndtr(const Tensor& x) {
  return by_element(x, "special_ndtr", "SpecialNdtrBackward0", ndtr_at, 0, density);
}

Tensor log_ndtr(const Tensor& x) {
  return by_element(
      x, "special_log_ndtr", "SpecialLogNdtrBackward0", log_ndtr_at, 0,
      [](const Tensor& v) { return exp(v * v * Scalar(-0.5) - log_ndtr(v)) / Scalar(kRootTwoPi); });
}

Tensor polygamma(int64_t n, const Tensor& x) {
  NNM_CHECK(n >= 0, runtime, "polygamma(n, x) does not support negative n.");
  if (n == 0) return digamma(x);
  return by_element(x, "polygamma", "PolygammaBackward0", polygamma_at, n,
                    [n](const Tensor& v) { return polygamma(n + 1, v); });
}

Tensor i0(const Tensor& x) {
  return by_element(x, "i0", "I0Backward0", bessel_at, 0, [](const Tensor& v) { return i1(v); });
}

std::pair<Tensor, Tensor> nanmedian(const Tensor& x, int64_t dim, bool keepdim) {
  detail::check_defined(x, "nanmedian");
  if (x.dim() == 0) return {clone(x), zeros({}, {DType::i64, x.device()})};
  NNM_CHECK(x.size(dim) > 0, index, "nanmedian(): Expected reduction dim {} to have non-zero size.",
            dim);
  Tensor place;
  {
    const NoGradGuard no_grad;
    // What is no number stands last in order.
    const Tensor known = sum(logical_not(isnan(x)), {dim}, true);
    const Tensor middle = floor_divide(clamp(known - Scalar(1), Scalar(0)), Scalar(2));
    place = gather(sort(x, dim).second, dim, middle);
  }
  const Tensor value = gather(x, dim, place);
  if (keepdim) return {value, place};
  return {squeeze(value, dim), squeeze(place, dim)};
}

Tensor combinations(const Tensor& x, int64_t r, bool with_replacement) {
  NNM_CHECK(x.dim() == 1, runtime, "Expect a 1D vector, but got shape {}", x.shape().str());
  NNM_CHECK(r >= 0, runtime, "Expect a non-negative number, but got {}", r);
  if (r == 0) return empty({0}, x.options());
  const int64_t n = x.numel();
  std::vector<int64_t> all, pick(static_cast<size_t>(r));
  // Depth first over ascending places; a place may come twice with replacement.
  const std::function<void(size_t, int64_t)> choose = [&](size_t depth, int64_t from) {
    if (depth == pick.size()) {
      all.insert(all.end(), pick.begin(), pick.end());
      return;
    }
    for (int64_t i = from; i < n; ++i) {
      pick[depth] = i;
      choose(depth + 1, with_replacement ? i : i + 1);
    }
  };
  choose(0, 0);
  const auto rows = static_cast<int64_t>(all.size()) / r;
  const Tensor places =
      to(tensor_of<int64_t>(all, {rows * r}, {DType::i64}), {DType::i64, x.device()});
  return reshape(index_select(x, 0, places), {rows, r});
}

Tensor vander(const Tensor& x, std::optional<int64_t> n, bool increasing) {
  NNM_CHECK(x.dim() == 1, runtime, "x must be a one-dimensional tensor.");
  const int64_t columns = n.value_or(x.numel());
  NNM_CHECK(columns >= 0, runtime, "N must be non-negative.");
  const Tensor exponents = arange(0, columns, 1, DType::i64, x.device());
  return pow(unsqueeze(x, 1), unsqueeze(increasing ? exponents : flip(exponents, {0}), 0));
}

Tensor cumulative_trapezoid(const Tensor& y, const Tensor& x, double dx, int64_t dim) {
  const int64_t n = y.size(dim);
  const Tensor pairs = narrow(y, dim, 1, n - 1) + narrow(y, dim, 0, n - 1);
  if (!x.defined()) return cumsum(pairs, dim) * Scalar(dx / 2);
  Tensor at = x;
  if (x.dim() == 1) {
    Shape along = Shape::filled(y.dim(), 1);
    along[wrap_dim(dim, y.dim())] = x.numel();
    at = reshape(x, along);
  }
  return cumsum(pairs * diff(at, 1, x.dim() == 1 ? wrap_dim(dim, y.dim()) : dim), dim) / Scalar(2);
}

namespace {

using namespace detail;

using PairOf = Tensor (*)(const Tensor&, const Tensor&);

/// A number becomes a tensor beside the other.
template <PairOf F>
Value integers_of_two(const Value* a) {
  const Tensor like = is_tensor(a[0]) ? tensor(a[0]) : tensor(a[1]);
  const auto given = [&](const Value& v) {
    return is_tensor(v) ? tensor(v) : operand(number(v), like);
  };
  return F(given(a[0]), given(a[1]));
}

#define NNM_INTEGERS(name, doc) \
  { #name "(input: any, other: any)", doc, integers_of_two < name> }

const Function kSpecialFunctions[] = {
    NNM_INTEGERS(bitwise_and, "bits of both"),
    NNM_INTEGERS(bitwise_or, "bits of one or both"),
    NNM_INTEGERS(bitwise_xor, "bits of exactly one"),
    NNM_INTEGERS(bitwise_left_shift, "bits moved to higher places"),
    NNM_INTEGERS(bitwise_right_shift, "bits moved to lower places"),
    {"bitwise_not(input: Tensor)", "the other bits", call<bitwise_not>},
    {"gcd(input: Tensor, other: Tensor)", "greatest common divisors", call<gcd>},
    {"lcm(input: Tensor, other: Tensor)", "least common multiples", call<lcm>},
    {"lgamma(input: Tensor)", "logarithm of the gamma function", call<lgamma>},
    {"gammaln(input: Tensor)", "logarithm of the gamma function", call<lgamma>},
    {"digamma(input: Tensor)", "derivative of lgamma", call<digamma>},
    {"psi(input: Tensor)", "derivative of lgamma", call<digamma>},
    {"entr(input: Tensor)", "-x log(x), 0 at 0, -inf below", call<entr>},
    {"ndtr(input: Tensor)", "the normal distribution function", call<ndtr>},
    {"log_ndtr(input: Tensor)", "the logarithm of ndtr", call<log_ndtr>},
    {"polygamma(n: int, input: Tensor)", "n-th derivative of digamma", call<polygamma>},
    {"i0(input: Tensor)", "modified Bessel function of order 0", call<i0>},
    {"nanmedian(input: Tensor, dim: int = none, keepdim: bool = false)",
     "the median of what is not NaN",
     [](const Value* a) -> Value {
       if (a[1].is_none()) {
         return middle_of_all("NanmedianBackward0", tensor(a[0]),
                              [](const Tensor& flat) { return nanmedian(flat, 0).first; });
       }
       return to_value(nanmedian(tensor(a[0]), a[1].integer(), a[2].boolean()));
     }},
    {"combinations(input: Tensor, r: int = 2, with_replacement: bool = false)",
     "choices of r elements", call<combinations>},
    {"vander(x: Tensor, N: int = none, increasing: bool = false)", "powers of a vector as columns",
     call<vander>},
    {"cumulative_trapezoid(y: Tensor, x: Tensor = none, *, dx: float = 1, dim: int = -1)",
     "running integrals by trapezoids", call<cumulative_trapezoid>},
    {"is_nonzero(input: Tensor)", "whether the only element is not 0",
     [](const Value* a) -> Value {
       const Tensor x = tensor(a[0]);
       NNM_CHECK(x.numel() == 1, runtime, "Boolean value of Tensor with {} is ambiguous",
                 x.numel() == 0 ? "no values" : "more than one value");
       return ne(x, Scalar(0)).item().i != 0;
     }},
};
#undef NNM_INTEGERS
NNM_REGISTER_FUNCTIONS(kSpecialFunctions);

}  // namespace
}  // namespace nnm
