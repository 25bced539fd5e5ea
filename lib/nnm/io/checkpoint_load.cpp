// Reading checkpoints.
#include <unordered_map>

#include "nnm/io/checkpoint.h"
#include "nnm/io/tree.h"

namespace nnm::io {
namespace {

class Loader {
 public:
  Loader(const std::string& path, const H5Limits& limits) : file_(path, limits) {
    header();
    manifest_.emplace(file_);
  }

  Checkpoint run(const LoadOptions& options) {
    c_.config = text("/config");
    c_.config_resolved = text("/config_resolved");
    config_files();
    c_.hooks = text("/hooks");
    modules();
    if (options.state_dict) state_dict();
    c_.provenance = items("/provenance");
    c_.data = items("/data");
    metrics();
    if (!options.training) return std::move(c_);
    if (const H5Node* node = file_.find("/optimizer")) optimizer(*node);
    if (const H5Node* node = file_.find("/ema")) {
      for (const H5Node& t : node->children) c_.ema.push_back({t.name, tensor(t)});
    }
    c_.scheduler = items("/scheduler");
    c_.amp = items("/amp");
    c_.rng = items("/rng");
    c_.rules = items("/rules");
    return std::move(c_);
  }

 private:
  std::string text_attribute(const H5Node& node, const char* name) const {
    const Value v = file_.attribute(node, name);
    if (v.is_none()) return {};
    if (!v.is(Value::Kind::string))
      file_.fail(node, fmt::format("its attribute {} is not a text", name));
    return v.string();
  }
  int64_t integer_attribute(const H5Node& node, const char* name) const {
    const Value v = file_.attribute(node, name);
    if (!v.is(Value::Kind::integer)) file_.fail(node, fmt::format("has no number {}", name));
    return v.integer();
  }
  Tensor tensor(const H5Node& node) const { return checked_tensor(file_, *manifest_, node); }
  std::string text(const char* path) const {
    return checked_text(file_, *manifest_, file_.at(path));
  }
  std::vector<std::string> texts(const std::string& path) const {
    return checked_texts(file_, *manifest_, file_.at(path));
  }
  Items items(const std::string& path) const {
    const H5Node* node = file_.find(path);
    return node ? read_items(file_, *manifest_, *node) : Items();
  }

  void header() {
    const H5Node& root = file_.root();
    const Value format = file_.attribute(root, "format");
    if (!format.is(Value::Kind::string) || format.string() != "nnm-checkpoint") {
      file_.fail(root, "not a checkpoint of nnm");
    }
    if (const int64_t need = integer_attribute(root, "min_reader"); need > kCheckpointVersion) {
      file_.fail(
          root,
          fmt::format("written by a newer nnm ({}): format {} is needed to read it, this is {}",
                      text_attribute(root, "nnm_version"), need, kCheckpointVersion));
    }
    if (integer_attribute(root, "complete") != 1) file_.fail(root, "the file was not finished");
    c_.kind = text_attribute(root, "kind");
    c_.nnm_version = text_attribute(root, "nnm_version");
    c_.git_commit = text_attribute(root, "git_commit");
    c_.created_utc = text_attribute(root, "created_utc");
    c_.device = text_attribute(root, "device");
    c_.torch_semantics = text_attribute(root, "torch_semantics");
    c_.run_id = text_attribute(root, "run_id");
    c_.parent_run_id = text_attribute(root, "parent_run_id");
    c_.global_step = integer_attribute(root, "global_step");
    c_.epoch = integer_attribute(root, "epoch");
  }

  void config_files() {
    if (!file_.find("/config_files")) return;
    for (std::string& path : texts("/config_files/path")) {
      const std::string at = fmt::format("/config_files/text/{}", c_.config_files.size());
      c_.config_files.emplace_back(std::move(path), text(at.c_str()));
    }
  }

  void modules() {
    const std::string at = "/model/modules/";
    const std::vector<std::string> name = texts(at + "name"), type = texts(at + "type"),
                                   parent = texts(at + "parent"), alias = texts(at + "alias_of");
    const Tensor parameters = tensor(file_.at(at + "parameters"));
    const size_t count = name.size();
    if (type.size() != count || parent.size() != count || alias.size() != count ||
        parameters.dtype() != DType::i64 || parameters.numel() != static_cast<int64_t>(count)) {
      file_.fail(file_.at("/model/modules"), "its columns differ in length");
    }
    for (size_t i = 0; i < count; ++i) {
      c_.modules.push_back({name[i], type[i], parent[i], parameters.data<int64_t>()[i], alias[i]});
    }
  }

  void state_dict() {
    const H5Node& group = file_.at("/state_dict");
    std::unordered_map<uint64_t, size_t> seen;
    for (const H5Node& node : group.children) {
      if (node.group) file_.fail(node, "a group where a tensor is needed");
      StateEntry e{.name = node.name};
      if (const auto [it, fresh] = seen.emplace(node.address, c_.state_dict.size()); !fresh) {
        e = c_.state_dict[it->second];
        e.alias_of = std::exchange(e.name, node.name);
      } else {
        e.tensor = tensor(node);
        const Items about = file_.attribute_items(node);
        const Value *kind = find_item(about, "kind"), *grad = find_item(about, "requires_grad");
        e.parameter = kind && *kind == Value("parameter");
        e.requires_grad = grad && grad->truthy();
      }
      c_.state_dict.push_back(std::move(e));
    }
  }

  void optimizer(const H5Node& node) {
    OptimizerState o;
    o.type = text_attribute(node, "type");
    o.defaults = items("/optimizer/defaults");
    for (const H5Node& group : file_.at("/optimizer/param_groups").children) {
      o.param_groups.push_back({items(group.path + "/options"), texts(group.path + "/params")});
    }
    for (const H5Node& param : file_.at("/optimizer/state").children) {
      o.state.emplace_back(param.name, read_items(file_, *manifest_, param));
    }
    c_.optimizer = std::move(o);
  }

  void metrics() {
    for (const H5Node& node : file_.at("/metrics").children) {
      if (node.group) continue;
      Column c{.name = node.name};
      if (node.element.kind == Element::Kind::text) {
        c.values = texts(node.path);
      } else {
        const Tensor t = tensor(node);
        if (t.dtype() == DType::i64) c.values = t.to_vector<int64_t>();
        else c.values = t.to_vector<double>();
      }
      c_.metrics.push_back(std::move(c));
    }
    c_.best = items("/metrics/best");
  }

  H5Reader file_;
  std::optional<Manifest> manifest_;
  Checkpoint c_;
};

}  // namespace

Checkpoint load_checkpoint(const std::string& path, const LoadOptions& options) {
  return Loader(path, options.limits).run(options);
}

}  // namespace nnm::io
