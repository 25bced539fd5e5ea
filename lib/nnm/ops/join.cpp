// Tensors put together, repeated, turned: cat, stack, repeat, roll, flip.
#include <algorithm>

#include "kernels/gather.h"
#include "kernels/pointwise.h"
#include "nnm/ops/detail.h"

namespace nnm {

namespace {

/// x[start, start + length) along d, without history.
Tensor part(const Tensor& x, int d, int64_t start, int64_t length) {
  Shape sizes = x.shape();
  sizes[d] = length;
  return x.as_strided(sizes, x.strides(), x.impl()->offset + start * x.strides()[d]);
}

/// PyTorch's relic: a tensor of shape (0,) joins anything.
bool is_legacy_empty(const Tensor& t) { return t.dim() == 1 && t.numel() == 0; }

struct Joined {
  Shape shape;
  int dim = 0;
  DType dtype = DType::f32;
  const Tensor* like = nullptr;  ///< the first that counts: the format is its
};

Joined join_of(const Tensors& tensors, int64_t dim) {
  NNM_CHECK(!tensors.empty(), value, "torch.cat(): expected a non-empty list of Tensors");
  Joined j;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& t = tensors[i];
    detail::check_defined(t, "cat");
    NNM_CHECK(t.dim() > 0, runtime,
              "zero-dimensional tensor (at position {}) cannot be concatenated", i);
    j.dtype = i ? promote_types(j.dtype, t.dtype()) : t.dtype();
    if (is_legacy_empty(t)) continue;
    if (!j.like) {
      j.like = &t;
      j.shape = t.shape();
      j.dim = wrap_dim(dim, t.dim());
      continue;
    }
    NNM_CHECK(t.dim() == j.like->dim(), runtime,
              "Tensors must have same number of dimensions: got {} and {}", j.like->dim(), t.dim());
    for (int d = 0; d < t.dim(); ++d) {
      NNM_CHECK(d == j.dim || t.shape()[d] == j.shape[d], runtime,
                "Sizes of tensors must match except in dimension {}. Expected size {} but got size "
                "{} for tensor number {} in the list.",
                j.dim, j.shape[d], t.shape()[d], i);
    }
    j.shape[j.dim] += t.shape()[j.dim];
  }
  if (!j.like) {
    j.like = &tensors[0];
    j.shape = {0};
    j.dim = wrap_dim(dim, 1);
  }
  return j;
}

/// Strides of `shape` in the order of memory of `like`, which differs along one dimension only.
Tensor empty_in_order_of(const Tensor& like, const Shape& shape, DType dtype) {
  if (like.is_contiguous()) return empty(shape, {dtype, like.device()});
  Shape strides = detail::preserved_strides(like);
  int order[kMaxDims];
  for (int d = 0; d < like.dim(); ++d) order[d] = d;
  std::stable_sort(order, order + like.dim(),
                   [&](int a, int b) { return strides[a] < strides[b]; });
  int64_t expected = 1;
  for (int i = 0; i < like.dim(); ++i) {
    strides[order[i]] = expected;
    expected *= std::max<int64_t>(shape[order[i]], 1);
  }
  return empty_strided(shape, strides, {dtype, like.device()});
}

}  // namespace

Tensor cat(const Tensors& tensors, int64_t dim) {
  const Joined j = join_of(tensors, dim);
  detail::check_same_device(tensors);
  Tensor y = empty_in_order_of(*j.like, j.shape, j.dtype);
  int64_t at = 0;
  for (const Tensor& t : tensors) {
    if (is_legacy_empty(t)) continue;
    kernels::copy(part(y, j.dim, at, t.shape()[j.dim]), t);
    at += t.shape()[j.dim];
  }
  if (!needs_grad(tensors)) return y;
  std::vector<int64_t> lengths;
  for (const Tensor& t : tensors) lengths.push_back(is_legacy_empty(t) ? -1 : t.shape()[j.dim]);
  record("CatBackward0", {&y, 1}, tensors, [lengths = std::move(lengths), d = j.dim](Backward& b) {
    int64_t at = 0;
    for (size_t i = 0; i < lengths.size(); ++i) {
      if (lengths[i] < 0) {
        if (b.needs(i)) b.set(i, zeros({0}, {b.input(i).dtype, b.input(i).device}));
        continue;
      }
      if (b.needs(i)) b.set(i, part(b.grad(), d, at, lengths[i]));
      at += lengths[i];
    }
  });
  return y;
}

Tensor stack(const Tensors& tensors, int64_t dim) {
  NNM_CHECK(!tensors.empty(), runtime, "stack expects a non-empty TensorList");
  const Tensor& first = tensors[0];
  detail::check_defined(first, "stack");
  const int d = wrap_dim(dim, first.dim() + 1);
  DType dtype = first.dtype();
  for (size_t i = 1; i < tensors.size(); ++i) {
    detail::check_defined(tensors[i], "stack");
    NNM_CHECK(
        tensors[i].shape() == first.shape(), runtime,
        "stack expects each tensor to be equal size, but got {} at entry 0 and {} at entry {}",
        first.shape().str(), tensors[i].shape().str(), i);
    dtype = promote_types(dtype, tensors[i].dtype());
  }
  detail::check_same_device(tensors);
  Shape shape = first.shape();
  shape.insert(d, static_cast<int64_t>(tensors.size()));
  Tensor y = empty(shape, {dtype, first.device()});
  {
    NoGradGuard no_grad;
    for (size_t i = 0; i < tensors.size(); ++i) {
      kernels::copy(select(y, d, static_cast<int64_t>(i)), tensors[i]);
    }
  }
  if (!needs_grad(tensors)) return y;
  record("StackBackward0", {&y, 1}, tensors, [d, n = tensors.size()](Backward& b) {
    for (size_t i = 0; i < n; ++i) {
      if (b.needs(i)) b.set(i, select(b.grad(), d, static_cast<int64_t>(i)));
    }
  });
  return y;
}

Tensor repeat(const Tensor& x, const Shape& repeats) {
  detail::check_defined(x, "repeat");
  const int shift = repeats.size() - x.dim();
  NNM_CHECK(shift >= 0, runtime,
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            "tensor");
  // Each dimension of n elements repeated r times is (r, n) in memory, x repeated by a stride of 0.
  // So that no more than kMaxDims are needed, dimensions are copied one repeat at a time.
  Shape sizes = Shape::filled(repeats.size(), 1), result = sizes;
  for (int d = 0; d < repeats.size(); ++d) {
    NNM_CHECK(repeats[d] >= 0, runtime, "Trying to create tensor with negative dimension {}: {}",
              repeats[d], repeats.str());
    if (d >= shift) sizes[d] = x.shape()[d - shift];
    result[d] = sizes[d] * repeats[d];
  }
  Tensor y = empty(result, x.options());
  if (y.numel() > 0) {
    NoGradGuard no_grad;
    Tensor filled = y;
    for (int d = 0; d < repeats.size(); ++d) filled = part(filled, d, 0, sizes[d]);
    kernels::copy(filled, detail::broadcast_view(x, sizes));
    // The part that is filled doubles along one dimension after the other, innermost first.
    for (int d = repeats.size() - 1; d >= 0; --d) {
      Shape have = filled.shape();
      while (have[d] < result[d]) {
        const int64_t more = std::min(have[d], result[d] - have[d]);
        const Tensor block = y.as_strided(have, y.strides(), y.impl()->offset);
        Shape target = have;
        target[d] = more;
        kernels::copy(
            y.as_strided(target, y.strides(), y.impl()->offset + have[d] * y.strides()[d]),
            part(block, d, 0, more));
        have[d] += more;
      }
      filled = y.as_strided(have, y.strides(), y.impl()->offset);
    }
  }
  if (!needs_grad({&x})) return y;
  return record("RepeatBackward0", y, {&x}, [repeats, shift](Backward& b) {
    const InputMeta& in = b.input(0);
    Tensor g = contiguous(b.grad());
    // One dimension after the other is summed over its repeats.
    for (int d = repeats.size() - 1; d >= 0; --d) {
      const int64_t n = d >= shift ? in.sizes[d - shift] : 1;
      if (repeats[d] == 1) continue;
      int64_t outer = 1, inner = 1;
      for (int k = 0; k < d; ++k) outer *= g.shape()[k];
      for (int k = d + 1; k < g.dim(); ++k) inner *= g.shape()[k];
      Shape sizes = g.shape();
      sizes[d] = n;
      g = reshape(sum(reshape(g, {outer, repeats[d], n, inner}), {1}), sizes);
    }
    b.set(0, reshape(g, in.sizes));
  });
}

Tensor tile(const Tensor& x, const Shape& dims) {
  Shape repeats = dims;
  while (repeats.size() < x.dim()) repeats.insert(0, 1);
  return repeat(x, repeats);
}

Tensor repeat_interleave(const Tensor& x, int64_t repeats, std::optional<int64_t> dim) {
  detail::check_defined(x, "repeat_interleave");
  NNM_CHECK(repeats >= 0, runtime, "Repeats must be non-negative");
  if (!dim) return repeat_interleave(reshape(x, {-1}), repeats, 0);
  if (x.dim() == 0) return repeat_interleave(reshape(x, {1}), repeats, dim);
  const int d = wrap_dim(*dim, x.dim());
  int64_t outer = 1, inner = 1;
  for (int k = 0; k < d; ++k) outer *= x.shape()[k];
  for (int k = d + 1; k < x.dim(); ++k) inner *= x.shape()[k];
  const int64_t n = x.shape()[d];
  Shape shape = x.shape();
  shape[d] = n * repeats;
  const Tensor runs = expand(reshape(x, {outer, n, 1, inner}), {outer, n, repeats, inner});
  // Where nothing is repeated, or one element alone, reshape would give a view of x.
  return reshape(clone(runs), shape);
}

namespace {

/// x with its elements moved by `shift` along d, end around.
void rolled(const Tensor& y, const Tensor& x, int d, int64_t shift) {
  const int64_t n = x.shape()[d];
  kernels::copy(part(y, d, shift, n - shift), part(x, d, 0, n - shift));
  if (shift > 0) kernels::copy(part(y, d, 0, shift), part(x, d, n - shift, shift));
}

Tensor roll_of(const Tensor& x, const Dims& shifts, const Dims& dims) {
  Tensor y = x;
  for (size_t i = 0; i < dims.size(); ++i) {
    const int d = wrap_dim(dims[i], x.dim());
    const int64_t n = x.dim() ? x.shape()[d] : 1;
    if (x.numel() == 0 || x.dim() == 0) continue;
    const Tensor next = detail::empty_pointwise(y, y.dtype());
    rolled(next, y, d, (shifts[i] % n + n) % n);
    y = next;
  }
  return y.is_same(x) ? clone(x) : y;
}

}  // namespace

Tensor roll(const Tensor& x, const Dims& shifts, const Dims& dims) {
  detail::check_defined(x, "roll");
  NNM_CHECK(!shifts.empty(), runtime, "`shifts` required");
  NNM_CHECK(shifts.size() == (dims.empty() ? 1 : dims.size()), runtime,
            "shifts and dimensions must align. shifts: {}, dims:{}", shifts.size(), dims.size());
  Tensor y;
  {
    NoGradGuard no_grad;
    // Without dimensions the elements move in row-major order.
    y = dims.empty() ? reshape(roll_of(reshape(x, {-1}), shifts, {0}), x.shape())
                     : roll_of(x, shifts, dims);
  }
  if (!needs_grad({&x})) return y;
  return record("RollBackward0", y, {&x}, [shifts, dims](Backward& b) {
    Dims back = shifts;
    for (int64_t& s : back) s = -s;
    b.set(0, roll(b.grad(), back, dims));
  });
}

namespace {

/// Views have no negative strides here, so a flip picks slices of one element by their offsets.
Tensor flipped(const Tensor& x, uint32_t mask) {
  Tensor y = x;
  for (int d = 0; d < x.dim(); ++d) {
    if (!(mask >> d & 1) || x.shape()[d] < 2) continue;
    const Tensor next = detail::empty_pointwise(y, y.dtype());
    const int64_t n = y.shape()[d], stride = y.strides()[d];
    const Tensor offsets = empty({n}, {DType::i64, y.device()});
    kernels::range(offsets, 0, 0, (n - 1) * stride, -stride);
    kernels::take(detail::dim_first(next, d), detail::without_dim(y, d), offsets);
    y = next;
  }
  return y.is_same(x) ? clone(x) : y;
}

}  // namespace

Tensor flip(const Tensor& x, const Dims& dims) {
  detail::check_defined(x, "flip");
  const uint32_t mask = dims.empty() ? 0 : detail::dim_mask(dims, x.dim());
  Tensor y;
  {
    NoGradGuard no_grad;
    y = flipped(x, mask);
  }
  if (!needs_grad({&x})) return y;
  return record("FlipBackward0", y, {&x},
                [mask](Backward& b) { b.set(0, flipped(b.grad(), mask)); });
}

}  // namespace nnm
