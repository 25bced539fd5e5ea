// nnm config: what a config comes to, where its values come from, and how two of them differ.
#include <memory>

#include "cli/config_file.h"
#include "nnm/base/error.h"
#include "nnm/base/json.h"
#include "nnm/base/text_table.h"
#include "nnm/lang/describe.h"

namespace nnm::cli {

namespace {

struct ConfigOptions {
  ConfigFile file;
  std::string format, other;
  bool blame = false;
};

void print_blame(const lang::Tree& tree) {
  Json j(2);
  j.array();
  for (const lang::ConfigValue& v : lang::values_of(tree))
    j.object().entry("path", v.path).entry("value", v.value).entry("origin", v.origin).end();
  print_line(j.end().text());
}

int show(const ConfigOptions& o) {
  const run::Source source = o.file.open();
  const lang::Tree tree = source.config.resolved_tree();
  if (o.format == "json" && o.blame) print_blame(tree);
  else if (o.format == "json") print_line(lang::write_json(tree));
  else if (o.blame) print(lang::write_yaml(tree, lang::origin_of));
  else print(lang::write_yaml(tree));
  return 0;
}

void print_json(const std::string& a, const std::string& b,
                const std::vector<lang::ConfigDifference>& rows) {
  Json j(2);
  j.object().entry("equal", rows.empty()).entry("a", a).entry("b", b);
  j.key("rows").array();
  for (const lang::ConfigDifference& r : rows) {
    j.object().entry("path", r.path);
    for (const auto& [name, side] : {std::pair{"a", &r.a}, {"b", &r.b}}) {
      j.key(name);
      if (side->path.empty()) j.value(nullptr);
      else j.object().entry("value", side->value).entry("origin", side->origin).end();
    }
    j.end();
  }
  print_line(j.end().end().text());
}

}  // namespace

int diff_configs(const ConfigFile& first, const ConfigFile& second, const std::string& format) {
  // Paths that mean the same are the same.
  const lang::Tree a = first.open().config.resolved_tree(".");
  const lang::Tree b = second.open().config.resolved_tree(".");
  const std::vector<lang::ConfigDifference> rows = lang::compare(a, b);
  TextTable table({"path", "a", "from", "b", "from"}, 0);
  for (const lang::ConfigDifference& r : rows)
    table.row({r.path, r.a.value, r.a.origin, r.b.value, r.b.origin});
  if (format == "json") print_json(first.file, second.file, rows);
  else if (format == "csv") print(table.csv());
  else if (rows.empty()) print_line("equal");
  else print(table.text());
  return rows.empty() ? 0 : exit_code(ErrorKind::negative);
}

Action config(App app) {
  auto o = std::make_shared<ConfigOptions>();
  o->file.declare(app);
  app.add_flag("--blame", o->blame, "say of every value where it comes from");
  add_format(app, o->format);
  App two = app.add_subcommand("diff", "the values in which two configs differ");
  two.add_option("a", o->file.file, "a config, checkpoint or run folder").required();
  two.add_option("b", o->other, "another").required();
  return [o, two] {
    ConfigFile second = o->file;
    second.file = o->other;
    return two.parsed() ? diff_configs(o->file, second, o->format) : show(*o);
  };
}

}  // namespace nnm::cli
