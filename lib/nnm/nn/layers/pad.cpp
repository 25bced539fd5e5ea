// Padding layers.
#include "nnm/nn/layers/pad.h"

#include "nnm/ops/ops.h"

namespace nnm::nn {

namespace {

template <class Options>
Spec<Options> pad_spec(const char* name, const char* doc) {
  return Spec<Options>(name, doc).req(NNM_ARG(padding), "elements before and after");
}

template <class Options>
Spec<Options> constant_spec(const char* name) {
  return pad_spec<Options>(name, "a constant around the input")
      .req(NNM_ARG(value), "what is added");
}

template <int N>
Tensor padded(const Tensor& x, const IntTuple<N>& padding, const char* mode, double value = 0) {
  return pad(x, Dims(padding.v.begin(), padding.v.end()), mode, value);
}

template <int N>
std::string tuple_text(const IntTuple<N>& padding) {
  return Value::tuple(Values(padding.v.begin(), padding.v.end())).repr();
}

}  // namespace

#define NNM_PAD_LAYER(Type, mode, doc)                                               \
  const Spec<Type::Options>& Type::spec() {                                          \
    static const auto s = pad_spec<Options>(#Type, doc);                             \
    return s;                                                                        \
  }                                                                                  \
  Type::Type(const Options& o) : options(o) {}                                       \
  Tensor Type::forward(const Tensor& x) { return padded(x, options.padding, mode); } \
  std::string Type::extra_repr() const { return tuple_text(options.padding); }       \
  NNM_REGISTER(Module, Type)

#define NNM_CONSTANT_PAD_LAYER(Type)                                        \
  const Spec<Type::Options>& Type::spec() {                                 \
    static const auto s = constant_spec<Options>(#Type);                    \
    return s;                                                               \
  }                                                                         \
  Type::Type(const Options& o) : options(o) {}                              \
  Tensor Type::forward(const Tensor& x) {                                   \
    return padded(x, options.padding, "constant", options.value.d);         \
  }                                                                         \
  std::string Type::extra_repr() const {                                    \
    return fmt::format("padding={}, value={}", tuple_text(options.padding), \
                       Codec<Scalar>::write(options.value).repr());         \
  }                                                                         \
  NNM_REGISTER(Module, Type)

NNM_PAD_LAYER(ZeroPad1d, "constant", "zeros around the input");
NNM_PAD_LAYER(ZeroPad2d, "constant", "zeros around the input");
NNM_PAD_LAYER(ZeroPad3d, "constant", "zeros around the input");
NNM_CONSTANT_PAD_LAYER(ConstantPad1d);
NNM_CONSTANT_PAD_LAYER(ConstantPad2d);
NNM_CONSTANT_PAD_LAYER(ConstantPad3d);
NNM_PAD_LAYER(ReflectionPad1d, "reflect", "the input mirrored at its borders");
NNM_PAD_LAYER(ReflectionPad2d, "reflect", "the input mirrored at its borders");
NNM_PAD_LAYER(ReflectionPad3d, "reflect", "the input mirrored at its borders");
NNM_PAD_LAYER(ReplicationPad1d, "replicate", "the border elements repeated");
NNM_PAD_LAYER(ReplicationPad2d, "replicate", "the border elements repeated");
NNM_PAD_LAYER(ReplicationPad3d, "replicate", "the border elements repeated");
NNM_PAD_LAYER(CircularPad1d, "circular", "the input goes on at its other end");
NNM_PAD_LAYER(CircularPad2d, "circular", "the input goes on at its other end");
NNM_PAD_LAYER(CircularPad3d, "circular", "the input goes on at its other end");

}  // namespace nnm::nn
