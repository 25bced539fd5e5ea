// nnm export: weights, graphs and diagrams for other programs.
#include <filesystem>
#include <memory>

#include "cli/config_file.h"
#include "cli/dry_run.h"
#include "cli/selection.h"
#include "nnm/base/error.h"
#include "nnm/base/file.h"
#include "nnm/base/output.h"
#include "nnm/io/module_rows.h"
#include "nnm/io/safetensors.h"
#include "nnm/io/torch_file.h"
#include "nnm/run/diagram.h"
#include "nnm/run/onnx/export.h"
#include "nnm/run/session.h"

namespace nnm::cli {

namespace {

struct ExportOptions {
  ConfigFile file;
  run::WeightsOptions weights;
  std::vector<std::string> shapes;
  std::string to, output, format, select;
  bool ema = false, partial = false, dry_run = false;
};

/// What is written: the model with its weights, or a text about it. `path` is "" in a dry run.
struct Format {
  const char* name;
  std::vector<std::string> endings;  // the first is the usual one
  void (*weights)(const std::string& path, const std::vector<io::NamedTensor>& tensors);
  void (*model)(const std::string& path, run::Session& session);
  std::string (*diagram)(const run::Summary& s);
};

/// All of the model, or what `--select` picks.
std::vector<io::NamedTensor> weights_of(const run::Session& session, const std::string& select) {
  std::vector<io::NamedTensor> out;
  std::vector<std::string> names;
  for (const auto& [name, value] : session.model()->state_dict()) {
    if (!value.is(Value::Kind::tensor)) continue;
    out.push_back({name, value.as<Tensor>()});
    names.push_back(name);
  }
  if (select.empty()) return out;
  const std::set<std::string> picked =
      select_tensors(io::module_rows(*session.model()), names, select);
  std::erase_if(out, [&](const io::NamedTensor& t) { return !picked.contains(t.name); });
  return out;
}

const std::vector<Format>& formats() {
  static const std::vector<Format> all = {
      {"safetensors",
       {".safetensors"},
       [](const std::string& path, const std::vector<io::NamedTensor>& tensors) {
         io::write_safetensors(path, tensors, {{"format", "pt"}});
       },
       nullptr,
       nullptr},
      {"pytorch", {".pt", ".pth", ".bin"}, io::write_torch, nullptr, nullptr},
      {"onnx",
       {".onnx"},
       nullptr,
       [](const std::string& path, run::Session& session) {
         const io::OnnxGraph graph = run::to_onnx(session);
         if (!path.empty()) io::write_onnx(path, graph);
       },
       nullptr},
      {"dot", {".dot", ".gv"}, nullptr, nullptr, run::to_dot},
      {"mermaid", {".mmd", ".mermaid", ".md"}, nullptr, nullptr, run::to_mermaid}};
  return all;
}

/// The model with its weights, without the hooks of the config: they are not part of it.
run::Session open(run::Source source, const ExportOptions& o) {
  run::WeightsOptions weights = o.weights;
  weights.best = o.file.best;
  const std::string path = run::resolve_weights(source, weights);
  refuse_inputs(o.output, {path});
  run::SessionOptions s;
  s.check.shapes = read_shapes(o.shapes);
  s.check.hooks = false;
  s.data = false;
  run::Session session(std::move(source), s);
  session.load_weights(path, o.partial, o.ema);
  return session;
}

int run_export(ExportOptions o) {
  auto format = formats().begin();
  while (o.to != format->name) ++format;
  if (!o.select.empty() && !format->weights)
    throw Error(ErrorKind::config,
                fmt::format("--select picks tensors, and {} takes the whole model", o.to),
                "--to safetensors and --to pytorch take some");
  run::Source source = o.file.open();
  if (o.output.empty())
    o.output = std::filesystem::path(source.config.path()).stem().string() + format->endings[0];
  check_writable(o.output);
  refuse_inputs(o.output, {source.config.path(), source.checkpoint});
  check_ending(o.output, format->endings);
  if (format->diagram) {
    const std::string text = format->diagram(run::summarise(source.config, read_shapes(o.shapes)));
    if (!o.dry_run) write_file_atomic(o.output, text);
  } else {
    run::Session session = open(std::move(source), o);
    const std::string path = o.dry_run ? "" : o.output;
    if (format->model) {
      format->model(path, session);
    } else {
      const std::vector<io::NamedTensor> tensors = weights_of(session, o.select);
      if (!path.empty()) format->weights(path, tensors);
    }
  }
  if (o.dry_run) print_planned(o.output, o.format);
  else print_written(o.output, o.format);
  return 0;
}

}  // namespace

Action export_(App app) {
  auto o = std::make_shared<ExportOptions>();
  std::vector<std::string> names;
  for (const Format& f : formats()) names.emplace_back(f.name);
  o->file.declare(app);
  app.add_option("--to", o->to, "what for: weights, the graph, or a diagram of the modules")
      .required()
      .one_of(names);
  app.add_option("-o,--output", o->output,
                 "the file to write (default: the config's name with the usual ending, here)")
      .output();
  add_weights(app, o->weights);
  app.add_flag("--ema", o->ema, "the averages of the weights (train.ema)");
  app.add_flag("--partial", o->partial, "load the weights that fit");
  app.add_option("--select", o->select,
                 "of the weights those of some modules and tensors: a selector such as "
                 "'encoder.**, Linear.bias'");
  add_shape(app, o->shapes);
  app.add_flag("--dry-run", o->dry_run, "build, load the weights, say what would be written");
  add_format(app, o->format);
  return [o] { return run_export(*o); };
}

}  // namespace nnm::cli
