// The transforms: each is a few lines over ops; one more is one more struct here.
#include <cmath>
#include <cstring>

#include "nnm/data/transform.h"
#include "nnm/ops/ops.h"

namespace nnm::data {
namespace {

struct FloatTransform : Transform {
  bool wants_float() const override { return true; }
};

struct scale final : FloatTransform {
  struct Options { double factor = 1; };
  static const Spec<Options>& spec() {
    static const auto s = Spec<Options>("scale", "x * factor").req(NNM_ARG(factor), "what to multiply with");
    return s;
  }
  explicit scale(const Options& o) : o(o) {}
  Tensor apply(const Tensor& x, const BatchContext&) const override { return mul(x, o.factor); }
  Options o;
};
NNM_REGISTER(Transform, scale);

struct normalize final : FloatTransform {
  struct Options { Value mean, std; };
  static const Spec<Options>& spec() {
    static const auto s = Spec<Options>("normalize", "(x - mean) / std; a list gives one number per channel")
                              .req(NNM_ARG(mean), "what to subtract")
                              .req(NNM_ARG(std), "what to divide by");
    return s;
  }
  explicit normalize(const Options& o) : mean(numbers(o.mean, "mean")), std(numbers(o.std, "std")) {
    NNM_CHECK(mean.numel() == std.numel(), value, "normalize: {} means and {} deviations", mean.numel(), std.numel());
    for (double d : std.to_vector<double>()) NNM_CHECK(d != 0, value, "normalize: std must not be 0");
  }
  static Tensor numbers(const Value& v, const char* what) {
    std::vector<double> xs;
    if (v.is_sequence()) {
      for (const Value& x : v.items()) xs.push_back(x.real());
    } else {
      xs.push_back(v.real());
    }
    NNM_CHECK(!xs.empty(), value, "normalize: {} is an empty list", what);
    return tensor_of<double>(xs, {static_cast<int64_t>(xs.size())}, {DType::f32});
  }
  Tensor apply(const Tensor& x, const BatchContext&) const override {
    if (mean.numel() == 1) return div(sub(x, mean.item()), std.item());
    NNM_CHECK(x.dim() >= 2 && x.size(1) == mean.numel(), value, "normalize: {} means for a batch of size {}",
              mean.numel(), x.shape().str());
    Shape shape = Shape::filled(x.dim(), 1);
    shape[1] = mean.numel();
    return div(sub(x, to(view(mean, shape), x.dtype())), to(view(std, shape), x.dtype()));
  }
  Tensor mean, std;
};
NNM_REGISTER(Transform, normalize);

struct to_dtype final : Transform {
  struct Options { DType dtype = DType::f32; };
  static const Spec<Options>& spec() {
    static const auto s = Spec<Options>("to", "converts to a type").req(NNM_ARG(dtype), "f32, i64, …");
    return s;
  }
  explicit to_dtype(const Options& o) : o(o) {}
  Tensor apply(const Tensor& x, const BatchContext&) const override { return nnm::to(x, o.dtype); }
  Options o;
};
[[maybe_unused]] const bool to_registered = Registry<Transform>::add(
    "to", {[]() -> const Signature& {
             static const Signature s = to_dtype::spec().signature();
             return s;
           },
           []() -> const std::string& { return to_dtype::spec().doc(); },
           [](const Values& v) -> Ref<Transform> { return make_ref<to_dtype>(to_dtype::spec().read(v)); }});

struct flatten final : Transform {
  struct Options {};
  static const Spec<Options>& spec() {
    static const Spec<Options> s("flatten", "each sample to one dimension");
    return s;
  }
  explicit flatten(const Options&) {}
  Tensor apply(const Tensor& x, const BatchContext&) const override {
    return x.dim() == 1 ? nnm::unsqueeze(x, 1) : nnm::flatten(x, 1);
  }
};
NNM_REGISTER(Transform, flatten);

struct reshape final : Transform {
  struct Options { std::vector<int64_t> shape; };
  static const Spec<Options>& spec() {
    static const auto s = Spec<Options>("reshape", "each sample to a shape").req(NNM_ARG(shape), "of one sample");
    return s;
  }
  explicit reshape(const Options& o) : o(o) {}
  Tensor apply(const Tensor& x, const BatchContext&) const override {
    Shape shape(o.shape);
    shape.insert(0, x.size(0));
    return nnm::reshape(x, shape);
  }
  Options o;
};
NNM_REGISTER(Transform, reshape);

// Dimensions of a sample count from 0; the batch axis stands before them.
int64_t past_batch(int64_t dim) { return dim < 0 ? dim : dim + 1; }

struct unsqueeze final : Transform {
  struct Options { int64_t dim = 0; };
  static const Spec<Options>& spec() {
    static const auto s = Spec<Options>("unsqueeze", "a dimension of one").req(NNM_ARG(dim), "of the sample");
    return s;
  }
  explicit unsqueeze(const Options& o) : o(o) {}
  Tensor apply(const Tensor& x, const BatchContext&) const override { return nnm::unsqueeze(x, past_batch(o.dim)); }
  Options o;
};
NNM_REGISTER(Transform, unsqueeze);

struct squeeze final : Transform {
  struct Options { int64_t dim = 0; };
  static const Spec<Options>& spec() {
    static const auto s = Spec<Options>("squeeze", "drops a dimension of one").req(NNM_ARG(dim), "of the sample");
    return s;
  }
  explicit squeeze(const Options& o) : o(o) {}
  Tensor apply(const Tensor& x, const BatchContext&) const override { return nnm::squeeze(x, past_batch(o.dim)); }
  Options o;
};
NNM_REGISTER(Transform, squeeze);

struct one_hot final : Transform {
  struct Options { int64_t num_classes = 0; };
  static const Spec<Options>& spec() {
    static const auto s = Spec<Options>("one_hot", "class indices to rows of 0 and 1, f32")
                              .req(NNM_ARG(num_classes), "how many", at_least(1));
    return s;
  }
  explicit one_hot(const Options& o) : o(o) {}
  Tensor apply(const Tensor& x, const BatchContext&) const override {
    return nnm::to(nnm::one_hot(nnm::to(x, DType::i64), o.num_classes), DType::f32);
  }
  Options o;
};
NNM_REGISTER(Transform, one_hot);

struct clamp final : Transform {
  struct Options { double min = 0, max = 1; };
  static const Spec<Options>& spec() {
    static const auto s =
        Spec<Options>("clamp", "into [min, max]").req(NNM_ARG(min), "lower end").req(NNM_ARG(max), "upper end");
    return s;
  }
  explicit clamp(const Options& o) : o(o) {}
  Tensor apply(const Tensor& x, const BatchContext&) const override { return nnm::clamp(x, o.min, o.max); }
  Options o;
};
NNM_REGISTER(Transform, clamp);

struct log final : FloatTransform {
  struct Options { double eps = 0; };
  static const Spec<Options>& spec() {
    static const auto s = Spec<Options>("log", "log(x + eps)").opt(NNM_ARG(eps), "keeps 0 finite", at_least(0));
    return s;
  }
  explicit log(const Options& o) : o(o) {}
  Tensor apply(const Tensor& x, const BatchContext&) const override { return nnm::log(nnm::add(x, o.eps)); }
  Options o;
};
NNM_REGISTER(Transform, log);

struct pad final : Transform {
  struct Options { std::vector<int64_t> pad; double value = 0; };
  static const Spec<Options>& spec() {
    static const auto s = Spec<Options>("pad", "as torch.nn.functional.pad, last dimension first")
                              .req(NNM_ARG(pad), "left, right, top, bottom …")
                              .opt(NNM_ARG(value), "what to fill with");
    return s;
  }
  explicit pad(const Options& o) : o(o) {}
  Tensor apply(const Tensor& x, const BatchContext&) const override { return nnm::pad(x, o.pad, "constant", o.value); }
  Options o;
};
NNM_REGISTER(Transform, pad);

// The random numbers of one sample of one epoch, whoever asks and in whatever order.
Generator sample_stream(const BatchContext& c, size_t row, const char* what) {
  return Generator::for_name(c.seed, fmt::format("{}/{}/{}", what, c.epoch, c.samples[row]));
}

void need_images(const Tensor& x, const char* what) {
  NNM_CHECK(x.dim() == 4, value, "{} needs images (C, H, W), got samples of size {}", what,
            Shape(std::span<const int64_t>(x.shape().begin() + 1, x.shape().end())).str());
}

struct random_horizontal_flip final : Transform {
  struct Options { double p = 0.5; };
  static const Spec<Options>& spec() {
    static const auto s = Spec<Options>("random_horizontal_flip", "mirrors an image with probability p, in training")
                              .opt(NNM_ARG(p), "probability", between(0, 1));
    return s;
  }
  explicit random_horizontal_flip(const Options& o) : o(o) {}
  Tensor apply(const Tensor& x, const BatchContext& c) const override {
    need_images(x, "random_horizontal_flip");
    if (!c.training) return x;
    Tensor out = clone(x);
    for (int64_t i = 0; i < x.size(0); ++i) {
      Generator g = sample_stream(c, static_cast<size_t>(i), "flip");
      if (rand({1}, {DType::f64}, &g).item().d < o.p) copy_(select(out, 0, i), flip(select(x, 0, i), {2}));
    }
    return out;
  }
  Options o;
};
NNM_REGISTER(Transform, random_horizontal_flip);

struct random_crop final : Transform {
  struct Options { IntTuple<2> size; IntTuple<2> padding = 0; };
  static const Spec<Options>& spec() {
    static const auto s = Spec<Options>("random_crop", "a window of the padded image; the middle one outside of training")
                              .req(NNM_ARG(size), "height and width", at_least(1))
                              .opt(NNM_ARG(padding), "zeros around the image first", at_least(0));
    return s;
  }
  explicit random_crop(const Options& o) : o(o) {}
  Tensor apply(const Tensor& x, const BatchContext& c) const override {
    need_images(x, "random_crop");
    const Tensor p = nnm::pad(x, {o.padding[1], o.padding[1], o.padding[0], o.padding[0]});
    const int64_t rows = p.size(2) - o.size[0], cols = p.size(3) - o.size[1];
    NNM_CHECK(rows >= 0 && cols >= 0, value, "random_crop: a window of {}x{} in an image of {}x{}", o.size[0],
              o.size[1], p.size(2), p.size(3));
    auto window = [&](const Tensor& t, int64_t top, int64_t left) {
      return narrow(narrow(t, t.dim() - 2, top, o.size[0]), t.dim() - 1, left, o.size[1]);
    };
    if (!c.training) return contiguous(window(p, rows / 2, cols / 2));
    Tensor out = empty({x.size(0), x.size(1), o.size[0], o.size[1]}, x.options());
    for (int64_t i = 0; i < x.size(0); ++i) {
      Generator g = sample_stream(c, static_cast<size_t>(i), "crop");
      const int64_t top = randint(0, rows + 1, {1}, &g).item().i, left = randint(0, cols + 1, {1}, &g).item().i;
      copy_(select(out, 0, i), window(select(p, 0, i), top, left));
    }
    return out;
  }
  Options o;
};
NNM_REGISTER(Transform, random_crop);

struct center_crop final : Transform {
  struct Options { IntTuple<2> size; };
  static const Spec<Options>& spec() {
    static const auto s = Spec<Options>("center_crop", "the middle of the image")
                              .req(NNM_ARG(size), "height and width", at_least(1));
    return s;
  }
  explicit center_crop(const Options& o) : o(o) {}
  Tensor apply(const Tensor& x, const BatchContext&) const override {
    need_images(x, "center_crop");
    const int64_t rows = x.size(2) - o.size[0], cols = x.size(3) - o.size[1];
    NNM_CHECK(rows >= 0 && cols >= 0, value, "center_crop: a window of {}x{} in an image of {}x{}", o.size[0],
              o.size[1], x.size(2), x.size(3));
    return contiguous(narrow(narrow(x, 2, rows / 2, o.size[0]), 3, cols / 2, o.size[1]));
  }
  Options o;
};
NNM_REGISTER(Transform, center_crop);

}  // namespace
}  // namespace nnm::data
