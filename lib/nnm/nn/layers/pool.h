// Pooling.
#pragma once

#include "nnm/nn/layers/layer.h"

namespace nnm::nn {

template <int N>
struct MaxPoolOptions {
  ByName by_name = {};
  IntTuple<N> kernel_size = {};
  OptionalTuple<N> stride = {};  ///< none: the kernel's size
  IntTuple<N> padding = 0, dilation = 1;
  bool return_indices = false;  ///< the output is (values, indices), indices flat in (H, W)
  bool ceil_mode = false;
};

/// The largest of each window of (N, C, L) or (C, L).
class MaxPool1d : public Module {
 public:
  using Options = MaxPoolOptions<1>;
  NNM_LAYER(MaxPool1d, 1);
  using Module::forward;
  Value forward(const Args& args) override;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

/// The largest of each window of (N, C, H, W) or (C, H, W).
class MaxPool2d : public Module {
 public:
  using Options = MaxPoolOptions<2>;
  NNM_LAYER(MaxPool2d, 1);
  using Module::forward;
  Value forward(const Args& args) override;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

/// The mean of each window of (N, C, L) or (C, L).
class AvgPool1d : public Module {
 public:
  struct Options {
    ByName by_name = {};
    IntTuple<1> kernel_size = {};
    OptionalTuple<1> stride = {};  ///< none: the kernel's size
    IntTuple<1> padding = 0;
    bool ceil_mode = false, count_include_pad = true;
  };
  NNM_LAYER(AvgPool1d, 1);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

/// The mean of each window of (N, C, H, W) or (C, H, W).
class AvgPool2d : public Module {
 public:
  struct Options {
    ByName by_name = {};
    IntTuple<2> kernel_size = {};
    OptionalTuple<2> stride = {};  ///< none: the kernel's size
    IntTuple<2> padding = 0;
    bool ceil_mode = false, count_include_pad = true;
    std::optional<int64_t> divisor_override = {};
  };
  NNM_LAYER(AvgPool2d, 1);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

/// Extents of an adaptive pooling's output; none keeps the input's.
struct OutputSize {
  std::optional<int64_t> h, w;
  bool scalar = true;  ///< given as one number
  OutputSize() = default;
  OutputSize(int64_t both) : h(both), w(both) {}
  OutputSize(int both) : OutputSize(int64_t{both}) {}
  OutputSize(std::optional<int64_t> height, std::optional<int64_t> width)
      : h(height), w(width), scalar(false) {}
  OutputSize(std::initializer_list<int64_t> xs) : scalar(false) {
    const IntTuple<2> t(xs);
    h = t[0];
    w = t[1];
  }
};

/// The mean of windows chosen so that the output has output_size: (N, C, L) or (C, L).
class AdaptiveAvgPool1d : public Module {
 public:
  struct Options {
    ByName by_name = {};
    IntTuple<1> output_size = {};
  };
  NNM_LAYER(AdaptiveAvgPool1d, 1);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

/// The same over (N, C, H, W) or (C, H, W).
class AdaptiveAvgPool2d : public Module {
 public:
  struct Options {
    ByName by_name = {};
    OutputSize output_size = {};
  };
  NNM_LAYER(AdaptiveAvgPool2d, 1);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

/// The largest of each such window.
class AdaptiveMaxPool2d : public Module {
 public:
  struct Options {
    ByName by_name = {};
    OutputSize output_size = {};
  };
  NNM_LAYER(AdaptiveMaxPool2d, 1);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

}  // namespace nnm::nn

namespace nnm {

template <>
struct Codec<nn::OutputSize> {
  static ArgType type() { return {}; }
  /// An int, or two of ints and none.
  static nn::OutputSize read(const Value& v);
  static Value write(const nn::OutputSize& s);
};

}  // namespace nnm
