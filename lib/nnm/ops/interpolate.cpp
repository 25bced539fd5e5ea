// Resampling of (N, C, d1, …), one dimension after the other: each output element is a weighted sum
// of input elements, which are picked by index.
#include <algorithm>
#include <cmath>

#include "nnm/ops/arguments.h"
#include "nnm/ops/volume.h"

namespace nnm {

namespace {

/// One dimension: extents, and how far apart output elements lie in the input.
struct Resampled {
  int dim;
  int64_t in, out;
  double step;
};

struct ResampleMode {
  const char* name;
  int rank;  // of the input it needs; 0: any from 3 to 5
};
constexpr ResampleMode kResampleModes[] = {{"nearest", 0},      {"linear", 3},    {"bilinear", 4},
                                           {"bicubic", 4},      {"trilinear", 5}, {"area", 0},
                                           {"nearest-exact", 0}};

bool interpolates(const std::string& mode) { return mode.ends_with("linear") || mode == "bicubic"; }

void check_mode(const Tensor& x, const std::string& mode, bool align_corners) {
  const auto known = std::find_if(std::begin(kResampleModes), std::end(kResampleModes),
                                  [&](const ResampleMode& m) { return mode == m.name; });
  const int rank = x.dim();
  NNM_CHECK(rank >= 3 && rank <= 5 && known != std::end(kResampleModes), not_implemented,
            "Input Error: Only 3D, 4D and 5D input Tensors supported (got {}D) for the modes: "
            "nearest | linear | bilinear | bicubic | trilinear | area | nearest-exact (got {})",
            rank, mode);
  NNM_CHECK(known->rank == 0 || known->rank == rank, not_implemented,
            "Got {}D input, but {} mode needs {}D input", rank, mode, known->rank);
  NNM_CHECK(!align_corners || interpolates(mode), value,
            "align_corners option can only be set with the interpolating modes: linear | bilinear "
            "| bicubic | trilinear");
}

std::string sizes_of(const Shape& sizes) {
  constexpr const char* kNames[] = {"D", "H", "W"};
  std::string out;
  for (int i = 2; i < sizes.size(); ++i)
    out += fmt::format("{}{}: {}", i > 2 ? ", " : "", kNames[3 - sizes.size() + i], sizes[i]);
  return out;
}

/// Positions of the output elements in the input.
Tensor positions(const Resampled& r, bool align_corners, const Device& device) {
  const Tensor at = arange(0, r.out, 1, DType::f64, device);
  if (align_corners) return at * Scalar(r.step);
  return (at + Scalar(0.5)) * Scalar(r.step) - Scalar(0.5);
}

Tensor picked(const Tensor& x, const Resampled& r, const Tensor& place) {
  return index_select(
      x, r.dim, to(clamp(place, Scalar(0.0), Scalar(static_cast<double>(r.in - 1))), DType::i64));
}

/// A weight an output element, to be multiplied along the dimension.
Tensor along(const Tensor& weights, const Tensor& x, const Resampled& r) {
  Shape size = Shape::filled(x.dim(), 1);
  size[r.dim] = r.out;
  return to(reshape(weights, size), x.dtype());
}

// PyTorch counts in single precision here, whatever the input's type.
Tensor nearest(const Tensor& x, const Resampled& r, bool exact) {
  const Tensor at = arange(0, r.out, 1, DType::f32, x.device());
  const Tensor place = (exact ? at + Scalar(0.5) : at) * Scalar(r.step);
  return picked(x, r, floor(place));
}

Tensor linear_between(const Tensor& x, const Resampled& r, bool align_corners) {
  const Tensor at = clamp(positions(r, align_corners, x.device()), Scalar(0.0));
  const Tensor low = floor(at);
  const Tensor share = along(at - low, x, r);
  return picked(x, r, low) * (Scalar(1.0) - share) + picked(x, r, low + Scalar(1.0)) * share;
}

// Keys 1981 with a = -0.75.
Tensor cubic_between(const Tensor& x, const Resampled& r, bool align_corners) {
  constexpr double a = -0.75;
  const Tensor at = positions(r, align_corners, x.device());
  const Tensor low = floor(at), t = at - low;
  const auto near = [](const Tensor& d) {
    return ((a + 2) * d - Scalar(a + 3)) * d * d + Scalar(1.0);
  };
  const auto far = [](const Tensor& d) {
    return ((a * d - Scalar(5 * a)) * d + Scalar(8 * a)) * d - Scalar(4 * a);
  };
  const Tensor back = Scalar(1.0) - t;
  const Tensor weights[] = {far(t + Scalar(1.0)), near(t), near(back), far(back + Scalar(1.0))};
  Tensor out;
  for (int i = 0; i < 4; ++i) {
    const Tensor part =
        picked(x, r, low + Scalar(static_cast<double>(i - 1))) * along(weights[i], x, r);
    out = i ? out + part : part;
  }
  return out;
}

Tensor area(const Tensor& x, const Shape& sizes) {
  if (x.dim() == 3) return adaptive_avg_pool1d(x, sizes[2]);
  if (x.dim() == 4) return adaptive_avg_pool2d(x, OptSize2{sizes[2], sizes[3]});
  return adaptive_avg_pool3d(x, {sizes[2], sizes[3], sizes[4]});
}

}  // namespace

Tensor interpolate(const Tensor& x, const std::vector<int64_t>& size,
                   const std::vector<double>& scale_factor, const std::string& mode,
                   std::optional<bool> align_corners, bool recompute_scale_factor) {
  check_mode(x, mode, align_corners.has_value());
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
  Shape sizes = x.shape();
  std::vector<Resampled> dims;
  for (size_t i = 0; i < spatial; ++i) {
    const int dim = static_cast<int>(i) + 2;
    const size_t k = given == 1 ? 0 : i;
    const int64_t in = x.size(dim);
    const int64_t out =
        size.empty() ? static_cast<int64_t>(std::floor(static_cast<double>(in) * scale_factor[k]))
                     : size[k];
    double step = size.empty() && !recompute_scale_factor
                      ? 1 / scale_factor[k]
                      : static_cast<double>(in) / static_cast<double>(out);
    if (align_corners.value_or(false))
      step = out > 1 ? static_cast<double>(in - 1) / static_cast<double>(out - 1) : 0;
    sizes[dim] = out;
    dims.push_back({dim, in, out, step});
  }
  const auto positive = [](const Resampled& r) { return r.in > 0 && r.out > 0; };
  NNM_CHECK(std::all_of(dims.begin(), dims.end(), positive), runtime,
            "Input and output sizes should be greater than 0, but got input ({}) output ({})",
            sizes_of(x.shape()), sizes_of(sizes));
  if (mode == "area") return area(x, sizes);
  Tensor y = x;
  for (const Resampled& r : dims) {
    if (mode == "bicubic") y = cubic_between(y, r, align_corners.value_or(false));
    else if (interpolates(mode)) y = linear_between(y, r, align_corners.value_or(false));
    else y = nearest(y, r, mode == "nearest-exact");
  }
  return y;
}

namespace {

Value interpolate_call(const Value* a) {
  NNM_CHECK(!Codec<bool>::read(a[6]), not_implemented, "interpolate: antialias is not there");
  return interpolate(a[0].as<Tensor>(), detail::numbers<int64_t>(a[1]),
                     detail::numbers<double>(a[2]), a[3].string(),
                     Codec<std::optional<bool>>::read(a[4]),
                     Codec<std::optional<bool>>::read(a[5]).value_or(false));
}

constexpr Function kInterpolateFunctions[] = {
    {"interpolate(input: Tensor, size = none, scale_factor = none, mode: str = \"nearest\", "
     "align_corners: bool? = none, recompute_scale_factor: bool? = none, antialias: bool = false)",
     "(N, C, …) resampled to other extents", interpolate_call}};

NNM_REGISTER_FUNCTIONS(kInterpolateFunctions);

}  // namespace

}  // namespace nnm
