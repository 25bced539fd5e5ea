// Elements reduced and put into others at places that tensors say.
#include <algorithm>
#include <limits>

#include "nnm/ops/arguments.h"
#include "nnm/ops/functional.h"

namespace nnm {

namespace {

enum class Into : uint8_t { sum, prod, mean, amax, amin };

Into into_of(const std::string& word) {
  static constexpr const char* kWords[] = {"sum", "prod", "mean", "amax", "amin"};
  const auto at = std::find(std::begin(kWords), std::end(kWords), word);
  NNM_CHECK(at != std::end(kWords), runtime,
            "reduce argument must be either sum, prod, mean, amax or amin, got {}", word);
  return static_cast<Into>(at - std::begin(kWords));
}

/// Row-major places in x of each element of an index along d.
std::vector<int64_t> targets(const Tensor& x, int d, const Tensor& index) {
  const Shape strides = contiguous_strides(x.shape());
  const std::vector<int64_t> at = index.to_vector<int64_t>();
  std::vector<int64_t> out(at.size());
  std::vector<int64_t> place(static_cast<size_t>(index.dim()));
  for (size_t i = 0; i < at.size(); ++i) {
    for (int k = 0; k < index.dim(); ++k)
      out[i] += strides[k] * (k == d ? at[i] : place[static_cast<size_t>(k)]);
    for (int k = index.dim(); k-- > 0;) {
      if (++place[static_cast<size_t>(k)] < index.shape()[k]) break;
      place[static_cast<size_t>(k)] = 0;
    }
  }
  return out;
}

template <class T>
Tensor from_host(const std::vector<T>& values, const Tensor& like) {
  constexpr DType kType = std::is_same_v<T, double> ? DType::f64 : DType::i64;
  return to(tensor_of<T>(values, like.shape(), {kType}), like.options());
}

/// What a reduction of host numbers starts from where x's own do not count.
template <class T>
T neutral(Into how) {
  using Of = std::numeric_limits<T>;
  if (how == Into::prod) return 1;
  if constexpr (Of::has_infinity) return how == Into::amax ? -Of::infinity() : Of::infinity();
  else return how == Into::amax ? Of::lowest() : Of::max();
}

template <class T>
T combined(Into how, T a, T b) {
  if (how == Into::prod) return a * b;
  if (a != a || b != b) return a != a ? a : b;
  return how == Into::amax ? std::max(a, b) : std::min(a, b);
}

/// Products and extremes, which no addition gives; by the host.
template <class T>
Tensor reduced_on_host(const Tensor& x, int d, const Tensor& index, const Tensor& src, Into how,
                       bool include_self) {
  std::vector<T> y = x.to_vector<T>();
  const std::vector<T> from = src.to_vector<T>();
  const std::vector<int64_t> to_places = targets(x, d, index);
  if (!include_self)
    for (int64_t p : to_places) y[static_cast<size_t>(p)] = neutral<T>(how);
  for (size_t i = 0; i < from.size(); ++i) {
    T& into = y[static_cast<size_t>(to_places[i])];
    into = combined(how, into, from[i]);
  }
  return from_host(y, x);
}

/// How many elements of src come to each place, of the type of x.
Tensor arrivals(const Tensor& x, int d, const Tensor& index) {
  return scatter_add(zeros(x.shape(), x.options()), d, index, ones(index.shape(), x.options()));
}

Tensor sum_or_mean(const Tensor& x, int d, const Tensor& index, const Tensor& src, Into how,
                   bool include_self) {
  const Tensor count = arrivals(x, d, index);
  const Tensor own = include_self ? x : masked_fill(x, gt(count, Scalar(0)), Scalar(0));
  Tensor total = scatter_add(own, d, index, src);
  if (how == Into::sum) return total;
  const Tensor parts = clamp(include_self ? count + Scalar(1) : count, Scalar(1));
  return is_floating(x.dtype()) ? div(total, parts) : floor_divide(total, parts);
}

/// Of all factors of a place that are not this one, the product: 0 / 0 would say nothing.
struct Cofactors {
  Tensor of_self, of_src;
};
Cofactors cofactors_of(const Tensor& x, int d, const Tensor& index, const Tensor& src,
                       bool include_self) {
  const std::vector<double> own = x.to_vector<double>(), from = src.to_vector<double>();
  const std::vector<int64_t> at = targets(x, d, index);
  std::vector<double> rest(own.size(), 1), zero_count(own.size());
  std::vector<bool> met(own.size());
  const auto factor = [&](int64_t p, double f) {
    const auto i = static_cast<size_t>(p);
    if (f == 0) ++zero_count[i];
    else rest[i] *= f;
  };
  for (int64_t p : at) met[static_cast<size_t>(p)] = true;
  for (size_t i = 0; i < own.size(); ++i)
    if (include_self || !met[i]) factor(static_cast<int64_t>(i), own[i]);
  for (size_t i = 0; i < from.size(); ++i) factor(at[i], from[i]);
  const auto without = [&](size_t p, double f) {
    const double zeros_left = zero_count[p] - (f == 0 ? 1 : 0);
    return zeros_left > 0 ? 0 : f == 0 ? rest[p] : rest[p] / f;
  };
  std::vector<double> of_self(own.size()), of_src(from.size());
  for (size_t i = 0; i < own.size(); ++i)
    if (include_self || !met[i]) of_self[i] = without(i, own[i]);
  for (size_t i = 0; i < from.size(); ++i) of_src[i] = without(static_cast<size_t>(at[i]), from[i]);
  return {from_host(of_self, x), from_host(of_src, src)};
}

void product_gradient(Backward& b, const Tensor& x, int d, const Tensor& index, const Tensor& src,
                      bool include_self) {
  const Cofactors rest = cofactors_of(x, d, index, src, include_self);
  if (b.needs(0)) b.set(0, b.grad() * rest.of_self);
  if (b.needs(1)) b.set(1, gather(b.grad(), d, index) * rest.of_src);
}

/// The gradient goes in equal parts to all elements that are the extreme.
void extreme_gradient(Backward& b, const Tensor& x, int d, const Tensor& index, const Tensor& src,
                      const Tensor& y, bool include_self) {
  Tensor own = to(eq(x, y), x.dtype());
  if (!include_self) own = masked_fill(own, gt(arrivals(x, d, index), Scalar(0)), Scalar(0));
  const Tensor hit = to(eq(src, gather(y, d, index)), src.dtype());
  const Tensor part = b.grad() / clamp(scatter_add(own, d, index, hit), Scalar(1));
  if (b.needs(0)) b.set(0, part * own);
  if (b.needs(1)) b.set(1, gather(part, d, index) * hit);
}

}  // namespace

Tensor scatter_reduce(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src,
                      const std::string& reduce, bool include_self) {
  detail::check_defined(x, "scatter_reduce");
  const Into how = into_of(reduce);
  NNM_CHECK(x.dtype() == src.dtype(), runtime,
            "scatter(): Expected self.dtype to be equal to src.dtype");
  if (x.dim() == 0)
    return reshape(scatter_reduce(reshape(x, {1}), 0, reshape(index, {-1}), reshape(src, {-1}),
                                  reduce, include_self),
                   {});
  const int d = wrap_dim(dim, x.dim());
  // Checks what there is to check, and takes as much of src as there are places.
  const Tensor places = to(index, DType::i64);
  Tensor from = src;
  for (int k = 0; k < src.dim() && k < places.dim(); ++k)
    if (places.shape()[k] < src.shape()[k]) from = narrow(from, k, 0, places.shape()[k]);
  if (how == Into::sum || how == Into::mean || x.is_meta())
    return sum_or_mean(x, d, places, from, how, include_self);
  {
    const NoGradGuard no_grad;
    scatter_add(x, d, places, from);
  }
  const auto reduced = is_floating(x.dtype()) ? reduced_on_host<double> : reduced_on_host<int64_t>;
  Tensor y = reduced(x.detach(), d, places, from.detach(), how, include_self);
  if (!needs_grad({&x, &from})) return y;
  return record(
      "ScatterReduceBackward0", y, {&x, &from},
      [x = Saved(x), from = Saved(from), places = Saved(places),
       y = Saved::output(y, "ScatterReduceBackward0"), d, how, include_self](Backward& b) {
        const NoGradGuard no_grad;
        if (how == Into::prod)
          product_gradient(b, x.get(), d, places.get(), from.get(), include_self);
        else extreme_gradient(b, x.get(), d, places.get(), from.get(), y.get(), include_self);
      });
}

Tensor index_reduce(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source,
                    const std::string& reduce, bool include_self) {
  NNM_CHECK(reduce == "prod" || reduce == "mean" || reduce == "amax" || reduce == "amin", runtime,
            "index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {}.",
            reduce);
  const int d = wrap_dim(dim, x.dim());
  Shape ones = Shape::filled(x.dim(), 1), whole = x.shape();
  ones[d] = whole[d] = index.numel();
  return scatter_reduce(x, d, expand(reshape(index, ones), whole), source, reduce, include_self);
}

namespace {

/// x with values (broadcast to the shape of `places`) at row-major places.
Tensor put_at(const Tensor& x, const Tensor& places, const Tensor& values, bool accumulate) {
  const Tensor flat = reshape(x, {-1}), at = reshape(places, {-1});
  const Tensor from = reshape(expand(values, places.shape()), {-1});
  return reshape(accumulate ? index_add(flat, 0, at, from) : scatter(flat, 0, at, from), x.shape());
}

}  // namespace

Tensor index_put(const Tensor& x, const Value& indices, const Tensor& values, bool accumulate) {
  detail::check_defined(x, "index_put");
  NNM_CHECK(x.dtype() == values.dtype(), runtime,
            "Index put requires the source and destination dtypes match, got {} for the "
            "destination and {} for the source.",
            detail::scalar_type_name(x.dtype()), detail::scalar_type_name(values.dtype()));
  // A none keeps the whole dimension, and not a new one as in a subscript.
  Values subscript;
  for (const Value& i : indices.is_sequence() ? indices.items() : Values{indices})
    subscript.push_back(i.is_none() ? Value::slice({}, {}, {}) : i);
  const Tensor every = reshape(arange(0, x.numel(), 1, DType::i64, x.device()), x.shape());
  const Tensor places = index(every, Value::tuple(std::move(subscript)));
  const auto fits = [&] {
    if (values.dim() > places.dim()) return false;
    for (int k = 1; k <= values.dim(); ++k)
      if (values.size(-k) != 1 && values.size(-k) != places.size(-k)) return false;
    return true;
  };
  NNM_CHECK(fits(), runtime,
            "shape mismatch: value tensor of shape {} cannot be broadcast to indexing result of "
            "shape {}",
            values.shape().str(), places.shape().str());
  return put_at(x, places, values, accumulate);
}

Tensor put(const Tensor& x, const Tensor& index, const Tensor& source, bool accumulate) {
  detail::check_defined(x, "put");
  const int64_t n = x.numel();
  NNM_CHECK(index.dtype() == DType::i64, runtime,
            "put_(): Expected a long tensor for index, but got {}",
            detail::scalar_type_name(index.dtype()));
  NNM_CHECK(x.dtype() == source.dtype(), runtime,
            "put_(): self and source expected to have the same dtype, but got self.dtype = {} and "
            "source.dtype = {}",
            detail::scalar_type_name(x.dtype()), detail::scalar_type_name(source.dtype()));
  NNM_CHECK(index.numel() == source.numel(), runtime,
            "put_(): Expected source and index to have the same number of elements, but got "
            "source.numel() = {}, index.numel() = {}",
            source.numel(), index.numel());
  detail::check_index_range(index, -n, n, [n](int64_t bad) {
    fail(ErrorKind::index, "out of range: tried to access index {} on a tensor of {} elements.",
         bad, n);
  });
  const Tensor places = where(lt(index, Scalar(0)), index + Scalar(n), index);
  return put_at(x, places, reshape(source, index.shape()), accumulate);
}

namespace {

using namespace detail;

/// Values of index_put: a number stands for a tensor.
Value index_put_of(const Value* a) {
  const Tensor x = tensor(a[0]);
  const Tensor values = is_tensor(a[2]) ? tensor(a[2]) : full({}, number(a[2]), x.options());
  return index_put(x, a[1], values, a[3].boolean());
}

const Function kScatterReduceFunctions[] = {
    {"scatter_reduce(input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str(\"sum\", "
     "\"prod\", \"mean\", \"amax\", \"amin\"), *, include_self: bool = true)",
     "with elements of src reduced into it", call<scatter_reduce>},
    {"index_reduce(input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str(\"prod\", "
     "\"mean\", \"amax\", \"amin\"), *, include_self: bool = true)",
     "with slices of a source reduced into it", call<index_reduce>},
    {"index_put(input: Tensor, indices: any, values: any, accumulate: bool = false)",
     "with values at places that tensors say", index_put_of},
    {"put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = false)",
     "with values at row-major places", call<put>},
};
NNM_REGISTER_FUNCTIONS(kScatterReduceFunctions);

}  // namespace
}  // namespace nnm
