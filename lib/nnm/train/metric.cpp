// The metrics' functions and their rows in the function table.
#include "nnm/train/metric.h"

#include <algorithm>
#include <array>

#include "nnm/ops/function.h"
#include "nnm/ops/ops.h"

namespace nnm::train {

Tensor accuracy(const Tensor& input, const Tensor& target) {
  Tensor hit;
  if (input.dim() == target.dim() + 1) {
    hit = eq(argmax(input, 1), target);
  } else {
    NNM_CHECK(input.shape() == target.shape(), value,
              "accuracy: scores of shape {} do not fit targets of shape {}", input.shape().str(),
              target.shape().str());
    hit = eq(gt(input, scalar_tensor(0, input.dtype(), input.device())),
             gt(target, scalar_tensor(0, target.dtype(), target.device())));
  }
  return mean(to(hit, DType::f32));
}

Tensor top_k_accuracy(const Tensor& input, const Tensor& target, int64_t k) {
  NNM_CHECK(input.dim() == 2 && target.dim() == 1, value,
            "top_k_accuracy: expected scores (N, C) and targets (N), got {} and {}",
            input.shape().str(), target.shape().str());
  const Tensor best = topk(input, std::min(k, input.size(1)), 1).second;
  const Tensor hit = eq(best, unsqueeze(target, 1));
  return mean(sum(to(hit, DType::f32), {1}));
}

namespace {

// What ends in _loss, _entropy … shrinks; these grow.
constexpr std::array kGrowing = {"accuracy", "top_k_accuracy", "cosine_similarity"};
constexpr std::array kShrinking = {"cross_entropy", "binary_cross_entropy",
                                   "binary_cross_entropy_with_logits", "kl_div",
                                   "pairwise_distance"};

const Function kMetrics[] = {
    {"accuracy(input: Tensor, target: Tensor)",
     "the share of samples whose largest score is at the target class",
     [](const Value* a) -> Value { return accuracy(a[0].as<Tensor>(), a[1].as<Tensor>()); }},
    {"top_k_accuracy(input: Tensor, target: Tensor, k: int(1..) = 5)",
     "the share of samples whose target is among the k largest scores",
     [](const Value* a) -> Value {
       return top_k_accuracy(a[0].as<Tensor>(), a[1].as<Tensor>(), a[2].integer());
     }},
};
[[maybe_unused]] const bool registered = register_functions(kMetrics, std::size(kMetrics));

}  // namespace

std::optional<bool> larger_is_better(const lang::Expr& metric) {
  if (metric.kind == lang::Expr::Kind::pipe) return larger_is_better(*metric.items[1]);
  const lang::Expr* callee = &metric;
  if (metric.kind == lang::Expr::Kind::call) callee = metric.items[0].get();
  if (callee->kind != lang::Expr::Kind::name || !callee->name.is_plain()) return std::nullopt;
  const std::string& name = callee->name.plain();
  const auto in = [&](const auto& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (in(kGrowing)) return true;
  if (in(kShrinking) || name.ends_with("loss")) return false;
  return std::nullopt;
}

}  // namespace nnm::train
