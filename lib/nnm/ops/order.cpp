// Functions that put values in order: quantiles, running extremes, counts between bounds.
#include <algorithm>
#include <cmath>
#include <limits>

#include "nnm/ops/arguments.h"

namespace nnm {

namespace {

/// The later of two places along a dimension wherever `later` takes it, else the earlier one.
struct Extreme {
  Tensor value, place;
};

/// Running extremes: each doubling of the distance joins two runs. `wins` says where a later value
/// displaces an earlier one.
template <class Wins>
std::pair<Tensor, Tensor> running(const Tensor& x, int64_t dim, const Wins& wins) {
  if (x.dim() == 0) return {clone(x), zeros({}, {DType::i64, x.device()})};
  const int d = wrap_dim(dim, x.dim());
  const int64_t n = x.size(d);
  Tensor places;
  {
    const NoGradGuard no_grad;
    Shape along = Shape::filled(x.dim(), 1);
    along[d] = n;
    Extreme at{x.detach(),
               expand(reshape(arange(0, n, 1, DType::i64, x.device()), along), x.shape())};
    for (int64_t distance = 1; distance < n; distance *= 2) {
      const auto early = [&](const Tensor& t) { return narrow(t, d, 0, n - distance); };
      const auto late = [&](const Tensor& t) { return narrow(t, d, distance, n - distance); };
      const Tensor won = logical_or(
          isnan(late(at.value)),
          logical_and(logical_not(isnan(early(at.value))), wins(late(at.value), early(at.value))));
      const auto joined = [&](const Tensor& t) {
        return cat({narrow(t, d, 0, distance), where(won, late(t), early(t))}, d);
      };
      at = {joined(at.value), joined(at.place)};
    }
    places = contiguous(at.place);
  }
  return {gather(x, d, places), places};
}

}  // namespace

std::pair<Tensor, Tensor> cummax(const Tensor& x, int64_t dim) {
  detail::check_defined(x, "cummax");
  return running(x, dim, [](const Tensor& a, const Tensor& b) { return ge(a, b); });
}

std::pair<Tensor, Tensor> cummin(const Tensor& x, int64_t dim) {
  detail::check_defined(x, "cummin");
  return running(x, dim, [](const Tensor& a, const Tensor& b) { return le(a, b); });
}

Tensor logcumsumexp(const Tensor& x, int64_t dim) {
  detail::check_defined(x, "logcumsumexp");
  if (x.dim() == 0) return clone(x);
  const int d = wrap_dim(dim, x.dim());
  const int64_t n = x.size(d);
  Tensor y = x;
  for (int64_t distance = 1; distance < n; distance *= 2) {
    const Tensor sums =
        logaddexp(narrow(y, d, distance, n - distance), narrow(y, d, 0, n - distance));
    y = cat({narrow(y, d, 0, distance), sums}, d);
  }
  return n > 1 ? y : clone(y);
}

std::pair<Tensor, Tensor> kthvalue(const Tensor& x, int64_t k, int64_t dim, bool keepdim) {
  detail::check_defined(x, "kthvalue");
  const int64_t n = x.dim() == 0 ? 1 : x.size(dim);
  NNM_CHECK(k > 0 && k <= n, runtime, "kthvalue(): selected number k out of range for dimension {}",
            x.dim() == 0 ? 0 : wrap_dim(dim, x.dim()));
  if (x.dim() == 0) return {clone(x), zeros({}, {DType::i64, x.device()})};
  Tensor place;
  {
    const NoGradGuard no_grad;
    place = contiguous(narrow(sort(x, dim).second, dim, k - 1, 1));
  }
  const Tensor value = gather(x, dim, place);
  if (keepdim) return {value, place};
  return {squeeze(value, dim), squeeze(place, dim)};
}

namespace {

/// The values at ranks (…, Q), which may lie between two places, of x sorted along its last
/// dimension.
Tensor at_ranks(const Tensor& sorted, const Tensor& ranks, const std::string& interpolation) {
  const auto at = [&](const Tensor& rank) { return gather(sorted, -1, to(rank, DType::i64)); };
  if (interpolation == "lower") return at(floor(ranks));
  if (interpolation == "higher") return at(ceil(ranks));
  if (interpolation == "nearest") return at(round(ranks));
  const Tensor below = floor(ranks), low = at(below), high = at(ceil(ranks));
  if (interpolation == "midpoint") return lerp(low, high, 0.5);
  return low + (ranks - below) * (high - low);
}

}  // namespace

Tensor quantile(const Tensor& x, const Tensor& q, std::optional<int64_t> dim, bool keepdim,
                const std::string& interpolation, bool ignore_nan) {
  detail::check_defined(x, "quantile");
  NNM_CHECK(x.dtype() == DType::f32 || x.dtype() == DType::f64, runtime,
            "quantile() input tensor must be either float or double dtype");
  NNM_CHECK(x.numel() > 0, runtime, "quantile() input tensor must be non-empty");
  NNM_CHECK(q.dim() <= 1, runtime,
            "quantile() q must be a scalar or 1D tensor; but q has dimension: {}.", q.dim());
  NNM_CHECK(q.dtype() == x.dtype(), runtime,
            "quantile() q tensor must be same dtype as the input tensor");
  const int64_t d = dim && x.dim() > 0 ? wrap_dim(*dim, x.dim()) : 0;
  const Tensor rows = dim && x.dim() > 0 ? movedim(x, {d}, {-1}) : reshape(x, {-1});
  const int64_t n = rows.size(-1);
  Tensor ranks;
  {
    const NoGradGuard no_grad;
    const Tensor levels = reshape(q, {-1});
    NNM_CHECK(levels.is_meta() || levels.numel() == 0 ||
                  all(logical_and(ge(levels, Scalar(0)), le(levels, Scalar(1)))).item().i != 0,
              runtime, "quantile() q values must be in the range [0, 1]");
    const Tensor unknown = isnan(rows), first = unsqueeze(rows.detach(), -1);
    const Tensor missing = to(sum(unknown, {-1}, true), x.dtype());
    // Numbers that are no numbers stand last, and where one counts it is the answer.
    const Tensor last = Scalar(static_cast<double>(n - 1)) - missing;
    ranks = ignore_nan ? clamp(levels * last, Scalar(0))
                       : where(gt(missing, Scalar(0)),
                               full({}, Scalar(static_cast<double>(n - 1)), x.options()),
                               levels * Scalar(static_cast<double>(n - 1)));
    Shape wanted = rows.shape();
    wanted[wanted.size() - 1] = levels.numel();
    ranks = contiguous(expand(ranks, wanted));
  }
  Tensor y = at_ranks(sort(rows, -1).first, ranks, interpolation);
  Tensor out = q.dim() == 0 ? squeeze(y, -1) : movedim(y, {-1}, {0});
  if (!keepdim) return out;
  const int lead = q.dim();
  if (dim && x.dim() > 0) return unsqueeze(out, d + lead);
  Shape ones = Shape::filled(x.dim() + lead, 1);
  if (lead > 0) ones[0] = q.numel();
  return reshape(out, ones);
}

Tensor histc(const Tensor& x, int64_t bins, double low, double high) {
  detail::check_defined(x, "histc");
  const NoGradGuard no_grad;
  NNM_CHECK(bins > 0, runtime, "bins must be > 0");
  NNM_CHECK(low <= high, runtime, "torch.histc(): max must be larger than min");
  const Tensor all = reshape(x.detach(), {-1});
  if (low == high && all.numel() > 0 && !all.is_meta()) {
    low = min(all).item().d;
    high = max(all).item().d;
    NNM_CHECK(std::isfinite(low) && std::isfinite(high), runtime,
              "torch.histc: range of [{}, {}] is not finite", low, high);
  }
  if (low == high) {
    low -= 1;
    high += 1;
  }
  const Tensor inside = logical_and(ge(all, Scalar(low)), le(all, Scalar(high)));
  const Tensor place = (all - Scalar(low)) * Scalar(static_cast<double>(bins) / (high - low));
  const Tensor bin =
      clamp(floor(where(inside, place, zeros_like(place))), Scalar(0), Scalar(bins - 1));
  return scatter_add(zeros({bins}, x.options()), 0, to(bin, DType::i64), to(inside, x.dtype()));
}

namespace {

using namespace detail;

template <bool kIgnoreNan>
Value quantile_of(const Value* a) {
  const Tensor x = tensor(a[0]);
  const Tensor q = is_tensor(a[1]) ? tensor(a[1]) : full({}, number(a[1]), x.options());
  return quantile(x, q, Codec<std::optional<int64_t>>::read(a[2]), a[3].boolean(), a[4].string(),
                  kIgnoreNan);
}

#define NNM_QUANTILE(name, doc, ignore)                                                      \
  {                                                                                          \
#name                                                                                    \
        "(input: Tensor, q: any, dim: int = none, keepdim: bool = false, *, interpolation: " \
        "str(\"linear\", \"lower\", \"higher\", \"midpoint\", \"nearest\") = \"linear\")",   \
        doc, quantile_of < ignore>                                                           \
  }

const Function kOrderFunctions[] = {
    {"cummax(input: Tensor, dim: int)", "running maxima and their places", call<cummax>},
    {"cummin(input: Tensor, dim: int)", "running minima and their places", call<cummin>},
    {"logcumsumexp(input: Tensor, dim: int)", "log of running sums of e^x", call<logcumsumexp>},
    {"kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = false)",
     "the k-th smallest and its place", call<kthvalue>},
    {"msort(input: Tensor)", "in order along the first dimension",
     [](const Value* a) -> Value { return sort(tensor(a[0]), 0).first; }},
    {"aminmax(input: Tensor, *, dim: int = none, keepdim: bool = false)",
     "the smallest and the largest",
     [](const Value* a) -> Value {
       const Tensor x = tensor(a[0]);
       const Dims d = dims(a[1]);
       return to_value(std::pair(amin(x, d, a[2].boolean()), amax(x, d, a[2].boolean())));
     }},
    NNM_QUANTILE(quantile, "what a share q of the elements lies below; NaN where there is one",
                 false),
    NNM_QUANTILE(nanquantile, "the same of what is not NaN", true),
    {"histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0)",
     "how many elements lie in each of equal bins", call<histc>},
    {"argwhere(input: Tensor)", "the places of what is not 0",
     [](const Value* a) -> Value { return nonzero(tensor(a[0])); }},
};
#undef NNM_QUANTILE
NNM_REGISTER_FUNCTIONS(kOrderFunctions);

}  // namespace
}  // namespace nnm
