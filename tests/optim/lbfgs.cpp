// LBFGS. Numbers are PyTorch's of the same function and start.
#include "nnm/optim/lbfgs.h"

#include <doctest/doctest.h>

#include "nnm/ops/ops.h"
#include "support/checks.h"

using namespace nnm;
using namespace nnm::optim;
using nnm::testing::error_of;

namespace {

/// Rosenbrock's valley, and a third number that is drawn along.
struct Valley {
  Tensor p = tensor({-1.2, 1.0}, DType::f64).requires_grad_();
  Tensor q = tensor({0.5}, DType::f64).requires_grad_();
  int evaluations = 0;

  Tensor loss() {
    ++evaluations;
    const Tensor x = select(p, 0, 0), y = select(p, 0, 1);
    return square(Scalar(1.0) - x) + square(y - square(x)) * Scalar(100.0) +
           sum(pow(q - x, Scalar(4)));
  }
  double step(LBFGS& optimizer) {
    const Tensor before = optimizer.step([&] {
      optimizer.zero_grad();
      const Tensor now = loss();
      now.backward();
      return now;
    });
    return before.item().d;
  }
  std::vector<double> place() const {
    std::vector<double> out = p.to_vector<double>();
    out.push_back(q.item().d);
    return out;
  }
};

void check_steps(const LBFGS::Options& options, const std::vector<double>& losses,
                 const std::vector<double>& place, int evaluations) {
  Valley valley;
  LBFGS optimizer(Tensors{valley.p, valley.q}, options);
  for (const double expected : losses)
    CHECK(valley.step(optimizer) == doctest::Approx(expected).epsilon(1e-6));
  const std::vector<double> got = valley.place();
  for (size_t i = 0; i < place.size(); ++i)
    CHECK(got[i] == doctest::Approx(place[i]).epsilon(1e-6));
  CHECK(valley.evaluations == evaluations);
}

}  // namespace

TEST_SUITE_BEGIN("optim");

TEST_CASE("LBFGS steps as PyTorch's does, with and without a line search") {
  check_steps({.line_search_fn = "strong_wolfe"}, {32.5521, 0.830408631411, 0.000341859747948},
              {1.00000128366, 1.00000328695, 1.00473465731}, 62);
  check_steps({.lr = 0.1, .max_iter = 5}, {32.5521, 13.1670160282, 10.0128670698},
              {-1.02564142874, 1.03069712223, 0.398690053271}, 15);
  check_steps({.lr = 0.5, .max_iter = 4, .history_size = 2}, {32.5521, 8.7555632153, 6.42502061156},
              {-0.782109773445, 0.633640772968, -0.369088263682}, 12);
  check_steps({.max_iter = 6, .max_eval = 7, .line_search_fn = "strong_wolfe"},
              {32.5521, 4.3440688276, 2.43282764318},
              {-0.188460674166, 0.00432426475696, -0.638528854558}, 22);
}

TEST_CASE("LBFGS prints as PyTorch's, and needs a closure") {
  Valley valley;
  LBFGS optimizer(Tensors{valley.p, valley.q});
  CHECK(optimizer.repr() ==
        "LBFGS (\nParameter Group 0\n    history_size: 100\n    line_search_fn: None\n    lr: 1\n"
        "    max_eval: 25\n    max_iter: 20\n    tolerance_change: 1e-09\n    tolerance_grad: "
        "1e-07\n)");
  Optimizer& base = optimizer;
  CHECK(error_of([&] { base.step(); }) ==
        "TypeError: LBFGS.step() missing 1 required positional argument: 'closure'");
  CHECK(error_of([&] { LBFGS(Tensors{valley.p}, {.lr = -1}); }) ==
        "ValueError: Invalid learning rate: -1");
  optimizer.add_param_group({{"more", zeros({1}).requires_grad_()}});
  CHECK(error_of([&] { valley.step(optimizer); }) ==
        "ValueError: LBFGS doesn't support per-parameter options (parameter groups)");
}

TEST_CASE("a loaded LBFGS goes on as the saved one, and runs its hooks") {
  Valley one, other;
  LBFGS first(Tensors{one.p, one.q}, {.max_iter = 4}), second(Tensors{other.p, other.q});
  int steps = 0;
  first.register_step_post_hook([&](Optimizer&) { ++steps; });
  one.step(first);
  CHECK(steps == 1);
  copy_(other.p.detach(), one.p.detach());
  copy_(other.q.detach(), one.q.detach());
  second.load_state_dict(first.state_dict());
  for (int i = 0; i < 3; ++i) CHECK(one.step(first) == other.step(second));
  CHECK(one.place() == other.place());
}

TEST_SUITE_END();
