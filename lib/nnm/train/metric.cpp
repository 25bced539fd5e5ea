// Which way metrics improve.
#include "nnm/train/metric.h"

#include <algorithm>
#include <array>

namespace nnm::train {

namespace {

// What ends in _loss, _entropy … shrinks; these grow.
constexpr std::array kGrowing = {"accuracy", "top_k_accuracy", "cosine_similarity"};
constexpr std::array kShrinking = {
    "cross_entropy", "binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div", "mae",
    "mse",           "pairwise_distance"};

}  // namespace

std::optional<bool> larger_is_better(std::string_view function) {
  const auto in = [function](const auto& names) {
    return std::find(names.begin(), names.end(), function) != names.end();
  };
  if (in(kGrowing)) return true;
  if (in(kShrinking) || function.ends_with("loss")) return false;
  return std::nullopt;
}

std::optional<bool> larger_is_better(const lang::Expr& metric) {
  if (metric.kind == lang::Expr::Kind::pipe) return larger_is_better(*metric.items[1]);
  const lang::Expr* callee = &metric;
  if (metric.kind == lang::Expr::Kind::call) callee = metric.items[0].get();
  if (callee->kind != lang::Expr::Kind::name || !callee->name.is_plain()) return std::nullopt;
  return larger_is_better(callee->name.plain());
}

}  // namespace nnm::train
