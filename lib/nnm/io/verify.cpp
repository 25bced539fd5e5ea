// Verifying checkpoints and traces: every byte against its checksum.
#include <algorithm>

#include "nnm/base/file.h"
#include "nnm/io/checkpoint.h"
#include "nnm/io/manifest.h"
#include "nnm/io/seal.h"
#include "nnm/io/trace_file.h"
#include "nnm/io/trace_record.h"

namespace nnm::io {
namespace {

// An error's text without the names that the line already has.
std::string reason(const Error& e, const std::string& path, const std::string& dataset) {
  std::string_view text(e.what());
  for (const std::string& name : {path, dataset}) {
    if (text.starts_with(name + ": ")) text.remove_prefix(name.size() + 2);
  }
  return std::string(text);
}

class Verifier {
 public:
  Verifier(const H5Reader& file, const Manifest& manifest, VerifyReport& report)
      : file_(file), manifest_(manifest), report_(report) {}

  void run() {
    visit(file_.root());
    for (const ManifestRow& row : manifest_.rows()) {
      if (!file_.find(row.path)) report_.lines.push_back({row.path, "missing from the file"});
    }
    if (!report_.ok()) return;
    if (!seal_holds(file_, manifest_)) {
      report_.lines.push_back({"/", "bytes that belong to no dataset are damaged"});
    }
  }

 private:
  void visit(const H5Node& node) {
    if (node.group || in_manifest(node)) {
      metadata_readable(node);
      for (const H5Node& c : node.children) visit(c);
      return;
    }
    VerifyLine line{node.path, ""};
    try {
      line.problem = problem(node);
    } catch (const Error& e) {
      line.problem = reason(e, file_.path(), node.path);
    }
    report_.lines.push_back(std::move(line));
  }

  // Its columns have their checksum at the root, and were read.
  static bool in_manifest(const H5Node& node) { return node.path.starts_with("/manifest/"); }

  // Attributes have no checksum of their own: reading their object header checks that of HDF5.
  void metadata_readable(const H5Node& node) {
    try {
      file_.check_metadata(node);
      file_.attribute_items(node);
    } catch (const Error& e) {
      report_.lines.push_back({node.path, reason(e, file_.path(), node.path)});
    }
  }

  std::string problem(const H5Node& node) {
    file_.check_metadata(node);
    if (manifest_.lists(node)) {
      std::vector<char> data = raw(node);
      std::string what = manifest_.problem(node, data.data(), data.size());
      if (what.empty() && file_.has_attribute(node, "crc32c") &&
          file_.attribute(node, "crc32c").integer() != crc32c(data.data(), data.size())) {
        what = "its attribute crc32c is that of other data";
      }
      return what;
    }
    // HDF5 checks those when it reads them.
    if (node.fletcher32) return raw(node), "";
    return records_problem(node);
  }

  // A trace's tensors have a checksum per entry.
  std::string records_problem(const H5Node& node) {
    const H5Node* what = file_.find(node.path.substr(0, node.path.find_last_of('/')));
    if (!node.path.starts_with("/tensors/") || !what)
      return "neither in the manifest nor checksummed";
    const RecordColumn records(file_, *what, node.name);
    for (int64_t i = 0; i < records.count(); ++i) records.read(file_, i);
    return "";
  }

  std::vector<char> raw(const H5Node& node) const {
    std::vector<char> data(node.bytes());
    file_.read_raw(node, data.data(), data.size());
    return data;
  }

  const H5Reader& file_;
  const Manifest& manifest_;
  VerifyReport& report_;
};

/// Reads what is around the tensors, as the verbs do: whole bytes may still be no checkpoint.
void check_structure(const std::string& format, const std::string& path, const H5Limits& limits) {
  if (format == "nnm-checkpoint") {
    load_checkpoint(path, {.state_dict = false, .training = false, .limits = limits});
    return;
  }
  const TraceReader trace(path, false, limits);
  trace.modules();
  trace.steps();
  trace.sites();
  trace.calls();
  trace.stats();
}

}  // namespace

bool VerifyReport::ok() const {
  return std::all_of(lines.begin(), lines.end(),
                     [](const VerifyLine& l) { return l.problem.empty(); });
}

VerifyReport verify(const std::string& path, const H5Limits& limits) {
  VerifyReport report{.path = path};
  std::unique_ptr<H5Reader> file;
  try {
    file = std::make_unique<H5Reader>(path, limits);
  } catch (const Error& e) {
    if (!is_hdf5(path)) throw;
    report.lines.push_back({"/", reason(e, path, "/")});
    return report;
  }
  try {
    const Value format = file->attribute(file->root(), "format");
    if (format.is(Value::Kind::string)) report.format = format.string();
  } catch (const Error& e) {
    report.lines.push_back({"/", reason(e, path, "/")});
    return report;
  }
  if (!report.format.starts_with("nnm-")) {
    throw Error(ErrorKind::input_file,
                fmt::format("{}: neither a checkpoint nor a trace of nnm", path));
  }
  try {
    const Value complete = file->attribute(file->root(), "complete");
    if (!complete.is(Value::Kind::integer) || complete.integer() != 1) {
      report.lines.push_back({"/", "the file was not finished"});
    }
    const Manifest manifest(*file);
    Verifier(*file, manifest, report).run();
    if (report.ok()) check_structure(report.format, path, limits);
  } catch (const Error& e) {
    report.lines.push_back({"/", reason(e, path, "/")});
  }
  return report;
}

}  // namespace nnm::io
