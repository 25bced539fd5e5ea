// Writing checkpoints.
#include <sys/stat.h>

#include <unordered_set>

#include "nnm/base/file.h"
#include "nnm/base/json.h"
#include "nnm/io/state_group.h"
#include "nnm/io/tree.h"

namespace nnm::io {
namespace {

class Saver {
 public:
  Saver(const Checkpoint& checkpoint, const std::string& path) : c_(checkpoint), file_(path) {}

  void run() {
    header();
    file_.text("/config", c_.config);
    file_.text("/config_resolved", c_.config_resolved);
    config_files();
    file_.text("/hooks", c_.hooks);
    model();
    write_state_dict(file_, c_.state_dict,
                     [&](const std::string& path, const StateEntry& e, uint32_t crc) {
                       file_.attribute(path, "kind", e.parameter ? "parameter" : "buffer");
                       file_.attribute(path, "dtype", info(e.tensor.dtype()).name);
                       file_.attribute(path, "requires_grad", e.requires_grad);
                       file_.attribute_u32(path, "crc32c", crc);
                     });
    if (c_.optimizer) optimizer(*c_.optimizer);
    if (!c_.ema.empty()) {
      for (const NamedTensor& t : c_.ema) file_.tensor(key_path(file_, "/ema/", t.name), t.tensor);
    }
    for (const auto& [path, items] : {std::pair{"/scheduler", &c_.scheduler},
                                      {"/amp", &c_.amp},
                                      {"/rng", &c_.rng},
                                      {"/data", &c_.data},
                                      {"/rules", &c_.rules},
                                      {"/provenance", &c_.provenance}}) {
      if (!items->empty()) write_items(file_, path, *items);
    }
    metrics();
    file_.finish();
  }

 private:
  void header() {
    const std::pair<const char*, Value> fields[] = {{"format", "nnm-checkpoint"},
                                                    {"format_version", kCheckpointVersion},
                                                    {"min_reader", kCheckpointVersion},
                                                    {"kind", c_.kind},
                                                    {"complete", 0},
                                                    {"nnm_version", c_.nnm_version},
                                                    {"git_commit", c_.git_commit},
                                                    {"created_utc", c_.created_utc},
                                                    {"device", c_.device},
                                                    {"torch_semantics", c_.torch_semantics},
                                                    {"run_id", c_.run_id},
                                                    {"parent_run_id", c_.parent_run_id},
                                                    {"global_step", c_.global_step},
                                                    {"epoch", c_.epoch}};
    for (const auto& [name, value] : fields) file_.attribute("/", name, value);
  }

  void config_files() {
    if (c_.config_files.empty()) return;
    std::vector<std::string> paths;
    for (const auto& [path, text] : c_.config_files) {
      file_.text(fmt::format("/config_files/text/{}", paths.size()), text);
      paths.push_back(path);
    }
    file_.texts("/config_files/path", paths);
  }

  void model() {
    std::vector<std::string> name, type, parent, alias;
    std::vector<int64_t> parameters;
    for (const ModuleRow& m : c_.modules) {
      name.push_back(m.name);
      type.push_back(m.type);
      parent.push_back(m.parent);
      alias.push_back(m.alias_of);
      parameters.push_back(m.parameters);
    }
    const int64_t count = static_cast<int64_t>(name.size());
    file_.texts("/model/modules/name", name);
    file_.texts("/model/modules/type", type);
    file_.texts("/model/modules/parent", parent);
    file_.dataset("/model/modules/parameters", DType::i64, std::span(&count, 1), parameters.data());
    file_.texts("/model/modules/alias_of", alias);
    std::vector<std::string> shared, canonical;
    for (const StateEntry& e : c_.state_dict) {
      if (e.alias_of.empty()) continue;
      shared.push_back(e.name);
      canonical.push_back(e.alias_of);
    }
    file_.texts("/model/aliases/alias", shared);
    file_.texts("/model/aliases/canonical", canonical);
  }

  void optimizer(const OptimizerState& o) {
    file_.group("/optimizer");
    file_.attribute("/optimizer", "type", o.type);
    // For other readers, as JSON. nnm reads the group, which tells 0 from 0.0 and keeps NaN.
    file_.attribute("/optimizer", "defaults", Json().value(Value::dict(o.defaults)).text());
    write_items(file_, "/optimizer/defaults", o.defaults);
    file_.group("/optimizer/param_groups");
    for (size_t i = 0; i < o.param_groups.size(); ++i) {
      const std::string at = "/optimizer/param_groups/" + std::to_string(i);
      write_items(file_, at + "/options", o.param_groups[i].options);
      file_.texts(at + "/params", o.param_groups[i].params);
    }
    file_.group("/optimizer/state");
    for (const auto& [name, items] : o.state)
      write_items(file_, key_path(file_, "/optimizer/state/", name), items);
  }

  void metrics() {
    file_.group("/metrics");
    for (const Column& c : c_.metrics) {
      const std::string path = key_path(file_, "/metrics/", c.name);
      std::visit([&](const auto& values) { column(path, values); }, c.values);
    }
    write_items(file_, "/metrics/best", c_.best);
  }
  void column(const std::string& path, const std::vector<double>& v) {
    const int64_t count = static_cast<int64_t>(v.size());
    file_.dataset(path, DType::f64, std::span(&count, 1), v.data());
  }
  void column(const std::string& path, const std::vector<int64_t>& v) {
    const int64_t count = static_cast<int64_t>(v.size());
    file_.dataset(path, DType::i64, std::span(&count, 1), v.data());
  }
  void column(const std::string& path, const std::vector<std::string>& v) { file_.texts(path, v); }

  const Checkpoint& c_;
  H5Writer file_;
};

}  // namespace

int64_t save_checkpoint(const Checkpoint& checkpoint, const std::string& path) {
  int64_t bytes = 0;
  write_atomically(path, [&](const std::string& part) {
    Saver(checkpoint, part).run();
    try {
      const VerifyReport report = verify(part, {.probe = false});
      for (const VerifyLine& line : report.lines) {
        if (!line.problem.empty())
          throw Error(ErrorKind::output, line.dataset + ": " + line.problem);
      }
    } catch (const Error& e) {
      throw Error(ErrorKind::output, fmt::format("{}: reading it back failed: {}", path, e.what()));
    }
    struct stat about;
    if (stat(part.c_str(), &about) == 0) bytes = about.st_size;
  });
  return bytes;
}

}  // namespace nnm::io
