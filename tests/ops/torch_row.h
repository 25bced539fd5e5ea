// Calls of functions with what PyTorch gave for them, and the checks that every such call gets.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "nnm/ops/function.h"
#include "nnm/ops/ops.h"
#include "support/gradcheck.h"

namespace nnm::torch_row {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// The numbers ((i k) mod m - off) / div, which are exact in every type.
inline Tensor ramp(const Shape& shape, int64_t k, int64_t m, int64_t off, double div,
                   DType type = DType::f32) {
  std::vector<double> v(static_cast<size_t>(shape.numel()));
  for (size_t i = 0; i < v.size(); ++i) {
    v[i] = static_cast<double>(static_cast<int64_t>(i) * k % m - off) / div;
  }
  return tensor_of<double>(v, shape, {type, {}});
}

inline Tensor integers(const std::vector<int64_t>& v, const Shape& shape, DType type = DType::i64) {
  return tensor_of<int64_t>(v, shape, {type, {}});
}

// The operands of all rows.
inline const Tensor X = ramp({2, 3, 4}, 7919, 23, 11, 8);
inline const Tensor M = ramp({3, 4}, 7919, 23, 11, 8);
inline const Tensor Q = ramp({4, 2, 3}, 7919, 23, 11, 8);
inline const Tensor R = ramp({1, 4, 6}, 7919, 23, 11, 8);
inline const Tensor V = ramp({4}, 5, 7, 3, 2);
inline const Tensor P = ramp({3, 4}, 7919, 23, -1, 16);
inline const Tensor U = ramp({3, 4}, 7919, 23, 11, 16);
inline const Tensor S = ramp({3, 3}, 7919, 23, 11, 8);
inline const Tensor H = ramp({3, 4}, 7919, 23, 11, 8, DType::bf16);
inline const Tensor D = ramp({3, 4}, 7919, 23, 11, 8, DType::f64);
inline const Tensor I = integers({4, -3, 2, 0, 7, -5}, {2, 3});
inline const Tensor K = integers({4, -3, 2, 0, 7, -5}, {2, 3}, DType::i32);
inline const Tensor J = integers({2, 0, 1}, {3});
inline const Tensor J2 = integers({0, 1, 2, 0, 2, 2, 0, 1}, {2, 4});
inline const Tensor B = integers({1, 0, 1, 0, 0, 1, 1, 0, 1, 1, 0, 0}, {3, 4}, DType::b8);

inline Value L(Values v) { return Value::list(std::move(v)); }

struct Expected {
  std::string dtype;
  std::vector<int64_t> shape;
  std::vector<double> values;
};

struct Row {
  std::string function;
  Values pos;
  Items kw;
  std::string node;  ///< PyTorch's grad_fn of the first output; "?" where ours is composed
  std::vector<Expected> outputs;
};

inline void collect(const Value& v, Tensors& out) {
  if (v.is(Value::Kind::tensor)) {
    out.push_back(v.as<Tensor>());
  } else if (v.is_number()) {
    out.push_back(scalar_tensor(v.scalar()));
  } else {
    for (const Value& item : v.items()) collect(item, out);
  }
}

inline Tensors run(const std::string& function, const Values& pos, const Items& kw) {
  const Function* f = find_function(function);
  REQUIRE_MESSAGE(f, function);
  Tensors out;
  collect(f->run(f->signature().bind({pos, kw}).data()), out);
  return out;
}

/// The arguments with every tensor replaced by f(tensor).
template <class F>
Values mapped(const Values& values, const F& f) {
  Values out;
  for (const Value& v : values) {
    if (v.is(Value::Kind::tensor)) {
      out.push_back(f(v.as<Tensor>()));
    } else if (v.is_sequence() && !v.items().empty() && v.items()[0].is(Value::Kind::tensor)) {
      out.push_back(Value::list(mapped(v.items(), f)));
    } else {
      out.push_back(v);
    }
  }
  return out;
}

/// The same numbers with the first dimension innermost in memory and a gap behind each.
inline Tensor scattered(const Tensor& x) {
  if (x.dim() == 0) return x;
  Shape strides = Shape::filled(x.dim(), 0);
  int64_t expected = 2;
  for (int d = 0; d < x.dim(); ++d) {
    strides[d] = expected;
    expected *= x.shape()[d];
  }
  const Tensor y = empty_strided(x.shape(), strides, x.options());
  copy_(y, x);
  return y;
}

inline bool close(double a, double b) {
  if (std::isnan(b)) return std::isnan(a);
  return a == b || std::abs(a - b) <= 2e-6 + 2e-6 * std::abs(b);
}

inline void check_outputs(const Row& r, const Tensors& got) {
  REQUIRE(got.size() == r.outputs.size());
  for (size_t k = 0; k < got.size(); ++k) {
    const Expected& e = r.outputs[k];
    CHECK(info(got[k].dtype()).name == e.dtype);
    CHECK(got[k].shape() == Shape(e.shape));
    const std::vector<double> v = got[k].to_vector<double>();
    REQUIRE(v.size() == e.values.size());
    for (size_t i = 0; i < v.size(); ++i) {
      CHECK_MESSAGE(close(v[i], e.values[i]), i << ": " << v[i] << " is not " << e.values[i]);
    }
  }
}

/// Shapes and types without memory are those with it.
inline void check_meta(const Row& r) {
  const auto to_meta = [](const Tensor& t) { return to(t, {t.dtype(), {DeviceType::meta, 0}}); };
  DefaultDeviceGuard on_meta({DeviceType::meta, 0});
  const Tensors got = run(r.function, mapped(r.pos, to_meta), r.kw);
  REQUIRE(got.size() == r.outputs.size());
  for (size_t k = 0; k < got.size(); ++k) {
    CHECK(got[k].is_meta());
    CHECK(info(got[k].dtype()).name == r.outputs[k].dtype);
    CHECK(got[k].shape() == Shape(r.outputs[k].shape));
  }
}

/// The first output's grad_fn when the floating operands require grad.
inline void check_node(const Row& r) {
  if (r.node == "?") return;
  const auto as_leaf = [](const Tensor& t) -> Tensor {
    return is_floating(t.dtype()) ? clone(t).requires_grad_() : t;
  };
  const Tensors got = run(r.function, mapped(r.pos, as_leaf), r.kw);
  REQUIRE(!got.empty());
  CHECK((got[0].grad_fn() ? got[0].grad_fn()->name : std::string()) == r.node);
}

/// Gradients by all floating operands, in f64, away from kinks.
inline void check_gradients(const Row& r, bool scatter) {
  Tensors leaves;
  double shift = 0;
  const Values pos = mapped(r.pos, [&](const Tensor& t) -> Tensor {
    if (!is_floating(t.dtype())) return t;
    shift += 0.0137;
    Tensor x = add(to(t, DType::f64), Scalar(shift));
    x = scatter ? scattered(x) : contiguous(x);
    leaves.push_back(x.requires_grad_());
    return leaves.back();
  });
  if (leaves.empty()) return;
  // gradcheck changes the leaves' memory, which the arguments share.
  const auto f = [&](const Tensors&) { return run(r.function, pos, r.kw); };
  if (const Tensors y = f({});
      !std::any_of(y.begin(), y.end(), [](const Tensor& t) { return t.requires_grad(); })) {
    return;
  }
  CHECK(gradcheck(std::function<Tensors(const Tensors&)>(f), leaves) == "");
}

}  // namespace nnm::torch_row
