// Layers that only change shapes.
#include "nnm/nn/layers/shape.h"

#include "nnm/ops/ops.h"

namespace nnm::nn {

const Spec<Flatten::Options>& Flatten::spec() {
  static const auto s = Spec<Options>("Flatten", "several dimensions become one")
                            .opt(NNM_ARG(start_dim), "first dimension")
                            .opt(NNM_ARG(end_dim), "last dimension");
  return s;
}

Flatten::Flatten(const Options& o) : options(o) {}
Tensor Flatten::forward(const Tensor& x) { return flatten(x, options.start_dim, options.end_dim); }
std::string Flatten::extra_repr() const {
  return arguments_text(spec(), options, {"start_dim", "end_dim"});
}

NNM_REGISTER(Module, Flatten);

const Spec<Unflatten::Options>& Unflatten::spec() {
  static const auto s = Spec<Options>("Unflatten", "one dimension becomes several")
                            .req(NNM_ARG(dim), "the dimension")
                            .req(NNM_ARG(unflattened_size), "its new extents");
  return s;
}

Unflatten::Unflatten(const Options& o) : options(o) {}
Tensor Unflatten::forward(const Tensor& x) {
  return unflatten(x, options.dim, options.unflattened_size.shape());
}
std::string Unflatten::extra_repr() const {
  return fmt::format("dim={}, unflattened_size={}", options.dim, options.unflattened_size.repr());
}

NNM_REGISTER(Module, Unflatten);

const Spec<PixelShuffle::Options>& PixelShuffle::spec() {
  static const auto s =
      Spec<Options>("PixelShuffle", "channels become pixels")
          .req(NNM_ARG(upscale_factor), "growth of height and width", at_least(1));
  return s;
}

PixelShuffle::PixelShuffle(const Options& o) : options(o) {}

Tensor PixelShuffle::forward(const Tensor& x) { return pixel_shuffle(x, options.upscale_factor); }

std::string PixelShuffle::extra_repr() const {
  return arguments_text(spec(), options, {"upscale_factor"});
}

NNM_REGISTER(Module, PixelShuffle);

const Spec<PixelUnshuffle::Options>& PixelUnshuffle::spec() {
  static const auto s =
      Spec<Options>("PixelUnshuffle", "pixels become channels")
          .req(NNM_ARG(downscale_factor), "shrinkage of height and width", at_least(1));
  return s;
}

PixelUnshuffle::PixelUnshuffle(const Options& o) : options(o) {}

Tensor PixelUnshuffle::forward(const Tensor& x) {
  return pixel_unshuffle(x, options.downscale_factor);
}

std::string PixelUnshuffle::extra_repr() const {
  return arguments_text(spec(), options, {"downscale_factor"});
}

NNM_REGISTER(Module, PixelUnshuffle);

const Spec<ChannelShuffle::Options>& ChannelShuffle::spec() {
  static const auto s = Spec<Options>("ChannelShuffle", "channels of several groups in turn")
                            .req(NNM_ARG(groups), "parts of the channels", at_least(1));
  return s;
}

ChannelShuffle::ChannelShuffle(const Options& o) : options(o) {}

Tensor ChannelShuffle::forward(const Tensor& x) { return channel_shuffle(x, options.groups); }

std::string ChannelShuffle::extra_repr() const {
  return arguments_text(spec(), options, {"groups"});
}

NNM_REGISTER(Module, ChannelShuffle);

}  // namespace nnm::nn
