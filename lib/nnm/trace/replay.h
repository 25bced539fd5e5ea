// Replay: rules over a finished trace.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nnm/base/select.h"
#include "nnm/io/trace_file.h"
#include "nnm/lang/expression.h"
#include "nnm/trace/watch.h"

namespace nnm::tracing {

/// `nonfinite, dead_relu(threshold_layer=40)`; "all" is every rule. Throws DiagnosticError (E0335)
/// for what is unknown, with the nearest. `option`: where the list was given.
std::vector<lang::CallSpec> parse_rules(const std::string& list, const char* option = "--rules");

struct Replay {
  std::vector<Finding> findings;  ///< rule by rule, site by site, in the order of steps
  int64_t judged = 0;             ///< how often a rule could say something
  /// Rules that could say nothing at all, and why.
  std::vector<std::pair<std::string, std::string>> silent;
};

/// Looks at every recorded tensor, or at its statistics where tensors were not kept, with each
/// rule's own patience. Places are those that the rule would watch by itself: dead_relu the outputs
/// of ReLU, vanishing_gradient gradients. `select`: modules. Throws Error(input_file), and
/// Error(config) where `select` matches nothing.
Replay replay_rules(const io::TraceReader& trace, const std::vector<lang::CallSpec>& rules,
                    const std::optional<Selector>& select = {});

}  // namespace nnm::tracing
