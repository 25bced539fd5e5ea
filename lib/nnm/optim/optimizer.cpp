// Optimizer: groups and their options, the step over all parameters, and its state for checkpoints.
#include "nnm/optim/optimizer.h"

#include <algorithm>

#include "kernels/pointwise.h"
#include "nnm/autograd/node.h"
#include "nnm/ops/ops.h"
#include "nnm/tensor/device.h"

namespace nnm::optim {

namespace {

void check_not_empty(size_t count) {
  NNM_CHECK(count > 0, value, "optimizer got an empty parameter list");
}

}  // namespace

Params::Params(const std::vector<std::pair<std::string, Tensor>>& named) {
  check_not_empty(named.size());
  for (const auto& [name, tensor] : named) list.push_back({name, tensor});
}

Params::Params(const Tensors& tensors) {
  check_not_empty(tensors.size());
  for (const Tensor& t : tensors) list.push_back({std::to_string(list.size()), t});
}

namespace {

template <class T>
const T* find_named(const std::vector<std::pair<std::string, T>>& items, std::string_view name) {
  const auto it = std::find_if(items.begin(), items.end(),
                               [&](const auto& item) { return item.first == name; });
  return it == items.end() ? nullptr : &it->second;
}

/// x with the type, memory layout and device of `like`, which the update kernels ask for.
Tensor laid_out_as(const Tensor& x, const Tensor& like) {
  if (x.dtype() == like.dtype() && x.strides() == like.strides()) return moved(x, like.device());
  Tensor out = empty_like(like);
  kernels::copy(out, moved(x, like.device()));
  return out;
}

/// The options that are given, and the defaults of the others.
Values with_defaults(const Signature& signature, const Values& defaults, const Items& overrides) {
  const std::vector<Param>& params = signature.params();
  Args args;
  for (size_t i = 0; i < params.size(); ++i) {
    if (!find_named(overrides, params[i].name)) args.kw.emplace_back(params[i].name, defaults[i]);
  }
  args.kw.insert(args.kw.end(), overrides.begin(), overrides.end());
  return signature.bind(args);
}

}  // namespace

Values Optimizer::merged(const Items& overrides) const {
  Values options = with_defaults(signature(), defaults_, overrides);
  check(options);
  return options;
}

void Optimizer::check_parameters(const std::vector<NamedParameter>& params) const {
  std::vector<const TensorImpl*> seen;
  for (const ParamGroup& group : groups_) {
    for (const NamedParameter& p : group.params) seen.push_back(p.tensor.impl());
  }
  for (const NamedParameter& p : params) {
    NNM_CHECK(p.tensor.defined(), value, "optimizer can only optimize Tensors, but `{}` is None",
              p.name);
    NNM_CHECK(is_floating(p.tensor.dtype()), value,
              "optimizer can only optimize floating point Tensors, but `{}` has dtype {}", p.name,
              info(p.tensor.dtype()).name);
    NNM_CHECK(p.tensor.is_leaf(), value, "can't optimize a non-leaf Tensor");
    check_parameter(p.tensor);
    seen.push_back(p.tensor.impl());
  }
  std::sort(seen.begin(), seen.end());
  NNM_CHECK(std::adjacent_find(seen.begin(), seen.end()) == seen.end(), value,
            "some parameters appear in more than one parameter group");
}

void Optimizer::add_param_group(std::vector<NamedParameter> params, const Items& overrides) {
  check_parameters(params);
  ParamGroup group{std::move(params), merged(overrides)};
  group.initial_lr = group.lr();
  states_.emplace_back(group.params.size());
  groups_.push_back(std::move(group));
}

size_t Optimizer::index_of(std::string_view option) const {
  const int i = signature().index_of(option);
  NNM_CHECK(i >= 0, key, "{} has no option `{}`", type(), option);
  return static_cast<size_t>(i);
}

Value Optimizer::option(const ParamGroup& group, std::string_view name) const {
  return group.options[index_of(name)];
}

void Optimizer::set_option(ParamGroup& group, std::string_view name, const Value& value) const {
  const size_t i = index_of(name);
  group.options[i] = signature().params()[i].type.convert(value);
}

void Optimizer::run_step() {
  const NoGradGuard no_grad;
  for (size_t g = 0; g < groups_.size(); ++g) {
    begin_group(groups_[g].options);
    for (size_t i = 0; i < groups_[g].params.size(); ++i) {
      const NamedParameter& p = groups_[g].params[i];
      const Tensor grad = p.tensor.grad();
      if (!grad.defined()) continue;
      update_parameter(p.tensor, grad, states_[g][i]);
    }
    finish_updates();
  }
}

void Optimizer::update_parameter(const Tensor& param, const Tensor& grad, State& state) {
  // A parameter with gaps in its memory, such as every second row of something, is rare.
  const bool dense = param.is_dense();
  const Tensor target = dense ? param : laid_out_as(param, empty_like(param));
  if (state.tensors.empty()) init_state(target, state);
  // A model converted between two steps takes its state along.
  for (Tensor& t : state.tensors) {
    if (!t.defined() || t.dim() == 0) continue;
    t = t.shape() == target.shape() ? laid_out_as(t, target) : to(t, target.options());
  }
  ++state.step;
  update(target, laid_out_as(grad, target), state);
  if (!dense) {
    finish_updates();
    kernels::copy(param, target);
  }
  param.bump_version();
}

void Optimizer::zero_grad(bool set_to_none) const {
  for (const ParamGroup& group : groups_) {
    for (const NamedParameter& p : group.params) {
      const Tensor grad = p.tensor.grad();
      if (!grad.defined()) continue;
      if (set_to_none || grad.grad_fn()) {
        p.tensor.set_grad({});
        if (set_to_none) continue;
        p.tensor.set_grad(grad.detach());
      }
      kernels::fill(grad, 0, 0);
      grad.bump_version();
    }
  }
}

Tensors Optimizer::parameters() const {
  Tensors out;
  for (const ParamGroup& group : groups_) {
    for (const NamedParameter& p : group.params) out.push_back(p.tensor);
  }
  return out;
}

std::string Optimizer::repr() const {
  std::string out = type() + " (";
  for (size_t g = 0; g < groups_.size(); ++g) {
    std::vector<std::pair<std::string, std::string>> lines;
    for (size_t i = 0; i < groups_[g].options.size(); ++i) {
      const Value& v = groups_[g].options[i];
      lines.emplace_back(signature().params()[i].name,
                         v.is(Value::Kind::string) ? v.string() : v.repr());
    }
    std::sort(lines.begin(), lines.end());
    out += fmt::format("\nParameter Group {}\n", g);
    for (const auto& [name, value] : lines) out += fmt::format("    {}: {}\n", name, value);
  }
  return out + ")";
}

Items Optimizer::state_items(const State& state) const {
  Items items;
  if (state.tensors.empty()) return items;
  // A 0-d tensor, as in PyTorch, but float64: float32 stops counting at 2^24.
  if (counts_steps()) items.emplace_back("step", scalar_tensor(state.step, DType::f64));
  const auto names = state_names();
  for (size_t k = 0; k < names.size(); ++k) {
    if (state.tensors[k].defined()) items.emplace_back(names[k], state.tensors[k]);
  }
  return items;
}

OptimizerState Optimizer::current_state() const {
  const std::vector<Param>& params = signature().params();
  OptimizerState out;
  out.type = type();
  for (size_t i = 0; i < params.size(); ++i)
    out.defaults.emplace_back(params[i].name, defaults_[i]);
  for (size_t g = 0; g < groups_.size(); ++g) {
    OptimizerState::Group group;
    for (size_t i = 0; i < params.size(); ++i) {
      group.options.emplace_back(params[i].name, groups_[g].options[i]);
    }
    group.options.emplace_back("initial_lr", groups_[g].initial_lr);
    for (size_t i = 0; i < groups_[g].params.size(); ++i) {
      const std::string& name = groups_[g].params[i].name;
      group.params.push_back(name);
      Items items = state_items(states_[g][i]);
      if (!items.empty()) out.state.emplace_back(name, std::move(items));
    }
    out.param_groups.push_back(std::move(group));
  }
  return out;
}

std::vector<ParamGroup> Optimizer::loaded_groups(const OptimizerState& from) const {
  NNM_CHECK(from.type == type(), value, "the state is one of {}, the optimizer is {}", from.type,
            type());
  NNM_CHECK(from.param_groups.size() == groups_.size(), value,
            "loaded state dict has a different number of parameter groups");
  std::vector<ParamGroup> groups = groups_;
  for (size_t g = 0; g < groups.size(); ++g) {
    const OptimizerState::Group& loaded = from.param_groups[g];
    NNM_CHECK(loaded.params.size() == groups[g].params.size(), value,
              "loaded state dict contains a parameter group that doesn't match the size of "
              "optimizer's group");
    for (const NamedParameter& p : groups[g].params) {
      NNM_CHECK(
          std::find(loaded.params.begin(), loaded.params.end(), p.name) != loaded.params.end(),
          value, "`{}` is not in parameter group {} of the loaded state dict", p.name, g);
    }
    Items options;
    for (const auto& [name, value] : loaded.options) {
      if (name == "initial_lr") groups[g].initial_lr = value.real();
      else options.emplace_back(name, value);
    }
    Values& all = groups[g].options = with_defaults(signature(), defaults_, options);
    // A schedule may step over the bounds of what a user may write: a rounding error below 0.
    Values checked = all;
    checked[index_of("lr")] = defaults_[index_of("lr")];
    check(checked);
  }
  return groups;
}

Optimizer::State Optimizer::loaded_state(const NamedParameter& param, const Items& from) const {
  State state;
  init_state(param.tensor, state);
  if (const Value* step = find_named(from, "step")) {
    state.step = step->holds<Tensor>() ? step->as<Tensor>().item().i : step->scalar().i;
  }
  const auto names = state_names();
  for (size_t k = 0; k < names.size(); ++k) {
    const Value* value = find_named(from, names[k]);
    Tensor& tensor = state.tensors[k];
    if (!value && !tensor.defined()) continue;
    NNM_CHECK(value && value->holds<Tensor>(), value, "the state of `{}` has no `{}`", param.name,
              names[k]);
    const Tensor loaded = value->as<Tensor>();
    if (!tensor.defined()) tensor = empty_like(param.tensor);
    NNM_CHECK(loaded.shape() == tensor.shape(), runtime, "`{}` of `{}`: shape {} where {} is meant",
              names[k], param.name, loaded.shape().str(), tensor.shape().str());
    kernels::copy(tensor, moved(loaded, tensor.device()));
  }
  return state;
}

void Optimizer::load(const OptimizerState& from) {
  std::vector<ParamGroup> groups = loaded_groups(from);
  States states;
  for (const ParamGroup& group : groups) {
    std::vector<State>& of_group = states.emplace_back(group.params.size());
    begin_group(group.options);  // the options say which tensors a state has
    for (size_t i = 0; i < group.params.size(); ++i) {
      const Items* items = find_named(from.state, group.params[i].name);
      if (items && !items->empty()) of_group[i] = loaded_state(group.params[i], *items);
    }
  }
  groups_ = std::move(groups);
  states_ = std::move(states);
}

}  // namespace nnm::optim
