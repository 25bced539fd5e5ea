// Upsampling layers.
#include "nnm/nn/layers/upsample.h"

#include "nnm/ops/arguments.h"

namespace nnm::nn {

namespace {

using nnm::detail::numbers;

constexpr const char* kSize = "extents of the output";
constexpr const char* kFactor = "extents of the output by those of the input";

/// PyTorch keeps factors as floats, and prints the one or the other.
std::string upsample_repr(const Value& size, const Value& scale_factor, const std::string& mode) {
  std::string out = "size=" + size.repr();
  if (!scale_factor.is_none()) {
    Values floats;
    for (const double f : numbers<double>(scale_factor)) floats.emplace_back(f);
    const Value all = scale_factor.is_sequence() ? Value::tuple(floats) : floats[0];
    out = "scale_factor=" + all.repr();
  }
  return fmt::format("{}, mode='{}'", out, mode);
}

template <class T>
void check_numbers(const char* argument, const Value& value) {
  try {
    numbers<T>(value);
  } catch (const Error& e) {
    fail(e.kind(), "`{}`: {}", argument, e.what());
  }
}

template <class Options>
const Options& checked_extents(const Options& o) {
  check_numbers<int64_t>("size", o.size);
  check_numbers<double>("scale_factor", o.scale_factor);
  return o;
}

Spec<UpsamplingOptions> upsampling_spec(const char* name, const char* doc) {
  using Options = UpsamplingOptions;
  return Spec<Options>(name, doc).opt(NNM_ARG(size), kSize).opt(NNM_ARG(scale_factor), kFactor);
}

}  // namespace

const Spec<Upsample::Options>& Upsample::spec() {
  static const auto s =
      Spec<Options>("Upsample", "resampling to other extents")
          .opt(NNM_ARG(size), kSize)
          .opt(NNM_ARG(scale_factor), kFactor)
          .opt(NNM_ARG(mode), "how",
               one_of({"nearest", "linear", "bilinear", "bicubic", "trilinear", "area",
                       "nearest-exact"}))
          .opt(NNM_ARG(align_corners), "corners lie on corners; else edges on edges")
          .opt(NNM_ARG(recompute_scale_factor), "the factor is that of the extents that result");
  return s;
}
Upsample::Upsample(const Options& o) : options(checked_extents(o)) {}
Tensor Upsample::forward(const Tensor& x) {
  return interpolate(x, numbers<int64_t>(options.size), numbers<double>(options.scale_factor),
                     options.mode, options.align_corners,
                     options.recompute_scale_factor.value_or(false));
}
std::string Upsample::extra_repr() const {
  return upsample_repr(options.size, options.scale_factor, options.mode);
}
NNM_REGISTER(Module, Upsample);

const Spec<UpsamplingOptions>& UpsamplingNearest2d::spec() {
  static const auto s = upsampling_spec("UpsamplingNearest2d", "images by their nearest pixels");
  return s;
}
UpsamplingNearest2d::UpsamplingNearest2d(const Options& o) : options(checked_extents(o)) {}
Tensor UpsamplingNearest2d::forward(const Tensor& x) {
  return interpolate(x, numbers<int64_t>(options.size), numbers<double>(options.scale_factor));
}
std::string UpsamplingNearest2d::extra_repr() const {
  return upsample_repr(options.size, options.scale_factor, "nearest");
}
NNM_REGISTER(Module, UpsamplingNearest2d);

const Spec<UpsamplingOptions>& UpsamplingBilinear2d::spec() {
  static const auto s =
      upsampling_spec("UpsamplingBilinear2d", "images between their pixels, corners on corners");
  return s;
}
UpsamplingBilinear2d::UpsamplingBilinear2d(const Options& o) : options(checked_extents(o)) {}
Tensor UpsamplingBilinear2d::forward(const Tensor& x) {
  return interpolate(x, numbers<int64_t>(options.size), numbers<double>(options.scale_factor),
                     "bilinear", true);
}
std::string UpsamplingBilinear2d::extra_repr() const {
  return upsample_repr(options.size, options.scale_factor, "bilinear");
}
NNM_REGISTER(Module, UpsamplingBilinear2d);

}  // namespace nnm::nn
