// The transforms of places in an image: resize center_crop random_crop random_resized_crop
// random_horizontal_flip random_rotation pad. Arguments and defaults are torchvision's.
#include <cmath>

#include "nnm/data/image.h"

namespace nnm::data {
namespace {

// A number for both, or (height, width).
struct Extent {
  int64_t height = 0, width = 0;
  explicit Extent(const IntTuple<2>& t) : height(t[0]), width(t[1]) {}
};

// torchvision's padding: one number, [left/right, top/bottom], or [left, top, right, bottom].
struct Padding {
  int64_t left = 0, top = 0, right = 0, bottom = 0;
  explicit Padding(const Value& v) {
    if (v.is_none()) return;
    if (!v.is_sequence()) {
      left = top = right = bottom = v.integer();
    } else {
      const Values& p = v.items();
      NNM_CHECK(p.size() == 1 || p.size() == 2 || p.size() == 4, value,
                "Padding must be an int or a 1, 2, or 4 element tuple, not a {} element tuple",
                p.size());
      left = p[0].integer();
      top = p[p.size() == 1 ? 0 : 1].integer();
      right = p.size() == 4 ? p[2].integer() : left;
      bottom = p.size() == 4 ? p[3].integer() : top;
    }
  }
  bool any_negative() const { return std::min({left, top, right, bottom}) < 0; }
};

void check_border(const ImageSize& s, const Padding& p, Border border, const char* what) {
  NNM_CHECK(s.height + p.top + p.bottom > 0 && s.width + p.left + p.right > 0, value,
            "{}: nothing is left of an image of {}x{}", what, s.height, s.width);
  if (border != Border::reflect && border != Border::symmetric) return;
  const int64_t less = border == Border::reflect ? 1 : 0;
  NNM_CHECK(
      std::max(p.top, p.bottom) <= s.height - less && std::max(p.left, p.right) <= s.width - less,
      value, "{}: the padding is larger than the image of {}x{}", what, s.height, s.width);
}

std::vector<std::string> padding_modes() { return {"constant", "edge", "reflect", "symmetric"}; }
std::vector<std::string> interpolations() { return {"nearest", "bilinear"}; }

// Python's round: half to even.
int64_t round_even(double v) { return static_cast<int64_t>(std::nearbyint(v)); }

// The window of center_crop; where the image is smaller it is padded as torchvision pads it.
Window center_window(const ImageSize& s, int64_t height, int64_t width) {
  auto start = [](int64_t n, int64_t want) {
    return want > n ? -((want - n) / 2) : round_even(static_cast<double>(n - want) / 2);
  };
  return {start(s.height, height), start(s.width, width), height, width};
}

struct pad final : Transform {
  struct Options {
    Value padding;
    double fill = 0;
    std::string padding_mode = "constant";
  };
  static const Spec<Options>& spec() {
    static const auto s =
        Spec<Options>("pad", "pixels around the image")
            .req(NNM_ARG(padding), "a number, [left and right, top and bottom], or one a side")
            .opt(NNM_ARG(fill), "value of constant padding")
            .opt(NNM_ARG(padding_mode), "what to pad with", one_of(padding_modes()));
    return s;
  }
  explicit pad(const Options& o)
      : padding(o.padding), fill(o.fill), border(border_of(o.padding_mode)) {}
  SampleType infer(const SampleType& in) const override {
    const ImageSize s = image_size(in, "pad");
    check_border(s, padding, border, "pad");
    return resized(in, s.height + padding.top + padding.bottom,
                   s.width + padding.left + padding.right);
  }
  void apply(const SampleType& in, const void* x, const SampleType& out, void* y,
             Draws*) const override {
    const ImageSize to = image_size(out, "pad");
    copy_window(in.dtype, image_size(in, "pad"), x,
                {-padding.top, -padding.left, to.height, to.width}, y, border, fill);
  }
  Padding padding;
  double fill;
  Border border;
};
NNM_REGISTER(Transform, pad);

struct center_crop final : Transform {
  struct Options {
    IntTuple<2> size;
  };
  static const Spec<Options>& spec() {
    static const auto s =
        Spec<Options>("center_crop", "the middle of the image, padded with zeros if it is smaller")
            .req(NNM_ARG(size), "height and width", at_least(1));
    return s;
  }
  explicit center_crop(const Options& o) : size(o.size) {}
  SampleType infer(const SampleType& in) const override {
    image_size(in, "center_crop");
    return resized(in, size.height, size.width);
  }
  void apply(const SampleType& in, const void* x, const SampleType&, void* y,
             Draws*) const override {
    const ImageSize s = image_size(in, "center_crop");
    copy_window(in.dtype, s, x, center_window(s, size.height, size.width), y);
  }
  Extent size;
};
NNM_REGISTER(Transform, center_crop);

struct resize final : Transform {
  struct Options {
    IntTuple<2> size;
    std::string interpolation = "bilinear";
    std::optional<int64_t> max_size;
    bool antialias = true;
  };
  static const Spec<Options>& spec() {
    static const auto s =
        Spec<Options>("resize", "resamples the image, as F.interpolate with align_corners=False")
            .req(NNM_ARG(size), "height and width; one number: of the shorter side", at_least(1))
            .opt(NNM_ARG(interpolation), "how", one_of(interpolations()))
            .opt(NNM_ARG(max_size), "the longer side's limit, if size is one number", at_least(1))
            .opt(NNM_ARG(antialias), "filter before shrinking, as torchvision does by default");
    return s;
  }
  explicit resize(const Options& options)
      : o(options), how{interpolation_of(o.interpolation), o.antialias} {
    NNM_CHECK(!o.max_size || (o.size.scalar && *o.max_size > o.size[0]), value,
              "max_size must be greater than size, which must be one number");
  }
  SampleType infer(const SampleType& in) const override {
    const ImageSize s = image_size(in, "resize");
    if (!o.size.scalar) return resized(in, o.size[0], o.size[1]);
    const int64_t shorter = std::min(s.height, s.width), longer = std::max(s.height, s.width);
    int64_t to_short = o.size[0];
    auto to_long = static_cast<int64_t>(static_cast<double>(to_short) *
                                        static_cast<double>(longer) / static_cast<double>(shorter));
    if (o.max_size && to_long > *o.max_size) {
      to_short = static_cast<int64_t>(static_cast<double>(*o.max_size) *
                                      static_cast<double>(to_short) / static_cast<double>(to_long));
      to_long = *o.max_size;
    }
    to_short = std::max<int64_t>(to_short, 1);
    return s.width <= s.height ? resized(in, to_long, to_short) : resized(in, to_short, to_long);
  }
  void apply(const SampleType& in, const void* x, const SampleType& out, void* y,
             Draws*) const override {
    const ImageSize s = image_size(in, "resize"), to = image_size(out, "resize");
    resize_window(in.dtype, s, x, {0, 0, s.height, s.width}, to.height, to.width, how, y);
  }
  Options o;
  Resampling how;
};
NNM_REGISTER(Transform, resize);

struct random_horizontal_flip final : Transform {
  struct Options {
    double p = 0.5;
  };
  static const Spec<Options>& spec() {
    static const auto s =
        Spec<Options>("random_horizontal_flip", "mirrors the image sometimes, in training")
            .opt(NNM_ARG(p), "probability", between(0, 1));
    return s;
  }
  explicit random_horizontal_flip(const Options& options) : o(options) {}
  bool random() const override { return true; }
  Work work(bool training) const override { return training ? Work::whole : Work::none; }
  SampleType infer(const SampleType& in) const override {
    image_size(in, "random_horizontal_flip");
    return in;
  }
  void apply(const SampleType& in, const void* x, const SampleType&, void* y,
             Draws* draws) const override {
    const ImageSize s = image_size(in, "random_horizontal_flip");
    if (draws && draws->uniform() < o.p) {
      mirror(in.dtype, s, x, y);
    } else {
      copy_window(in.dtype, s, x, {0, 0, s.height, s.width}, y);
    }
  }
  Options o;
};
NNM_REGISTER(Transform, random_horizontal_flip);

struct random_crop final : Transform {
  struct Options {
    IntTuple<2> size;
    Value padding;
    bool pad_if_needed = false;
    double fill = 0;
    std::string padding_mode = "constant";
  };
  static const Spec<Options>& spec() {
    static const auto s =
        Spec<Options>("random_crop",
                      "a window somewhere in the padded image; outside of training "
                      "the middle of the image")
            .req(NNM_ARG(size), "height and width", at_least(1))
            .opt(NNM_ARG(padding), "as in pad, before cropping")
            .opt(NNM_ARG(pad_if_needed), "pad images that are smaller than the window")
            .opt(NNM_ARG(fill), "value of constant padding")
            .opt(NNM_ARG(padding_mode), "what to pad with", one_of(padding_modes()));
    return s;
  }
  explicit random_crop(const Options& options)
      : o(options), size(o.size), padding(o.padding), border(border_of(o.padding_mode)) {
    NNM_CHECK(!padding.any_negative(), value, "random_crop: padding must not be negative");
  }
  bool random() const override { return true; }
  Padding padding_for(const ImageSize& s) const {
    Padding p = padding;
    if (!o.pad_if_needed) return p;
    const int64_t cols = std::max<int64_t>(0, size.width - s.width - p.left - p.right);
    const int64_t rows = std::max<int64_t>(0, size.height - s.height - p.top - p.bottom);
    p.left += cols, p.right += cols, p.top += rows, p.bottom += rows;
    return p;
  }
  SampleType infer(const SampleType& in) const override {
    const ImageSize s = image_size(in, "random_crop");
    const Padding p = padding_for(s);
    check_border(s, p, border, "random_crop");
    const int64_t h = s.height + p.top + p.bottom, w = s.width + p.left + p.right;
    NNM_CHECK(h >= size.height && w >= size.width, value,
              "Required crop size ({}, {}) is larger than input image size ({}, {})", size.height,
              size.width, h, w);
    return resized(in, size.height, size.width);
  }
  void apply(const SampleType& in, const void* x, const SampleType&, void* y,
             Draws* draws) const override {
    const ImageSize s = image_size(in, "random_crop");
    const Padding p = padding_for(s);
    Window w = center_window(s, size.height, size.width);
    if (draws) {
      w.top = draws->below(s.height + p.top + p.bottom - size.height + 1) - p.top;
      w.left = draws->below(s.width + p.left + p.right - size.width + 1) - p.left;
    }
    copy_window(in.dtype, s, x, w, y, border, o.fill);
  }
  Options o;
  Extent size;
  Padding padding;
  Border border;
};
NNM_REGISTER(Transform, random_crop);

struct random_resized_crop final : Transform {
  struct Options {
    IntTuple<2> size;
    std::vector<double> scale{0.08, 1.0};
    std::vector<double> ratio{3.0 / 4, 4.0 / 3};
    std::string interpolation = "bilinear";
    bool antialias = true;
  };
  static const Spec<Options>& spec() {
    static const auto s =
        Spec<Options>("random_resized_crop",
                      "a window of random size and shape, resized; outside "
                      "of training the largest one in the middle")
            .req(NNM_ARG(size), "height and width of the result", at_least(1))
            .opt(NNM_ARG(scale), "range of the window's area, as a share", above(0))
            .opt(NNM_ARG(ratio), "range of width / height", above(0))
            .opt(NNM_ARG(interpolation), "how", one_of(interpolations()))
            .opt(NNM_ARG(antialias), "filter before shrinking");
    return s;
  }
  explicit random_resized_crop(const Options& options)
      : o(options), size(o.size), how{interpolation_of(o.interpolation), o.antialias} {
    NNM_CHECK(o.scale.size() == 2 && o.scale[0] <= o.scale[1] && o.ratio.size() == 2 &&
                  o.ratio[0] <= o.ratio[1],
              value, "Scale and ratio should be of kind (min, max)");
  }
  bool random() const override { return true; }
  SampleType infer(const SampleType& in) const override {
    image_size(in, "random_resized_crop");
    return resized(in, size.height, size.width);
  }
  Window window(const ImageSize& s, Draws* draws) const {
    const auto area = static_cast<double>(s.height * s.width);
    for (int attempt = 0; draws && attempt < 10; ++attempt) {
      const double target = area * draws->uniform(o.scale[0], o.scale[1]);
      const double aspect = std::exp(draws->uniform(std::log(o.ratio[0]), std::log(o.ratio[1])));
      const int64_t w = round_even(std::sqrt(target * aspect));
      const int64_t h = round_even(std::sqrt(target / aspect));
      if (w <= 0 || w > s.width || h <= 0 || h > s.height) continue;
      const int64_t top = draws->below(s.height - h + 1);
      return {top, draws->below(s.width - w + 1), h, w};
    }
    const double ratio = static_cast<double>(s.width) / static_cast<double>(s.height);
    int64_t w = s.width, h = s.height;
    if (ratio < o.ratio[0]) h = round_even(static_cast<double>(w) / o.ratio[0]);
    if (ratio > o.ratio[1]) w = round_even(static_cast<double>(h) * o.ratio[1]);
    w = std::clamp<int64_t>(w, 1, s.width);
    h = std::clamp<int64_t>(h, 1, s.height);
    return {(s.height - h) / 2, (s.width - w) / 2, h, w};
  }
  void apply(const SampleType& in, const void* x, const SampleType&, void* y,
             Draws* draws) const override {
    const ImageSize s = image_size(in, "random_resized_crop");
    resize_window(in.dtype, s, x, window(s, draws), size.height, size.width, how, y);
  }
  Options o;
  Extent size;
  Resampling how;
};
NNM_REGISTER(Transform, random_resized_crop);

struct random_rotation final : Transform {
  struct Options {
    Value degrees;
    std::string interpolation = "nearest";
    std::optional<std::vector<double>> center;
    double fill = 0;
  };
  static const Spec<Options>& spec() {
    static const auto s =
        Spec<Options>("random_rotation", "turns the image by a random angle, in training")
            .req(NNM_ARG(degrees), "(min, max), or a number d for (-d, d)")
            .opt(NNM_ARG(interpolation), "how", one_of(interpolations()))
            .opt(NNM_ARG(center), "(x, y) in pixels; none: the middle")
            .opt(NNM_ARG(fill), "value of what lies outside of the image");
    return s;
  }
  explicit random_rotation(const Options& options) : o(options) {
    if (o.degrees.is_sequence()) {
      NNM_CHECK(o.degrees.items().size() == 2, value, "degrees should be a sequence of length 2.");
      low = o.degrees.items()[0].real();
      high = o.degrees.items()[1].real();
    } else {
      high = o.degrees.real();
      low = -high;
      NNM_CHECK(high >= 0, value, "If degrees is a single number, it must be positive.");
    }
    if (!o.center) return;
    NNM_CHECK(o.center->size() == 2, value, "center should be a sequence of length 2.");
    center.emplace((*o.center)[0], (*o.center)[1]);
  }
  bool random() const override { return true; }
  Work work(bool training) const override { return training ? Work::whole : Work::none; }
  SampleType infer(const SampleType& in) const override {
    image_size(in, "random_rotation");
    return in;
  }
  void apply(const SampleType& in, const void* x, const SampleType&, void* y,
             Draws* draws) const override {
    const double angle = draws ? draws->uniform(low, high) : 0;
    rotate(in.dtype, image_size(in, "random_rotation"), x, angle, center,
           interpolation_of(o.interpolation), o.fill, y);
  }
  Options o;
  double low = 0, high = 0;
  std::optional<std::pair<double, double>> center;
};
NNM_REGISTER(Transform, random_rotation);

}  // namespace
}  // namespace nnm::data
