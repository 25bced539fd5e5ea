// The average of the parameters, kept beside them.
#include "nnm/train/ema.h"

#include "nnm/autograd/node.h"
#include "nnm/ops/ops.h"
#include "nnm/tensor/device.h"

namespace nnm::train {

Ema::Ema(Module& model, double decay) : parameters_(model.named_parameters()), decay_(decay) {}

void Ema::update() {
  const NoGradGuard no_grad;
  if (averages_.empty()) {
    for (const auto& [name, p] : parameters_) averages_.push_back(clone(p.detach()));
    return;
  }
  const double weight = 1 - decay_;
  for (size_t i = 0; i < averages_.size(); ++i) {
    const Tensor& p = parameters_[i].second;
    // What lerp does with small weights, without new memory for the result.
    if (weight < 0.5) add_(averages_[i], sub(p, averages_[i]), weight);
    else averages_[i] = lerp(averages_[i], p, weight);
  }
}

std::vector<io::NamedTensor> Ema::state() const {
  std::vector<io::NamedTensor> out;
  for (size_t i = 0; i < averages_.size(); ++i) out.push_back({parameters_[i].first, averages_[i]});
  return out;
}

void Ema::load(const std::vector<io::NamedTensor>& state) {
  averages_.clear();
  if (state.empty()) return;
  NNM_CHECK(state.size() == parameters_.size(), input_file,
            "the checkpoint averages {} parameters, the model has {}", state.size(),
            parameters_.size());
  for (size_t i = 0; i < state.size(); ++i) {
    const auto& [name, p] = parameters_[i];
    NNM_CHECK(state[i].name == name && state[i].tensor.shape() == p.shape(), input_file,
              "the checkpoint averages {} {} where the model has {} {}", state[i].name,
              state[i].tensor.shape().str(), name, p.shape().str());
    averages_.push_back(clone(moved(state[i].tensor, p.device())));
  }
}

}  // namespace nnm::train
