// nnm trace: what the hooks of a model see, recorded into HDF5.
#include <filesystem>
#include <memory>

#include "cli/config_file.h"
#include "nnm/base/error.h"
#include "nnm/base/file.h"
#include "nnm/base/json.h"
#include "nnm/base/log.h"
#include "nnm/base/output.h"
#include "nnm/base/text.h"
#include "nnm/base/text_table.h"
#include "nnm/data/file.h"
#include "nnm/run/trace.h"

namespace nnm::cli {

namespace {

struct TraceOptions {
  ConfigFile file;
  Compute compute;
  run::TraceOptions trace;
  run::WeightsOptions weights;
  std::vector<std::string> hooks, rules, shapes;
  std::string checkpoint, split, max_bytes, what, reduce, select, tensor = "full", mode = "eval",
                                                                  loss, format;
  bool list = false, strict = false, dry_run = false, partial = false;
};

void declare(App app, TraceOptions& o) {
  o.file.declare(app);
  app.add_option("--checkpoint", o.checkpoint, "the checkpoint to trace");
  app.add_option("--hook", o.hooks,
                 "what to record: KIND[:SELECTOR] (repeatable; default: forward, of all modules); "
                 "kinds: forward_pre, forward, full_backward_pre, full_backward, tensor, "
                 "post_accumulate_grad")
      .repeatable();
  app.add_option(
      "--select", o.select,
      "where the hooks are that name no SELECTOR: a selector such as 'conv1.**, Linear'");
  app.add_option("--what", o.what,
                 "a list of input, output, grad_input, grad_output, weight, weight_grad");
  app.add_option("--reduce", o.reduce, "a list of statistics, or none");
  app.add_option("--tensor", o.tensor, "full, none or slice:BEGIN:END of the first axis");
  app.add_option("--steps", o.trace.steps, "batches to record").between(1, 1 << 30);
  app.add_option("--every", o.trace.every, "record one of so many batches").between(1, 1 << 30);
  app.add_option("--batch", o.trace.batch, "samples of a batch").between(1, 1 << 30);
  app.add_option("--mode", o.mode, "eval or train").one_of({"eval", "train"});
  app.add_option("--max-bytes", o.max_bytes, "of tensors in the file (default: 2GiB)");
  app.add_option("--input", o.trace.input,
                 "run the model on this HDF5, CSV, npy, idx or image file");
  app.add_option("--split", o.split, "run it on this split (default: test, else val, else train)");
  app.add_option("--loss", o.loss, "the loss to run backward (default: train.loss)");
  app.add_option(
         "--fail-on", o.rules,
         "a list of rules, such as nonfinite, dead_relu(threshold_layer=40): the first that "
         "is broken ends the trace with exit code 1, nonfinite with 5 (repeatable)")
      .repeatable();
  app.add_flag("--input-grad", o.trace.input_grad, "floating inputs require grad");
  app.add_option("--weights", o.weights.weights, "load these weights");
  app.add_flag("--fresh", o.weights.fresh, "take fresh weights");
  add_no_hooks(app, o.trace.config_hooks);
  app.add_flag("--strict", o.strict, "a hook that never fired makes the exit code 1");
  app.add_flag("--partial", o.partial, "load of the weights what fits");
  app.add_flag("--list", o.list, "print what would be recorded, and read no data");
  app.add_flag("--dry-run", o.dry_run, "the same");
  add_shape(app, o.shapes);
  app.add_option("-o,--output", o.trace.output, "the file to write").output();
  add_format(app, o.format, {"text", "json", "csv"});
  o.compute.declare(app);
}

void read_capture(TraceOptions& o) {
  tracing::CaptureOptions& c = o.trace.capture;
  if (o.hooks.empty()) o.hooks = {"forward"};
  if (!o.select.empty()) {
    bool any = false;
    for (std::string& h : o.hooks) {
      if (h.find(':') != std::string::npos) continue;
      h += ":" + o.select;
      any = true;
    }
    NNM_CHECK(any, config, "--select is for hooks without a selector, and each --hook has its own");
  }
  for (const std::string& h : o.hooks) c.hooks.push_back(tracing::parse_hook(h));
  if (!o.what.empty()) c.set_what(o.what);
  if (!o.reduce.empty()) c.set_reduce(o.reduce);
  c.tensor = tracing::TensorMode::parse(o.tensor);
  if (!o.max_bytes.empty()) {
    const std::optional<int64_t> bytes = parse_bytes(o.max_bytes);
    if (!bytes)
      throw Error(ErrorKind::config, fmt::format("--max-bytes: `{}` is no size", o.max_bytes),
                  "write a number of bytes, such as 300, 64MiB or 2GiB");
    o.trace.max_bytes = *bytes;
  }
  c.check();
}

/// traces/NNN.h5 of the checkpoint's run, else <stem>-trace.h5 here.
std::string default_output(const run::Source& source, const std::string& weights) {
  const std::string run = weights.empty() ? "" : run::run_of(weights);
  if (run.empty()) return std::filesystem::path(source.config.path()).stem().string() + "-trace.h5";
  const std::string folder = run + "/traces";
  make_folders(folder);
  for (int n = 1;; ++n) {
    std::string file = fmt::format("{}/{:03}.h5", folder, n);
    if (!std::filesystem::exists(file)) return file;
  }
}

// Bytes are those of all steps, as the run would write them.
void print_list(const run::TraceList& list, const TraceOptions& o) {
  const int64_t bytes = list.sites.bytes(), steps = list.steps;
  if (bytes > o.trace.max_bytes)
    log_warning("{} are more than --max-bytes {}: the run would leave records out",
                human_bytes(static_cast<uint64_t>(bytes)),
                human_bytes(static_cast<uint64_t>(o.trace.max_bytes)));
  if (o.format == "json") {
    Json j(2);
    j.object().key("sites").array();
    for (const auto& [s, of_site] : list.sites.rows()) {
      j.object().entry("module", s.module).entry("what", s.what).entry("arg", s.arg);
      j.entry("call", s.call).entry("hook", s.hook).entry("shape", s.shape);
      j.entry("dtype", info(s.dtype).name).entry("bytes", of_site).end();
    }
    print_line(j.end().entry("steps", steps).entry("bytes", bytes).end().text());
    return;
  }
  const bool csv = o.format == "csv";
  TextTable table({"module", "what", "arg", "call", "hook", "dtype", "shape", "bytes"}, 1);
  for (const auto& [s, of_site] : list.sites.rows())
    table.row({s.module, s.what, s.arg, std::to_string(s.call), s.hook, info(s.dtype).name,
               shape_cell(s.shape), csv ? std::to_string(of_site) : with_thousands(of_site)});
  if (csv) return print(table.csv());
  print(table.text());
  print_line(fmt::format("\n{}, {}, {} of tensors", counted(steps, "step"),
                         counted(std::ssize(list.sites.rows()), "site"),
                         human_bytes(static_cast<uint64_t>(bytes))));
}

void print_result(const TraceOptions& o, const run::TraceResult& r) {
  if (r.dropped)
    log_warning("{} did not fit into {}: raise --max-bytes, or narrow --hook",
                counted(r.dropped, "record"),
                human_bytes(static_cast<uint64_t>(o.trace.max_bytes)));
  if (!r.fired) log_warning("no hook fired");
  if (o.format == "json") {
    Json j(2);
    j.object().entry("path", o.trace.output).entry("steps", r.steps).entry("sites", r.sites);
    print_line(j.entry("bytes", r.bytes).entry("dropped", r.dropped).end().text());
    return;
  }
  print_line(o.trace.output);
  print_line(fmt::format("{}, {}, {} of tensors", counted(r.steps, "step"),
                         counted(r.sites, "site"), human_bytes(static_cast<uint64_t>(r.bytes))));
}

/// What would say the same thing in two ways.
void refuse_both(const TraceOptions& o) {
  const auto refuse = [](bool both, const char* a, const char* b) {
    NNM_CHECK(!both, config, "{} and {} exclude one another", a, b);
  };
  refuse(!o.trace.input.empty() && !o.split.empty(), "--input", "--split");
  refuse(!o.checkpoint.empty() && !o.weights.weights.empty(), "--checkpoint", "--weights");
  refuse(!o.checkpoint.empty() && o.weights.fresh, "--checkpoint", "--fresh");
  NNM_CHECK(o.format != "csv" || o.list || o.dry_run, config,
            "--format csv is for the table of --list");
}

int run_trace(TraceOptions o) {
  refuse_both(o);
  read_capture(o);
  o.trace.train = o.mode == "train";
  const Device device = o.compute.apply();
  if (!o.checkpoint.empty()) {
    if (o.file.file.empty()) o.file.file = o.checkpoint;
    else o.weights.weights = run::checkpoint_of(o.checkpoint, o.file.best);
  }
  run::Source source = o.file.open();
  run::SessionOptions session_options;
  session_options.device = device;
  session_options.check.shapes = read_shapes(o.shapes);
  session_options.check.loss = o.loss;
  session_options.check.input = o.trace.input;
  session_options.check.batch = o.trace.batch;
  session_options.check.split = o.split;
  session_options.check.evaluation = true;
  session_options.check.rules = fmt::format("{}", fmt::join(o.rules, ", "));
  session_options.check.recorded = o.trace.capture.hooks;
  session_options.check.hooks = o.trace.config_hooks;
  session_options.data = o.trace.input.empty() && !o.list && !o.dry_run;
  if (o.list || o.dry_run) {
    session_options.device = {DeviceType::meta};
    run::Session session(std::move(source), session_options);
    print_list(run::list_trace(session, o.trace), o);
    return 0;
  }
  o.weights.required = false;
  o.weights.best = o.file.best;
  o.trace.checkpoint = run::resolve_weights(source, o.weights);
  if (o.trace.output.empty()) o.trace.output = default_output(source, o.trace.checkpoint);
  const std::string input = data::split_source(o.trace.input).first;
  refuse_inputs(o.trace.output, {o.trace.checkpoint, source.config.path(), input});
  check_ending(o.trace.output, {".h5", ".hdf5"});
  run::Session session(std::move(source), session_options);
  session.load_weights(o.trace.checkpoint, o.partial);
  const run::TraceResult result = run::record_trace(session, o.trace);
  print_result(o, result);
  const bool silent = session.warn_silent_hooks(result.backward) > 0 || !result.fired;
  if (const auto& f = result.stopped) throw Error(f->kind(), f->message());
  if (silent && o.strict) return exit_code(ErrorKind::negative);
  return result.signal ? 128 + result.signal : 0;
}

}  // namespace

Action trace(App app) {
  auto o = std::make_shared<TraceOptions>();
  declare(app, *o);
  return [o] { return run_trace(*o); };
}

}  // namespace nnm::cli
