// torch.nn.functional.pad: constant borders, and borders made of the tensor itself.
#include <algorithm>

#include "kernels/gather.h"
#include "kernels/pointwise.h"
#include "nnm/ops/detail.h"

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
  kernels::fill(y, value, static_cast<int64_t>(value));
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

/// Which element of [0, n) stands at position i of the padded dimension.
int64_t source(Border mode, int64_t i, int64_t n) {
  switch (mode) {
    case Border::reflect: return i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
    case Border::replicate: return std::clamp<int64_t>(i, 0, n - 1);
    case Border::circular: return (i % n + n) % n;
  }
  return i;
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
      NNM_CHECK(front <= n && back <= n, runtime,
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

/// One dimension of a border: which element every position takes.
struct Sources {
  int dim;
  int64_t extent;  ///< of the dimension before padding
  Tensor index;
};

Tensor border_pad(const Tensor& x, const Dims& pad, Border mode) {
  check_border(x, pad, mode);
  std::vector<Sources> steps;
  Tensor y = x;
  for (int d = x.dim() - 1; d >= x.dim() - static_cast<int>(pad.size()) / 2; --d) {
    const int64_t n = x.shape()[d], front = before(pad, x.dim(), d), back = after(pad, x.dim(), d);
    if (front == 0 && back == 0) continue;
    std::vector<int64_t> index(static_cast<size_t>(n + front + back));
    for (size_t i = 0; i < index.size(); ++i) {
      index[i] = source(mode, static_cast<int64_t>(i) - front, n);
    }
    const Tensor at =
        tensor_of<int64_t>(index, {static_cast<int64_t>(index.size())}, {DType::i64, x.device()});
    Shape shape = y.shape();
    shape[d] = n + front + back;
    const Tensor next = empty(shape, x.options());
    kernels::take(detail::dim_first(next, d), detail::without_dim(y, d),
                  detail::offsets_of(at, y.strides()[d]));
    steps.push_back({d, n, at});
    y = next;
  }
  if (steps.empty()) y = clone(x);
  if (steps.empty() || !needs_grad({&x})) return y;
  return record(node_name(mode, pad.size() / 2), y, {&x}, [steps](Backward& b) {
    Tensor g = b.grad();
    for (auto s = steps.rbegin(); s != steps.rend(); ++s) {
      Shape shape = g.shape();
      shape[s->dim] = s->extent;
      Tensor dx = zeros(shape, g.options());
      kernels::put(detail::without_dim(dx, s->dim), detail::dim_first(g, s->dim),
                   detail::offsets_of(s->index, dx.strides()[s->dim]), true);
      g = dx;
    }
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
