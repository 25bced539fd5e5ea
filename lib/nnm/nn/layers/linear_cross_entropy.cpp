// A linear layer and the cross entropy of what it says.
#include "nnm/nn/layers/linear_cross_entropy.h"

#include "nnm/nn/layers/loss_options.h"
#include "nnm/ops/ops.h"

namespace nnm::nn {

const Spec<LinearCrossEntropyLoss::Options>& LinearCrossEntropyLoss::spec() {
  static const auto s =
      Spec<Options>("LinearCrossEntropyLoss", "cross entropy of a linear layer with classes")
          .req(NNM_ARG(in_features), "size of each input sample", at_least(0))
          .req(NNM_ARG(num_classes), "number of classes", at_least(0))
          .keyword_only()
          .opt(NNM_ARG(out_features), "for each of which a class is told")
          .opt(NNM_ARG(bias), "learn an additive bias")
          .opt(NNM_ARG(reduction), "what becomes of the elements", loss_reductions())
          .opt(NNM_ARG(weight), "one for each class")
          .opt(NNM_ARG(ignore_index), "the target that does not count")
          .opt(NNM_ARG(label_smoothing), "share spread over all classes", between(0, 1));
  return s;
}

LinearCrossEntropyLoss::LinearCrossEntropyLoss(const Options& o) : options(o) {
  NNM_CHECK(!o.weight || o.weight->shape() == Shape{o.num_classes}, runtime,
            "expected weight shape to be {}, got {}", Shape{o.num_classes}.tuple(),
            o.weight->shape().tuple());
  weight = register_buffer("weight", o.weight.value_or(Tensor()));
  const int64_t rows = o.num_classes * o.out_features.shape().numel();
  linear =
      register_module("linear", make_ref<Linear>(Linear::Options{o.in_features, rows, o.bias}));
}

Tensor LinearCrossEntropyLoss::forward(const Tensor& input, const Tensor& target) {
  Shape classes{options.num_classes};
  for (const int64_t n : options.out_features) classes.push_back(n);
  const Tensor bias = linear->bias ? reshape(linear->bias, classes) : Tensor();
  classes.push_back(options.in_features);
  return linear_cross_entropy(input, reshape(linear->weight, classes), target, bias, weight,
                              options.reduction, options.ignore_index, options.label_smoothing);
}

std::string LinearCrossEntropyLoss::extra_repr() const {
  return fmt::format(
      "in_features={}, num_classes={}, out_features={}, bias={}, reduction={}, ignore_index={}, "
      "label_smoothing={}, options=None",
      options.in_features, options.num_classes, options.out_features.shape().tuple(),
      options.bias ? "True" : "False", options.reduction,
      options.ignore_index ? std::to_string(*options.ignore_index) : "None",
      python_float(options.label_smoothing));
}

NNM_REGISTER(Module, LinearCrossEntropyLoss);

}  // namespace nnm::nn
