// torch.nn.functional.pad: constant borders, and borders made of the tensor itself.
#include <algorithm>

#include "kernels/pointwise.h"
#include "nnm/ops/detail.h"
#include "nnm/ops/layout.h"

namespace nnm {

namespace {

/// Before and after the extent of dimension d; pads are given from the last dimension on.
int64_t before(const Dims& pad, int ndim, int d) {
  const auto i = static_cast<size_t>(ndim - 1 - d) * 2;
  return i < pad.size() ? pad[i] : 0;
}
int64_t after(const Dims& pad, int ndim, int d) {
  const auto i = static_cast<size_t>(ndim - 1 - d) * 2 + 1;
  return i < pad.size() ? pad[i] : 0;
}

/// The part of a padded tensor that comes from x, or of x that survives a crop.
Tensor inner_part(const Tensor& t, const Dims& pad, int sign) {
  Shape sizes = t.shape();
  int64_t offset = t.impl()->offset;
  for (int d = 0; d < t.dim(); ++d) {
    const int64_t front = std::max<int64_t>(sign * before(pad, t.dim(), d), 0);
    const int64_t back = std::max<int64_t>(sign * after(pad, t.dim(), d), 0);
    sizes[d] = std::max<int64_t>(sizes[d] - front - back, 0);
    offset += front * t.strides()[d];
  }
  return t.as_strided(sizes, t.strides(), offset);
}

Tensor constant_pad(const Tensor& x, const Dims& pad, double value) {
  Shape shape = x.shape();
  for (int d = 0; d < x.dim(); ++d) {
    shape[d] += before(pad, x.dim(), d) + after(pad, x.dim(), d);
    NNM_CHECK(shape[d] >= 0, runtime,
              "The input size {}, plus negative padding {} and {} resulted in a negative output "
              "size, which is invalid. Check dimension {} of your input.",
              x.shape()[d], before(pad, x.dim(), d), after(pad, x.dim(), d), d);
  }
  Tensor y = x.is_channels_last() && shape.size() == 4 ? empty_channels_last(shape, x.options())
                                                       : empty(shape, x.options());
  kernels::fill(y, value, x.dtype() == DType::b8 ? value != 0 : static_cast<int64_t>(value));
  kernels::copy(inner_part(y, pad, 1), inner_part(x, pad, -1));
  if (!needs_grad({&x})) return y;
  return record("ConstantPadNdBackward0", y, {&x}, [pad](Backward& b) {
    const InputMeta& in = b.input(0);
    const bool cropped = std::any_of(pad.begin(), pad.end(), [](int64_t p) { return p < 0; });
    if (!cropped) return b.set(0, inner_part(b.grad(), pad, 1));
    Tensor dx = zeros(in.sizes, {in.dtype, in.device});
    kernels::copy(inner_part(dx, pad, -1), inner_part(b.grad(), pad, 1));
    b.set(0, dx);
  });
}

enum class Border : uint8_t { reflect, replicate, circular };

/// Which element of [0, n) stands at position i of the padded dimension; those in [first, last) are
/// left of a crop, and a circle is of them alone.
int64_t source(Border mode, int64_t i, int64_t n, int64_t first, int64_t last) {
  switch (mode) {
    case Border::reflect: return i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
    case Border::replicate: return std::clamp<int64_t>(i, 0, n - 1);
    case Border::circular: {
      const int64_t left = last - first;
      return first + ((i - first) % left + left) % left;
    }
  }
  return i;
}

/// `count` positions from `begin` on that have the elements from `from` on, each the next one or
/// all the same one.
struct Run {
  int64_t begin, count, from;
  bool same;
};

/// One dimension of a border, and its extent before padding.
struct Padded {
  int dim;
  int64_t extent;
  std::vector<Run> runs;
};

Padded padded(Border mode, int dim, int64_t n, int64_t front, int64_t back) {
  std::vector<Run> runs;
  for (int64_t i = 0; i < n + front + back; ++i) {
    const int64_t at =
        source(mode, i - front, n, std::max<int64_t>(0, -front), std::min(n, n + back));
    if (!runs.empty()) {
      Run& r = runs.back();
      const bool same = at == r.from && (r.same || r.count == 1);
      if (same || (!r.same && at == r.from + r.count)) {
        r.same = same;
        ++r.count;
        continue;
      }
    }
    runs.push_back({i, 1, at, false});
  }
  return {dim, n, std::move(runs)};
}

void check_border(const Tensor& x, const Dims& pad, Border mode) {
  const auto dims = static_cast<int>(pad.size()) / 2;
  NNM_CHECK(dims >= 1 && dims <= 3 && (x.dim() == dims + 1 || x.dim() == dims + 2), not_implemented,
            "Padding size {} is not supported for {}D input tensor.", pad.size(), x.dim());
  for (int d = x.dim() - 1; d >= x.dim() - dims; --d) {
    const int64_t n = x.shape()[d], front = before(pad, x.dim(), d), back = after(pad, x.dim(), d);
    if (mode == Border::reflect) {
      // The number of the argument is that of Torch's old functions, which took each side as one.
      NNM_CHECK(front < n && back < n, runtime,
                "Argument #{}: Padding size should be less than the corresponding input dimension, "
                "but got: padding ({}, {}) at dimension {} of input {}",
                2 * (x.dim() - d) + 2, front, back, d, x.shape().str());
    }
    if (mode == Border::circular) {
      const int64_t left = n + std::min<int64_t>(front, 0) + std::min<int64_t>(back, 0);
      NNM_CHECK(front <= left && back <= left, runtime,
                "Padding value causes wrapping around more than once.");
    }
    NNM_CHECK(n > 0 && n + front + back > 0, runtime,
              "pad: dimension {} of size {} with padding ({}, {}) is empty", d, n, front, back);
  }
}

const char* node_name(Border mode, size_t dims) {
  constexpr const char* kNames[2][3] = {
      {"ReflectionPad1DBackward0", "ReflectionPad2DBackward0", "ReflectionPad3DBackward0"},
      {"ReplicationPad1DBackward0", "ReplicationPad2DBackward0", "ReplicationPad3DBackward0"}};
  return mode == Border::circular ? "torch::autograd::CopySlices"
                                  : kNames[static_cast<size_t>(mode)][dims - 1];
}

Tensor with_extent(const Tensor& x, int dim, int64_t extent) {
  Shape shape = x.shape();
  shape[dim] = extent;
  return x.dim() == 4 ? detail::empty_image_like(x, shape, x.dtype()) : empty(shape, x.options());
}

Tensor pad_dim(const Tensor& x, const Padded& p) {
  Tensor y = with_extent(x, p.dim, p.runs.back().begin + p.runs.back().count);
  for (const Run& r : p.runs) {
    View from = x.view().part(r.from, r.from + (r.same ? 1 : r.count), p.dim);
    if (r.same) from.size[p.dim] = r.count, from.stride[p.dim] = 0;
    kernels::copy(y.view().part(r.begin, r.begin + r.count, p.dim), from);
  }
  return y;
}

/// The adjoint: the longest run as it is, with the others added to it.
Tensor pad_dim_backward(const Tensor& g, const Padded& p) {
  const auto length = [](const Run& r) { return r.same ? 1 : r.count; };
  const auto base = std::max_element(p.runs.begin(), p.runs.end(), [&](const Run& a, const Run& b) {
    return length(a) < length(b);
  });
  Tensor dx = with_extent(g, p.dim, p.extent);
  if (length(*base) < p.extent) kernels::fill(dx, 0, 0);
  const auto part = [&](const Tensor& x, int64_t begin, int64_t count) {
    return x.view().part(begin, begin + count, p.dim);
  };
  kernels::copy(part(dx, base->from, length(*base)), part(g, base->begin, length(*base)));
  for (auto r = p.runs.begin(); r != p.runs.end(); ++r) {
    for (int64_t i = r == base ? length(*r) : 0; i < r->count; i += length(*r)) {
      const View to = part(dx, r->from, length(*r));
      kernels::binary(to, to, part(g, r->begin + i, length(*r)), Binary::add,
                      compute_type(g.dtype()), 1);
    }
  }
  return dx;
}

Tensor border_pad(const Tensor& x, const Dims& pad, Border mode) {
  check_border(x, pad, mode);
  std::vector<Padded> steps;
  Tensor y = x;
  for (int d = x.dim() - 1; d >= x.dim() - static_cast<int>(pad.size()) / 2; --d) {
    const int64_t front = before(pad, x.dim(), d), back = after(pad, x.dim(), d);
    if (front == 0 && back == 0) continue;
    steps.push_back(padded(mode, d, x.shape()[d], front, back));
    y = pad_dim(y, steps.back());
  }
  if (steps.empty()) y = clone(x);
  if (steps.empty() || !needs_grad({&x})) return y;
  return record(node_name(mode, pad.size() / 2), y, {&x}, [steps](Backward& b) {
    Tensor g = b.grad();
    for (auto s = steps.rbegin(); s != steps.rend(); ++s) g = pad_dim_backward(g, *s);
    b.set(0, g);
  });
}

}  // namespace

Tensor pad(const Tensor& x, const Dims& pad, const std::string& mode, double value) {
  detail::check_defined(x, "pad");
  NNM_CHECK(pad.size() % 2 == 0, runtime, "Padding length must be divisible by 2");
  NNM_CHECK(static_cast<int>(pad.size()) <= 2 * x.dim(), runtime,
            "Padding length should be less than or equal to two times the input dimension but got "
            "padding length {} and input of dimension {}",
            pad.size(), x.dim());
  if (mode == "constant") return constant_pad(x, pad, value);
  NNM_CHECK(value == 0, value, "Padding mode \"{}\" doesn't take in value argument", mode);
  if (mode == "reflect") return border_pad(x, pad, Border::reflect);
  if (mode == "replicate") return border_pad(x, pad, Border::replicate);
  NNM_CHECK(mode == "circular", not_implemented, "Unrecognised padding mode {}", mode);
  return border_pad(x, pad, Border::circular);
}

}  // namespace nnm
