// nnm report: one page about a run.
#include <memory>

#include "cli/config_file.h"
#include "cli/dry_run.h"
#include "nnm/base/file.h"
#include "nnm/base/output.h"
#include "nnm/run/page.h"

namespace nnm::cli {

namespace {

struct ReportOptions {
  std::string run, output, format;
  bool best = false, dry_run = false;
};

int run_report(ReportOptions o) {
  const std::string checkpoint =
      o.run.empty() ? run::newest_of_here(o.best) : run::checkpoint_of(o.run, o.best);
  const std::string folder = run::run_of(checkpoint);
  if (o.output.empty()) o.output = folder.empty() ? "report.html" : folder + "/report.html";
  check_writable(o.output);
  refuse_inputs(o.output, {checkpoint});
  check_ending(o.output, {".html", ".htm"});
  const std::string page = run::html_page(checkpoint);
  if (!o.dry_run) write_file_atomic(o.output, page);
  if (o.dry_run) print_planned(o.output, o.format);
  else print_written(o.output, o.format);
  return 0;
}

}  // namespace

Action report(App app) {
  auto o = std::make_shared<ReportOptions>();
  app.add_option("run", o->run, "a run folder or a checkpoint (default: the newest run)");
  app.add_option("-o,--output", o->output,
                 "the page to write (default: report.html in the run's folder)")
      .output();
  app.add_flag("--best", o->best, "of a run, the best checkpoint instead of the last");
  app.add_flag("--dry-run", o->dry_run, "look at everything, write nothing");
  add_format(app, o->format);
  return [o] { return run_report(*o); };
}

}  // namespace nnm::cli
