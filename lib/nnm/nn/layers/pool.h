// Pooling.
#pragma once

#include <algorithm>
#include <array>

#include "nnm/nn/layers/layer.h"

namespace nnm::nn {

template <int N>
struct MaxPoolOptions {
  IntTuple<N> kernel_size = {};
  OptionalTuple<N> stride = {};  ///< none: the kernel's size
  IntTuple<N> padding = 0, dilation = 1;
  bool return_indices = false;  ///< the output is (values, indices), indices flat in (H, W)
  bool ceil_mode = false;
};

template <int N>
struct AvgPoolOptions {
  IntTuple<N> kernel_size = {};
  OptionalTuple<N> stride = {};  ///< none: the kernel's size
  IntTuple<N> padding = 0;
  bool ceil_mode = false, count_include_pad = true;
  std::optional<int64_t> divisor_override = {};
};
template <>
struct AvgPoolOptions<1> {
  IntTuple<1> kernel_size = {};
  OptionalTuple<1> stride = {};
  IntTuple<1> padding = 0;
  bool ceil_mode = false, count_include_pad = true;
};

/// Extents of an adaptive pooling's output; none keeps the input's.
template <int N>
struct OutputSize {
  std::array<std::optional<int64_t>, size_t{N}> v{};
  bool scalar = true;  ///< given as one number
  OutputSize() = default;
  OutputSize(int64_t every) { v.fill(every); }
  OutputSize(int every) : OutputSize(int64_t{every}) {}
  OutputSize(std::initializer_list<int64_t> xs) : scalar(false) {
    const IntTuple<N> t(xs);
    std::copy(t.v.begin(), t.v.end(), v.begin());
  }
  OutputSize(std::initializer_list<std::optional<int64_t>> xs) : scalar(false) {
    NNM_CHECK(xs.size() == N, value, "expected {} extents, got {}", N, xs.size());
    std::copy(xs.begin(), xs.end(), v.begin());
  }
};
template <int N>
struct AdaptiveAvgPoolOptions {
  OutputSize<N> output_size = {};
};
template <>
struct AdaptiveAvgPoolOptions<1> {
  IntTuple<1> output_size = {};
};
template <int N>
struct AdaptiveMaxPoolOptions {
  OutputSize<N> output_size = {};
  bool return_indices = false;  ///< as MaxPoolOptions'
};
template <>
struct AdaptiveMaxPoolOptions<1> {
  IntTuple<1> output_size = {};
  bool return_indices = false;
};
template <int N>
struct LPPoolOptions {
  Scalar norm_type = {};
  IntTuple<N> kernel_size = {};
  OptionalTuple<N> stride = {};  ///< none: the kernel's size
  bool ceil_mode = false;
};

// (N, C, L) or (C, L) for the 1d ones, (N, C, H, W) or (C, H, W) for the 2d ones, (N, C, D, H, W)
// or (C, D, H, W) for the 3d ones.
// The output may be (values, indices).
#define NNM_INDEXED_POOL(Type, OptionsType)   \
  class Type : public Module {                \
   public:                                    \
    using Options = OptionsType;              \
    NNM_LAYER(Type, 1);                       \
    using Module::forward;                    \
    Value forward(const Args& args) override; \
    Tensor forward(const Tensor& x) override; \
    std::string extra_repr() const override;  \
  }

/// The largest of each window.
NNM_INDEXED_POOL(MaxPool1d, MaxPoolOptions<1>);
NNM_INDEXED_POOL(MaxPool2d, MaxPoolOptions<2>);
NNM_INDEXED_POOL(MaxPool3d, MaxPoolOptions<3>);
/// The mean of each window.
NNM_TENSOR_LAYER(AvgPool1d, AvgPoolOptions<1>, 1);
NNM_TENSOR_LAYER(AvgPool2d, AvgPoolOptions<2>, 1);
NNM_TENSOR_LAYER(AvgPool3d, AvgPoolOptions<3>, 1);
/// The norm_type-th root of the sum of each window's norm_type-th powers.
NNM_TENSOR_LAYER(LPPool1d, LPPoolOptions<1>, 2);
NNM_TENSOR_LAYER(LPPool2d, LPPoolOptions<2>, 2);
NNM_TENSOR_LAYER(LPPool3d, LPPoolOptions<3>, 2);
/// The mean of windows chosen so that the output has output_size.
NNM_TENSOR_LAYER(AdaptiveAvgPool1d, AdaptiveAvgPoolOptions<1>, 1);
NNM_TENSOR_LAYER(AdaptiveAvgPool2d, AdaptiveAvgPoolOptions<2>, 1);
NNM_TENSOR_LAYER(AdaptiveAvgPool3d, AdaptiveAvgPoolOptions<3>, 1);
/// The largest of each such window.
NNM_INDEXED_POOL(AdaptiveMaxPool1d, AdaptiveMaxPoolOptions<1>);
NNM_INDEXED_POOL(AdaptiveMaxPool2d, AdaptiveMaxPoolOptions<2>);
NNM_INDEXED_POOL(AdaptiveMaxPool3d, AdaptiveMaxPoolOptions<3>);

}  // namespace nnm::nn

namespace nnm {

template <int N>
struct Codec<nn::OutputSize<N>> {
  static ArgType type() { return {}; }
  /// An int or none, or N of them.
  static nn::OutputSize<N> read(const Value& v) {
    const auto extent = [](const Value& e) {
      return e.is_none() ? std::nullopt : std::optional(e.integer());
    };
    nn::OutputSize<N> out;
    out.scalar = !v.is_sequence();
    if (out.scalar) {
      out.v.fill(extent(v));
      return out;
    }
    NNM_CHECK(v.items().size() == N, type, "expected {} values, got {} in {}", N, v.items().size(),
              v.config_text());
    std::transform(v.items().begin(), v.items().end(), out.v.begin(), extent);
    return out;
  }
  static Value write(const nn::OutputSize<N>& s) {
    const auto extent = [](std::optional<int64_t> e) { return e ? Value(*e) : Value(); };
    if (s.scalar) return extent(s.v[0]);
    Values out;
    for (const auto& e : s.v) out.push_back(extent(e));
    return Value::tuple(std::move(out));
  }
};

}  // namespace nnm
