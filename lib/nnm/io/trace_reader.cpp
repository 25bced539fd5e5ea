// TraceReader: records, statistics and calls out of a trace file.
#include <algorithm>

#include "nnm/io/link_name.h"
#include "nnm/io/trace_file.h"
#include "nnm/io/trace_record.h"

namespace nnm::io {
namespace {

std::vector<int64_t> integers(const H5Reader& file, const std::string& path) {
  const H5Node& node = file.at(path);
  if (node.group || node.element.kind != Element::Kind::number ||
      node.element.dtype != DType::i64) {
    file.fail(node, "not a column of whole numbers");
  }
  std::vector<int64_t> v(node.numel);
  file.read(node, v.data(), v.size() * sizeof(int64_t));
  return v;
}

std::vector<std::string> texts(const H5Reader& file, const std::string& path) {
  return file.texts(file.at(path));
}

// Columns of a table that was being written when the process died may differ by the last rows.
template <class... C>
size_t common_length(const C&... columns) {
  return std::min({columns.size()...});
}

std::vector<int64_t> shape_of(const std::string& text) {
  std::vector<int64_t> shape;
  for (size_t at = 0; at < text.size();) {
    size_t used = 0;
    try {
      shape.push_back(std::stoll(text.substr(at), &used));
    } catch (const std::exception&) {
      throw Error(ErrorKind::input_file, fmt::format("'{}' is not a shape", text));
    }
    at += used + 1;
  }
  return shape;
}

DType dtype_named(const std::string& name) {
  for (int i = 0; i < kDTypes; ++i) {
    if (name == kDTypeInfo[i].name) return static_cast<DType>(i);
  }
  throw Error(ErrorKind::input_file, fmt::format("'{}' is not a dtype", name));
}

TraceRecords records_of(const H5Reader& file, const H5Node& module, const H5Node& what) {
  TraceRecords r{.module = name_of_link(module.name), .what = what.name};
  for (const H5Node& arg : what.children) {
    if (!arg.name.starts_with('@')) r.args.push_back(name_of_link(arg.name));
  }
  std::sort(r.args.begin(), r.args.end());
  if (!what.find("@step")) return r;
  r.step = integers(file, what.path + "/@step");
  r.call = integers(file, what.path + "/@call");
  const size_t count = common_length(r.step, r.call);
  r.step.resize(count);
  r.call.resize(count);
  return r;
}

// What the manifest lists is small, and read by many ways.
void check_listed(const H5Reader& file, const Manifest& manifest) {
  std::vector<char> bytes;
  for (const ManifestRow& row : manifest.rows()) {
    const H5Node& node = file.at(row.path);
    bytes.resize(static_cast<size_t>(node.bytes()));
    file.read_raw(node, bytes.data(), bytes.size());
    const std::string problem = manifest.problem(node, bytes.data(), bytes.size());
    if (!problem.empty()) file.fail(node, problem);
  }
}

}  // namespace

TraceReader::TraceReader(const std::string& path, bool unfinished, const H5Limits& limits)
    : file_(path, limits) {
  const Value format = file_.attribute(file_.root(), "format"),
              done = file_.attribute(file_.root(), "complete");
  if (!format.is(Value::Kind::string) || format.string() != "nnm-trace") {
    file_.fail(file_.root(), "not a trace of nnm");
  }
  const Value version = file_.attribute(file_.root(), "format_version");
  if (!version.is(Value::Kind::integer) || version.integer() > kTraceVersion) {
    file_.fail(file_.root(), "written by a newer nnm");
  }
  const bool complete = done.is(Value::Kind::integer) && done.integer() == 1;
  if (!complete && !unfinished) file_.fail(file_.root(), "the file was not finished");
  if (complete) check_listed(file_, manifest_.emplace(file_));
  const H5Node* tensors = file_.find("/tensors");
  if (!tensors) return;
  for (const H5Node& module : tensors->children) {
    for (const H5Node& what : module.children) {
      if (what.group) records_.push_back(records_of(file_, module, what));
    }
  }
}

TraceReader::~TraceReader() = default;
TraceReader::TraceReader(TraceReader&&) noexcept = default;
TraceReader& TraceReader::operator=(TraceReader&&) noexcept = default;

std::string TraceReader::config() const {
  const H5Node& node = file_.at("/config");
  return manifest_ ? checked_text(file_, *manifest_, node) : file_.text(node);
}

std::string TraceReader::hooks() const {
  const H5Node& node = file_.at("/hooks");
  return manifest_ ? checked_text(file_, *manifest_, node) : file_.text(node);
}

std::vector<ModuleRow> TraceReader::modules() const {
  const std::string at = "/model/modules/";
  const auto name = texts(file_, at + "name"), type = texts(file_, at + "type"),
             parent = texts(file_, at + "parent"), alias = texts(file_, at + "alias_of");
  const auto parameters = integers(file_, at + "parameters");
  std::vector<ModuleRow> rows;
  for (size_t i = 0; i < common_length(name, type, parent, alias, parameters); ++i) {
    rows.push_back({name[i], type[i], parent[i], parameters[i], alias[i]});
  }
  return rows;
}

std::vector<TraceStep> TraceReader::steps() const {
  const auto step = integers(file_, "/index/step"), epoch = integers(file_, "/index/epoch"),
             micro = integers(file_, "/index/micro"), wall = integers(file_, "/index/wall_ns");
  const auto mode = texts(file_, "/index/mode");
  std::vector<TraceStep> rows;
  for (size_t i = 0; i < common_length(step, epoch, micro, wall, mode); ++i) {
    rows.push_back({step[i], epoch[i], micro[i], wall[i], mode[i]});
  }
  return rows;
}

std::vector<TraceSite> TraceReader::sites() const {
  const auto module = texts(file_, "/index/site"), what = texts(file_, "/index/what"),
             arg = texts(file_, "/index/arg"), hook = texts(file_, "/index/hook"),
             shape = texts(file_, "/index/shape"), dtype = texts(file_, "/index/dtype");
  const auto call = integers(file_, "/index/call");
  std::vector<TraceSite> rows;
  for (size_t i = 0; i < common_length(module, what, arg, hook, shape, dtype, call); ++i) {
    rows.push_back(
        {module[i], what[i], arg[i], call[i], hook[i], shape_of(shape[i]), dtype_named(dtype[i])});
  }
  return rows;
}

std::vector<TraceStat> TraceReader::stats() const {
  std::vector<TraceStat> rows;
  if (!file_.find("/index/stat")) return rows;
  const auto name = texts(file_, "/index/stat"), unit = texts(file_, "/index/unit");
  for (size_t i = 0; i < common_length(name, unit); ++i) rows.push_back({name[i], unit[i]});
  return rows;
}

std::vector<double> TraceReader::bin_edges() const {
  const H5Node* node = file_.find("/index/bin_edges");
  return node ? file_.tensor(*node).to_vector<double>() : std::vector<double>();
}

Tensor TraceReader::values() const {
  const H5Node* node = file_.find("/stats/values");
  return node ? file_.tensor(*node) : Tensor();
}

Tensor TraceReader::histograms() const {
  const H5Node* node = file_.find("/stats/histogram");
  return node ? file_.tensor(*node) : Tensor();
}

Tensor TraceReader::tensor(const TraceRecords& records, const std::string& arg, int64_t i) const {
  const H5Node& what = group(records);
  const std::string link = link_name(arg);
  std::unique_ptr<RecordColumn>& column = columns_[what.path + "/" + link];
  if (!column) column = std::make_unique<RecordColumn>(file_, what, link, !manifest_);
  return column->read(file_, i);
}

const H5Node& TraceReader::group(const TraceRecords& records) const {
  return file_.at("/tensors/" + link_name(records.module) + "/" + records.what);
}

std::vector<TraceReader::Call> TraceReader::calls() const {
  const auto seq = integers(file_, "/calls/seq"), step = integers(file_, "/calls/step"),
             call = integers(file_, "/calls/call");
  const auto hook = texts(file_, "/calls/hook"), module = texts(file_, "/calls/module");
  std::vector<Call> rows;
  for (size_t i = 0; i < common_length(seq, step, call, hook, module); ++i) {
    rows.push_back({seq[i], step[i], hook[i], module[i], call[i]});
  }
  return rows;
}

}  // namespace nnm::io
