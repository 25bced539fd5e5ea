// Images read at the points of a grid, and the grids of affine maps (spatial transformers,
// Jaderberg et al. 2015).
#include "nnm/ops/arguments.h"
#include "nnm/ops/functional.h"
#include "nnm/ops/gemm.h"

namespace nnm {

namespace {

/// -1 and 1 are the outer pixels' centres, or with align_corners false their edges.
Tensor in_pixels(const Tensor& x, int64_t extent, bool align_corners) {
  const auto n = static_cast<double>(extent);
  return align_corners ? (x + Scalar(1)) * Scalar((n - 1) / 2)
                       : ((x + Scalar(1)) * Scalar(n) - Scalar(1)) / Scalar(2);
}

/// What lies outside moves to the border, where it no longer depends on x.
Tensor at_border(const Tensor& x, int64_t extent) {
  const Scalar last(extent - 1);
  const Tensor y = clamp(x.detach(), Scalar(0), last);
  return where(logical_and(gt(x, Scalar(0)), lt(x, last)), x, y);
}

/// What lies outside is reflected until it lies inside.
Tensor reflected(const Tensor& x, int64_t extent, bool align_corners) {
  const double low = align_corners ? 0 : -0.5;
  const auto span = static_cast<double>(align_corners ? extent - 1 : extent);
  if (span == 0) return x * Scalar(0.0);
  const Tensor from = abs(x - Scalar(low));
  const Tensor flips = floor(from.detach() / Scalar(span));
  const Tensor rest = from - flips * Scalar(span);
  const Tensor inside =
      where(eq(remainder(flips, Scalar(2)), Scalar(0)), rest, Scalar(span) - rest);
  return at_border(inside + Scalar(low), extent);
}

/// One call's image (N, C, M), whose M pixels are those of `extents`, and how it goes on outside.
struct Image {
  Tensor pixels;
  std::vector<int64_t> extents;
  std::string padding;
  bool align_corners;

  Tensor padded(const Tensor& x, size_t d) const {
    if (padding == "border") return at_border(x, extents[d]);
    return padding == "reflection" ? reflected(x, extents[d], align_corners) : x;
  }
  /// The pixels (N, C, P) at whole places (N, P) of every dimension; 0 outside.
  Tensor at(const Tensors& places) const;
};

Tensor Image::at(const Tensors& places) const {
  Tensor index, inside;
  for (size_t d = 0; d < extents.size(); ++d) {
    const Scalar last(extents[d] - 1);
    const Tensor& x = places[d];
    const Tensor here = logical_and(ge(x, Scalar(0)), le(x, last));
    const Tensor i = to(clamp(where(here, x, zeros_like(x)), Scalar(0), last), DType::i64);
    index = d == 0 ? i : index * Scalar(extents[d]) + i;
    inside = d == 0 ? here : logical_and(inside, here);
  }
  const Shape shape = {pixels.size(0), pixels.size(1), index.size(1)};
  const Tensor found = gather(pixels, 2, expand(unsqueeze(index, 1), shape));
  return where(unsqueeze(inside, 1), found, zeros({}, found.options()));
}

Tensor nearest(const Image& image, const Tensors& at) {
  Tensors places;
  for (const Tensor& x : at) places.push_back(round(x));
  Tensor y = image.at(places);
  // A grid has a gradient, which is zero.
  for (const Tensor& x : places)
    if (needs_grad({&x})) y = y + unsqueeze(x - x.detach(), 1);
  return y;
}

/// The mean of the 2^d pixels around each point, weighed by how near they are.
Tensor linear_mean(const Image& image, const Tensors& at) {
  Tensors low, rest;
  for (const Tensor& x : at) {
    low.push_back(floor(x.detach()));
    rest.push_back(x - low.back());
  }
  Tensor y;
  for (size_t corner = 0; corner < size_t{1} << at.size(); ++corner) {
    Tensors places;
    Tensor weight;
    for (size_t d = 0; d < at.size(); ++d) {
      const bool far = corner >> d & 1;
      places.push_back(far ? low[d] + Scalar(1) : low[d]);
      const Tensor w = far ? rest[d] : Scalar(1) - rest[d];
      weight = d == 0 ? w : weight * w;
    }
    const Tensor part = image.at(places) * unsqueeze(weight, 1);
    y = corner == 0 ? part : y + part;
  }
  return y;
}

/// Keys' cubic convolution of four neighbours with a = -0.75: their weights at a distance t behind
/// the second.
Tensors cubic_weights(const Tensor& t) {
  constexpr double a = -0.75;
  const auto near = [](const Tensor& x) {
    return (x * Scalar(a + 2) - Scalar(a + 3)) * x * x + Scalar(1);
  };
  const auto far = [](const Tensor& x) {
    return ((x * Scalar(a) - Scalar(5 * a)) * x + Scalar(8 * a)) * x - Scalar(4 * a);
  };
  return {far(t + Scalar(1)), near(t), near(Scalar(1) - t), far(Scalar(2) - t)};
}

Tensor cubic_mean(const Image& image, const Tensors& at) {
  Tensors low;
  std::vector<Tensors> weights;
  for (const Tensor& x : at) {
    low.push_back(floor(x.detach()));
    weights.push_back(cubic_weights(x - low.back()));
  }
  const auto place = [&](size_t d, int i) {
    return round(image.padded(low[d] + Scalar(i - 1), d));
  };
  Tensor y;
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) {
      const Tensor weight = weights[0][static_cast<size_t>(i)] * weights[1][static_cast<size_t>(j)];
      const Tensor part = image.at({place(0, i), place(1, j)}) * unsqueeze(weight, 1);
      y = y.defined() ? y + part : part;
    }
  }
  return y;
}

void check_grid(const Tensor& x, const Tensor& grid, const std::string& mode) {
  const auto sizes = [&] {
    return fmt::format("input with sizes {} and grid with sizes {}", x.shape().str(),
                       grid.shape().str());
  };
  NNM_CHECK((x.dim() == 4 || x.dim() == 5) && x.dim() == grid.dim(), runtime,
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but "
            "got {}",
            sizes());
  NNM_CHECK(x.size(0) == grid.size(0), runtime,
            "grid_sampler(): expected grid and input to have same batch size, but got {}", sizes());
  NNM_CHECK(grid.size(-1) == x.dim() - 2, runtime,
            "grid_sampler(): expected grid to have size {} in last dimension, but got grid with "
            "sizes {}",
            x.dim() - 2, grid.shape().str());
  for (int d = 2; d < x.dim(); ++d)
    NNM_CHECK(x.size(d) > 0, runtime,
              "grid_sampler(): expected input to have non-empty spatial dimensions, but input has "
              "sizes {} with dimension {} being empty",
              x.shape().str(), d);
  NNM_CHECK(mode != "bicubic" || x.dim() == 4, runtime,
            "grid_sampler(): bicubic interpolation only supports 4D input");
  NNM_CHECK(x.dtype() == grid.dtype(), runtime,
            "grid_sampler(): expected input and grid to have same dtype, but input has {} and grid "
            "has {}",
            detail::c_type_name(x.dtype()), detail::c_type_name(grid.dtype()));
  detail::check_same_device(x, grid);
  detail::check_floating(x, "grid_sampler");
}

/// n numbers from -1 to 1: those of the pixels' centres.
Tensor centres(int64_t n, bool align_corners, const TensorOptions& options) {
  const double reach = n == 1          ? 0
                       : align_corners ? 1
                                       : static_cast<double>(n - 1) / static_cast<double>(n);
  return linspace(-reach, reach, n, options);
}

}  // namespace

Tensor grid_sample(const Tensor& x, const Tensor& grid, const std::string& mode,
                   const std::string& padding_mode, bool align_corners) {
  detail::check_defined(x, "grid_sample");
  detail::check_defined(grid, "grid_sample");
  check_grid(x, grid, mode);
  Image image{flatten(x, 2), {}, padding_mode, align_corners};
  Tensors at;
  const int dims = x.dim() - 2;
  for (int d = 0; d < dims; ++d) {
    image.extents.push_back(x.size(d + 2));
    // A point's numbers are those of the dimensions from the last on: x, y, z.
    const Tensor along = flatten(select(grid, -1, dims - 1 - d), 1);
    const Tensor pixel = in_pixels(along, x.size(d + 2), align_corners);
    at.push_back(mode == "bicubic" ? pixel : image.padded(pixel, static_cast<size_t>(d)));
  }
  const Tensor y = mode == "nearest"   ? nearest(image, at)
                   : mode == "bicubic" ? cubic_mean(image, at)
                                       : linear_mean(image, at);
  Shape shape = {x.size(0), x.size(1)};
  for (int d = 1; d <= dims; ++d) shape.push_back(grid.size(d));
  return reshape(y, shape);
}

Tensor affine_grid(const Tensor& theta, const std::vector<int64_t>& size, bool align_corners) {
  detail::check_defined(theta, "affine_grid");
  NNM_CHECK(is_floating(theta.dtype()), value,
            "Expected theta to have floating point type, but got torch.{}",
            info(theta.dtype()).torch_name);
  const auto dims = static_cast<int64_t>(size.size()) - 2;
  const std::string sizes = Value::list(Values(size.begin(), size.end())).repr();
  NNM_CHECK(dims == 2 || dims == 3, not_implemented,
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, "
            "respectively. Got size {}.",
            sizes);
  NNM_CHECK(theta.dim() == 3 && theta.size(1) == dims && theta.size(2) == dims + 1, value,
            "Expected a batch of {0}D affine matrices of shape Nx{0}x{1} for size {2}. Got "
            "torch.Size({3}).",
            dims, dims + 1, sizes, theta.shape().str());
  for (const int64_t n : size)
    NNM_CHECK(n > 0, value, "Expected non-zero, positive output size. Got {}", sizes);
  Shape shape;
  for (int64_t d = 0; d < dims; ++d) shape.push_back(size[static_cast<size_t>(d) + 2]);
  Tensors columns;
  for (int64_t d = dims; d-- > 0;) {
    Shape along = Shape::filled(static_cast<int>(dims), 1);
    const int64_t n = along[static_cast<int>(d)] = shape[static_cast<int>(d)];
    columns.push_back(expand(reshape(centres(n, align_corners, theta.options()), along), shape));
  }
  columns.push_back(ones(shape, theta.options()));
  const Tensor points = reshape(stack(columns, -1), {-1, dims + 1});
  Shape out = shape;
  out.insert(0, theta.size(0));
  out.push_back(dims);
  return reshape(matmul(points, transpose(theta, 1, 2)), out);
}

namespace {

constexpr Function kGridFunctions[] = {
    {"grid_sample(input: Tensor, grid: Tensor, mode: str(\"bilinear\", \"nearest\", \"bicubic\") = "
     "\"bilinear\", padding_mode: str(\"zeros\", \"border\", \"reflection\") = \"zeros\", "
     "align_corners: bool? = none)",
     "images (N, C, …) read at the points (N, …, d) of a grid",
     [](const Value* a) -> Value {
       return grid_sample(a[0].as<Tensor>(), a[1].as<Tensor>(), a[2].string(), a[3].string(),
                          !a[4].is_none() && a[4].boolean());
     }},
    {"affine_grid(theta: Tensor, size: int[], align_corners: bool? = none)",
     "the grid of points that affine maps (N, d, d + 1) give",
     [](const Value* a) -> Value {
       return affine_grid(a[0].as<Tensor>(), detail::integers(a[1]),
                          !a[2].is_none() && a[2].boolean());
     }},
};
NNM_REGISTER_FUNCTIONS(kGridFunctions);

}  // namespace
}  // namespace nnm
