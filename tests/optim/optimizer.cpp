// Optimizers: groups, options and their errors, state for checkpoints, layouts.
#include "nnm/optim/optimizers.h"

#include <doctest/doctest.h>

#include <cmath>

#include "kernels/pointwise.h"
#include "nnm/base/literal.h"
#include "nnm/tensor/allocator.h"
#include "support/checks.h"

using namespace nnm;
using namespace nnm::optim;
using nnm::testing::message_of;

namespace {

Tensor numbers(std::vector<double> values, const Shape& shape, DType dtype = DType::f64) {
  return tensor_of<double>(values, shape, {dtype, {}});
}

Tensor leaf(std::vector<double> values, const Shape& shape) {
  const Tensor t = numbers(std::move(values), shape);
  t.requires_grad_();
  return t;
}

Ref<Optimizer> make(const char* name, Items options) {
  return Registry<Optimizer>::make(name, {{}, std::move(options)});
}

}  // namespace

TEST_SUITE_BEGIN("optim");

TEST_CASE("optimizer: options come from the call, then from the group") {
  const Ref<Optimizer> o = make("AdamW", {{"lr", 3e-4}, {"weight_decay", 0.1}});
  CHECK(o->type() == "AdamW");
  o->add_param_group({{"a", leaf({1, 2}, {2})}});
  o->add_param_group({{"b", leaf({1, 2}, {2})}}, {{"weight_decay", 0}});
  CHECK(o->groups()[0].lr() == 3e-4);
  CHECK(o->groups()[0].initial_lr == 3e-4);
  CHECK(o->option(o->groups()[0], "weight_decay").real() == 0.1);
  CHECK(o->option(o->groups()[1], "weight_decay").real() == 0);
  CHECK(o->option(o->groups()[1], "betas").repr() == "(0.9, 0.999)");
  CHECK(o->signature().text(false) ==
        "AdamW(lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01, amsgrad=False, *, "
        "maximize=False, foreach=None, capturable=False, differentiable=False, fused=None)");
  CHECK(o->parameters().size() == 2);
}

TEST_CASE("optimizer: prints as PyTorch does") {
  SGD sgd({.lr = 0.1, .momentum = 0.9});
  sgd.add_param_group({{"a", leaf({1}, {1})}});
  CHECK(sgd.repr() ==
        "SGD (\nParameter Group 0\n    dampening: 0\n    differentiable: False\n    foreach: "
        "None\n    fused: None\n    lr: 0.1\n    maximize: False\n    momentum: 0.9\n    nesterov: "
        "False\n    weight_decay: 0\n)");
}

TEST_CASE("optimizer: errors say what PyTorch says") {
  const auto made = [](const char* name, Items options) {
    return message_of([&] { make(name, std::move(options)); });
  };
  CHECK(made("SGD", {{"lr", -1}}) == "Invalid learning rate: -1");
  CHECK(made("SGD", {{"momentum", -0.5}}) == "Invalid momentum value: -0.5");
  CHECK(made("SGD", {{"nesterov", true}}) ==
        "Nesterov momentum requires a momentum and zero dampening");
  CHECK(made("Adam", {{"betas", Value::tuple({1.0, 0.999})}}) ==
        "Invalid beta parameter at index 0: 1.0");
  CHECK(made("AdamW", {{"eps", parse_literal("nan")}}) == "Invalid epsilon value: nan");
  CHECK(made("RMSprop", {{"alpha", -1}}) == "Invalid alpha value: -1");
  CHECK(made("Adagrad", {{"lr_decay", -1}}) == "Invalid lr_decay value: -1");
  CHECK(made("Muon", {{"lr", -1}}) == "Learning rate should be >= 0 but is: -1");
  CHECK(made("Muon", {{"ns_steps", 100}}) ==
        "Number of steps must be less than 100 for computational efficiency");
  CHECK(made("Adafactor", {{"d", 0.5}}) == "Clipping threshold d should be >= 1 but is: 0.5");
  CHECK(made("Adafactor", {{"eps", Value::tuple({Value(), -1.0})}}) ==
        "epsilon2 should be >= 0 but is: -1.0");
  CHECK(made("Adafactor", {{"eps", 0.1}}) == "`eps`: expected a tuple of 2, got 0.1");
  CHECK(made("Adam", {{"fused", true}, {"foreach", true}}) ==
        "`fused` and `foreach` cannot be `True` together.");
  CHECK(made("AdamW", {{"weigth_decay", 1}}) ==
        "AdamW has no argument `weigth_decay` / did you mean `weight_decay`?");
  CHECK(made("Adamw", {}) == "unknown optimizer `Adamw` / did you mean `AdamW`?");
  CHECK(made("Adam", {{"betas", 0.9}}) == "`betas`: expected a tuple of 2, got 0.9");
  try {
    make("SGD", {{"lr", -1}});
    FAIL("took a negative lr");
  } catch (const BindError& e) {
    CHECK(e.name == "lr");
    CHECK(e.kind() == ErrorKind::value);
  }
}

TEST_CASE("optimizer: parameters are leaves, floating, and in one group") {
  SGD o({.lr = 0.1});
  const Tensor a = leaf({1}, {1});
  const auto added = [&](std::vector<NamedParameter> params, Items overrides = {}) {
    return message_of([&] { o.add_param_group(std::move(params), overrides); });
  };
  CHECK(added({{"a", a}}) == "no error");
  CHECK(added({{"again", a}}) == "some parameters appear in more than one parameter group");
  const Tensor b = leaf({1}, {1});
  CHECK(added({{"b", b}, {"c", b}}) == "some parameters appear in more than one parameter group");
  CHECK(added({{"n", numbers({1}, {1}, DType::i64)}}) ==
        "optimizer can only optimize floating point Tensors, but `n` has dtype i64");
  CHECK(added({{"b", b}}, {{"lrr", 1}}) == "SGD has no argument `lrr` / did you mean `lr`?");
  CHECK(added({{"b", b}}, {{"lr", -2}}) == "Invalid learning rate: -2");
  CHECK(o.groups().size() == 1);
  CHECK(message_of([&] { o.option(o.groups()[0], "betas"); }) == "SGD has no option `betas`");
}

TEST_CASE("optimizer: Muon is for matrices, whose steps it makes nearly orthogonal") {
  Muon o({.lr = 1, .weight_decay = 0, .nesterov = false});
  CHECK(message_of([&] {
          o.add_param_group({{"a", leaf({1, 2}, {2})}});
        }) ==
        "Muon only supports 2D parameters whereas we found a parameter with size: torch.Size([2])");
  for (const Shape& shape : {Shape{2, 3}, Shape{3, 2}}) {
    const Tensor p = numbers({0, 0, 0, 0, 0, 0}, shape).requires_grad_();
    Muon muon({.lr = 1, .weight_decay = 0, .nesterov = false, .ns_steps = 9});
    muon.add_param_group({{"p", p}});
    const bool wide = shape[0] < shape[1];
    const Tensor g = numbers({3, 1, -2, 2.5, 1, -1}, {2, 3});
    p.set_grad(wide ? g : clone(transpose(g, 0, 1)));
    muon.step();
    // Singular values, which were ten times apart, are about the same.
    const Tensor step = wide ? p.detach() : transpose(p.detach(), 0, 1);
    const std::vector<double> gram = matmul(step, transpose(step, 0, 1)).to_vector<double>();
    const double middle = (gram[0] + gram[3]) / 2,
                 apart = std::sqrt(middle * middle - gram[0] * gram[3] + gram[1] * gram[2]);
    const double stretch = wide ? 1 : std::sqrt(1.5);
    for (const double squared : {middle - apart, middle + apart})
      CHECK(std::abs(std::sqrt(squared) / stretch - 0.95) < 0.35);
  }
}

TEST_CASE("optimizer: a step follows the formula, in place, and counts versions") {
  const Tensor p = leaf({1, -2}, {2});
  const Tensor idle = leaf({5}, {1});
  SGD o({.lr = 0.1, .momentum = 0.9, .weight_decay = 0.5});
  o.add_param_group({{"p", p}, {"idle", idle}});
  p.set_grad(numbers({2, 4}, {2}));
  const uint32_t version = p.version();
  o.step();
  CHECK(p.version() > version);
  // buffer = grad + 0.5 p = (2.5, 3)
  CHECK(p.to_vector<double>() == std::vector<double>{1 - 0.25, -2 - 0.1 * 3});
  o.step();
  CHECK(p.to_vector<double>()[0] ==
        doctest::Approx(0.75 - 0.1 * (0.9 * 2.5 + 2 + 0.5 * 0.75)).epsilon(1e-15));
  CHECK(idle.to_vector<double>()[0] == 5);
  CHECK(o.state_dict().state.size() == 1);
}

TEST_CASE("optimizer: gradients and parameters of any layout") {
  const Tensor dense = leaf({1, 2, 3, 4, 5, 6}, {2, 3});
  // The same numbers, once column-major and once with gaps.
  const Tensor columns = numbers({1, 4, 2, 5, 3, 6}, {6}).as_strided({2, 3}, {1, 2}, 0);
  columns.requires_grad_();
  const Tensor gaps =
      numbers({1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0}, {12}).as_strided({2, 3}, {6, 2}, 0);
  gaps.requires_grad_();
  Adam o({.lr = 0.1, .weight_decay = 0.1});
  o.add_param_group({{"dense", dense}, {"columns", columns}, {"gaps", gaps}});
  for (int step = 0; step < 3; ++step) {
    const Tensor g = numbers({1, -2, 3, -4, 5, 0.5 * step}, {2, 3});
    for (const Tensor& p : {dense, columns, gaps}) p.set_grad(g);
    o.step();
  }
  CHECK(columns.to_vector<double>() == dense.to_vector<double>());
  CHECK(gaps.to_vector<double>() == dense.to_vector<double>());
}

TEST_CASE("optimizer: a loaded state goes on bit for bit") {
  const auto gradient = [](int step) { return numbers({0.1 * step, -1.0, 2.0 / step}, {3}); };
  for (const auto& [name, options] : std::vector<std::pair<const char*, Items>>{
           {"SGD", {{"momentum", 0.9}}},
           {"Adam", {{"amsgrad", true}}},
           {"AdamW", {}},
           {"RMSprop", {{"momentum", 0.5}, {"centered", true}}},
           {"Adagrad", {{"initial_accumulator_value", 0.3}}},
           {"Adadelta", {}},
           {"Adafactor", {{"weight_decay", 0.1}}},
           {"Adamax", {}},
           {"NAdam", {}},
           {"RAdam", {}},
           {"Rprop", {}},
           {"ASGD", {{"t0", 1}, {"lambd", 0.1}}}}) {
    CAPTURE(name);
    const Tensor a = leaf({1, 2, 3}, {3}), b = leaf({1, 2, 3}, {3});
    const Ref<Optimizer> first = make(name, options), second = make(name, {});
    first->add_param_group({{"p", a}});
    second->add_param_group({{"p", b}});
    for (int step = 1; step <= 3; ++step) {
      a.set_grad(gradient(step));
      first->step();
    }
    first->groups()[0].set_lr(0.05);
    kernels::copy(b, a);
    OptimizerState state = first->state_dict();
    second->load_state_dict(state);
    for (int step = 4; step <= 6; ++step) {
      a.set_grad(gradient(step));
      b.set_grad(gradient(step));
      first->step();
      second->step();
    }
    CHECK(a.to_vector<double>() == b.to_vector<double>());
    CHECK(second->groups()[0].lr() == 0.05);
    CHECK(second->option(second->groups()[0], "lr").real() == 0.05);
  }
}

TEST_CASE("optimizer: what a schedule made of the options is loaded whatever it is") {
  // PyTorch's LinearLR(end_factor=0) ends a rounding error below 0.
  for (const char* name : {"Adam", "Adafactor", "Muon", "SGD"}) {
    CAPTURE(name);
    const Ref<Optimizer> first = make(name, {{"lr", 0.5}}), second = make(name, {{"lr", 0.5}});
    for (const auto& o : {first, second}) o->add_param_group({{"p", leaf({1, 2, 3, 4}, {2, 2})}});
    first->groups()[0].set_lr(-9.25e-18);
    second->load_state_dict(first->state_dict());
    CHECK(second->groups()[0].lr() == -9.25e-18);
    CHECK(message_of([&] { make(name, {{"lr", -1.0}}); }) != "");
  }
}

TEST_CASE("optimizer: an empty list of parameters is refused") {
  CHECK(message_of([] { SGD(Tensors{}, {.lr = 0.1}); }) == "optimizer got an empty parameter list");
  CHECK(message_of([] { Adam(std::vector<std::pair<std::string, Tensor>>{}); }) ==
        "optimizer got an empty parameter list");
}

TEST_CASE("optimizer: state has PyTorch's names, and what does not fit is refused") {
  const Tensor p = leaf({1, 2, 3}, {3});
  Adam o({.amsgrad = true});
  o.add_param_group({{"fc.weight", p}});
  p.set_grad(numbers({1, 1, 1}, {3}));
  o.step();
  const OptimizerState good = o.state_dict();
  CHECK(good.type == "Adam");
  REQUIRE(good.state.size() == 1);
  CHECK(good.state[0].first == "fc.weight");
  std::vector<std::string> names;
  for (const auto& [name, value] : good.state[0].second) names.push_back(name);
  CHECK(names == std::vector<std::string>{"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"});
  CHECK(good.param_groups[0].options.back().first == "initial_lr");
  const Tensor step = good.state[0].second[0].second.as<Tensor>();
  CHECK(step.shape() == Shape{});
  CHECK(step.dtype() == DType::f64);
  CHECK(step.item().d == 1);
  // A number, as files of older versions have it.
  OptimizerState older = good;
  older.state[0].second[0].second = int64_t{7};
  o.load_state_dict(older);
  CHECK(o.state_dict().state[0].second[0].second.as<Tensor>().item().d == 7);

  const auto loaded = [&](auto change) {
    OptimizerState bad = good;
    change(bad);
    return message_of([&] { o.load_state_dict(bad); });
  };
  CHECK(loaded([](auto& s) { s.type = std::string("SGD"); }) ==
        "the state is one of SGD, the optimizer is Adam");
  CHECK(loaded([](auto& s) { s.param_groups.clear(); }) ==
        "loaded state dict has a different number of parameter groups");
  CHECK(loaded([](auto& s) { s.param_groups[0].params.push_back("x"); }) ==
        "loaded state dict contains a parameter group that doesn't match the size of optimizer's "
        "group");
  CHECK(loaded([](auto& s) { s.param_groups[0].params[0] = std::string("x"); }) ==
        "`fc.weight` is not in parameter group 0 of the loaded state dict");
  CHECK(loaded([](auto& s) { s.state[0].second[1].second = numbers({1}, {1}); }) ==
        "`exp_avg` of `fc.weight`: shape [1] where [3] is meant");
  CHECK(loaded([](auto& s) { s.state[0].second.erase(s.state[0].second.begin() + 2); }) ==
        "the state of `fc.weight` has no `exp_avg_sq`");
  CHECK(loaded([](auto& s) { s.param_groups[0].options[2].second = -1.0; }) ==
        "Invalid epsilon value: -1.0");
  CHECK(loaded([](auto&) {}) == "no error");
}

TEST_CASE("optimizer: steps after the first take no memory") {
  for (const std::string& name : Registry<Optimizer>::names()) {
    CAPTURE(name);
    if (name == "Adafactor" || name == "Muon") continue;  // their steps are products of matrices
    const Ref<Optimizer> o = make(name.c_str(), {});
    const Tensor p = leaf({1, 2, 3, 4}, {2, 2});
    o->add_param_group({{"p", p}});
    p.set_grad(numbers({1, -2, 3, -4}, {2, 2}));
    o->step();
    reset_peak_memory();
    const size_t before = memory_stats().allocated;
    o->step();
    CHECK(memory_stats().peak == before);
  }
}

TEST_CASE("optimizer: half types update in single precision and round once") {
  for (const DType dtype : {DType::bf16, DType::f16}) {
    const Tensor half = numbers({1, -2, 3}, {3}, dtype),
                 single = numbers({1, -2, 3}, {3}, DType::f32);
    for (const Tensor& p : {half, single}) {
      SGD o({.lr = 0.25, .momentum = 0.5});
      o.add_param_group({{"p", p}});
      for (int step = 0; step < 2; ++step) {
        p.set_grad(numbers({1, 2, -1}, {3}, p.dtype()));
        o.step();
      }
    }
    CHECK(half.to_vector<double>() == single.to_vector<double>());
  }
}

TEST_CASE("optimizer: zero_grad drops gradients or fills them") {
  const Tensor p = leaf({1, 2}, {2});
  SGD o;
  o.add_param_group({{"p", p}});
  const Tensor grad = numbers({3, 4}, {2});
  p.set_grad(grad);
  o.zero_grad(false);
  CHECK(p.grad().is_same(grad));
  CHECK(grad.to_vector<double>() == std::vector<double>{0, 0});
  o.zero_grad();
  CHECK_FALSE(p.grad().defined());
}

TEST_SUITE_END();
