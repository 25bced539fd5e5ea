// Where values stand: in order, in a sequence, in sets.
#include <cmath>

#include "nnm/ops/arguments.h"

namespace nnm {

namespace detail {

Tensor middle_of_all(const char* node, const Tensor& x, Tensor (*of_flat)(const Tensor&)) {
  check_defined(x, node);
  Tensor y;
  {
    const NoGradGuard no_grad;
    y = x.numel() == 0 ? to(full({}, Scalar(NAN), {DType::f64, x.device()}), x.dtype())
                       : of_flat(reshape(x, {-1}));
  }
  if (!needs_grad({&x})) return y;
  return record(node, y, {&x}, [x = Saved(x), y = Saved::output(y, node)](Backward& b) {
    const NoGradGuard no_grad;
    const Tensor& v = x.get();
    const Tensor both_unknown = logical_and(isnan(v), isnan(y.get()));
    const Tensor ties = to(logical_or(eq(v, y.get()), both_unknown), b.grad().dtype());
    b.set(0, mul(ties, div(b.grad(), sum(ties))));
  });
}

}  // namespace detail

Tensors detail::places_of(const Tensor& condition) {
  return unbind(nonzero(condition.dim() == 0 ? reshape(condition, {1}) : condition), 1);
}

std::pair<Tensor, Tensor> median(const Tensor& x, int64_t dim, bool keepdim) {
  detail::check_defined(x, "median");
  if (x.dim() == 0) return {clone(x), zeros({}, {DType::i64, x.device()})};
  NNM_CHECK(x.size(dim) > 0, index, "median(): Expected reduction dim {} to have non-zero size.",
            dim);
  Tensor place;
  {
    const NoGradGuard no_grad;
    place = narrow(sort(x, dim).second, dim, (x.size(dim) - 1) / 2, 1);
    const Tensor unknown = isnan(x);
    place = where(any(unknown, {dim}, true), argmax(to(unknown, DType::i64), dim, true), place);
  }
  const Tensor value = gather(x, dim, place);
  if (keepdim) return {value, place};
  return {squeeze(value, dim), squeeze(place, dim)};
}

Tensor median(const Tensor& x) {
  return detail::middle_of_all("MedianBackward0", x,
                               [](const Tensor& flat) { return median(flat, 0).first; });
}

Tensor searchsorted(const Tensor& sorted, const Tensor& values, bool right) {
  const NoGradGuard no_grad;
  NNM_CHECK(sorted.dim() > 0, runtime,
            "torch.searchsorted(): input value can be a scalar only when boundaries tensor "
            "dimension is 1, but we got boundaries tensor dim(0)");
  const Tensor v = unsqueeze(values, -1);
  Tensor s = sorted;
  if (sorted.dim() > 1) {
    NNM_CHECK(sorted.dim() == values.dim(), runtime,
              "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 "
              "dimensions of boundaries tensor and input value tensor must match, but we got "
              "boundaries tensor {} and input value tensor {}",
              sorted.shape().str(), values.shape().str());
    s = unsqueeze(sorted, -2);
  }
  // What is no number stands behind all others.
  return sum(logical_not(right ? gt(s, v) : ge(s, v)), {-1});
}

Tensor bincount(const Tensor& x, const Tensor& weights, int64_t minlength) {
  const NoGradGuard no_grad;
  NNM_CHECK(x.dim() == 1 && !is_floating(x.dtype()), runtime,
            "bincount only supports 1-d non-negative integral inputs.");
  NNM_CHECK(minlength >= 0, runtime, "minlength should be >= 0");
  const bool known = !x.is_meta() && x.numel() > 0;
  NNM_CHECK(!known || min(x).item().i >= 0, runtime,
            "bincount only supports 1-d non-negative integral inputs.");
  const int64_t n = std::max(minlength, known ? max(x).item().i + 1 : 0);
  const DType type = !weights.defined()              ? DType::i64
                     : weights.dtype() == DType::f32 ? DType::f32
                                                     : DType::f64;
  const Tensor each = weights.defined() ? to(weights, type) : ones({x.numel()}, {type, x.device()});
  NNM_CHECK(each.shape() == x.shape(), runtime,
            "weights should be 1-d and have the same length as "
            "input");
  return scatter_add(zeros({n}, {type, x.device()}), 0, to(x, DType::i64), each);
}

Tensor isin(const Tensor& elements, const Tensor& test_elements, bool invert) {
  const NoGradGuard no_grad;
  const Tensor found = any(eq(unsqueeze(elements, -1), reshape(test_elements, {-1})), {-1});
  return invert ? logical_not(found) : found;
}

Tensor nonzero(const Tensor& x) {
  const NoGradGuard no_grad;
  if (x.numel() == 0) return zeros({0, x.dim()}, {DType::i64, x.device()});
  Tensor places = detail::nonzero_positions(x.dtype() == DType::b8 ? x : ne(x, Scalar(0)));
  Tensors columns(static_cast<size_t>(x.dim()));
  for (int d = x.dim() - 1; d >= 0; --d) {
    const Scalar extent(x.shape()[d]);
    columns[static_cast<size_t>(d)] = remainder(places, extent);
    places = floor_divide(places, extent);
  }
  if (columns.empty()) return zeros({places.numel(), 0}, {DType::i64, x.device()});
  return stack(columns, 1);
}

namespace {

using namespace detail;

Value median_of(const Value* a) {
  if (a[1].is_none()) return median(tensor(a[0]));
  return to_value(median(tensor(a[0]), a[1].integer(), a[2].boolean()));
}

Tensor as_index(const Tensor& places, const Value& out_int32) {
  return out_int32.boolean() ? to(places, DType::i32) : places;
}

Value searchsorted_of(const Value* a) {
  const Tensor sorted = a[5].is_none() ? tensor(a[0]) : gather(tensor(a[0]), -1, tensor(a[5]));
  const Tensor values = is_tensor(a[1]) ? tensor(a[1]) : operand(number(a[1]), sorted);
  const bool side = !a[4].is_none();
  NNM_CHECK(!side || !a[3].boolean() || a[4].string() == "right", runtime,
            "torch.searchsorted(): side and right can't be set to opposites, got side of {} while "
            "right was True",
            a[4].string());
  const bool right = side ? a[4].string() == "right" : a[3].boolean();
  return as_index(searchsorted(sorted, values, right), a[2]);
}

Value bucketize_of(const Value* a) {
  const Tensor boundaries = tensor(a[1]);
  NNM_CHECK(boundaries.dim() == 1, runtime,
            "torch.searchsorted(): boundaries tensor must be 1 dimension, but got dim({})",
            boundaries.dim());
  const Tensor values = is_tensor(a[0]) ? tensor(a[0]) : operand(number(a[0]), boundaries);
  return as_index(searchsorted(boundaries, values, a[3].boolean()), a[2]);
}

Value isin_of(const Value* a) {
  const Tensor like = is_tensor(a[0]) ? tensor(a[0]) : tensor(a[1]);
  const auto given = [&](const Value& v) {
    return is_tensor(v) ? tensor(v) : operand(number(v), like);
  };
  return isin(given(a[0]), given(a[1]), a[3].boolean());
}

Value nonzero_of(const Value* a) {
  return a[1].boolean() ? to_value(places_of(tensor(a[0]))) : Value(nonzero(tensor(a[0])));
}

const Function kSearchFunctions[] = {
    {"median(input: Tensor, dim: int = none, keepdim: bool = false)",
     "the middle element, the lower of two; with dim, and its place", median_of},
    {"searchsorted(sorted_sequence: Tensor, input: any, *, out_int32: bool = false, right: bool = "
     "false, side: str(\"left\", \"right\") = none, sorter: Tensor = none)",
     "where values would be put in a sorted sequence", searchsorted_of},
    {"bucketize(input: any, boundaries: Tensor, *, out_int32: bool = false, right: bool = false)",
     "between which boundaries values lie", bucketize_of},
    {"bincount(input: Tensor, weights: Tensor = none, minlength: int = 0)",
     "how often each number occurs", call<bincount>},
    {"isin(elements: any, test_elements: any, *, assume_unique: bool = false, invert: bool = "
     "false)",
     "which elements are among others", isin_of},
    {"nonzero(input: Tensor, *, as_tuple: bool = false)", "the places of what is not 0",
     nonzero_of},
};
NNM_REGISTER_FUNCTIONS(kSearchFunctions);

}  // namespace
}  // namespace nnm
