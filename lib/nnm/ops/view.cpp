// Views: the same storage under another shape. Their gradients are views too.
#include <algorithm>
#include <numeric>

#include "nnm/ops/detail.h"

namespace nnm {

namespace {

Tensor window(const Tensor& x, const Shape& sizes, const Shape& strides, int64_t offset) {
  return x.as_strided(sizes, strides, offset);
}
Tensor window(const Tensor& x, const Shape& sizes, const Shape& strides) {
  return window(x, sizes, strides, x.impl()->offset);
}

/// `shape` with its -1 replaced by what is left over.
Shape infer_shape(const Shape& shape, int64_t numel) {
  int unknown = -1;
  int64_t known = 1;
  for (int d = 0; d < shape.size(); ++d) {
    if (shape[d] == -1) {
      NNM_CHECK(unknown < 0, runtime, "only one dimension can be inferred");
      unknown = d;
    } else {
      NNM_CHECK(shape[d] >= 0, runtime, "invalid shape dimension {} at index {} of shape {}",
                shape[d], d, shape.str());
      NNM_CHECK(!__builtin_mul_overflow(known, shape[d], &known), runtime,
                "shape '{}' is invalid for input of size {}", shape.str(), numel);
    }
  }
  Shape out = shape;
  if (unknown >= 0) {
    NNM_CHECK(known != 0 || numel != 0, runtime,
              "cannot reshape tensor of 0 elements into shape {} because the unspecified dimension "
              "size -1 can be any value and is ambiguous",
              shape.str());
    NNM_CHECK(known != 0 && numel % known == 0, runtime,
              "shape '{}' is invalid for input of size {}", shape.str(), numel);
    out[unknown] = numel / known;
  } else {
    NNM_CHECK(known == numel, runtime, "shape '{}' is invalid for input of size {}", shape.str(),
              numel);
  }
  return out;
}

/// Strides by which x's elements, in order, have the given sizes; none where only a copy will do.
std::optional<Shape> view_strides(const Tensor& x, const Shape& sizes) {
  if (x.is_contiguous() || x.numel() == 0) return contiguous_strides(sizes);
  Shape strides = Shape::filled(sizes.size(), 1);
  int to = sizes.size() - 1;
  // Runs of dimensions of x that lie in memory as one are cut anew, from the innermost outwards.
  int64_t run = 1, base = x.strides()[x.dim() - 1];
  for (int d = x.dim() - 1; d >= 0; --d) {
    run *= x.shape()[d];
    const bool ends = d == 0 || (x.shape()[d - 1] != 1 && x.strides()[d - 1] != run * base);
    if (!ends) continue;
    int64_t taken = 1;
    while (to >= 0 && (taken < run || sizes[to] == 1)) {
      strides[to] = taken * base;
      taken *= sizes[to--];
    }
    if (taken != run) return std::nullopt;
    if (d > 0) {
      base = x.strides()[d - 1];
      run = 1;
    }
  }
  return to < 0 ? std::optional(strides) : std::nullopt;
}

Tensor recorded_view(const char* name, const Tensor& x, Tensor y) {
  if (!needs_grad({&x})) return y;
  return record_view(name, y, {&x},
                     [](Backward& b) { b.set(0, reshape(b.grad(), b.input(0).sizes)); });
}

}  // namespace

Tensor view(const Tensor& x, const Shape& shape) {
  const Shape sizes = infer_shape(shape, x.numel());
  const auto strides = view_strides(x, sizes);
  NNM_CHECK(strides, runtime,
            "view size is not compatible with input tensor's size and stride (at least one "
            "dimension spans across two contiguous subspaces). Use .reshape(...) instead.");
  return recorded_view("ViewBackward0", x, window(x, sizes, *strides));
}

Tensor reshape(const Tensor& x, const Shape& shape) {
  const Shape sizes = infer_shape(shape, x.numel());
  if (const auto strides = view_strides(x, sizes)) {
    return recorded_view("ViewBackward0", x, window(x, sizes, *strides));
  }
  Tensor y;
  {
    NoGradGuard no_grad;
    y = window(contiguous(x), sizes, contiguous_strides(sizes), 0);
  }
  if (!needs_grad({&x})) return y;
  return record("UnsafeViewBackward0", y, {&x},
                [](Backward& b) { b.set(0, reshape(b.grad(), b.input(0).sizes)); });
}

Tensor flatten(const Tensor& x, int64_t start_dim, int64_t end_dim) {
  const int start = wrap_dim(start_dim, x.dim()), end = wrap_dim(end_dim, x.dim());
  NNM_CHECK(start <= end, runtime,
            "flatten() has invalid args: start_dim cannot come after end_dim");
  if (x.dim() == 0) return reshape(x, {1});
  if (start == end) return x;
  Shape sizes;
  for (int d = 0; d < start; ++d) sizes.push_back(x.shape()[d]);
  int64_t joined = 1;
  for (int d = start; d <= end; ++d) joined *= x.shape()[d];
  sizes.push_back(joined);
  for (int d = end + 1; d < x.dim(); ++d) sizes.push_back(x.shape()[d]);
  return reshape(x, sizes);
}

Tensor unflatten(const Tensor& x, int64_t dim, const Shape& sizes) {
  const int d = wrap_dim(dim, x.dim());
  NNM_CHECK(!sizes.empty(), runtime, "unflatten: sizes must be non-empty");
  const int64_t extent = x.dim() ? x.shape()[d] : 1;
  const bool infers = std::count(sizes.begin(), sizes.end(), -1) == 1;
  const int64_t product = sizes.numel();
  NNM_CHECK(infers ? product != 0 && extent % -product == 0 : product == extent, runtime,
            "unflatten: Provided sizes {} don't multiply up to the size of dim {} ({}) in the "
            "input tensor",
            sizes.str(), d, extent);
  Shape shape = x.shape();
  if (shape.empty()) shape.push_back(1);
  shape.erase(d);
  for (int i = 0; i < sizes.size(); ++i)
    shape.insert(d + i, sizes[i] == -1 ? extent / -product : sizes[i]);
  return view(x, shape);
}

Tensor squeeze(const Tensor& x) {
  Shape sizes, strides;
  for (int d = 0; d < x.dim(); ++d) {
    if (x.shape()[d] == 1) continue;
    sizes.push_back(x.shape()[d]);
    strides.push_back(x.strides()[d]);
  }
  return recorded_view("SqueezeBackward0", x, window(x, sizes, strides));
}

Tensor squeeze(const Tensor& x, int64_t dim) {
  const int d = wrap_dim(dim, x.dim());
  Shape sizes = x.shape(), strides = x.strides();
  if (x.dim() > 0 && sizes[d] == 1) {
    sizes.erase(d);
    strides.erase(d);
  }
  return recorded_view("SqueezeBackward1", x, window(x, sizes, strides));
}

Tensor unsqueeze(const Tensor& x, int64_t dim) {
  const int d = wrap_dim(dim, x.dim() + 1);
  Shape sizes = x.shape(), strides = x.strides();
  const int64_t stride = d < x.dim() ? sizes[d] * strides[d] : 1;
  sizes.insert(d, 1);
  strides.insert(d, stride);
  return recorded_view("UnsqueezeBackward0", x, window(x, sizes, strides));
}

namespace {

Tensor permuted(const Tensor& x, const int* order) {
  Shape sizes = x.shape(), strides = x.strides();
  for (int d = 0; d < x.dim(); ++d) {
    sizes[d] = x.shape()[order[d]];
    strides[d] = x.strides()[order[d]];
  }
  return window(x, sizes, strides);
}

Tensor swapped(const Tensor& x, int a, int b) {
  Shape sizes = x.shape(), strides = x.strides();
  if (x.dim() > 0) {
    std::swap(sizes[a], sizes[b]);
    std::swap(strides[a], strides[b]);
  }
  return window(x, sizes, strides);
}

}  // namespace

Tensor permute(const Tensor& x, const Dims& dims) {
  NNM_CHECK(static_cast<int>(dims.size()) == x.dim(), runtime,
            "permute(sparse_coo): number of dimensions in the tensor input does not match the "
            "length of the desired ordering of dimensions i.e. input.dim() = {} is not equal to "
            "len(dims) = {}",
            x.dim(), dims.size());
  std::array<int, kMaxDims> order{}, back{};
  uint32_t seen = 0;
  for (size_t i = 0; i < dims.size(); ++i) {
    order[i] = wrap_dim(dims[i], x.dim());
    NNM_CHECK(!(seen >> order[i] & 1), runtime, "permute(): duplicate dims are not allowed.");
    seen |= 1u << order[i];
    back[static_cast<size_t>(order[i])] = static_cast<int>(i);
  }
  Tensor y = permuted(x, order.data());
  if (!needs_grad({&x})) return y;
  return record_view("PermuteBackward0", y, {&x},
                     [back](Backward& b) { b.set(0, permuted(b.grad(), back.data())); });
}

Tensor transpose(const Tensor& x, int64_t dim0, int64_t dim1) {
  const int a = wrap_dim(dim0, x.dim()), c = wrap_dim(dim1, x.dim());
  Tensor y = swapped(x, a, c);
  if (!needs_grad({&x})) return y;
  return record_view("TransposeBackward0", y, {&x},
                     [a, c](Backward& b) { b.set(0, swapped(b.grad(), a, c)); });
}

Tensor t(const Tensor& x) {
  NNM_CHECK(x.dim() <= 2, runtime, "t() expects a tensor with <= 2 dimensions, but self is {}D",
            x.dim());
  Tensor y = x.dim() == 2 ? swapped(x, 0, 1) : window(x, x.shape(), x.strides());
  if (!needs_grad({&x})) return y;
  return record_view("TBackward0", y, {&x}, [](Backward& b) {
    b.set(0, b.grad().dim() == 2 ? swapped(b.grad(), 0, 1) : b.grad());
  });
}

Tensor movedim(const Tensor& x, const Dims& source, const Dims& destination) {
  NNM_CHECK(source.size() == destination.size(), runtime,
            "movedim: Invalid source or destination dims: source ({} dims) should contain the same "
            "number of dims as destination ({} dims)",
            Shape(source).str(), Shape(destination).str());
  Dims order(static_cast<size_t>(x.dim()), -1);
  uint32_t moved = 0;
  for (size_t i = 0; i < source.size(); ++i) {
    const int from = wrap_dim(source[i], x.dim()), to = wrap_dim(destination[i], x.dim());
    NNM_CHECK(!(moved >> from & 1), runtime, "movedim: repeated dim in `source` ({})",
              Shape(source).str());
    NNM_CHECK(x.dim() == 0 || order[static_cast<size_t>(to)] < 0, runtime,
              "movedim: repeated dim in `destination` ({})", Shape(destination).str());
    if (x.dim() == 0) return permute(x, {});
    moved |= 1u << from;
    order[static_cast<size_t>(to)] = from;
  }
  int next = 0;
  for (int64_t& d : order) {
    if (d >= 0) continue;
    while (moved >> next & 1) ++next;
    d = next++;
  }
  return permute(x, order);
}

Tensor expand(const Tensor& x, const Shape& size) {
  const int shift = size.size() - x.dim();
  NNM_CHECK(
      shift >= 0, runtime,
      "expand({}{{{}}}, size={}): the number of sizes provided ({}) must be greater or equal to "
      "the number of dimensions in the tensor ({})",
      legacy_type_name(x.dtype()), x.shape().str(), size.str(), size.size(), x.dim());
  Shape sizes = size, strides = Shape::filled(size.size(), 0);
  for (int d = size.size() - 1; d >= 0; --d) {
    const int k = d - shift;
    if (k < 0) {
      NNM_CHECK(size[d] >= 0, runtime,
                "The expanded size of the tensor ({}) isn't allowed in a leading, non-existing "
                "dimension {}",
                size[d], d);
      strides[d] = d + 1 < size.size() ? sizes[d + 1] * strides[d + 1] : 1;
      if (size[d] != 1) strides[d] = 0;
      continue;
    }
    if (size[d] == -1) sizes[d] = x.shape()[k];
    NNM_CHECK(sizes[d] == x.shape()[k] || x.shape()[k] == 1, runtime,
              "The expanded size of the tensor ({}) must match the existing size ({}) at "
              "non-singleton dimension {}.  Target sizes: {}.  Tensor sizes: {}",
              size[d], x.shape()[k], d, size.str(), x.shape().str());
    strides[d] = sizes[d] == x.shape()[k] ? x.strides()[k] : 0;
  }
  Tensor y = window(x, sizes, strides);
  if (!needs_grad({&x})) return y;
  return record_view("ExpandBackward0", y, {&x},
                     [](Backward& b) { b.set(0, sum_to(b.grad(), b.input(0).sizes)); });
}

Tensor broadcast_to(const Tensor& x, const Shape& size) { return expand(x, size); }

namespace {

Tensor sliced(const Tensor& x, int dim, int64_t start, int64_t length, int64_t step) {
  Shape sizes = x.shape(), strides = x.strides();
  const int64_t offset = x.impl()->offset + start * strides[dim];
  sizes[dim] = length;
  strides[dim] *= step;
  return window(x, sizes, strides, offset);
}

Tensor recorded_slice(const Tensor& x, int dim, int64_t start, int64_t length, int64_t step) {
  Tensor y = sliced(x, dim, start, length, step);
  if (!needs_grad({&x})) return y;
  return record_view("SliceBackward0", y, {&x}, [dim, start, length, step](Backward& b) {
    const InputMeta& in = b.input(0);
    Tensor dx = zeros(in.sizes, {in.dtype, in.device});
    copy_(sliced(dx, dim, start, length, step), b.grad());
    b.set(0, dx);
  });
}

}  // namespace

Tensor narrow(const Tensor& x, int64_t dim, int64_t start, int64_t length) {
  NNM_CHECK(x.dim() > 0, runtime, "narrow() cannot be applied to a 0-dim tensor.");
  NNM_CHECK(length >= 0, runtime, "narrow(): length must be non-negative.");
  const int d = wrap_dim(dim, x.dim());
  const int64_t extent = x.shape()[d];
  NNM_CHECK(start >= -extent && start <= extent, index,
            "start out of range (expected to be in range of [{}, {}], but got {})", -extent, extent,
            start);
  if (start < 0) start += extent;
  NNM_CHECK(start <= extent - length, runtime,
            "start ({}) + length ({}) exceeds dimension size ({}).", start, length, extent);
  return recorded_slice(x, d, start, length, 1);
}

Tensor select(const Tensor& x, int64_t dim, int64_t index) {
  NNM_CHECK(x.dim() > 0, index, "select() cannot be applied to a 0-dim tensor.");
  const int d = wrap_dim(dim, x.dim());
  const int64_t extent = x.shape()[d];
  NNM_CHECK(index >= -extent && index < extent, index,
            "select(): index {} out of range for tensor of size {} at dimension {}", index,
            x.shape().str(), d);
  if (index < 0) index += extent;
  Shape sizes = x.shape(), strides = x.strides();
  const int64_t offset = x.impl()->offset + index * strides[d];
  sizes.erase(d);
  strides.erase(d);
  Tensor y = window(x, sizes, strides, offset);
  if (!needs_grad({&x})) return y;
  return record_view("SelectBackward0", y, {&x}, [d, index](Backward& b) {
    const InputMeta& in = b.input(0);
    Tensor dx = zeros(in.sizes, {in.dtype, in.device});
    copy_(select(dx, d, index), b.grad());
    b.set(0, dx);
  });
}

Tensor slice(const Tensor& x, int64_t dim, std::optional<int64_t> start, std::optional<int64_t> end,
             int64_t step) {
  NNM_CHECK(x.dim() > 0, runtime, "slice() cannot be applied to a 0-dim tensor.");
  NNM_CHECK(step > 0, runtime, "slice step must be positive");
  const int d = wrap_dim(dim, x.dim());
  const int64_t extent = x.shape()[d];
  const auto bound = [extent](int64_t i) {
    return std::clamp<int64_t>(i < 0 ? i + extent : i, 0, extent);
  };
  const int64_t from = bound(start.value_or(0));
  const int64_t until = std::max(from, bound(end.value_or(extent)));
  return recorded_slice(x, d, from, (until - from + step - 1) / step, step);
}

Tensor diagonal(const Tensor& x, int64_t offset, int64_t dim1, int64_t dim2) {
  const int a = wrap_dim(dim1, x.dim()), c = wrap_dim(dim2, x.dim());
  NNM_CHECK(a != c, runtime, "diagonal dimensions cannot be identical {}, {}", dim1, dim2);
  const int64_t rows = x.shape()[a], columns = x.shape()[c];
  const int64_t length = std::max<int64_t>(
      offset >= 0 ? std::min(rows, columns - offset) : std::min(rows + offset, columns), 0);
  Shape sizes = x.shape(), strides = x.strides();
  int64_t start = x.impl()->offset;
  if (length > 0) start += offset >= 0 ? offset * strides[c] : -offset * strides[a];
  const int64_t stride = strides[a] + strides[c];
  for (const int d : {std::max(a, c), std::min(a, c)}) {
    sizes.erase(d);
    strides.erase(d);
  }
  sizes.push_back(length);
  strides.push_back(stride);
  Tensor y = window(x, sizes, strides, start);
  if (!needs_grad({&x})) return y;
  return record_view("DiagonalBackward0", y, {&x}, [offset, a, c](Backward& b) {
    const InputMeta& in = b.input(0);
    Tensor dx = zeros(in.sizes, {in.dtype, in.device});
    copy_(diagonal(dx, offset, a, c), b.grad());
    b.set(0, dx);
  });
}

namespace {

/// The parts of x along a dimension on the tape: one node, whose gradient joins the parts' own.
Tensors recorded_parts(const char* name, const Tensor& x, Tensors parts, int dim, bool whole) {
  if (!needs_grad({&x})) return parts;
  // The gradient lies as x does: behind the views that made x it then lies in order.
  const Shape strides = x.is_dense() ? x.strides() : contiguous_strides(x.shape());
  record(name, parts, {&x, 1}, [dim, whole, strides, n = parts.size()](Backward& b) {
    const InputMeta& in = b.input(0);
    Tensor dx = empty_strided(in.sizes, strides, {in.dtype, in.device});
    int64_t at = 0;
    for (size_t i = 0; i < n; ++i) {
      const int64_t length = whole ? 1 : b.output(i).sizes[dim];
      const Tensor part = sliced(dx, dim, at, length, 1), &g = b.maybe_grad(i);
      if (g.defined()) copy_(part, whole ? unsqueeze(g, dim) : g);
      else zero_(part);
      at += length;
    }
    b.set(0, dx);
  });
  for (const Tensor& p : parts) detail::mark_view(p);
  return parts;
}

}  // namespace

Tensors split(const Tensor& x, int64_t split_size, int64_t dim) {
  NNM_CHECK(x.dim() > 0, runtime, "split expects at least a 1-dimensional tensor");
  NNM_CHECK(split_size >= 0, runtime,
            "split expects split_size be non-negative, but got split_size={}", split_size);
  const int d = wrap_dim(dim, x.dim());
  const int64_t extent = x.shape()[d];
  NNM_CHECK(split_size > 0 || extent == 0, runtime,
            "split_size can only be 0 if dimension size is 0, but got dimension size of {}",
            extent);
  const int64_t n = split_size ? std::max<int64_t>((extent + split_size - 1) / split_size, 1) : 1;
  Tensors parts;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t at = i * split_size;
    parts.push_back(sliced(x, d, at, std::min(split_size, extent - at), 1));
  }
  return recorded_parts("SplitBackward0", x, std::move(parts), d, false);
}

Tensors split(const Tensor& x, const Dims& sizes, int64_t dim) {
  NNM_CHECK(x.dim() > 0, runtime, "split_with_sizes expects at least a 1-dimensional tensor");
  const int d = wrap_dim(dim, x.dim());
  Tensors parts;
  int64_t at = 0;
  for (int64_t size : sizes) {
    NNM_CHECK(size >= 0, runtime,
              "split_with_sizes expects split_sizes have only non-negative entries, but got "
              "split_sizes={}",
              Shape(sizes).str());
    NNM_CHECK(size <= x.shape()[d] - at, runtime,
              "split_with_sizes expects split_sizes to sum exactly to {} (input tensor's size at "
              "dimension {}), but got split_sizes={}",
              x.shape()[d], d, fmt::format("[{}]", fmt::join(sizes, ", ")));
    parts.push_back(sliced(x, d, at, size, 1));
    at += size;
  }
  NNM_CHECK(at == x.shape()[d], runtime,
            "split_with_sizes expects split_sizes to sum exactly to {} (input tensor's size at "
            "dimension {}), but got split_sizes={}",
            x.shape()[d], d, fmt::format("[{}]", fmt::join(sizes, ", ")));
  return recorded_parts("SplitWithSizesBackward0", x, std::move(parts), d, false);
}

Tensors chunk(const Tensor& x, int64_t chunks, int64_t dim) {
  NNM_CHECK(x.dim() > 0, runtime, "chunk expects at least a 1-dimensional tensor");
  NNM_CHECK(chunks > 0, runtime, "chunk expects `chunks` to be greater than 0, got: {}", chunks);
  const int64_t extent = x.size(dim), size = (extent + chunks - 1) / chunks;
  if (size == 0) return split(x, Dims(static_cast<size_t>(chunks), 0), dim);
  return split(x, size, dim);
}

Tensors unbind(const Tensor& x, int64_t dim) {
  NNM_CHECK(x.dim() > 0, index, "Dimension specified as {} but tensor has no dimensions", dim);
  const int d = wrap_dim(dim, x.dim());
  Tensors parts;
  {
    NoGradGuard no_grad;
    for (int64_t i = 0; i < x.shape()[d]; ++i) parts.push_back(select(x, d, i));
  }
  return recorded_parts("UnbindBackward0", x, std::move(parts), d, true);
}

}  // namespace nnm
