// The answers of nnm inspect: checkpoints, traces, other HDF5 files.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>

#include "cli/inspect.h"
#include "cli/verb.h"
#include "nnm/base/error.h"
#include "nnm/base/json.h"
#include "nnm/base/select.h"
#include "nnm/base/text.h"
#include "nnm/base/text_table.h"
#include "nnm/io/inspect.h"
#include "nnm/io/trace_file.h"
#include "nnm/run/source.h"
#include "nnm/run/summary.h"

namespace nnm::cli {

namespace {

std::string format_of(const std::string& path) {
  const io::H5Reader file(path);
  const Value v = file.attribute(file.root(), "format");
  return v.is(Value::Kind::string) ? v.string() : "";
}

int64_t version_of(const std::string& path) {
  const io::H5Reader file(path);
  const Value v = file.attribute(file.root(), "format_version");
  return v.is(Value::Kind::integer) ? v.integer() : 0;
}

// Checkpoints.

std::vector<size_t> selected(const io::Checkpoint& c, const std::string& select) {
  std::vector<NamedModule> modules;
  std::vector<NamedTensor> tensors;
  for (const io::ModuleRow& m : c.modules) modules.push_back({m.name, m.type});
  for (const io::StateEntry& e : c.state_dict) {
    const size_t dot = e.name.rfind('.');
    const bool nested = dot != std::string::npos;
    tensors.push_back(
        {nested ? e.name.substr(0, dot) : "", nested ? e.name.substr(dot + 1) : e.name});
  }
  const Scope scope(std::move(modules), std::move(tensors));
  const Selector s = Selector::parse(select);
  std::vector<size_t> out = scope.tensors(s, true);
  if (out.empty()) throw scope.no_match(s);
  return out;
}

/// The tree of the file, with shapes and operations where its config can still be built.
std::vector<run::ModuleSummary> modules_of(const io::Checkpoint& c, const std::string& path) {
  try {
    return run::summarise(lang::Config::from_text(c.config_resolved, path)).modules;
  } catch (const Error&) {
    std::vector<run::ModuleSummary> out;
    for (const io::ModuleRow& m : c.modules)
      out.push_back(
          {.name = m.name, .type = m.type, .parameters = m.parameters, .alias_of = m.alias_of});
    return out;
  }
}

void write_metrics(Json& j, const std::vector<io::Column>& columns) {
  j.object();
  for (const io::Column& column : columns)
    std::visit([&](const auto& values) { j.entry(column.name, values); }, column.values);
  j.end();
}

std::string checkpoint_json(const io::Checkpoint& c, const std::string& path,
                            const std::vector<size_t>& rows) {
  Json j(2);
  j.object().entry("kind", "checkpoint").entry("format_version", version_of(path));
  j.entry("global_step", c.global_step).entry("epoch", c.epoch).entry("config", c.config);
  j.key("modules");
  run::write_modules(j, modules_of(c, path));
  j.key("tensors").array();
  for (size_t i : rows) {
    const io::StateEntry& e = c.state_dict[i];
    const io::Statistics s = io::statistics(e.tensor);
    j.object().entry("name", e.name);
    j.entry("shape", std::vector<int64_t>(e.tensor.shape().begin(), e.tensor.shape().end()));
    j.entry("dtype", info(e.tensor.dtype()).name);
    j.entry("kind", e.parameter ? "parameter" : "buffer");
    j.entry("mean", s.mean).entry("std", s.std).entry("min", s.min).entry("max", s.max);
    j.entry("norm", s.norm).entry("nan", s.nan).entry("inf", s.inf).entry("zero", s.zero);
    j.end();
  }
  j.end().key("metrics");
  write_metrics(j, c.metrics);
  return j.end().text() + "\n";
}

TextTable checkpoint_table(const io::Checkpoint& c, const std::vector<size_t>& rows) {
  TextTable t({"name", "kind", "dtype", "shape", "mean", "std", "min", "max", "norm", "nan"}, 6);
  for (size_t i : rows) {
    const io::StateEntry& e = c.state_dict[i];
    const io::Statistics s = io::statistics(e.tensor);
    const std::vector<int64_t> shape(e.tensor.shape().begin(), e.tensor.shape().end());
    t.row({e.name + (e.alias_of.empty() ? "" : " = " + e.alias_of),
           e.parameter ? "parameter" : "buffer", info(e.tensor.dtype()).name, shape_cell(shape),
           short_number(s.mean), short_number(s.std), short_number(s.min), short_number(s.max),
           short_number(s.norm), std::to_string(s.nan + s.inf)});
  }
  return t;
}

std::string checkpoint_text(const io::Checkpoint& c, const TextTable& table) {
  std::string out =
      fmt::format("checkpoint ({}), step {}, epoch {}, nnm {}\n", escape_terminal(c.kind),
                  c.global_step, c.epoch, escape_terminal(c.nnm_version));
  if (c.optimizer) out += fmt::format("optimizer {}\n", escape_terminal(c.optimizer->type));
  const auto best = [&](const char* name) {
    for (const auto& [key, value] : c.best)
      if (key == name) return value;
    return Value();
  };
  if (!best("score").is_none())
    out += fmt::format("best {} {} at step {}\n", escape_terminal(best("metric").str()),
                       short_number(best("score").real()), best("step").str());
  return out + "\n" + table.text();
}

std::string inspect_checkpoint(const std::string& path, const InspectOptions& o) {
  const io::Checkpoint c = io::load_checkpoint(path);
  if (o.config) return c.config;
  std::vector<size_t> rows;
  if (o.select.empty()) {
    for (size_t i = 0; i < c.state_dict.size(); ++i) rows.push_back(i);
  } else {
    rows = selected(c, o.select);
  }
  if (o.format == "json") return checkpoint_json(c, path, rows);
  const TextTable table = checkpoint_table(c, rows);
  return o.format == "csv" ? table.csv() : checkpoint_text(c, table);
}

// Traces.

/// Which sites of a trace are meant, by the modules they belong to.
std::vector<size_t> selected(const io::TraceReader& trace, const std::vector<io::TraceSite>& sites,
                             const std::string& select) {
  std::vector<size_t> out;
  if (select.empty()) {
    for (size_t i = 0; i < sites.size(); ++i) out.push_back(i);
    return out;
  }
  std::vector<NamedModule> modules;
  for (const io::ModuleRow& m : trace.modules()) modules.push_back({m.name, m.type});
  const std::vector<NamedModule> names = modules;
  const Scope scope(std::move(modules), {});
  const Selector s = Selector::parse(select);
  const std::vector<size_t> chosen = scope.modules(s);
  if (chosen.empty()) throw scope.no_match(s);
  for (size_t i = 0; i < sites.size(); ++i) {
    const auto is_it = [&](size_t m) {
      return sites[i].module == (names[m].path.empty() ? names[m].type : names[m].path);
    };
    if (std::any_of(chosen.begin(), chosen.end(), is_it)) out.push_back(i);
  }
  return out;
}

std::string site_name(const io::TraceSite& s) {
  std::string out = s.module + "/" + s.what + "/" + s.arg;
  return s.call ? out + "#" + std::to_string(s.call) : out;
}

std::string trace_json(const io::TraceReader& trace, const std::vector<io::TraceSite>& sites,
                       const std::vector<size_t>& rows) {
  const std::vector<io::TraceStat> stats = trace.stats();
  const size_t steps = trace.steps().size();
  const Tensor cube = trace.values();
  const std::vector<double> values =
      cube.defined() ? cube.to_vector<double>() : std::vector<double>();
  Json j(2);
  j.object().entry("kind", "trace").entry("steps", static_cast<int64_t>(steps));
  j.key("sites").array();
  for (size_t i : rows) {
    const io::TraceSite& s = sites[i];
    j.object().entry("module", s.module).entry("what", s.what).entry("arg", s.arg);
    j.entry("call", s.call).entry("hook", s.hook).entry("shape", s.shape);
    j.entry("dtype", info(s.dtype).name).end();
  }
  j.end().key("stats").object();
  for (size_t i : rows) {
    if (values.empty()) break;
    j.key(site_name(sites[i])).object();
    for (size_t k = 0; k < stats.size(); ++k) {
      std::vector<double> over_steps;
      for (size_t t = 0; t < steps; ++t)
        over_steps.push_back(values[(t * sites.size() + i) * stats.size() + k]);
      j.entry(stats[k].name, over_steps);
    }
    j.end();
  }
  return j.end().end().text() + "\n";
}

/// A row per site: its statistics in the last step.
TextTable trace_table(const io::TraceReader& trace, const std::vector<io::TraceSite>& sites,
                      const std::vector<size_t>& rows) {
  const std::vector<io::TraceStat> stats = trace.stats();
  std::vector<std::string> head = {"module", "what", "arg", "call", "hook", "dtype", "shape"};
  for (const io::TraceStat& s : stats) head.push_back(s.name);
  TextTable table(std::move(head), stats.size());
  const size_t steps = trace.steps().size();
  const Tensor cube = trace.values();
  const std::vector<double> values =
      cube.defined() ? cube.to_vector<double>() : std::vector<double>();
  for (size_t i : rows) {
    const io::TraceSite& s = sites[i];
    std::vector<std::string> cells = {
        s.module,           s.what, s.arg, std::to_string(s.call), s.hook, info(s.dtype).name,
        shape_cell(s.shape)};
    for (size_t k = 0; k < stats.size(); ++k) {
      const size_t at = ((steps - 1) * sites.size() + i) * stats.size() + k;
      const bool count = stats[k].unit == "count";
      if (!steps || at >= values.size() || (count && std::isnan(values[at]))) cells.emplace_back();
      else if (count) cells.push_back(std::to_string(static_cast<int64_t>(values[at])));
      else cells.push_back(short_number(values[at]));
    }
    table.row(std::move(cells));
  }
  return table;
}

std::string inspect_trace(const std::string& path, const InspectOptions& o) {
  const io::TraceReader trace(path);
  if (o.config) return trace.config();
  const std::vector<io::TraceSite> sites = trace.sites();
  const std::vector<size_t> rows = selected(trace, sites, o.select);
  if (o.format == "json") return trace_json(trace, sites, rows);
  const TextTable table = trace_table(trace, sites, rows);
  if (o.format == "csv") return table.csv();
  return fmt::format("trace, {} steps, {} sites, {} calls\n\n", trace.steps().size(), sites.size(),
                     trace.calls().size()) +
         table.text();
}

// Other HDF5 files.

void describe_json(Json& j, const io::Description& d) {
  j.object().entry("name", d.name).entry("path", d.path);
  j.entry("type", d.group ? "group" : "dataset");
  j.key("attributes").object();
  for (const auto& [name, value] : d.attributes) j.entry(name, value);
  j.end();
  if (!d.group) j.entry("dtype", d.dtype).entry("shape", d.shape);
  if (d.stats)
    j.entry("mean", d.stats->mean)
        .entry("std", d.stats->std)
        .entry("min", d.stats->min)
        .entry("max", d.stats->max)
        .entry("norm", d.stats->norm)
        .entry("nan", d.stats->nan)
        .entry("inf", d.stats->inf)
        .entry("zero", d.stats->zero);
  if (d.text) j.entry("text", *d.text);
  if (!d.problem.empty()) j.entry("problem", d.problem);
  if (d.group) {
    j.key("children").array();
    for (const io::Description& c : d.children) describe_json(j, c);
    j.end();
  }
  j.end();
}

void describe_rows(TextTable& table, const io::Description& d) {
  if (!d.group) {
    std::vector<std::string> cells = {d.path, d.dtype, shape_cell(d.shape)};
    if (d.stats) {
      const io::Statistics& s = *d.stats;
      for (double x : {s.mean, s.std, s.min, s.max, s.norm}) cells.push_back(short_number(x));
      cells.push_back(std::to_string(s.nan + s.inf));
    } else {
      cells.resize(9);
      if (!d.problem.empty()) cells[3] = d.problem;
    }
    table.row(std::move(cells));
  }
  for (const io::Description& c : d.children) describe_rows(table, c);
}

std::string inspect_other(const std::string& path, const InspectOptions& o) {
  if (o.config)
    throw Error(ErrorKind::input_file, fmt::format("{}: holds no config: it is not nnm's", path));
  const io::Description d = io::describe(path);
  if (o.format == "json") {
    Json j(2);
    j.object().entry("kind", "hdf5").key("root");
    describe_json(j, d);
    return j.end().text() + "\n";
  }
  TextTable table({"dataset", "dtype", "shape", "mean", "std", "min", "max", "norm", "nan"}, 6);
  describe_rows(table, d);
  return o.format == "csv" ? table.csv() : table.text();
}

}  // namespace

std::string inspect_file(const InspectOptions& o) {
  const bool folder = std::filesystem::is_directory(o.file);
  const std::string path = folder ? run::checkpoint_of(o.file) : o.file;
  const std::string format = format_of(path);
  if (format == "nnm-checkpoint") return inspect_checkpoint(path, o);
  if (format == "nnm-trace") return inspect_trace(path, o);
  return inspect_other(path, o);
}

}  // namespace nnm::cli
