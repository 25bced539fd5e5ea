// The sections of a run's page, each from what the checkpoint or the run's folder holds.
#include "nnm/run/page.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "nnm/base/log.h"
#include "nnm/base/text.h"
#include "nnm/base/text_table.h"
#include "nnm/io/inspect.h"
#include "nnm/io/trace_cube.h"
#include "nnm/io/trace_file.h"
#include "nnm/run/page_parts.h"
#include "nnm/run/source.h"
#include "nnm/run/summary.h"
#include "nnm/train/history.h"

namespace nnm::run {

namespace {

namespace fs = std::filesystem;
using Rows = std::vector<std::vector<std::string>>;

constexpr size_t kBins = 30;
constexpr const char* kStyle =
    "body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:75em;padding:0 1em;"
    "color:#222;background:#fff}h1{font-size:1.5em}h2{font-size:1.2em;margin-top:2em;"
    "border-bottom:1px solid #ddd}table{border-collapse:collapse;font-size:.9em}"
    "th,td{text-align:left;padding:.15em .8em .15em 0;white-space:nowrap;vertical-align:middle}"
    "th{border-bottom:1px solid #bbb}td.n{text-align:right;font-variant-numeric:tabular-nums}"
    "pre{background:#f6f6f6;padding:1em;overflow:auto}.wide{overflow-x:auto}"
    ".chart{display:block;margin:1em 0}.chart text{font-size:12px;fill:#444}"
    ".frame{fill:none;stroke:#ccc}polyline{stroke-width:1.5}.bars{fill:#1f77b4}";

std::string number(double v) { return html_text(short_number(v)); }
std::string count(int64_t n) { return with_thousands(n); }

std::string section(const std::string& title, const std::string& body) {
  return body.empty() ? "" : fmt::format("<h2>{}</h2>\n{}", html_text(title), body);
}

std::string preformatted(const std::string& text) {
  return "<pre>" + html_lines(text) + "</pre>\n";
}

std::string wide(const std::string& body) { return "<div class=\"wide\">\n" + body + "</div>\n"; }

train::History history_of(const io::Checkpoint& c) {
  std::vector<std::string> names;
  for (const io::Column& column : c.metrics)
    if (!train::History::reserves(column.name)) names.push_back(column.name);
  train::History history(std::move(names));
  history.restore(c.metrics);
  return history;
}

const Value* best_of(const io::Checkpoint& c, std::string_view key) {
  for (const auto& [name, value] : c.best)
    if (name == key && !value.is_none()) return &value;
  return nullptr;
}

std::string facts(const io::Checkpoint& c, const std::string& path) {
  int64_t parameters = 0;
  for (const io::ModuleRow& m : c.modules)
    if (m.name.empty()) parameters = m.parameters;
  Rows rows = {{"checkpoint", html_text(path)},  {"steps", count(c.global_step)},
               {"epochs", count(c.epoch)},       {"parameters", count(parameters)},
               {"device", html_text(c.device)},  {"written", html_text(c.created_utc)},
               {"nnm", html_text(c.nnm_version)}};
  const Value *metric = best_of(c, "metric"), *value = best_of(c, "value");
  const Value* step = best_of(c, "step");
  if (metric && value && step && value->is_number())
    rows.push_back({"best " + html_text(metric->str()),
                    fmt::format("{} at step {}", number(value->real()), html_text(step->str()))});
  for (std::vector<std::string>& row : rows) row[0] = "<b>" + row[0] + "</b>";
  std::string out = "<table>\n";
  for (const std::vector<std::string>& row : rows)
    out += fmt::format("<tr><td>{}</td><td>{}</td></tr>\n", row[0], row[1]);
  return out + "</table>\n";
}

/// A curve a split, or a kind of row; empty ones are left out.
class Curves {
 public:
  void add(const std::string& name, int64_t step, double value) {
    const auto at =
        std::find_if(all_.begin(), all_.end(), [&](const Curve& c) { return c.name == name; });
    Curve& c = at == all_.end() ? all_.emplace_back(Curve{name, {}}) : *at;
    c.points.emplace_back(static_cast<double>(step), value);
  }
  std::string chart(const std::string& title) const { return svg_chart(title, all_); }

 private:
  std::vector<Curve> all_;
};

std::string curves(const io::Checkpoint& c) {
  if (c.metrics.empty()) return "";
  const train::History history = history_of(c);
  Curves losses, rates;
  std::vector<Curves> metrics(history.names().size());
  for (const train::History::Row& row : history.rows()) {
    losses.add(row.eval ? row.split : "training step", row.step, row.loss);
    if (!row.eval) rates.add("lr", row.step, row.lr);
    for (size_t i = 0; row.eval && i < std::min(metrics.size(), row.metrics.size()); ++i)
      metrics[i].add(row.split, row.step, row.metrics[i]);
  }
  std::string out = losses.chart("loss");
  for (size_t i = 0; i < metrics.size(); ++i) out += metrics[i].chart(history.names()[i]);
  return out + rates.chart("learning rate");
}

/// The tree as the config builds it, with shapes and operations; where it cannot be built any more,
/// as the file has it.
std::string modules(const io::Checkpoint& c, const std::string& checkpoint) {
  std::vector<ModuleSummary> all;
  std::string repr;
  try {
    Summary s = summarise(config_of(checkpoint));
    all = std::move(s.modules);
    repr = preformatted(s.repr);
  } catch (const Error& e) {
    log_note("the modules have no shapes here: {}", e.what());
    for (const io::ModuleRow& m : c.modules)
      all.push_back(
          {.name = m.name, .type = m.type, .parameters = m.parameters, .alias_of = m.alias_of});
  }
  Rows rows;
  for (const ModuleSummary& m : all) {
    const auto depth = static_cast<size_t>(std::count(m.name.begin(), m.name.end(), '.'));
    std::string name = m.name.empty() ? "(root)" : html_text(m.name.substr(m.name.rfind('.') + 1));
    for (size_t i = 0; !m.name.empty() && i <= depth; ++i) name = "&emsp;" + name;
    std::string shapes;
    for (const std::vector<int64_t>& shape : m.outputs)
      shapes += (shapes.empty() ? "" : ", ") + shape_cell(shape);
    if (!m.alias_of.empty()) name += " = " + html_text(m.alias_of);
    rows.push_back(
        {name, html_text(m.type), shapes, count(m.parameters), m.flops ? count(m.flops) : ""});
  }
  return wide(html_table({"name", "type", "output", "parameters", "FLOPs"}, rows, 3)) + repr;
}

/// How many finite elements there are in equal parts of the way from the least to the largest.
std::vector<double> histogram(const Tensor& t, const io::Statistics& s) {
  std::vector<double> bins(kBins, 0);
  if (!(s.max > s.min)) return {};
  for (const float v : t.to_vector<float>()) {
    if (!std::isfinite(v)) continue;
    const double share = (static_cast<double>(v) - s.min) / (s.max - s.min);
    bins[static_cast<size_t>(std::clamp(share * kBins, 0.0, kBins - 1.0))] += 1;
  }
  return bins;
}

std::string tensors(const io::Checkpoint& c) {
  Rows rows;
  for (const io::StateEntry& e : c.state_dict) {
    if (!e.alias_of.empty()) {
      rows.push_back({html_text(e.name) + " = " + html_text(e.alias_of)});
      continue;
    }
    const io::Statistics s = io::statistics(e.tensor);
    rows.push_back({html_text(e.name), e.parameter ? "parameter" : "buffer",
                    html_text(info(e.tensor.dtype()).name), shape_cell(e.tensor.shape()),
                    number(s.mean), number(s.std), number(s.min), number(s.max), number(s.norm),
                    count(s.nan), count(s.inf), count(s.zero),
                    svg_bars(histogram(e.tensor, s), s.min, s.max)});
  }
  return wide(html_table({"name", "kind", "dtype", "shape", "mean", "std", "min", "max", "norm",
                          "nan", "inf", "zero", "histogram"},
                         rows, 4));
}

/// The bins that hold something, as a picture between their outer edges.
std::string trace_bars(const std::vector<double>& bins, const std::vector<double>& edges) {
  const auto filled = [](double n) { return n > 0; };
  const auto first = std::find_if(bins.begin(), bins.end(), filled);
  if (first == bins.end() || edges.size() != bins.size() + 1) return "";
  const auto last = std::find_if(bins.rbegin(), bins.rend(), filled).base();
  return svg_bars({first, last}, edges[static_cast<size_t>(first - bins.begin())],
                  edges[static_cast<size_t>(last - bins.begin())]);
}

/// The statistics of a trace's last step, a row a site.
std::string trace(const std::string& path) {
  const io::TraceReader reader(path, true);
  const std::vector<io::TraceSite> sites = reader.sites();
  const std::vector<io::TraceStat> stats = reader.stats();
  const std::vector<double> edges = reader.bin_edges();
  const auto steps = std::ssize(reader.steps());
  io::TraceCube values(reader.file(), "/stats/values"), bins(reader.file(), "/stats/histogram");
  std::vector<std::string> head = {"module", "what", "arg", "call", "hook", "dtype", "shape"};
  const size_t about = head.size();
  for (const io::TraceStat& s : stats) head.push_back(s.name);
  const bool pictures = bins.steps() > 0;
  if (pictures) head.emplace_back("histogram");
  Rows rows;
  for (size_t i = 0; i < sites.size(); ++i) {
    const io::TraceSite& s = sites[i];
    std::vector<std::string> row = {html_text(s.module), html_text(s.what),
                                    html_text(s.arg),    count(s.call),
                                    html_text(s.hook),   html_text(info(s.dtype).name),
                                    shape_cell(s.shape)};
    const auto site = static_cast<int64_t>(i);
    if (const auto numbers = steps ? values.row(steps - 1, site) : std::nullopt)
      for (const double v : *numbers) row.push_back(number(v));
    row.resize(head.size() - (pictures ? 1 : 0));
    if (pictures)
      row.push_back(trace_bars(bins.row(steps - 1, site).value_or(std::vector<double>()), edges));
    rows.push_back(std::move(row));
  }
  return fmt::format("<p>{}, {}; statistics of the last step</p>\n", counted(steps, "step"),
                     counted(std::ssize(sites), "site")) +
         wide(html_table(head, rows, about));
}

std::string traces(const std::string& run) {
  std::vector<std::string> files;
  std::error_code ec;
  for (fs::directory_iterator it(run + "/traces", ec), end; !ec && it != end; it.increment(ec))
    if (it->path().extension() == ".h5") files.push_back(it->path().string());
  std::sort(files.begin(), files.end());
  std::string out;
  for (const std::string& f : files) {
    out += "<h3>" + html_text(fs::path(f).filename().string()) + "</h3>\n";
    try {
      out += trace(f);
    } catch (const Error& e) {
      out += "<p>" + html_text(e.what()) + "</p>\n";
    }
  }
  return out;
}

}  // namespace

std::string html_page(const std::string& checkpoint) {
  const io::Checkpoint c = io::load_checkpoint(checkpoint);
  const std::string run = run_of(checkpoint), name = run.empty() ? checkpoint : run;
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<title>{0}</title>\n<style>{1}</style>\n</head>\n<body>\n<h1>{0}</h1>\n",
      html_text(name), kStyle);
  out += facts(c, checkpoint);
  out += section("Curves", curves(c));
  out += section("Modules", modules(c, checkpoint));
  out += section("Weights", tensors(c));
  if (!run.empty()) out += section("Traces", traces(run));
  out += section("Config", c.config.empty() ? "" : preformatted(c.config));
  return out + "</body>\n</html>\n";
}

}  // namespace nnm::run
