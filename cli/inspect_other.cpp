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
  if (d.stats) write_statistics(j, *d.stats);
  if (d.text) j.entry("text", *d.text);
  if (!d.problem.empty()) j.entry("problem", d.problem);
  if (d.group) {
    j.key("children").array();
    for (const io::Description& c : d.children) write(j, c);
    j.end();
  }
  j.end();
}

void add_rows(TextTable& table, size_t columns, const io::Description& d,
              const std::string& format) {
  std::vector<std::string> cells = {d.path, d.group ? "group" : d.dtype};
  if (!d.group) cells.push_back(shape_cell(d.shape));
  if (d.stats) add_statistics(cells, *d.stats, format);
  else if (!d.problem.empty()) cells.push_back(d.problem);
  cells.resize(columns);
  if (!d.group || (d.children.empty() && d.path != "/")) table.row(std::move(cells));
  for (const io::Description& c : d.children) add_rows(table, columns, c, format);
}

void add_attributes(TextTable& table, const io::Description& d) {
  for (const auto& [name, value] : d.attributes) table.row({d.path, name, value});
  for (const io::Description& c : d.children) add_attributes(table, c);
}

}  // namespace

std::string inspect_other(const std::string& path, const InspectOptions& o) {
  if (o.config)
    throw Error(ErrorKind::input_file, fmt::format("{}: holds no config: it is not nnm's", path));
  io::DescribeOptions options;
  if (!o.select.empty()) {
    const io::H5Reader file(path);
    options.select = [chosen = select_tensors({}, dataset_names(file.root()), o.select)](
                         const std::string& name) { return chosen.contains(name); };
  }
  const io::Description d = io::describe(path, options);
  if (o.format == "json") {
    Json j(2);
    j.object().entry("kind", "hdf5").entry("bin_edges", histogram_edges()).key("root");
    write(j, d);
    return j.end().text() + "\n";
  }
  std::vector<std::string> head = {"dataset", "dtype", "shape"};
  add_statistics_head(head, o.format);
  const size_t columns = head.size();
  TextTable table(std::move(head), 8);
  add_rows(table, columns, d, o.format);
  if (o.format == "csv") return table.csv();
  TextTable attributes({"object", "attribute", "value"}, 0);
  add_attributes(attributes, d);
  return table.text() + (attributes.rows() ? "\n" + attributes.text() : "");
}

}  // namespace nnm::cli
