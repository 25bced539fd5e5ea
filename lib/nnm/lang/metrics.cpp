// Metrics as functions of the expression language: numbers to look at, without gradients.
#include "nnm/autograd/node.h"
#include "nnm/ops/function.h"
#include "nnm/ops/ops.h"

namespace nnm {

namespace {

constexpr int64_t kIgnored = -100;  // cross_entropy's default ignore_index

/// The dimension of input (N, C, …) or (…, C) that holds the classes of target's elements.
int64_t class_dim(const Tensor& input, const Tensor& target) {
  for (int64_t d : {int64_t{1}, static_cast<int64_t>(input.dim()) - 1}) {
    if (d < 0 || d >= input.dim()) continue;
    Shape rest = input.shape();
    rest.erase(static_cast<int>(d));
    if (rest == target.shape()) return d;
  }
  fail(ErrorKind::runtime, "accuracy: input {} has no class dimension beside target {}",
       input.shape().str(), target.shape().str());
}

/// The share of ones among the elements that count.
Tensor share(const Tensor& hit, const Tensor& target) {
  if (is_floating(target.dtype())) return mean(to(hit, DType::f32));
  const Tensor counted = to(ne(target, full_like(target, kIgnored)), DType::f32);
  const Tensor n = clamp(sum(counted), Scalar(1.0));
  return div(sum(mul(to(hit, DType::f32), counted)), n);
}

Tensor accuracy(const Tensor& input, const Tensor& target) {
  const NoGradGuard no_grad;
  if (input.dim() == target.dim() && input.shape() == target.shape()) {
    // Logits of yes and no.
    const Tensor yes = gt(input, zeros_like(input));
    return mean(to(eq(to(yes, target.dtype()), target), DType::f32));
  }
  const int64_t classes = class_dim(input, target);
  if (input.size(classes) == 1)
    throw Error(ErrorKind::runtime,
                fmt::format("accuracy: input {} has one class beside target {}, which is always "
                            "the largest",
                            input.shape().str(), target.shape().str()),
                fmt::format("of yes and no, where more than 0 is a yes: accuracy(squeeze(out, "
                            "{}), y)",
                            classes));
  const Tensor best = argmax(input, classes);
  return share(eq(best, to(target, DType::i64)), target);
}

Tensor top_k_accuracy(const Tensor& input, const Tensor& target, int64_t k) {
  const NoGradGuard no_grad;
  const int64_t d = class_dim(input, target);
  const Tensor best = topk(input, std::min(k, input.size(d)), d).second;
  const Tensor hits = eq(best, unsqueeze(to(target, DType::i64), d));
  return share(amax(to(hits, DType::f32), {d}), target);
}

Tensor mse(const Tensor& input, const Tensor& target) {
  const NoGradGuard no_grad;
  return mse_loss(input, target);
}

Tensor mae(const Tensor& input, const Tensor& target) {
  const NoGradGuard no_grad;
  return l1_loss(input, target);
}

constexpr Function kMetricsFunctions[] = {
    {"accuracy(input: Tensor, target: Tensor)",
     "the share of targets whose class has the largest input; of yes (above 0) and no, where "
     "shapes are equal",
     call<accuracy>},
    {"top_k_accuracy(input: Tensor, target: Tensor, k: int(1..) = 5)",
     "the share of targets among the k largest inputs", call<top_k_accuracy>},
    {"mse(input: Tensor, target: Tensor)", "mean squared error", call<mse>},
    {"mae(input: Tensor, target: Tensor)", "mean absolute error", call<mae>},
};
NNM_REGISTER_FUNCTIONS(kMetricsFunctions);

}  // namespace

}  // namespace nnm
