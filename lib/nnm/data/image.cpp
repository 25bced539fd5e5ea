// Windows, mirror images, resampling and rotation of planes.
#include "nnm/data/image.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "nnm/data/convert.h"

namespace nnm::data {
namespace {

// Where index i of an axis of n elements lies under a border rule; -1: nowhere.
int64_t inside(int64_t i, int64_t n, Border border) {
  if (i >= 0 && i < n) return i;
  switch (border) {
    case Border::constant: return -1;
    case Border::edge: return i < 0 ? 0 : n - 1;
    case Border::reflect: return i < 0 ? -i : 2 * (n - 1) - i;
    case Border::symmetric: return i < 0 ? -i - 1 : 2 * n - 1 - i;
  }
  return -1;
}

template <class T>
void copy_window_as(const ImageSize& s, const T* x, const Window& w, T* y, Border border, T fill) {
  // Columns [first, last) of the window lie in the image.
  const int64_t first = std::clamp<int64_t>(-w.left, 0, w.width);
  const int64_t last = std::clamp<int64_t>(s.width - w.left, first, w.width);
  for (int64_t p = 0; p < s.planes; ++p, x += s.height * s.width) {
    for (int64_t r = 0; r < w.height; ++r, y += w.width) {
      const int64_t row = inside(r + w.top, s.height, border);
      if (row < 0) {
        std::fill_n(y, w.width, fill);
        continue;
      }
      const T* from = x + row * s.width;
      auto beyond = [&](int64_t c) {
        const int64_t at = inside(c + w.left, s.width, border);
        y[c] = at < 0 ? fill : from[at];
      };
      for (int64_t c = 0; c < first; ++c) beyond(c);
      if (last > first) std::copy(from + w.left + first, from + w.left + last, y + first);
      for (int64_t c = last; c < w.width; ++c) beyond(c);
    }
  }
}

// One output element of an axis: weights of `count` inputs from `first`.
struct Taps {
  std::vector<int64_t> first, count;
  std::vector<double> weights;  // `width` per output
  int64_t width = 0;
};

// PyTorch's filters: upsample_nearest, upsample_bilinear and _upsample_bilinear2d_aa (a triangle as
// wide as the step, its part inside of the image normalised).
Taps taps_of(int64_t in, int64_t out, const Resampling& how) {
  Taps t;
  const double step = static_cast<double>(in) / static_cast<double>(out);
  const bool wide = how.interpolation == Interpolation::bilinear && how.antialias && step > 1;
  const double support = wide ? step : 1;
  t.width = how.interpolation == Interpolation::nearest
                ? 1
                : static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  t.weights.assign(static_cast<size_t>(t.width * out), 0);
  for (int64_t i = 0; i < out; ++i) {
    double* w = t.weights.data() + i * t.width;
    if (how.interpolation == Interpolation::nearest) {
      t.first.push_back(
          std::min(static_cast<int64_t>(std::floor(static_cast<double>(i) * step)), in - 1));
      t.count.push_back(1);
      w[0] = 1;
      continue;
    }
    const double center = step * (static_cast<double>(i) + 0.5);
    const int64_t begin = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const int64_t end = std::min<int64_t>(static_cast<int64_t>(center + support + 0.5), in);
    double sum = 0;
    for (int64_t j = begin; j < end; ++j) {
      const double d = std::fabs((static_cast<double>(j) - center + 0.5) / support);
      sum += w[j - begin] = std::max(0.0, 1 - d);
    }
    for (int64_t j = 0; j < end - begin; ++j) w[j] /= sum;
    t.first.push_back(begin);
    t.count.push_back(end - begin);
  }
  return t;
}

// (rows, in) to (rows, out) along the last axis.
template <class T>
void resample_rows(const T* x, int64_t rows, int64_t stride, const Taps& t, T* y) {
  const auto out = static_cast<int64_t>(t.first.size());
  for (int64_t r = 0; r < rows; ++r, x += stride, y += out) {
    for (int64_t i = 0; i < out; ++i) {
      const double* w = t.weights.data() + i * t.width;
      const T* from = x + t.first[static_cast<size_t>(i)];
      T sum = 0;
      for (int64_t j = 0; j < t.count[static_cast<size_t>(i)]; ++j) {
        sum += from[j] * static_cast<T>(w[j]);
      }
      y[i] = sum;
    }
  }
}

// (in, width) to (out, width) along the first axis.
template <class T>
void resample_columns(const T* x, int64_t width, const Taps& t, T* y) {
  for (size_t i = 0; i < t.first.size(); ++i, y += width) {
    std::fill_n(y, width, T{0});
    const double* w = t.weights.data() + static_cast<int64_t>(i) * t.width;
    for (int64_t j = 0; j < t.count[i]; ++j) {
      const T* from = x + (t.first[i] + j) * width;
      for (int64_t c = 0; c < width; ++c) y[c] += from[c] * static_cast<T>(w[j]);
    }
  }
}

template <class T>
void resize_as(const ImageSize& s, const T* x, const Window& w, int64_t height, int64_t width,
               const Resampling& how, T* y) {
  const Taps across = taps_of(w.width, width, how), down = taps_of(w.height, height, how);
  std::vector<T> rows(static_cast<size_t>(w.height * width));
  for (int64_t p = 0; p < s.planes; ++p) {
    const T* plane = x + (p * s.height + w.top) * s.width + w.left;
    resample_rows(plane, w.height, s.width, across, rows.data());
    resample_columns(rows.data(), width, down, y + p * height * width);
  }
}

// Calls f(x, y) in f32 or f64; data of other types pass through f32 and are rounded to nearest
// even.
template <class F>
void in_floats(DType dtype, const void* x, int64_t numel_x, void* y, int64_t numel_y, F f) {
  if (dtype == DType::f32) return f(static_cast<const float*>(x), static_cast<float*>(y));
  if (dtype == DType::f64) return f(static_cast<const double*>(x), static_cast<double*>(y));
  std::vector<float> a(static_cast<size_t>(numel_x)), b(static_cast<size_t>(numel_y));
  convert(dtype, x, DType::f32, a.data(), numel_x);
  f(static_cast<const float*>(a.data()), b.data());
  if (!is_floating(dtype)) {
    for (float& v : b) v = std::nearbyint(v);
  }
  convert(DType::f32, b.data(), dtype, y, numel_y);
}

// The value at (h, w) of a plane, zero outside, and how much of it lies inside.
template <class T>
std::pair<T, T> sample_at(const T* x, const ImageSize& s, double h, double w, Interpolation how) {
  auto pixel = [&](double r, double c) {
    const bool in =
        r >= 0 && c >= 0 && r < static_cast<double>(s.height) && c < static_cast<double>(s.width);
    return in ? std::pair<T, T>(x[static_cast<int64_t>(r) * s.width + static_cast<int64_t>(c)], 1)
              : std::pair<T, T>(0, 0);
  };
  if (how == Interpolation::nearest) return pixel(std::nearbyint(h), std::nearbyint(w));
  const double top = std::floor(h), left = std::floor(w);
  T value = 0, weight = 0;
  for (int corner = 0; corner < 4; ++corner) {
    const double r = top + corner / 2, c = left + corner % 2;
    const auto k = static_cast<T>((1 - std::fabs(h - r)) * (1 - std::fabs(w - c)));
    const auto [v, present] = pixel(r, c);
    value += k * v;
    weight += k * present;
  }
  return {value, weight};
}

template <class T>
void rotate_as(const ImageSize& s, const T* x, double degrees, double cx, double cy,
               Interpolation how, double fill, T* y) {
  const double angle = degrees * std::numbers::pi / 180;
  const double sine = std::sin(angle), cosine = std::cos(angle);
  const double mid_w = static_cast<double>(s.width) / 2 - 0.5;
  const double mid_h = static_cast<double>(s.height) / 2 - 0.5;
  for (int64_t p = 0; p < s.planes; ++p, x += s.height * s.width) {
    for (int64_t r = 0; r < s.height; ++r) {
      for (int64_t c = 0; c < s.width; ++c) {
        const double dx = static_cast<double>(c) - mid_w - cx;
        const double dy = static_cast<double>(r) - mid_h - cy;
        // Rounded as floats are, so that quarter turns fall on pixels.
        const auto w = static_cast<float>(cosine * dx - sine * dy + cx + mid_w);
        const auto h = static_cast<float>(sine * dx + cosine * dy + cy + mid_h);
        const auto [v, inside] = sample_at(x, s, h, w, how);
        *y++ = v * inside + (1 - inside) * static_cast<T>(fill);
      }
    }
  }
}

}  // namespace

ImageSize image_size(const SampleType& t, const char* transform) {
  const int n = t.shape.size();
  NNM_CHECK(n >= 2, value, "{} needs images (C, H, W), got samples of size {}", transform,
            t.shape.str());
  ImageSize s{1, t.shape[n - 2], t.shape[n - 1]};
  for (int i = 0; i < n - 2; ++i) s.planes *= t.shape[i];
  NNM_CHECK(s.height > 0 && s.width > 0, value, "{}: the image has no pixels", transform);
  return s;
}

SampleType resized(const SampleType& t, int64_t height, int64_t width) {
  SampleType out = t;
  out.shape[t.shape.size() - 2] = height;
  out.shape[t.shape.size() - 1] = width;
  return out;
}

Border border_of(const std::string& mode) {
  if (mode == "edge") return Border::edge;
  if (mode == "reflect") return Border::reflect;
  if (mode == "symmetric") return Border::symmetric;
  return Border::constant;
}

Interpolation interpolation_of(const std::string& name) {
  return name == "nearest" ? Interpolation::nearest : Interpolation::bilinear;
}

void copy_window(DType dtype, const ImageSize& s, const void* x, const Window& w, void* y,
                 Border border, double fill) {
  with_width(dtype, [&](auto zero) {
    using T = decltype(zero);
    T filling{};
    if (fill != 0) store_number(dtype, &filling, fill);
    copy_window_as(s, static_cast<const T*>(x), w, static_cast<T*>(y), border, filling);
  });
}

void mirror(DType dtype, const ImageSize& s, const void* x, void* y) {
  with_width(dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* from = static_cast<const T*>(x);
    T* to = static_cast<T*>(y);
    for (int64_t r = 0; r < s.planes * s.height; ++r, from += s.width, to += s.width) {
      std::reverse_copy(from, from + s.width, to);
    }
  });
}

void resize_window(DType dtype, const ImageSize& s, const void* x, const Window& w, int64_t height,
                   int64_t width, const Resampling& how, void* y) {
  in_floats(dtype, x, s.planes * s.height * s.width, y, s.planes * height * width,
            [&](const auto* a, auto* b) { resize_as(s, a, w, height, width, how, b); });
}

void rotate(DType dtype, const ImageSize& s, const void* x, double degrees,
            const std::optional<std::pair<double, double>>& center, Interpolation interpolation,
            double fill, void* y) {
  // Relative to the middle of the image.
  const double cx = center ? center->first - static_cast<double>(s.width) / 2 : 0;
  const double cy = center ? center->second - static_cast<double>(s.height) / 2 : 0;
  const int64_t n = s.planes * s.height * s.width;
  in_floats(dtype, x, n, y, n, [&](const auto* a, auto* b) {
    rotate_as(s, a, degrees, cx, cy, interpolation, fill, b);
  });
}

}  // namespace nnm::data
