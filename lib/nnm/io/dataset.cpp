// One dataset out of any HDF5 file.
#include "nnm/io/dataset.h"

#include "nnm/io/manifest.h"
#include "nnm/io/trace_record.h"

namespace nnm::io {

Tensor read_dataset(const std::string& path, const std::string& dataset) {
  const H5Reader file(path);
  const H5Node& node = file.at(dataset);
  const Value format = file.attribute(file.root(), "format");
  if (node.group || !format.is(Value::Kind::string) || !format.string().starts_with("nnm-"))
    return file.tensor(node);
  const Manifest manifest(file);
  if (manifest.lists(node)) return checked_tensor(file, manifest, node);
  if (!node.path.starts_with("/tensors/")) return file.tensor(node);
  const H5Node& call = file.at(node.path.substr(0, node.path.find_last_of('/')));
  const RecordColumn records(file, call, node.name);
  Tensor entry;
  for (int64_t i = 0; i < records.count(); ++i) entry = records.read(file, i);
  if (records.count() != 1) return file.tensor(node);
  if (!entry.defined()) file.fail(node, "its only entry is None");
  return entry;
}

}  // namespace nnm::io
