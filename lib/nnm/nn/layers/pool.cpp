// Pooling.
#include "nnm/nn/layers/pool.h"

#include "nnm/ops/ops.h"

namespace nnm {

nn::OutputSize Codec<nn::OutputSize>::read(const Value& v) {
  auto extent = [](const Value& e) {
    return e.is_none() ? std::nullopt : std::optional(e.integer());
  };
  if (!v.is_sequence()) {
    nn::OutputSize both(extent(v), extent(v));
    both.scalar = true;
    return both;
  }
  NNM_CHECK(v.items().size() == 2, type, "expected 2 values, got {} in {}", v.items().size(),
            v.config_text());
  return {extent(v.items()[0]), extent(v.items()[1])};
}

Value Codec<nn::OutputSize>::write(const nn::OutputSize& s) {
  auto extent = [](std::optional<int64_t> e) { return e ? Value(*e) : Value(); };
  return s.scalar ? extent(s.h) : Value::tuple({extent(s.h), extent(s.w)});
}

}  // namespace nnm

namespace nnm::nn {

namespace {

// A window without a stride of its own steps by its size.
template <class Options>
Options with_stride(Options o) {
  if (!o.stride) o.stride = o.kernel_size;
  return o;
}

template <int N>
Spec<MaxPoolOptions<N>> max_pool_spec(const char* name, const char* doc) {
  using Options = MaxPoolOptions<N>;
  return Spec<Options>(name, doc)
      .req(NNM_ARG(kernel_size), "extents of the window", at_least(1))
      .opt(NNM_ARG(stride), "step of the window; none: its extents", at_least(1))
      .opt(NNM_ARG(padding), "elements of minus infinity on both sides", at_least(0))
      .opt(NNM_ARG(dilation), "distance between the window's elements", at_least(1))
      .opt(NNM_ARG(return_indices), "return (values, indices)")
      .opt(NNM_ARG(ceil_mode), "keep an incomplete last window");
}

template <class Layer>
std::string max_pool_text(const Layer& m) {
  return arguments_text(m.spec(), m.options,
                        {"kernel_size", "stride", "padding", "dilation", "ceil_mode"});
}

}  // namespace

const Spec<MaxPool1d::Options>& MaxPool1d::spec() {
  static const auto s = max_pool_spec<1>("MaxPool1d", "the largest of each window");
  return s;
}

MaxPool1d::MaxPool1d(const Options& o) : options(with_stride(o)) {}

Value MaxPool1d::forward(const Args& args) {
  if (!options.return_indices) return Module::forward(args);
  const Tensor x = only_input(args).as<Tensor>();
  // An image of one row.
  const auto [values, indices] = max_pool2d_with_indices(
      unsqueeze(x, -2), {1, options.kernel_size[0]}, Size2{1, (*options.stride)[0]},
      {0, options.padding[0]}, {1, options.dilation[0]}, options.ceil_mode);
  return Value::tuple({squeeze(values, -2), squeeze(indices, -2)});
}

Tensor MaxPool1d::forward(const Tensor& x) {
  if (options.return_indices) return Module::forward(x);
  return max_pool1d(x, options.kernel_size[0], (*options.stride)[0], options.padding[0],
                    options.dilation[0], options.ceil_mode);
}

std::string MaxPool1d::extra_repr() const { return max_pool_text(*this); }

NNM_REGISTER(Module, MaxPool1d);

const Spec<MaxPool2d::Options>& MaxPool2d::spec() {
  static const auto s = max_pool_spec<2>("MaxPool2d", "the largest of each window");
  return s;
}

MaxPool2d::MaxPool2d(const Options& o) : options(with_stride(o)) {}

Value MaxPool2d::forward(const Args& args) {
  if (!options.return_indices) return Module::forward(args);
  const auto [values, indices] =
      max_pool2d_with_indices(only_input(args).as<Tensor>(), options.kernel_size, options.stride,
                              options.padding, options.dilation, options.ceil_mode);
  return Value::tuple({values, indices});
}

Tensor MaxPool2d::forward(const Tensor& x) {
  if (options.return_indices) return Module::forward(x);
  return max_pool2d(x, options.kernel_size, options.stride, options.padding, options.dilation,
                    options.ceil_mode);
}

std::string MaxPool2d::extra_repr() const { return max_pool_text(*this); }

NNM_REGISTER(Module, MaxPool2d);

const Spec<AvgPool1d::Options>& AvgPool1d::spec() {
  static const auto s =
      Spec<Options>("AvgPool1d", "the mean of each window")
          .req(NNM_ARG(kernel_size), "extent of the window", at_least(1))
          .opt(NNM_ARG(stride), "step of the window; none: its extent", at_least(1))
          .opt(NNM_ARG(padding), "zeros on both sides", at_least(0))
          .opt(NNM_ARG(ceil_mode), "keep an incomplete last window")
          .opt(NNM_ARG(count_include_pad), "count the padding in the mean");
  return s;
}

AvgPool1d::AvgPool1d(const Options& o) : options(with_stride(o)) {}

Tensor AvgPool1d::forward(const Tensor& x) {
  return avg_pool1d(x, options.kernel_size[0], (*options.stride)[0], options.padding[0],
                    options.ceil_mode, options.count_include_pad);
}

std::string AvgPool1d::extra_repr() const {
  return fmt::format("kernel_size=({},), stride=({},), padding=({},)", options.kernel_size[0],
                     (*options.stride)[0], options.padding[0]);
}

NNM_REGISTER(Module, AvgPool1d);

const Spec<AvgPool2d::Options>& AvgPool2d::spec() {
  static const auto s =
      Spec<Options>("AvgPool2d", "the mean of each window")
          .req(NNM_ARG(kernel_size), "extents of the window", at_least(1))
          .opt(NNM_ARG(stride), "step of the window; none: its extents", at_least(1))
          .opt(NNM_ARG(padding), "zeros on both sides", at_least(0))
          .opt(NNM_ARG(ceil_mode), "keep an incomplete last window")
          .opt(NNM_ARG(count_include_pad), "count the padding in the mean")
          .opt(NNM_ARG(divisor_override), "divide by this instead of the window's size");
  return s;
}

AvgPool2d::AvgPool2d(const Options& o) : options(with_stride(o)) {}

Tensor AvgPool2d::forward(const Tensor& x) {
  return avg_pool2d(x, options.kernel_size, options.stride, options.padding, options.ceil_mode,
                    options.count_include_pad, options.divisor_override);
}

std::string AvgPool2d::extra_repr() const {
  return arguments_text(spec(), options, {"kernel_size", "stride", "padding"});
}

NNM_REGISTER(Module, AvgPool2d);

const Spec<AdaptiveAvgPool1d::Options>& AdaptiveAvgPool1d::spec() {
  static const auto s = Spec<Options>("AdaptiveAvgPool1d", "means of as many windows as asked for")
                            .req(NNM_ARG(output_size), "extent of the output", at_least(0));
  return s;
}

AdaptiveAvgPool1d::AdaptiveAvgPool1d(const Options& o) : options(o) {}
Tensor AdaptiveAvgPool1d::forward(const Tensor& x) {
  return adaptive_avg_pool1d(x, options.output_size[0]);
}
std::string AdaptiveAvgPool1d::extra_repr() const {
  return arguments_text(spec(), options, {"output_size"});
}

NNM_REGISTER(Module, AdaptiveAvgPool1d);

const Spec<AdaptiveAvgPool2d::Options>& AdaptiveAvgPool2d::spec() {
  static const auto s = Spec<Options>("AdaptiveAvgPool2d", "means of as many windows as asked for")
                            .req(NNM_ARG(output_size), "extents of the output; none: the input's");
  return s;
}

AdaptiveAvgPool2d::AdaptiveAvgPool2d(const Options& o) : options(o) {}
Tensor AdaptiveAvgPool2d::forward(const Tensor& x) {
  return adaptive_avg_pool2d(x, {options.output_size.h, options.output_size.w});
}
std::string AdaptiveAvgPool2d::extra_repr() const {
  return arguments_text(spec(), options, {"output_size"});
}

NNM_REGISTER(Module, AdaptiveAvgPool2d);

const Spec<AdaptiveMaxPool2d::Options>& AdaptiveMaxPool2d::spec() {
  static const auto s =
      Spec<Options>("AdaptiveMaxPool2d", "the largest of as many windows as asked for")
          .req(NNM_ARG(output_size), "extents of the output; none: the input's");
  return s;
}

AdaptiveMaxPool2d::AdaptiveMaxPool2d(const Options& o) : options(o) {}
Tensor AdaptiveMaxPool2d::forward(const Tensor& x) {
  return adaptive_max_pool2d(x, {options.output_size.h, options.output_size.w});
}
std::string AdaptiveMaxPool2d::extra_repr() const {
  return arguments_text(spec(), options, {"output_size"});
}

NNM_REGISTER(Module, AdaptiveMaxPool2d);

}  // namespace nnm::nn
