// Small modules and shorthands for the tests of modules.
#pragma once

#include <doctest/doctest.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "nnm/autograd/node.h"
#include "nnm/base/log.h"
#include "nnm/nn/module.h"
#include "nnm/ops/ops.h"
#include "support/checks.h"

namespace nnm::test {

using Floats = std::vector<double>;

inline Tensor tensor(const Floats& v, DType dtype = DType::f32) {
  return tensor_of<double>(v, {static_cast<int64_t>(v.size())}, {dtype});
}
/// f32 whatever the numbers are, unlike nnm::tensor.
inline Tensor tensor(std::initializer_list<double> v, DType dtype = DType::f32) {
  return tensor(Floats(v), dtype);
}
inline Tensor needing(const Floats& v) { return tensor(v).requires_grad_(); }
inline Floats floats(const Tensor& t) { return t.to_vector<double>(); }
inline std::vector<std::string> names(const NamedTensors& named) {
  std::vector<std::string> out;
  for (const auto& [name, t] : named) out.push_back(name);
  return out;
}
inline std::vector<std::string> names(const NamedModules& named) {
  std::vector<std::string> out;
  for (const auto& [name, m] : named) out.push_back(name);
  return out;
}
using Names = std::vector<std::string>;
/// Numbers of hooks in the order in which they fired.
using Order = std::vector<int>;

using testing::error_of;

/// y = weight x + bias, each element on its own.
struct Lin : Module {
  Parameter weight = register_parameter("weight", parameter(tensor({2, 2, 2})));
  Parameter bias = register_parameter("bias", parameter(tensor({1, 1, 1})));
  using Module::forward;
  Tensor forward(const Tensor& x) override { return x * weight + bias; }
};

/// Calls its child and then `before`, which tests use to look on.
struct Wrap : Module {
  Child<Module> lin;
  std::function<void(Wrap&)> before = [](Wrap&) {};
  explicit Wrap(Ref<Module> m = make_ref<Lin>()) { lin = register_module("lin", std::move(m)); }
  using Module::forward;
  Tensor forward(const Tensor& x) override {
    before(*this);
    return lin(x);
  }
};

/// net(a(lin), b(lin)).
struct Net : Module {
  Child<Wrap> a = register_module("a", make_ref<Wrap>());
  Child<Wrap> b = register_module("b", make_ref<Wrap>());
  using Module::forward;
  Tensor forward(const Tensor& x) override { return b(a(x)); }
};

/// Computes what a lambda says, of whatever arguments.
struct Fn : Module {
  std::function<Value(const Args&)> f;
  explicit Fn(std::function<Value(const Args&)> f) : f(std::move(f)) {}
  Value forward(const Args& a) override { return f(a); }
};
inline Tensor arg(const Args& a, size_t i = 0) { return a.pos.at(i).as<Tensor>(); }

/// Numbers between -1 and 1.5 in f64, the same as PyTorch's
/// (torch.arange(n, dtype=torch.float64) * 7 % 11 - 4) / 4.
inline Tensor wave(const Shape& size) {
  Floats v(static_cast<size_t>(size.numel()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = (static_cast<double>(i * 7 % 11) - 4) / 4;
  return tensor_of<double>(v, size, {DType::f64});
}

/// The layer in f64, with its parameters set to waves times a factor.
template <class L>
L& waved(L& layer, double factor = 1) {
  layer.to_double();
  const NoGradGuard no_grad;
  for (const Tensor& p : layer.parameters()) copy_(p, wave(p.shape()) * factor);
  return layer;
}

inline void check_values(const Tensor& t, const Floats& expected) {
  const Floats got = floats(t);
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    CAPTURE(i);
    CHECK(got[i] == doctest::Approx(expected[i]).epsilon(1e-9));
  }
}

/// Collects the warnings of its scope.
struct Warnings {
  std::vector<std::string> texts;
  WarningSink sink{[this](const std::string& t) { texts.push_back(t); }};
};

}  // namespace nnm::test
