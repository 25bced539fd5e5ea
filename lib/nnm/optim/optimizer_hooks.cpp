// Hooks of optimizers: around a step, around saving and loading their state.
#include "nnm/optim/optimizer.h"

namespace nnm::optim {

namespace {

using List = HookList<OptimizerHook>;
using StateList = HookList<OptimizerStateHook>;

struct GlobalStepHooks {
  Ref<List> pre = make_ref<List>(), post = make_ref<List>();
};

GlobalStepHooks& global_step_hooks() {
  // Never destroyed: handles in static objects may outlive it.
  static auto* hooks = new GlobalStepHooks;
  return *hooks;
}

void run_all(const List& list, Optimizer& optimizer) {
  if (const auto snapshot = list.snapshot()) {
    for (const auto& item : *snapshot) item.hook(optimizer);
  }
}

void run_all(const StateList& list, Optimizer& optimizer, OptimizerState& state) {
  if (const auto snapshot = list.snapshot()) {
    for (const auto& item : *snapshot) {
      if (auto replaced = item.hook(optimizer, state)) state = std::move(*replaced);
    }
  }
}

}  // namespace

struct Optimizer::Hooks final : Object {
  ~Hooks() override {
    for (const auto& list : {step_pre, step_post, state_pre, load_post}) list->clear();
    for (const auto& list : {state_post, load_pre}) list->clear();
  }
  Ref<List> step_pre = make_ref<List>(), step_post = make_ref<List>();
  Ref<List> state_pre = make_ref<List>(), load_post = make_ref<List>();
  Ref<StateList> state_post = make_ref<StateList>(), load_pre = make_ref<StateList>();
};

Optimizer::Hooks& Optimizer::hooks() {
  if (!hooks_) hooks_ = make_ref<Hooks>();
  return static_cast<Hooks&>(*hooks_);
}

void Optimizer::step() {
  run_all(*global_step_hooks().pre, *this);
  if (hooks_) run_all(*hooks().step_pre, *this);
  run_step();
  if (hooks_) run_all(*hooks().step_post, *this);
  run_all(*global_step_hooks().post, *this);
}

OptimizerState Optimizer::state_dict() {
  if (hooks_) run_all(*hooks().state_pre, *this);
  OptimizerState state = current_state();
  if (hooks_) run_all(*hooks().state_post, *this, state);
  return state;
}

void Optimizer::load_state_dict(const OptimizerState& state) {
  if (!hooks_) return load(state);
  OptimizerState copy = state;
  run_all(*hooks().load_pre, *this, copy);
  load(copy);
  run_all(*hooks().load_post, *this);
}

RemovableHandle Optimizer::register_step_pre_hook(OptimizerHook hook) {
  return hooks().step_pre->add(std::move(hook));
}
RemovableHandle Optimizer::register_step_post_hook(OptimizerHook hook) {
  return hooks().step_post->add(std::move(hook));
}
RemovableHandle Optimizer::register_state_dict_pre_hook(OptimizerHook hook, bool prepend) {
  return hooks().state_pre->add(std::move(hook), prepend);
}
RemovableHandle Optimizer::register_state_dict_post_hook(OptimizerStateHook hook, bool prepend) {
  return hooks().state_post->add(std::move(hook), prepend);
}
RemovableHandle Optimizer::register_load_state_dict_pre_hook(OptimizerStateHook hook,
                                                             bool prepend) {
  return hooks().load_pre->add(std::move(hook), prepend);
}
RemovableHandle Optimizer::register_load_state_dict_post_hook(OptimizerHook hook, bool prepend) {
  return hooks().load_post->add(std::move(hook), prepend);
}

RemovableHandle register_optimizer_step_pre_hook(OptimizerHook hook) {
  return global_step_hooks().pre->add(std::move(hook));
}
RemovableHandle register_optimizer_step_post_hook(OptimizerHook hook) {
  return global_step_hooks().post->add(std::move(hook));
}

}  // namespace nnm::optim
