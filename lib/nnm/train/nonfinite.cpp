// Forward hooks that look for the first module to make a number that is none.
#include "nnm/train/nonfinite.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <set>

#include "kernels/statistics.h"
#include "nnm/base/handle.h"

namespace nnm::train {

namespace {

// Elements with all bits of the exponent set: NaN and the infinities.
template <class Bits>
int64_t count_nonfinite(const Tensor& t, Bits exponent) {
  const Bits* x = t.data<const Bits>();
  int64_t n = 0;
  for (int64_t i = 0; i < t.numel(); ++i) n += (x[i] & exponent) == exponent;
  return n;
}

int64_t nonfinite(const Tensor& t) {
  if (!t.defined() || !is_floating(t.dtype())) return 0;
  if (t.device().type == DeviceType::cuda) {
    TensorStatistics s;
    kernels::moments(t.view(), &s, nullptr);
    return s.nan + s.inf;
  }
  if (t.is_dense()) {
    switch (t.dtype()) {
      case DType::f64: return count_nonfinite<uint64_t>(t, 0x7ff0000000000000);
      case DType::f32: return count_nonfinite<uint32_t>(t, 0x7f800000);
      case DType::bf16: return count_nonfinite<uint16_t>(t, 0x7f80);
      default: return count_nonfinite<uint16_t>(t, 0x7c00);
    }
  }
  const std::vector<double> all = t.to_vector<double>();
  return std::count_if(all.begin(), all.end(), [](double x) { return !std::isfinite(x); });
}

int64_t nonfinite(const Value& v) {
  if (v.is(Value::Kind::tensor)) return nonfinite(v.as<Tensor>());
  int64_t n = 0;
  if (v.is_sequence())
    for (const Value& x : v.items()) n += nonfinite(x);
  if (v.is(Value::Kind::dict))
    for (const auto& [key, x] : v.entries()) n += nonfinite(x);
  return n;
}

int64_t nonfinite(const Args& args) {
  int64_t n = 0;
  for (const Value& v : args.pos) n += nonfinite(v);
  for (const auto& [key, v] : args.kw) n += nonfinite(v);
  return n;
}

std::string named(const std::string& path, const Module& m) {
  return path.empty() ? "the model (" + m.type_name() + ")" : path + " (" + m.type_name() + ")";
}

// The buffers that checkpoints hold.
NamedTensors state_buffers(Module& model) {
  std::set<std::string> parameters;
  for (const auto& [name, p] : model.named_parameters("", true, false)) parameters.insert(name);
  NamedTensors buffers;
  for (const auto& [name, value] : model.state_dict())
    if (value.is(Value::Kind::tensor) && !parameters.count(name))
      buffers.emplace_back(name, value.as<Tensor>());
  return buffers;
}

}  // namespace

bool all_finite(const Tensor& t) { return nonfinite(t) == 0; }

std::vector<std::string> nonfinite_buffers(Module& model) {
  std::vector<std::string> names;
  for (const auto& [name, t] : state_buffers(model))
    if (!all_finite(t)) names.push_back(name);
  return names;
}

std::string nonfinite_state(Module& model, const std::vector<std::string>& expected) {
  const auto told = [](const char* kind, const std::string& name, int64_t n) {
    return fmt::format("{} {}: {} non-finite value{}", kind, name, n, n == 1 ? "" : "s");
  };
  for (const auto& [name, p] : model.named_parameters())
    if (const int64_t n = nonfinite(p)) return told("parameter", name, n);
  for (const auto& [name, t] : state_buffers(model)) {
    if (std::find(expected.begin(), expected.end(), name) != expected.end()) continue;
    if (const int64_t n = nonfinite(t)) return told("buffer", name, n);
  }
  return {};
}

std::string find_nonfinite(Module& model, const std::function<void()>& forward) {
  for (const auto& [name, p] : model.named_parameters())
    if (const int64_t n = nonfinite(p))
      return fmt::format("parameter {}: {} non-finite values, of an update before this step", name,
                         n);
  std::string found;
  std::vector<ScopedHandle> hooks;
  for (const auto& [path, m] : model.named_modules()) {
    hooks.emplace_back(m->register_forward_hook(
        [&found, path = path](Module& self, const Args& args, const Value& out) -> Value {
          const int64_t n = found.empty() ? nonfinite(out) : 0;
          if (n && nonfinite(args)) {
            found = fmt::format("{}: its input is not finite", named(path, self));
          } else if (n) {
            found = fmt::format("{}: its output has {} non-finite values, its input none",
                                named(path, self), n);
          }
          return {};
        }));
  }
  forward();
  return found.empty() ? "the loss: the model's outputs are finite" : found;
}

}  // namespace nnm::train
