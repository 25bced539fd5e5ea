// nnm train: a training run in a folder of its own.
#include <cstdio>
#include <memory>

#include "cli/verb.h"
#include "nnm/base/error.h"
#include "nnm/base/log.h"
#include "nnm/run/train.h"

namespace nnm::cli {

namespace {

struct TrainOptions {
  std::string file, resume, time_limit, progress = "auto", format;
  std::vector<std::string> trace;
  lang::LoadOptions config;
  Compute compute;
  run::TrainOptions train;
};

/// Hooks of --trace come first, so that --set may change them, and are there with --no-hooks, too.
lang::LoadOptions overrides(TrainOptions& o) {
  lang::LoadOptions all = o.config;
  std::vector<std::string> out;
  if (!o.train.hooks && !o.trace.empty()) out.emplace_back("hooks=[]");
  for (const std::string& trace : o.trace) {
    const lang::LoadOptions hooks = lang::hook_overrides(trace);
    out.insert(out.end(), hooks.set.begin(), hooks.set.end());
    all.written.insert(all.written.end(), hooks.written.begin(), hooks.written.end());
  }
  o.train.hooks |= !o.trace.empty();
  all.set.insert(all.set.begin(), out.begin(), out.end());
  return all;
}

int run_train(TrainOptions o) {
  run::TrainOptions& t = o.train;
  t.source = run::open_source(o.file, {overrides(o)});
  t.device = o.compute.apply();
  t.resume = !o.resume.empty();
  if (t.resume && o.resume != "true") t.resume_from = o.resume;
  if (!o.time_limit.empty()) t.time_limit = train::parse_seconds(o.time_limit);
  t.progress = run::parse_progress(o.progress);
  if (log_level() == LogLevel::quiet && t.progress == run::ProgressStyle::automatic)
    t.progress = run::ProgressStyle::none;
  const bool json = o.format == "json";
  if (!json)
    t.announce = [](const std::string& folder) {
      print_line(folder);
      // A run goes on where this cannot be written; its end says so.
      std::fflush(stdout);
    };
  const run::TrainResult result = run::train(std::move(t));
  print_line(json ? result.json() : result.line());
  return result.exit_code;
}

}  // namespace

Action train(App app) {
  auto o = std::make_shared<TrainOptions>();
  run::TrainOptions& t = o->train;
  app.add_option("file", o->file, "a config, or a run to go on with");
  app.add_flag("--resume", o->resume,
               "go on from the newest checkpoint of the run, or from --resume=CHECKPOINT");
  app.add_option("--run", t.run, "the run's folder (default: runs/<config>/<number>)");
  app.add_flag("--force", t.force, "start anew in a folder that holds a run");
  app.add_option("--max", t.max, "how long to train, in place of train.max: '10 epochs'");
  app.add_option("--time-limit", o->time_limit,
                 "stop after so long, to be resumed: '55 min' (exit code 75)");
  app.add_option("--weights", t.weights, "weights to start from");
  app.add_flag("--partial", t.partial, "load the weights that fit");
  app.add_flag("--verify-resume", t.verify_resume,
               "afterwards prove that a stopped and resumed run is the same, bit for bit");
  add_no_hooks(app, t.hooks);
  app.add_option("--trace", o->trace,
                 "further hooks, such as captures: a YAML file, or a hook as YAML (repeatable)")
      .repeatable();
  app.add_flag("--strict", t.strict, "a hook that never fired makes the exit code 1");
  app.add_flag("--dry-run", t.dry_run, "build, open the data, say what would be done, and stop");
  app.add_option("--events", t.events, "write the run's events there, too: FILE or fd:N").output();
  app.add_option("--progress", o->progress, "auto, bar, plain or none");
  add_overrides(app, o->config);
  add_format(app, o->format);
  o->compute.declare(app);
  return [o] { return run_train(std::move(*o)); };
}

}  // namespace nnm::cli
