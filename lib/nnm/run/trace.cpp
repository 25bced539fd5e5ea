// The steps of a trace, real or on meta.
#include "nnm/run/trace.h"

#include "nnm/autograd/node.h"
#include "nnm/base/file.h"
#include "nnm/base/log.h"
#include "nnm/base/text.h"
#include "nnm/data/loader.h"
#include "nnm/ops/ops.h"
#include "nnm/run/hook_trace.h"
#include "nnm/run/input.h"
#include "nnm/run/signals.h"
#include "nnm/tensor/allocator.h"

namespace nnm::run {

namespace {

/// Where batches come from, and what the model is put through with them.
struct Feed {
  std::unique_ptr<data::Loader> loader;  // null on meta
  train::Objective own;                  // of --input
  train::Objective* objective = nullptr;
  std::vector<size_t> places;  // of the objective's fields in a batch
  int64_t samples = 0;         // there are; 0: nobody knows

  Tensors fields(const Tensors& batch) const {
    Tensors out;
    for (size_t p : places) out.push_back(batch[p]);
    return out;
  }
};

// Whether something that the command line asks for only exists after a backward pass.
bool asks_for_backward(Session& session, const TraceOptions& o) {
  const auto& hooks = session.hooks().list();
  return o.capture.needs_backward() ||
         std::any_of(hooks.begin(), hooks.end(), [](const tracing::Hook& h) {
           const tracing::HookSpec& spec = tracing::spec_of(h);
           return !spec.at.file && spec.backward_only();
         });
}

// Loss and metrics over the fields of an input file, whose loader tells their shapes.
train::Objective objective_of(Session& session, const Input& input, const TraceOptions& o) {
  train::Plan plan = session.plan();
  plan.metrics.clear();
  if (!asks_for_backward(session, o)) plan.loss = {};
  Diagnostics d;
  train::Objective out(plan, session.config().vars(), input.binding, input.fields, input.output, d);
  d.throw_if_errors();
  return out;
}

// Where there are no data to list for: what the check took for the inputs.
Input probed_input(Session& session) {
  const lang::ShapeReport& shapes = session.checked().shapes;
  Input out;
  for (const auto& [name, t] : shapes.inputs) out.fields.push_back({name, t.dtype(), t.shape()});
  Diagnostics d;
  out.binding =
      train::InputBinding(session.description().inputs, out.fields, session.plan().dtype, d);
  d.throw_if_errors();
  out.output = shapes.output;
  return out;
}

Feed open_feed(Session& session, const TraceOptions& o, bool read) {
  Feed feed;
  std::vector<std::string> names;
  if (!o.input.empty()) {
    Input input = open_input(session, o.input, o.batch);
    feed.own = objective_of(session, input, o);
    feed.objective = &feed.own;
    for (const train::Field& f : input.fields) names.push_back(f.name);
    feed.samples = input.loader->dataset().size();
    feed.loader = std::move(input.loader);
  } else if (!read && (!session.checked().data || session.checked().data_error)) {
    feed.own = objective_of(session, probed_input(session), o);
    feed.objective = &feed.own;
  } else {
    feed.objective = &session.objective();
    if (!read) feed.samples = session.data().peek(session.checked().split).samples;
    if (read) {
      data::LoadOptions load;
      load.training = false;
      if (o.batch) load.batch = o.batch;
      load.fields = feed.objective->wishes();
      feed.loader = session.data().loader(session.checked().split, load);
      for (const data::FieldInfo& f : feed.loader->fields()) names.push_back(f.name);
    }
  }
  for (const train::Field& f : feed.objective->fields())
    for (size_t i = 0; i < names.size(); ++i)
      if (names[i] == f.name) feed.places.push_back(i);
  return feed;
}

// Samples of a full batch; 0 where no field has any.
int64_t batch_of(const Feed& feed, const TraceOptions& o) {
  if (o.batch) return o.batch;
  for (const train::Field& f : feed.objective->fields())
    if (!f.shape.empty()) return f.shape[0];
  return 0;
}

void need_loss(Session& session, const train::Objective& objective, const TraceOptions& o) {
  if (!asks_for_backward(session, o) || objective.has_loss()) return;
  throw Error(ErrorKind::config, "a backward pass needs a loss, and the config has none",
              "give one with --loss, such as --loss 'out.sum()'");
}

/// Captures and rules of a config run backward where there is a loss, the command line's need one.
bool needs_backward(Session& session, const train::Objective& objective, const TraceOptions& o) {
  const auto& hooks = session.hooks().list();
  const bool watched = std::any_of(hooks.begin(), hooks.end(), [](const tracing::Hook& h) {
    const auto* rule = std::get_if<tracing::RuleHook>(&h);
    return rule && rule->backward_only();
  });
  return asks_for_backward(session, o) ||
         (objective.has_loss() && (watched || session.hooks().captures().needs_backward()));
}

// What to do where a module writes over what another one's backward hooks stand behind, which
// PyTorch's text does not know here.
void advise(Error& e) {
  if (std::string_view(e.what()).find("is a view and") == std::string_view::npos) return;
  const std::string hint =
      "backward hooks cannot stand beside inplace=True: `--hook tensor` records the same "
      "gradients of outputs, or leave the modules around it out";
  auto* placed = dynamic_cast<DiagnosticError*>(&e);
  if (!placed) {
    e.with_hint(hint);
    return;
  }
  Diagnostics told;
  for (Diagnostic d : placed->diagnostics.all()) {
    if (d.help.empty()) d.help = hint;
    told.add(std::move(d));
  }
  placed->diagnostics = std::move(told);
}

/// One recorded step: forward, and backward where a hook waits for it.
void step(Module& model, train::Objective& objective, const Tensors& fields, const TraceOptions& o,
          bool backward) try {
  const GradModeGuard mode(backward || o.input_grad);
  if (o.input_grad) {
    for (int f : objective.inputs().fields()) {
      if (f < 0 || !is_floating(fields[static_cast<size_t>(f)].dtype())) continue;
      fields[static_cast<size_t>(f)].requires_grad_();
    }
  }
  const Value output = objective.forward(model, fields);
  if (!backward) return;
  objective.scope(fields, output);
  const Tensor loss = objective.loss(o.train);
  objective.clear();
  loss.backward();
} catch (Error& e) {
  advise(e);
  throw;
}

void count(const io::TraceWriter& writer, tracing::Hooks& hooks, TraceResult& result) {
  result.sites = static_cast<int64_t>(writer.sites().size());
  result.bytes = writer.bytes();
  result.dropped = writer.dropped();
  result.fired = hooks.captures().any_fired();
  result.stopped = hooks.stopped();
}

}  // namespace

TraceResult record_trace(Session& session, const TraceOptions& o) {
  o.capture.check();
  check_writable(o.output);
  Feed feed = open_feed(session, o, true);
  need_loss(session, *feed.objective, o);
  Module& model = *session.model();
  model.train(o.train);
  // What the command line asks for is recorded beside what the config's hooks do.
  tracing::Hooks& hooks = session.hooks();
  hooks.captures().add(o.capture);
  hooks.drive();
  session.show_fields(*feed.objective);
  io::TraceHeader header = trace_header(session, o.checkpoint);
  header.hooks += tracing::hooks_text(o.capture);
  io::TraceWriter writer(o.output, header, {.max_bytes = o.max_bytes});
  hooks.captures().record_into(writer, header, true);
  hooks.speak([&](const tracing::Finding& f) { writer.event("rule", f.message()); });
  const WarningSink warnings([&](const std::string& text) { writer.event("warning", text); });
  train::Control control;
  const SignalScope signals(control);
  const bool backward = needs_backward(session, *feed.objective, o);
  const auto begin = std::chrono::steady_clock::now();
  TraceResult result;
  for (int64_t i = 0; result.steps < o.steps && !control.signal && !hooks.stopped(); ++i) {
    const std::optional<data::Batch> batch = feed.loader->next();
    if (!batch) {
      const std::string text =
          fmt::format("the data end after {}: {} of {} recorded", counted(i, "batch"), result.steps,
                      counted(o.steps, "step"));
      log_note("{}", text);
      writer.event("note", text);
      break;
    }
    if (i % o.every) continue;
    const auto since = std::chrono::steady_clock::now() - begin;
    writer.begin_step(
        {.step = i,
         .wall_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(since).count(),
         .mode = o.train ? "train" : "eval"});
    model.zero_grad();
    reset_peak_memory(default_device());
    hooks.begin({.step = i});
    step(model, *feed.objective, feed.fields(batch->fields), o, backward);
    hooks.end();
    const MemoryStats m = memory_stats(default_device());
    writer.memory(static_cast<int64_t>(m.allocated), static_cast<int64_t>(m.peak),
                  static_cast<int64_t>(m.reserved));
    ++result.steps;
  }
  if (control.signal)
    writer.event("signal", fmt::format("ended by signal {}", control.signal.load()));
  hooks.captures().stop();
  writer.close();
  result.signal = control.signal;
  result.backward = backward;
  count(writer, hooks, result);
  return result;
}

TraceList list_trace(Session& session, const TraceOptions& o) {
  o.capture.check();
  Feed feed = open_feed(session, o, false);
  need_loss(session, *feed.objective, o);
  const lang::Model meta = lang::build_model(
      session.config(), {.device = {DeviceType::meta}, .dtype = session.plan().dtype});
  meta.module->train(o.train);
  // Of the config's hooks those that give other shapes or types are seen in the list.
  tracing::Changes changes(*meta.module);
  Diagnostics problems;
  for (const tracing::Hook& h : session.hooks().list()) {
    const auto* change = std::get_if<tracing::ChangeHook>(&h);
    if (change && !(change->keeps_shape && change->keeps_dtype)) changes.add(*change, problems);
  }
  const std::vector<std::string> names = train::field_names(feed.objective->fields());
  tracing::ListSink sink;
  tracing::Recorder recorder(*meta.module, o.capture, sink);
  const auto record = [&](int64_t batch, int64_t times) {
    Tensors fields;
    for (const train::Field& f : feed.objective->fields()) {
      Shape shape = f.shape;
      if (batch && !shape.empty()) shape[0] = batch;
      fields.push_back(empty(shape, {f.dtype, {DeviceType::meta}}));
    }
    changes.see_fields(names, Values(fields.begin(), fields.end()));
    changes.begin(0);
    sink.weigh(times);
    recorder.begin_step();
    step(*meta.module, *feed.objective, fields, o, o.capture.needs_backward());
    recorder.end_step();
  };
  const int64_t batch = batch_of(feed, o);
  if (!feed.samples || !batch) {
    record(o.batch, o.steps);
    return {std::move(sink), o.steps};
  }
  // As many of each so many batches as there are; the last may be smaller.
  const int64_t rest = feed.samples % batch, batches = data::batches_of(feed.samples, batch, false);
  const int64_t steps = std::min(o.steps, (batches + o.every - 1) / o.every);
  const bool with_rest = rest && (steps - 1) * o.every == batches - 1;
  if (steps > with_rest) record(batch, steps - with_rest);
  if (with_rest) record(rest, 1);
  return {std::move(sink), steps};
}

}  // namespace nnm::run
