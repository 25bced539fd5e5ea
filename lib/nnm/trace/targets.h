// Targets: what a hook's selector means on a model. Private to lib/nnm/trace.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "nnm/trace/hook_config.h"

namespace nnm::tracing {

inline constexpr const char* kUnmatchedHook = "E0334";  // a selector that matches nothing

struct Targets {
  struct OfModule {
    Module* module;
    std::string path;  ///< its first name, "" for the root
    /// As traces name it: the path, the root's class name.
    std::string name;
  };
  struct OfParameter {
    Tensor parameter;
    OfModule owner;
    std::string name;  ///< its own, without the path
  };
  std::vector<OfModule> modules;
  std::vector<OfParameter> parameters;
  bool at_parameters = false;  ///< hooks stand at these, not at the modules
};

/// What a hook of this kind is registered on. A module or parameter with several names is found by
/// each, and meant once. `post_accumulate_grad` means the parameters that the selector names, else
/// those of the modules it names; `tensor` without a part means parameters where they are named.
/// Adds an error to `d` where nothing is found, with the nearest names, unless the hook is
/// `optional`.
Targets find_targets(Module& root, const HookSpec& hook, HookKind kind, Diagnostics& d);

/// Adds what is wrong with a hook, at the place of its selector.
void report_hook(Diagnostics& d, const char* code, const HookSpec& hook, const Error& problem);

/// Counts the calls of a module since the root was called; backward passes visit them in reverse.
struct Calls {
  int64_t begun = 0, fired = 0;
  int64_t next() { return begun++; }
  int64_t next_backward() { return std::max<int64_t>(0, begun - 1 - fired++); }
};

}  // namespace nnm::tracing
