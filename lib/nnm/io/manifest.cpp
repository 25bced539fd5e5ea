// Reading the manifest, and holding data against it.
#include "nnm/io/manifest.h"

#include "nnm/base/file.h"
#include "nnm/io/seal.h"

namespace nnm::io {
namespace {

constexpr const char* kColumns[] = {"path", "dtype", "shape", "nbytes", "crc32c"};

std::vector<char> raw_bytes(const H5Reader& file, const H5Node& node) {
  std::vector<char> data(node.bytes());
  file.read_raw(node, data.data(), data.size());
  return data;
}

void index_datasets(const H5Node& node, std::unordered_map<std::string, const H5Node*>& out) {
  if (!node.group) out.emplace(node.path, &node);
  for (const H5Node& c : node.children) index_datasets(c, out);
}

std::vector<int64_t> integers(const H5Reader& file, const H5Node& node, int64_t count) {
  if (node.group || node.numel != count || node.element.dtype != DType::i64) {
    file.fail(node, "not a column of the manifest");
  }
  std::vector<int64_t> values(count);
  file.read(node, values.data(), values.size() * sizeof(int64_t));
  return values;
}

}  // namespace

Manifest::Manifest(const H5Reader& file) {
  seal_ = read_seal(file);
  uint32_t crc = 0;
  for (const char* column : kColumns) {
    const std::vector<char> data = raw_bytes(file, file.at(std::string("/manifest/") + column));
    crc = crc32c(data.data(), data.size(), crc);
  }
  const Value want = file.attribute(file.root(), "manifest_crc32c");
  if (!want.is(Value::Kind::integer) || want.integer() != crc) {
    file.fail(file.at("/manifest"), "does not have its checksum");
  }
  const std::vector<std::string> paths = file.texts(file.at("/manifest/path")),
                                 dtypes = file.texts(file.at("/manifest/dtype")),
                                 shapes = file.texts(file.at("/manifest/shape"));
  const int64_t count = static_cast<int64_t>(paths.size());
  const std::vector<int64_t> nbytes = integers(file, file.at("/manifest/nbytes"), count),
                             crcs = integers(file, file.at("/manifest/crc32c"), count);
  if (dtypes.size() != paths.size() || shapes.size() != paths.size()) {
    file.fail(file.at("/manifest"), "its columns differ in length");
  }
  std::unordered_map<std::string, const H5Node*> datasets;
  index_datasets(file.root(), datasets);
  for (int64_t i = 0; i < count; ++i) {
    if (const auto it = datasets.find(paths[i]); it != datasets.end()) {
      by_address_[it->second->address] = rows_.size();
    }
    rows_.push_back({paths[i], dtypes[i], shapes[i], nbytes[i], static_cast<uint32_t>(crcs[i])});
  }
}

std::string Manifest::problem(const H5Node& node, const void* data, size_t bytes) const {
  return crc_problem(node, crc32c(data, bytes), bytes);
}

std::string Manifest::crc_problem(const H5Node& node, uint32_t crc, size_t bytes) const {
  const auto it = by_address_.find(node.address);
  if (it == by_address_.end()) return "not in the manifest";
  const ManifestRow& row = rows_[it->second];
  const std::string type = node.element.kind == Element::Kind::text ? "string" : node.element.name;
  if (static_cast<size_t>(row.nbytes) != bytes) {
    return fmt::format("{} bytes, and {} in the manifest", bytes, row.nbytes);
  }
  if (row.shape != shape_text(node.shape) || row.dtype != type) {
    return fmt::format("{} [{}], and {} [{}] in the manifest", type, shape_text(node.shape),
                       row.dtype, row.shape);
  }
  if (crc != row.crc32c) return "the data do not have their checksum";
  return "";
}

Tensor checked_tensor(const H5Reader& file, const Manifest& manifest, const H5Node& node) {
  if (!node.element.exact)
    file.fail(node, "holds " + node.element.name + ", which nnm does not write");
  Tensor t = file.tensor(node);
  const std::string problem = manifest.problem(node, t.data(), t.numel() * item_size(t.dtype()));
  if (!problem.empty()) file.fail(node, problem);
  return t;
}

std::vector<std::string> checked_texts(const H5Reader& file, const Manifest& manifest,
                                       const H5Node& node) {
  const std::vector<char> data = raw_bytes(file, node);
  const std::string problem = manifest.problem(node, data.data(), data.size());
  if (!problem.empty()) file.fail(node, problem);
  return file.texts(node);
}

std::string checked_text(const H5Reader& file, const Manifest& manifest, const H5Node& node) {
  std::vector<std::string> all = checked_texts(file, manifest, node);
  if (all.size() != 1) file.fail(node, "holds several texts where one is needed");
  return std::move(all[0]);
}

}  // namespace nnm::io
