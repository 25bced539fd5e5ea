// nnm check: everything that can be said of a config before data are read and memory is taken.
#include <algorithm>
#include <memory>

#include "cli/config_file.h"
#include "nnm/base/error.h"
#include "nnm/base/json.h"
#include "nnm/base/log.h"
#include "nnm/base/text.h"
#include "nnm/run/check.h"

namespace nnm::cli {

namespace {

struct Options {
  std::vector<std::string> files, set, shapes;
  std::string format;
};

Diagnostics diagnose(const std::string& file, const Options& o, std::string& good) {
  try {
    const run::Source source = run::open_source(file, {.set = o.set});
    run::Checked c = run::check(source.config, {.shapes = read_shapes(o.shapes)});
    for (const std::string& n : c.notes) log_note("note: {}", n);
    if (c.model.module && !c.diagnostics.has_errors()) {
      int64_t parameters = 0;
      for (const Tensor& p : c.model.module->parameters()) parameters += p.numel();
      good = fmt::format("{}: ok ({}, {} parameters)", escape_terminal(source.config.path()),
                         c.model.module->type_name(), with_thousands(parameters));
    }
    return std::move(c.diagnostics);
  } catch (const DiagnosticError& e) {
    return e.diagnostics;
  }
}

void write(Json& j, const Diagnostic& d) {
  j.object().entry("code", d.code).entry("message", d.message);
  j.entry("file", d.span ? d.span.file->path : "");
  j.entry("line", d.span.line)
      .entry("column", d.span.column)
      .entry("end_column", d.span.end_column);
  j.entry("help", d.help).key("notes").array();
  for (const Note& n : d.notes) j.value(n.text);
  j.end().end();
}

int run(const Options& o) {
  std::vector<std::string> files = o.files;
  if (files.empty()) files.emplace_back();
  bool ok = true;
  Json j(2);
  j.object().key("diagnostics").array();
  for (const std::string& file : files) {
    std::string good;
    const Diagnostics d = diagnose(file, o, good);
    ok &= !d.has_errors();
    for (const Diagnostic& one : d.all()) write(j, one);
    if (o.format != "text") continue;
    std::fputs(d.render(colour(2)).c_str(), stderr);
    if (!good.empty()) print_line(good);
  }
  if (o.format == "json") print_line(j.end().entry("ok", ok).end().text());
  return ok ? 0 : exit_code(ErrorKind::config);
}

}  // namespace

Action check(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.add_option("files", o->files, "configs, checkpoints or run folders");
  add_set(app, o->set);
  add_shape(app, o->shapes);
  add_format(app, o->format);
  app.add_option("--diagnostics", o->format, "the same as --format")
      ->check(CLI::IsMember(std::vector<std::string>{"text", "json"}));
  return [o] { return run(*o); };
}

}  // namespace nnm::cli
