// Weights by name out of the four kinds of files that hold them.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <unordered_map>

#include "nnm/io/checkpoint.h"
#include "nnm/io/safetensors.h"
#include "nnm/io/torch_file.h"

namespace nnm::io {
namespace {

/// The first bytes of a file, "" where there are not as many.
std::string head_of(const std::string& path) {
  std::error_code ignored;
  // A pipe would wait for its writer.
  if (!std::filesystem::is_regular_file(path, ignored)) return "";
  std::string head(9, '\0');
  std::ifstream in(path, std::ios::binary);
  in.read(head.data(), std::ssize(head));
  return in.gcount() == std::ssize(head) ? head : "";
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
    out.push_back({node.name, std::move(t), node.element.exact ? "" : node.element.name});
  }
  if (out.empty() && !named) file.fail(group, "holds no tensors");
  return out;
}

}  // namespace

std::vector<NamedTensor> load_weights(const std::string& path) {
  const std::string head = head_of(path);
  if (head.starts_with("PK\3\4")) return read_torch(path);
  if (head.starts_with("\x80\2") || head.starts_with("\x80\4"))
    throw Error(ErrorKind::input_file,
                fmt::format("{}: a pickle, as torch.save wrote before PyTorch 1.6", path),
                "let PyTorch write it anew: `torch.save(torch.load(path), path)`");
  if (head.size() > 8 && head[8] == '{') return read_safetensors(path);
  if (head.size() > 8 && !is_hdf5(path))
    throw Error(ErrorKind::input_file, fmt::format("{}: weights of no kind that nnm knows", path),
                "they are a checkpoint, .safetensors, a state_dict of torch.save, or HDF5");
  return hdf5_weights(path);
}

}  // namespace nnm::io
