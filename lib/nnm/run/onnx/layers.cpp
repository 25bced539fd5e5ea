// Layers that are a function.
#include "nnm/run/onnx/layers.h"

#include <algorithm>

#include "nnm/base/error.h"
#include "nnm/nn/layers/activation.h"
#include "nnm/nn/layers/conv.h"
#include "nnm/nn/layers/distance.h"
#include "nnm/nn/layers/dropout.h"
#include "nnm/nn/layers/embedding.h"
#include "nnm/nn/layers/linear.h"
#include "nnm/nn/layers/norm.h"
#include "nnm/nn/layers/pad.h"
#include "nnm/nn/layers/pool.h"
#include "nnm/nn/layers/shape.h"
#include "nnm/nn/layers/upsample.h"
#include "nnm/ops/function.h"

namespace nnm::run::onnx {
namespace {

// Options, parameters and buffers by their names; what is not there is none.
template <class L>
Items told(const Module& m) {
  const auto& layer = dynamic_cast<const L&>(m);
  Items out;
  const Values values = L::spec().write(layer.options);
  const Signature signature = L::spec().signature();
  for (size_t i = 0; i < values.size(); ++i)
    out.emplace_back(signature.params()[i].name, values[i]);
  for (const auto slots : {m.parameter_slots(), m.buffer_slots(), m.computed_slots()}) {
    for (const Ref<TensorSlot>& s : slots) {
      std::erase_if(out, [&](const auto& o) { return o.first == s->name; });
      const Tensor& value = s->read();
      out.emplace_back(s->name, value.defined() ? Value(value) : Value());
    }
  }
  return out;
}

Call call_of(const std::string& function, const LayerCall& c, Items options) {
  Call out{function, {{"input", c.args.pos.at(0)}}, c.output};
  out.args.insert(out.args.end(), options.begin(), options.end());
  return out;
}

template <class L, Text function>
void as(Builder& g, const LayerCall& c) {
  convert(g, call_of(function, c, told<L>(c.layer)));
}

// Borders that are no zeros come first.
template <class L, Text function>
void convolution(Builder& g, const LayerCall& c) {
  const auto& layer = dynamic_cast<const L&>(c.layer);
  Call call = call_of(function, c, told<L>(c.layer));
  if (layer.options.padding_mode != "zeros") {
    const Tensor weight = layer.weight;
    const Ints kernel(weight.shape().begin() + 2, weight.shape().end());
    const Ints pads = conv_pads(call, kernel);
    Ints borders;  // from the last dimension on
    for (size_t i = kernel.size(); i-- > 0;) {
      borders.push_back(pads[i]);
      borders.push_back(pads[kernel.size() + i]);
    }
    call.args[0].second = compute(g, "pad",
                                  {{"input", c.args.pos.at(0)},
                                   {"pad", Value::list(Values(borders.begin(), borders.end()))},
                                   {"mode", layer.options.padding_mode}});
    for (auto& [name, value] : call.args)
      if (name == "padding") value = 0;
  }
  convert(g, call);
}

// Of all kinds of borders; extents from the last dimension on.
template <class L, Text mode>
void borders(Builder& g, const LayerCall& c) {
  Items args{{"mode", std::string(mode)}};
  const size_t extents = typename L::Options{}.padding.v.size();
  for (const auto& [name, v] : told<L>(c.layer)) {
    if (name == "value") args.emplace_back("value", v);
    if (name == "padding")
      args.emplace_back("pad", v.is_sequence() ? v : Value::list(Values(extents, v)));
  }
  args.emplace_back("value", Value());  // zeros where no value came before
  convert(g, call_of("pad", c, args));
}

void channel_softmax(Builder& g, const LayerCall& c) {
  convert(g, call_of("softmax", c, {{"dim", -3}}));
}
void halves(Builder& g, const LayerCall& c) {
  const Tensor x = c.args.pos.at(0).as<Tensor>();
  const int64_t dim = dynamic_cast<const nn::GLU&>(c.layer).options.dim;
  const Value parts = compute(g, "chunk", {{"input", x}, {"chunks", 2}, {"dim", dim}});
  const Value gate = compute(g, "sigmoid", {{"input", parts.items()[1]}});
  convert(g, {"mul", {{"input", parts.items()[0]}, {"other", gate}}, c.output});
}
void identity(Builder& g, const LayerCall& c) { convert(g, call_of("detach", c, {})); }

template <class L>
void upsample(Builder& g, const LayerCall& c) {
  Items options = told<L>(c.layer);
  options.emplace_back("antialias", false);
  const bool bilinear = is<nn::UpsamplingBilinear2d>(c.layer);
  // What Upsample has as its own options comes first.
  options.emplace_back("mode", bilinear ? "bilinear" : "nearest");
  options.emplace_back("align_corners", bilinear ? Value(true) : Value());
  convert(g, call_of("interpolate", c, options));
}

template <class L, Text function>
void of_two(Builder& g, const LayerCall& c) {
  Call call{function, {{"x1", c.args.pos.at(0)}, {"x2", c.args.pos.at(1)}}, c.output};
  const Items options = told<L>(c.layer);
  call.args.insert(call.args.end(), options.begin(), options.end());
  convert(g, call);
}

template <class L, Text function>
constexpr LayerConversion row = {is<L>, as<L, function>};

constexpr LayerConversion kLayers[] = {
    row<nn::LeakyReLU, "leaky_relu">,
    row<nn::Threshold, "threshold">,
    row<nn::BatchNorm2d, "batch_norm">,
    row<nn::GroupNorm, "group_norm">,
    row<nn::AvgPool2d, "avg_pool2d">,
    row<nn::AvgPool3d, "avg_pool3d">,
    row<nn::ConvTranspose1d, "conv_transpose1d">,
    row<nn::ReLU, "relu">,
    row<nn::ReLU6, "relu6">,
    row<nn::SELU, "selu">,
    row<nn::SiLU, "silu">,
    row<nn::Mish, "mish">,
    row<nn::Hardswish, "hardswish">,
    row<nn::Hardsigmoid, "hardsigmoid">,
    row<nn::Sigmoid, "sigmoid">,
    row<nn::LogSigmoid, "logsigmoid">,
    row<nn::Tanh, "tanh">,
    row<nn::Softsign, "softsign">,
    row<nn::Tanhshrink, "tanhshrink">,
    row<nn::ELU, "elu">,
    row<nn::CELU, "celu">,
    row<nn::GELU, "gelu">,
    row<nn::Softplus, "softplus">,
    row<nn::Softshrink, "softshrink">,
    row<nn::Hardshrink, "hardshrink">,
    row<nn::Hardtanh, "hardtanh">,
    row<nn::Softmax, "softmax">,
    row<nn::LogSoftmax, "log_softmax">,
    row<nn::Softmin, "softmin">,
    row<nn::PReLU, "prelu">,
    row<nn::Dropout, "dropout">,
    row<nn::Dropout1d, "dropout">,
    row<nn::Dropout2d, "dropout">,
    row<nn::Dropout3d, "dropout">,
    row<nn::AlphaDropout, "dropout">,
    row<nn::FeatureAlphaDropout, "dropout">,
    row<nn::Linear, "linear">,
    row<nn::Embedding, "embedding">,
    row<nn::BatchNorm1d, "batch_norm">,
    row<nn::BatchNorm3d, "batch_norm">,
    row<nn::SyncBatchNorm, "batch_norm">,
    row<nn::InstanceNorm1d, "instance_norm">,
    row<nn::InstanceNorm2d, "instance_norm">,
    row<nn::InstanceNorm3d, "instance_norm">,
    row<nn::LayerNorm, "layer_norm">,
    row<nn::RMSNorm, "rms_norm">,
    row<nn::MaxPool1d, "max_pool1d">,
    row<nn::MaxPool2d, "max_pool2d">,
    row<nn::MaxPool3d, "max_pool3d">,
    row<nn::AvgPool1d, "avg_pool1d">,
    row<nn::AdaptiveAvgPool1d, "adaptive_avg_pool1d">,
    row<nn::AdaptiveAvgPool2d, "adaptive_avg_pool2d">,
    row<nn::AdaptiveAvgPool3d, "adaptive_avg_pool3d">,
    row<nn::AdaptiveMaxPool1d, "adaptive_max_pool1d">,
    row<nn::AdaptiveMaxPool2d, "adaptive_max_pool2d">,
    row<nn::AdaptiveMaxPool3d, "adaptive_max_pool3d">,
    row<nn::ConvTranspose2d, "conv_transpose2d">,
    row<nn::ConvTranspose3d, "conv_transpose3d">,
    row<nn::Flatten, "flatten">,
    row<nn::Unflatten, "unflatten">,
    row<nn::PixelShuffle, "pixel_shuffle">,
    row<nn::PixelUnshuffle, "pixel_unshuffle">,
    row<nn::ChannelShuffle, "channel_shuffle">,
    {is<nn::Conv1d>, convolution<nn::Conv1d, "conv1d">},
    {is<nn::Conv2d>, convolution<nn::Conv2d, "conv2d">},
    {is<nn::Conv3d>, convolution<nn::Conv3d, "conv3d">},
    {is<nn::ZeroPad1d>, borders<nn::ZeroPad1d, "constant">},
    {is<nn::ZeroPad2d>, borders<nn::ZeroPad2d, "constant">},
    {is<nn::ZeroPad3d>, borders<nn::ZeroPad3d, "constant">},
    {is<nn::ConstantPad1d>, borders<nn::ConstantPad1d, "constant">},
    {is<nn::ConstantPad2d>, borders<nn::ConstantPad2d, "constant">},
    {is<nn::ConstantPad3d>, borders<nn::ConstantPad3d, "constant">},
    {is<nn::ReflectionPad1d>, borders<nn::ReflectionPad1d, "reflect">},
    {is<nn::ReflectionPad2d>, borders<nn::ReflectionPad2d, "reflect">},
    {is<nn::ReflectionPad3d>, borders<nn::ReflectionPad3d, "reflect">},
    {is<nn::ReplicationPad1d>, borders<nn::ReplicationPad1d, "replicate">},
    {is<nn::ReplicationPad2d>, borders<nn::ReplicationPad2d, "replicate">},
    {is<nn::ReplicationPad3d>, borders<nn::ReplicationPad3d, "replicate">},
    {is<nn::CircularPad1d>, borders<nn::CircularPad1d, "circular">},
    {is<nn::CircularPad2d>, borders<nn::CircularPad2d, "circular">},
    {is<nn::Softmax2d>, channel_softmax},
    {is<nn::GLU>, halves},
    {is<nn::Identity>, identity},
    {is<nn::Upsample>, upsample<nn::Upsample>},
    {is<nn::UpsamplingNearest2d>, upsample<nn::UpsamplingNearest2d>},
    {is<nn::UpsamplingBilinear2d>, upsample<nn::UpsamplingBilinear2d>},
    {is<nn::CosineSimilarity>, of_two<nn::CosineSimilarity, "cosine_similarity">},
    {is<nn::PairwiseDistance>, of_two<nn::PairwiseDistance, "pairwise_distance">},
};

const LayerConversion* find(std::span<const LayerConversion> rows, const Module& m) {
  const auto at = std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return r.is(m); });
  return at == rows.end() ? nullptr : &*at;
}

}  // namespace

const LayerConversion* layer_conversion(const Module& m) {
  for (const auto rows :
       {std::span<const LayerConversion>(kLayers), recurrent_layers(), attention_layers()})
    if (const LayerConversion* const found = find(rows, m)) return found;
  return nullptr;
}

Value compute(Builder& g, const char* function, Items args) {
  const Function* const f = find_function(function);
  NNM_CHECK(f, internal, "there is no function `{}`", function);
  const Values bound = f->signature().bind({{}, std::move(args)});
  Call call{function, {}, f->run(bound.data())};
  for (size_t i = 0; i < bound.size(); ++i)
    call.args.emplace_back(f->signature().params()[i].name, bound[i]);
  convert(g, call);
  return call.output;
}

}  // namespace nnm::run::onnx
