// Values put at places, and tensors taken apart and put side by side.
#include <algorithm>

#include "nnm/ops/arguments.h"

namespace nnm {

Tensor diag_embed(const Tensor& x, int64_t offset, int64_t dim1, int64_t dim2) {
  NNM_CHECK(x.dim() > 0, runtime, "diag_embed: expected a tensor of at least one dimension");
  const int64_t d1 = wrap_dim(dim1, x.dim() + 1), d2 = wrap_dim(dim2, x.dim() + 1);
  NNM_CHECK(d1 != d2, runtime, "diagonal dimensions cannot be identical {}, {}", dim1, dim2);
  Shape shape = x.shape();
  shape.erase(shape.size() - 1);
  const int64_t n = x.size(-1) + std::abs(offset);
  shape.push_back(n);
  shape.push_back(n);
  Tensor y = zeros(shape, x.options());
  copy_(diagonal(y, offset, -2, -1), x.detach());
  if (needs_grad({&x}))
    y = record("DiagEmbedBackward0", y, {&x},
               [offset](Backward& b) { b.set(0, diagonal(b.grad(), offset, -2, -1)); });
  return movedim(y, {-2, -1}, {d1, d2});
}

namespace {

/// An index of a dimension as large as a tensor: the same in all of its places.
Tensor along(const Tensor& index, int64_t dim, const Shape& shape) {
  const int d = static_cast<int>(dim);
  Shape ones = Shape::filled(shape.size(), 1), full = shape;
  ones[d] = full[d] = index.numel();
  return expand(reshape(index, ones), full);
}

Tensor filled_at(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& value) {
  NNM_CHECK(index.dim() <= 1, index, "index_fill_(): Expected a vector for index.");
  if (x.dim() == 0) return reshape(filled_at(reshape(x, {1}), dim, index, value), {});
  const int64_t d = wrap_dim(dim, x.dim());
  const Tensor places = along(remainder(index, Scalar(x.size(d))), d, x.shape());
  // A place that is named twice counts once in the gradient of the value.
  const TensorOptions flags{DType::b8, x.device()};
  return where(scatter(zeros(x.shape(), flags), d, places, ones(places.shape(), flags)), value, x);
}

}  // namespace

Tensor index_fill(const Tensor& x, int64_t dim, const Tensor& index, Scalar value) {
  return filled_at(x, dim, index, full({}, value, x.options()));
}

Tensor index_copy(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source) {
  NNM_CHECK(index.dim() <= 1, index, "index_copy_(): Index should have dimension 1 or 0 (got {})",
            index.dim());
  if (x.dim() == 0 && source.numel() == 1)
    return reshape(index_copy(reshape(x, {1}), dim, index, reshape(source, {1})), {});
  const int64_t d = wrap_dim(dim, x.dim());
  NNM_CHECK(source.dim() == x.dim() && source.size(d) == index.numel(), index,
            "index_copy_(): Number of indices ({}) should be equal to source.size(dim) ({})",
            index.numel(), source.dim() == x.dim() ? source.size(d) : 1);
  return scatter(x, d, along(index, d, x.shape()), source);
}

Tensors tensor_split(const Tensor& x, int64_t sections, int64_t dim) {
  NNM_CHECK(sections > 0, runtime, "number of sections must be larger than 0, got {}", sections);
  const int64_t n = x.size(dim);
  std::vector<int64_t> ends;
  for (int64_t i = 1, end = 0; i < sections; ++i) {
    end += n / sections + (i <= n % sections ? 1 : 0);
    ends.push_back(end);
  }
  return tensor_split(x, ends, dim);
}

Tensors tensor_split(const Tensor& x, const std::vector<int64_t>& indices, int64_t dim) {
  Tensors out;
  const int64_t n = x.size(dim);
  int64_t begin = 0;
  const auto part = [&](int64_t end) {
    const int64_t stop = std::clamp(end < 0 ? end + n : end, int64_t{0}, n);
    out.push_back(narrow(x, dim, std::min(begin, n), std::max(stop - begin, int64_t{0})));
    begin = stop;
  };
  for (int64_t end : indices) part(end);
  part(n);
  return out;
}

Tensors broadcast_tensors(const Tensors& tensors) {
  Shape shape;
  for (const Tensor& t : tensors) shape = broadcast_shapes(shape, t.shape());
  Tensors out;
  for (const Tensor& t : tensors) out.push_back(expand(t, shape));
  return out;
}

namespace {

constexpr int64_t kMostRows = 1'000'000;  // of a triangle: a number from a config

/// Beyond these bounds a triangle is empty or the whole.
int64_t bounded(int64_t offset) { return std::clamp(offset, -2 * kMostRows, 2 * kMostRows); }

/// The places in the columns [begin(i), end(i)) of each row i.
template <class Begin, class End>
Tensor triangle(int64_t row, int64_t col, const Begin& begin, const End& end) {
  NNM_CHECK(row >= 0, runtime, "row must be non-negative, got{}", row);
  NNM_CHECK(col >= 0, runtime, "col must be non-negative, got{}", col);
  NNM_CHECK(row <= kMostRows && col <= kMostRows, value,
            "a triangle has at most {} rows and columns, got {} and {}", kMostRows, row, col);
  const auto within = [&](int64_t j) { return std::clamp(j, int64_t{0}, col); };
  int64_t n = 0;
  for (int64_t i = 0; i < row; ++i) n += std::max(within(end(i)) - within(begin(i)), int64_t{0});
  const Device device = default_device();
  if (device.type == DeviceType::meta) return empty({2, n}, {DType::i64, device});
  const Tensor places = empty({2, n}, {DType::i64, {}});
  auto* rows = static_cast<int64_t*>(places.data());
  int64_t* columns = rows + n;
  for (int64_t i = 0; i < row; ++i)
    for (int64_t j = within(begin(i)); j < within(end(i)); ++j) {
      *rows++ = i;
      *columns++ = j;
    }
  return to(places, {DType::i64, device});
}

}  // namespace

Tensor tril_indices(int64_t row, int64_t col, int64_t offset) {
  return triangle(
      row, col, [](int64_t) { return 0; }, [o = bounded(offset)](int64_t i) { return i + o + 1; });
}

Tensor triu_indices(int64_t row, int64_t col, int64_t offset) {
  return triangle(
      row, col, [o = bounded(offset)](int64_t i) { return i + o; }, [=](int64_t) { return col; });
}

Tensor channel_shuffle(const Tensor& x, int64_t groups) {
  NNM_CHECK(x.dim() > 2, runtime,
            "channel_shuffle expects input with > 2 dims, but got input with sizes {}",
            x.shape().str());
  NNM_CHECK(groups > 0 && x.size(1) % groups == 0, runtime,
            "Number of channels must be divisible by groups. Got {} channels and {} groups.",
            x.size(1), groups);
  const Tensor parts = reshape(x, {x.size(0), groups, x.size(1) / groups, -1});
  return reshape(transpose(parts, 1, 2), x.shape());
}

namespace {

using namespace detail;

Value tensor_split_of(const Value* a) {
  const Tensor x = tensor(a[0]);
  const int64_t dim = a[2].integer();
  if (a[1].is(Value::Kind::integer)) return to_value(tensor_split(x, a[1].integer(), dim));
  return to_value(tensor_split(x, std::vector<int64_t>(integers(a[1])), dim));
}

template <Tensor (*F)(int64_t, int64_t, int64_t)>
Value places_as(const Value* a) {
  return converted(F(a[0].integer(), a[1].integer(), a[2].integer()), a[3]);
}

/// cat along the second dimension; a vector is a column.
Value column_stack_of(const Value* a) {
  auto tensors = Codec<Tensors>::read(a[0]);
  for (Tensor& t : tensors)
    if (t.dim() < 2) t = reshape(t, {t.numel(), 1});
  return cat(tensors, 1);
}

const Function kPlaceFunctions[] = {
    {"diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1)",
     "as the diagonals of matrices", call<diag_embed>},
    {"index_fill(input: Tensor, dim: int, index: Tensor, value: any)",
     "with a number at places of a dimension",
     [](const Value* a) -> Value {
       const Tensor x = tensor(a[0]), index = tensor(a[2]);
       if (is_tensor(a[3]))
         return filled_at(x, a[1].integer(), index, filler(a[3], x, "index_fill_"));
       return index_fill(x, a[1].integer(), index, number(a[3]));
     }},
    {"index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor)",
     "with the source at places of a dimension", call<index_copy>},
    {"tensor_split(input: Tensor, indices_or_sections: any, dim: int = 0)",
     "a number of parts, or parts that end at indices", tensor_split_of},
    {"broadcast_tensors(*tensors: Tensor)", "all expanded to one shape",
     [](const Value* a) -> Value {
       return to_value(broadcast_tensors(Codec<Tensors>::read(a[0])));
     }},
    {"column_stack(tensors: Tensor[])", "joined side by side, vectors as columns", column_stack_of},
    {"tril_indices(row: int, col: int, offset: int = 0, *, dtype: dtype = none)",
     "the places of the lower triangle", places_as<tril_indices>},
    {"triu_indices(row: int, col: int, offset: int = 0, *, dtype: dtype = none)",
     "the places of the upper triangle", places_as<triu_indices>},
    {"channel_shuffle(input: Tensor, groups: int)", "channels of several groups in turn",
     call<channel_shuffle>},
};
NNM_REGISTER_FUNCTIONS(kPlaceFunctions);

}  // namespace
}  // namespace nnm
