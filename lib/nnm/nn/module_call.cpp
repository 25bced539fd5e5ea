// Calling modules: the hooks around forward, in PyTorch's order, and where an error happened.
#include <atomic>
#include <unordered_set>

#include "nnm/base/log.h"
#include "nnm/nn/bound_backward.h"
#include "nnm/nn/computed.h"
#include "nnm/nn/hooks_detail.h"
#include "nnm/nn/module.h"

namespace nnm {

namespace {

// The module whose default forward calls its other forward, and which is which. To come to the
// default of the other means that it has neither; to come to the same one again, that a hook or
// child calls the module once more.
struct Bridging {
  const Module* module = nullptr;
  bool from_args = false;
};
thread_local Bridging bridging;

class Bridge {
 public:
  Bridge(const Module& m, bool from_args) : before_(bridging) {
    NNM_CHECK(bridging.module != &m || bridging.from_args == from_args, not_implemented,
              "Module [{}] is missing the required \"forward\" function", m.type_name());
    bridging = {&m, from_args};
  }
  ~Bridge() { bridging = before_; }
  Bridge(const Bridge&) = delete;

 private:
  const Bridging before_;
};

bool find_path(const Module& m, const void* target, std::string& path,
               std::unordered_set<const Module*>& seen) {
  if (&m == target) return true;
  if (!seen.insert(&m).second) return false;
  const size_t length = path.size();
  for (const auto& slot : m.module_slots()) {
    if (!slot->value) continue;
    if (length) path += '.';
    path += slot->name;
    if (find_path(*slot->value, target, path, seen)) return true;
    path.resize(length);
  }
  return false;
}

// Args{{x}, {}} would copy x twice.
Args only(Value x) {
  Args args;
  args.pos.push_back(std::move(x));
  return args;
}

/// One call with hooks. Arguments and result are members, so that hooks that run late, after an
/// error, see the latest.
class HookedCall {
 public:
  HookedCall(Module& module, ModuleHooks& own, Args args)
      : module_(module), own_(&own), args_(std::move(args)) {}
  Value run();

 private:
  Value inner();
  void run_forward_pre_hooks();
  void run_forward_hooks();
  void add_non_full_hooks();
  void run_late_hooks();
  void run_late(const HookList<ForwardEntry>& list, const char* scope);
  void warn_non_full(const Ref<Node>& node) const;

  static uint64_t next_number() {
    static std::atomic<uint64_t> newest{0};
    return 1 + newest.fetch_add(1, std::memory_order_relaxed);
  }

  Module& module_;
  const Ref<ModuleHooks> own_;
  const uint64_t number_ = next_number();
  Args args_;
  Value result_;
  std::unordered_set<uint64_t> started_;  // hooks with always_call
  // Bound when the call begins: what is added or removed later does not affect it.
  std::vector<BoundBackward::Pre> pre_;
  std::vector<BoundBackward::Full> full_, non_full_;
};

Value HookedCall::run() {
  try {
    return inner();
  } catch (const Error& e) {
    // Python's KeyboardInterrupt is no Exception: nothing runs late.
    if (e.kind() != ErrorKind::interrupted) run_late_hooks();
    throw;
  } catch (const std::exception&) {
    run_late_hooks();
    throw;
  }
}

Value HookedCall::inner() {
  const GlobalHooks& global = global_hooks();
  auto bind = [this](const HookList<BackwardHook>& list, std::optional<bool> full) {
    if (!list.empty()) (*full ? full_ : non_full_).push_back(list.snapshot());
  };
  if (!global.backward_pre->empty()) pre_.push_back(global.backward_pre->snapshot());
  if (!own_->backward_pre->empty()) pre_.push_back(own_->backward_pre->snapshot());
  bind(*global.backward, global.full_backward);
  bind(*own_->backward, own_->full_backward);

  run_forward_pre_hooks();
  Ref<BoundBackward> backward;
  if (!full_.empty() || !pre_.empty()) {
    backward = make_ref<BoundBackward>(own_, number_, std::move(pre_), std::move(full_));
    backward->wrap_inputs(args_.pos);
  }
  {
    const ComputedScope computed(&module_);
    result_ = module_.forward(args_);
  }
  run_forward_hooks();
  if (backward) result_ = backward->wrap_output(result_);
  if (!non_full_.empty()) add_non_full_hooks();
  return std::move(result_);
}

void HookedCall::run_forward_pre_hooks() {
  const HooksOfCall running(number_);
  using List = HookList<ForwardPreEntry>;
  const List::Snapshot lists[] = {global_hooks().forward_pre->snapshot(),
                                  own_->forward_pre->snapshot()};
  for (const List::Snapshot& list : lists) {
    if (!list) continue;
    for (const auto& item : *list) {
      if (std::optional<Args> replaced = item.hook.fn(module_, args_)) args_ = std::move(*replaced);
    }
  }
}

void HookedCall::run_forward_hooks() {
  const HooksOfCall running(number_);
  using List = HookList<ForwardEntry>;
  const List::Snapshot lists[] = {global_hooks().forward->snapshot(), own_->forward->snapshot()};
  for (const List::Snapshot& list : lists) {
    if (!list) continue;
    for (const auto& item : *list) {
      if (item.hook.always_call) started_.insert(item.id);
      if (Value r = item.hook.fn(module_, args_, result_); !r.is_none()) result_ = std::move(r);
    }
  }
}

void HookedCall::run_late_hooks() {
  const HooksOfCall running(number_);
  run_late(*global_hooks().forward, "global module");
  run_late(*own_->forward, "module");
}

void HookedCall::run_late(const HookList<ForwardEntry>& list, const char* scope) {
  const auto snapshot = list.snapshot();
  if (!snapshot) return;
  for (const auto& item : *snapshot) {
    if (!item.hook.always_call || started_.contains(item.id)) continue;
    try {
      if (Value r = item.hook.fn(module_, args_, result_); !r.is_none()) result_ = std::move(r);
    } catch (const std::exception& e) {
      log_warning(
          "{} forward hook with ``always_call=True`` raised an exception that was silenced as "
          "another error was raised in forward: {}",
          scope, e.what());
    }
  }
}

void HookedCall::add_non_full_hooks() {
  Value first = result_;
  while (!first.holds<Tensor>()) {
    Value next;
    if (first.is(Value::Kind::dict)) {
      for (const auto& [key, value] : first.entries()) {
        if (next.is_none() && value.holds<Tensor>()) next = value;
      }
    } else {
      NNM_CHECK(first.is_sequence(), type, "'{}' object is not subscriptable", first.type_name());
      NNM_CHECK(!first.items().empty(), index, "{} index out of range", first.type_name());
      next = first.items()[0];
    }
    NNM_CHECK(!next.is_none(), type, "backward hooks need a Tensor in the output of {}, got {}",
              module_.type_name(), result_.repr());
    first = std::move(next);
  }
  const Ref<Node> node = first.as<Tensor>().grad_fn();
  if (!node) return;
  const HookedModule module(own_);
  for (const auto& list : non_full_) {
    for (const auto& item : *list) {
      node->register_hook(
          [hook = item.hook, module](const Tensors& grad_input, const Tensors& grad_output) {
            return hook(module.get(), grad_input, grad_output);
          });
    }
  }
  warn_non_full(node);
}

bool all_tensors(const Values& values) {
  for (const Value& v : values) {
    if (!v.holds<Tensor>()) return false;
  }
  return true;
}

void HookedCall::warn_non_full(const Ref<Node>& node) const {
  static const std::string kInstead =
      " Please use register_full_backward_hook to get the documented behavior.";
  const bool tuple = result_.is(Value::Kind::tuple);
  if (!result_.holds<Tensor>() && !(tuple && all_tensors(result_.items()))) {
    return warn_once(
        "Using non-full backward hooks on a Module that does not return a single Tensor or a tuple "
        "of Tensors is deprecated and will be removed in future versions. This hook will be "
        "missing some of the grad_output." +
        kInstead);
  }
  if (!all_tensors(args_.pos)) {
    return warn_once(
        "Using non-full backward hooks on a Module that does not take as input a single Tensor or "
        "a tuple of Tensors is deprecated and will be removed in future versions. This hook will "
        "be missing some of the grad_input." +
        kInstead);
  }
  auto nodes_of = [](const Values& values) {
    std::unordered_set<const Node*> nodes;
    for (const Value& v : values) {
      if (const Ref<Node> n = v.as<Tensor>().grad_fn()) nodes.insert(n.get());
    }
    return nodes;
  };
  const auto out = nodes_of(tuple ? result_.items() : Values{result_});
  if (out.empty() || (out.size() == 1 && !out.contains(node.get()))) {
    return warn_once(
        "Using a non-full backward hook when outputs are nested in python data structure is "
        "deprecated and will be removed in future versions. This hook will be missing some "
        "grad_output.");
  }
  if (out.size() > 1) {
    return warn_once(
        "Using a non-full backward hook when outputs are generated by different autograd Nodes is "
        "deprecated and will be removed in future versions. This hook will be missing some "
        "grad_output." +
        kInstead);
  }
  std::unordered_set<const Node*> next;
  for (const Edge& e : node->next) next.insert(e.node.get());
  if (nodes_of(args_.pos) != next) {
    warn_once(
        "Using a non-full backward hook when the forward contains multiple autograd Nodes is "
        "deprecated and will be removed in future versions. This hook will be missing some "
        "grad_input." +
        kInstead);
  }
}

}  // namespace

Module::~Module() {
  if (hooks_) hooks_->abandon();
}

// While hooks run, the caller's reference may go: a hook may replace the module that is called.
Ref<Module> Module::alive() { return Ref<Module>(use_count() > 0 ? this : nullptr); }

Tensor Module::operator()(const Tensor& x) {
  if (hooked() && has_call_hooks()) [[unlikely]] {
    const Ref<Module> keep = alive();
    try {
      return output_tensor(HookedCall(*this, hooks(), only(x)).run());
    } catch (Error& e) {
      locate(e);
      throw;
    }
  }
  try {
    return forward(x);
  } catch (Error& e) {
    locate(e);
    throw;
  }
}

Value Module::operator()(const Value& x) {
  if (hooked() && has_call_hooks()) [[unlikely]]
    return call_hooked(only(x));
  try {
    return forward(x);
  } catch (Error& e) {
    locate(e);
    throw;
  }
}

Value Module::operator()(const Args& args) {
  if (hooked() && has_call_hooks()) [[unlikely]]
    return call_hooked(args);
  try {
    return forward(args);
  } catch (Error& e) {
    locate(e);
    throw;
  }
}

Value Module::forward(const Args& args) {
  const Bridge bridge(*this, true);
  const Value input = only_input(args);
  NNM_CHECK(input.holds<Tensor>(), type, "{}.forward(): argument 'input' must be Tensor, not {}",
            type_name(), input.type_name());
  Tensor y = forward(input.as<Tensor>());
  tensor_to_tensor_ = true;
  return y;
}

Tensor Module::forward(const Tensor& x) {
  const Bridge bridge(*this, false);
  return output_tensor(forward(Args{{x}, {}}));
}

Value Module::forward(const Value& x) {
  if (tensor_to_tensor_ && x.holds<Tensor>()) [[likely]]
    return forward(x.as<Tensor>());
  return forward(Args{{x}, {}});
}

Tensor Module::output_tensor(const Value& output) const {
  NNM_CHECK(output.holds<Tensor>(), type, "{} returned a {} where a Tensor is asked for",
            type_name(), output.type_name());
  return output.as<Tensor>();
}

bool Module::has_call_hooks() const {
  if (!computed_.empty() || global_hooks().any_call_hooks()) return true;
  return hooks_ && !(hooks_->forward_pre->empty() && hooks_->forward->empty() &&
                     hooks_->backward_pre->empty() && hooks_->backward->empty());
}

bool Module::is_watched_beyond(std::span<const uint64_t> ids) const {
  if (!is_watched()) return false;
  if (ids.empty() || !computed_.empty() || global_hooks().any_call_hooks()) return true;
  return !(all_within(*hooks_->forward_pre, ids) && all_within(*hooks_->forward, ids) &&
           all_within(*hooks_->backward_pre, ids) && all_within(*hooks_->backward, ids));
}

Value Module::call_hooked(const Args& args) {
  const Ref<Module> keep = alive();
  try {
    return HookedCall(*this, hooks(), args).run();
  } catch (Error& e) {
    locate(e);
    throw;
  }
}

void Module::locate(Error& e) const {
  if (!e.module()) return e.set_module(this, "");
  std::string path;
  std::unordered_set<const Module*> seen;
  if (find_path(*this, e.module(), path, seen)) e.set_module(e.module(), std::move(path));
}

}  // namespace nnm
