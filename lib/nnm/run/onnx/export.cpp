// Looks at a forward: at the calls of its layers by hooks, at functions and operators between them.
#include "nnm/run/onnx/export.h"

#include <algorithm>
#include <utility>

#include "nnm/autograd/node.h"
#include "nnm/base/error.h"
#include "nnm/base/log.h"
#include "nnm/lang/forward.h"
#include "nnm/lang/watcher.h"
#include "nnm/nn/layers/fused.h"
#include "nnm/ops/function.h"
#include "nnm/ops/ops.h"
#include "nnm/run/onnx/layers.h"

namespace nnm::run {
namespace onnx {
namespace {

/// Whether a tensor among the values depends on the inputs.
bool depends(const Builder& g, const Value& v) {
  if (v.is(Value::Kind::tensor)) return g.depends(v.as<Tensor>());
  if (!v.is_sequence()) return false;
  for (const Value& item : v.items())
    if (depends(g, item)) return true;
  return false;
}

bool has_tensor(const Value& v) {
  if (v.is(Value::Kind::tensor)) return true;
  return v.is_sequence() && !v.items().empty() && has_tensor(v.items()[0]);
}

/// Forwards that are seen into: their statements, or the layers they call, make the operators.
bool is_open(const Module& m) {
  const std::string type = m.type_name();
  return dynamic_cast<const lang::ClassModule*>(&m) || type == "Sequential" ||
         type == "TransformerEncoder";
}

class Look final : public lang::ForwardWatcher {
 public:
  explicit Look(Module& root) : g(root), before_(std::exchange(current(), this)) {
    for (const auto& [path, module] : root.named_modules()) {
      // What computes a weight is no part of the graph: the weight is.
      if (path.starts_with("parametrizations.") || path.find(".parametrizations.") != path.npos)
        continue;
      const LayerConversion* const layer = layer_conversion(*module);
      if (!layer && is_open(*module)) continue;
      handles_.emplace_back(
          module->register_forward_pre_hook([this](Module&, Args&) { ++within_; }));
      handles_.emplace_back(module->register_forward_hook(
          [this, layer, path = path](Module& m, const Args& args, const Value& out) {
            if (--within_ == 0) called(m, layer, path, args, out);
          }));
    }
  }
  ~Look() override { current() = before_; }

  void computed(const std::string& what, const Span&, const Value* in, size_t n,
                const Value& out) override {
    // Lists of what is known already are only arranged.
    if (within_ > 0 || !has_tensor(out) || (out.is_sequence() && known(out))) return;
    // Draws, and what may be as large as the batch, are made each time.
    constexpr std::string_view kAlways[] = {"rand",   "randn",        "zeros",  "ones", "full",
                                            "expand", "broadcast_to", "repeat", "tile"};
    bool needed = std::find(std::begin(kAlways), std::end(kAlways), what) != std::end(kAlways);
    for (size_t i = 0; i < n; ++i) needed = needed || depends(g, in[i]);
    if (!needed) return;
    Call call{what, {}, out};
    const Function* const f = find_function(what);
    for (size_t i = 0; i < n; ++i)
      call.args.emplace_back(f ? f->signature().params()[i].name : "input", in[i]);
    if (n == 1 && what == "-") call.function = "neg";
    if (n == 1 && what == "+") call.function = "positive";
    if (what == "sum" && in[0].is_sequence()) call = {"sum of several", {{"tensors", in[0]}}, out};
    g.begin(f ? what : "operator");
    convert(g, call);
  }

  Builder g;

 private:
  bool known(const Value& v) const {
    if (v.is_sequence())
      return std::all_of(v.items().begin(), v.items().end(),
                         [&](const Value& i) { return known(i); });
    return !v.is(Value::Kind::tensor) || g.depends(v.as<Tensor>());
  }
  void called(Module& m, const LayerConversion* layer, const std::string& path, const Args& args,
              const Value& out) {
    if (!layer) unsupported(m.type_name());
    g.begin(path.empty() ? m.type_name() : path);
    layer->run(g, {m, args, out});
  }

  ForwardWatcher* const before_;
  int within_ = 0;  // layers being called, one within the other
  std::vector<ScopedHandle> handles_;
};

/// What an input's first extent is called where it is free, and may so be another; else "". That of
/// a layer or list of layers, which declares none, is the batch.
std::string batch_of(const lang::ModelInput& in, const Tensor& meta) {
  if (!meta.defined() || meta.dim() == 0) return "";
  if (!in.typed) return "B";
  return in.dims[0] < 0 ? in.names[0] : "";
}

/// What stands in for the inputs before the first optional one: numbers are drawn, whole ones are
/// all `index`. Batches are larger by `more`.
Args stand_ins(const Session& session, int64_t index, int64_t more) {
  Args args;
  const auto& shapes = session.checked().shapes.inputs;
  for (size_t i = 0; i < shapes.size(); ++i) {
    const Tensor& meta = shapes[i].second;
    const lang::ModelInput& input = session.description().inputs[i];
    if (!meta.defined() || input.optional) break;
    const TensorOptions like{meta.dtype(), Device{}};
    Shape shape = meta.shape();
    if (!batch_of(input, meta).empty()) shape[0] += more;
    args.pos.emplace_back(is_floating(meta.dtype()) ? randn(shape, like)
                                                    : full(shape, index, like));
  }
  return args;
}

void give_outputs(Builder& g, const Value& v, const std::string& name) {
  if (v.is(Value::Kind::tensor)) return g.output(name, v.as<Tensor>());
  if (v.is(Value::Kind::dict))
    for (const auto& [key, item] : v.entries()) give_outputs(g, item, key);
  if (v.is_sequence())
    for (size_t i = 0; i < v.items().size(); ++i)
      give_outputs(g, v.items()[i], fmt::format("{}_{}", name, i));
}

Builder look(Session& session, int64_t index, int64_t more = 0) {
  Look at(*session.model());
  const Args args = stand_ins(session, index, more);
  for (size_t i = 0; i < args.pos.size(); ++i)
    at.g.input(session.checked().shapes.inputs[i].first, args.pos[i].as<Tensor>());
  const Value out = (*session.model())(args);
  give_outputs(at.g, out, "output");
  return std::move(at.g);
}

/// Tries to let the batch be of any size.
bool with_any_batch(Session& session, Builder& once) {
  const auto& inputs = session.description().inputs;
  const auto& shapes = session.checked().shapes.inputs;
  const std::string batch = inputs.empty() ? "" : batch_of(inputs[0], shapes[0].second);
  if (batch.empty()) return false;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!inputs[i].optional && batch_of(inputs[i], shapes[i].second) != batch) return false;
  try {
    return once.free_batch(look(session, 1, 1), batch);
  } catch (const Error& e) {
    // What only works for batches of this size, or for these numbers, is seen by the next look.
    if (e.kind() == ErrorKind::internal || e.kind() == ErrorKind::interrupted) throw;
    return false;
  }
}

}  // namespace
}  // namespace onnx

io::OnnxGraph to_onnx(Session& session) {
  const NoGradGuard no_grad;
  const nn::OneByOneGuard layer_by_layer;
  session.model()->eval();
  onnx::Builder once = onnx::look(session, 0);
  if (!onnx::with_any_batch(session, once)) {
    once.compare(onnx::look(session, 1));
    if (!once.graph.inputs.empty() && !once.graph.inputs[0].shape.empty())
      log_warning("the graph is for batches of {} alone: more than sizes follows from it",
                  once.graph.inputs[0].shape[0]);
  }
  once.graph.name = session.model()->type_name();
  return std::move(once.graph);
}

}  // namespace nnm::run
