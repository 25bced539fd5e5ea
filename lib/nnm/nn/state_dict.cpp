// Ordered dicts of tensors by name.
#include "nnm/nn/state_dict.h"

#include <algorithm>

namespace nnm {

StateDict::StateDict(Items entries) : entries_(std::move(entries)) { reindex(); }

void StateDict::reindex() {
  index_.clear();
  for (size_t i = 0; i < entries_.size(); ++i) index_[entries_[i].first] = i;
}

const Value* StateDict::find(std::string_view key) const {
  const auto at = index_.find(std::string(key));
  return at == index_.end() ? nullptr : &entries_[at->second].second;
}

Tensor StateDict::tensor(std::string_view key) const {
  const Value* v = find(key);
  NNM_CHECK(v, key, "{}", python_string(key));
  return v->as<Tensor>();
}

void StateDict::set(std::string key, Value value) {
  const auto [at, added] = index_.emplace(key, entries_.size());
  if (added) entries_.emplace_back(std::move(key), std::move(value));
  else entries_[at->second].second = std::move(value);
}

bool StateDict::erase(std::string_view key) {
  const auto at = index_.find(std::string(key));
  if (at == index_.end()) return false;
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(at->second));
  reindex();
  return true;
}

std::vector<std::string> StateDict::keys() const {
  std::vector<std::string> out;
  for (const auto& [key, value] : entries_) out.push_back(key);
  return out;
}

std::string StateDict::repr() const {
  if (entries_.empty()) return "OrderedDict()";
  Values pairs;
  for (const auto& [key, value] : entries_) pairs.push_back(Value::tuple({key, value}));
  return "OrderedDict(" + Value::list(std::move(pairs)).repr() + ")";
}

StateDict StateDict::with_prefix(std::string_view prefix) const {
  StateDict out;
  out.metadata = metadata;
  for (const auto& [key, value] : entries_) {
    if (key.starts_with(prefix)) out.set(key, value);
  }
  return out;
}

std::optional<int64_t> StateDict::version(std::string_view path) const {
  for (const auto& [name, entry] : metadata) {
    if (name != path || !entry.is(Value::Kind::dict)) continue;
    const Value* v = entry.find("version");
    return v && v->is(Value::Kind::integer) ? std::optional(v->integer()) : std::nullopt;
  }
  return std::nullopt;
}

namespace {

// Stripped entries go to the end, as a Python dict has it that pops and sets them.
Items stripped(Items entries, const std::string& prefix, std::string_view bare) {
  StateDict out;
  auto has_prefix = [&](const std::string& key) {
    return key.starts_with(prefix) || (!bare.empty() && key == bare);
  };
  for (const auto& [key, value] : entries) {
    if (!has_prefix(key)) out.set(key, value);
  }
  for (auto& [key, value] : entries) {
    if (has_prefix(key)) out.set(key.substr(std::min(prefix.size(), key.size())), std::move(value));
  }
  return out.entries();
}

}  // namespace

void consume_prefix_in_state_dict_if_present(StateDict& state_dict, const std::string& prefix) {
  // The metadata names the wrapped module itself without the dot: "module".
  std::string bare = prefix;
  std::erase(bare, '.');
  Items metadata = stripped(std::move(state_dict.metadata), prefix, bare);
  state_dict = StateDict(stripped(state_dict.entries(), prefix, ""));
  state_dict.metadata = std::move(metadata);
}

namespace {

std::string list_text(const std::vector<std::string>& names) {
  Values items(names.begin(), names.end());
  return Value::list(std::move(items)).repr();
}

}  // namespace

std::string IncompatibleKeys::str() const {
  if (missing_keys.empty() && unexpected_keys.empty()) return "<All keys matched successfully>";
  return fmt::format("_IncompatibleKeys(missing_keys={}, unexpected_keys={})",
                     list_text(missing_keys), list_text(unexpected_keys));
}

}  // namespace nnm
