// Initialisers: bounds and moments, shapes they refuse, and their names in a config.
#include <algorithm>
#include <cmath>

#include "nn/modules.h"
#include "nnm/nn/init.h"

using namespace nnm;
using namespace nnm::test;
namespace fill = nnm::nn::init;

TEST_SUITE_BEGIN("nn");

namespace {

struct Moments {
  double mean = 0, std = 0, min = 0, max = 0;
  explicit Moments(const Tensor& t) {
    const Floats v = floats(t);
    for (const double x : v) mean += x / static_cast<double>(v.size());
    for (const double x : v) std += (x - mean) * (x - mean) / static_cast<double>(v.size());
    std = std::sqrt(std);
    min = *std::min_element(v.begin(), v.end());
    max = *std::max_element(v.begin(), v.end());
  }
};

// A uniform draw of 40,000 comes within a thousandth of its bounds, and stays inside.
void check_uniform(const Tensor& t, double bound) {
  const Moments m(t);
  CHECK(m.max <= bound);
  CHECK(m.min >= -bound);
  CHECK(m.max > 0.999 * bound);
  CHECK(m.min < -0.999 * bound);
  CHECK(std::abs(m.mean) < 0.02 * bound);
}

void check_normal(const Tensor& t, double std) {
  const Moments m(t);
  CHECK(std::abs(m.mean) < 0.03 * std);
  CHECK(m.std == doctest::Approx(std).epsilon(0.02));
}

}  // namespace

TEST_CASE("uniform and normal initialisers have the bounds of their formulas") {
  Generator g(7);
  const Tensor w = parameter(empty({100, 40, 2, 5}));  // fan in 400, fan out 1000
  check_uniform(fill::uniform_(w, -2, 2, &g), 2);
  check_normal(fill::normal_(w, 0, 3, &g), 3);
  check_uniform(fill::xavier_uniform_(w, 2, &g), 2 * std::sqrt(6.0 / 1400));
  check_normal(fill::xavier_normal_(w, 1, &g), std::sqrt(2.0 / 1400));
  check_uniform(fill::kaiming_uniform_(w, std::sqrt(5.0), "fan_in", "leaky_relu", &g),
                1 / std::sqrt(400.0));
  check_uniform(fill::kaiming_uniform_(w, 0, "fan_out", "relu", &g), std::sqrt(6.0 / 1000));
  check_normal(fill::kaiming_normal_(w, 0, "fan_in", "tanh", &g), 5.0 / 3 / std::sqrt(400.0));
  const Moments cut(fill::trunc_normal_(w, 0, 1, -1, 0.5, &g));
  CHECK(cut.min >= -1);
  CHECK(cut.max <= 0.5);
  CHECK(cut.min < -0.99);
  CHECK(cut.max > 0.49);
  CHECK(w.is_leaf());
  CHECK(w.requires_grad());
}

TEST_CASE("calculate_gain knows PyTorch's functions") {
  CHECK(fill::calculate_gain("conv2d") == 1);
  CHECK(fill::calculate_gain("tanh") == 5.0 / 3);
  CHECK(fill::calculate_gain("relu") == std::sqrt(2.0));
  CHECK(fill::calculate_gain("leaky_relu", 0.2) == std::sqrt(2.0 / 1.04));
  CHECK(fill::calculate_gain("leaky_relu") == std::sqrt(2.0 / 1.0001));
  CHECK(fill::calculate_gain("selu") == 0.75);
  CHECK(error_of([] { fill::calculate_gain("gelu"); }) ==
        "ValueError: Unsupported nonlinearity gelu");
}

TEST_CASE("constants, identities and convolutions that pass on") {
  const Tensor m = empty({2, 3});
  CHECK(floats(fill::constant_(m, 2.5)) == Floats(6, 2.5));
  CHECK(floats(fill::ones_(m)) == Floats(6, 1));
  CHECK(floats(fill::zeros_(m)) == Floats(6, 0));
  CHECK(floats(fill::eye_(m)) == Floats{1, 0, 0, 0, 1, 0});
  CHECK(floats(fill::dirac_(empty({2, 2, 3}))) == Floats{0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0});
  CHECK(floats(fill::dirac_(empty({2, 1, 3}), 2)) == Floats{0, 1, 0, 0, 1, 0});
}

TEST_CASE("orthogonal rows or columns") {
  Generator g(3);
  for (const Shape& size : {Shape{5, 12}, Shape{12, 5}, Shape{4, 3, 2}}) {
    const Tensor w = fill::orthogonal_(empty(size, {DType::f64}), 2, &g);
    const int64_t rows = size[0], cols = w.numel() / rows, n = std::min(rows, cols);
    const Floats v = floats(w);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double dot = 0;
        for (int64_t k = 0; k < std::max(rows, cols); ++k) {
          auto at = [&](int64_t a) {
            return v[static_cast<size_t>(rows <= cols ? a * cols + k : k * cols + a)];
          };
          dot += at(i) * at(j);
        }
        CHECK(dot == doctest::Approx(i == j ? 4 : 0).epsilon(1e-12));
      }
    }
  }
}

TEST_CASE("sparse columns") {
  Generator g(3);
  const Floats v = floats(fill::sparse_(empty({10, 4}), 0.25, 1, &g));
  for (size_t c = 0; c < 4; ++c) {
    int zeros = 0;
    for (size_t r = 0; r < 10; ++r) zeros += v[r * 4 + c] == 0;
    CHECK(zeros == 3);
  }
}

TEST_CASE("shapes that do not fit are PyTorch's errors") {
  const Tensor v = empty({3});
  CHECK(error_of([&] { fill::kaiming_uniform_(v); }) ==
        "ValueError: Fan in and fan out can not be computed for tensor with fewer than 2 "
        "dimensions");
  CHECK(error_of([&] { fill::eye_(v); }) ==
        "ValueError: Only tensors with 2 dimensions are supported");
  CHECK(error_of([&] { fill::orthogonal_(v); }) ==
        "ValueError: Only tensors with 2 or more dimensions are supported");
  CHECK(error_of([&] {
          fill::dirac_(empty({3, 3}));
        }) == "ValueError: Only tensors with 3, 4, or 5 dimensions are supported");
  CHECK(error_of([&] {
          fill::kaiming_normal_(empty({3, 3}), 0, "fan");
        }) == "ValueError: Mode fan not supported, please use one of ['fan_in', 'fan_out']");
}

TEST_CASE("initialisers by name") {
  auto text = [](const char* name) {
    return Registry<Initializer>::find(name)->signature().text(false);
  };
  CHECK(Registry<Initializer>::names() == Names{"constant", "dirac", "eye", "kaiming_normal",
                                                "kaiming_uniform", "normal", "ones", "orthogonal",
                                                "sparse", "trunc_normal", "uniform",
                                                "xavier_normal", "xavier_uniform", "zeros"});
  CHECK(text("normal") == "normal(mean=0.0, std=1.0)");
  CHECK(text("kaiming_uniform") ==
        "kaiming_uniform(a=0.0, mode='fan_in', nonlinearity='leaky_relu')");
  Generator a(5), b(5);
  const Tensor x = empty({100}), y = empty({100});
  (*Registry<Initializer>::make("normal", {{}, {{"std", 0.02}}}))(x, &a);
  fill::normal_(y, 0, 0.02, &b);
  CHECK(floats(x) == floats(y));
  CHECK(error_of([] { Registry<Initializer>::make("normall", {}); }) ==
        "KeyError: unknown initializer `normall`");
}

TEST_SUITE_END();
