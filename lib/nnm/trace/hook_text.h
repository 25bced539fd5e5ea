// Hooks as text: the normalised form that checkpoints and traces keep. Private to lib/nnm/trace.
#pragma once

#include "nnm/trace/hook_config.h"

namespace nnm::tracing {

/// `{name: "x", on: [forward], at: "fc1", output: "output * 2"}`.
std::string hook_text(const ChangeHook& h);
std::string hook_text(const CaptureHook& h);
std::string hook_text(const RuleHook& h);

/// What keeps a hook from firing at all that its selector names: `arg: "query", when: {start: 99}`.
std::string waits_for(const HookSpec& h);

}  // namespace nnm::tracing
