// nnm verify: the checksums and structure of checkpoints and traces.
#include <memory>

#include "cli/verb.h"
#include "nnm/base/error.h"
#include "nnm/base/json.h"
#include "nnm/base/text.h"
#include "nnm/io/manifest.h"
#include "nnm/run/source.h"

namespace nnm::cli {

namespace {

struct VerifyOptions {
  std::vector<std::string> files;
  std::string format;
};

/// What is known of one file: its report, or why there is none.
struct Result {
  io::VerifyReport report;
  std::string unreadable;
  bool ok() const { return unreadable.empty() && report.ok(); }
};

Result look(const std::string& path) {
  Result r;
  try {
    r.report = io::verify(run::checkpoint_of(path));
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::input_file) throw;
    r.unreadable = e.what();
  }
  r.report.path = path;
  return r;
}

std::string json(const std::vector<Result>& results) {
  Json j(2);
  j.object().key("files").array();
  for (const Result& r : results) {
    j.object().entry("path", r.report.path).entry("ok", r.ok()).key("problems").array();
    if (!r.unreadable.empty()) j.object().entry("dataset", "").entry("problem", r.unreadable).end();
    for (const io::VerifyLine& l : r.report.lines)
      if (!l.problem.empty())
        j.object().entry("dataset", l.dataset).entry("problem", l.problem).end();
    j.end().end();
  }
  return j.end().end().text();
}

std::string text(const Result& r) {
  std::string out;
  if (!r.unreadable.empty()) return escape_terminal(r.unreadable) + "\n";
  for (const io::VerifyLine& l : r.report.lines)
    out +=
        fmt::format("{}  {}\n", l.problem.empty() ? "ok  " : "BAD ", escape_terminal(l.dataset)) +
        (l.problem.empty() ? "" : fmt::format("      {}\n", escape_terminal(l.problem)));
  out += fmt::format("{}: {} ({}, {})\n", escape_terminal(r.report.path), r.ok() ? "ok" : "DAMAGED",
                     r.report.format.empty() ? "unreadable" : r.report.format,
                     counted(std::ssize(r.report.lines), "dataset"));
  return out;
}

int run_verify(const VerifyOptions& o) {
  std::vector<Result> results;
  for (const std::string& path : o.files) results.push_back(look(path));
  if (o.files.empty()) results.push_back(look(run::newest_of_here()));
  bool damaged = false, unreadable = false;
  for (const Result& r : results) {
    if (o.format == "text") print(text(r));
    unreadable |= !r.unreadable.empty();
    damaged |= !r.ok();
  }
  if (o.format == "json") print_line(json(results));
  return unreadable ? exit_code(ErrorKind::input_file) : damaged ? 1 : 0;
}

}  // namespace

Action verify(App app) {
  auto o = std::make_shared<VerifyOptions>();
  app.add_option("files", o->files,
                 "checkpoints, traces and run folders (default: that of the newest run)");
  add_format(app, o->format);
  return [o] { return run_verify(*o); };
}

}  // namespace nnm::cli
