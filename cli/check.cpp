// nnm check: everything that can be said of a config before data are read and memory is taken.
#include <memory>

#include "cli/config_file.h"
#include "nnm/base/error.h"
#include "nnm/base/log.h"
#include "nnm/base/text.h"
#include "nnm/lang/diagnostic_formats.h"
#include "nnm/run/check.h"

namespace nnm::cli {

namespace {

struct CheckOptions {
  std::vector<std::string> files, shapes;
  lang::LoadOptions config;
  std::string format;
};

/// What is to be said of one file, and the exit code it asks for.
struct Verdict {
  Diagnostics diagnostics;
  std::string good;  ///< the line of a file that is well
  int code = 0;
};

Verdict diagnose(const std::string& file, const CheckOptions& o) {
  Verdict v;
  try {
    const run::Source source = run::open_source(file, {.config = o.config});
    run::Checked c = run::check(source.config, {.shapes = read_shapes(o.shapes), .complete = true});
    // Errors of shapes have the notes with them.
    if (!c.diagnostics.has_errors())
      for (const std::string& n : c.notes) log_note("note: {}", n);
    if (c.model.module && !c.diagnostics.has_errors()) {
      int64_t parameters = 0;
      for (const Tensor& p : c.model.module->parameters()) parameters += p.numel();
      v.good = fmt::format("{}: ok ({}, {})", escape_terminal(source.config.path()),
                           c.model.module->type_name(), counted(parameters, "parameter"));
    }
    if (c.diagnostics.has_errors()) v.code = exit_code(c.kind);
    v.diagnostics = std::move(c.diagnostics);
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::internal) throw;
    v.diagnostics = diagnostics_of(e);
    v.code = exit_code(e.kind());
  }
  return v;
}

int run_check(const CheckOptions& o) {
  std::vector<std::string> files = o.files;
  if (files.empty()) files.emplace_back();
  std::vector<Diagnostics> all;
  int code = 0;
  for (const std::string& file : files) {
    Verdict v = diagnose(file, o);
    if (code == 0) code = v.code;
    if (o.format == "text") {
      std::fputs(v.diagnostics.render(colour(2)).c_str(), stderr);
      if (!v.good.empty()) print_line(v.good);
    }
    all.push_back(std::move(v.diagnostics));
  }
  if (o.format != "text") print(lang::format_diagnostics(all, o.format));
  return code;
}

}  // namespace

Action check(App app) {
  auto o = std::make_shared<CheckOptions>();
  app.add_option("files", o->files, "configs, checkpoints or run folders");
  add_overrides(app, o->config);
  add_shape(app, o->shapes);
  add_format(app, o->format);
  add_diagnostics(app, o->format);
  return [o] { return run_check(*o); };
}

}  // namespace nnm::cli
