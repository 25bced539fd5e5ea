// Ema: an exponential moving average of a model's parameters (torch.optim.swa_utils.AveragedModel).
#pragma once

#include <string>
#include <vector>

#include "nnm/io/checkpoint.h"
#include "nnm/nn/module.h"

namespace nnm::train {

/// Averages of the parameters by get_ema_multi_avg_fn(decay): the first update copies, the others
/// give decay * average + (1 - decay) * parameter.
class Ema {
 public:
  Ema(Module& model, double decay);
  void update();
  /// The averages under the parameters' names; empty before the first update.
  std::vector<io::NamedTensor> state() const;
  /// Throws Error(input_file) where names or shapes do not fit the model's.
  void load(const std::vector<io::NamedTensor>& state);

 private:
  NamedTensors parameters_;
  Tensors averages_;
  double decay_;
};

}  // namespace nnm::train
