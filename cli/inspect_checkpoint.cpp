// What nnm inspect says of a checkpoint: the tensors one by one, each with its statistics.
#include <algorithm>
#include <map>

#include "cli/inspect.h"
#include "cli/selection.h"
#include "nnm/base/error.h"
#include "nnm/base/json.h"
#include "nnm/base/text.h"
#include "nnm/base/text_table.h"
#include "nnm/io/stored.h"
#include "nnm/run/summary.h"

namespace nnm::cli {

namespace {

struct Row {
  std::string name, alias_of;
  const io::H5Node* node;
  bool parameter;
  io::Statistics stats;
};

/// A checkpoint whose tensors stay in the file, and those of them that were asked for.
struct InspectedCheckpoint {
  io::Checkpoint about;
  io::H5Reader file;
  std::vector<Row> rows;

  InspectedCheckpoint(const std::string& path, const std::string& select)
      : about(io::load_checkpoint(path, {.state_dict = false, .training = false})),
        file(path, {.probe = false}) {
    const std::vector<io::H5Node>& nodes = file.at("/state_dict").children;
    std::set<std::string> chosen;
    if (!select.empty()) {
      std::vector<std::string> names;
      for (const io::H5Node& n : nodes) names.push_back(n.name);
      chosen = select_tensors(about.modules, names, select);
    }
    const io::Manifest manifest(file);
    std::map<uint64_t, std::string> first;  // names of objects, which hard links share
    std::map<uint64_t, io::Statistics> known;
    for (const io::H5Node& n : nodes) {
      const auto [it, fresh] = first.try_emplace(n.address, n.name);
      if (!select.empty() && !chosen.contains(n.name)) continue;
      if (!known.contains(n.address))
        known[n.address] = io::statistics(io::StoredTensor(file, n, &manifest));
      const Value kind = file.attribute(n, "kind");
      rows.push_back(
          {n.name, fresh ? "" : it->second, &n, kind == Value("parameter"), known.at(n.address)});
    }
  }

  std::string optimizer() const {
    const io::H5Node* node = file.find("/optimizer");
    const Value type = node ? file.attribute(*node, "type") : Value();
    return type.is(Value::Kind::string) ? type.string() : "";
  }
};

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

std::string json(const InspectedCheckpoint& c, const std::string& path) {
  const Value version = c.file.attribute(c.file.root(), "format_version");
  Json j(2);
  j.object().entry("kind", "checkpoint").entry("format_version", version);
  j.entry("global_step", c.about.global_step).entry("epoch", c.about.epoch);
  j.entry("config", c.about.config).key("modules");
  run::write_modules(j, modules_of(c.about, path));
  j.entry("bin_edges", histogram_edges()).key("tensors").array();
  for (const Row& r : c.rows) {
    j.object().entry("name", r.name).entry("shape", r.node->shape);
    j.entry("dtype", info(r.node->element.dtype).name);
    j.entry("kind", r.parameter ? "parameter" : "buffer");
    write_statistics(j, r.stats);
    j.end();
  }
  j.end().key("metrics").object();
  for (const io::Column& column : c.about.metrics)
    std::visit([&](const auto& values) { j.entry(column.name, values); }, column.values);
  return j.end().end().text() + "\n";
}

TextTable table(const InspectedCheckpoint& c, const std::string& format) {
  std::vector<std::string> head = {"name", "kind", "dtype", "shape"};
  add_statistics_head(head, format);
  TextTable t(std::move(head), 8);
  for (const Row& r : c.rows) {
    const bool tied = !r.alias_of.empty() && format != "csv";
    std::vector<std::string> cells = {tied ? r.name + " = " + r.alias_of : r.name,
                                      r.parameter ? "parameter" : "buffer",
                                      info(r.node->element.dtype).name, shape_cell(r.node->shape)};
    add_statistics(cells, r.stats, format);
    t.row(std::move(cells));
  }
  return t;
}

/// The modules as they are nested, a line each.
std::string tree(const io::Checkpoint& c) {
  std::string out;
  for (const io::ModuleRow& m : c.modules) {
    const std::string type = escape_terminal(m.type);
    if (m.name.empty()) {
      out += "\n" + type + "\n";
      continue;
    }
    const auto depth = static_cast<size_t>(1 + std::count(m.name.begin(), m.name.end(), '.'));
    const std::string name = escape_terminal(m.name.substr(m.name.rfind('.') + 1));
    out += std::string(2 * depth, ' ') + name;
    out += m.alias_of.empty() ? " (" + type + ")\n" : " = " + escape_terminal(m.alias_of) + "\n";
  }
  return out;
}

std::string text(const InspectedCheckpoint& c) {
  std::string out =
      fmt::format("checkpoint ({}), step {}, epoch {}, nnm {}\n", escape_terminal(c.about.kind),
                  c.about.global_step, c.about.epoch, escape_terminal(c.about.nnm_version));
  int64_t tensors = 0, elements = 0, bytes = 0;
  for (const Row& r : c.rows) {
    if (!r.alias_of.empty()) continue;
    ++tensors;
    elements += r.node->numel;
    bytes += r.node->bytes();
  }
  out += fmt::format("{}, {}, {}\n", counted(tensors, "tensor"), counted(elements, "element"),
                     human_bytes(static_cast<uint64_t>(bytes)));
  if (const std::string o = c.optimizer(); !o.empty())
    out += fmt::format("optimizer {}\n", escape_terminal(o));
  const auto best = [&](const char* name) {
    for (const auto& [key, value] : c.about.best)
      if (key == name) return value;
    return Value();
  };
  if (!best("score").is_none())
    out += fmt::format("best {} {} at step {}\n", escape_terminal(best("metric").str()),
                       short_number(best("score").real()), best("step").str());
  return out + tree(c.about) + "\n" + table(c, "text").text();
}

}  // namespace

std::string inspect_checkpoint(const std::string& path, const InspectOptions& o) {
  if (o.config) return io::load_checkpoint(path, {.state_dict = false, .training = false}).config;
  const InspectedCheckpoint c(path, o.select);
  if (o.format == "json") return json(c, path);
  return o.format == "csv" ? table(c, o.format).csv() : text(c);
}

}  // namespace nnm::cli
