// The transforms of colours in an image: color_jitter random_erasing. Arguments, defaults and
// formulas are torchvision's.
#include <cmath>
#include <cstring>

#include "nnm/data/convert.h"
#include "nnm/data/image.h"

namespace nnm::data {
namespace {

// An image of one or three planes in floating point. `bound` is the value of white: 255 for bytes,
// whose results are cut to whole numbers after every step as torchvision's are.
template <class T>
struct Pixels {
  T* data;
  int64_t planes, area;
  T bound;
  bool whole;

  int64_t numel() const { return planes * area; }
  T rounded(T v) const { return whole ? std::trunc(v) : v; }
  T gray(int64_t i) const {
    if (planes == 1) return data[i];
    return rounded(static_cast<T>(0.2989) * data[i] + static_cast<T>(0.587) * data[i + area] +
                   static_cast<T>(0.114) * data[i + 2 * area]);
  }
  void blend(T& v, T with, T factor) const {
    v = rounded(std::clamp(factor * v + (1 - factor) * with, T{0}, bound));
  }
};

template <class T>
void adjust_brightness(const Pixels<T>& p, T factor) {
  for (int64_t i = 0; i < p.numel(); ++i) p.blend(p.data[i], 0, factor);
}

template <class T>
void adjust_contrast(const Pixels<T>& p, T factor) {
  double sum = 0;
  for (int64_t i = 0; i < p.area; ++i) sum += p.gray(i);
  const T mean = static_cast<T>(sum / static_cast<double>(p.area));
  for (int64_t i = 0; i < p.numel(); ++i) p.blend(p.data[i], mean, factor);
}

template <class T>
void adjust_saturation(const Pixels<T>& p, T factor) {
  if (p.planes == 1) return;
  for (int64_t i = 0; i < p.area; ++i) {
    const T gray = p.gray(i);
    for (int64_t c = 0; c < 3; ++c) p.blend(p.data[i + c * p.area], gray, factor);
  }
}

// Turns the hue of one pixel, values in [0, 1], by a share of the colour circle.
template <class T>
void turn_hue(T& r, T& g, T& b, T turn) {
  const T high = std::max({r, g, b}), low = std::min({r, g, b}), span = high - low;
  if (span == 0) return;
  const T rc = (high - r) / span, gc = (high - g) / span, bc = (high - b) / span;
  T h = high == r ? bc - gc : high == g ? 2 + rc - bc : 4 + gc - rc;
  h = h / 6 + 1 + turn;
  h -= std::floor(h);
  const T s = span / high, sixth = std::floor(h * 6), f = h * 6 - sixth;
  auto unit = [](T v) { return std::clamp(v, T{0}, T{1}); };
  const T p = unit(high * (1 - s)), q = unit(high * (1 - s * f));
  const T t = unit(high * (1 - s * (1 - f)));
  const T rgb[6][3] = {{high, t, p}, {q, high, p}, {p, high, t},
                       {p, q, high}, {t, p, high}, {high, p, q}};
  const auto& to = rgb[static_cast<int>(sixth) % 6];
  r = to[0], g = to[1], b = to[2];
}

template <class T>
void adjust_hue(const Pixels<T>& p, T turn) {
  if (p.planes == 1) return;
  for (int64_t i = 0; i < p.area; ++i) {
    T rgb[3];
    for (int64_t c = 0; c < 3; ++c) rgb[c] = p.data[i + c * p.area] / p.bound;
    turn_hue(rgb[0], rgb[1], rgb[2], turn);
    for (int64_t c = 0; c < 3; ++c) {
      // torchvision spreads [0, 1] over bytes by 256 - 1e-3.
      p.data[i + c * p.area] =
          p.whole ? std::trunc(rgb[c] * static_cast<T>(255 + 1 - 1e-3)) : rgb[c];
    }
  }
}

// A range of factors: a number d means [max(0, middle - d), middle + d].
struct Range {
  double low = 1, high = 1;
  bool active = false;
  Range(const Value& v, const char* what, double middle, double least, double most) {
    if (v.is_sequence()) {
      NNM_CHECK(v.items().size() == 2, value, "{} should be a number or (min, max)", what);
      low = v.items()[0].real();
      high = v.items()[1].real();
    } else {
      const double d = v.real();
      NNM_CHECK(d >= 0, value, "If {} is a single number, it must be non negative.", what);
      low = std::max(least, middle - d);
      high = middle + d;
    }
    NNM_CHECK(least <= low && low <= high && high <= most, value,
              "{} values should be between ({}, {}), but got ({}, {}).", what, least, most, low,
              high);
    active = low != middle || high != middle;
  }
};

struct color_jitter final : Transform {
  struct Options {
    Value brightness = 0.0, contrast = 0.0, saturation = 0.0, hue = 0.0;
  };
  static const Spec<Options>& spec() {
    static const auto s =
        Spec<Options>("color_jitter", "changes colours at random, in training")
            .opt(NNM_ARG(brightness), "factor is uniform in [1 - it, 1 + it], or (min, max)")
            .opt(NNM_ARG(contrast), "likewise")
            .opt(NNM_ARG(saturation), "likewise")
            .opt(NNM_ARG(hue), "turn of the colour circle in [-it, it], at most 0.5");
    return s;
  }
  explicit color_jitter(const Options& o)
      : ranges{{o.brightness, "brightness", 1, 0, kNoLimit},
               {o.contrast, "contrast", 1, 0, kNoLimit},
               {o.saturation, "saturation", 1, 0, kNoLimit},
               {o.hue, "hue", 0, -0.5, 0.5}} {}
  bool random() const override { return true; }
  Work work(bool training) const override { return training ? Work::whole : Work::none; }
  SampleType infer(const SampleType& in) const override {
    NNM_CHECK(in.shape.size() == 3 && (in.shape[0] == 1 || in.shape[0] == 3), value,
              "color_jitter needs images of 1 or 3 channels (C, H, W), got samples of size {}",
              in.shape.str());
    NNM_CHECK(in.dtype == DType::u8 || in.dtype == DType::f32 || in.dtype == DType::f64, value,
              "color_jitter needs bytes or floats, got {}", info(in.dtype).name);
    return in;
  }
  void apply(const SampleType& in, const void* x, const SampleType&, void* y,
             Draws* draws) const override {
    const int64_t n = in.shape.numel();
    with_float(in.dtype, [&](auto zero) {
      using T = decltype(zero);
      const bool bytes = in.dtype == DType::u8;
      std::vector<T> buffer(bytes ? static_cast<size_t>(n) : 0);
      T* data = bytes ? buffer.data() : static_cast<T*>(y);
      const DType floats = sizeof(T) == 8 ? DType::f64 : DType::f32;
      convert(in.dtype, x, floats, data, n);
      if (draws && n > 0) {
        jitter(Pixels<T>{data, in.shape[0], n / in.shape[0], T(bytes ? 255 : 1), bytes}, *draws);
      }
      if (bytes) convert(floats, data, DType::u8, y, n);
    });
  }

 private:
  template <class T>
  void jitter(const Pixels<T>& p, Draws& draws) const {
    int order[4] = {0, 1, 2, 3};
    for (int i = 3; i > 0; --i) std::swap(order[i], order[draws.below(i + 1)]);
    T factors[4];
    for (int i = 0; i < 4; ++i) {
      factors[i] = static_cast<T>(draws.uniform(ranges[i].low, ranges[i].high));
    }
    for (int i : order) {
      if (!ranges[i].active) continue;
      if (i == 0) adjust_brightness(p, factors[0]);
      if (i == 1) adjust_contrast(p, factors[1]);
      if (i == 2) adjust_saturation(p, factors[2]);
      if (i == 3) adjust_hue(p, factors[3]);
    }
  }
  static constexpr double kNoLimit = 1e30;
  Range ranges[4];
};
NNM_REGISTER(Transform, color_jitter);

struct random_erasing final : Transform {
  struct Options {
    double p = 0.5;
    std::vector<double> scale{0.02, 0.33};
    std::vector<double> ratio{0.3, 3.3};
    Value value = 0;
  };
  static const Spec<Options>& spec() {
    static const auto s =
        Spec<Options>("random_erasing", "fills a random rectangle sometimes, in training")
            .opt(NNM_ARG(p), "probability", between(0, 1))
            .opt(NNM_ARG(scale), "range of its area, as a share", between(0, 1))
            .opt(NNM_ARG(ratio), "range of height / width", above(0))
            .opt(NNM_ARG(value), "a number, one for each channel, or \"random\" (normal noise)");
    return s;
  }
  explicit random_erasing(const Options& options) : o(options) {
    NNM_CHECK(o.scale.size() == 2 && o.scale[0] <= o.scale[1] && o.ratio.size() == 2 &&
                  o.ratio[0] <= o.ratio[1],
              value, "Scale and ratio should be of kind (min, max)");
    if (o.value.is(Value::Kind::string)) {
      NNM_CHECK(o.value.string() == "random", value,
                "If value is str, it should be 'random', got '{}'", o.value.string());
      return;
    }
    if (!o.value.is_sequence()) {
      values.push_back(o.value.real());
    } else {
      for (const Value& v : o.value.items()) values.push_back(v.real());
      NNM_CHECK(!values.empty(), value, "random_erasing: value must not be empty");
    }
  }
  bool random() const override { return true; }
  Work work(bool training) const override { return training ? Work::whole : Work::none; }
  SampleType infer(const SampleType& in) const override {
    const ImageSize s = image_size(in, "random_erasing");
    NNM_CHECK(!values.empty() || is_floating(in.dtype), value,
              "random_erasing: noise needs floats, got {}", info(in.dtype).name);
    NNM_CHECK(values.size() <= 1 || static_cast<int64_t>(values.size()) == s.planes, value,
              "If value is a sequence, it should have either a single value or {} (number of "
              "input channels)",
              s.planes);
    return in;
  }
  void apply(const SampleType& in, const void* x, const SampleType&, void* y,
             Draws* draws) const override {
    std::memcpy(y, x, in.bytes());
    if (!draws || draws->uniform() >= o.p) return;
    const ImageSize s = image_size(in, "random_erasing");
    for (int attempt = 0; attempt < 10; ++attempt) {
      const double area =
          static_cast<double>(s.height * s.width) * draws->uniform(o.scale[0], o.scale[1]);
      const double aspect = std::exp(draws->uniform(std::log(o.ratio[0]), std::log(o.ratio[1])));
      const auto h = static_cast<int64_t>(std::nearbyint(std::sqrt(area * aspect)));
      const auto w = static_cast<int64_t>(std::nearbyint(std::sqrt(area / aspect)));
      if (h >= s.height || w >= s.width) continue;
      const int64_t top = draws->below(s.height - h + 1);
      fill(in.dtype, s, {top, draws->below(s.width - w + 1), h, w}, static_cast<char*>(y), *draws);
      return;
    }
  }

 private:
  void fill(DType dtype, const ImageSize& s, const Window& w, char* y, Draws& draws) const {
    const auto item = static_cast<int64_t>(item_size(dtype));
    for (int64_t p = 0; p < s.planes; ++p) {
      for (int64_t r = w.top; r < w.top + w.height; ++r) {
        for (int64_t c = w.left; c < w.left + w.width; ++c) {
          const double v = values.empty() ? draws.normal()
                                          : values[values.size() == 1 ? 0 : static_cast<size_t>(p)];
          store_number(dtype, y + ((p * s.height + r) * s.width + c) * item, v);
        }
      }
    }
  }
  Options o;
  std::vector<double> values;  // empty: noise
};
NNM_REGISTER(Transform, random_erasing);

}  // namespace
}  // namespace nnm::data
