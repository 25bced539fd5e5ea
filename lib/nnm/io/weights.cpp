// Weights by name out of the three kinds of files that hold them.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <unordered_map>

#include "nnm/io/checkpoint.h"
#include "nnm/io/safetensors.h"

namespace nnm::io {
namespace {

bool begins_like_safetensors(const std::string& path) {
  std::error_code ignored;
  // A pipe would wait for its writer.
  if (!std::filesystem::is_regular_file(path, ignored)) return false;
  char head[9] = {};
  std::ifstream in(path, std::ios::binary);
  in.read(head, sizeof head);
  return in.gcount() == sizeof head && head[8] == '{';
}

std::vector<NamedTensor> hdf5_weights(const std::string& path) {
  const H5Reader file(path);
  const Value format =
      file.has_attribute(file.root(), "format") ? file.attribute(file.root(), "format") : Value();
  if (format.is(Value::Kind::string) && format.string() == "nnm-checkpoint") {
    std::vector<NamedTensor> out;
    for (StateEntry& e : load_checkpoint(path, {.training = false}).state_dict) {
      out.push_back({std::move(e.name), std::move(e.tensor)});
    }
    return out;
  }
  const H5Node* named = file.find("state_dict");
  const H5Node& group = named && named->group ? *named : file.root();
  std::vector<NamedTensor> out;
  std::unordered_map<uint64_t, size_t> seen;
  for (const H5Node& node : group.children) {
    if (node.group)
      file.fail(node,
                "a group where a tensor is needed: weights are one dataset per state_dict key");
    const auto [it, fresh] = seen.emplace(node.address, out.size());
    Tensor t = fresh ? file.tensor(node) : out[it->second].tensor;
    out.push_back({node.name, std::move(t)});
  }
  if (out.empty()) file.fail(group, "holds no tensors");
  return out;
}

}  // namespace

std::vector<NamedTensor> load_weights(const std::string& path) {
  return begins_like_safetensors(path) ? read_safetensors(path) : hdf5_weights(path);
}

}  // namespace nnm::io
