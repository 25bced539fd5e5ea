// Optimizer: parameter groups, their options, and the state of each parameter (torch.optim).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nnm/base/registry.h"
#include "nnm/tensor/tensor.h"

namespace nnm::optim {

struct NamedParameter {
  std::string name;  ///< the full dotted name: state is kept under it
  Tensor tensor;
};

/// The parameters of a new optimizer: named_parameters(), or parameters(), which are called by
/// their number. Throws Error(value) where there are none.
struct Params {
  Params(const std::vector<std::pair<std::string, Tensor>>& named);
  Params(const Tensors& tensors);
  std::vector<NamedParameter> list;
};

/// Parameters that share their options.
struct ParamGroup {
  std::vector<NamedParameter> params;
  Values options;         ///< in the order of the optimizer's signature; the first is `lr`
  double initial_lr = 0;  ///< what schedules start from

  double lr() const { return options[0].real(); }
  void set_lr(double lr) { options[0] = lr; }
};

/// What a checkpoint keeps: plain values and tensors under names. Tensors are shared, not copied.
struct OptimizerState {
  struct Group {
    Items options;                    ///< the signature's, and `initial_lr`
    std::vector<std::string> params;  ///< names
  };
  std::string type;
  Items defaults;
  std::vector<Group> param_groups;
  /// Per parameter name: `step` (0-d) and tensors such as `exp_avg`, with PyTorch's names.
  std::vector<std::pair<std::string, Items>> state;
};

class Optimizer;
using OptimizerHook = std::function<void(Optimizer&)>;
/// A result replaces the state.
using OptimizerStateHook =
    std::function<std::optional<OptimizerState>(Optimizer&, OptimizerState&)>;

/// Base of the update rules. Made by Registry<Optimizer> from a call such as
/// `AdamW(lr=3e-4, weight_decay=0.1)`, whose parameters come after, or in C++ as
/// `AdamW(model.parameters(), {.lr = 3e-4})`.
class Optimizer : public Object {
 public:
  static constexpr const char* kRegistryKind = "optimizer";

  /// The class name: "AdamW".
  const std::string& type() const { return signature().name(); }
  virtual const Signature& signature() const = 0;

  /// Adds a group; `overrides` replaces options by name. Throws BindError for an unknown option
  /// (with the nearest one) or a value out of range (PyTorch's "Invalid learning rate: -1"),
  /// Error(value) for a parameter that is a non-leaf, not floating or already in a group.
  void add_param_group(std::vector<NamedParameter> params, const Items& overrides = {});
  /// Throws what add_param_group would throw for these overrides.
  void check_options(const Items& overrides) const { (void)merged(overrides); }
  std::vector<ParamGroup>& groups() { return groups_; }
  const std::vector<ParamGroup>& groups() const { return groups_; }
  /// The options a group without overrides gets.
  const Values& defaults() const { return defaults_; }
  /// An option of a group by name; throws Error(key) if there is none.
  Value option(const ParamGroup& group, std::string_view name) const;
  /// Replaces an option of a group; throws Error(key) if there is none, Error(type) for a value of
  /// another type.
  void set_option(ParamGroup& group, std::string_view name, const Value& value) const;
  bool has_option(std::string_view name) const { return signature().index_of(name) >= 0; }

  /// One update of every parameter that has a gradient, in place and off the tape.
  void step();
  /// Drops the gradients, or fills them with zeros.
  void zero_grad(bool set_to_none = true) const;
  /// All parameters of all groups, in order.
  Tensors parameters() const;

  // Hooks, with torch.optim.Optimizer's names; prepend is for those of states alone, as there.
  /// Around step(): global hooks run before an optimizer's own ones before the step, and after them
  /// after it.
  RemovableHandle register_step_pre_hook(OptimizerHook hook);
  RemovableHandle register_step_post_hook(OptimizerHook hook);
  RemovableHandle register_state_dict_pre_hook(OptimizerHook hook, bool prepend = false);
  RemovableHandle register_state_dict_post_hook(OptimizerStateHook hook, bool prepend = false);
  /// Sees a copy of the state that is about to be loaded.
  RemovableHandle register_load_state_dict_pre_hook(OptimizerStateHook hook, bool prepend = false);
  RemovableHandle register_load_state_dict_post_hook(OptimizerHook hook, bool prepend = false);

  /// As PyTorch prints it: the options of each group, in alphabetical order.
  std::string repr() const;

  OptimizerState state_dict();
  /// Takes over options and state; parameters are matched by name. Throws Error(value) where type,
  /// groups or names do not fit, Error(runtime) for wrong shapes; nothing has changed then.
  void load_state_dict(const OptimizerState& state);

 protected:
  /// The state of one parameter: `tensors` in the order of state_names(), undefined where unused.
  struct State {
    int64_t step = 0;
    Tensors tensors;
  };
  explicit Optimizer(Values defaults) : defaults_(std::move(defaults)) {}
  /// PyTorch's names of the state's tensors.
  virtual std::vector<const char*> state_names() const = 0;
  /// Whether PyTorch keeps `step` in the state.
  virtual bool counts_steps() const { return true; }
  /// Throws BindError for values out of range, Error(value) for options that exclude one another.
  virtual void check(const Values& options) const = 0;
  /// Throws Error(value) for a parameter that the rule is not for.
  virtual void check_parameter(const Tensor&) const {}
  /// Called once per step and group, before its updates: reads the options into what update() uses.
  virtual void begin_group(const Values& options) = 0;
  /// Makes the state of a parameter at its first gradient.
  virtual void init_state(const Tensor& param, State& state) const = 0;
  /// One update of `param` by `grad`. state.step has been counted already.
  virtual void update(const Tensor& param, const Tensor& grad, State& state) = 0;
  /// Called before a parameter is read after its update, and after the last of a group: does what
  /// update() has put off.
  virtual void finish_updates() {}
  /// What step() does between its hooks.
  virtual void run_step();
  /// What state_dict() and load_state_dict() do between theirs.
  virtual OptimizerState current_state() const;
  virtual void load(const OptimizerState& from);

 private:
  using States = std::vector<std::vector<State>>;  // [group][parameter]

  Values merged(const Items& overrides) const;
  size_t index_of(std::string_view option) const;
  void check_parameters(const std::vector<NamedParameter>& params) const;
  void update_parameter(const Tensor& param, const Tensor& grad, State& state);
  Items state_items(const State& state) const;
  std::vector<ParamGroup> loaded_groups(const OptimizerState& from) const;
  State loaded_state(const NamedParameter& param, const Items& from) const;

  Values defaults_;
  std::vector<ParamGroup> groups_;
  States states_;  // no tensors before a parameter's first step
  struct Hooks;
  Hooks& hooks();
  Ref<Object> hooks_;  // Hooks; null before the first
};

/// On every optimizer of the process (torch.optim.optimizer.register_optimizer_step_pre_hook and
/// _post_hook).
RemovableHandle register_optimizer_step_pre_hook(OptimizerHook hook);
RemovableHandle register_optimizer_step_post_hook(OptimizerHook hook);

}  // namespace nnm::optim
