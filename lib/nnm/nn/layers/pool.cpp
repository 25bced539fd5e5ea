// Pooling.
#include "nnm/nn/layers/pool.h"

#include "nnm/ops/functional.h"

namespace nnm::nn {

namespace {

// A window without a stride of its own steps by its size.
template <class Options>
Options with_stride(Options o) {
  if (!o.stride) o.stride = o.kernel_size;
  return o;
}

template <int N>
Spec<MaxPoolOptions<N>> spec_of(const char* name, const MaxPoolOptions<N>*) {
  using Options = MaxPoolOptions<N>;
  return Spec<Options>(name, "the largest of each window")
      .req(NNM_ARG(kernel_size), "extents of the window", at_least(1))
      .opt(NNM_ARG(stride), "step of the window; none: its extents", at_least(1))
      .opt(NNM_ARG(padding), "elements of minus infinity on both sides", at_least(0))
      .opt(NNM_ARG(dilation), "distance between the window's elements", at_least(1))
      .opt(NNM_ARG(return_indices), "return (values, indices)")
      .opt(NNM_ARG(ceil_mode), "keep an incomplete last window");
}

template <int N>
Spec<AvgPoolOptions<N>> spec_of(const char* name, const AvgPoolOptions<N>*) {
  using Options = AvgPoolOptions<N>;
  auto s = Spec<Options>(name, "the mean of each window")
               .req(NNM_ARG(kernel_size), "extents of the window", at_least(1))
               .opt(NNM_ARG(stride), "step of the window; none: its extents", at_least(1))
               .opt(NNM_ARG(padding), "zeros on both sides", at_least(0))
               .opt(NNM_ARG(ceil_mode), "keep an incomplete last window")
               .opt(NNM_ARG(count_include_pad), "count the padding in the mean");
  if constexpr (N > 1)
    s.opt(NNM_ARG(divisor_override), "divide by this instead of the window's size");
  return s;
}

template <int N>
Spec<LPPoolOptions<N>> spec_of(const char* name, const LPPoolOptions<N>*) {
  using Options = LPPoolOptions<N>;
  return Spec<Options>(name, "the norm of each window")
      .req(NNM_ARG(norm_type), "which norm: the exponent")
      .req(NNM_ARG(kernel_size), "extents of the window", at_least(1))
      .opt(NNM_ARG(stride), "step of the window; none: its extents", at_least(1))
      .opt(NNM_ARG(ceil_mode), "keep an incomplete last window");
}

constexpr const char* kOutputSize = "extents of the output; none: the input's";

template <int N>
Spec<AdaptiveAvgPoolOptions<N>> spec_of(const char* name, const AdaptiveAvgPoolOptions<N>*) {
  using Options = AdaptiveAvgPoolOptions<N>;
  return Spec<Options>(name, "means of as many windows as asked for")
      .req(NNM_ARG(output_size), kOutputSize, N == 1 ? at_least(0) : Limit());
}

template <int N>
Spec<AdaptiveMaxPoolOptions<N>> spec_of(const char* name, const AdaptiveMaxPoolOptions<N>*) {
  using Options = AdaptiveMaxPoolOptions<N>;
  return Spec<Options>(name, "the largest of as many windows as asked for")
      .req(NNM_ARG(output_size), kOutputSize, N == 1 ? at_least(0) : Limit())
      .opt(NNM_ARG(return_indices), "return (values, indices)");
}

template <int N>
std::string pool_text(const Spec<MaxPoolOptions<N>>& spec, const MaxPoolOptions<N>& o) {
  return arguments_text(spec, o, {"kernel_size", "stride", "padding", "dilation", "ceil_mode"});
}

std::string pool_text(const Spec<AvgPoolOptions<1>>&, const AvgPoolOptions<1>& o) {
  return fmt::format("kernel_size=({},), stride=({},), padding=({},)", o.kernel_size[0],
                     (*o.stride)[0], o.padding[0]);
}

template <int N>
std::string pool_text(const Spec<AvgPoolOptions<N>>& spec, const AvgPoolOptions<N>& o) {
  return arguments_text(spec, o, {"kernel_size", "stride", "padding"});
}

template <int N>
std::string pool_text(const Spec<LPPoolOptions<N>>& spec, const LPPoolOptions<N>& o) {
  return arguments_text(spec, o, {"norm_type", "kernel_size", "stride", "ceil_mode"});
}

template <class Options>
std::string pool_text(const Spec<Options>& spec, const Options& o) {
  return arguments_text(spec, o, {"output_size"});
}

// What the layers compute, and with the places of maxima.

Tensor pool(const Tensor& x, const MaxPoolOptions<1>& o) {
  return max_pool1d(x, o.kernel_size[0], (*o.stride)[0], o.padding[0], o.dilation[0], o.ceil_mode);
}
Tensor pool(const Tensor& x, const MaxPoolOptions<2>& o) {
  return max_pool2d(x, o.kernel_size, o.stride, o.padding, o.dilation, o.ceil_mode);
}
Tensor pool(const Tensor& x, const MaxPoolOptions<3>& o) {
  return max_pool3d(x, o.kernel_size, o.stride, o.padding, o.dilation, o.ceil_mode);
}
Tensor pool(const Tensor& x, const AvgPoolOptions<1>& o) {
  return avg_pool1d(x, o.kernel_size[0], (*o.stride)[0], o.padding[0], o.ceil_mode,
                    o.count_include_pad);
}
Tensor pool(const Tensor& x, const AvgPoolOptions<2>& o) {
  return avg_pool2d(x, o.kernel_size, o.stride, o.padding, o.ceil_mode, o.count_include_pad,
                    o.divisor_override);
}
Tensor pool(const Tensor& x, const AvgPoolOptions<3>& o) {
  return avg_pool3d(x, o.kernel_size, o.stride, o.padding, o.ceil_mode, o.count_include_pad,
                    o.divisor_override);
}
Tensor pool(const Tensor& x, const LPPoolOptions<1>& o) {
  return lp_pool1d(x, o.norm_type.d, o.kernel_size[0],
                   o.stride ? std::optional((*o.stride)[0]) : std::nullopt, o.ceil_mode);
}
Tensor pool(const Tensor& x, const LPPoolOptions<2>& o) {
  return lp_pool2d(x, o.norm_type.d, o.kernel_size, o.stride, o.ceil_mode);
}
Tensor pool(const Tensor& x, const LPPoolOptions<3>& o) {
  return lp_pool3d(x, o.norm_type.d, o.kernel_size, o.stride, o.ceil_mode);
}
Tensor pool(const Tensor& x, const AdaptiveAvgPoolOptions<1>& o) {
  return adaptive_avg_pool1d(x, o.output_size[0]);
}
Tensor pool(const Tensor& x, const AdaptiveAvgPoolOptions<2>& o) {
  return adaptive_avg_pool2d(x, {o.output_size.v[0], o.output_size.v[1]});
}
Tensor pool(const Tensor& x, const AdaptiveAvgPoolOptions<3>& o) {
  return adaptive_avg_pool3d(x, o.output_size.v);
}
Tensor pool(const Tensor& x, const AdaptiveMaxPoolOptions<1>& o) {
  return adaptive_max_pool1d(x, o.output_size[0]);
}
Tensor pool(const Tensor& x, const AdaptiveMaxPoolOptions<2>& o) {
  return adaptive_max_pool2d(x, {o.output_size.v[0], o.output_size.v[1]});
}
Tensor pool(const Tensor& x, const AdaptiveMaxPoolOptions<3>& o) {
  return adaptive_max_pool3d(x, o.output_size.v);
}

using Indexed = std::pair<Tensor, Tensor>;

Indexed indexed(const Tensor& x, const MaxPoolOptions<1>& o) {
  return max_pool1d_with_indices(x, o.kernel_size[0], (*o.stride)[0], o.padding[0], o.dilation[0],
                                 o.ceil_mode);
}
Indexed indexed(const Tensor& x, const MaxPoolOptions<2>& o) {
  return max_pool2d_with_indices(x, o.kernel_size, o.stride, o.padding, o.dilation, o.ceil_mode);
}
Indexed indexed(const Tensor& x, const MaxPoolOptions<3>& o) {
  return max_pool3d_with_indices(x, o.kernel_size, o.stride, o.padding, o.dilation, o.ceil_mode);
}
Indexed indexed(const Tensor& x, const AdaptiveMaxPoolOptions<1>& o) {
  return adaptive_max_pool1d_with_indices(x, o.output_size[0]);
}
Indexed indexed(const Tensor& x, const AdaptiveMaxPoolOptions<2>& o) {
  return adaptive_max_pool2d_with_indices(x, {o.output_size.v[0], o.output_size.v[1]});
}
Indexed indexed(const Tensor& x, const AdaptiveMaxPoolOptions<3>& o) {
  return adaptive_max_pool3d_with_indices(x, o.output_size.v);
}

Value tuple_of(const Indexed& p) { return Value::tuple({p.first, p.second}); }

}  // namespace

#define NNM_ANY_POOL_LAYER(Type, completed)                                     \
  const Spec<Type::Options>& Type::spec() {                                     \
    static const auto s = spec_of(#Type, static_cast<const Options*>(nullptr)); \
    return s;                                                                   \
  }                                                                             \
  Type::Type(const Options& o) : options(completed) {}                          \
  std::string Type::extra_repr() const { return pool_text(spec(), options); }   \
  NNM_REGISTER(Module, Type)

#define NNM_POOL_LAYER(Type, completed)                              \
  Tensor Type::forward(const Tensor& x) { return pool(x, options); } \
  NNM_ANY_POOL_LAYER(Type, completed)

#define NNM_INDEXED_POOL_LAYER(Type, completed)                            \
  Value Type::forward(const Args& args) {                                  \
    if (!options.return_indices) return Module::forward(args);             \
    return tuple_of(indexed(only_input(args).as<Tensor>(), options));      \
  }                                                                        \
  Tensor Type::forward(const Tensor& x) {                                  \
    return options.return_indices ? Module::forward(x) : pool(x, options); \
  }                                                                        \
  NNM_ANY_POOL_LAYER(Type, completed)

NNM_INDEXED_POOL_LAYER(MaxPool1d, with_stride(o));
NNM_INDEXED_POOL_LAYER(MaxPool2d, with_stride(o));
NNM_INDEXED_POOL_LAYER(MaxPool3d, with_stride(o));
NNM_POOL_LAYER(AvgPool1d, with_stride(o));
NNM_POOL_LAYER(AvgPool2d, with_stride(o));
NNM_POOL_LAYER(AvgPool3d, with_stride(o));
NNM_POOL_LAYER(LPPool1d, o);
NNM_POOL_LAYER(LPPool2d, o);
NNM_POOL_LAYER(LPPool3d, o);
NNM_POOL_LAYER(AdaptiveAvgPool1d, o);
NNM_POOL_LAYER(AdaptiveAvgPool2d, o);
NNM_POOL_LAYER(AdaptiveAvgPool3d, o);
NNM_INDEXED_POOL_LAYER(AdaptiveMaxPool1d, o);
NNM_INDEXED_POOL_LAYER(AdaptiveMaxPool2d, o);
NNM_INDEXED_POOL_LAYER(AdaptiveMaxPool3d, o);

}  // namespace nnm::nn
