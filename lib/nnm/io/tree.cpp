// Dictionaries of values as HDF5 groups.
#include "nnm/io/tree.h"

#include <algorithm>

namespace nnm::io {
namespace {

// Marks a group whose children "0", "1", … are a sequence.
constexpr const char* kSequence = "sequence";

bool plain(const Value& v) { return v.is_none() || v.is_number() || v.is(Value::Kind::string); }

// Whether one attribute can hold it: texts alone, bools alone, or numbers.
bool one_attribute(const Value& v) {
  if (plain(v)) return true;
  if (!v.is_sequence()) return false;
  const Values& items = v.items();
  const auto all = [&](auto&& is) { return std::all_of(items.begin(), items.end(), is); };
  return all([](const Value& x) { return x.is(Value::Kind::string); }) ||
         all([](const Value& x) { return x.is(Value::Kind::boolean); }) ||
         all([](const Value& x) { return x.is(Value::Kind::integer); }) ||
         all([](const Value& x) { return x.is(Value::Kind::real); });
}

void write_item(H5Writer& file, const std::string& path, const std::string& key,
                const Value& value) {
  const std::string at = path + "/" + key;
  if (one_attribute(value)) return file.attribute(path, key, value);
  if (key.empty() || key == "." || key.find('/') != std::string::npos) {
    throw Error(ErrorKind::output, fmt::format("{}: '{}' cannot be a name in it", file.path(), at));
  }
  if (value.is(Value::Kind::tensor)) {
    file.tensor(at, value.as<Tensor>());
  } else if (value.is(Value::Kind::dict)) {
    write_items(file, at, value.entries());
  } else if (value.is_sequence()) {
    Items numbered;
    for (const Value& v : value.items()) numbered.emplace_back(std::to_string(numbered.size()), v);
    write_items(file, at, numbered);
    file.attribute(at, kSequence, static_cast<int64_t>(numbered.size()));
  } else {
    throw Error(ErrorKind::output, fmt::format("{}: {}: a value of type {} cannot be kept",
                                               file.path(), at, value.type_name()));
  }
}

Value sequence(const H5Reader& file, const H5Node& group, const Items& items, int64_t count) {
  Values values;
  for (int64_t i = 0; i < count; ++i) {
    const Value* v = find_item(items, std::to_string(i));
    if (!v) file.fail(group, fmt::format("a sequence without its item {}", i));
    values.push_back(*v);
  }
  return Value::tuple(std::move(values));
}

}  // namespace

const Value* find_item(const Items& items, std::string_view key) {
  for (const auto& [name, value] : items) {
    if (name == key) return &value;
  }
  return nullptr;
}

const Value& item_at(const Items& items, std::string_view key) {
  const Value* v = find_item(items, key);
  NNM_CHECK(v, input_file, "the checkpoint has no `{}`", key);
  return *v;
}

void write_items(H5Writer& file, const std::string& path, const Items& items) {
  file.group(path);
  for (const auto& [key, value] : items) write_item(file, path, key, value);
}

Items read_items(const H5Reader& file, const Manifest& manifest, const H5Node& group) {
  Items items;
  for (auto& item : file.attribute_items(group)) {
    if (item.first != kSequence) items.push_back(std::move(item));
  }
  for (const H5Node& child : group.children) {
    if (!child.group) {
      items.emplace_back(child.name, checked_tensor(file, manifest, child));
      continue;
    }
    Items inner = read_items(file, manifest, child);
    const Value count = file.attribute(child, kSequence);
    items.emplace_back(child.name, count.is_none() ? Value::dict(std::move(inner))
                                                   : sequence(file, child, inner, count.integer()));
  }
  return items;
}

}  // namespace nnm::io
