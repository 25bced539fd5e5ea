// Schedules by steps: StepLR, MultiStepLR, ConstantLR, LinearLR, ExponentialLR, PolynomialLR.
#include "nnm/optim/schedulers.h"

#include <algorithm>
#include <cmath>

namespace nnm::optim {

namespace {

constexpr const char* kPer = "what the schedule steps by: a number of steps, `1 epoch`";

}  // namespace

void RateFunctions::check(size_t groups) const {
  NNM_CHECK(functions.size() == 1 || functions.size() == groups, value,
            "Expected {} lr_lambdas, but got {}", groups, functions.size());
}

const Spec<StepLR::Options>& StepLR::spec() {
  static const auto s = Spec<Options>("StepLR", "lr times gamma after every step_size")
                            .req(NNM_ARG(step_size), "length of a stair")
                            .opt(NNM_ARG(gamma), "factor")
                            .opt(NNM_ARG(per), kPer);
  return s;
}

void StepLR::prepare() { step_size_ = steps(o_.step_size, "step_size"); }

double StepLR::get_lr(const ParamGroup& group) const {
  const bool stair = last_epoch() != 0 && last_epoch() % step_size_ == 0;
  return stair ? group.lr() * o_.gamma : group.lr();
}

double StepLR::closed_form(const ParamGroup& group) const {
  return group.initial_lr * std::pow(o_.gamma, static_cast<double>(last_epoch() / step_size_));
}

const Spec<MultiStepLR::Options>& MultiStepLR::spec() {
  static const auto s = Spec<Options>("MultiStepLR", "lr times gamma at each milestone")
                            .req(NNM_ARG(milestones), "where lr falls")
                            .opt(NNM_ARG(gamma), "factor")
                            .opt(NNM_ARG(per), kPer);
  return s;
}

void MultiStepLR::prepare() {
  milestones_.clear();
  for (const Duration& d : o_.milestones) milestones_.push_back(steps(d, "milestones", 0));
}

double MultiStepLR::get_lr(const ParamGroup& group) const {
  const auto times = std::count(milestones_.begin(), milestones_.end(), last_epoch());
  return times ? group.lr() * std::pow(o_.gamma, static_cast<double>(times)) : group.lr();
}

double MultiStepLR::closed_form(const ParamGroup& group) const {
  const auto times = std::count_if(milestones_.begin(), milestones_.end(),
                                   [&](int64_t m) { return m <= last_epoch(); });
  return group.initial_lr * std::pow(o_.gamma, static_cast<double>(times));
}

const Spec<ConstantLR::Options>& ConstantLR::spec() {
  static const auto s = Spec<Options>("ConstantLR", "lr times factor until total_iters")
                            .opt(NNM_ARG(factor), "factor, 0 to 1")
                            .opt(NNM_ARG(total_iters), "for how long")
                            .opt(NNM_ARG(per), kPer);
  return s;
}

ConstantLR::ConstantLR(const Options& o) : Scheduler(o.per), o_(o) {
  if (!(o.factor >= 0 && o.factor <= 1)) {
    throw BindError("Constant multiplicative factor expected to be between 0 and 1.", "", -1,
                    "factor", ErrorKind::value);
  }
}

void ConstantLR::prepare() { total_iters_ = steps(o_.total_iters, "total_iters", 0); }

double ConstantLR::get_lr(const ParamGroup& group) const {
  if (last_epoch() == 0) return group.lr() * o_.factor;
  if (last_epoch() != total_iters_) return group.lr();
  // From 0 there is no way back by division, as PyTorch tries it.
  return o_.factor == 0 ? group.initial_lr : group.lr() * (1.0 / o_.factor);
}

double ConstantLR::closed_form(const ParamGroup& group) const {
  return group.initial_lr * (last_epoch() >= total_iters_ ? 1.0 : o_.factor);
}

const Spec<LinearLR::Options>& LinearLR::spec() {
  static const auto s =
      Spec<Options>("LinearLR", "lr times a factor that goes from one value to another")
          .opt(NNM_ARG(start_factor), "factor at step 0")
          .opt(NNM_ARG(end_factor), "factor at total_iters and after")
          .opt(NNM_ARG(total_iters), "how long the way is")
          .opt(NNM_ARG(per), kPer);
  return s;
}

LinearLR::LinearLR(const Options& o) : Scheduler(o.per), o_(o) {
  if (!(o.start_factor > 0 && o.start_factor <= 1)) {
    throw BindError(
        "Starting multiplicative factor expected to be greater than 0 and less or equal to 1.", "",
        -1, "start_factor", ErrorKind::value);
  }
  if (!(o.end_factor >= 0 && o.end_factor <= 1)) {
    throw BindError("Ending multiplicative factor expected to be between 0 and 1.", "", -1,
                    "end_factor", ErrorKind::value);
  }
}

void LinearLR::prepare() { total_iters_ = steps(o_.total_iters, "total_iters"); }

double LinearLR::get_lr(const ParamGroup& group) const {
  if (last_epoch() == 0) return group.lr() * o_.start_factor;
  if (last_epoch() > total_iters_) return group.lr();
  const double change = o_.end_factor - o_.start_factor;
  const double before = static_cast<double>(total_iters_) * o_.start_factor +
                        static_cast<double>(last_epoch() - 1) * change;
  return group.lr() * (1.0 + change / before);
}

double LinearLR::closed_form(const ParamGroup& group) const {
  const double way = static_cast<double>(std::min(total_iters_, last_epoch()));
  return group.initial_lr * (o_.start_factor + (o_.end_factor - o_.start_factor) * way /
                                                   static_cast<double>(total_iters_));
}

const Spec<ExponentialLR::Options>& ExponentialLR::spec() {
  static const auto s = Spec<Options>("ExponentialLR", "lr times gamma at every step")
                            .req(NNM_ARG(gamma), "factor")
                            .opt(NNM_ARG(per), kPer);
  return s;
}

double ExponentialLR::get_lr(const ParamGroup& group) const {
  return last_epoch() == 0 ? group.lr() : group.lr() * o_.gamma;
}

double ExponentialLR::closed_form(const ParamGroup& group) const {
  return group.initial_lr * std::pow(o_.gamma, static_cast<double>(last_epoch()));
}

const Spec<PolynomialLR::Options>& PolynomialLR::spec() {
  static const auto s = Spec<Options>("PolynomialLR", "lr times (1 - t / total_iters)^power")
                            .opt(NNM_ARG(total_iters), "when 0 is reached")
                            .opt(NNM_ARG(power), "the exponent")
                            .opt(NNM_ARG(per), kPer);
  return s;
}

void PolynomialLR::prepare() { total_iters_ = steps(o_.total_iters, "total_iters"); }

double PolynomialLR::get_lr(const ParamGroup& group) const {
  if (last_epoch() == 0 || last_epoch() > total_iters_) return group.lr();
  const double n = static_cast<double>(total_iters_), t = static_cast<double>(last_epoch());
  return group.lr() * std::pow((1.0 - t / n) / (1.0 - (t - 1) / n), o_.power);
}

double PolynomialLR::closed_form(const ParamGroup& group) const {
  const double n = static_cast<double>(total_iters_);
  const double t = static_cast<double>(std::min(total_iters_, last_epoch()));
  return group.initial_lr * std::pow(1.0 - t / n, o_.power);
}

const Spec<warmup::Options>& warmup::spec() {
  static const auto s = Spec<Options>("warmup", "lr rises in a line to its full value")
                            .req(NNM_ARG(length), "for how long")
                            .opt(NNM_ARG(per), kPer);
  return s;
}

void warmup::prepare() { length_ = steps(o_.length, "length"); }

double warmup::get_lr(const ParamGroup& group) const {
  const double way = static_cast<double>(std::min(length_, last_epoch() + 1));
  return group.initial_lr * (way / static_cast<double>(length_));
}

NNM_REGISTER(Scheduler, StepLR);
NNM_REGISTER(Scheduler, MultiStepLR);
NNM_REGISTER(Scheduler, ConstantLR);
NNM_REGISTER(Scheduler, LinearLR);
NNM_REGISTER(Scheduler, ExponentialLR);
NNM_REGISTER(Scheduler, PolynomialLR);
NNM_REGISTER(Scheduler, warmup);

}  // namespace nnm::optim
