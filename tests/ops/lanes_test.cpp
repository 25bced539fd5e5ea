// Ops compute an element alike wherever it lies: in a vector register, or in the rest that loops
// over registers leave.
#include <doctest/doctest.h>

#include <cmath>
#include <iterator>

#include "kernels/pointwise.h"
#include "nnm/ops/ops.h"
#include "nnm/tensor/tensor.h"

using namespace nnm;

namespace {

constexpr const char* kNames[] = {
#define NNM_UNARY(name, ...) #name,
#include "kernels/pointwise.def"
#undef NNM_UNARY
};

constexpr int64_t kCopies = 33;  // whole registers of every instruction set, and one element more

bool alike(float a, float b) { return (a != a && b != b) || a == b; }

}  // namespace

TEST_CASE("lanes: pointwise ops at infinities, NaN and the ends of their range") {
  const float inf = INFINITY;
  for (const float x : {inf, -inf, NAN, 0.0f, 3.4e38f, -3.4e38f, 1e-38f, -0.5f, 88.0f, -88.0f,
                        104.0f, -104.0f, 20.5f, -20.5f}) {
    const Tensor in = full({kCopies}, x), g = full({kCopies}, 1.0);
    for (size_t f = 0; f < std::size(kNames); ++f) {
      const Tensor y = empty({kCopies}), dx = empty({kCopies});
      kernels::unary(y.view(), in.view(), static_cast<Unary>(f));
      kernels::unary_backward(dx.view(), g.view(), in.view(), static_cast<Unary>(f));
      CAPTURE(std::string(kNames[f]));
      CAPTURE(x);
      for (const Tensor& t : {y, dx}) {
        const auto* v = static_cast<const float*>(t.data());
        CHECK_MESSAGE(alike(v[0], v[kCopies - 1]), v[0], " among others, ", v[kCopies - 1],
                      " alone");
      }
    }
  }
}

TEST_CASE("lanes: silu at minus infinity is PyTorch's NaN") {
  const Tensor y = silu(full({kCopies}, -INFINITY));
  for (int64_t i = 0; i < kCopies; ++i) CHECK(std::isnan(static_cast<const float*>(y.data())[i]));
}

TEST_CASE("lanes: sines and cosines are right to a unit in the last place at any angle") {
  std::vector<float> angles;
  for (int i = 0; i < 4000; ++i) angles.push_back(0.37f * static_cast<float>(i - 2000));
  for (int i = 1; i < 400; ++i) angles.push_back(static_cast<float>(i * 1.5707963267948966));
  for (int i = -60; i < 120; ++i) angles.push_back(std::ldexp(1.7f, i));
  for (const float edge : {1048575.9f, 1048576.0f, 1048576.1f, -1048577.0f}) angles.push_back(edge);
  const auto n = static_cast<int64_t>(angles.size());
  const Tensor x = tensor_of<float>(angles, {n}, {});
  const Tensor sines = sin(x), cosines = cos(x);
  const auto near = [](float got, double expected) {
    const auto e = static_cast<float>(expected);
    return std::abs(got - expected) <= std::abs(std::nextafter(e, 2 * e) - e) * 0.6;
  };
  for (int64_t i = 0; i < n; ++i) {
    const double angle = angles[static_cast<size_t>(i)];
    CAPTURE(angle);
    CHECK(near(sines.data<float>()[i], std::sin(angle)));
    CHECK(near(cosines.data<float>()[i], std::cos(angle)));
    // By itself, an element is what it is among others.
    const Tensor one = slice(x, 0, i, i + 1);
    CHECK(sin(one).data<float>()[0] == sines.data<float>()[i]);
  }
}
