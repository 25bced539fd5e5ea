// Schedules: lengths in steps and epochs, one after another, resuming, and errors. Their numbers
// are compared with PyTorch's in tests/golden.
#include "nnm/optim/schedule.h"

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

#include "nnm/optim/optimizers.h"
#include "nnm/optim/schedulers.h"
#include "support/checks.h"

using namespace nnm;
using namespace nnm::optim;
using nnm::testing::message_of;

namespace {

Duration epochs(double n) { return {n, Unit::epoch}; }
Duration steps(double n) { return {n, Unit::step}; }

Ref<Optimizer> sgd(double lr = 1.0) {
  const double zero = 0;
  auto o = make_ref<SGD>(SGD::Options{.lr = lr});
  o->add_param_group({{"p", tensor_of<double>({&zero, 1}, {1}, {DType::f64, {}})}});
  return o;
}

/// The rates of the first n steps.
std::vector<double> rates(const Ref<Scheduler>& s, RunLength length, int n) {
  s->attach(sgd(), length);
  std::vector<double> out;
  for (int i = 0; i < n; ++i) {
    out.push_back(s->get_last_lr()[0]);
    s->step();
  }
  return out;
}

/// As text with six digits, so that sequences can be read.
std::string text(const std::vector<double>& rates) {
  std::string out;
  for (double r : rates) out += fmt::format("{:.6g} ", r);
  return out;
}

Ref<Scheduler> made(const char* name, Items arguments) {
  return Registry<Scheduler>::make(name, {{}, std::move(arguments)});
}

}  // namespace

TEST_SUITE_BEGIN("optim");

TEST_CASE("schedule: bare numbers and durations count optimizer steps") {
  CHECK(text(rates(made("StepLR", {{"step_size", 2}}), {}, 5)) == "1 1 0.1 0.1 0.01 ");
  CHECK(text(rates(made("StepLR", {{"step_size", Value::duration(2, Unit::epoch)}}), {2}, 6)) ==
        "1 1 1 1 0.1 0.1 ");
  CHECK(text(rates(make_ref<MultiStepLR>(MultiStepLR::Options{.milestones = {{1}, epochs(1.5)}}),
                   {2}, 5)) == "1 0.1 0.1 0.01 0.01 ");
}

TEST_CASE("schedule: per = 1 epoch steps once an epoch, bare numbers count epochs") {
  const Value epoch = Value::duration(1, Unit::epoch);
  CHECK(text(rates(made("StepLR", {{"step_size", 2}, {"per", epoch}}), {2}, 6)) ==
        "1 1 1 1 0.1 0.1 ");
  CHECK(text(rates(made("StepLR", {{"step_size", epoch}, {"per", epoch}}), {2}, 5)) ==
        "1 1 0.1 0.1 0.01 ");
  CHECK(text(rates(made("ExponentialLR", {{"gamma", 0.5}, {"per", 2}}), {}, 5)) ==
        "1 1 0.5 0.5 0.25 ");
  // Epochs of 2.5 steps, as gradients over two of five batches make them.
  CHECK(text(rates(made("ExponentialLR", {{"gamma", 0.5}, {"per", epoch}}), {2.5}, 8)) ==
        "1 1 1 0.5 0.5 0.25 0.25 0.25 ");
  CHECK(text(rates(made("ExponentialLR", {{"gamma", 0.5}, {"per", epoch}}), {1.0 / 3}, 3)) ==
        "1 0.125 0.015625 ");
}

TEST_CASE("schedule: functions of the step") {
  const auto half = [](int64_t epoch) { return std::pow(0.5, static_cast<double>(epoch)); };
  CHECK(text(rates(make_ref<LambdaLR>(half), {}, 4)) == "1 0.5 0.25 0.125 ");
  CHECK(text(rates(make_ref<LambdaLR>(half, epochs(1)), {2}, 5)) == "1 1 0.5 0.5 0.25 ");
  CHECK(text(rates(make_ref<MultiplicativeLR>(half), {}, 4)) == "1 0.5 0.125 0.015625 ");
  const std::vector<RateFunctions::Function> two = {half, half};
  CHECK(message_of([&] { rates(make_ref<LambdaLR>(two), {}, 1); }) ==
        "Expected 1 lr_lambdas, but got 2");
}

TEST_CASE("schedule: warmup, then cosine over the rest of the run") {
  const Ref<Scheduler> s = sequential({make_ref<warmup>(warmup::Options{.length = steps(4)}),
                                       make_ref<cosine>(cosine::Options{.final = 0.1})});
  const std::vector<double> r = rates(s, {5, 12}, 13);
  CHECK(text({r.begin(), r.begin() + 5}) == "0.25 0.5 0.75 1 1 ");
  for (int t = 0; t <= 8; ++t) {
    CHECK(r[static_cast<size_t>(4 + t)] ==
          doctest::Approx(0.1 + 0.9 * (1 + std::cos(std::numbers::pi * t / 8)) / 2).epsilon(1e-14));
  }
  CHECK(text(rates(made("warmup", {{"length", Value::duration(1, Unit::epoch)}}), {3}, 5)) ==
        "0.333333 0.666667 1 1 1 ");
  CHECK(text(rates(made("cosine", {}), {0, 2}, 4)) == "1 0.5 0 0 ");
}

TEST_CASE("schedule: three in a row, in units of their own") {
  const Ref<Scheduler> s = sequential(
      {make_ref<LinearLR>(LinearLR::Options{.start_factor = 0.5, .total_iters = steps(2)}),
       make_ref<ConstantLR>(
           ConstantLR::Options{.factor = 0.8, .total_iters = {1}, .per = epochs(1)}),
       make_ref<ExponentialLR>(ExponentialLR::Options{.gamma = 0.5})});
  CHECK(text(rates(s, {3, 100}, 8)) == "0.5 0.75 0.8 0.8 0.8 1 0.5 0.25 ");
  // A row within a row is the same row.
  const auto constant = [] { return make_ref<ConstantLR>(ConstantLR::Options{.factor = 0.5}); };
  const auto exponential = [] {
    return make_ref<ExponentialLR>(ExponentialLR::Options{.gamma = 0.5});
  };
  CHECK(text(rates(sequential({sequential({constant(), constant()}), exponential()}), {}, 12)) ==
        text(rates(sequential({constant(), constant(), exponential()}), {}, 12)));
}

TEST_CASE("schedule: several at once, and milestones that are given") {
  const auto exponential = [] {
    return make_ref<ExponentialLR>(ExponentialLR::Options{.gamma = 0.5});
  };
  const auto constant = [](double n) {
    return make_ref<ConstantLR>(ConstantLR::Options{.factor = 0.5, .total_iters = steps(n)});
  };
  CHECK(text(rates(make_ref<ChainedScheduler>(
                       ChainedScheduler::Options{.schedulers = {constant(2), exponential()}}),
                   {}, 4)) == "0.5 0.25 0.25 0.125 ");
  // Parts without a `per` of their own take that of the whole.
  CHECK(text(rates(make_ref<ChainedScheduler>(
                       ChainedScheduler::Options{.schedulers = {exponential()}, .per = epochs(1)}),
                   {2}, 5)) == "1 1 0.5 0.5 0.25 ");
  CHECK(text(rates(make_ref<SequentialLR>(SequentialLR::Options{
                       .schedulers = {constant(100), exponential()}, .milestones = {epochs(1)}}),
                   {3}, 5)) == "0.5 0.5 0.5 1 0.5 ");
  // A chain has the length of its longest part, so that another schedule may follow.
  const auto chain = [&] {
    return make_ref<ChainedScheduler>(
        ChainedScheduler::Options{.schedulers = {constant(1), constant(3)}});
  };
  CHECK(text(rates(sequential({chain(), exponential()}), {}, 5)) == "0.25 0.5 0.5 1 0.5 ");
}

TEST_CASE("schedule: one cycle takes the run's length, and moves the momentum") {
  const Ref<Scheduler> s = made("OneCycleLR", {{"max_lr", 0.4}, {"pct_start", 0.5}});
  const Ref<Optimizer> o = sgd();
  s->attach(o, {0, 10});
  const auto momentum = [&] { return o->option(o->groups()[0], "momentum").real(); };
  CHECK(o->groups()[0].initial_lr == doctest::Approx(0.4 / 25));
  CHECK(momentum() == doctest::Approx(0.95));
  for (int i = 0; i < 4; ++i) s->step();
  CHECK(s->get_last_lr()[0] == doctest::Approx(0.4));
  CHECK(momentum() == doctest::Approx(0.85));
  for (int i = 0; i < 6; ++i) s->step();
  CHECK(message_of([&] { s->step(); }) ==
        "Tried to step 11 times. The specified number of total steps is 10");
}

TEST_CASE("schedule: plateau steps after evaluations only") {
  const auto s = make_ref<ReduceLROnPlateau>(ReduceLROnPlateau::Options{.patience = 1});
  CHECK(s->metric() == "val.loss");
  s->attach(sgd(), {});
  const auto fed = [&](double value) {
    s->step();
    s->step_metric(value);
    return s->get_last_lr()[0];
  };
  CHECK(fed(1.0) == 1.0);
  CHECK(fed(1.0) == 1.0);
  CHECK(fed(std::nan("")) == doctest::Approx(0.1));
  CHECK(fed(0.5) == doctest::Approx(0.1));
}

TEST_CASE("schedule: resumes where it was") {
  const auto fresh = []() -> std::vector<Ref<Scheduler>> {
    return {made("StepLR", {{"step_size", 3}, {"per", 2}}),
            made("CosineAnnealingLR", {{"T_max", 5}}),
            made("CosineAnnealingWarmRestarts", {{"T_0", 2}, {"T_mult", 2}}),
            made("OneCycleLR", {{"max_lr", 0.5}}),
            made("CyclicLR", {{"base_lr", 0.1}, {"max_lr", 1}, {"step_size_up", 3}}),
            sequential({made("warmup", {{"length", 3}}), made("LinearLR", {{"total_iters", 2}}),
                        made("cosine", {})})};
  };
  const std::vector<Ref<Scheduler>> first = fresh(), second = fresh();
  for (size_t i = 0; i < first.size(); ++i) {
    for (int stop : {2, 4, 7}) {
      CAPTURE(i);
      CAPTURE(stop);
      const Ref<Optimizer> a = sgd(), b = sgd();
      first[i]->attach(a, {4, 20});
      for (int t = 0; t < stop; ++t) first[i]->step();
      second[i]->attach(b, {4, 20});
      b->load_state_dict(a->state_dict());
      second[i]->load_state(first[i]->state());
      for (int t = stop; t < 20; ++t) {
        CHECK(first[i]->get_last_lr() == second[i]->get_last_lr());
        first[i]->step();
        second[i]->step();
      }
    }
  }
  const auto plateau = make_ref<ReduceLROnPlateau>(ReduceLROnPlateau::Options{});
  plateau->attach(sgd(), {});
  plateau->step_metric(3);
  plateau->step_metric(4);
  const auto other = make_ref<ReduceLROnPlateau>(ReduceLROnPlateau::Options{});
  other->load_state(plateau->state());
  CHECK(Value::dict(other->state()).repr() ==
        "{'best': 3.0, 'num_bad_epochs': 1, 'cooldown_counter': 0}");
  CHECK(message_of([&] {
          other->load_state({{"best", 1.0}});
        }) == "the scheduler's state has no `num_bad_epochs`");
}

TEST_CASE("schedule: errors") {
  const auto of = [](const char* name, Items arguments, RunLength length = {}) {
    return message_of([&] { made(name, std::move(arguments))->attach(sgd(), length); });
  };
  const Value epoch = Value::duration(1, Unit::epoch);
  CHECK(of("StepLR", {}) == "StepLR: missing argument `step_size`");
  CHECK(of("StepLR", {{"step_size", 0}}) == "`step_size`: must be at least 1 step, got 0");
  CHECK(of("StepLR", {{"step_size", 2.5}}) == "`step_size`: expected a whole number, got 2.5");
  CHECK(of("StepLR", {{"step_size", epoch}}) ==
        "`step_size`: the number of steps in an epoch is not known");
  CHECK(of("StepLR", {{"step_size", Value::duration(60, Unit::second)}}, {5}) ==
        "`step_size`: a schedule counts steps or epochs, not time, got 1 min");
  CHECK(of("StepLR", {{"step_size", 1}, {"per", epoch}}) ==
        "`per=1 epoch`: the number of steps in an epoch is not known");
  CHECK(of("StepLR", {{"step_size", 1}, {"per", 0}}) ==
        "`per`: must be a positive number of steps or epochs, got 0");
  CHECK(of("cosine", {}) ==
        "cosine needs the length of the run, which is not known / give `max` in steps or epochs");
  CHECK(of("ConstantLR", {{"factor", 2}}) ==
        "Constant multiplicative factor expected to be between 0 and 1.");
  CHECK(of("LinearLR", {{"start_factor", 0}}) ==
        "Starting multiplicative factor expected to be greater than 0 and less or equal to 1.");
  CHECK(of("CosineAnnealingWarmRestarts", {{"T_0", 0}}) ==
        "Expected positive integer T_0, but got 0");
  CHECK(of("OneCycleLR", {{"max_lr", 1}, {"epochs", 2}}) ==
        "You must define either total_steps OR (epochs AND steps_per_epoch)");
  CHECK(of("OneCycleLR", {{"max_lr", Value::list({1.0, 2.0})}}, {0, 5}) ==
        "max_lr must have the same length as optimizer.param_groups. max_lr has 2 values, "
        "param_groups has 1.");
  CHECK(of("ReduceLROnPlateau", {{"factor", 1}}) == "Factor should be < 1.0.");
  const Ref<Optimizer> adagrad = make_ref<Adagrad>();
  adagrad->add_param_group({});
  CHECK(message_of([&] {
          made("OneCycleLR", {{"max_lr", 1}})->attach(adagrad, {0, 5});
        }) == "optimizer must support momentum or beta1 with `cycle_momentum` option enabled");
  CHECK(message_of([] {
          sequential({made("cosine", {}), made("ReduceLROnPlateau", {})});
        }).starts_with("SequentialLR does not support `ReduceLROnPlateau` scheduler"));
  CHECK(message_of([] {
          sequential({made("cosine", {}), made("cosine", {})})->attach(sgd(), {0, 5});
        }) ==
        "schedule 1 of 2 does not say when the next one begins / let a schedule with a length "
        "stand before `|>`, such as `warmup(500 steps)`");
}

TEST_SUITE_END();
