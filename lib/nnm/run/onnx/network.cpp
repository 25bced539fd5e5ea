// Products, convolutions, pools, normalisations, attention.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "nnm/ops/ops.h"
#include "nnm/run/onnx/builder.h"

namespace nnm::run::onnx {
namespace {

void matmul(Builder& g, const Call& c) {
  const DType dtype = c.out().dtype();
  g.give(c.out(), g.emit("MatMul",
                         {g.operand(c.args[0].second, dtype), g.operand(c.args[1].second, dtype)}));
}
void outer(Builder& g, const Call& c) {
  const std::string column = g.emit("Unsqueeze", {g.of(c.tensor()), g.ints({1})});
  const std::string row = g.emit("Unsqueeze", {g.of(c.tensor("vec2")), g.ints({0})});
  g.give(c.out(), g.emit("Mul", {column, row}));
}
void linear(Builder& g, const Call& c) {
  const std::string x = g.of(c.tensor()), w = g.of(c.tensor("weight"));
  if (c.tensor().dim() == 2) {
    Strings in{x, w};
    if (c.has("bias")) in.push_back(g.of(c.tensor("bias")));
    return g.give(c.out(), g.emit("Gemm", in, {{"transB", int64_t{1}}}));
  }
  const std::string y = g.emit("MatMul", {x, g.transpose(w, {1, 0})});
  g.give(c.out(), c.has("bias") ? g.emit("Add", {y, g.of(c.tensor("bias"))}) : y);
}
void addmm(Builder& g, const Call& c) {
  g.give(c.out(), g.emit("Gemm", {g.of(c.tensor("mat1")), g.of(c.tensor("mat2")), g.of(c.tensor())},
                         {{"alpha", c.real("alpha")}, {"beta", c.real("beta")}}));
}
void einsum(Builder& g, const Call& c) {
  Strings in;
  for (const Value& v : c.at("operands").items()) in.push_back(g.operand(v, c.out().dtype()));
  g.give(c.out(), g.emit("Einsum", in, {{"equation", c.at("equation").string()}}));
}
void embedding(Builder& g, const Call& c) {
  g.give(c.out(), g.emit("Gather", {g.of(c.tensor("weight")), g.of(c.tensor())}));
}

/// Runs a layer of images on one image alone as a batch of one.
template <class Make>
void batched(Builder& g, const Call& c, size_t spatial, const Make& make) {
  const std::string x = g.of(c.tensor());
  const bool alone = c.tensor().dim() == static_cast<int>(spatial) + 1;
  const std::string y = make(alone ? g.emit("Unsqueeze", {x, g.ints({0})}) : x);
  g.give(c.out(), alone ? g.emit("Squeeze", {y, g.ints({0})}) : y);
}

/// One number for each of n dimensions, where one may stand for all.
Ints each(Ints v, size_t n) {
  if (v.size() == 1) v.assign(n, v[0]);
  return v;
}
Ints both_sides(const Ints& v) {
  Ints out = v;
  out.insert(out.end(), v.begin(), v.end());
  return out;
}

Ints kernel_of(const Tensor& weight) {
  const Shape& s = weight.shape();
  return {s.begin() + 2, s.end()};
}
Strings with_bias(Builder& g, const Call& c, const std::string& x) {
  Strings in{x, g.of(c.tensor("weight"))};
  if (c.has("bias")) in.push_back(g.of(c.tensor("bias")));
  return in;
}

void conv(Builder& g, const Call& c) {
  const Ints kernel = kernel_of(c.tensor("weight"));
  const size_t n = kernel.size();
  const Ints dilation = each(c.ints("dilation"), n);
  batched(g, c, n, [&](const std::string& x) {
    return g.emit("Conv", with_bias(g, c, x),
                  {{"kernel_shape", kernel},
                   {"strides", each(c.ints("stride"), n)},
                   {"pads", conv_pads(c, kernel)},
                   {"dilations", dilation},
                   {"group", c.integer("groups")}});
  });
}
void conv_transpose(Builder& g, const Call& c) {
  const Ints kernel = kernel_of(c.tensor("weight"));
  const size_t n = kernel.size();
  batched(g, c, n, [&](const std::string& x) {
    return g.emit("ConvTranspose", with_bias(g, c, x),
                  {{"kernel_shape", kernel},
                   {"strides", each(c.ints("stride"), n)},
                   {"pads", both_sides(each(c.ints("padding"), n))},
                   {"output_padding", each(c.ints("output_padding"), n)},
                   {"dilations", each(c.ints("dilation"), n)},
                   {"group", c.integer("groups")}});
  });
}

template <size_t kDims>
Attributes window(const Call& c) {
  const Ints kernel = each(c.ints("kernel_size"), kDims);
  return {{"kernel_shape", kernel},
          {"strides", c.has("stride") ? each(c.ints("stride"), kDims) : kernel},
          {"pads", both_sides(each(c.ints("padding"), kDims))},
          {"ceil_mode", int64_t{c.at("ceil_mode").boolean()}}};
}
template <size_t kDims>
void max_pool(Builder& g, const Call& c) {
  if (c.output.is_sequence()) unsupported("`" + c.function + "` with indices");
  Attributes attributes = window<kDims>(c);
  attributes.emplace_back("dilations", each(c.ints("dilation"), kDims));
  batched(g, c, kDims, [&](const std::string& x) { return g.emit("MaxPool", {x}, attributes); });
}
template <size_t kDims>
void avg_pool(Builder& g, const Call& c) {
  for (const auto& [name, value] : c.args)
    if (name == "divisor_override" && !value.is_none()) unsupported("`divisor_override`");
  Attributes attributes = window<kDims>(c);
  attributes.emplace_back("count_include_pad", int64_t{c.at("count_include_pad").boolean()});
  batched(g, c, kDims,
          [&](const std::string& x) { return g.emit("AveragePool", {x}, attributes); });
}

// Equal parts alone are windows.
template <size_t kDims, bool kMax>
void adaptive_pool(Builder& g, const Call& c) {
  if (c.output.is_sequence()) unsupported("`" + c.function + "` with indices");
  const Shape in = c.tensor().shape(), out = c.out().shape();
  const size_t first = static_cast<size_t>(in.size()) - kDims;
  Ints kernel;
  bool whole = true;
  for (size_t i = first; i < first + kDims; ++i) {
    const int64_t from = in[static_cast<int>(i)], to = out[static_cast<int>(i)];
    if (to == 0 || from % to != 0)
      unsupported(fmt::format("`{}` from {} to {}", c.function, from, to));
    kernel.push_back(from / to);
    whole = whole && to == 1;
  }
  batched(g, c, kDims, [&](const std::string& x) {
    if (whole) return g.emit(kMax ? "GlobalMaxPool" : "GlobalAveragePool", {x});
    return g.emit(kMax ? "MaxPool" : "AveragePool", {x},
                  {{"kernel_shape", kernel}, {"strides", kernel}});
  });
}

/// A weight that may be missing: so many of one value.
std::string weight_or(Builder& g, const Call& c, const char* name, double value,
                      const Shape& shape) {
  if (c.has(name)) return g.of(c.tensor(name));
  return g.constant(full(shape, value, {c.out().dtype(), {}}));
}

void batch_norm(Builder& g, const Call& c) {
  if (!c.has("running_mean")) unsupported("a batch norm without running statistics");
  const Shape channels{c.tensor().size(1)};
  g.give(c.out(), g.emit("BatchNormalization",
                         {g.of(c.tensor()), weight_or(g, c, "weight", 1, channels),
                          weight_or(g, c, "bias", 0, channels), g.of(c.tensor("running_mean")),
                          g.of(c.tensor("running_var"))},
                         {{"epsilon", c.real("eps")}}));
}

void layer_norm(Builder& g, const Call& c) {
  const Shape shape(c.ints("normalized_shape"));
  g.give(c.out(), g.emit("LayerNormalization",
                         {g.of(c.tensor()), weight_or(g, c, "weight", 1, shape),
                          weight_or(g, c, "bias", 0, shape)},
                         {{"axis", -int64_t{shape.size()}}, {"epsilon", c.real("eps")}}));
}

/// (C) as it stands beside (N, C, …).
std::string per_channel(Builder& g, const Call& c, const char* name) {
  Shape shape{c.tensor(name).numel()};
  for (int i = 2; i < c.tensor().dim(); ++i) shape.push_back(1);
  return g.reshape(g.of(c.tensor(name)), shape);
}
void group_norm(Builder& g, const Call& c) {
  const Tensor x = c.tensor();
  const int64_t groups = c.integer("num_groups");
  const DType dtype = c.out().dtype();
  const std::string rows = g.reshape(g.of(x), {0, groups, -1});
  const std::string normal = g.emit("InstanceNormalization",
                                    {rows, g.constant(full({groups}, 1, {dtype, {}})),
                                     g.constant(full({groups}, 0, {dtype, {}}))},
                                    {{"epsilon", c.real("eps")}});
  std::string y = g.reshape(normal, x.shape());
  if (c.has("weight")) y = g.emit("Mul", {y, per_channel(g, c, "weight")});
  if (c.has("bias")) y = g.emit("Add", {y, per_channel(g, c, "bias")});
  g.give(c.out(), y);
}
void instance_norm(Builder& g, const Call& c) {
  if (c.has("running_mean")) unsupported("an instance norm with running statistics");
  const Shape channels{c.tensor().size(1)};
  g.give(c.out(), g.emit("InstanceNormalization",
                         {g.of(c.tensor()), weight_or(g, c, "weight", 1, channels),
                          weight_or(g, c, "bias", 0, channels)},
                         {{"epsilon", c.real("eps")}}));
}
void rms_norm(Builder& g, const Call& c) {
  const DType dtype = c.out().dtype();
  const std::string x = g.of(c.tensor());
  Ints axes(c.ints("normalized_shape").size());
  std::iota(axes.begin(), axes.end(), -static_cast<int64_t>(axes.size()));
  const double eps = c.has("eps")          ? c.real("eps")
                     : dtype == DType::f64 ? std::numeric_limits<double>::epsilon()
                                           : std::numeric_limits<float>::epsilon();
  const std::string mean =
      g.emit("ReduceMean", {g.emit("Mul", {x, x})}, {{"axes", axes}, {"keepdims", int64_t{1}}});
  const std::string root = g.emit("Sqrt", {g.emit("Add", {mean, g.scalar(eps, dtype)})});
  const std::string y = g.emit("Div", {x, root});
  g.give(c.out(), c.has("weight") ? g.emit("Mul", {y, g.of(c.tensor("weight"))}) : y);
}

/// softmax(q kᵀ scale + mask) v, with q of (…, L, E).
std::string attention(Builder& g, const Strings& qkv, int dims, double scale,
                      const std::string& mask, DType dtype) {
  Ints turned(static_cast<size_t>(dims));
  std::iota(turned.begin(), turned.end(), 0);
  std::swap(turned[turned.size() - 1], turned[turned.size() - 2]);
  const std::string q = g.emit("Mul", {qkv[0], g.scalar(scale, dtype)});
  std::string scores = g.emit("MatMul", {q, g.transpose(qkv[1], turned)});
  if (!mask.empty()) scores = g.emit("Add", {scores, mask});
  return g.emit("MatMul", {g.emit("Softmax", {scores}, {{"axis", int64_t{-1}}}), qkv[2]});
}

/// What is added to scores: 0, or minus infinity where a mask of bools is false.
std::string added_mask(Builder& g, const Value& mask, DType dtype) {
  const Tensor m = mask.as<Tensor>();
  if (m.dtype() != DType::b8) return g.operand(mask, dtype);
  constexpr double kNever = -std::numeric_limits<double>::infinity();
  return g.emit("Where", {g.of(m), g.scalar(0, dtype), g.scalar(kNever, dtype)});
}
void dot_product_attention(Builder& g, const Call& c) {
  const Tensor q = c.tensor("query"), k = c.tensor("key"), v = c.tensor("value");
  if (c.at("enable_gqa").boolean() && q.dim() > 2 && q.size(-3) != k.size(-3))
    unsupported("grouped query attention");
  const DType dtype = c.out().dtype();
  const double scale =
      c.has("scale") ? c.real("scale") : 1 / std::sqrt(static_cast<double>(q.size(-1)));
  std::string mask;
  if (c.has("attn_mask")) mask = added_mask(g, c.at("attn_mask"), dtype);
  if (c.at("is_causal").boolean())
    mask = added_mask(g, tril(ones({q.size(-2), k.size(-2)}, {DType::b8, {}})), dtype);
  g.give(c.out(), attention(g, {g.of(q), g.of(k), g.of(v)}, q.dim(), scale, mask, dtype));
}

void interpolate(Builder& g, const Call& c) {
  const std::string mode = c.at("mode").string();
  if (mode == "area" || c.at("antialias").boolean()) unsupported("`interpolate` of this kind");
  const bool corners = c.has("align_corners") && c.at("align_corners").boolean();
  const bool nearest = mode.starts_with("nearest"), exact = mode == "nearest-exact";
  const std::string places = corners             ? "align_corners"
                             : nearest && !exact ? "asymmetric"
                                                 : "half_pixel";
  Attributes attributes{{"coordinate_transformation_mode", places},
                        {"mode", std::string(nearest             ? "nearest"
                                             : mode == "bicubic" ? "cubic"
                                                                 : "linear")}};
  if (nearest)
    attributes.emplace_back("nearest_mode", std::string(exact ? "round_prefer_ceil" : "floor"));
  if (mode == "bicubic") attributes.emplace_back("cubic_coeff_a", -0.75);
  g.give(c.out(),
         g.emit("Resize", {g.of(c.tensor()), "", "", g.ints(c.out().shape().vec())}, attributes));
}

constexpr Conversion kNetwork[] = {
    {"matmul", matmul},
    {"@", matmul},
    {"mm", matmul},
    {"bmm", matmul},
    {"mv", matmul},
    {"dot", matmul},
    {"outer", outer},
    {"linear", linear},
    {"addmm", addmm},
    {"einsum", einsum},
    {"embedding", embedding},
    {"conv1d", conv},
    {"conv2d", conv},
    {"conv3d", conv},
    {"conv_transpose1d", conv_transpose},
    {"conv_transpose2d", conv_transpose},
    {"conv_transpose3d", conv_transpose},
    {"max_pool1d", max_pool<1>},
    {"max_pool2d", max_pool<2>},
    {"max_pool3d", max_pool<3>},
    {"avg_pool1d", avg_pool<1>},
    {"avg_pool2d", avg_pool<2>},
    {"avg_pool3d", avg_pool<3>},
    {"adaptive_avg_pool1d", adaptive_pool<1, false>},
    {"adaptive_avg_pool2d", adaptive_pool<2, false>},
    {"adaptive_avg_pool3d", adaptive_pool<3, false>},
    {"adaptive_max_pool1d", adaptive_pool<1, true>},
    {"adaptive_max_pool2d", adaptive_pool<2, true>},
    {"adaptive_max_pool3d", adaptive_pool<3, true>},
    {"batch_norm", batch_norm},
    {"layer_norm", layer_norm},
    {"group_norm", group_norm},
    {"instance_norm", instance_norm},
    {"rms_norm", rms_norm},
    {"scaled_dot_product_attention", dot_product_attention},
    {"interpolate", interpolate},
};

}  // namespace

// What "same" pads, more of it at the end.
Ints conv_pads(const Call& c, const Ints& kernel) {
  const Value& asked = c.at("padding");
  const size_t n = kernel.size();
  if (!asked.is(Value::Kind::string)) return both_sides(each(c.ints("padding"), n));
  Ints pads(2 * n, 0);
  if (asked.string() == "valid") return pads;
  const Ints dilation = each(c.ints("dilation"), n);
  for (size_t i = 0; i < n; ++i) {
    const int64_t total = dilation[i] * (kernel[i] - 1);
    pads[i] = total / 2;
    pads[n + i] = total - total / 2;
  }
  return pads;
}

std::span<const Conversion> network_conversions() { return kNetwork; }

}  // namespace nnm::run::onnx
