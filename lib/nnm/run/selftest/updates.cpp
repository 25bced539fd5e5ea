// Cases of the optimizers' update rules, and of random draws.
#include <fmt/format.h>

#include <limits>
#include <memory>

#include "kernels/cuda.h"
#include "kernels/dropout.h"
#include "kernels/optim.h"
#include "kernels/random.h"
#include "nnm/base/error.h"
#include "nnm/run/selftest/suite.h"

namespace nnm::run {

namespace {

/// A rule on a parameter, its gradient and `states` of positive numbers, of every type and of sizes
/// around those of packs.
template <class Signature, class F>
void check_rule(Suite& s, const Kernel<Signature>& k, const std::string& note, size_t states,
                const F& call, Contents of_states = uniform(0.1, 1)) {
  for (const DType t : kFloats)
    for (const Sizes& size : {Sizes{1}, Sizes{7, 5}, Sizes{2051}}) {
      std::vector<Operand> all = {both(t, size), in(t, size)};
      for (size_t i = 0; i < states; ++i) all.push_back(both(t, size, of_states));
      s.check(k, note, all, 4, call);
    }
  std::vector<Operand> all = {both(DType::f32, {33}, {}, Lay::off), in(DType::f32, {33})};
  for (size_t i = 0; i < states; ++i) all.push_back(both(DType::f32, {33}, of_states));
  s.check(k, note, all, 4, call);
}

/// The same for a kernel of many parameters, alone and in more of them than one launch takes, some
/// empty, one not aligned and one of several blocks.
template <class Step>
void check_steps(Suite& s, const kernels::UpdateKernel<Step>& k, const std::string& note,
                 size_t states, const Step& step, Contents of_states = uniform(0.1, 1)) {
  const auto operands = [=](const Views& v, size_t i) {
    const auto state = [&](size_t n) { return n < states ? v[i + 2 + n] : View{}; };
    return kernels::UpdateOperands{v[i], v[i + 1], state(0), state(1), state(2)};
  };
  check_rule(
      s, k, note, states,
      [&](const Views& v) {
        const kernels::UpdateOperands one = operands(v, 0);
        k(v[0], {&one, 1}, step);
      },
      of_states);
  for (const DType t : kFloats) {
    std::vector<Operand> all;
    for (int64_t i = 0; i < 70; ++i) {
      const Sizes size = {i == 40 ? 3001 : i % 9 * 17};
      all.push_back(both(t, size, {}, i == 30 ? Lay::off : Lay::plain));
      all.push_back(in(t, size));
      for (size_t n = 0; n < states; ++n) all.push_back(both(t, size, of_states));
    }
    s.check(k, note + " 70 parameters", all, 4, [&](const Views& v) {
      std::vector<kernels::UpdateOperands> every;
      for (size_t i = 0; i < v.size(); i += 2 + states) every.push_back(operands(v, i));
      k(v[0], every, step);
    });
  }
}

void check_sgd(Suite& s) {
  SgdStep o;
  o.lr = 0.1;
  check_steps(s, kernels::sgd_steps, "plain", 0, o);
  o.weight_decay = 0.01;
  o.maximize = true;
  check_steps(s, kernels::sgd_steps, "decay", 0, o);
  o.momentum = 0.9;
  o.dampening = 0.1;
  for (const bool first : {true, false})
    for (const bool nesterov : {true, false}) {
      o.first = first;
      o.nesterov = nesterov;
      check_steps(s, kernels::sgd_steps, fmt::format("momentum {} {}", first, nesterov), 1, o);
    }
}

void check_adam(Suite& s) {
  AdamStep o;
  o.lr = 0.01;
  o.weight_decay = 0.1;
  for (const bool decoupled : {true, false}) {
    o.decoupled = decoupled;
    o.step = decoupled ? 1 : 1000;
    check_steps(s, kernels::adam_steps, decoupled ? "decoupled" : "", 2, o);
    check_steps(s, kernels::adam_steps, decoupled ? "decoupled amsgrad" : "amsgrad", 3, o);
  }
}

void check_rmsprop(Suite& s) {
  RmspropStep o;
  o.lr = 0.01;
  o.weight_decay = 0.1;
  check_steps(s, kernels::rmsprop_steps, "", 1, o);
  // The mean of squares is above the square of the mean.
  check_steps(s, kernels::rmsprop_steps, "centered", 2, o, uniform(0.1, 0.2));
  o.momentum = 0.9;
  check_steps(s, kernels::rmsprop_steps, "centered momentum", 3, o, uniform(0.1, 0.2));
  check_rule(s, kernels::rmsprop_steps, "momentum", 2, [o](const Views& v) {
    const kernels::UpdateOperands one{v[0], v[1], v[2], {}, v[3]};
    kernels::rmsprop_steps(v[0], {&one, 1}, o);
  });
}

void check_others(Suite& s) {
  AdagradStep adagrad;
  adagrad.lr = 0.1;
  adagrad.lr_decay = 0.1;
  adagrad.step = 3;
  check_steps(s, kernels::adagrad_steps, "", 1, adagrad);
  AdadeltaStep adadelta;
  adadelta.lr = 1;
  check_rule(s, kernels::adadelta_step, "", 2,
             [=](const Views& v) { kernels::adadelta_step(v[0], v[1], v[2], v[3], adadelta); });
  AdamaxStep adamax;
  adamax.lr = 0.01;
  adamax.step = 5;
  check_rule(s, kernels::adamax_step, "", 2,
             [=](const Views& v) { kernels::adamax_step(v[0], v[1], v[2], v[3], adamax); });
  MomentStep moment;
  moment.grad_rate = 0.01;
  moment.rate = 0.02;
  moment.spread = 1.5;
  moment.shrink = 0.99;
  for (const bool plain : {true, false}) {
    moment.plain = plain;
    check_rule(s, kernels::moment_step, plain ? "plain" : "", 2,
               [=](const Views& v) { kernels::moment_step(v[0], v[1], v[2], v[3], moment); });
  }
  check_rule(s, kernels::rprop_step, "", 2,
             [](const Views& v) { kernels::rprop_step(v[0], v[1], v[2], v[3], RpropStep{}); });
  AsgdStep asgd;
  asgd.eta = 0.1;
  asgd.mu = 0.5;
  check_rule(s, kernels::asgd_step, "", 1,
             [=](const Views& v) { kernels::asgd_step(v[0], v[1], v[2], asgd); });
}

void check_clipping(Suite& s) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  for (const DType t : kFloats)
    for (const double limit : {kInf, 0.5}) {
      const double scale = limit < kInf ? 1 : 0.3;
      const auto clip = [=](const Views& v) { kernels::clip_all(v[0], v, scale, limit); };
      const std::string note = fmt::format("{} {}", scale, limit);
      s.check(kernels::clip_all, note, {both(t, {1027}, specials())}, 1, clip);
      std::vector<Operand> all;
      for (int64_t i = 0; i < 200; ++i)
        all.push_back(
            both(t, {i == 50 ? 3001 : i % 9 * 17}, {}, i % 7 == 3 ? Lay::off : Lay::plain));
      s.check(kernels::clip_all, note + " 200 tensors", all, 1, clip);
    }
}

}  // namespace

void check_updates(Suite& s) {
  check_sgd(s);
  check_adam(s);
  check_rmsprop(s);
  check_others(s);
  check_clipping(s);
}

namespace {

constexpr uint64_t kSeed = 0x123456789abcdef, kOffset = 0xfffffffe;

/// Draws from kOffset on, on a GPU as work that was recorded with other numbers.
template <class F>
void draw_again(const View& out, const F& draw) {
  if (out.device.type != DeviceType::cuda) return draw(kOffset);
  constexpr uint64_t kBegin = 5, kBefore = 2;
  const std::unique_ptr<CudaRecording> recording(
      cuda_table(out.device).record(out.device.index, kSeed, kBegin));
  draw(kBegin + kBefore);
  if (!recording->end_part(false) || !recording->replay(0, kOffset - kBefore))
    fail(ErrorKind::device, "draws cannot be recorded");
}

void check_recorded_draws(Suite& s) {
  constexpr int64_t kN = 1027;
  for (const DType t : {DType::f32, DType::f64}) {
    s.check(kernels::dropout, "recorded", {out(t, {kN}), in(t, {kN})}, 0, [](const Views& v) {
      draw_again(v[0], [&](uint64_t at) { kernels::dropout(v[0], v[1], 0.3, kSeed, at); });
    });
    s.check(kernels::random_uniform, "recorded", {out(t, {kN})}, 0.5, [](const Views& v) {
      draw_again(v[0], [&](uint64_t at) { kernels::random_uniform(v[0], kSeed, at, -1.5, 2); });
    });
    s.check(kernels::random_normal, "recorded", {out(t, {kN})}, 0.5, [](const Views& v) {
      draw_again(v[0], [&](uint64_t at) { kernels::random_normal(v[0], kSeed, at, 0.5, 2); });
    });
  }
  s.check(kernels::random_integers, "recorded", {out(DType::i64, {kN})}, 0, [](const Views& v) {
    draw_again(v[0], [&](uint64_t at) { kernels::random_integers(v[0], kSeed, at, -5, 1000003); });
  });
}

}  // namespace

void check_random(Suite& s) {
  check_recorded_draws(s);
  for (const DType t : kFloats)
    for (const int64_t n : {int64_t{0}, int64_t{1}, int64_t{1027}}) {
      for (const double p : {0.0, 0.3, 1.0})
        s.check(kernels::dropout, fmt::format("p {}", p), {out(t, {n}), in(t, {n})}, 0,
                [=](const Views& v) { kernels::dropout(v[0], v[1], p, kSeed, kOffset); });
      s.check(kernels::random_mask, "", {out(t, {n}), in(t, {n})}, 0,
              [=](const Views& v) { kernels::random_mask(v[0], v[1], kSeed, kOffset, 0.3, 1.7); });
      // Whether a product and a sum are rounded once or twice is each compiler's choice.
      s.check(kernels::random_uniform, "", {out(t, {n})}, 0.5,
              [=](const Views& v) { kernels::random_uniform(v[0], kSeed, kOffset, -1.5, 2); });
      s.check(kernels::random_normal, "", {out(t, {n})}, 0.5,
              [=](const Views& v) { kernels::random_normal(v[0], kSeed, kOffset, 0.5, 2); });
    }
  for (const int64_t n : {int64_t{0}, int64_t{1}, int64_t{1027}})
    s.check(kernels::random_integers, "", {out(DType::i64, {n})}, 0,
            [=](const Views& v) { kernels::random_integers(v[0], kSeed, kOffset, -5, 1000003); });
}

}  // namespace nnm::run
