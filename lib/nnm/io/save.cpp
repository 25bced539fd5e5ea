// torch.save and torch.load of state dicts, as plain HDF5.
#include "nnm/io/save.h"

#include <algorithm>

#include "nnm/base/file.h"
#include "nnm/io/state_group.h"

namespace nnm {

namespace {

bool same_memory(const Tensor& a, const Tensor& b) {
  return a.numel() > 0 && a.data() == b.data() && a.dtype() == b.dtype() &&
         a.shape() == b.shape() && a.strides() == b.strides();
}

}  // namespace

void save(const StateDict& state_dict, const std::string& path) {
  std::vector<io::StateEntry> entries;
  for (const auto& [key, value] : state_dict) {
    NNM_CHECK(value.is(Value::Kind::tensor), not_implemented,
              "{} is extra state of a module, which files of weights do not hold", key);
    io::StateEntry e{.name = key, .tensor = value.as<Tensor>()};
    const auto same = std::find_if(entries.begin(), entries.end(), [&](const io::StateEntry& has) {
      return same_memory(has.tensor, e.tensor);
    });
    if (same != entries.end()) e.alias_of = same->name;
    entries.push_back(std::move(e));
  }
  write_atomically(path, [&](const std::string& part) {
    io::H5Writer file(part);
    io::write_state_dict(file, entries);
    file.close();
  });
}

StateDict load(const std::string& path) {
  Items entries;
  for (io::NamedTensor& t : io::load_weights(path)) {
    entries.emplace_back(std::move(t.name), std::move(t.tensor));
  }
  return StateDict(std::move(entries));
}

}  // namespace nnm
