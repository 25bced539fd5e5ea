// KeptBuffers: the buffers of a model as they were before a step.
#pragma once

#include <vector>

#include "nnm/nn/module.h"

namespace nnm::train {

/// A forward updates buffers (running statistics, counters) before its loss is known. Where the
/// step then does not happen, put_back() undoes that, so that a checkpoint is of the last whole
/// step. A buffer that the first step leaves alone is taken for constant, and is copied no more.
/// For models on the CPU: on a GPU each copy would be a launch of its own.
class KeptBuffers {
 public:
  explicit KeptBuffers(Module& model);
  /// Before a step: copies what the step before has changed.
  void keep();
  /// Writes the kept values into the buffers.
  void put_back();

 private:
  struct Kept {
    Ref<TensorSlot> slot;
    Tensor tensor;  // what the slot held: forward may put another one in its place
    uint32_t version = 0;
    Tensor copy;
    bool moves = false;  // some step has changed it
    bool changed();
  };
  std::vector<Kept> kept_;
  int64_t steps_ = 0;
};

}  // namespace nnm::train
