// What nnm inspect says of a trace: its sites with their statistics; on a terminal as a tree, with
// small pictures of histograms and of how a statistic went.
#include <algorithm>
#include <cmath>
#include <map>

#include "cli/inspect.h"
#include "cli/selection.h"
#include "cli/verb.h"
#include "kernels/statistics.h"
#include "nnm/base/json.h"
#include "nnm/base/log.h"
#include "nnm/base/text.h"
#include "nnm/base/text_table.h"
#include "nnm/io/trace_cube.h"
#include "nnm/io/trace_file.h"

namespace nnm::cli {

namespace {

constexpr size_t kPoints = 24;  // of the picture of a course
/// A tensor larger than this is not read for its histogram.
constexpr int64_t kPictureBytes = int64_t{64} << 20;

/// A trace, and those of its sites that were asked for.
class InspectedTrace {
 public:
  InspectedTrace(const std::string& path, const std::string& select)
      : trace(path, true),
        sites(trace.sites()),
        stats(trace.stats()),
        steps(trace.steps()),
        values_(trace.file(), "/stats/values"),
        bins_(trace.file(), "/stats/histogram") {
    if (trace.file().attribute(trace.file().root(), "complete") != Value(1))
      log_warning("{}: the file was not finished: this is what reached it", path);
    std::set<std::string> chosen;
    if (!select.empty()) chosen = select_sites(trace.modules(), sites, select);
    for (size_t i = 0; i < sites.size(); ++i) {
      const io::TraceSite& s = sites[i];
      if (select.empty() || chosen.contains(s.module + "/" + s.what + "/" + s.arg))
        rows.push_back(i);
    }
  }

  std::string json();
  std::string csv();
  std::string text();

  io::TraceReader trace;
  std::vector<io::TraceSite> sites;
  std::vector<io::TraceStat> stats;
  std::vector<io::TraceStep> steps;
  std::vector<size_t> rows;

 private:
  std::vector<double> values(size_t step, size_t site);
  std::vector<std::string> about(size_t site) const;
  void add_statistics(std::vector<std::string>& cells, size_t step, size_t site,
                      const std::string& format);
  TextTable tree();
  std::string histogram(size_t site);
  std::string course(size_t site, size_t stat);

  io::TraceCube values_, bins_;
};

std::string site_name(const io::TraceSite& s) {
  std::string out = s.module + "/" + s.what + "/" + s.arg;
  return s.call ? fmt::format("{}#{}", out, s.call) : out;
}

/// One per statistic, NaN where the site was not seen in that step.
std::vector<double> InspectedTrace::values(size_t step, size_t site) {
  const auto row = values_.row(static_cast<int64_t>(step), static_cast<int64_t>(site));
  return row && row->size() == stats.size() ? *row
                                            : std::vector<double>(stats.size(), std::nan(""));
}

std::vector<std::string> InspectedTrace::about(size_t site) const {
  const io::TraceSite& s = sites[site];
  return {s.module,           s.what, s.arg, std::to_string(s.call), s.hook, info(s.dtype).name,
          shape_cell(s.shape)};
}

void InspectedTrace::add_statistics(std::vector<std::string>& cells, size_t step, size_t site,
                                    const std::string& format) {
  const std::vector<double> v = values(step, site);
  for (size_t k = 0; k < v.size(); ++k) {
    const bool count = stats[k].unit == "count";
    if (count && std::isnan(v[k])) cells.emplace_back();
    else if (count) cells.push_back(std::to_string(static_cast<int64_t>(v[k])));
    else cells.push_back(number_cell(v[k], format == "csv"));
  }
}

std::string InspectedTrace::json() {
  // Steps are read in their order, sites written one after the other.
  std::vector<std::vector<std::vector<double>>> courses(rows.size()), bins(rows.size());
  for (size_t t = 0; t < steps.size(); ++t)
    for (size_t r = 0; r < rows.size(); ++r) {
      courses[r].push_back(values(t, rows[r]));
      const auto counts = bins_.row(static_cast<int64_t>(t), static_cast<int64_t>(rows[r]));
      if (counts) bins[r].push_back(*counts);
    }
  Json j(2);
  j.object().entry("kind", "trace").entry("steps", static_cast<int64_t>(steps.size()));
  j.key("sites").array();
  for (size_t i : rows) {
    const io::TraceSite& s = sites[i];
    j.object().entry("module", s.module).entry("what", s.what).entry("arg", s.arg);
    j.entry("call", s.call).entry("hook", s.hook).entry("shape", s.shape);
    j.entry("dtype", info(s.dtype).name).end();
  }
  j.end();
  if (bins_.width()) j.entry("bin_edges", trace.bin_edges());
  j.key("stats").object();
  for (size_t r = 0; r < rows.size(); ++r) {
    if (!values_.width() && !bins_.width()) break;
    j.key(site_name(sites[rows[r]])).object();
    for (size_t k = 0; k < stats.size(); ++k) {
      std::vector<double> over_steps;
      for (const std::vector<double>& v : courses[r]) over_steps.push_back(v[k]);
      j.entry(stats[k].name, over_steps);
    }
    if (bins_.width()) j.entry("histogram", bins[r]);
    j.end();
  }
  return j.end().end().text() + "\n";
}

/// A row per step and site.
std::string InspectedTrace::csv() {
  std::vector<std::string> head = {"step", "module", "what",  "arg",
                                   "call", "hook",   "dtype", "shape"};
  for (const io::TraceStat& s : stats) head.push_back(s.name);
  TextTable table(std::move(head), 0);
  for (size_t t = 0; t < steps.size(); ++t)
    for (size_t i : rows) {
      std::vector<std::string> cells = about(i);
      cells.insert(cells.begin(), std::to_string(steps[t].step));
      add_statistics(cells, t, i, "csv");
      table.row(std::move(cells));
    }
  return table.csv();
}

/// A row per site, with its statistics in the last step.
std::string InspectedTrace::text() {
  std::string out =
      fmt::format("trace, {}, {}, {}\n", counted(std::ssize(steps), "step"),
                  counted(std::ssize(rows), "site"), counted(std::ssize(trace.calls()), "call"));
  if (steps.size() > 1)
    out += fmt::format("statistics of step {}, the last one\n", steps.back().step);
  out += "\n";
  if (colour(1)) return out + tree().text();
  std::vector<std::string> head = {"module", "what", "arg", "call", "hook", "dtype", "shape"};
  for (const io::TraceStat& s : stats) head.push_back(s.name);
  TextTable table(std::move(head), stats.size());
  for (size_t i : rows) {
    std::vector<std::string> cells = about(i);
    if (steps.empty()) cells.resize(cells.size() + stats.size());
    else add_statistics(cells, steps.size() - 1, i, "text");
    table.row(std::move(cells));
  }
  return out + table.text();
}

/// The modules as they are nested, each with its sites below it.
TextTable InspectedTrace::tree() {
  const std::vector<io::ModuleRow> modules = trace.modules();
  std::map<std::string, std::vector<size_t>> of_module;
  for (size_t i : rows) of_module[sites[i].module].push_back(i);
  const auto shown = [&](const std::string& path) {
    return path.empty() || std::any_of(of_module.begin(), of_module.end(), [&](const auto& m) {
             return m.first == path || m.first.starts_with(path + ".");
           });
  };
  const auto course_of = std::find_if(stats.begin(), stats.end(), [](const io::TraceStat& s) {
    return s.name == "std" || s.name == "l2" || s.name == "absmax" || s.name == "mean";
  });
  const bool courses = steps.size() > 1 && course_of != stats.end();
  std::vector<std::string> head = {"site", "hook", "dtype", "shape", "histogram"};
  if (courses) head.push_back(course_of->name + " over steps");
  for (const io::TraceStat& s : stats) head.push_back(s.name);
  TextTable table(std::move(head), stats.size());
  for (const io::ModuleRow& m : modules) {
    if (!m.alias_of.empty() || !shown(m.name)) continue;
    const bool root = m.name.empty();
    const auto depth = root ? 0 : 1 + std::count(m.name.begin(), m.name.end(), '.');
    const std::string indent(static_cast<size_t>(2 * depth), ' ');
    std::vector<std::string> line(5 + courses + stats.size());
    line[0] = root ? m.type
                   : fmt::format("{}{} ({})", indent, m.name.substr(m.name.rfind('.') + 1), m.type);
    table.row(std::move(line));
    for (size_t i : of_module[root ? m.type : m.name]) {
      const io::TraceSite& s = sites[i];
      std::vector<std::string> cells = {fmt::format("{}  · {} {}{}", indent, s.what, s.arg,
                                                    s.call ? fmt::format("#{}", s.call) : ""),
                                        s.hook, info(s.dtype).name, shape_cell(s.shape),
                                        histogram(i)};
      if (courses) cells.push_back(course(i, static_cast<size_t>(course_of - stats.begin())));
      if (steps.empty()) cells.resize(cells.size() + stats.size());
      else add_statistics(cells, steps.size() - 1, i, "text");
      table.row(std::move(cells));
    }
  }
  return table;
}

/// Of the last step: what was recorded, else worked out from the tensor if that was kept.
std::string InspectedTrace::histogram(size_t site) {
  if (steps.empty()) return "";
  const auto last = static_cast<int64_t>(steps.size()) - 1;
  if (const auto bins = bins_.row(last, static_cast<int64_t>(site)))
    return picture(*bins, trace.bin_edges());
  const io::TraceSite& s = sites[site];
  for (const io::TraceRecords& r : trace.records()) {
    if (r.module != s.module || r.what != s.what) continue;
    for (size_t i = r.step.size(); i-- > 0;) {
      if (r.call[i] != s.call || r.step[i] != steps.back().step) continue;
      if (std::find(r.args.begin(), r.args.end(), s.arg) == r.args.end()) return "";
      int64_t bytes = static_cast<int64_t>(item_size(s.dtype));
      for (int64_t e : s.shape) bytes *= e;
      const Tensor t =
          bytes > kPictureBytes ? Tensor() : trace.tensor(r, s.arg, static_cast<int64_t>(i));
      if (!t.defined()) return "";
      TensorStatistics sums;
      uint32_t bins[kHistogramBins] = {};
      kernels::statistics(t.view(), &sums, bins);
      return picture({std::begin(bins), std::end(bins)}, histogram_edges());
    }
  }
  return "";
}

/// How a statistic went, at evenly chosen steps.
std::string InspectedTrace::course(size_t site, size_t stat) {
  const size_t points = std::min(steps.size(), kPoints);
  std::vector<double> course;
  for (size_t p = 0; p < points; ++p)
    course.push_back(values(points > 1 ? p * (steps.size() - 1) / (points - 1) : 0, site)[stat]);
  double least = INFINITY, most = -INFINITY;
  for (double v : course) {
    if (!std::isfinite(v)) continue;
    least = std::min(least, v);
    most = std::max(most, v);
  }
  return sparkline(course, least, most);
}

}  // namespace

std::string inspect_trace(const std::string& path, const InspectOptions& o) {
  if (o.config) return io::TraceReader(path, true).config();
  InspectedTrace trace(path, o.select);
  if (o.format == "json") return trace.json();
  return o.format == "csv" ? trace.csv() : trace.text();
}

}  // namespace nnm::cli
