// Resampling of (N, C, d1, …), one dimension after the other.
#include <algorithm>
#include <cmath>

#include "kernels/resample.h"
#include "nnm/base/warn_once.h"
#include "nnm/ops/arguments.h"
#include "nnm/ops/detail.h"
#include "nnm/ops/gemm.h"
#include "nnm/ops/layout.h"
#include "nnm/ops/volume.h"

namespace nnm {

namespace {

/// One dimension of the result.
struct Resampled {
  int dim;
  Resample how;
};

struct ResampleMode {
  const char* name;
  int rank;  // of the input it needs; 0: any from 3 to 5
  Resampling how;
  const char* nodes[3];  // of inputs of 3 to 5 dimensions
  bool interpolates() const { return how == Resampling::linear || how == Resampling::cubic; }
};
constexpr ResampleMode kResampleModes[] = {
    {"nearest",
     0,
     Resampling::nearest,
     {"UpsampleNearest1DBackward0", "UpsampleNearest2DBackward0", "UpsampleNearest3DBackward0"}},
    {"linear", 3, Resampling::linear, {"UpsampleLinear1DBackward0", "", ""}},
    {"bilinear", 4, Resampling::linear, {"", "UpsampleBilinear2DBackward0", ""}},
    {"bicubic", 4, Resampling::cubic, {"", "UpsampleBicubic2DBackward0", ""}},
    {"trilinear", 5, Resampling::linear, {"", "", "UpsampleTrilinear3DBackward0"}},
    {"area", 0, Resampling::nearest, {"", "", ""}},
    {"nearest-exact",
     0,
     Resampling::nearest_exact,
     {"UpsampleNearestExact1DBackward0", "UpsampleNearestExact2DBackward0",
      "UpsampleNearestExact3DBackward0"}}};

const ResampleMode& checked_mode(const Tensor& x, const std::string& mode, bool align_corners) {
  const auto known = std::find_if(std::begin(kResampleModes), std::end(kResampleModes),
                                  [&](const ResampleMode& m) { return mode == m.name; });
  const int rank = x.dim();
  NNM_CHECK(rank >= 3 && rank <= 5 && known != std::end(kResampleModes), not_implemented,
            "Input Error: Only 3D, 4D and 5D input Tensors supported (got {}D) for the modes: "
            "nearest | linear | bilinear | bicubic | trilinear | area | nearest-exact (got {})",
            rank, mode);
  NNM_CHECK(known->rank == 0 || known->rank == rank, not_implemented,
            "Got {}D input, but {} mode needs {}D input", rank, mode, known->rank);
  NNM_CHECK(!align_corners || known->interpolates(), value,
            "align_corners option can only be set with the interpolating modes: linear | bilinear "
            "| bicubic | trilinear");
  return *known;
}

/// As PyTorch's kernels call themselves in messages.
const char* kernel_name(const ResampleMode& m, int rank) {
  if (m.how == Resampling::cubic) return "compute_indices_weights_cubic";
  if (m.how == Resampling::linear)
    return rank == 4 ? "upsample_bilinear2d_channels_last" : "compute_indices_weights_linear";
  return rank == 4 ? "upsample_nearest2d_channels_last" : "compute_indices_weights_nearest";
}

std::string sizes_of(const std::vector<Resampled>& dims, int64_t Resample::*extent) {
  constexpr const char* kNames[] = {"D", "H", "W"};
  std::string out;
  for (size_t i = 0; i < dims.size(); ++i)
    out += fmt::format("{}{}: {}", i ? ", " : "", kNames[3 - dims.size() + i], dims[i].how.*extent);
  return out;
}

std::vector<Resampled> dims_of(const Tensor& x, const std::vector<int64_t>& size,
                               const std::vector<double>& scale_factor, Resampling mode,
                               bool align_corners, bool recompute_scale_factor) {
  std::vector<Resampled> dims;
  const size_t given = size.empty() ? scale_factor.size() : size.size();
  for (int d = 2; d < x.dim(); ++d) {
    const size_t k = given == 1 ? 0 : static_cast<size_t>(d) - 2;
    Resample r{mode, align_corners, x.size(d), 0, 0};
    r.out = size.empty()
                ? static_cast<int64_t>(std::floor(static_cast<double>(r.in) * scale_factor[k]))
                : size[k];
    const auto in = static_cast<double>(r.in), out = static_cast<double>(r.out);
    r.step = size.empty() && !recompute_scale_factor ? 1 / scale_factor[k] : in / out;
    if (align_corners) r.step = r.out > 1 ? (in - 1) / (out - 1) : 0;
    dims.push_back({d, r});
  }
  const auto positive = [](const Resampled& r) { return r.how.in > 0 && r.how.out > 0; };
  NNM_CHECK(std::all_of(dims.begin(), dims.end(), positive), runtime,
            "Input and output sizes should be greater than 0, but got input ({}) output ({})",
            sizes_of(dims, &Resample::in), sizes_of(dims, &Resample::out));
  return dims;
}

/// x (N, C, d1, …), dense, as (A, n, B): what lies before and after a spatial dimension in memory.
View around(const Tensor& x, int dim) {
  const Shape& n = x.shape();
  const bool last = detail::lies_channels_last(x);
  View v = x.view();
  int64_t before = last ? n[0] : n[0] * n[1], after = last ? n[1] : 1;
  for (int d = 2; d < x.dim(); ++d)
    if (d != dim) (d < dim ? before : after) *= n[d];
  v.ndim = 3;
  v.size[0] = before, v.size[1] = n[dim], v.size[2] = after;
  v.stride[0] = n[dim] * after, v.stride[1] = after, v.stride[2] = 1;
  return v;
}

/// Of x's layout, with another extent.
Tensor with_extent(const Tensor& x, int dim, int64_t extent) {
  Shape shape = x.shape();
  shape[dim] = extent;
  return detail::empty_image_like(x, shape, x.dtype());
}

Tensor resampled(const Tensor& x, const std::vector<Resampled>& dims, const char* node) {
  const bool last = detail::lies_channels_last(x);
  Tensor y = last ? x : detail::row_major(x);
  for (const Resampled& r : dims) {
    const Tensor next = with_extent(y, r.dim, r.how.out);
    kernels::resample(around(next, r.dim), around(y, r.dim), r.how);
    y = next;
  }
  if (!needs_grad({&x})) return y;
  return record(node, y, {&x}, [dims, last](Backward& b) {
    Tensor g = last ? detail::channels_innermost(b.grad()) : detail::row_major(b.grad());
    for (auto r = dims.rbegin(); r != dims.rend(); ++r) {
      const Tensor dx = with_extent(g, r->dim, r->how.in);
      kernels::resample_backward(around(dx, r->dim), around(g, r->dim), r->how);
      g = dx;
    }
    b.set(0, g);
  });
}

Tensor area(const Tensor& x, const std::vector<Resampled>& dims) {
  const auto extent = [&](size_t i) { return dims[i].how.out; };
  if (x.dim() == 3) return adaptive_avg_pool1d(x, extent(0));
  if (x.dim() == 4) return adaptive_avg_pool2d(x, OptSize2{extent(0), extent(1)});
  return adaptive_avg_pool3d(x, {extent(0), extent(1), extent(2)});
}

/// What `interpolate` is asked for beside its input.
struct Asked {
  std::vector<int64_t> size;
  std::vector<double> scale_factor;
  bool align_corners, recompute_scale_factor;
};

std::vector<Resampled> checked_dims(const Tensor& x, Resampling how, const Asked& a) {
  const auto& [size, scale_factor, align_corners, recompute_scale_factor] = a;
  NNM_CHECK(size.empty() || scale_factor.empty(), value,
            "only one of size or scale_factor should be defined");
  NNM_CHECK(!size.empty() || !scale_factor.empty(), value,
            "either size or scale_factor should be defined");
  NNM_CHECK(size.empty() || !recompute_scale_factor, value,
            "recompute_scale_factor is not meaningful with an explicit size.");
  const auto spatial = static_cast<size_t>(x.dim() - 2);
  const size_t given = size.empty() ? scale_factor.size() : size.size();
  NNM_CHECK(given == 1 || given == spatial, value,
            "Input and {} must have the same number of spatial dimensions, but got {} and {}",
            size.empty() ? "scale_factor" : "output", spatial, given);
  return dims_of(x, size, scale_factor, how, align_corners, recompute_scale_factor);
}

/// The filters of Pillow, which PyTorch has taken over: a tent, and a cubic with a = -0.5.
double filter_at(bool cubic, double t) {
  t = std::abs(t);
  if (!cubic) return t < 1 ? 1 - t : 0;
  constexpr double a = -0.5;
  if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  return t < 2 ? (((t - 5) * t + 8) * t - 4) * a : 0;
}

/// (out, in): what each place of the output takes of the input, a filter as wide as a step is long.
Tensor filter_matrix(const Resample& r, bool cubic, const TensorOptions& options) {
  const double width = std::max(r.step, 1.0), support = (cubic ? 2 : 1) * width;
  std::vector<double> rows(static_cast<size_t>(r.out * r.in));
  for (int64_t i = 0; i < r.out; ++i) {
    const double middle = r.step * (static_cast<double>(i) + 0.5);
    const auto first = std::max(static_cast<int64_t>(middle - support + 0.5), int64_t{0});
    const auto end = std::min(static_cast<int64_t>(middle + support + 0.5), r.in);
    double* row = rows.data() + i * r.in;
    double total = 0;
    for (int64_t j = first; j < end; ++j)
      total += row[j] = filter_at(cubic, (static_cast<double>(j) - middle + 0.5) / width);
    for (int64_t j = first; j < end && total != 0; ++j) row[j] /= total;
  }
  return to(tensor_of<double>(rows, {r.out, r.in}, {DType::f64}), options);
}

Tensor antialiased(const Tensor& x, const std::string& mode, const Asked& asked) {
  const bool cubic = mode == "bicubic";
  NNM_CHECK((cubic || mode == "bilinear") && x.dim() == 4, value,
            "Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D "
            "tensor as input");
  const std::vector<Resampled> dims =
      checked_dims(x, cubic ? Resampling::cubic : Resampling::linear, asked);
  if (x.dtype() == DType::u8) {
    const Tensor y = antialiased(to(x, DType::f32), mode, asked);
    return to(clamp(round(y), Scalar(0.0), Scalar(255.0)), DType::u8);
  }
  detail::check_floating(x, "compute_indices_weights_aa");
  const Tensor rows = filter_matrix(dims[0].how, cubic, x.options());
  const Tensor columns = filter_matrix(dims[1].how, cubic, x.options());
  return matmul(rows, matmul(x, transpose(columns, 0, 1)));
}

}  // namespace

Tensor interpolate(const Tensor& x, const std::vector<int64_t>& size,
                   const std::vector<double>& scale_factor, const std::string& mode,
                   std::optional<bool> align_corners, bool recompute_scale_factor) {
  const ResampleMode& m = checked_mode(x, mode, align_corners.has_value());
  const std::vector<Resampled> dims = checked_dims(
      x, m.how, {size, scale_factor, align_corners.value_or(false), recompute_scale_factor});
  if (mode == "area") return area(x, dims);
  if (x.dtype() == DType::u8 && (x.dim() == 4 || !m.interpolates())) {
    const Tensor y = interpolate(to(x, DType::f32), size, scale_factor, mode, align_corners,
                                 recompute_scale_factor);
    return to(clamp(round(y), Scalar(0.0), Scalar(255.0)), DType::u8);
  }
  detail::check_floating(x, kernel_name(m, x.dim()));
  return resampled(x, dims, m.nodes[x.dim() - 3]);
}

namespace {

Value interpolate_call(const Value* a) {
  const Tensor x = a[0].as<Tensor>();
  const auto size = detail::numbers<int64_t>(a[1]);
  const auto scale_factor = detail::numbers<double>(a[2]);
  const auto align_corners = Codec<std::optional<bool>>::read(a[4]);
  const bool recompute = Codec<std::optional<bool>>::read(a[5]).value_or(false);
  if (Codec<bool>::read(a[6]))
    return antialiased(x, a[3].string(),
                       {size, scale_factor, align_corners.value_or(false), recompute});
  return interpolate(x, size, scale_factor, a[3].string(), align_corners, recompute);
}

/// PyTorch's older names, which it warns of: `old` with that mode.
Tensor upsampled(const char* old, const Value* a, const std::string& mode,
                 std::optional<bool> align_corners) {
  warn_once(fmt::format(
      "`nn.functional.{}` is deprecated. Use `nn.functional.interpolate` instead.", old));
  return interpolate(a[0].as<Tensor>(), detail::numbers<int64_t>(a[1]),
                     detail::numbers<double>(a[2]), mode, align_corners, false);
}

constexpr Function kInterpolateFunctions[] = {
    {"upsample(input: Tensor, size = none, scale_factor = none, mode: str = \"nearest\", "
     "align_corners: bool? = none)",
     "interpolate, by its older name",
     [](const Value* a) -> Value {
       return upsampled("upsample", a, a[3].string(), Codec<std::optional<bool>>::read(a[4]));
     }},
    {"upsample_nearest(input: Tensor, size = none, scale_factor = none)",
     "interpolate with mode \"nearest\", by its older name",
     [](const Value* a) -> Value { return upsampled("upsample_nearest", a, "nearest", {}); }},
    {"upsample_bilinear(input: Tensor, size = none, scale_factor = none)",
     "interpolate with mode \"bilinear\" and aligned corners, by its older name",
     [](const Value* a) -> Value { return upsampled("upsample_bilinear", a, "bilinear", true); }},
    {"interpolate(input: Tensor, size = none, scale_factor = none, mode: str = \"nearest\", "
     "align_corners: bool? = none, recompute_scale_factor: bool? = none, antialias: bool = false)",
     "(N, C, …) resampled to other extents", interpolate_call}};

NNM_REGISTER_FUNCTIONS(kInterpolateFunctions);

}  // namespace

}  // namespace nnm
