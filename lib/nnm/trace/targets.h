// Targets: what a hook's selector means on a model. Private to lib/nnm/trace.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "nnm/nn/onlooker.h"
#include "nnm/trace/hook_config.h"

namespace nnm::tracing {

inline constexpr const char* kUnmatchedHook = "E0334";  // a selector that matches nothing

struct Targets {
  struct OfModule {
    Module* module;
    std::string path;  ///< its first name, "" for the root
    /// As traces name it: the path, the root's class name ("" where a child is called so).
    std::string name;
    size_t place;  ///< in the order of named_modules()
    /// Of kind `tensor`: what the module takes is meant, else what it gives.
    bool of_input = false;
  };
  struct OfParameter {
    Tensor parameter;
    OfModule owner;
    std::string name;    ///< its own, without the path
    bool again = false;  ///< a name of one that stands here already
  };
  std::vector<OfModule> modules;        ///< each once (and once of its input), by its first name
  std::vector<OfParameter> parameters;  ///< tied ones under each of their names
};

/// What a hook is registered on: the modules that its selector names. `post_accumulate_grad` means
/// their parameters. A pattern of the selector that names no module may name parameters, for this
/// kind and for `tensor`; with `parts` it may end in `.input` or `.output`, which kinds beside
/// `tensor` leave away. Throws UnmatchedItem for an item of the selector that matches nothing, with
/// the nearest name, unless `optional`.
Targets find_targets(Module& root, const HookRequest& request, bool optional = false);
/// The same of a hook of a config, for one of its kinds. Adds an error to `d`, at the item, where
/// one matches nothing, unless the hook is `optional`.
Targets find_targets(Module& root, const HookSpec& hook, HookKind kind, Diagnostics& d);

/// Adds what is wrong with a hook, at the place of its selector, or of the item that is wrong.
void report_hook(Diagnostics& d, const char* code, const HookSpec& hook, const Error& problem);

/// The position of the input that the module's forward calls `arg`; nothing where none is.
std::optional<size_t> input_place(const Module& m, const std::string& arg);

/// What PyTorch's hook is given beside the value that it can change (`what`): `input` beside an
/// `output`, `grad_output` beside a `grad_input`; else "".
const char* beside(std::string_view what);

/// Numbers the calls of a module since the root was called.
class Calls {
 public:
  void clear() { calls_.clear(); }
  /// The number of the call whose forward hooks run; to be asked once in each.
  int64_t next() {
    calls_.push_back(hooked_call());
    return static_cast<int64_t>(calls_.size()) - 1;
  }
  /// The number of the call whose backward hooks run; -1 where it was before the root's.
  int64_t of_backward() const {
    const auto at = std::lower_bound(calls_.begin(), calls_.end(), hooked_call());
    return at == calls_.end() || *at != hooked_call() ? -1 : at - calls_.begin();
  }

 private:
  std::vector<uint64_t> calls_;  // ascending
};

}  // namespace nnm::tracing
