// Saving and loading a module's state, with PyTorch's reports.
#include <algorithm>

#include "nnm/autograd/node.h"
#include "nnm/nn/hooks_detail.h"
#include "nnm/nn/module.h"
#include "nnm/ops/ops.h"

namespace nnm {

namespace {

constexpr std::string_view kExtraState = "_extra_state";

// f on every hook of a list of own hooks, which may be absent.
template <class Entry, class F>
void run_all(const ModuleHooks* hooks, Ref<HookList<Entry>> ModuleHooks::*list, const F& f) {
  if (!hooks) return;
  if (const auto snapshot = (hooks->*list)->snapshot()) {
    for (const auto& item : *snapshot) f(item.hook);
  }
}

std::string keys_text(const std::vector<std::string>& keys) {
  std::string out;
  for (const std::string& k : keys) {
    if (!out.empty()) out += ", ";
    out += '"' + k + '"';
  }
  return out;
}

// "fc1." -> "fc1": the module's key in the metadata.
std::string_view path_of(std::string_view prefix) {
  return prefix.substr(0, prefix.empty() ? 0 : prefix.size() - 1);
}

// A slot's part of a load.
class SlotLoad {
 public:
  SlotLoad(Module& m, const TensorSlot& slot, LoadContext& c)
      : module_(m), slot_(slot), c_(c), key_(c.prefix + slot.name) {}

  void run() {
    const Value* found = c_.state_dict.find(key_);
    if (!found) {
      if (c_.strict) c_.missing_keys.push_back(key_);
      return;
    }
    if (!found->holds<Tensor>()) {
      c_.error_msgs.push_back(
          fmt::format("While copying the parameter named \"{}\", expected torch.Tensor or "
                      "Tensor-like object from checkpoint but received <class '{}'>",
                      key_, found->type_name()));
      return;
    }
    Tensor input = found->as<Tensor>();
    const Tensor& own = slot_.value;
    // A number saved by PyTorch 0.3 is a vector of one.
    if (own.dim() == 0 && input.dim() == 1 && input.size(0) == 1) {
      input = input.as_strided({}, {}, input.impl()->offset);
    }
    if (input.shape() != own.shape()) {
      c_.error_msgs.push_back(
          fmt::format("size mismatch for {}: copying a param with shape torch.Size({}) from "
                      "checkpoint, the shape in current model is torch.Size({}).",
                      key_, input.shape().str(), own.shape().str()));
      return;
    }
    if (own.is_meta() && !input.is_meta() && !c_.assign) {
      warn_once(fmt::format(
          "for {}: copying from a non-meta parameter in the checkpoint to a meta parameter in the "
          "current model, which is a no-op. (Did you mean to pass `assign=True` to assign items in "
          "the state dictionary to their corresponding key in the module instead of copying them "
          "in place?)",
          key_));
    }
    try {
      take(input);
    } catch (const Error& e) {
      c_.error_msgs.push_back(
          fmt::format("While copying the parameter named \"{}\", whose dimensions in the model are "
                      "torch.Size({}) and whose dimensions in the checkpoint are torch.Size({}), "
                      "an exception occurred : ({},).",
                      key_, own.shape().str(), input.shape().str(), python_string(e.what())));
    }
  }

 private:
  void take(const Tensor& input) {
    const NoGradGuard no_grad;
    const Tensor own = slot_.value;
    if (!c_.assign) return copy_(own, input);
    if (!is_parameter(own)) return module_.set_attribute(slot_.name, input);
    if (!is_parameter(input)) {
      return module_.set_attribute(slot_.name, parameter(input, own.requires_grad()));
    }
    input.requires_grad_(own.requires_grad());
    module_.set_attribute(slot_.name, input);
  }

  Module& module_;
  const TensorSlot& slot_;
  LoadContext& c_;
  const std::string key_;
};

bool is_state(const TensorSlot& slot, bool buffer) {
  return slot.value.defined() && (!buffer || slot.persistent);
}

}  // namespace

StateDict Module::state_dict(const std::string& prefix, bool keep_vars) {
  StateDict out;
  state_dict(out, prefix, keep_vars);
  return out;
}

void Module::state_dict(StateDict& into, const std::string& prefix, bool keep_vars) {
  const std::string path(path_of(prefix));
  const Value entry = Value::dict({{"version", version()}});
  const auto known = std::find_if(into.metadata.begin(), into.metadata.end(),
                                  [&](const auto& item) { return item.first == path; });
  if (known == into.metadata.end()) into.metadata.emplace_back(path, entry);
  else known->second = entry;
  run_all(hooks_.get(), &ModuleHooks::state_dict_pre,
          [&](const StateDictPreHook& h) { h(*this, prefix, keep_vars); });
  save_to_state_dict(into, prefix, keep_vars);
  for (const auto& slot : modules_) {
    if (slot->value) slot->value->state_dict(into, prefix + slot->name + ".", keep_vars);
  }
  run_all(hooks_.get(), &ModuleHooks::state_dict_post,
          [&](const StateDictPostHook& h) { h(*this, into, prefix); });
}

void Module::save_to_state_dict(StateDict& into, const std::string& prefix, bool keep_vars) {
  for (const auto* slots : {&parameters_, &buffers_}) {
    for (const auto& slot : *slots) {
      if (!is_state(*slot, slots == &buffers_)) continue;
      into.set(prefix + slot->name, keep_vars ? slot->value : slot->value.detach());
    }
  }
  if (has_extra_state()) into.set(prefix + std::string(kExtraState), get_extra_state());
}

Value Module::get_extra_state() const {
  fail(ErrorKind::runtime,
       "Reached a code path in Module.get_extra_state() that should never be called. Please file "
       "an issue at https://github.com/pytorch/pytorch/issues/new?template=bug-report.yml to "
       "report this bug.");
}

void Module::set_extra_state(const Value&) {
  fail(ErrorKind::runtime,
       "Reached a code path in Module.set_extra_state() that should never be called. Please file "
       "an issue at https://github.com/pytorch/pytorch/issues/new?template=bug-report.yml to "
       "report this bug.");
}

void Module::load_from_state_dict(LoadContext& c) {
  run_all(hooks_.get(), &ModuleHooks::load_pre,
          [&](const LoadStateDictPreHook& h) { h(*this, c); });
  // Copies of the references: assigning may replace what the lists hold.
  std::vector<Ref<TensorSlot>> state;
  for (const auto* slots : {&parameters_, &buffers_}) {
    for (const auto& slot : *slots) {
      if (is_state(*slot, slots == &buffers_)) state.push_back(slot);
    }
  }
  for (const auto& slot : state) SlotLoad(*this, *slot, c).run();

  const std::string extra_key = c.prefix + std::string(kExtraState);
  const Value* extra = c.state_dict.find(extra_key);
  if (has_extra_state()) {
    if (extra) set_extra_state(*extra);
    else if (c.strict) c.missing_keys.push_back(extra_key);
  } else if (extra && c.strict) {
    c.unexpected_keys.push_back(extra_key);
  }
  if (!c.strict) return;
  for (const auto& [key, value] : c.state_dict) {
    if (!key.starts_with(c.prefix) || key == extra_key) continue;
    const std::string_view rest = std::string_view(key).substr(c.prefix.size());
    const size_t dot = rest.find('.');
    auto has_name = [name = rest.substr(0, dot)](const auto& s) { return s->name == name; };
    const bool known = dot == std::string_view::npos
                           ? std::any_of(state.begin(), state.end(), has_name)
                           : std::any_of(modules_.begin(), modules_.end(), has_name);
    if (!known) c.unexpected_keys.push_back(key);
  }
}

void Module::load(StateDict& dict, const std::string& prefix, bool assign, IncompatibleKeys& keys,
                  std::vector<std::string>& error_msgs) {
  LoadContext context{dict,
                      prefix,
                      dict.version(path_of(prefix)),
                      true,
                      assign,
                      keys.missing_keys,
                      keys.unexpected_keys,
                      error_msgs};
  load_from_state_dict(context);
  for (const auto& slot : std::vector<Ref<ModuleSlot>>(modules_)) {
    if (!slot->value) continue;
    const std::string child_prefix = prefix + slot->name + ".";
    StateDict child = dict.with_prefix(child_prefix);
    slot->value->load(child, child_prefix, assign, keys, error_msgs);
  }
  run_all(hooks_.get(), &ModuleHooks::load_post,
          [&](const LoadStateDictPostHook& h) { h(*this, keys); });
}

IncompatibleKeys Module::load_state_dict(const StateDict& state_dict, bool strict, bool assign) {
  IncompatibleKeys keys;
  std::vector<std::string> messages;
  StateDict copy = state_dict;
  load(copy, "", assign, keys, messages);
  std::vector<std::string> report;
  if (strict && !keys.missing_keys.empty()) {
    report.push_back(
        fmt::format("Missing key(s) in state_dict: {}. ", keys_text(keys.missing_keys)));
  }
  if (strict && !keys.unexpected_keys.empty()) {
    report.push_back(
        fmt::format("Unexpected key(s) in state_dict: {}. ", keys_text(keys.unexpected_keys)));
  }
  report.insert(report.end(), messages.begin(), messages.end());
  NNM_CHECK(report.empty(), runtime, "Error(s) in loading state_dict for {}:\n\t{}", type_name(),
            fmt::join(report, "\n\t"));
  return keys;
}

}  // namespace nnm
