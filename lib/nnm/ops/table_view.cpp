// Views, joining and indexing, as a config calls them.
#include <algorithm>
#include <functional>

#include "nnm/ops/arguments.h"
#include "nnm/ops/functional.h"

namespace nnm {
namespace {

using namespace detail;

Value squeeze_of(const Value* a) {
  Tensor x = tensor(a[0]);
  if (a[1].is_none()) return squeeze(x);
  // From the last on, so that the numbers of the others stay what they are.
  Dims which = dims(a[1]);
  if (which.size() == 1) return squeeze(x, which[0]);
  for (int64_t& d : which) d = wrap_dim(d, x.dim());
  std::sort(which.begin(), which.end(), std::greater<>());
  for (int64_t d : which) x = squeeze(x, d);
  return x;
}

Value split_of(const Value* a) {
  const Tensor x = tensor(a[0]);
  const int64_t dim = a[2].integer();
  if (a[1].is(Value::Kind::integer)) return to_value(split(x, a[1].integer(), dim));
  return to_value(split(x, integers(a[1]), dim));
}

/// cat along the second dimension, of vectors along the first.
Value hstack_of(const Value* a) {
  auto tensors = Codec<Tensors>::read(a[0]);
  for (Tensor& t : tensors) {
    if (t.dim() == 0) t = reshape(t, {1});
  }
  return cat(tensors, !tensors.empty() && tensors[0].dim() == 1 ? 0 : 1);
}

Value vstack_of(const Value* a) {
  auto tensors = Codec<Tensors>::read(a[0]);
  for (Tensor& t : tensors) {
    if (t.dim() < 2) t = reshape(t, {1, t.numel()});
  }
  return cat(tensors, 0);
}

/// Each element as often as its own entry of `repeats` says. While shapes are checked there are no
/// entries: `total` says how many there will be, else each counts as 1 then.
Tensor repeated_each(const Tensor& x, const Tensor& repeats, int64_t dim,
                     std::optional<int64_t> total) {
  NNM_CHECK(repeats.dim() <= 1, runtime, "repeat_interleave only accept 1D vector as repeat");
  NNM_CHECK(repeats.dtype() == DType::i64 || repeats.dtype() == DType::i32, runtime,
            "repeats has to be Long or Int tensor");
  const int64_t n = x.size(dim);
  NNM_CHECK(repeats.numel() == n || repeats.numel() == 1, runtime,
            "repeats must have the same size as input along dim, but got repeats.size(0) = {} and "
            "input.size({}) = {}",
            repeats.numel(), dim, n);
  if (repeats.is_meta())
    return total ? index_select(x, dim, zeros({*total}, repeats.options())) : x;
  std::vector<int64_t> places;
  const auto times = repeats.to_vector<int64_t>();
  for (int64_t i = 0; i < n; ++i) {
    const int64_t count = times[times.size() == 1 ? 0 : static_cast<size_t>(i)];
    NNM_CHECK(count >= 0, runtime, "repeats can not be negative");
    places.insert(places.end(), static_cast<size_t>(count), i);
  }
  const auto all = static_cast<int64_t>(places.size());
  return index_select(
      x, dim, to(tensor_of<int64_t>(places, {all}, {DType::i64}), {DType::i64, x.device()}));
}

Value repeat_interleave_of(const Value* a) {
  Tensor x = tensor(a[0]);
  if (a[2].is_none() || x.dim() == 0) x = reshape(x, {-1});
  const int64_t dim = a[2].is_none() ? 0 : a[2].integer();
  const auto total = Codec<std::optional<int64_t>>::read(a[3]);
  const Tensor y = is_tensor(a[1]) ? repeated_each(x, tensor(a[1]), dim, total)
                                   : repeat_interleave(x, a[1].integer(), dim);
  NNM_CHECK(!total || y.size(dim) == *total, runtime,
            "repeat_interleave: Invalid output_size, expected {} but got {}", y.size(dim), *total);
  return y;
}

Value where_of(const Value* a) {
  const Tensor condition = tensor(a[0]);
  if (a[1].is_none() && a[2].is_none()) return to_value(places_of(condition));
  NNM_CHECK(!a[1].is_none() && !a[2].is_none(), type,
            "a condition stands alone, or with what to take where it holds and what elsewhere");
  const bool left = is_tensor(a[1]), right = is_tensor(a[2]);
  if (left && right) return where(condition, tensor(a[1]), tensor(a[2]));
  if (left) return where(condition, tensor(a[1]), operand(a[2].scalar(), tensor(a[1])));
  if (right) return where(condition, operand(a[1].scalar(), tensor(a[2])), tensor(a[2]));
  const Tensor x = scalar_tensor(a[1].scalar(), {}, condition.device());
  return where(condition, x, scalar_tensor(a[2].scalar(), {}, condition.device()));
}

Value take_along_dim_of(const Value* a) {
  const Tensor x = tensor(a[0]), index = tensor(a[1]);
  if (a[2].is_none()) return gather(reshape(x, {-1}), 0, reshape(index, {-1}));
  const int d = wrap_dim(a[2].integer(), x.dim());
  // All dimensions but that of the index broadcast.
  Shape xs = x.shape(), is = index.shape();
  NNM_CHECK(xs.size() == is.size(), runtime,
            "torch.take_along_dim(): input and indices should have the same number of dimensions, "
            "but got {} dimensions for input, and {} dimensions for indices",
            xs.size(), is.size());
  xs[d] = is[d];
  Shape common = broadcast_shapes(xs, is);
  const Tensor to = expand(index, common);
  common[d] = x.shape()[d];
  return gather(expand(x, common), d, to);
}

const Function kViewFunctions[] = {
    {"reshape(input: Tensor, *shape: any)", "another shape; one extent may be -1",
     [](const Value* a) -> Value { return reshape(tensor(a[0]), shape(a[1])); }},
    {"view(input: Tensor, *size: any)", "another shape of the same memory",
     [](const Value* a) -> Value { return view(tensor(a[0]), shape(a[1])); }},
    {"reshape_as(input: Tensor, other: Tensor)", "the other's shape",
     [](const Value* a) -> Value { return reshape(tensor(a[0]), tensor(a[1]).shape()); }},
    {"view_as(input: Tensor, other: Tensor)", "the other's shape, of the same memory",
     [](const Value* a) -> Value { return view(tensor(a[0]), tensor(a[1]).shape()); }},
    {"flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1)", "dimensions joined into one",
     call<flatten>},
    {"ravel(input: Tensor)", "one dimension, row-major",
     [](const Value* a) -> Value { return reshape(tensor(a[0]), {-1}); }},
    {"unflatten(input: Tensor, dim: int, sizes: int[])", "a dimension split into several",
     call<unflatten>},
    {"squeeze(input: Tensor, dim: int[] = none)", "without dimensions of extent 1", squeeze_of},
    {"unsqueeze(input: Tensor, dim: int)", "with a new dimension of extent 1", call<unsqueeze>},
    {"permute(input: Tensor, *dims: any)", "dimensions in another order",
     [](const Value* a) -> Value { return permute(tensor(a[0]), integers(a[1])); }},
    {"transpose(input: Tensor, dim0: int, dim1: int)", "two dimensions exchanged", call<transpose>},
    {"swapaxes(input: Tensor, axis0: int, axis1: int)", "two dimensions exchanged",
     call<transpose>},
    {"swapdims(input: Tensor, dim0: int, dim1: int)", "two dimensions exchanged", call<transpose>},
    {"t(input: Tensor)", "a matrix transposed", call<t>},
    {"movedim(input: Tensor, source: int[], destination: int[])", "dimensions moved",
     call<movedim>},
    {"moveaxis(input: Tensor, source: int[], destination: int[])", "dimensions moved",
     call<movedim>},
    {"expand(input: Tensor, *size: any)", "repeated without copying; -1 keeps an extent",
     [](const Value* a) -> Value { return expand(tensor(a[0]), shape(a[1])); }},
    {"expand_as(input: Tensor, other: Tensor)", "repeated to the other's shape",
     [](const Value* a) -> Value { return expand(tensor(a[0]), tensor(a[1]).shape()); }},
    {"broadcast_to(input: Tensor, size: int[])", "repeated without copying", call<broadcast_to>},
    {"narrow(input: Tensor, dim: int, start: int, length: int)", "a part of a dimension",
     call<narrow>},
    {"select(input: Tensor, dim: int, index: int)", "one place of a dimension", call<select>},
    {"diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1)",
     "the diagonal of two dimensions", call<diagonal>},
    {"split(tensor: Tensor, split_size_or_sections: any, dim: int = 0)",
     "parts of a size, or of given sizes", split_of},
    {"split_with_sizes(input: Tensor, split_sizes: int[], dim: int = 0)", "parts of given sizes",
     split_of},
    {"chunk(input: Tensor, chunks: int, dim: int = 0)", "a number of equal parts", call<chunk>},
    {"unbind(input: Tensor, dim: int = 0)", "every place of a dimension", call<unbind>},
    {"cat(tensors: Tensor[], dim: int = 0)", "joined along a dimension", call<cat>},
    {"concat(tensors: Tensor[], dim: int = 0)", "joined along a dimension", call<cat>},
    {"concatenate(tensors: Tensor[], dim: int = 0)", "joined along a dimension", call<cat>},
    {"stack(tensors: Tensor[], dim: int = 0)", "joined along a new dimension", call<stack>},
    {"hstack(tensors: Tensor[])", "joined side by side", hstack_of},
    {"vstack(tensors: Tensor[])", "joined one under the other", vstack_of},
    {"repeat(input: Tensor, *repeats: any)", "copied along every dimension",
     [](const Value* a) -> Value { return repeat(tensor(a[0]), shape(a[1])); }},
    {"tile(input: Tensor, *dims: any)", "copied along the last dimensions",
     [](const Value* a) -> Value { return tile(tensor(a[0]), shape(a[1])); }},
    {"repeat_interleave(input: Tensor, repeats: any, dim: int = none, *, output_size: int = none)",
     "every element repeated, each as often as `repeats` says", repeat_interleave_of},
    {"roll(input: Tensor, shifts: int[], dims: int[] = none)", "moved along, end around",
     [](const Value* a) -> Value { return roll(tensor(a[0]), integers(a[1]), dims(a[2])); }},
    {"flip(input: Tensor, *dims: any)", "in reverse order",
     [](const Value* a) -> Value { return flip(tensor(a[0]), integers(a[1])); }},
    {"index_select(input: Tensor, dim: int, index: Tensor)", "places of a dimension",
     call<index_select>},
    {"gather(input: Tensor, dim: int, index: Tensor)", "elements by their place in a dimension",
     call<gather>},
    {"take_along_dim(input: Tensor, indices: Tensor, dim: int = none)",
     "elements by their place in a dimension", take_along_dim_of},
    {"scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor)",
     "with src added at places of a dimension", call<scatter_add>},
    {"index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: number = 1)",
     "with the source added at places of a dimension", call<index_add>},
    {"diag(input: Tensor, diagonal: int = 0)", "a diagonal as a vector, or the other way",
     call<diag>},
    {"meshgrid(*tensors: any, indexing: str = \"ij\")", "coordinates of a grid",
     [](const Value* a) -> Value {
       const Values& v = a[0].items();
       const bool list = v.size() == 1 && v[0].is_sequence();
       return to_value(meshgrid(Codec<Tensors>::read(list ? v[0] : a[0]), a[1].string()));
     }},
    {"scatter(input: Tensor, dim: int, index: Tensor, src: any, *, reduce: str(\"add\", "
     "\"multiply\") = none)",
     "with src, or a number, written at places of a dimension",
     [](const Value* a) -> Value {
       const Tensor x = tensor(a[0]), index = tensor(a[2]);
       const Tensor src =
           is_tensor(a[3]) ? tensor(a[3]) : full(index.shape(), a[3].scalar(), x.options());
       if (a[4].is_none()) return scatter(x, a[1].integer(), index, src);
       const char* how = a[4].string() == "add" ? "sum" : "prod";
       return scatter_reduce(x, a[1].integer(), index, src, how);
     }},
    {"pixel_shuffle(input: Tensor, upscale_factor: int)", "channels into space",
     call<pixel_shuffle>},
    {"pixel_unshuffle(input: Tensor, downscale_factor: int)", "space into channels",
     call<pixel_unshuffle>},
    {"fliplr(input: Tensor)", "columns in reverse order",
     [](const Value* a) -> Value { return flip(tensor(a[0]), {1}); }},
    {"flipud(input: Tensor)", "rows in reverse order",
     [](const Value* a) -> Value { return flip(tensor(a[0]), {0}); }},
    {"masked_fill(input: Tensor, mask: Tensor, value: any)", "a number where the mask is true",
     [](const Value* a) -> Value {
       if (is_tensor(a[2]))
         return where(tensor(a[1]), filler(a[2], tensor(a[0]), "masked_fill_"), tensor(a[0]));
       return masked_fill(tensor(a[0]), tensor(a[1]), number(a[2]));
     }},
    {"masked_select(input: Tensor, mask: Tensor)", "the elements where the mask is true",
     call<masked_select>},
    {"where(condition: Tensor, input: any = none, other: any = none)",
     "input where true, other elsewhere; of a condition alone the places where it holds", where_of},
    {"Tensor.where(input: Tensor, condition: Tensor, other: any)", "itself where true, else other",
     [](const Value* a) -> Value {
       const Value args[] = {a[1], a[0], a[2]};
       return where_of(args);
     }},
    {"Tensor.unfold(input: Tensor, dimension: int, size: int, step: int)",
     "windows of a dimension, along a new last one", call<windows_along>},
    {"tril(input: Tensor, diagonal: int = 0)", "the lower triangle", call<tril>},
    {"triu(input: Tensor, diagonal: int = 0)", "the upper triangle", call<triu>},
    {"pad(input: Tensor, pad: int[], mode: str(\"constant\", \"reflect\", \"replicate\", "
     "\"circular\") = \"constant\", value: float = none)",
     "with borders, given from the last dimension on",
     [](const Value* a) -> Value {
       return pad(tensor(a[0]), integers(a[1]), a[2].string(), a[3].is_none() ? 0 : a[3].real());
     }},
    {"topk(input: Tensor, k: int, dim: int = -1, largest: bool = true, sorted: bool = true)",
     "the k largest and their places", call<topk>},
    {"sort(input: Tensor, dim: int = -1, descending: bool = false, stable: bool = false)",
     "in order, and the places they came from",
     [](const Value* a) -> Value {
       return to_value(sort(tensor(a[0]), a[1].integer(), a[2].boolean()));
     }},
    {"argsort(input: Tensor, dim: int = -1, descending: bool = false, stable: bool = false)",
     "the places that put it in order",
     [](const Value* a) -> Value { return argsort(tensor(a[0]), a[1].integer(), a[2].boolean()); }},
};
NNM_REGISTER_FUNCTIONS(kViewFunctions);

}  // namespace
}  // namespace nnm
