// Values and slices, each once.
#include <algorithm>
#include <numeric>

#include "nnm/ops/arguments.h"
#include "nnm/ops/functional.h"

namespace nnm {

namespace {

/// Things in an order in which equal ones are neighbours, and where new ones begin.
struct Runs {
  Tensor order;  ///< (n, i64)
  Tensor fresh;  ///< (n, bool)
};

Tensor true_first(const Tensor& rest) { return cat({ones({1}, {DType::b8, rest.device()}), rest}); }

Runs runs_of_values(const Tensor& flat, bool sorted) {
  const int64_t n = flat.numel();
  const Tensor order = sorted ? argsort(flat) : arange(0, n, 1, DType::i64, flat.device());
  if (n == 0) return {order, zeros({0}, {DType::b8, flat.device()})};
  const Tensor in_order = sorted ? index_select(flat, 0, order) : flat;
  return {order, true_first(ne(narrow(in_order, 0, 1, n - 1), narrow(in_order, 0, 0, n - 1)))};
}

/// Of rows (n, m), compared element by element from the first on.
template <class T>
Runs runs_of_rows(const Tensor& rows, bool sorted) {
  const int64_t n = rows.size(0), m = rows.size(1);
  const std::vector<T> all = rows.to_vector<T>();
  const auto row = [&](int64_t i) { return all.begin() + i * m; };
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  if (sorted)
    std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) {
      return std::lexicographical_compare(row(i), row(i) + m, row(j), row(j) + m);
    });
  std::vector<uint8_t> fresh(static_cast<size_t>(n), 1);
  for (size_t k = 1; k < order.size(); ++k)
    fresh[k] = !std::equal(row(order[k - 1]), row(order[k - 1]) + m, row(order[k]));
  const Device device = rows.device();
  const Tensor fresh_of = to(tensor_of<uint8_t>(fresh, {n}, {DType::u8}), {DType::u8, device});
  return {to(tensor_of<int64_t>(order, {n}, {DType::i64}), {DType::i64, device}),
          to(fresh_of, DType::b8)};
}

Unique found(const Tensor& x, int64_t dim, const Runs& runs) {
  const Tensor starts = detail::nonzero_positions(runs.fresh);
  const int64_t n = runs.order.numel();
  Unique u;
  u.values = index_select(x, dim, index_select(runs.order, 0, starts));
  const Tensor group = cumsum(runs.fresh, 0, DType::i64) - Scalar(1);
  u.inverse = scatter(zeros_like(runs.order), 0, runs.order, group);
  u.counts = diff(cat({starts, full({1}, Scalar(n), {DType::i64, x.device()})}));
  return u;
}

Unique unique_of(const Tensor& x, std::optional<int64_t> dim, bool sorted, const char* op) {
  detail::check_defined(x, op);
  const NoGradGuard no_grad;
  if (!dim) {
    const Tensor flat = reshape(x.detach(), {-1});
    Unique u = found(flat, 0, runs_of_values(flat, sorted));
    u.inverse = reshape(u.inverse, x.shape());
    return u;
  }
  const int d = wrap_dim(*dim, x.dim());
  const Tensor first = movedim(x.detach(), {d}, {0});
  const Tensor rows =
      reshape(first, {first.size(0), first.numel() / std::max<int64_t>(first.size(0), 1)});
  if (x.is_meta()) {
    const int64_t n = first.size(0);
    return found(x.detach(), d,
                 {arange(0, n, 1, DType::i64, x.device()), ones({n}, {DType::b8, x.device()})});
  }
  const bool real = is_floating(x.dtype());
  return found(x.detach(), d,
               real ? runs_of_rows<double>(rows, sorted) : runs_of_rows<int64_t>(rows, sorted));
}

}  // namespace

Unique unique(const Tensor& x, std::optional<int64_t> dim) {
  return unique_of(x, dim, true, "unique");
}
Unique unique_consecutive(const Tensor& x, std::optional<int64_t> dim) {
  return unique_of(x, dim, false, "unique_consecutive");
}

namespace {

using namespace detail;

/// The values, and behind them what else was asked for.
Value with_rest(const Unique& u, bool inverse, bool counts) {
  Values out = {u.values};
  if (inverse) out.emplace_back(u.inverse);
  if (counts) out.emplace_back(u.counts);
  return out.size() == 1 ? out[0] : Value::tuple(std::move(out));
}

std::optional<int64_t> dim_of(const Value& v) { return Codec<std::optional<int64_t>>::read(v); }

const Function kUniqueFunctions[] = {
    {"unique(input: Tensor, sorted: bool = true, return_inverse: bool = false, return_counts: bool "
     "= false, dim: int = none)",
     "each value once, in order",
     [](const Value* a) -> Value {
       return with_rest(unique(tensor(a[0]), dim_of(a[4])), a[2].boolean(), a[3].boolean());
     }},
    {"unique_consecutive(input: Tensor, return_inverse: bool = false, return_counts: bool = false, "
     "dim: int = none)",
     "without what equals its neighbour before",
     [](const Value* a) -> Value {
       return with_rest(unique_consecutive(tensor(a[0]), dim_of(a[3])), a[1].boolean(),
                        a[2].boolean());
     }},
};
NNM_REGISTER_FUNCTIONS(kUniqueFunctions);

}  // namespace
}  // namespace nnm
