// Hooks for saved tensors, as PyTorch's test_autograd.py pins them.
#include "nnm/autograd/saved_hooks.h"

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "io/temp.h"
#include "nnm/autograd/record.h"
#include "nnm/io/save.h"
#include "nnm/ops/ops.h"
#include "support/checks.h"

using namespace nnm;
using nnm::testing::error_of;
using nnm::testing::leaf;
using nnm::testing::values;

namespace {

/// Tensors are saved `by` times as large, and come back by the other factor.
SavedTensorsHooks scaled(double by, double back) {
  return SavedTensorsHooks([by](const Tensor& t) { return Value(mul(t, by)); },
                           [back](const Value& v) { return mul(v.as<Tensor>(), back); });
}

}  // namespace

TEST_CASE("saved tensors go through the innermost pair of hooks") {
  const Tensor a = leaf({1});
  int packed = 0, unpacked = 0;
  Tensor y;
  {
    const SavedTensorsHooks outer(
        [](const Tensor&) -> Value { fail(ErrorKind::value, "not the innermost"); },
        [](const Value& v) { return v.as<Tensor>(); });
    const SavedTensorsHooks inner(
        [&](const Tensor& t) {
          ++packed;
          return Value(t);
        },
        [&](const Value& v) {
          ++unpacked;
          return mul(v.as<Tensor>(), 10.0);
        });
    y = exp(a);
  }
  CHECK(packed == 1);
  y.backward({}, true);
  CHECK(a.grad().item().d == doctest::Approx(10 * std::exp(1.0)));
  y.backward();
  CHECK(unpacked == 2);
  a.set_grad({});
  exp(a).backward();
  CHECK(a.grad().item().d == doctest::Approx(std::exp(1.0)));
}

TEST_CASE("saved tensor hooks can be disabled") {
  auto same = [] {
    return SavedTensorsHooks([](const Tensor& t) { return Value(t); },
                             [](const Value& v) { return v.as<Tensor>(); });
  };
  CHECK(error_of([&] {
          const DisableSavedTensorsHooks off("not here");
          const SavedTensorsHooks hooks = same();
        }) == "RuntimeError: not here");
  CHECK(error_of([&] {
          const SavedTensorsHooks hooks = same();
          const DisableSavedTensorsHooks off("not here");
        }) == "RuntimeError: not here");
  CHECK(error_of([&] { const SavedTensorsHooks hooks = same(); }) == "");
  const DisableSavedTensorsHooks outer("outer");
  {
    const DisableSavedTensorsHooks inner("inner");
    CHECK(error_of([&] { const SavedTensorsHooks hooks = same(); }) == "RuntimeError: inner");
  }
  CHECK(error_of([&] { const SavedTensorsHooks hooks = same(); }) == "RuntimeError: outer");
}

TEST_CASE("saved inputs and results come back as their hooks make them") {
  int packed = 0;
  const Tensor a = leaf({1, -2, 3});
  {
    const SavedTensorsHooks counting(
        [&](const Tensor& t) {
          ++packed;
          return Value(t);
        },
        [](const Value& v) { return v.as<Tensor>(); });
    sum(a * a).backward();
  }
  CHECK(packed == 2);  // a is saved for either factor
  CHECK(values(a.grad()) == std::vector<double>{2, -4, 6});
  const auto grad_of = [](double by, double back) {
    const Tensor x = leaf({1, -2, 3});
    Tensor y;
    {
      const SavedTensorsHooks hooks = scaled(by, back);
      y = x * x;
    }
    sum(y).backward();
    return values(x.grad());
  };
  CHECK(grad_of(1, 1) == std::vector<double>{2, -4, 6});
  CHECK(grad_of(2, 0.5) == std::vector<double>{2, -4, 6});
  CHECK(grad_of(2, 1) == std::vector<double>{4, -8, 12});
  // Of a result that is saved.
  const Tensor x = leaf({0, 1});
  Tensor y;
  {
    const SavedTensorsHooks hooks = scaled(1, 1);
    y = exp(x);
  }
  sum(y).backward();
  CHECK(values(x.grad()) == values(y.detach()));
}

TEST_CASE("pairs of hooks nest: what is saved goes by the one in force then") {
  const Tensor a = leaf({1, 2}), b = leaf({1, 2});
  Tensor y, z;
  {
    const SavedTensorsHooks outer = scaled(3, 3);
    {
      const SavedTensorsHooks inner = scaled(5, 5);
      y = a * a;
    }
    z = b * b;
  }
  sum(y).backward();
  sum(z).backward();
  CHECK(values(a.grad()) == std::vector<double>{50, 100});
  CHECK(values(b.grad()) == std::vector<double>{18, 36});
}

TEST_CASE("errors of hooks for saved tensors come out as they are") {
  const Tensor a = leaf({1});
  const auto same = [](const Value& v) { return v.as<Tensor>(); };
  {
    const SavedTensorsHooks hooks([](const Tensor&) -> Value { fail(ErrorKind::key, "pack"); },
                                  same);
    CHECK(error_of([&] { sin(a); }) == "KeyError: pack");
  }
  Tensor out;
  {
    const SavedTensorsHooks hooks([](const Tensor& t) { return Value(t); },
                                  [](const Value&) -> Tensor { fail(ErrorKind::key, "unpack"); });
    out = sin(a);
  }
  CHECK(error_of([&] { out.backward(); }) == "KeyError: unpack");
}

TEST_CASE("what is not needed is not packed, and unpacked once a backward") {
  int packed = 0, unpacked = 0;
  const Tensor x = leaf({1, 1}), y = ones({2}, {DType::f64});
  const SavedTensorsHooks hooks(
      [&](const Tensor& t) {
        ++packed;
        return Value(t);
      },
      [&](const Value& v) {
        ++unpacked;
        return v.as<Tensor>();
      });
  const Tensor out = x * y;
  CHECK(packed == 1);  // x has no gradient to give to y
  CHECK(unpacked == 0);
  sum(out).backward();
  CHECK(packed == 1);
  CHECK(unpacked == 1);
  // A number is no saved tensor.
  sum(x * 3).backward();
  CHECK(packed == 1);
}

TEST_CASE("a pack hook does not write into what it is given") {
  const Tensor a = leaf({1, 2});
  const SavedTensorsHooks hooks([](const Tensor& t) { return Value(add_(t, 1.0)); },
                                [](const Value& v) { return v.as<Tensor>(); });
  CHECK(
      error_of([&] { exp(a); }) ==
      "RuntimeError: A saved tensor pack hook is modifying its input in place. Tensors provided as "
      "input to pack hook cannot be modified by in-place operations as this can lead to unexpected "
      "side-effects. Please open an issue if you need to perform in-place operations on the input "
      "to a pack hook.");
}

TEST_CASE("saved tensors may wait in files") {
  const io::testing::TempDir dir;
  int files = 0;
  const Tensor a = leaf({1, 2, 3});
  Tensor y;
  {
    const SavedTensorsHooks hooks(
        [&](const Tensor& t) {
          const std::string path = dir / ("t" + std::to_string(files++) + ".h5");
          save(StateDict({{"t", t}}), path);
          return Value(path);
        },
        [](const Value& v) { return load(v.string())["t"]; });
    y = a * a;
  }
  CHECK(files == 2);
  sum(y).backward();
  CHECK(values(a.grad()) == std::vector<double>{2, 4, 6});
}
