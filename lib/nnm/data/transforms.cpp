// The transforms of numbers and shapes: scale normalize to clamp log one_hot flatten reshape
// unsqueeze squeeze.
#include <cmath>

#include "nnm/data/convert.h"
#include "nnm/data/transform.h"

namespace nnm::data {
namespace {

struct Pointwise : Transform {
  Work work(bool) const override { return Work::pointwise; }
  SampleType infer(const SampleType& in) const override { return in; }
};
struct FloatPointwise : Pointwise {
  bool wants_float() const override { return true; }
  // y = f(x), f for floats and for doubles.
  template <class F>
  static void map(const SampleType& in, const void* x, void* y, F f) {
    const int64_t n = in.shape.numel();
    with_float(in.dtype, [&](auto zero) {
      using T = decltype(zero);
      const T* a = static_cast<const T*>(x);
      T* b = static_cast<T*>(y);
      for (int64_t i = 0; i < n; ++i) b[i] = f(a[i]);
    });
  }
};

struct scale final : FloatPointwise {
  struct Options {
    double factor = 1;
  };
  static const Spec<Options>& spec() {
    static const auto s =
        Spec<Options>("scale", "x * factor").req(NNM_ARG(factor), "what to multiply with");
    return s;
  }
  explicit scale(const Options& options) : o(options) {}
  void apply(const SampleType& in, const void* x, const SampleType&, void* y,
             Draws*) const override {
    map(in, x, y, [&]<class T>(T v) { return v * static_cast<T>(o.factor); });
  }
  Options o;
};
NNM_REGISTER(Transform, scale);

std::vector<double> numbers(const Value& v, const char* what) {
  std::vector<double> xs;
  if (v.is_sequence()) {
    for (const Value& x : v.items()) xs.push_back(x.real());
  } else {
    xs.push_back(v.real());
  }
  NNM_CHECK(!xs.empty(), value, "{} must not be empty", what);
  return xs;
}

struct normalize final : FloatPointwise {
  struct Options {
    Value mean, std;
  };
  static const Spec<Options>& spec() {
    static const auto s =
        Spec<Options>("normalize", "(x - mean) / std, as torchvision's Normalize")
            .req(NNM_ARG(mean), "what to subtract: a number, or one for each channel (first axis)")
            .req(NNM_ARG(std), "what to divide by, likewise");
    return s;
  }
  explicit normalize(const Options& o) : mean(numbers(o.mean, "mean")), std(numbers(o.std, "std")) {
    const size_t n = std::max(mean.size(), std.size());
    if (mean.size() == 1) mean.resize(n, mean[0]);
    if (std.size() == 1) std.resize(n, std[0]);
    NNM_CHECK(mean.size() == std.size(), value, "normalize has {} means and {} deviations",
              mean.size(), std.size());
    for (double d : std) {
      NNM_CHECK(static_cast<float>(d) != 0, value,
                "std evaluated to zero after conversion to float32, leading to division by zero.");
    }
  }
  bool per_channel() const override { return mean.size() > 1; }
  SampleType infer(const SampleType& in) const override {
    NNM_CHECK(!per_channel() ||
                  (in.shape.size() >= 1 && in.shape[0] == static_cast<int64_t>(mean.size())),
              value, "normalize has {} means for samples of size {}", mean.size(), in.shape.str());
    return in;
  }
  void apply(const SampleType& in, const void* x, const SampleType&, void* y,
             Draws*) const override {
    const auto channels = static_cast<int64_t>(mean.size());
    const int64_t n = in.shape.numel() / channels;
    with_float(in.dtype, [&](auto zero) {
      using T = decltype(zero);
      for (int64_t c = 0; c < channels; ++c) {
        const T m = static_cast<T>(mean[static_cast<size_t>(c)]);
        const T s = static_cast<T>(std[static_cast<size_t>(c)]);
        const T* a = static_cast<const T*>(x) + c * n;
        T* b = static_cast<T*>(y) + c * n;
        for (int64_t i = 0; i < n; ++i) b[i] = (a[i] - m) / s;
      }
    });
  }
  std::vector<double> mean, std;
};
NNM_REGISTER(Transform, normalize);

struct to final : Transform {
  struct Options {
    DType dtype = DType::f32;
  };
  static const Spec<Options>& spec() {
    static const auto s = Spec<Options>("to", "converts to a type, as Tensor.to")
                              .req(NNM_ARG(dtype), "f32, i64, u8 …");
    return s;
  }
  explicit to(const Options& options) : o(options) {}
  Work work(bool) const override { return Work::pointwise; }
  SampleType infer(const SampleType& in) const override { return {o.dtype, in.shape}; }
  void apply(const SampleType& in, const void* x, const SampleType& out, void* y,
             Draws*) const override {
    convert(in.dtype, x, out.dtype, y, in.shape.numel());
  }
  Options o;
};
NNM_REGISTER(Transform, to);

struct clamp final : FloatPointwise {
  struct Options {
    std::optional<double> min, max;
  };
  static const Spec<Options>& spec() {
    static const auto s = Spec<Options>("clamp", "into [min, max], as torch.clamp")
                              .opt(NNM_ARG(min), "lower end")
                              .opt(NNM_ARG(max), "upper end");
    return s;
  }
  explicit clamp(const Options& options) : o(options) {
    NNM_CHECK(o.min || o.max, value, "clamp: At least one of 'min' or 'max' must not be None");
  }
  void apply(const SampleType& in, const void* x, const SampleType&, void* y,
             Draws*) const override {
    const double inf = std::numeric_limits<double>::infinity();
    const double lo = o.min.value_or(-inf), hi = o.max.value_or(inf);
    // Where min > max the result is max, and NaN stays: the order of torch.clamp.
    map(in, x, y, [&]<class T>(T v) {
      const T raised = v < static_cast<T>(lo) ? static_cast<T>(lo) : v;
      return raised > static_cast<T>(hi) ? static_cast<T>(hi) : raised;
    });
  }
  Options o;
};
NNM_REGISTER(Transform, clamp);

struct log final : FloatPointwise {
  struct Options {
    double eps = 0;
  };
  static const Spec<Options>& spec() {
    static const auto s =
        Spec<Options>("log", "log(x + eps)").opt(NNM_ARG(eps), "keeps 0 finite", at_least(0));
    return s;
  }
  explicit log(const Options& options) : o(options) {}
  void apply(const SampleType& in, const void* x, const SampleType&, void* y,
             Draws*) const override {
    map(in, x, y, [&]<class T>(T v) { return std::log(v + static_cast<T>(o.eps)); });
  }
  Options o;
};
NNM_REGISTER(Transform, log);

struct one_hot final : Transform {
  struct Options {
    int64_t num_classes = 0;
  };
  static const Spec<Options>& spec() {
    static const auto s =
        Spec<Options>("one_hot", "class indices to rows of 0 and 1 (i64), as F.one_hot")
            .req(NNM_ARG(num_classes), "how many classes there are", at_least(1));
    return s;
  }
  explicit one_hot(const Options& options) : o(options) {}
  SampleType infer(const SampleType& in) const override {
    NNM_CHECK(!is_floating(in.dtype), value, "one_hot needs class indices, got {}",
              info(in.dtype).name);
    Shape shape = in.shape;
    shape.push_back(o.num_classes);
    return {DType::i64, shape};
  }
  void apply(const SampleType& in, const void* x, const SampleType& out, void* y,
             Draws*) const override {
    auto* row = static_cast<int64_t*>(y);
    std::fill_n(row, out.shape.numel(), int64_t{0});
    const auto* labels = static_cast<const char*>(x);
    const int64_t n = in.shape.numel();
    for (int64_t i = 0; i < n; ++i, row += o.num_classes) {
      int64_t label;
      convert(in.dtype, labels + i * static_cast<int64_t>(item_size(in.dtype)), DType::i64, &label,
              1);
      NNM_CHECK(label >= 0 && label < o.num_classes, value,
                "one_hot: the label {} is not one of {} classes", label, o.num_classes);
      row[label] = 1;
    }
  }
  Options o;
};
NNM_REGISTER(Transform, one_hot);

struct Reshaping : Transform {
  Work work(bool) const override { return Work::none; }
  void apply(const SampleType& in, const void* x, const SampleType&, void* y,
             Draws*) const override {
    convert(in.dtype, x, in.dtype, y, in.shape.numel());
  }
};

struct flatten final : Reshaping {
  struct Options {
    int64_t start_dim = 0, end_dim = -1;
  };
  static const Spec<Options>& spec() {
    static const auto s = Spec<Options>("flatten", "dimensions of a sample to one")
                              .opt(NNM_ARG(start_dim), "first of them")
                              .opt(NNM_ARG(end_dim), "last of them");
    return s;
  }
  explicit flatten(const Options& options) : o(options) {}
  SampleType infer(const SampleType& in) const override {
    if (in.shape.empty()) return {in.dtype, {1}};
    const int first = wrap_dim(o.start_dim, in.shape.size());
    const int last = wrap_dim(o.end_dim, in.shape.size());
    NNM_CHECK(first <= last, value,
              "flatten() has invalid args: start_dim cannot come after end_dim");
    SampleType out{in.dtype, {}};
    for (int i = 0; i < in.shape.size(); ++i) {
      if (i > first && i <= last) {
        out.shape[out.shape.size() - 1] *= in.shape[i];
      } else {
        out.shape.push_back(in.shape[i]);
      }
    }
    return out;
  }
  Options o;
};
NNM_REGISTER(Transform, flatten);

// Its shape may stand in a list or be the arguments themselves, so it has no Spec.
struct reshape final : Reshaping {
  explicit reshape(std::vector<int64_t> sizes) : shape(std::move(sizes)) {}
  SampleType infer(const SampleType& in) const override {
    int64_t known = 1;
    int free = -1;
    SampleType out{in.dtype, shape};
    for (int i = 0; i < out.shape.size(); ++i) {
      if (out.shape[i] != -1) {
        known *= out.shape[i];
        continue;
      }
      NNM_CHECK(free < 0, value, "only one dimension can be inferred");
      free = i;
    }
    const int64_t n = in.shape.numel();
    if (free >= 0 && known > 0 && n % known == 0) out.shape[free] = n / known;
    bool positive = true;
    for (int64_t d : out.shape) positive = positive && d >= 0;
    NNM_CHECK(positive && out.shape.numel() == n, value,
              "shape '{}' is invalid for a sample of size {}", Shape(shape).str(), in.shape.str());
    return out;
  }
  std::vector<int64_t> shape;
};
[[maybe_unused]] const bool reshape_registered = Registry<Transform>::add(
    "reshape", {[]() -> const Signature& {
                  static const Signature s = Signature::parse("reshape(*shape)");
                  return s;
                },
                []() -> const std::string& {
                  static const std::string s = "each sample to a shape, one -1 is inferred";
                  return s;
                },
                [](const Values& bound) -> Ref<Transform> {
                  const Values& given = bound[0].items();
                  const Values& sizes =
                      given.size() == 1 && given[0].is_sequence() ? given[0].items() : given;
                  std::vector<int64_t> shape;
                  for (const Value& v : sizes) shape.push_back(v.integer());
                  return make_ref<reshape>(std::move(shape));
                }});

struct unsqueeze final : Reshaping {
  struct Options {
    int64_t dim = 0;
  };
  static const Spec<Options>& spec() {
    static const auto s = Spec<Options>("unsqueeze", "a new dimension of one")
                              .req(NNM_ARG(dim), "where in the sample");
    return s;
  }
  explicit unsqueeze(const Options& options) : o(options) {}
  SampleType infer(const SampleType& in) const override {
    SampleType out = in;
    out.shape.insert(wrap_dim(o.dim, in.shape.size() + 1), 1);
    return out;
  }
  Options o;
};
NNM_REGISTER(Transform, unsqueeze);

struct squeeze final : Reshaping {
  struct Options {
    std::optional<int64_t> dim;
  };
  static const Spec<Options>& spec() {
    static const auto s = Spec<Options>("squeeze", "drops dimensions of one")
                              .opt(NNM_ARG(dim), "which of the sample; none: all");
    return s;
  }
  explicit squeeze(const Options& options) : o(options) {}
  SampleType infer(const SampleType& in) const override {
    SampleType out{in.dtype, {}};
    const int only = o.dim ? wrap_dim(*o.dim, in.shape.size()) : -1;
    for (int i = 0; i < in.shape.size(); ++i) {
      if (in.shape[i] != 1 || (o.dim && i != only)) out.shape.push_back(in.shape[i]);
    }
    return out;
  }
  Options o;
};
NNM_REGISTER(Transform, squeeze);

}  // namespace
}  // namespace nnm::data
