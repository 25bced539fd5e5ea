// nnm inspect: what lies in a checkpoint, a trace or any HDF5 file.
#include "cli/inspect.h"

#include <cmath>
#include <filesystem>
#include <memory>
#include <utility>

#include "cli/verb.h"
#include "nnm/base/text_table.h"
#include "nnm/io/inspect.h"
#include "nnm/run/source.h"

namespace nnm::cli {

namespace {

/// `--rules` alone means all; a file behind it is the file to look into.
void read_rules(InspectOptions& o) {
  if (o.file.empty() && std::filesystem::exists(o.rules)) o.file = std::exchange(o.rules, "all");
}

std::string answer(const InspectOptions& o) {
  std::string path = o.file;
  if (path.empty()) path = run::newest_of_here(o.best);
  else if (std::filesystem::is_directory(path)) path = run::checkpoint_of(path, o.best);
  const std::string format = io::format_of(path);
  if (!o.rules.empty()) return inspect_rules(path, o);
  if (format == "nnm-checkpoint") return inspect_checkpoint(path, o);
  if (format == "nnm-trace") return inspect_trace(path, o);
  return inspect_other(path, o);
}

}  // namespace

void write_statistics(Json& j, const io::Statistics& s) {
  j.entry("mean", s.mean).entry("std", s.std).entry("min", s.min).entry("max", s.max);
  j.entry("norm", s.norm).entry("nan", s.nan).entry("inf", s.inf).entry("zero", s.zero);
  j.entry("histogram", s.bins);
}

namespace {

/// Pictures are for people.
bool pictures(const std::string& format) { return format == "text" && colour(1); }

}  // namespace

void add_statistics_head(std::vector<std::string>& head, const std::string& format) {
  if (pictures(format)) head.emplace_back("histogram");
  for (const char* name : {"mean", "std", "min", "max", "norm", "nan", "inf", "zero"})
    head.emplace_back(name);
}

void add_statistics(std::vector<std::string>& cells, const io::Statistics& s,
                    const std::string& format) {
  if (pictures(format)) cells.push_back(picture({s.bins.begin(), s.bins.end()}, histogram_edges()));
  for (double x : {s.mean, s.std, s.min, s.max, s.norm})
    cells.push_back(number_cell(x, format == "csv"));
  for (int64_t n : {s.nan, s.inf, s.zero}) cells.push_back(std::to_string(n));
}

Action inspect(App app) {
  auto o = std::make_shared<InspectOptions>();
  app.add_option("file", o->file,
                 "a checkpoint, trace, run folder or any HDF5 file (default: the newest run's)");
  app.add_option("--select", o->select,
                 "modules and tensors: a selector such as 'conv1.**, Linear'");
  app.add_option("--rules", o->rules,
                 "replay rules over a trace: 'nonfinite, dead_relu(threshold_layer=40)'; all of "
                 "them where none is named")
      .may_stand_alone("all");
  app.add_flag("--config", o->config, "print the config that lies in the file");
  app.add_flag("--best", o->best, "of a run, the best checkpoint instead of the last");
  add_format(app, o->format, {"text", "json", "csv"});
  return [o] {
    read_rules(*o);
    print(answer(*o));
    return 0;
  };
}

}  // namespace nnm::cli
