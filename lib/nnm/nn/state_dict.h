// StateDict: a model's state by dotted name, and what loading one reports.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "nnm/tensor/tensor.h"

namespace nnm {

/// Ordered name -> tensor (or extra state), with the modules' versions. Tensors alias the model's.
class StateDict {
 public:
  StateDict() = default;
  StateDict(Items entries);

  const Items& entries() const { return entries_; }
  size_t size() const { return entries_.size(); }
  bool contains(std::string_view key) const { return find(key) != nullptr; }
  /// The entry, or null.
  const Value* find(std::string_view key) const;
  /// Throws Error(key) with the key's repr where there is none, Error(type) for extra state.
  Tensor tensor(std::string_view key) const;
  Tensor operator[](std::string_view key) const { return tensor(key); }
  /// Adds or replaces; a replaced entry keeps its place.
  void set(std::string key, Value value);
  /// False where there was none.
  bool erase(std::string_view key);
  std::vector<std::string> keys() const;
  /// "OrderedDict([('weight', tensor([[…]])), …])"
  std::string repr() const;
  /// The entries whose keys begin with the prefix, with the metadata.
  StateDict with_prefix(std::string_view prefix) const;

  /// Module path ("" is the root) -> {"version": n}; empty for a plain dict of tensors.
  Items metadata;
  /// The version of the module at the path; none where the metadata was lost.
  std::optional<int64_t> version(std::string_view path) const;

  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }

 private:
  void reindex();

  Items entries_;
  std::unordered_map<std::string, size_t> index_;
};

/// torch.nn.modules.utils.consume_prefix_in_state_dict_if_present: strips "module." and the like
/// from keys and metadata, in place.
void consume_prefix_in_state_dict_if_present(StateDict& state_dict, const std::string& prefix);

/// What load_state_dict(strict=false) returns.
struct IncompatibleKeys {
  std::vector<std::string> missing_keys, unexpected_keys;
  /// "<All keys matched successfully>" or "_IncompatibleKeys(missing_keys=[…],
  /// unexpected_keys=[…])".
  std::string str() const;
};

/// One module's part of a load: its own view of the dict and the lists shared by the whole load.
/// Whatever is added to error_msgs raises at the end, strict or not.
struct LoadContext {
  StateDict& state_dict;           ///< entries under `prefix`; edits do not reach the caller's dict
  const std::string& prefix;       ///< "fc1.", "" for the root
  std::optional<int64_t> version;  ///< of the module when it was saved
  bool strict;                     ///< always true here, as in PyTorch
  bool assign;
  std::vector<std::string>& missing_keys;
  std::vector<std::string>& unexpected_keys;
  std::vector<std::string>& error_msgs;
};

}  // namespace nnm
