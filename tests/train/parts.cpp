// The parts of a run by themselves: history, averages, metrics, non-finite numbers, plain state.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "nnm/nn/construct.h"
#include "nnm/ops/function.h"
#include "nnm/ops/ops.h"
#include "nnm/train/ema.h"
#include "nnm/train/history.h"
#include "nnm/train/metric.h"
#include "nnm/train/nonfinite.h"
#include "nnm/train/state.h"

using namespace nnm;

namespace {

Tensor floats(std::initializer_list<float> v, const Shape& shape) {
  return tensor_of(std::span<const float>(v.begin(), v.size()), shape, {});
}
Tensor longs(std::initializer_list<int64_t> v) {
  return tensor_of(std::span<const int64_t>(v.begin(), v.size()), {static_cast<int64_t>(v.size())},
                   {DType::i64});
}

lang::ExprRef expr(const std::string& text) {
  Diagnostics d;
  const auto file = std::make_shared<const SourceFile>("test", text);
  lang::ExprRef e = lang::parse_expr(lang::Located(text, file, 0), d);
  REQUIRE(!d.has_errors());
  return e;
}

// Doubles, or takes the logarithm.
struct Scale : Module {
  Parameter w = register_parameter("w", parameter(full({}, 2.0)));
  bool root = false;
  Tensor forward(const Tensor& x) override { return root ? log(x) : x * *w; }
};
struct Two : Module {
  Child<Scale> a = register_module("a", make_ref<Scale>());
  Child<Scale> b = register_module("b", make_ref<Scale>());
  Tensor forward(const Tensor& x) override { return b(a(x)); }
};

}  // namespace

TEST_SUITE_BEGIN("train");

TEST_CASE("history: rows, text, columns and back") {
  train::History h({"acc"});
  train::StepEvent s;
  s.step = 1;
  s.loss = 0.1;
  s.lr = 1e-5;
  h.add(h.row(s));
  train::EvalEvent e;
  e.step = 3;
  e.epoch = 1;
  e.split = "val";
  e.loss = std::numeric_limits<double>::quiet_NaN();
  e.metrics = {{"acc", 0.5}};
  h.add(h.row(e));
  CHECK(h.csv_header() == "event,step,epoch,split,loss,lr,acc\n");
  CHECK(train::History::csv(h.rows()[0], 1) == "step,1,0,,0.1,1e-05,\n");
  CHECK(train::History::csv(h.rows()[1], 1) == "eval,3,1,val,nan,,0.5\n");

  train::History back({"acc"});
  back.restore(h.columns());
  REQUIRE(back.rows().size() == 2);
  for (size_t i = 0; i < 2; ++i)
    CHECK(train::History::csv(back.rows()[i], 1) == train::History::csv(h.rows()[i], 1));
  train::History other({"f1"});
  other.restore(h.columns());
  CHECK(std::isnan(other.rows()[1].metrics[0]));
  CHECK_THROWS_AS(back.restore({{"event", std::vector<std::string>{"step"}}}), Error);
}

TEST_CASE("history: what is only there because a run ended") {
  train::History h({"acc"});
  train::StepEvent s;
  for (s.step = 1; s.step <= 3; ++s.step) {
    train::History::Row row = h.row(s);
    row.ending = s.step == 2;
    h.add(std::move(row));
  }
  for (const bool goes_on : {false, true}) {
    train::History back({"acc"});
    back.restore(h.columns());
    back.restore_ending(h.ending(), goes_on);
    REQUIRE(back.rows().size() == (goes_on ? 2 : 3));
    CHECK(back.rows()[1].step == (goes_on ? 3 : 2));
    CHECK(back.ending().items().size() == (goes_on ? 0 : 1));
  }
  train::History shorter({"acc"});
  CHECK_THROWS_AS(shorter.restore_ending(h.ending(), true), Error);
}

TEST_CASE("averages: a copy first, then decay * average + (1 - decay) * parameter") {
  Scale m;
  train::Ema ema(m, 0.75);
  CHECK(ema.state().empty());
  ema.update();
  CHECK(ema.state()[0].name == "w");
  CHECK(ema.state()[0].tensor.item().d == 2.0);
  fill_(m.w->detach(), 6.0);
  ema.update();
  CHECK(ema.state()[0].tensor.item().d == 3.0);
  train::Ema other(m, 0.75);
  other.load(ema.state());
  CHECK(other.state()[0].tensor.item().d == 3.0);
  CHECK_THROWS_AS(other.load({{"v", full({}, 1.0)}}), Error);
}

TEST_CASE("accuracy and top-k accuracy") {
  const auto accuracy = [](const Tensor& x, const Tensor& y) {
    const Value arguments[] = {x, y};
    return find_function("accuracy")->run(arguments).as<Tensor>().item().d;
  };
  const auto top_k_accuracy = [](const Tensor& x, const Tensor& y, int64_t k) {
    const Value arguments[] = {x, y, k};
    return find_function("top_k_accuracy")->run(arguments).as<Tensor>().item().d;
  };
  const Tensor scores = floats({1, 2, 3, 9, 1, 2, 0, 5, 4}, {3, 3});
  CHECK(accuracy(scores, longs({2, 0, 2})) == doctest::Approx(2.0 / 3));
  CHECK(top_k_accuracy(scores, longs({1, 1, 2}), 2) == doctest::Approx(2.0 / 3));
  CHECK(top_k_accuracy(scores, longs({0, 1, 0}), 7) == 1.0);
  // One score a sample: its sign.
  CHECK(accuracy(floats({-1, 2, 3}, {3}), floats({0, 1, 0}, {3})) == doctest::Approx(2.0 / 3));
  CHECK_THROWS_AS(accuracy(scores, floats({1, 2}, {2, 1})), Error);
}

TEST_CASE("which way metrics improve") {
  CHECK(train::larger_is_better(*expr("accuracy(out, y)")) == true);
  CHECK(train::larger_is_better(*expr("out |> accuracy(y)")) == true);
  CHECK(train::larger_is_better(*expr("mse_loss(out, y)")) == false);
  CHECK(train::larger_is_better(*expr("mae(out, y)")) == false);
  CHECK(train::larger_is_better(*expr("cross_entropy(out, y)")) == false);
  CHECK(train::larger_is_better(*expr("1 - accuracy(out, y)")) == std::nullopt);
  CHECK(train::larger_is_better(*expr("mean(out)")) == std::nullopt);
}

TEST_CASE("where numbers stop being finite") {
  Two m;
  const auto look = [&](const Tensor& x) { return train::find_nonfinite(m, [&] { (void)m(x); }); };
  CHECK(look(full({2}, -1.0)) == "the loss: the model's outputs are finite");
  m.b->root = true;
  CHECK(look(full({2}, -1.0)) == "b (Scale): its output has 2 non-finite values, its input none");
  CHECK(look(full({2}, std::numeric_limits<double>::infinity())) ==
        "a (Scale): its input is not finite");
  fill_(m.a->w->detach(), std::numeric_limits<double>::quiet_NaN());
  CHECK(look(full({2}, 1.0)) ==
        "parameter a.w: 1 non-finite values, of an update before this step");
  for (const DType t : {DType::f64, DType::f32, DType::bf16, DType::f16}) {
    CHECK(train::all_finite(to(full({3}, 1.5), t)));
    CHECK(!train::all_finite(to(full({3}, -std::numeric_limits<double>::infinity()), t)));
  }
  CHECK(train::all_finite(longs({1})));
}

TEST_CASE("a model in a checkpoint, and back, with a tied parameter stored once") {
  Two m;
  m.b->w.set(*m.a->w);
  io::Checkpoint c;
  train::put_model(m, c);
  REQUIRE(c.state_dict.size() == 2);
  CHECK(c.state_dict[0].name == "a.w");
  CHECK(c.state_dict[0].parameter);
  CHECK(c.state_dict[0].requires_grad);
  CHECK(c.state_dict[1].alias_of == "a.w");
  REQUIRE(c.modules.size() == 3);
  CHECK(c.modules[0].parameters == 1);
  CHECK(c.modules[2].name == "b");
  c.state_dict[0].tensor = c.state_dict[1].tensor = full({}, 7.0);
  train::take_model(c, m, "file");
  CHECK(m.a->w->item().d == 7.0);
  c.state_dict.pop_back();
  try {
    train::take_model(c, m, "file");
    FAIL("a missing key was accepted");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::input_file);
    CHECK(std::string(e.what()).find("b.w") != std::string::npos);
  }
}

TEST_SUITE_END();
