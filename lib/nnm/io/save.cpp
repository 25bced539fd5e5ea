// torch.save and torch.load of state dicts, as plain HDF5.
#include "nnm/io/save.h"

#include <algorithm>

#include "nnm/base/file.h"
#include "nnm/io/checkpoint.h"

namespace nnm {

namespace {

bool same_memory(const Tensor& a, const Tensor& b) {
  return a.numel() > 0 && a.data() == b.data() && a.dtype() == b.dtype() &&
         a.shape() == b.shape() && a.strides() == b.strides();
}

}  // namespace

void save(const StateDict& state_dict, const std::string& path) {
  for (const auto& [key, value] : state_dict) {
    NNM_CHECK(value.is(Value::Kind::tensor), not_implemented,
              "{} is extra state of a module, which files of weights do not hold", key);
  }
  write_atomically(path, [&](const std::string& part) {
    io::H5Writer file(part);
    file.group("/state_dict");
    std::vector<std::pair<std::string, Tensor>> written;
    for (const auto& [key, value] : state_dict) {
      const Tensor t = value.as<Tensor>();
      NNM_CHECK(!key.empty() && key != "." && key.find('/') == key.npos, output,
                "{}: `{}` cannot be the name of a dataset", path, key);
      const std::string at = "/state_dict/" + key;
      const auto same = std::find_if(written.begin(), written.end(),
                                     [&](const auto& w) { return same_memory(w.second, t); });
      if (same != written.end()) file.hard_link(same->first, at);
      else file.tensor(at, t);
      written.emplace_back(at, t);
    }
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
