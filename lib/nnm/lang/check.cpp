// The check of shapes: one forward on the meta device.
#include <algorithm>
#include <map>

#include "nnm/autograd/node.h"
#include "nnm/lang/compiled_nodes.h"
#include "nnm/lang/forward.h"
#include "nnm/lang/model.h"
#include "nnm/nn/layers/norm.h"
#include "nnm/ops/ops.h"

namespace nnm::lang {

namespace {

using Dim = ForwardInput::Dim;

constexpr int64_t kBatch = 2, kImage = 224, kOther = 16;

struct Probe {
  const Model& model;
  const InputShapes& known;
  ShapeReport& report;
  std::map<std::string, int64_t> sizes{};  // of named dims

  [[noreturn]] void complain(const ModelInput& in, std::string message, std::string help = {}) {
    fault(in.span, "E0502", std::move(message), std::move(help));
  }

  const std::vector<int64_t>* given(const ModelInput& in) const {
    for (const auto& [name, shape] : known) {
      if (name == in.name) return &shape;
    }
    return nullptr;
  }

  static std::string declared(const ModelInput& in) {
    std::string out = std::string(info(in.dtype).name) + "[";
    for (size_t i = 0; i < in.dims.size(); ++i) {
      const std::string free = in.names[i].empty() ? "*" : in.names[i];
      out += (i ? ", " : "") + (in.dims[i] >= 0 ? std::to_string(in.dims[i]) : free);
    }
    return out + "]";
  }

  /// Given shapes bind names before anything is probed.
  void bind_known() {
    for (const ModelInput& in : model.inputs) {
      const auto* shape = given(in);
      if (!shape || !in.typed) continue;
      const std::string got = Shape(*shape).str();
      if (shape->size() != in.dims.size())
        complain(in,
                 fmt::format("input `{}`: shape {} does not fit {}", in.name, got, declared(in)));
      for (size_t i = 0; i < in.dims.size(); ++i) {
        const int64_t n = (*shape)[i];
        const auto bound = in.names[i].empty() ? sizes.end() : sizes.find(in.names[i]);
        const int64_t wanted = bound != sizes.end() ? bound->second : in.dims[i];
        if (wanted >= 0 && wanted != n)
          complain(in,
                   fmt::format("input `{}`: shape {} does not fit {}", in.name, got, declared(in)),
                   fmt::format("dimension {} must be {}", i, wanted));
        if (!in.names[i].empty()) sizes[in.names[i]] = n;
      }
    }
    for (const auto& [name, shape] : known) {
      const auto is = [&n = name](const ModelInput& in) { return in.name == n; };
      if (std::any_of(model.inputs.begin(), model.inputs.end(), is)) continue;
      std::vector<std::string> names;
      for (const ModelInput& in : model.inputs) names.push_back(in.name);
      complain(model.inputs[0], fmt::format("the model has no input `{}`", name),
               did_you_mean(name, names, fmt::format("there is {}", fmt::join(names, ", "))));
    }
  }

  int64_t probed(const ModelInput& in, size_t i) {
    const std::string& name = in.names[i];
    if (!name.empty()) {
      const auto it = sizes.find(name);
      if (it != sizes.end()) return it->second;
    }
    const int64_t n = i == 0 ? kBatch : in.dims.size() == 4 && i >= 2 ? kImage : kOther;
    if (!name.empty()) sizes[name] = n;
    report.notes.push_back(name.empty()
                               ? fmt::format("dimension {} of `{}` was taken as {}", i, in.name, n)
                               : fmt::format("{} of `{}` was taken as {}", name, in.name, n));
    return n;
  }

  Tensor input(const ModelInput& in, const ClassModule* root, size_t index) {
    if (root && !in.typed) undeclared(in, *root);
    const TensorOptions options{in.dtype, {DeviceType::meta, 0}};
    if (const auto* shape = given(in)) return empty(Shape(*shape), options);
    if (!in.typed) return guessed(in);
    Shape s;
    for (size_t i = 0; i < in.dims.size(); ++i) {
      int64_t n = in.dims[i];
      if (n < 0) n = computed(root, index, i);
      if (n < 0) n = probed(in, i);
      s.push_back(n);
    }
    return empty(s, options);
  }

  /// Nothing says of what type and size a class's input is: names in its forward are no
  /// declaration.
  [[noreturn]] void undeclared(const ModelInput& in, const ClassModule& root) {
    complain(in,
             fmt::format("`{}` is used as the model's input, but class `{}` declares no `inputs:`",
                         in.name, root.type_name()),
             fmt::format("write in `{}`: `inputs: {{{}: \"f32[B, …]\"}}`, with the type and the "
                         "sizes of what the model is given",
                         root.type_name(), in.name));
  }

  /// A size that is an expression of others (`2 * T`), -1 where it is not.
  int64_t computed(const ClassModule* root, size_t index, size_t i) {
    if (!root) return -1;
    const Program& p = root->program();
    const Dim& d = p.inputs[index].dims[i];
    if (d.kind != Dim::Kind::check || d.is_name) return -1;
    Values slots(static_cast<size_t>(p.slots));
    for (const ForwardInput& in : p.inputs) {
      for (const Dim& other : in.dims) {
        if (other.kind == Dim::Kind::bind && sizes.count(other.text))
          slots[static_cast<size_t>(other.slot)] = sizes[other.text];
      }
    }
    Frame f;
    f.slots = slots.data();
    f.building = true;
    const Value v = d.expr->eval(f);
    return v.is(Value::Kind::integer) ? v.integer() : -1;
  }

  /// A shape that the first layer takes.
  Tensor guessed(const ModelInput& in) {
    Module* m = first_layer(*model.module, true);
    const bool free = !m;
    if (free) m = first_leaf();
    const std::string type = m->type_name();
    const std::optional<Shape> s = free ? accepted(*m, type) : shape_for(*m, type);
    if (!s)
      complain(in, fmt::format("the shape of input `{}` is not known", in.name),
               fmt::format("declare `inputs:`, or give `--shape {}=2,16`", in.name));
    report.notes.push_back(fmt::format("`{}` was taken as {}, which the first layer ({}) fits",
                                       in.name, s->str(), type));
    return empty(*s, {in.dtype, {DeviceType::meta, 0}});
  }

  /// The first module that holds no others.
  Module* first_leaf() const {
    Module* m = model.module.get();
    for (auto inner = m->children(); !inner.empty(); inner = m->children()) m = inner[0];
    return m;
  }

  /// Of a layer without parameters: what it computes with, if its name does not tell.
  static std::optional<Shape> accepted(Module& m, const std::string& type) {
    const std::optional<Shape> told = shape_for(m, type);
    const NoGradGuard no_grad;
    const std::vector<Shape> tries = {*told,
                                      {kBatch, kOther, kOther},
                                      {kBatch, kOther, kImage, kImage},
                                      {kBatch, kOther, kOther, kOther, kOther}};
    for (const Shape& s : tries) {
      try {
        (void)m(empty(s, {DType::f32, {DeviceType::meta, 0}}));
        return s;
      } catch (const Error&) {
        continue;
      }
    }
    return told;
  }

  /// A shape that the layer takes alone; none where its arguments do not tell.
  static std::optional<Shape> shape_for(Module& m, const std::string& type) {
    const Tensors weights = m.parameters(false);
    if (const auto* n = dynamic_cast<const nn::LayerNorm*>(&m))
      return batch_of(n->options.normalized_shape);
    if (const auto* n = dynamic_cast<const nn::RMSNorm*>(&m))
      return batch_of(n->options.normalized_shape);
    if (const auto* n = dynamic_cast<const nn::GroupNorm*>(&m))
      return Shape{kBatch, n->options.num_channels, kOther};
    if (type == "Linear") return Shape{kBatch, weights[0].size(1)};
    if (type.starts_with("Embedding")) return Shape{kBatch, kOther};
    if (type.ends_with("Cell") || type == "Bilinear") return Shape{kBatch, weights[0].size(1)};
    for (const char* over_time : {"RNN", "LSTM", "GRU", "MultiheadAttention"})
      if (type == over_time) return Shape{kBatch, kOther, weights[0].size(1)};
    if (type == "PReLU") return Shape{kBatch, weights[0].size(0) > 1 ? weights[0].size(0) : kOther};
    // Convolutions and norms begin with their channels, "3, 8, kernel_size=…"; the rank decides,
    // which names tell.
    const int64_t first = std::atoll(m.extra_repr().c_str());
    const int64_t channels = first > 0 ? first : kOther;
    if (type.ends_with("1d") || type == "SyncBatchNorm") return Shape{kBatch, channels, kOther};
    if (type.ends_with("2d")) return Shape{kBatch, channels, kImage, kImage};
    if (type.ends_with("3d")) return Shape{kBatch, channels, kOther, kOther, kOther};
    if (!weights.empty()) return std::nullopt;
    return Shape{kBatch, kOther};
  }

  static Shape batch_of(const nn::Sizes& sizes) {
    Shape s{kBatch};
    for (const int64_t n : sizes) s.push_back(n);
    return s;
  }
};

/// The place of the module, or of the nearest one around it.
Span site_of(const Model& model, std::string path) {
  while (true) {
    for (const auto& [name, span] : model.sites) {
      if (name == path) return span;
    }
    const size_t dot = path.rfind('.');
    if (path.empty()) return {};
    path = dot == std::string::npos ? "" : path.substr(0, dot);
  }
}

bool holds_tensor(const Value& v) {
  if (v.is(Value::Kind::tensor)) return true;
  if (v.is_sequence()) {
    return std::any_of(v.items().begin(), v.items().end(), holds_tensor);
  }
  if (!v.is(Value::Kind::dict)) return false;
  return std::any_of(v.entries().begin(), v.entries().end(),
                     [](const auto& e) { return holds_tensor(e.second); });
}

class SessionGuard {
 public:
  explicit SessionGuard(CheckSession& s) { CheckSession::current() = &s; }
  ~SessionGuard() { CheckSession::current() = nullptr; }
};

/// Throws what was found, with the sizes that were probed.
void finish(const Diagnostics& found, const ShapeReport& report) {
  Diagnostics out;
  for (Diagnostic d : found.all()) {
    if (!report.notes.empty())
      d.notes.push_back(
          {fmt::format("{} (give sizes with --shape)", fmt::join(report.notes, ", ")), {}});
    out.add(std::move(d));
  }
  out.throw_if_errors();
}

}  // namespace

ShapeReport check_shapes(const Config&, const Model& meta, const InputShapes& known,
                         bool training) {
  ShapeReport report;
  CheckSession session;
  try {
    Probe probe{meta, known, report};
    probe.bind_known();
    const auto* root = dynamic_cast<const ClassModule*>(meta.module.get());
    Args args;
    for (size_t i = 0; i < meta.inputs.size(); ++i) {
      const ModelInput& in = meta.inputs[i];
      Tensor t = probe.input(in, root, i);
      report.inputs.emplace_back(in.name, t);
      session.given(in.name, t);
      args.pos.push_back(t);
    }
    session.site = [&](const std::string& path) { return site_of(meta, path); };
    const GradModeGuard grad(training && grad_enabled());
    const SessionGuard guard(session);
    meta.module->train(training);
    session.watch(*meta.module);
    report.output = (*meta.module)(args);
    if (!session.diagnostics.has_errors() && !holds_tensor(report.output))
      fault(site_of(meta, ""), "E0505",
            fmt::format("the model returns {}, which holds no tensor", report.output.config_text()),
            "what a model gives is computed from its inputs");
  } catch (const Fault& f) {
    session.report(f);
  } catch (const DiagnosticError& e) {
    for (const Diagnostic& d : e.diagnostics.all()) session.diagnostics.add(d);
  } catch (const Error& e) {
    const std::string& path = e.module_path();
    Diagnostic d{"E0501", path.empty() ? e.what() : fmt::format("`{}`: {}", path, e.what()),
                 site_of(meta, path), session.advice_of_call(e), session.sources_of_call()};
    session.diagnostics.add(std::move(d));
  }
  finish(session.diagnostics, report);
  return report;
}

}  // namespace nnm::lang
