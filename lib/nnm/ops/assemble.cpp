// Tensors put together of others, and parts of tensors replaced.
#include <algorithm>

#include "nnm/ops/arguments.h"
#include "nnm/ops/functional.h"

namespace nnm {

Tensor atleast(const Tensor& x, int rank) {
  detail::check_defined(x, "atleast");
  Tensor y = x;
  if (y.dim() == 0) y = reshape(y, {1});
  if (y.dim() == 1 && rank > 1) y = unsqueeze(y, 0);
  return y.dim() == 2 && rank > 2 ? unsqueeze(y, -1) : y;
}

Tensor block_diag(const Tensors& tensors) {
  if (tensors.empty()) return empty({1, 0});
  Tensors rows;
  int64_t width = 0, before = 0;
  for (const Tensor& t : tensors) {
    NNM_CHECK(t.dim() <= 2, runtime,
              "torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {} has {} "
              "dimensions",
              &t - tensors.data(), t.dim());
    width += atleast(t, 2).size(1);
  }
  Tensor all = tensors[0];
  for (const Tensor& t : tensors) {
    const DType type = detail::result_type(all, t);
    all = t.dim() > all.dim() ? to(t, type) : to(all, type);
  }
  for (const Tensor& t : tensors) {
    const Tensor block = to(atleast(t, 2), all.dtype());
    const int64_t n = block.size(1);
    rows.push_back(pad(block, {before, width - before - n}));
    before += n;
  }
  return cat(rows, 0);
}

Tensor cartesian_prod(const Tensors& tensors) {
  NNM_CHECK(!tensors.empty(), runtime, "cartesian_prod expects at least one tensor");
  for (const Tensor& t : tensors)
    NNM_CHECK(t.dim() == 1, runtime, "Expect a 1D vector, but got shape [{}]",
              fmt::join(t.shape().vec(), ", "));
  if (tensors.size() == 1) return tensors[0];
  Tensors columns;
  for (const Tensor& t : meshgrid(tensors)) columns.push_back(reshape(t, {-1}));
  return stack(columns, 1);
}

Tensor rot90(const Tensor& x, int64_t k, const Dims& dims) {
  NNM_CHECK(dims.size() == 2, runtime, "expected total rotation dims == 2, but got dims = {}",
            dims.size());
  const int64_t a = wrap_dim(dims[0], x.dim()), b = wrap_dim(dims[1], x.dim());
  NNM_CHECK(a != b, runtime,
            "expected rotation dims to be different, but got dim0 = {} and dim1 = {}", dims[0],
            dims[1]);
  switch ((k % 4 + 4) % 4) {
    case 1: return transpose(flip(x, {b}), a, b);
    case 2: return flip(x, {a, b});
    case 3: return transpose(flip(x, {a}), a, b);
    default: return clone(x);
  }
}

Tensor take(const Tensor& x, const Tensor& index) {
  const int64_t n = x.numel();
  detail::check_index_range(index, -n, n, [&](int64_t bad) {
    fail(ErrorKind::index, "out of range: tried to access index {} on a tensor of {} elements.",
         bad, n);
  });
  const Tensor places = remainder(reshape(index, {-1}), Scalar(std::max(n, int64_t{1})));
  return reshape(index_select(reshape(x, {-1}), 0, places), index.shape());
}

Tensor windows_along(const Tensor& x, int64_t dimension, int64_t size, int64_t step) {
  const int64_t d = wrap_dim(dimension, x.dim()), n = x.dim() == 0 ? 1 : x.size(d);
  NNM_CHECK(size >= 0 && size <= n, runtime,
            "maximum size for tensor at dimension {} is {} but size is {}", d, n, size);
  NNM_CHECK(step > 0, runtime, "step is {} but must be > 0", step);
  if (x.dim() == 0) return narrow(reshape(x, {1}), 0, 0, size);
  const Tensor starts = arange(0, n - size + 1, step, DType::i64, x.device());
  const Tensor places = unsqueeze(starts, 1) + arange(0, size, 1, DType::i64, x.device());
  const Tensor all = index_select(x, d, reshape(places, {-1}));
  return movedim(unflatten(all, d, {starts.numel(), size}), {d + 1}, {-1});
}

namespace {

/// x with `src` in place of the part of it at the places `from`, `from` + step … of dimension d.
Tensor with_part(const Tensor& x, const Tensor& src, int64_t d, const Tensor& places,
                 const char* name) {
  Shape part = x.shape();
  part[static_cast<int>(d)] = places.numel();
  NNM_CHECK(src.shape() == part, runtime,
            "expected src to have a size equal to the {} of self. src size = [{}], {} size = [{}]",
            name, fmt::join(src.shape().vec(), ", "), name, fmt::join(part.vec(), ", "));
  return index_copy(x, d, places, to(src, x.dtype()));
}

}  // namespace

Tensor select_scatter(const Tensor& x, const Tensor& src, int64_t dim, int64_t index) {
  const int64_t d = wrap_dim(dim, x.dim()), n = x.size(d);
  NNM_CHECK(index >= -n && index < n, index,
            "select(): index {} out of range for tensor of size [{}] at dimension {}", index,
            fmt::join(x.shape().vec(), ", "), d);
  const int64_t at = index < 0 ? index + n : index;
  return with_part(x, unsqueeze(src, d), d, arange(at, at + 1, 1, DType::i64, x.device()), "slice");
}

Tensor slice_scatter(const Tensor& x, const Tensor& src, int64_t dim, std::optional<int64_t> start,
                     std::optional<int64_t> end, int64_t step) {
  NNM_CHECK(step > 0, value, "slice step must be positive");
  const int64_t d = wrap_dim(dim, x.dim()), n = x.size(d);
  const auto bound = [n](int64_t i) { return std::clamp(i < 0 ? i + n : i, int64_t{0}, n); };
  const int64_t from = bound(start.value_or(0));
  const int64_t to = std::max(from, bound(end.value_or(n)));
  return with_part(x, src, d, arange(from, to, step, DType::i64, x.device()), "slice");
}

Tensor masked_scatter(const Tensor& x, const Tensor& mask, const Tensor& source) {
  NNM_CHECK(mask.dtype() == DType::b8, runtime,
            "masked_scatter_ only supports boolean masks, but got mask with dtype {}",
            detail::scalar_type_name(mask.dtype()));
  NNM_CHECK(x.dtype() == source.dtype(), runtime,
            "masked_scatter: expected self and source to have same dtypes but got {} and {}",
            detail::scalar_type_name(x.dtype()), detail::scalar_type_name(source.dtype()));
  const Shape shape = broadcast_shapes(x.shape(), mask.shape());
  const Tensor chosen = reshape(expand(mask, shape), {-1});
  Tensor place;
  {
    const NoGradGuard no_grad;
    place = cumsum(to(chosen, DType::i64), 0) - Scalar(1);
    NNM_CHECK(place.is_meta() || place.numel() == 0 || max(place).item().i < source.numel(),
              runtime,
              "masked_scatter: expected the mask to have at most as many true elements as the "
              "source has elements, got {} and {}",
              max(place).item().i + 1, source.numel());
    place = clamp(place, Scalar(0));
  }
  if (source.numel() == 0) return clone(expand(x, shape));
  const Tensor there = index_select(reshape(source, {-1}), 0, place);
  return reshape(where(chosen, there, reshape(expand(x, shape), {-1})), shape);
}

Tensor cross(const Tensor& a, const Tensor& b, int64_t dim) {
  NNM_CHECK(a.dim() == b.dim(), runtime,
            "linalg.cross: inputs must have the same number of dimensions.");
  const Shape shape = broadcast_shapes(a.shape(), b.shape());
  const Tensor x = expand(a, shape), y = expand(b, shape);
  NNM_CHECK(x.size(dim) == 3, runtime,
            "linalg.cross: inputs dimension {} must have length 3. Got {} and {}", dim, x.size(dim),
            y.size(dim));
  const auto turned = [dim](const Tensor& t, int64_t by) { return roll(t, {-by}, {dim}); };
  return turned(x, 1) * turned(y, 2) - turned(x, 2) * turned(y, 1);
}

namespace {

using namespace detail;

Tensors tensors_of(const Value& v) {
  const Values& items = v.items();
  return Codec<Tensors>::read(items.size() == 1 && items[0].is_sequence() ? items[0] : v);
}

template <int kRank>
Value atleast_of(const Value* a) {
  const Values& items = a[0].items();
  if (items.size() == 1 && is_tensor(items[0])) return atleast(tensor(items[0]), kRank);
  Tensors out;
  for (const Tensor& t : tensors_of(a[0])) out.push_back(atleast(t, kRank));
  return to_value(out);
}

/// hsplit, vsplit, dsplit: tensor_split along one dimension, into equal parts alone.
Value split_along(const Value* a, const char* name, int64_t rank, int64_t dim) {
  const Tensor x = tensor(a[0]);
  NNM_CHECK(x.dim() >= rank, runtime,
            "torch.{} requires a tensor with at least {} dimension, but got a tensor with {} "
            "dimensions!",
            name, rank, x.dim());
  if (a[1].is(Value::Kind::integer)) {
    const int64_t n = a[1].integer();
    NNM_CHECK(n > 0 && x.size(dim) % n == 0, runtime,
              "torch.{} attempted to split along dimension {}, but the size of the dimension {} is "
              "not divisible by the split_size {}!",
              name, dim, x.size(dim), n);
  }
  const Value args[] = {a[0], a[1], Value(dim)};
  return find_function("tensor_split")->run(args);
}

Value cross_of(const Value* a) {
  const Tensor x = tensor(a[0]), y = tensor(a[1]);
  if (!a[2].is_none()) return cross(x, y, a[2].integer());
  const Shape shape = broadcast_shapes(x.shape(), y.shape());
  for (int d = 0; d < shape.size(); ++d)
    if (shape[d] == 3) return cross(x, y, d);
  fail(ErrorKind::runtime, "no dimension of size 3 in input");
}

Value dstack_of(const Value* a) {
  Tensors all;
  for (const Tensor& t : Codec<Tensors>::read(a[0])) all.push_back(atleast(t, 3));
  return cat(all, 2);
}

const Function kAssembleFunctions[] = {
    {"atleast_1d(*tensors: any)", "with one dimension at least", atleast_of<1>},
    {"atleast_2d(*tensors: any)", "with two dimensions at least", atleast_of<2>},
    {"atleast_3d(*tensors: any)", "with three dimensions at least", atleast_of<3>},
    {"block_diag(*tensors: any)", "matrices along the diagonal of one",
     [](const Value* a) -> Value { return block_diag(tensors_of(a[0])); }},
    {"cartesian_prod(*tensors: any)", "all choices of one element of each",
     [](const Value* a) -> Value { return cartesian_prod(tensors_of(a[0])); }},
    {"dstack(tensors: Tensor[])", "joined one behind the other", dstack_of},
    {"row_stack(tensors: Tensor[])", "joined one under the other",
     [](const Value* a) -> Value { return find_function("vstack")->run(a); }},
    {"hsplit(input: Tensor, indices_or_sections: any)", "parts side by side",
     [](const Value* a) { return split_along(a, "hsplit", 1, tensor(a[0]).dim() < 2 ? 0 : 1); }},
    {"vsplit(input: Tensor, indices_or_sections: any)", "parts one under the other",
     [](const Value* a) { return split_along(a, "vsplit", 2, 0); }},
    {"dsplit(input: Tensor, indices_or_sections: any)", "parts one behind the other",
     [](const Value* a) { return split_along(a, "dsplit", 3, 2); }},
    {"diagflat(input: Tensor, offset: int = 0)", "a matrix with these elements on its diagonal",
     [](const Value* a) -> Value { return diag(reshape(tensor(a[0]), {-1}), a[1].integer()); }},
    {"rot90(input: Tensor, k: int = 1, dims: int[] = [0, 1])", "turned by right angles",
     call<rot90>},
    {"take(input: Tensor, index: Tensor)", "elements by their place, row-major", call<take>},
    {"select_scatter(input: Tensor, src: Tensor, dim: int, index: int)",
     "with src at one place of a dimension", call<select_scatter>},
    {"slice_scatter(input: Tensor, src: Tensor, dim: int = 0, start: int = none, end: int = none, "
     "step: int = 1)",
     "with src at a slice of a dimension", call<slice_scatter>},
    {"masked_scatter(input: Tensor, mask: Tensor, source: Tensor)",
     "with the source's elements, in order, where the mask is true", call<masked_scatter>},
    {"cross(input: Tensor, other: Tensor, dim: int = none)", "vector product of 3 components",
     cross_of},
};
NNM_REGISTER_FUNCTIONS(kAssembleFunctions);

}  // namespace
}  // namespace nnm
