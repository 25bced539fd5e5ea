// Building the model of a config: the root, its inputs, and what is left to do when all stands.
#include <algorithm>

#include "nnm/lang/build.h"
#include "nnm/nn/construct.h"
#include "nnm/nn/parametrize.h"
#include "nnm/ops/ops.h"

namespace nnm::lang {

namespace {

// What numbers a model without a declaration computes with: tables take indices.
void ask(ModelInput& x, Module& root) {
  const Module* first = first_layer(root);
  if (!first) return;
  if (const auto* c = dynamic_cast<const ClassModule*>(first)) {
    const auto& inputs = c->program().inputs;
    x.asks = !inputs.empty() && inputs[0].typed;
    if (x.asks && !is_floating(inputs[0].dtype)) x.dtype = inputs[0].dtype;
    return;
  }
  x.asks = true;
  if (first->type_name().starts_with("Embedding")) x.dtype = DType::i64;
}

}  // namespace

Module* first_layer(Module& root, bool into_classes) {
  Module* m = &root;
  while (m->parameters(false).empty() && (into_classes || !dynamic_cast<const ClassModule*>(m))) {
    const auto children = m->children();
    const auto computes = [](const Module* c) { return !c->parameters().empty(); };
    const auto next = std::find_if(children.begin(), children.end(), computes);
    if (next == children.end()) return nullptr;
    m = *next;
  }
  return m;
}

Model Builder::run() {
  const ConstructionGuard guard({options_.device, options_.dtype, true});
  const DefaultDeviceGuard device(options_.device);
  Model out;
  const Layer& l = source_.model;
  sites_.emplace_back("", l.call ? l.call->span : l.type_span);
  reporter_.attempt([&] {
    Instance file;
    BuildScope scope(*this, file);
    out.module = layer(l, scope, "");
  });
  if (out.module && !reporter_.failed()) finish(*out.module);
  reporter_.diagnostics.throw_if_errors();
  out.inputs = model_inputs(*out.module);
  out.sites = std::move(sites_);
  return out;
}

std::vector<ModelInput> Builder::model_inputs(Module& root) const {
  const auto* c = dynamic_cast<const ClassModule*>(&root);
  if (!c) {
    ModelInput x;
    x.name = "x";
    x.dtype = options_.dtype;
    x.typed = false;
    x.span = sites_[0].second;
    ask(x, root);
    return {x};
  }
  std::vector<ModelInput> out;
  for (const ForwardInput& in : c->program().inputs) {
    ModelInput m;
    m.name = in.name;
    // A run gives all floating inputs in its own precision.
    m.dtype = is_floating(in.dtype) ? options_.dtype : in.dtype;
    m.typed = in.typed;
    m.optional = in.optional;
    m.span = in.span ? in.span : sites_[0].second;
    for (const ForwardInput::Dim& d : in.dims) {
      using Kind = ForwardInput::Dim::Kind;
      m.dims.push_back(d.kind == Kind::size ? d.size : -1);
      // A computed size (`2 * T`) has no name to bind by.
      const bool name = d.kind == Kind::bind || (d.kind == Kind::check && d.is_name);
      m.names.push_back(name ? d.text : "");
    }
    out.push_back(std::move(m));
  }
  return out;
}

std::string selector_type(const Module& m) {
  const auto* c = dynamic_cast<const ClassModule*>(&m);
  return c ? c->qualified_type() : nn::utils::parametrize::type_before_parametrizations(m);
}

std::vector<std::string> input_names(const Module& m) {
  const auto* c = dynamic_cast<const ClassModule*>(&m);
  if (!c || c->program().inputs.empty()) return {"input"};
  std::vector<std::string> out;
  for (const ForwardInput& in : c->program().inputs) out.push_back(in.name);
  return out;
}

Model build_source(const ModelSource& source, const BuildOptions& options) {
  if (options.device.type != DeviceType::meta) {
    // Errors and limits are found before memory is taken.
    BuildOptions meta = options;
    meta.device = {DeviceType::meta, 0};
    Builder(source, meta).run();
  }
  // Initial numbers come from the CPU, so that they are the same wherever the model is put.
  BuildOptions host = options;
  const bool gpu = options.device.type == DeviceType::cuda;
  if (gpu) host.device = {};
  Model out = Builder(source, host).run();
  if (gpu) out.module->to(options.device);
  return out;
}

Model build_model(const Config& config, const BuildOptions& options) {
  return build_source({config.classes(), config.model(), config.vars()}, options);
}

}  // namespace nnm::lang
