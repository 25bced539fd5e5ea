// Sliding windows.
#include "nnm/nn/layers/fold.h"

#include "nnm/ops/arguments.h"
#include "nnm/ops/functional.h"

namespace nnm::nn {

namespace {

// What both directions are told of the kernel.
template <class Options>
Spec<Options> patches_spec(Spec<Options> s) {
  return s.req(NNM_ARG(kernel_size), "extents of a patch", at_least(1))
      .opt(NNM_ARG(dilation), "distance between a patch's elements", at_least(1))
      .opt(NNM_ARG(padding), "zeros on both sides", at_least(0))
      .opt(NNM_ARG(stride), "step of patches", at_least(1));
}

}  // namespace

const Spec<Unfold::Options>& Unfold::spec() {
  static const auto s = patches_spec(Spec<Options>("Unfold", "patches of images as columns"));
  return s;
}
Unfold::Unfold(const Options& o) : options(o) {}
Tensor Unfold::forward(const Tensor& x) {
  return unfold(x, options.kernel_size, options.dilation, options.padding, options.stride);
}
std::string Unfold::extra_repr() const {
  return arguments_text(spec(), options, {"kernel_size", "dilation", "padding", "stride"});
}
NNM_REGISTER(Module, Unfold);

const Spec<Fold::Options>& Fold::spec() {
  static const auto s =
      patches_spec(Spec<Options>("Fold", "images as sums of columns")
                       .req(NNM_ARG(output_size), "extents of the images", at_least(1)));
  return s;
}
Fold::Fold(const Options& o) : options(o) {}
Tensor Fold::forward(const Tensor& x) {
  return fold(x, options.output_size, options.kernel_size, options.dilation, options.padding,
              options.stride);
}
std::string Fold::extra_repr() const {
  return arguments_text(spec(), options,
                        {"output_size", "kernel_size", "dilation", "padding", "stride"});
}
NNM_REGISTER(Module, Fold);

namespace {

template <int N>
Spec<MaxUnpoolOptions<N>> unpool_spec(const char* name) {
  using Options = MaxUnpoolOptions<N>;
  return Spec<Options>(name, "the inverse of max pooling, zeros elsewhere")
      .req(NNM_ARG(kernel_size), "extents of the pooling's window", at_least(1))
      .opt(NNM_ARG(stride), "its step; none: its extents", at_least(1))
      .opt(NNM_ARG(padding), "what it added on both sides", at_least(0));
}

template <int N>
std::string unpool_text(const MaxUnpoolOptions<N>& o) {
  const auto tuple = [](const IntTuple<N>& t) {
    return Value::tuple(Values(t.v.begin(), t.v.end())).repr();
  };
  return fmt::format("kernel_size={}, stride={}, padding={}", tuple(o.kernel_size),
                     tuple(o.stride.value_or(o.kernel_size)), tuple(o.padding));
}

Tensor unpool(const Tensor& x, const Tensor& indices, const MaxUnpoolOptions<1>& o,
              const UnpooledSize& size) {
  return max_unpool1d(x, indices, o.kernel_size[0], o.stride.value_or(o.kernel_size)[0],
                      o.padding[0], size);
}
Tensor unpool(const Tensor& x, const Tensor& indices, const MaxUnpoolOptions<2>& o,
              const UnpooledSize& size) {
  return max_unpool2d(x, indices, o.kernel_size, o.stride, o.padding, size);
}
Tensor unpool(const Tensor& x, const Tensor& indices, const MaxUnpoolOptions<3>& o,
              const UnpooledSize& size) {
  return max_unpool3d(x, indices, o.kernel_size, o.stride, o.padding, size);
}

}  // namespace

#define NNM_MAX_UNPOOL_LAYER(Type, N)                                                             \
  const Spec<Type::Options>& Type::spec() {                                                       \
    static const auto s = unpool_spec<N>(#Type);                                                  \
    return s;                                                                                     \
  }                                                                                               \
  Type::Type(const Options& o) : options(o) {}                                                    \
  Tensor Type::forward(const Tensor& x, const Tensor& indices, const UnpooledSize& output_size) { \
    return unpool(x, indices, options, output_size);                                              \
  }                                                                                               \
  std::string Type::extra_repr() const { return unpool_text(options); }                           \
  NNM_REGISTER(Module, Type)

NNM_MAX_UNPOOL_LAYER(MaxUnpool1d, 1);
NNM_MAX_UNPOOL_LAYER(MaxUnpool2d, 2);
NNM_MAX_UNPOOL_LAYER(MaxUnpool3d, 3);

namespace {

template <int N>
Spec<FractionalPoolOptions<N>> fractional_spec(const char* name) {
  using Options = FractionalPoolOptions<N>;
  return Spec<Options>(name, "the largest of windows at random places")
      .req(NNM_ARG(kernel_size), "extents of the window", at_least(1))
      .opt(NNM_ARG(output_size), "extents of the output", at_least(1))
      .opt(NNM_ARG(output_ratio), "extents of the output by those of the input")
      .opt(NNM_ARG(return_indices), "return (values, indices)")
      .opt(NNM_ARG(_random_samples), "where windows are, instead of at random");
}

template <int N>
void check_fractional(const char* name, const FractionalPoolOptions<N>& o) {
  NNM_CHECK(o.output_size || !o.output_ratio.is_none(), value,
            "{} requires specifying either an output size, or a pooling ratio", name);
  NNM_CHECK(!o.output_size || o.output_ratio.is_none(), value,
            "only one of output_size and output_ratio may be specified");
  for (const double r : nnm::detail::numbers<double>(o.output_ratio))
    NNM_CHECK(r > 0 && r < 1, value, "output_ratio must be between 0 and 1 (got {})",
              o.output_ratio.repr());
}

template <int N, class Pool>
Value fractional(const Tensor& x, const FractionalPoolOptions<N>& o, const Tensor& samples,
                 const Pool& pool) {
  const IntTuple<N> size = fractional_output_size(x, o.output_size, o.output_ratio);
  const auto [values, indices] = pool(x, o.kernel_size, size, samples);
  return o.return_indices ? Value::tuple({values, indices}) : Value(values);
}

}  // namespace

#define NNM_FRACTIONAL_POOL_LAYER(Type, N, pool)                                                \
  const Spec<Type::Options>& Type::spec() {                                                     \
    static const auto s = fractional_spec<N>(#Type);                                            \
    return s;                                                                                   \
  }                                                                                             \
  Type::Type(const Options& o) : options(o) {                                                   \
    random_samples_ = register_buffer("_random_samples", o._random_samples.value_or(Tensor())); \
    check_fractional(#Type, o);                                                                 \
  }                                                                                             \
  Value Type::forward(const Args& args) {                                                       \
    return fractional(only_input(args).as<Tensor>(), options, random_samples_, pool);           \
  }                                                                                             \
  NNM_REGISTER(Module, Type)

NNM_FRACTIONAL_POOL_LAYER(FractionalMaxPool2d, 2, fractional_max_pool2d_with_indices);
NNM_FRACTIONAL_POOL_LAYER(FractionalMaxPool3d, 3, fractional_max_pool3d_with_indices);

}  // namespace nnm::nn
