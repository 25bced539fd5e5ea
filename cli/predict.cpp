// nnm predict: the outputs of a model for the samples of a file.
#include <memory>

#include "cli/config_file.h"
#include "cli/dry_run.h"
#include "nnm/base/error.h"
#include "nnm/base/file.h"
#include "nnm/base/json.h"
#include "nnm/base/output.h"
#include "nnm/base/text.h"
#include "nnm/run/evaluate.h"
#include "nnm/run/hook_trace.h"

namespace nnm::cli {

namespace {

struct PredictOptions {
  std::string file, split, format;
  lang::LoadOptions config;
  run::WeightsOptions weights;
  run::PredictOptions predict;
  bool ema = false, partial = false, hooks = true, strict = false;
  Compute compute;
};

std::string json(const std::string& path, const run::Prediction& p) {
  Json j;
  j.object().entry("path", path).entry("samples", p.samples).key("outputs").array();
  for (const auto& [name, shape] : p.outputs)
    j.object().entry("name", name).entry("shape", shape.vec()).end();
  return j.end().end().text();
}

std::string text(const run::Prediction& p) {
  std::string out = counted(p.samples, "sample") + ":";
  for (const auto& [name, shape] : p.outputs) out += fmt::format(" {} {}", name, shape.str());
  return out;
}

int run_predict(const PredictOptions& o) {
  if (o.predict.input.empty() && o.split.empty())
    throw Error(ErrorKind::config, "there is nothing to predict from",
                "say --input FILE, or --split NAME of the config's data");
  NNM_CHECK(o.predict.input.empty() || o.split.empty(), config,
            "--input and --split exclude one another");
  run::Source source = run::open_source(o.file, {o.config, o.weights.best});
  run::SessionOptions s;
  s.device = o.compute.apply();
  s.check.evaluation = true;
  s.check.split = o.split;
  s.check.hooks = o.hooks;
  s.check.input = o.predict.input;
  s.check.batch = o.predict.batch;
  s.data = o.predict.input.empty();
  const std::string weights = run::resolve_weights(source, o.weights);
  refuse_inputs(o.predict.output, {weights, source.config.path()});
  run::Session session(std::move(source), s);
  session.load_weights(weights, o.partial, o.ema);
  if (o.predict.dry_run) {
    run::predict(session, o.predict);
    print_planned(o.predict.output, o.format);
    return 0;
  }
  run::HookTrace trace(session, run::trace_path(session, weights, "predict"), weights);
  const run::Prediction p = run::predict(session, o.predict);
  trace.close();
  const bool silent = session.warn_silent_hooks(false) > 0;
  if (o.format == "json") {
    print_line(json(o.predict.output, p));
  } else {
    print_line(o.predict.output);
    print_line(text(p));
  }
  return silent && o.strict ? exit_code(ErrorKind::negative) : 0;
}

}  // namespace

Action predict(App app) {
  auto o = std::make_shared<PredictOptions>();
  app.add_option("file", o->file, "a config, a checkpoint or a run");
  app.add_option("--input", o->predict.input,
                 "HDF5 with one dataset per input, or one CSV, npy, idx or image file");
  app.add_option("--split", o->split, "a split of the config's data, in place of --input");
  app.add_option("-o,--output", o->predict.output, "what to write: .h5, .npy or .csv")
      .required()
      .output();
  add_weights(app, o->weights);
  app.add_flag("--best", o->weights.best, "the best checkpoint of a run, not the last");
  app.add_flag("--ema", o->ema, "the averages of the weights (train.ema)");
  add_no_hooks(app, o->hooks);
  app.add_flag("--strict", o->strict, "a hook that never fired makes the exit code 1");
  app.add_flag("--partial", o->partial, "load the weights that fit");
  app.add_option("--batch", o->predict.batch, "samples at once").between(1, int64_t{1} << 31);
  app.add_flag("--dry-run", o->predict.dry_run,
               "build, load the weights, say what would be written");
  add_overrides(app, o->config);
  add_format(app, o->format);
  o->compute.declare(app);
  return [o] { return run_predict(*o); };
}

}  // namespace nnm::cli
