// Names, constants and operators of a graph.
#include "nnm/run/onnx/builder.h"

#include <algorithm>

#include "nnm/base/error.h"
#include "nnm/io/row_major.h"
#include "nnm/ops/ops.h"

namespace nnm::run::onnx {

const Value& Call::at(std::string_view name) const {
  for (const auto& [key, value] : args)
    if (key == name) return value;
  throw Error(ErrorKind::internal, fmt::format("`{}` has no argument `{}`", function, name));
}

Ints Call::ints(std::string_view name) const {
  const Value& v = at(name);
  if (v.is_none()) return {};
  if (!v.is_sequence()) return {v.integer()};
  Ints out;
  for (const Value& item : v.items()) {
    if (item.is_sequence())
      for (const Value& inner : item.items()) out.push_back(inner.integer());
    else out.push_back(item.integer());
  }
  return out;
}

int64_t Call::dim(std::string_view name, std::string_view of) const {
  const int64_t d = integer(name);
  return d < 0 ? d + std::max(tensor(of).dim(), 1) : d;
}

void unsupported(const std::string& what) {
  throw Error(ErrorKind::not_implemented, what + " has no ONNX form here");
}

Builder::Builder(Module& root) {
  for (const auto& [name, t] : root.named_parameters()) state_.emplace(t.impl(), name);
  for (const auto& [name, t] : root.named_buffers()) state_.emplace(t.impl(), name);
}

std::string Builder::fresh(const std::string& stem) {
  int& n = taken_[stem];
  std::string name = n == 0 ? stem : fmt::format("{}_{}", stem, n);
  ++n;
  return name;
}

void Builder::input(const std::string& name, const Tensor& t) {
  taken_[name] = 1;
  values_[t.impl()] = {t, name};
  graph.inputs.push_back({name, t.dtype(), t.shape()});
}

void Builder::output(const std::string& name, const Tensor& t) {
  std::string unique = name;
  for (int n = 1; taken_.contains(unique); ++n) unique = fmt::format("{}_{}", name, n);
  taken_[unique] = 1;
  graph.nodes.push_back({"Identity", unique, {of(t)}, {unique}, {}});
  graph.outputs.push_back({unique, t.dtype(), t.shape()});
}

std::string Builder::of(const Tensor& t) {
  if (const auto at = values_.find(t.impl()); at != values_.end()) return at->second.name;
  if (const auto at = constants_.find(t.impl()); at != constants_.end()) return at->second.name;
  const auto named = state_.find(t.impl());
  std::string name = constant(t, named == state_.end() ? "" : named->second);
  constants_[t.impl()] = {t, name};
  return name;
}

std::string Builder::constant(const Tensor& t, const std::string& name) {
  const Tensor dense = io::row_major(t.detach());
  const size_t bytes = static_cast<size_t>(dense.numel()) * item_size(dense.dtype());
  constexpr size_t kSmall = 64;
  std::string key;
  if (name.empty() && bytes <= kSmall) {
    key = fmt::format("{}{}", info(dense.dtype()).name, dense.shape().str());
    if (bytes) key.append(static_cast<const char*>(dense.data()), bytes);
    if (const auto at = scalars_.find(key); at != scalars_.end()) return at->second;
  }
  std::string unique = name.empty() ? fresh("constant") : name;
  if (!key.empty()) scalars_[key] = unique;
  graph.initializers.emplace_back(unique, dense);
  return unique;
}

std::string Builder::ints(const Ints& values) {
  return constant(
      tensor_of<int64_t>(values, {static_cast<int64_t>(values.size())}, {DType::i64, {}}));
}

std::string Builder::scalar(double value, DType dtype) {
  return constant(scalar_tensor(value, dtype));
}

std::string Builder::operand(const Value& v, DType dtype) {
  if (!v.is(Value::Kind::tensor)) return constant(scalar_tensor(v.scalar(), dtype));
  const Tensor t = v.as<Tensor>();
  return cast(of(t), t.dtype(), dtype);
}

std::string Builder::cast(const std::string& name, DType from, DType to) {
  return from == to ? name : emit("Cast", {name}, {{"to", io::onnx_type(to)}});
}

std::string Builder::emit(const std::string& op, Strings inputs, Attributes attributes) {
  return emit(op, std::move(inputs), 1, std::move(attributes))[0];
}

Strings Builder::emit(const std::string& op, Strings inputs, size_t outputs,
                      Attributes attributes) {
  Strings names;
  for (size_t i = 0; i < outputs; ++i) names.push_back(fresh(stem_));
  graph.nodes.push_back({op, names[0], std::move(inputs), names, std::move(attributes)});
  return names;
}

std::string Builder::reshape(const std::string& name, const Shape& shape) {
  return emit("Reshape", {name, ints(shape.vec())});
}

std::string Builder::transpose(const std::string& name, const Ints& dims) {
  return emit("Transpose", {name}, {{"perm", dims}});
}

std::string Builder::slice(const std::string& name, const Ints& starts, const Ints& ends,
                           const Ints& axes, const Ints& steps) {
  return emit("Slice", {name, ints(starts), ints(ends), ints(axes), ints(steps)});
}

void Builder::give(const Tensor& t, const std::string& name) {
  const auto at = values_.find(t.impl());
  const bool rewritten = at == values_.end()
                             ? state_.contains(t.impl()) || constants_.contains(t.impl())
                             : at->second.name != name;
  const auto shares = [&](const auto& known) {
    return known.first != t.impl() && known.second.keep.impl()->storage == t.impl()->storage;
  };
  if (rewritten && (at == values_.end() || std::any_of(values_.begin(), values_.end(), shares)))
    unsupported("writing in place what other tensors share");
  values_[t.impl()] = {t, name};
}

}  // namespace nnm::run::onnx
