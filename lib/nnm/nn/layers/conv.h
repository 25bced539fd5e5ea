// Convolutions.
#pragma once

#include "nnm/nn/layers/layer.h"
#include "nnm/nn/typed_forward.h"
#include "nnm/ops/conv_tail.h"

namespace nnm::nn {

/// The padding of a convolution: extents (one for all), or "same" or "valid".
template <int N>
struct Padding {
  IntTuple<N> extents;
  std::string mode;  ///< empty: the extents count
  Padding(IntTuple<N> each = 0) : extents(each) {}
  Padding(std::initializer_list<int64_t> each) : extents(each) {}
  Padding(int64_t every) : extents(every) {}
  Padding(int every) : extents(every) {}
  Padding(std::string name) : mode(std::move(name)) {}
  Padding(const char* name) : mode(name) {}
};

template <int N>
struct ConvOptions {
  int64_t in_channels = 0, out_channels = 0;
  IntTuple<N> kernel_size = {}, stride = 1;
  Padding<N> padding = 0;
  IntTuple<N> dilation = 1;
  int64_t groups = 1;
  bool bias = true;
  std::string padding_mode = "zeros";  ///< or "reflect", "replicate", "circular"
};

template <int N>
struct ConvTransposeOptions {
  int64_t in_channels = 0, out_channels = 0;
  IntTuple<N> kernel_size = {}, stride = 1, padding = 0, output_padding = 0;
  int64_t groups = 1;
  bool bias = true;
  IntTuple<N> dilation = 1;
  std::string padding_mode = "zeros";  ///< no other
};

/// What all convolutions share: a weight and a bias (out_channels), which start uniform within
/// 1/sqrt(fan_in).
class Convolution : public Module {
 public:
  void reset_parameters(const Streams& streams) override;

  Parameter weight, bias;

 protected:
  /// `first` and `second` are the weight's extents before those of the kernel.
  void make_parameters(int64_t first, int64_t second, std::span<const int64_t> kernel,
                       std::optional<int64_t> biases);
};

/// What convolutions share. weight is (out_channels, in_channels / groups, kernel…).
template <int N>
class ConvNd : public Convolution {
 public:
  using Options = ConvOptions<N>;

 protected:
  /// Makes the parameters. Throws Error(value) with PyTorch's texts.
  void make(const Options& o);
  std::string text(const Options& o) const;
  /// x with what the convolution itself does not pad.
  Tensor padded(const Tensor& x) const;

  std::vector<int64_t> outside_;  ///< for `pad`: last dimension first; empty: nothing to do
  IntTuple<N> inside_ = 0;        ///< padding with zeros by the convolution itself
  std::string outside_mode_;
};

/// (N, C, L) or (C, L) to (N, O, L') or (O, L').
class Conv1d : public ConvNd<1> {
 public:
  NNM_LAYER(Conv1d, 3);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override { return text(options); }
};

/// (N, C, H, W) or (C, H, W) to (N, O, H', W') or (O, H', W').
class Conv2d : public ConvNd<2> {
 public:
  NNM_LAYER(Conv2d, 3);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  /// With what follows in the same pass; undefined where conv2d_with_tail is.
  Tensor forward(const Tensor& x, const ConvTail& tail);
  std::string extra_repr() const override { return text(options); }
};

/// (N, C, D, H, W) or (C, D, H, W) to (N, O, D', H', W') or (O, D', H', W').
class Conv3d : public ConvNd<3> {
 public:
  NNM_LAYER(Conv3d, 3);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override { return text(options); }
};

/// What transposed convolutions share. weight is (in_channels, out_channels / groups, kernel…).
template <int N>
class ConvTransposeNd : public Convolution {
 public:
  using Options = ConvTransposeOptions<N>;
  using OutputSize = std::optional<std::vector<int64_t>>;

 protected:
  /// Makes the parameters. Throws Error(value) with PyTorch's texts.
  void make(const Options& o);
  std::string text(const Options& o) const;
  /// What must be added behind for an output of that size: its last N extents, or all of them.
  /// Throws Error(value) where no padding gives it; the options' where no size is given.
  IntTuple<N> output_padding(const Options& o, const Tensor& x, const OutputSize& size) const;
};

/// (N, C, L) or (C, L) to (N, O, L') or (O, L'), L' = (L - 1) stride - 2 padding +
/// dilation (kernel_size - 1) + output_padding + 1.
class ConvTranspose1d : public ConvTransposeNd<1> {
 public:
  NNM_LAYER(ConvTranspose1d, 3);
  NNM_FORWARD(ConvTranspose1d, "input: Tensor, output_size: int[]? = none");
  Tensor forward(const Tensor& x) override { return forward(x, std::nullopt); }
  Tensor forward(const Tensor& x, const OutputSize& output_size);
  std::string extra_repr() const override { return text(options); }
};

/// (N, C, H, W) or (C, H, W) to (N, O, H', W') or (O, H', W'), each as ConvTranspose1d's.
class ConvTranspose2d : public ConvTransposeNd<2> {
 public:
  NNM_LAYER(ConvTranspose2d, 3);
  NNM_FORWARD(ConvTranspose2d, "input: Tensor, output_size: int[]? = none");
  Tensor forward(const Tensor& x) override { return forward(x, std::nullopt); }
  Tensor forward(const Tensor& x, const OutputSize& output_size);
  std::string extra_repr() const override { return text(options); }
};

/// (N, C, D, H, W) or (C, D, H, W) to (N, O, D', H', W') or (O, D', H', W'), each as
/// ConvTranspose1d's.
class ConvTranspose3d : public ConvTransposeNd<3> {
 public:
  NNM_LAYER(ConvTranspose3d, 3);
  NNM_FORWARD(ConvTranspose3d, "input: Tensor, output_size: int[]? = none");
  Tensor forward(const Tensor& x) override { return forward(x, std::nullopt); }
  Tensor forward(const Tensor& x, const OutputSize& output_size);
  std::string extra_repr() const override { return text(options); }
};

}  // namespace nnm::nn

namespace nnm {

template <int N>
struct Codec<nn::Padding<N>> {
  static ArgType type() { return {}; }
  static nn::Padding<N> read(const Value& v) {
    if (v.is(Value::Kind::string)) return v.string();
    return Codec<IntTuple<N>>::read(Codec<IntTuple<N>>::type().convert(v));
  }
  static Value write(const nn::Padding<N>& p) {
    return p.mode.empty() ? Codec<IntTuple<N>>::write(p.extents) : Value(p.mode);
  }
};

}  // namespace nnm
