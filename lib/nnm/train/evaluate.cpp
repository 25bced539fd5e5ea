// Means weighted by samples.
#include "nnm/train/evaluate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "nnm/autograd/node.h"
#include "nnm/nn/layers/fused.h"
#include "nnm/tensor/generator.h"

namespace nnm::train {

namespace {

class EvalGuard {
 public:
  explicit EvalGuard(Module& model)
      : model_(model), training_(model.training()), generator_(default_generator()) {
    model_.eval();
  }
  ~EvalGuard() {
    model_.train(training_);
    default_generator() = generator_;
  }
  EvalGuard(const EvalGuard&) = delete;

 private:
  Module& model_;
  bool training_;
  Generator generator_;
  NoGradGuard no_grad_;
  nn::OneByOneGuard one_by_one_;  // captures leave losses as they are
};

// A mean in f32 knows its sum to the last place only: where a whole number lies within that, it was
// a count. So the accuracy of a split does not depend on how it is cut into batches.
double sum_of(double mean, int64_t samples) {
  const double sum = mean * static_cast<double>(samples), whole = std::round(sum);
  const double known = std::abs(sum) * std::numeric_limits<float>::epsilon();
  return std::abs(sum - whole) <= known ? whole : sum;
}

}  // namespace

void throw_with_sample(const LabelError& e, const data::Loader& loader, const data::Batch& batch) {
  if (e.sample >= static_cast<int64_t>(batch.samples.size())) throw e;
  for (size_t f = 0; f < batch.fields.size(); ++f) {
    if (is_floating(batch.fields[f].dtype())) continue;
    const Tensor row = narrow(batch.fields[f], 0, e.sample, 1);
    const std::vector<int64_t> labels = row.to_vector<int64_t>();
    if (std::find(labels.begin(), labels.end(), e.label) == labels.end()) continue;
    const data::FieldInfo& info = loader.fields()[f];
    throw Error(
        e.kind(),
        fmt::format("{} (sample {} of {})", e.what(), batch.samples[static_cast<size_t>(e.sample)],
                    info.source.empty() ? "field " + info.name : info.source),
        e.hint());
  }
  throw e;
}

EvalEvent Evaluator::run(Module& model, Objective& objective) {
  const auto begin = std::chrono::steady_clock::now();
  const EvalGuard guard(model);
  EvalEvent result;
  result.split = split_;
  double loss = 0;
  std::vector<double> sums(objective.metrics().size());
  loader_.seek(0, 0);
  while (const auto batch = loader_.next()) {
    const auto n = static_cast<int64_t>(batch->samples.size());
    try {
      objective.scope(batch->fields, objective.forward(model, batch->fields));
      if (objective.has_loss()) loss += objective.loss(false).item().d * static_cast<double>(n);
      for (size_t i = 0; i < sums.size(); ++i) sums[i] += sum_of(objective.metric(i), n);
    } catch (const LabelError& e) {
      throw_with_sample(e, loader_, *batch);
    }
    result.samples += n;
  }
  objective.clear();
  const auto count = static_cast<double>(result.samples);
  result.loss = objective.has_loss() ? loss / count : std::numeric_limits<double>::quiet_NaN();
  for (size_t i = 0; i < sums.size(); ++i)
    result.metrics.emplace_back(objective.metrics()[i], sums[i] / count);
  result.took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return result;
}

}  // namespace nnm::train
