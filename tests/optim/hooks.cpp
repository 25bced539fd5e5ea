// Hooks of optimizers, in the order of torch.optim's.
#include <doctest/doctest.h>

#include <string>

#include "nnm/nn/slot.h"
#include "nnm/ops/ops.h"
#include "nnm/optim/optimizers.h"

using namespace nnm;

namespace {

struct Model {
  Tensor w = parameter(ones({2}));
  optim::SGD sgd{optim::SGD::Options{.lr = 0.5}};
  Model() { sgd.add_param_group({{"w", w}}); }
  void step() {
    w.set_grad(ones({2}));
    sgd.step();
  }
};

}  // namespace

TEST_CASE("step hooks: global ones first before the step, last after it") {
  Model m;
  std::string log;
  auto note = [&](const char* what) {
    return [&log, &m, what](optim::Optimizer& o) {
      CHECK(&o == &m.sgd);
      log += fmt::format("{} {} ", what, m.w.to_vector<double>()[0]);
    };
  };
  const ScopedHandle own_post(m.sgd.register_step_post_hook(note("post")));
  const ScopedHandle own_pre(m.sgd.register_step_pre_hook(note("pre")));
  {
    const ScopedHandle g1(optim::register_optimizer_step_post_hook(note("global post")));
    const ScopedHandle g2(optim::register_optimizer_step_pre_hook(note("global pre")));
    m.step();
    CHECK(log == "global pre 1 pre 1 post 0.5 global post 0.5 ");
  }
  log.clear();
  m.step();
  CHECK(log == "pre 0.5 post 0 ");
}

TEST_CASE("state hooks see and replace what is saved and loaded") {
  Model m;
  std::string log;
  const auto h = m.sgd.register_state_dict_pre_hook([&](optim::Optimizer&) { log += "pre "; });
  m.sgd.register_state_dict_pre_hook([&](optim::Optimizer&) { log += "first "; }, true);
  m.sgd.register_state_dict_post_hook(
      [&](optim::Optimizer&, optim::OptimizerState& s) -> std::optional<optim::OptimizerState> {
        log += "post ";
        s.param_groups[0].options[0].second = 0.25;
        return std::nullopt;
      });
  m.sgd.register_state_dict_post_hook([&](optim::Optimizer&, optim::OptimizerState& s) {
    optim::OptimizerState copy = s;
    copy.param_groups[0].options[0].second = s.param_groups[0].options[0].second.real() / 2;
    return std::optional(copy);
  });
  const optim::OptimizerState saved = m.sgd.state_dict();
  CHECK(log == "first pre post ");
  CHECK(saved.param_groups[0].options[0].second.real() == 0.125);
  CHECK(m.sgd.groups()[0].lr() == 0.5);
  log.clear();
  m.sgd.register_load_state_dict_pre_hook(
      [&](optim::Optimizer&, optim::OptimizerState& s) -> std::optional<optim::OptimizerState> {
        log += "load pre ";
        s.param_groups[0].options[0].second = 0.75;
        return std::nullopt;
      });
  m.sgd.register_load_state_dict_post_hook([&](optim::Optimizer& o) {
    log += "load post ";
    CHECK(o.groups()[0].lr() == 0.75);
  });
  m.sgd.load_state_dict(saved);
  CHECK(log == "load pre load post ");
  CHECK(saved.param_groups[0].options[0].second.real() == 0.125);  // the caller's stays
  RemovableHandle(h).remove();
  log.clear();
  m.sgd.state_dict();
  CHECK(log == "first post ");
}
