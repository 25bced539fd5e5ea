// Softmax over very many classes.
#include "nnm/nn/layers/adaptive_softmax.h"

#include <algorithm>
#include <cmath>

#include "nnm/ops/detail.h"

namespace nnm::nn {

namespace {

void check_cutoffs(const Sizes& cutoffs, int64_t classes) {
  NNM_CHECK(!cutoffs.empty(), value, "cutoffs should be a sequence of length larger than 0");
  const bool rising =
      std::adjacent_find(cutoffs.begin(), cutoffs.end(), std::greater_equal<>()) == cutoffs.end();
  NNM_CHECK(rising && cutoffs.front() > 0 && cutoffs.back() <= classes - 1, value,
            "cutoffs should be a sequence of unique, positive integers sorted in an increasing "
            "order, where each value is between 1 and n_classes-1");
}

void check_batch(const Tensor& input, const Tensor& target) {
  NNM_CHECK(target.dim() <= 1, runtime,
            "0D or 1D target tensor expected, multi-target not supported");
  const bool batched = target.dim() == 1;
  NNM_CHECK(!batched || (input.dim() > 0 && input.size(0) == target.size(0)), runtime,
            "Input and target should have the same size in the batch dimension.");
  NNM_CHECK(
      input.dim() == target.dim() + 1, runtime,
      "{}D target tensor expects {}D input tensors, but found inputs with size torch.Size({})",
      target.dim(), target.dim() + 1, input.shape().str());
}

}  // namespace

const Spec<AdaptiveLogSoftmaxWithLoss::Options>& AdaptiveLogSoftmaxWithLoss::spec() {
  static const auto s =
      Spec<Options>("AdaptiveLogSoftmaxWithLoss", "softmax over very many classes, and its loss")
          .req(NNM_ARG(in_features), "size of the last dimension of the input", at_least(0))
          .req(NNM_ARG(n_classes), "number of classes", at_least(1))
          .req(NNM_ARG(cutoffs), "where clusters of rarer classes begin")
          .opt(NNM_ARG(div_value), "by how much each cluster has less features")
          .opt(NNM_ARG(head_bias), "learn a bias of the head");
  return s;
}

AdaptiveLogSoftmaxWithLoss::AdaptiveLogSoftmaxWithLoss(const Options& o)
    : options(o), ends_(o.cutoffs) {
  check_cutoffs(o.cutoffs, o.n_classes);
  ends_.push_back(o.n_classes);
  head = register_module(
      "head", make_ref<Linear>(Linear::Options{o.in_features, ends_[0] + clusters(), o.head_bias}));
  std::vector<Ref<Module>> parts;
  for (int64_t i = 0; i < clusters(); ++i) {
    const auto at = static_cast<size_t>(i);
    const auto features = static_cast<int64_t>(std::floor(
        static_cast<double>(o.in_features) / std::pow(o.div_value, static_cast<double>(i + 1))));
    parts.push_back(make_ref<Sequential>(
        make_ref<Linear>(Linear::Options{o.in_features, features, false}),
        make_ref<Linear>(Linear::Options{features, ends_[at + 1] - ends_[at], false})));
  }
  tail = register_module("tail", make_ref<ModuleList>(parts));
}

// Log-probabilities within cluster i of x (N, in_features).
Tensor AdaptiveLogSoftmaxWithLoss::cluster(int64_t i, const Tensor& x) {
  return log_softmax((*tail)[i](x), 1);
}

// What the tail adds to the log-probabilities of the targets: (N).
Tensor AdaptiveLogSoftmaxWithLoss::tail_log_prob(const Tensor& x, const Tensor& target) {
  Tensor out = zeros(target.shape(), x.options());
  for (int64_t i = 0; i < clusters(); ++i) {
    const auto at = static_cast<size_t>(i);
    const Tensor inside =
        logical_and(ge(target, Scalar(ends_[at])), lt(target, Scalar(ends_[at + 1])));
    const Tensor rows = nnm::detail::nonzero_positions(inside);
    if (rows.numel() == 0) continue;
    const Tensor label = index_select(target, 0, rows) - Scalar(ends_[at]);
    const Tensor local = gather(cluster(i, index_select(x, 0, rows)), 1, unsqueeze(label, 1));
    out = index_add(out, 0, rows, squeeze(local, 1));
  }
  return out;
}

Value AdaptiveLogSoftmaxWithLoss::forward(const Tensor& input, const Tensor& target) {
  check_batch(input, target);
  nnm::detail::check_index_range(target, 0, options.n_classes, [&](int64_t) {
    fail(ErrorKind::runtime,
         "Target values should be in [0, {}], but values in range [{}, {}] were found. ",
         options.n_classes - 1, min(target).item().i, max(target).item().i);
  });
  const bool batched = target.dim() == 1;
  const Tensor x = batched ? input : unsqueeze(input, 0);
  const Tensor y = nnm::to(batched ? target : unsqueeze(target, 0), DType::i64);
  Tensor entry = y;  // of the head
  for (int64_t i = 0; i < clusters(); ++i)
    entry = where(ge(y, Scalar(ends_[static_cast<size_t>(i)])), full_like(y, ends_[0] + i), entry);
  const Tensor first = gather(log_softmax(head(x), 1), 1, unsqueeze(entry, 1));
  const Tensor out = tail_log_prob(x, y) + squeeze(first, 1);
  return Value::tuple({batched ? out : squeeze(out, 0), mean(neg(out))});
}

Tensor AdaptiveLogSoftmaxWithLoss::log_prob(const Tensor& input) {
  const Tensor first = log_softmax(head(input), 1);
  Tensors parts{narrow(first, 1, 0, ends_[0])};
  for (int64_t i = 0; i < clusters(); ++i)
    parts.push_back(cluster(i, input) + narrow(first, 1, ends_[0] + i, 1));
  return cat(parts, 1);
}

Tensor AdaptiveLogSoftmaxWithLoss::predict(const Tensor& input) {
  return argmax(log_prob(input), 1);
}

NNM_REGISTER(Module, AdaptiveLogSoftmaxWithLoss);

}  // namespace nnm::nn
