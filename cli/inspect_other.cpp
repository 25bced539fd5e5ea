// What nnm inspect says of an HDF5 file that is not nnm's: its tree, its numbers, its attributes.
#include "cli/inspect.h"
#include "cli/selection.h"
#include "nnm/base/error.h"
#include "nnm/base/json.h"
#include "nnm/base/text_table.h"
#include "nnm/io/inspect.h"

namespace nnm::cli {

namespace {

void write(Json& j, const io::Description& d) {
  j.object().entry("name", d.name).entry("path", d.path);
  j.entry("type", d.group ? "group" : "dataset");
  j.key("attributes").object();
  for (const auto& [name, value] : d.attributes) j.entry(name, value);
  j.end();
  if (!d.group) j.entry("dtype", d.dtype).entry("shape", d.shape);
  if (d.stats) {
    const io::Statistics& s = *d.stats;
    j.entry("mean", s.mean).entry("std", s.std).entry("min", s.min).entry("max", s.max);
    j.entry("norm", s.norm).entry("nan", s.nan).entry("inf", s.inf).entry("zero", s.zero);
  }
  if (d.text) j.entry("text", *d.text);
  if (!d.problem.empty()) j.entry("problem", d.problem);
  if (d.group) {
    j.key("children").array();
    for (const io::Description& c : d.children) write(j, c);
    j.end();
  }
  j.end();
}

void add_rows(TextTable& table, const io::Description& d, const std::string& format) {
  if (!d.group) {
    std::vector<std::string> cells = {d.path, d.dtype, shape_cell(d.shape)};
    if (d.stats) {
      const io::Statistics& s = *d.stats;
      for (double x : {s.mean, s.std, s.min, s.max, s.norm}) cells.push_back(cell(x, format));
      for (int64_t n : {s.nan, s.inf, s.zero}) cells.push_back(std::to_string(n));
    } else {
      cells.resize(11);
      if (!d.problem.empty()) cells[3] = d.problem;
    }
    table.row(std::move(cells));
  } else if (d.children.empty() && d.path != "/") {
    std::vector<std::string> cells(11);
    cells[0] = d.path;
    cells[1] = "group";
    table.row(std::move(cells));
  }
  for (const io::Description& c : d.children) add_rows(table, c, format);
}

void add_attributes(TextTable& table, const io::Description& d) {
  for (const auto& [name, value] : d.attributes) table.row({d.path, name, value});
  for (const io::Description& c : d.children) add_attributes(table, c);
}

void add_names(std::vector<std::string>& names, const io::H5Node& node) {
  if (!node.group) names.push_back(node.path.substr(1));
  for (const io::H5Node& c : node.children) add_names(names, c);
}

}  // namespace

std::string inspect_other(const std::string& path, const InspectOptions& o) {
  if (o.config)
    throw Error(ErrorKind::input_file, fmt::format("{}: holds no config: it is not nnm's", path));
  io::DescribeOptions options;
  if (!o.select.empty()) {
    std::vector<std::string> names;
    const io::H5Reader file(path);
    add_names(names, file.root());
    options.select = [chosen = select_tensors({}, names, o.select)](const std::string& name) {
      return chosen.contains(name);
    };
  }
  const io::Description d = io::describe(path, options);
  if (o.format == "json") {
    Json j(2);
    j.object().entry("kind", "hdf5").key("root");
    write(j, d);
    return j.end().text() + "\n";
  }
  TextTable table(
      {"dataset", "dtype", "shape", "mean", "std", "min", "max", "norm", "nan", "inf", "zero"}, 8);
  add_rows(table, d, o.format);
  if (o.format == "csv") return table.csv();
  TextTable attributes({"object", "attribute", "value"}, 0);
  add_attributes(attributes, d);
  return table.text() + (attributes.rows() ? "\n" + attributes.text() : "");
}

}  // namespace nnm::cli
