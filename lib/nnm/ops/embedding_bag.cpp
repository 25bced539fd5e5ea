// Sums, means and maxima of rows of a table, and what tables do beside.
#include <cmath>

#include "nnm/ops/detail.h"
#include "nnm/ops/function.h"
#include "nnm/ops/functional.h"

namespace nnm {

namespace {

Tensor flat_places(const Tensor& indices) { return to(reshape(indices, {-1}), DType::i64); }

// How often each row is named: (rows).
Tensor counts_of(const Tensor& indices, int64_t rows, TensorOptions options) {
  const Tensor flat = flat_places(indices);
  return scatter_add(zeros({rows}, options), 0, flat, ones(flat.shape(), options));
}

// Indices one after the other, and where bags begin among them.
struct Bags {
  Tensor input;    ///< (L)
  Tensor offsets;  ///< (bags), i64
  Tensor weights;  ///< (L), or undefined

  int64_t length() const { return input.numel(); }
  int64_t count() const { return offsets.numel(); }
  Device device() const { return input.device(); }
  /// The bag of each index: (L).
  Tensor bag_of_each() const;
  /// Where each bag ends: (bags).
  Tensor ends() const;
};

Tensor Bags::bag_of_each() const {
  const TensorOptions whole{DType::i64, device()};
  // Bags that begin behind the last index are empty.
  const Tensor begins =
      scatter_add(zeros({length() + 1}, whole), 0, offsets, ones({count()}, whole));
  return narrow(cumsum(begins, 0), 0, 0, length()) - Scalar(1);
}

Tensor Bags::ends() const {
  if (count() == 0) return offsets;
  const Tensor last = full({1}, length(), {DType::i64, device()});
  return cat({narrow(offsets, 0, 1, count() - 1), last});
}

Tensor checked_offsets(const Tensor& offsets, int64_t length, bool include_last) {
  NNM_CHECK(offsets.defined(), value, "offsets has to be a 1D Tensor but got None");
  NNM_CHECK(offsets.dim() == 1, value, "offsets has to be a 1D Tensor");
  const int64_t n = offsets.numel();
  if (!offsets.is_meta() && n > 0) {
    const int64_t first = select(offsets, 0, 0).item().i, last = select(offsets, 0, n - 1).item().i;
    NNM_CHECK(first == 0, runtime,
              "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start "
              "from position 0. However, got {}",
              first);
    NNM_CHECK(last <= length, runtime,
              "offsets[-1] can not be greater than input's length {} but got offsets[-1] of {}",
              length, last);
    NNM_CHECK(!any(lt(diff(offsets), Scalar(0))).item().i, runtime,
              "embedding_bag: offsets must not decrease");
  }
  NNM_CHECK(!include_last || n >= 1, runtime,
            "include_last_offset: number of offsets should be at least 1");
  return to(include_last ? narrow(offsets, 0, 0, n - 1) : offsets, DType::i64);
}

Bags bags_of(const Tensor& input, const EmbeddingBagOptions& o) {
  const Tensor& weights = o.per_sample_weights;
  NNM_CHECK(!weights.defined() || weights.shape() == input.shape(), value,
            "embedding_bag: If per_sample_weights (torch.Size({})) is not None, then it must have "
            "the same shape as the input (torch.Size({}))",
            weights.defined() ? weights.shape().str() : "", input.shape().str());
  NNM_CHECK(input.dim() == 1 || input.dim() == 2, value,
            "input has to be 1D or 2D Tensor, but got Tensor of dimension {}", input.dim());
  if (input.dim() == 1)
    return {input, checked_offsets(o.offsets, input.numel(), o.include_last_offset), weights};
  NNM_CHECK(!o.offsets.defined(), value,
            "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of "
            "fixed length sequences. However, found offsets of type <class 'torch.Tensor'>");
  const Tensor begin = arange(0, input.size(0), 1, DType::i64, input.device());
  return {reshape(input, {-1}), begin * Scalar(input.size(1)),
          weights.defined() ? reshape(weights, {-1}) : weights};
}

void check_bag(const Tensor& input, const Tensor& weight, const EmbeddingBagOptions& o) {
  detail::check_defined(input, "embedding_bag");
  detail::check_defined(weight, "embedding_bag");
  NNM_CHECK(weight.dim() == 2, value,
            "weight has to be a 2D Tensor, but got Tensor of dimension {}", weight.dim());
  NNM_CHECK(o.mode == "sum" || o.mode == "mean" || o.mode == "max", value,
            "mode has to be one of sum, mean or max");
  NNM_CHECK(o.mode != "max" || !o.scale_grad_by_freq, value,
            "max mode does not support scaling the gradient by the frequency");
  NNM_CHECK(o.mode == "sum" || !o.per_sample_weights.defined(), not_implemented,
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported "
            "for mode='sum' (got mode='{}'). Please open a feature request on GitHub.",
            o.mode);
  NNM_CHECK(!o.per_sample_weights.defined() || o.per_sample_weights.dtype() == weight.dtype(),
            runtime,
            "Expected tensor for argument #1 'weight' to have the same type as tensor for argument "
            "#1 'per_sample_weights'; but type {} does not equal {} (while checking arguments for "
            "embedding_bag)",
            legacy_type_name(weight.dtype()), legacy_type_name(o.per_sample_weights.dtype()));
  const int64_t n = weight.size(0), padding = o.padding_idx.value_or(0);
  NNM_CHECK(!o.padding_idx || (padding >= -n && padding < n), runtime,
            "padding_idx must be within the number of embeddings, {} through {}, but got {}", -n,
            n - 1, padding);
}

// The largest of each bag's rows, of those that count: rows of a grid, filled up to the longest.
Tensor largest_rows(const Tensor& rows, const Bags& bags, const Tensor& counts) {
  const Tensor lengths = bags.ends() - bags.offsets;
  const bool known = !lengths.is_meta() && lengths.numel() > 0;
  const int64_t longest = known ? max(lengths).item().i : 0;
  const Shape shape{bags.count(), rows.size(1)};
  if (longest == 0) return sum(rows) * Scalar(0.0) + zeros(shape, rows.options());
  const Tensor step = arange(0, longest, 1, DType::i64, rows.device());
  const Tensor place = unsqueeze(bags.offsets, 1) + step, inside = lt(step, unsqueeze(lengths, 1));
  const Tensor at = clamp(place, Scalar(0), Scalar(bags.length() - 1));
  const auto grid = [&](const Tensor& t) { return index_select(t, 0, reshape(at, {-1})); };
  const Tensor counted = logical_and(inside, reshape(grid(counts), at.shape()));
  const Tensor seen = reshape(grid(rows), {bags.count(), longest, rows.size(1)});
  const Tensor lowest = masked_fill(seen, logical_not(unsqueeze(counted, 2)), Scalar(-HUGE_VAL));
  const Tensor largest = max(lowest, 1).first;
  // An empty bag is zero.
  return where(any(counted, {1}, true), largest, zeros(shape, rows.options()));
}

}  // namespace

void embedding_renorm_(const Tensor& weight, const Tensor& indices, double max_norm,
                       double norm_type) {
  const NoGradGuard no_grad;
  const Tensor used = gt(counts_of(indices, weight.size(0), weight.options()), Scalar(0));
  const Tensor norms = norm(weight, norm_type, {1});
  const Tensor too_long = logical_and(used, gt(norms, Scalar(max_norm)));
  const Tensor scale = where(too_long, div(max_norm, norms + 1e-7), ones_like(norms));
  copy_(weight, weight * unsqueeze(scale, 1));
}

Tensor scale_grad_by_frequency(const Tensor& rows, const Tensor& indices, int64_t table) {
  if (!rows.requires_grad()) return rows;
  const Tensor counts = counts_of(indices, table, rows.options());
  const Tensor share = div(1.0, index_select(counts, 0, flat_places(indices)));
  Shape column = indices.shape();
  column.push_back(1);
  rows.register_hook([scale = reshape(share, column)](const Tensor& g) -> std::optional<Tensor> {
    return g.defined() ? std::optional(g * scale) : std::nullopt;
  });
  return rows;
}

Tensor embedding_bag(const Tensor& input, const Tensor& weight, const EmbeddingBagOptions& o) {
  check_bag(input, weight, o);
  const Bags bags = bags_of(input, o);
  if (o.max_norm) embedding_renorm_(weight, bags.input, *o.max_norm, o.norm_type);
  Tensor rows = embedding(bags.input, weight);
  if (o.scale_grad_by_freq) rows = scale_grad_by_frequency(rows, bags.input, weight.size(0));
  const int64_t padding = o.padding_idx.value_or(-1);
  const Tensor counts =
      ne(bags.input, Scalar(padding < 0 && o.padding_idx ? padding + weight.size(0) : padding));
  if (bags.count() == 0) return narrow(rows, 0, 0, 0);
  if (o.mode == "max") return largest_rows(rows, bags, counts);
  if (bags.weights.defined()) rows = rows * unsqueeze(bags.weights, 1);
  if (o.padding_idx) rows = where(unsqueeze(counts, 1), rows, zeros_like(rows));
  const Tensor bag = bags.bag_of_each();
  const Shape shape{bags.count(), weight.size(1)};
  Tensor total = index_add(zeros(shape, rows.options()), 0, bag, rows);
  if (o.mode == "sum") return total;
  const Tensor sizes =
      index_add(zeros({bags.count()}, rows.options()), 0, bag, to(counts, rows.dtype()));
  return total / unsqueeze(clamp(sizes, Scalar(1.0)), 1);
}

namespace {

Value embedding_bag_call(const Value* a) {
  const auto tensor = [](const Value& v) { return v.is_none() ? Tensor() : v.as<Tensor>(); };
  return embedding_bag(a[0].as<Tensor>(), a[1].as<Tensor>(),
                       {.offsets = tensor(a[2]),
                        .max_norm = Codec<std::optional<double>>::read(a[3]),
                        .norm_type = a[4].real(),
                        .scale_grad_by_freq = a[5].boolean(),
                        .mode = a[6].string(),
                        .per_sample_weights = tensor(a[8]),
                        .include_last_offset = a[9].boolean(),
                        .padding_idx = Codec<std::optional<int64_t>>::read(a[10])});
}

constexpr Function kEmbeddingBagFunctions[] = {
    {"embedding_bag(input: Tensor, weight: Tensor, offsets: Tensor? = none, max_norm: float? = "
     "none, norm_type: float = 2, scale_grad_by_freq: bool = false, mode: str = \"mean\", sparse: "
     "bool = false, per_sample_weights: Tensor? = none, include_last_offset: bool = false, "
     "padding_idx: int? = none)",
     "means, sums or maxima of bags of rows of weight", embedding_bag_call},
};
NNM_REGISTER_FUNCTIONS(kEmbeddingBagFunctions);

}  // namespace
}  // namespace nnm
