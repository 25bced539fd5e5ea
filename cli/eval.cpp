// nnm eval: loss and metrics over a split.
#include <algorithm>
#include <cmath>
#include <memory>

#include "cli/config_file.h"
#include "nnm/base/error.h"
#include "nnm/base/json.h"
#include "nnm/base/text.h"
#include "nnm/base/text_table.h"
#include "nnm/base/value.h"
#include "nnm/run/evaluate.h"
#include "nnm/run/hook_trace.h"

namespace nnm::cli {

namespace {

struct EvalOptions {
  std::string file, split, format;
  std::vector<std::string> asserts;
  lang::LoadOptions config;
  run::WeightsOptions weights;
  bool ema = false, partial = false, hooks = true, strict = false;
  int64_t batch = 0;
  Compute compute;
};

std::string json(const std::string& checkpoint, const train::EvalEvent& e) {
  Json j;
  j.object().entry("checkpoint", checkpoint).entry("split", e.split).entry("samples", e.samples);
  j.entry("loss", e.loss).key("metrics").object();
  for (const auto& [name, value] : e.metrics) j.entry(name, value);
  return j.end().end().text();
}

std::string text(const train::EvalEvent& e) {
  size_t width = 7;
  for (const auto& [name, value] : e.metrics) width = std::max(width, name.size());
  std::string out = fmt::format("{:{}}  {}\n", "split", width, e.split);
  out += fmt::format("{:{}}  {}\n", "samples", width, with_thousands(e.samples));
  out += fmt::format("{:{}}  {}", "loss", width, short_number(e.loss, 6));
  for (const auto& [name, value] : e.metrics)
    out += fmt::format("\n{:{}}  {}", name, width, short_number(value, 6));
  return out;
}

int run_eval(const EvalOptions& o) {
  run::Source source = run::open_source(o.file, {o.config, o.weights.best});
  run::SessionOptions s;
  s.device = o.compute.apply();
  s.check.evaluation = true;
  s.check.split = o.split;
  s.check.hooks = o.hooks;
  const std::string weights = run::resolve_weights(source, o.weights);
  run::Session session(std::move(source), s);
  const run::Conditions conditions(o.asserts, session.objective().metrics(),
                                   session.checked().split);
  session.load_weights(weights, o.partial, o.ema);
  run::HookTrace trace(session, run::trace_path(session, weights, "eval"), weights);
  const train::EvalEvent e = run::evaluate(session, o.batch);
  trace.close();
  const bool silent = session.warn_silent_hooks(false) > 0;
  print_line(o.format == "json" ? json(weights, e) : text(e));
  if (session.objective().has_loss() && !std::isfinite(e.loss))
    fail(ErrorKind::diverged, "the loss over `{}` is {}", e.split, python_float(e.loss));
  const std::vector<std::string> failed = conditions.failed(e);
  if (!failed.empty()) fail(ErrorKind::negative, "not true: {}", fmt::join(failed, ", "));
  return silent && o.strict ? exit_code(ErrorKind::negative) : 0;
}

}  // namespace

Action eval(App app) {
  auto o = std::make_shared<EvalOptions>();
  app.add_option("file", o->file, "a config, a checkpoint or a run");
  app.add_option("--split", o->split, "the split (default: eval.split, else test, val, train)");
  app.add_option("--assert", o->asserts, "a condition that must hold: 'acc >= 0.97' (repeatable)")
      .repeatable();
  add_weights(app, o->weights);
  app.add_flag("--best", o->weights.best, "the best checkpoint of a run, not the last");
  app.add_flag("--ema", o->ema, "the averages of the weights (train.ema)");
  add_no_hooks(app, o->hooks);
  app.add_flag("--strict", o->strict, "a hook that never fired makes the exit code 1");
  app.add_flag("--partial", o->partial, "load the weights that fit");
  app.add_option("--batch", o->batch, "samples at once").between(1, int64_t{1} << 31);
  add_overrides(app, o->config);
  add_format(app, o->format);
  o->compute.declare(app);
  return [o] { return run_eval(*o); };
}

}  // namespace nnm::cli
