// Where NaN or Inf began: a step run again with every module watched.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "nnm/nn/module.h"

namespace nnm::train {

/// Calls `forward` with a hook on every module and tells where non-finite numbers began: "fc2
/// (Linear): its output has 3 NaN while its input is finite", "the parameter fc1.weight …", "the
/// input of the model …", or that the loss itself made them.
std::string find_nonfinite(Module& model, const std::function<void()>& forward);

/// The buffers of the state_dict that are not all finite, such as a mask of -inf.
std::vector<std::string> nonfinite_buffers(Module& model);
/// The first parameter, or buffer other than `expected`, that is not all finite: "buffer
/// bn.running_mean: 3 non-finite values"; "" where there is none.
std::string nonfinite_state(Module& model, const std::vector<std::string>& expected);

/// True iff every element of a floating tensor is finite; true for other types.
bool all_finite(const Tensor& t);

}  // namespace nnm::train
