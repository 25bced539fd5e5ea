// Patches of images as columns, and columns as sums of patches.
#include "kernels/pointwise.h"
#include "nnm/ops/detail.h"
#include "nnm/ops/function.h"
#include "nnm/ops/functional.h"
#include "nnm/ops/gemm.h"
#include "nnm/ops/layout.h"
#include "nnm/ops/taps.h"

namespace nnm {

namespace {

std::string pair_text(Size2 s) { return fmt::format("({}, {})", s[0], s[1]); }

struct Patches {
  Size2 kernel, dilation, padding, stride;

  void check() const;
  /// How many patches an image has along its dimensions.
  std::array<int64_t, 2> counts(int64_t height, int64_t width) const;
};

void Patches::check() const {
  const auto above_zero = [](const char* what, const char* name, Size2 s) {
    NNM_CHECK(s[0] > 0 && s[1] > 0, runtime,
              "{} should be greater than zero, but got {}_height: {} {}_width: {}", what, name,
              s[0], name, s[1]);
  };
  above_zero("kernel size", "kernel", kernel);
  above_zero("dilation", "dilation", dilation);
  NNM_CHECK(padding[0] >= 0 && padding[1] >= 0, runtime,
            "padding should be non-negative, but got pad_height: {} pad_width: {}", padding[0],
            padding[1]);
  above_zero("stride", "stride", stride);
}

std::array<int64_t, 2> Patches::counts(int64_t height, int64_t width) const {
  const auto along = [this](int64_t n, int d) {
    const int64_t span = n + 2 * padding[d] - dilation[d] * (kernel[d] - 1) - 1;
    return (span >= 0 ? span / stride[d] : -((stride[d] - 1 - span) / stride[d])) + 1;
  };
  return {along(height, 0), along(width, 1)};
}

// body(pixels of the image, the same pixels in the columns) for each tap of the kernel; image (N,
// C, H, W) in any strides, columns (N, C, KH, KW, OH, OW) row-major.
template <class Body>
void for_taps(const Tensor& image, const Tensor& columns, const Patches& p, const Body& body) {
  const Shape &n = image.shape(), &s = image.strides(), &c = columns.shape(),
              t = contiguous_strides(c);
  for (int64_t kh = 0; kh < c[2]; ++kh) {
    const int64_t top = kh * p.dilation[0] - p.padding[0];
    const detail::Meeting rows = detail::meeting(c[4], n[2], top, p.stride[0]);
    for (int64_t kw = 0; kw < c[3]; ++kw) {
      const int64_t left = kw * p.dilation[1] - p.padding[1];
      const detail::Meeting places = detail::meeting(c[5], n[3], left, p.stride[1]);
      if (rows.count() == 0 || places.count() == 0) continue;
      const Shape size{n[0], n[1], rows.count(), places.count()};
      const int64_t at =
          (top + rows.begin * p.stride[0]) * s[2] + (left + places.begin * p.stride[1]) * s[3];
      const int64_t to = kh * t[2] + kw * t[3] + rows.begin * t[4] + places.begin;
      body(image.as_strided(size, {s[0], s[1], s[2] * p.stride[0], s[3] * p.stride[1]},
                            image.impl()->offset + at),
           columns.as_strided(size, {t[0], t[1], t[4], t[5]}, columns.impl()->offset + to));
    }
  }
}

Shape columns_shape(const Shape& image, const Patches& p) {
  const auto [h, w] = p.counts(image[2], image[3]);
  return {image[0], image[1], p.kernel[0], p.kernel[1], h, w};
}

Tensor unfolded(const Tensor& image, const Patches& p) {
  Tensor columns = empty(columns_shape(image.shape(), p), image.options());
  kernels::fill(columns, 0, 0);
  for_taps(image, columns, p, [](const Tensor& x, const Tensor& y) { kernels::copy(y, x); });
  return columns;
}

Tensor folded_image(const Tensor& columns, const Shape& size, const Patches& p) {
  Tensor image = empty(size, columns.options());
  kernels::fill(image, 0, 0);
  for_taps(image, columns, p, [&](const Tensor& x, const Tensor& y) {
    kernels::binary(x, x, y, Binary::add, compute_type(image.dtype()), 1);
  });
  return image;
}

// (N, C, H, W) and (N, C KH KW, L), or without the batch, as each other's forms; no history.
Tensor reshaped(const Tensor& t, const Shape& shape) {
  const NoGradGuard no_grad;
  return view(detail::row_major(t.detach()), shape);
}

Shape batch_of_images(const Tensor& x) {
  Shape s = x.shape();
  if (x.dim() == 3) s.insert(0, 1);
  return s;
}

// Extents of columns (N, C KH KW, L) or (C KH KW, L).
Shape flat_columns(const Shape& c, bool batched) {
  const Shape out{c[0], c[1] * c[2] * c[3], c[4] * c[5]};
  return batched ? out : Shape{out[1], out[2]};
}

void check_columns(const Tensor& x, Size2 output_size, const Patches& p) {
  const bool batched = x.dim() == 3;
  NNM_CHECK((batched || x.dim() == 2) && x.size(-2) > 0 && x.size(-1) > 0, runtime,
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and "
            "non-zero dimensions for input, but got: {}",
            x.shape().str());
  const int64_t taps = p.kernel[0] * p.kernel[1];
  NNM_CHECK(x.size(-2) % taps == 0, runtime,
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, "
            "but got input.size(1)={} and kernel_size={}.",
            x.size(-2), pair_text(p.kernel));
  const auto [h, w] = p.counts(output_size[0], output_size[1]);
  NNM_CHECK(x.size(-1) == h * w && h > 0, runtime,
            "Given output_size={}, kernel_size={}, dilation={}, padding={}, stride={}, expected "
            "size of input's dimension 2 to match the calculated number of sliding blocks {} * {} "
            "= {}, but got input.size(2)={}.",
            pair_text(output_size), pair_text(p.kernel), pair_text(p.dilation),
            pair_text(p.padding), pair_text(p.stride), h, w, h * w, x.size(-1));
  detail::check_floating(x, "col2im_out_cpu");
}

}  // namespace

Tensor unfold(const Tensor& x, Size2 kernel_size, Size2 dilation, Size2 padding, Size2 stride) {
  detail::check_defined(x, "unfold");
  const Patches p{kernel_size, dilation, padding, stride};
  p.check();
  const bool batched = x.dim() == 4;
  const bool filled =
      (batched || x.dim() == 3) && x.size(-1) > 0 && x.size(-2) > 0 && x.size(-3) > 0;
  NNM_CHECK(filled, runtime,
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
            "dimensions for input, but got: {}",
            x.shape().str());
  const auto [h, w] = p.counts(x.size(-2), x.size(-1));
  NNM_CHECK(h >= 1 && w >= 1, runtime,
            "Given input with spatial size ({}, {}), kernel_size={}, dilation={}, padding={}, "
            "calculated shape of the array of sliding blocks as ({}, {}), but its components must "
            "be at least one.",
            x.size(-2), x.size(-1), pair_text(kernel_size), pair_text(dilation), pair_text(padding),
            h, w);
  detail::check_floating(x, "im2col_out_cpu");
  const Shape image = batch_of_images(x);
  const Tensor columns = unfolded(reshaped(x, image), p);
  Tensor y = reshaped(columns, flat_columns(columns.shape(), batched));
  if (!needs_grad({&x})) return y;
  return record("Im2ColBackward0", y, {&x},
                [p, image, size = x.shape(), c = columns.shape()](Backward& b) {
                  b.set(0, reshaped(folded_image(reshaped(b.grad(), c), image, p), size));
                });
}

Tensor fold(const Tensor& x, Size2 output_size, Size2 kernel_size, Size2 dilation, Size2 padding,
            Size2 stride) {
  detail::check_defined(x, "fold");
  const Patches p{kernel_size, dilation, padding, stride};
  p.check();
  check_columns(x, output_size, p);
  const bool batched = x.dim() == 3;
  const Shape image{batched ? x.shape()[0] : 1, x.size(-2) / (kernel_size[0] * kernel_size[1]),
                    output_size[0], output_size[1]};
  const Shape columns = columns_shape(image, p);
  Tensor y = folded_image(reshaped(x, columns), image, p);
  if (!batched) y = reshaped(y, {image[1], image[2], image[3]});
  if (!needs_grad({&x})) return y;
  return record("Col2ImBackward0", y, {&x}, [p, image, size = x.shape()](Backward& b) {
    b.set(0, reshaped(unfolded(reshaped(b.grad(), image), p), size));
  });
}

namespace {

constexpr Function kFoldFunctions[] = {
    {"unfold(input: Tensor, kernel_size: int[2], dilation: int[2] = 1, padding: int[2] = 0, "
     "stride: int[2] = 1)",
     "patches of (N, C, H, W) as columns (N, C KH KW, L)", call<unfold>},
    {"fold(input: Tensor, output_size: int[2], kernel_size: int[2], dilation: int[2] = 1, padding: "
     "int[2] = 0, stride: int[2] = 1)",
     "sums of columns as patches (N, C, H, W)", call<fold>},
};
NNM_REGISTER_FUNCTIONS(kFoldFunctions);

}  // namespace
}  // namespace nnm
