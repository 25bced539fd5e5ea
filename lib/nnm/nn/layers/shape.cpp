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

}  // namespace nnm::nn
