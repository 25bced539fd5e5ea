// Losses that broadcast a target of another size, which is hardly ever meant.
#pragma once

#include <functional>

#include "nnm/base/diagnostic.h"
#include "nnm/lang/ast.h"

namespace nnm::train {

/// Adds a warning for each call of mse_loss, l1_loss, smooth_l1_loss or huber_loss in an expression
/// whose input and target differ in shape, as PyTorch warns when it runs one. `value` gives what an
/// argument is on meta; a call whose argument it throws for is passed over.
void warn_of_sizes(const lang::Expr& e, const std::function<Value(const lang::ExprRef&)>& value,
                   Diagnostics& d);

}  // namespace nnm::train
