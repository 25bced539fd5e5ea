// Between the objects of a run and the plain contents of a checkpoint.
#include "nnm/train/state.h"

#include <unordered_map>

#include "nnm/train/save.h"

namespace nnm::train {

namespace {

int64_t parameter_count(Module& m) {
  int64_t n = 0;
  for (const Tensor& p : m.parameters()) n += p.numel();
  return n;
}

std::string parent_of(const std::string& path) {
  const size_t dot = path.rfind('.');
  return dot == std::string::npos ? "" : path.substr(0, dot);
}

}  // namespace

void put_model(Module& model, io::Checkpoint& into) {
  std::unordered_map<const Module*, std::string> modules;
  for (const auto& [path, m] : model.named_modules("", false)) {
    const auto [first, fresh] = modules.emplace(m, path);
    into.modules.push_back(
        {path, m->type_name(), parent_of(path), parameter_count(*m), fresh ? "" : first->second});
  }
  std::unordered_map<const TensorImpl*, std::string> tensors;
  const StateDict dict = model.state_dict("", true);
  for (const auto& [name, value] : dict) {
    NNM_CHECK(value.is(Value::Kind::tensor), not_implemented,
              "{} is extra state of a module, which checkpoints do not hold", name);
    const Tensor t = value.as<Tensor>();
    const auto [first, fresh] = tensors.emplace(t.impl(), name);
    into.state_dict.push_back(
        {name, t, is_parameter(t), t.requires_grad(), fresh ? "" : first->second});
  }
}

void take_model(const io::Checkpoint& checkpoint, Module& model, const std::string& from) {
  Items entries;
  for (const io::StateEntry& e : checkpoint.state_dict) entries.emplace_back(e.name, e.tensor);
  try {
    model.load_state_dict(StateDict(std::move(entries)));
  } catch (const Error& e) {
    throw Error(ErrorKind::input_file, fmt::format("{}: {}", from, e.what()),
                "the checkpoint is of another model than the config's");
  }
}

io::OptimizerState to_io(optim::OptimizerState state) {
  io::OptimizerState out{
      std::move(state.type), std::move(state.defaults), {}, std::move(state.state)};
  for (auto& g : state.param_groups)
    out.param_groups.push_back({std::move(g.options), std::move(g.params)});
  return out;
}

optim::OptimizerState from_io(const io::OptimizerState& state) {
  optim::OptimizerState out{state.type, state.defaults, {}, state.state};
  for (const io::ParamGroup& g : state.param_groups)
    out.param_groups.push_back({g.options, g.params});
  return out;
}

}  // namespace nnm::train

namespace nnm {

void save(Module& model, optim::Optimizer& optimizer, const std::string& path) {
  io::Checkpoint c;
  c.nnm_version = NNM_VERSION;
  train::put_model(model, c);
  c.optimizer = train::to_io(optimizer.state_dict());
  io::save_checkpoint(c, path);
}

optim::OptimizerState load_optimizer(const std::string& path) {
  const io::Checkpoint c = io::load_checkpoint(path, {.state_dict = false});
  NNM_CHECK(c.optimizer, input_file, "{} holds no state of an optimizer", path);
  return train::from_io(*c.optimizer);
}

}  // namespace nnm
