// nnm diff: where two checkpoints, traces or HDF5 files differ.
#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "cli/config_file.h"
#include "cli/selection.h"
#include "cli/verb.h"
#include "nnm/base/error.h"
#include "nnm/base/json.h"
#include "nnm/base/log.h"
#include "nnm/base/text.h"
#include "nnm/base/text_table.h"
#include "nnm/io/compare.h"
#include "nnm/io/trace_file.h"
#include "nnm/run/source.h"

namespace nnm::cli {

namespace {

constexpr int kDifferent = 1;
constexpr const char* kTolerances = "tolerances are finite and not negative";

struct DiffOptions {
  std::string a, b, select, format;
  io::CompareOptions compare;
  bool best = false;
};

std::string some_differ(int64_t different, int64_t all, const char* what) {
  return fmt::format("{} of {} {}", with_thousands(different), counted(all, what),
                     all == 1 ? "differs" : "differ");
}

// "bit for bit", or the tolerances that were allowed.
std::string how_equal(const Tolerance& t) {
  if (t.exact) return "bit for bit";
  std::string out;
  const auto add = [&](const std::string& part) { out += (out.empty() ? "within " : ", ") + part; };
  if (t.rtol > 0) add(fmt::format("rtol {:g}", t.rtol));
  if (t.atol > 0) add(fmt::format("atol {:g}", t.atol));
  if (t.ulp > 0) add(fmt::format("{} ulp", t.ulp));
  return out.empty() ? "in value" : out;
}

std::string percent(double share) {
  if (share > 0 && share < 1e-4) return "<0.01%";
  return fmt::format("{:.4g}%", share * 100);
}

/// max_abs, rel_l2, cosine, ulp, changed: what all tables say of a row.
void add_numbers(std::vector<std::string>& cells, const io::ComparedTensor& row, bool csv) {
  if (!row.by) {
    cells.resize(cells.size() + 5);
    return;
  }
  const io::Difference& d = *row.by;
  for (double x : {d.max_abs, d.rel_l2}) cells.push_back(number_cell(x, csv));
  cells.push_back(csv ? number_cell(d.cosine, true) : short_number(d.cosine, 7));
  cells.push_back(d.ulp ? std::to_string(*d.ulp) : "");
  cells.push_back(csv ? number_cell(d.changed, true) : percent(d.changed));
}

std::string worst_of(const io::ComparedTensor& row) {
  return row.by && row.by->changed > 0 ? shape_cell(row.by->worst) : "";
}

void write_numbers(Json& j, const io::ComparedTensor& row) {
  j.entry("equal", row.equal);
  if (row.by) {
    const io::Difference& d = *row.by;
    j.entry("max_abs", d.max_abs).entry("rel_l2", d.rel_l2).entry("cosine", d.cosine);
    if (d.ulp) j.entry("ulp", *d.ulp);
    else j.entry("ulp", nullptr);
    j.entry("changed", d.changed).entry("beyond", d.beyond).key("worst");
    if (d.changed > 0) j.value(d.worst);
    else j.value(nullptr);
  } else {
    for (const char* key : {"max_abs", "rel_l2", "cosine", "ulp", "changed", "beyond", "worst"})
      j.entry(key, nullptr);
  }
  j.entry("note", row.note);
}

// Checkpoints and other files.

std::string tensors_json(const DiffOptions& o, const std::vector<io::ComparedTensor>& rows,
                         bool equal) {
  Json j(2);
  j.object().entry("equal", equal).entry("a", o.a).entry("b", o.b).entry("first", nullptr);
  j.key("rows").array();
  for (const io::ComparedTensor& r : rows) {
    j.object().entry("name", r.name);
    write_numbers(j, r);
    j.end();
  }
  return j.end().end().text() + "\n";
}

TextTable tensors_table(const std::vector<io::ComparedTensor>& rows, bool csv) {
  TextTable table({"name", "max_abs", "rel_l2", "cosine", "ulp", "changed", "worst", "note"}, 0);
  for (const io::ComparedTensor& r : rows) {
    std::vector<std::string> cells = {r.name};
    add_numbers(cells, r, csv);
    cells.push_back(worst_of(r));
    cells.push_back(r.note);
    table.row(std::move(cells));
  }
  return table;
}

std::string tensors_text(const DiffOptions& o, const std::vector<io::ComparedTensor>& rows,
                         int64_t different) {
  const auto total = static_cast<int64_t>(rows.size());
  if (different)
    return tensors_table(rows, false).text() + "\n" + some_differ(different, total, "tensor") +
           "\n";
  std::string out =
      fmt::format("equal {}: {}\n", how_equal(o.compare.tolerance), counted(total, "tensor"));
  return o.compare.tolerance.exact ? out : tensors_table(rows, false).text() + "\n" + out;
}

int report_tensors(const DiffOptions& o, const std::vector<io::ComparedTensor>& rows) {
  int64_t different = 0, skipped = 0;
  for (const io::ComparedTensor& r : rows) {
    different += !r.equal;
    skipped += r.note.ends_with("not compared");
  }
  if (skipped)
    log_warning("{} of types that nnm does not read are not compared", counted(skipped, "dataset"));
  if (o.format == "json") print(tensors_json(o, rows, different == 0));
  else if (o.format == "csv") print(tensors_table(rows, true).csv());
  else print(tensors_text(o, rows, different));
  return different ? kDifferent : 0;
}

/// The names that --select picks in either file.
void select_in(DiffOptions& o, std::set<std::string> names) {
  o.compare.select = [names = std::move(names)](const std::string& n) { return names.contains(n); };
}

void select_tensors_of(DiffOptions& o, bool checkpoints) {
  if (o.select.empty()) return;
  std::vector<std::string> names;
  std::vector<io::ModuleRow> modules;
  for (const std::string& path : {o.a, o.b}) {
    const io::H5Reader file(path);
    if (!checkpoints) {
      for (std::string& n : dataset_names(file.root())) names.push_back(std::move(n));
      continue;
    }
    io::LoadOptions header;
    header.state_dict = header.training = false;
    for (io::ModuleRow& m : io::load_checkpoint(path, header).modules)
      modules.push_back(std::move(m));
    for (const io::H5Node& n : file.at("/state_dict").children) names.push_back(n.name);
  }
  select_in(o, select_tensors(modules, names, o.select));
}

// Traces.

struct TraceRow {
  io::ComparedRecord record;
  double error_in, error_out, added;
};

/// Rows as they come; for people, those of one step alone: the first that has a difference.
class Rows {
 public:
  Rows(bool all, bool exact) : all_(all), exact_(exact) {}

  void add(const io::ComparedCall& c) {
    if (!all_ && c.step != step_) close(c.step);
    for (const io::ComparedRecord& r : c.rows) {
      const bool last = &r == &c.rows.back();
      const double none = std::nan("");
      rows_.push_back({r, c.error_in, c.error_out, all_ || last ? c.added() : none});
      differs_ = differs_ || !r.equal;
      really_ = really_ || (!r.equal && r.both);
    }
  }
  const std::vector<TraceRow>& take() {
    if (!all_) close(0);
    return all_ ? rows_ : shown_;
  }

 private:
  void close(int64_t next) {
    step_ = next;
    const bool first = shown_.empty() && (differs_ || !exact_);
    if (first || (differs_ && !shown_differs_) || (really_ && !shown_really_)) {
      shown_ = std::move(rows_);
      shown_differs_ = differs_;
      shown_really_ = really_;
    }
    rows_.clear();
    differs_ = really_ = false;
  }
  bool all_, exact_;
  int64_t step_ = 0;
  std::vector<TraceRow> rows_, shown_;
  bool differs_ = false, really_ = false, shown_differs_ = false, shown_really_ = false;
};

void write_record(Json& j, const io::ComparedRecord& r) {
  j.entry("step", r.step).entry("module", r.module).entry("what", r.what).entry("arg", r.arg);
  j.entry("call", r.call).entry("hook", r.hook);
  j.entry("compared", r.statistics ? "statistics" : "tensor").entry("statistic", r.statistic);
  write_numbers(j, r);
}

std::string trace_json(const DiffOptions& o, const io::TraceComparison& c,
                       const std::vector<TraceRow>& rows) {
  Json j(2);
  j.object().entry("equal", c.equal).entry("a", o.a).entry("b", o.b).key("first");
  if (c.first) {
    j.object();
    write_record(j, *c.first->first());
    j.entry("error_in", c.first->error_in).entry("error_out", c.first->error_out);
    j.entry("added", c.first->added()).entry("input_recorded", c.first->input_recorded).end();
  } else {
    j.value(nullptr);
  }
  j.entry("calls", c.calls).entry("differing_calls", c.differing_calls);
  j.key("rows").array();
  for (const TraceRow& r : rows) {
    j.object().entry("name", r.record.name);
    write_record(j, r.record);
    j.entry("error_in", r.error_in).entry("error_out", r.error_out).entry("added", r.added).end();
  }
  return j.end().end().text() + "\n";
}

/// A table without the columns that say nothing here: the step that the text names, call numbers
/// that are all 0, hooks that are all alike.
TextTable trace_table(const std::vector<TraceRow>& rows, bool csv) {
  bool hooks = csv, calls = csv;
  for (const TraceRow& row : rows) {
    hooks = hooks || row.record.hook != rows.front().record.hook;
    calls = calls || row.record.call != 0;
  }
  std::vector<std::string> head;
  if (csv) head.emplace_back("step");
  for (const char* name : {"module", "what", "arg"}) head.emplace_back(name);
  if (calls) head.emplace_back("call");
  if (hooks) head.emplace_back("hook");
  for (const char* name :
       {"max_abs", "rel_l2", "cosine", "ulp", "changed", "added", "worst", "note"})
    head.emplace_back(name);
  TextTable table(std::move(head), 0);
  for (const TraceRow& row : rows) {
    const io::ComparedRecord& r = row.record;
    std::vector<std::string> cells = {r.module, r.what, r.arg};
    if (csv) cells.insert(cells.begin(), std::to_string(r.step));
    if (calls) cells.push_back(std::to_string(r.call));
    if (hooks) cells.push_back(r.hook);
    add_numbers(cells, r, csv);
    cells.push_back(std::isnan(row.added) ? "" : number_cell(row.added, csv));
    cells.push_back(r.statistics ? r.statistic : worst_of(r));
    cells.push_back(r.statistics && !csv ? "statistics" + (r.note.empty() ? "" : ", " + r.note)
                                         : r.note);
    table.row(std::move(cells));
  }
  return table;
}

std::string first_text(const io::ComparedCall& c, const std::string& type) {
  const io::ComparedRecord& r = *c.first();
  const auto named = [](const std::string& s) { return escape_terminal(s); };
  std::string out = fmt::format("first difference: step {}, {}{}", c.step, named(c.module),
                                type.empty() ? "" : " (" + named(type) + ")");
  if (!r.what.empty()) out += fmt::format(", {} {}", r.what, named(r.arg));
  if (c.call) out += fmt::format(", call {}", c.call);
  out += fmt::format(" ({})\n", c.hook);
  if (r.by) {
    const io::Difference& d = *r.by;
    out += fmt::format("  {}: max |Δ| {} at {}, relative L2 {}, {} of {} changed\n",
                       r.statistics ? "its statistics" : "its tensor", short_number(d.max_abs),
                       r.statistics ? r.statistic : shape_cell(d.worst), short_number(d.rel_l2),
                       percent(d.changed), counted(d.numel, r.statistics ? "number" : "element"));
  }
  if (!r.note.empty()) out += "  " + named(r.note) + "\n";
  if (std::isnan(c.error_out)) return out;
  out += fmt::format("  error at its output {}", short_number(c.error_out));
  if (std::isnan(c.error_in))
    return out +
           fmt::format("; its input was not recorded (--what {} tells what it adds)\n",
                       c.hook.starts_with("forward") ? "input,output" : "grad_input,grad_output");
  return out + fmt::format(", {} {}: it adds {}\n",
                           c.input_recorded ? "at its input" : "after the call before it",
                           short_number(c.error_in), short_number(c.added()));
}

/// The call that adds most, of modules without others below them; "" where no two can be told
/// apart.
std::string most_added(const std::vector<TraceRow>& rows, const std::string& root) {
  const TraceRow* most = nullptr;
  int known = 0;
  for (const TraceRow& row : rows) {
    const std::string& module = row.record.module;
    const bool inner =
        module == root || std::any_of(rows.begin(), rows.end(), [&](const TraceRow& r) {
          return r.record.module.starts_with(module + ".");
        });
    if (inner || !std::isfinite(row.added)) continue;
    ++known;
    if (!most || row.added > most->added) most = &row;
  }
  if (known < 2 || most->added <= 0) return "";
  const io::ComparedRecord& r = most->record;
  return fmt::format("most is added by {}{} ({}): {}\n", escape_terminal(r.module),
                     r.call ? fmt::format(", call {}", r.call) : "", r.hook,
                     short_number(most->added));
}

std::string trace_text(const DiffOptions& o, const io::TraceComparison& c,
                       const std::vector<TraceRow>& rows,
                       const std::map<std::string, std::string>& types, const std::string& root) {
  std::string what = counted(c.calls, "call") + ", " + counted(c.tensors, "tensor");
  if (c.statistics) what += fmt::format(", {} by statistics alone", with_thousands(c.statistics));
  if (c.equal) {
    const std::string equal = fmt::format("equal {}: {}\n", how_equal(o.compare.tolerance), what);
    return o.compare.tolerance.exact ? equal : trace_table(rows, false).text() + "\n" + equal;
  }
  const auto type = types.find(c.first->module);
  std::string out = first_text(*c.first, type == types.end() ? "" : type->second) + "\n";
  out += trace_table(rows, false).text() + "\n" + most_added(rows, root);
  out += c.differing_calls ? some_differ(c.differing_calls, c.calls, "call")
                           : "all calls are equal, parameters are not";
  return out + (c.steps > 1 ? fmt::format(" in {} steps\n", with_thousands(c.steps)) : "\n");
}

int diff_traces(DiffOptions& o) {
  std::vector<io::ModuleRow> modules;
  std::map<std::string, std::string> types;
  std::string root;
  std::vector<io::TraceSite> sites;
  for (const std::string& path : {o.a, o.b}) {
    const io::TraceReader trace(path);
    for (io::TraceSite& s : trace.sites()) sites.push_back(std::move(s));
    for (io::ModuleRow& m : trace.modules()) {
      if (m.name.empty()) root = m.type;
      types.emplace(m.name.empty() ? m.type : m.name, m.type);
      modules.push_back(std::move(m));
    }
  }
  if (!o.select.empty()) select_in(o, select_sites(modules, sites, o.select));
  Rows rows(o.format != "text", o.compare.tolerance.exact);
  const io::TraceComparison c = io::compare_traces(
      o.a, o.b, o.compare, [&](const io::ComparedCall& call) { rows.add(call); });
  if (c.tensors + c.statistics == 0)
    log_warning("the traces have neither tensors nor statistics to compare");
  if (o.format == "json") print(trace_json(o, c, rows.take()));
  else if (o.format == "csv") print(trace_table(rows.take(), true).csv());
  else print(trace_text(o, c, rows.take(), types, root));
  return c.equal ? 0 : kDifferent;
}

// What files are.

const char* kind_name(const std::string& format) {
  if (format == "nnm-checkpoint") return "a checkpoint";
  return format == "nnm-trace" ? "a trace" : "an HDF5 file of another kind";
}

std::string open_kind(std::string& path, bool best) {
  path = run::checkpoint_of(path, best);
  if (!io::is_hdf5(path))
    throw Error(ErrorKind::input_file,
                fmt::format("{}: neither a checkpoint, a trace nor another HDF5 file", path));
  return io::format_of(path);
}

bool is_config(const std::string& path) {
  return path.ends_with(".yaml") || path.ends_with(".yml");
}

int run_diff(DiffOptions o) {
  // A checkpoint is compared with a config by the config that it carries.
  if (is_config(o.a) || is_config(o.b)) {
    NNM_CHECK(o.select.empty(), config, "--select names modules and tensors; configs have none");
    return diff_configs({.file = o.a, .best = o.best}, {.file = o.b, .best = o.best}, o.format);
  }
  const std::string kind = open_kind(o.a, o.best), other = open_kind(o.b, o.best);
  if (kind != other)
    throw Error(ErrorKind::config,
                fmt::format("{} is {}, and {} is {}", o.a, kind_name(kind), o.b, kind_name(other)),
                "only files of one kind can be compared");
  if (kind == "nnm-trace") return diff_traces(o);
  const bool checkpoints = kind == "nnm-checkpoint";
  select_tensors_of(o, checkpoints);
  return report_tensors(
      o, (checkpoints ? io::compare_checkpoints : io::compare_files)(o.a, o.b, o.compare));
}

}  // namespace

Action diff(App app) {
  auto o = std::make_shared<DiffOptions>();
  Tolerance& t = o->compare.tolerance;
  app.add_option("a", o->a, "a checkpoint, run folder, trace, config or any HDF5 file").required();
  app.add_option("b", o->b, "what to compare it with, of the same kind").required();
  const std::vector<Option> given = {
      app.add_option("--rtol", t.rtol, "let |a - b| <= atol + rtol * max(|a|, |b|) pass as equal"),
      app.add_option("--atol", t.atol, "the same"),
      app.add_option("--ulp", t.ulp, "let so many units in the last place pass as equal")
          .check([](const std::string& text) {
            return text.starts_with('-') ? std::string(kTolerances) : std::string();
          })};
  app.add_option("--select", o->select,
                 "modules and tensors: a selector such as 'conv1.**, Linear'");
  app.add_flag("--all", o->compare.all, "of checkpoints also optimizer state and averaged weights");
  app.add_flag("--best", o->best, "of a run, the best checkpoint instead of the last");
  add_format(app, o->format, {"text", "json", "csv"});
  return [o, given] {
    Tolerance& t = o->compare.tolerance;
    for (const Option& option : given) t.exact = t.exact && !option.given();
    for (double x : {t.rtol, t.atol})
      NNM_CHECK(std::isfinite(x) && x >= 0, config, "{}", kTolerances);
    return run_diff(*o);
  };
}

}  // namespace nnm::cli
