// Optimizers and schedules of a plan, made for a model.
#pragma once

#include "nnm/nn/module.h"
#include "nnm/optim/schedule.h"
#include "nnm/train/plan.h"

namespace nnm::train {

/// How long the run will be. `batches`: micro-batches of an epoch, 0 where unknown.
optim::RunLength run_length(const Plan& plan, int64_t batches);

/// The optimizer, with the parameters that train. First come those that no selector matches, with
/// the optimizer's own options, then a group for each of train.groups, where the first match wins;
/// all in the model's order. Adds errors to `d` (unknown names and options, selectors that match
/// nothing, nothing to train) and returns null then.
Ref<optim::Optimizer> make_optimizer(const Plan& plan, Module& model, Diagnostics& d);

/// The schedule, attached, or null where there is none. Adds errors to `d` (unknown names and
/// arguments, a length that only a time in `max` gives), and warnings where a bare number looks
/// like epochs, or a run as the file has it ends while its rate warms up.
Ref<optim::Scheduler> make_schedule(const Plan& plan, const Ref<optim::Optimizer>& optimizer,
                                    const optim::RunLength& length, Diagnostics& d);

}  // namespace nnm::train
