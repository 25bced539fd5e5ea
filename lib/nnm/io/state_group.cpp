// The group of named tensors that checkpoints and files of weights share.
#include "nnm/io/state_group.h"

namespace nnm::io {

std::string key_path(const H5Writer& file, const std::string& group, const std::string& key) {
  if (key.empty() || key == "." || key.find('/') != std::string::npos ||
      key.find('\0') != std::string::npos) {
    throw Error(ErrorKind::output,
                fmt::format("{}: '{}' cannot be the name of a dataset", file.path(), key),
                "names of modules and parameters in a checkpoint have no slash");
  }
  return group + key;
}

void write_state_dict(
    H5Writer& file, const std::vector<StateEntry>& entries,
    const std::function<void(const std::string&, const StateEntry&, uint32_t)>& written) {
  const std::string group = "/state_dict/";
  file.group("/state_dict");
  for (const StateEntry& e : entries) {
    const std::string path = key_path(file, group, e.name);
    if (!e.alias_of.empty()) {
      file.hard_link(key_path(file, group, e.alias_of), path);
      continue;
    }
    const uint32_t crc = file.tensor(path, e.tensor);
    if (written) written(path, e, crc);
  }
}

}  // namespace nnm::io
