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

Tensor PixelShuffle::forward(const Tensor& x) {
  const int64_t r = options.upscale_factor;
  NNM_CHECK(x.dim() >= 3, runtime,
            "pixel_shuffle expects input to have at least 3 dimensions, but got input with {} "
            "dimension(s)",
            x.dim());
  NNM_CHECK(x.size(-3) % (r * r) == 0, runtime,
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            "of upscale_factor, but input.size(-3)={} is not divisible by {}",
            x.size(-3), r * r);
  const int64_t c = x.size(-3) / (r * r), h = x.size(-2), w = x.size(-1);
  const Tensor parts = permute(reshape(x, {-1, c, r, r, h, w}), {0, 1, 4, 2, 5, 3});
  Shape size = x.shape();
  const int n = size.size();
  size[n - 3] = c;
  size[n - 2] = h * r;
  size[n - 1] = w * r;
  return reshape(parts, size);
}

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
  const int64_t r = options.downscale_factor;
  NNM_CHECK(x.dim() >= 3, runtime,
            "pixel_unshuffle expects input to have at least 3 dimensions, but got input with {} "
            "dimension(s)",
            x.dim());
  for (const auto& [dim, name] : {std::pair{-2, "height"}, std::pair{-1, "width"}}) {
    NNM_CHECK(x.size(dim) % r == 0, runtime,
              "pixel_unshuffle expects {} to be divisible by downscale_factor, but "
              "input.size({})={} is not divisible by {}",
              name, dim, x.size(dim), r);
  }
  const int64_t c = x.size(-3), h = x.size(-2) / r, w = x.size(-1) / r;
  const Tensor parts = permute(reshape(x, {-1, c, h, r, w, r}), {0, 1, 3, 5, 2, 4});
  Shape size = x.shape();
  const int n = size.size();
  size[n - 3] = c * r * r;
  size[n - 2] = h;
  size[n - 1] = w;
  return reshape(parts, size);
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
