// Schedules of cosines and cycles: CosineAnnealingLR, CosineAnnealingWarmRestarts, OneCycleLR,
// CyclicLR and cosine.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "nnm/optim/schedulers.h"

namespace nnm::optim {

namespace {

using std::numbers::pi;
constexpr const char* kPer = "what the schedule steps by: a number of steps, `1 epoch`";

/// Throws unless there is one value, or one for each group.
void check_groups(const PerGroup& p, const char* name, size_t groups) {
  NNM_CHECK(p.single || p.values.size() == groups, value,
            "{} must have the same length as optimizer.param_groups. {} has {} values, "
            "param_groups has {}.",
            name, name, p.values.size(), groups);
}

void set_momentum(Optimizer& optimizer, ParamGroup& group, double momentum) {
  if (optimizer.has_option("betas")) {
    const double beta2 = optimizer.option(group, "betas").items()[1].real();
    optimizer.set_option(group, "betas", Value::tuple({momentum, beta2}));
  } else {
    optimizer.set_option(group, "momentum", momentum);
  }
}

void check_momentum(const Optimizer& optimizer) {
  NNM_CHECK(optimizer.has_option("momentum") || optimizer.has_option("betas"), value,
            "optimizer must support momentum or beta1 with `cycle_momentum` option enabled");
}

}  // namespace

const Spec<CosineAnnealingLR::Options>& CosineAnnealingLR::spec() {
  static const auto s = Spec<Options>("CosineAnnealingLR", "half a cosine from lr to eta_min")
                            .req(NNM_ARG(T_max), "when eta_min is reached")
                            .opt(NNM_ARG(eta_min), "the smallest lr")
                            .opt(NNM_ARG(per), kPer);
  return s;
}

void CosineAnnealingLR::prepare() { T_max_ = steps(o_.T_max, "T_max"); }

double CosineAnnealingLR::get_lr(const ParamGroup& group) const {
  const double n = static_cast<double>(T_max_), t = static_cast<double>(last_epoch());
  if (last_epoch() == 0) return group.lr();
  if ((last_epoch() - 1 - T_max_) % (2 * T_max_) == 0) {
    return group.lr() + (group.initial_lr - o_.eta_min) * (1 - std::cos(pi / n)) / 2;
  }
  return (1 + std::cos(pi * t / n)) / (1 + std::cos(pi * (t - 1) / n)) * (group.lr() - o_.eta_min) +
         o_.eta_min;
}

double CosineAnnealingLR::closed_form(const ParamGroup& group) const {
  const double n = static_cast<double>(T_max_), t = static_cast<double>(last_epoch());
  return o_.eta_min + (group.initial_lr - o_.eta_min) * (1 + std::cos(pi * t / n)) / 2;
}

const Spec<CosineAnnealingWarmRestarts::Options>& CosineAnnealingWarmRestarts::spec() {
  static const auto s =
      Spec<Options>("CosineAnnealingWarmRestarts", "half cosines from lr to eta_min, restarted")
          .req(NNM_ARG(T_0), "length of the first")
          .opt(NNM_ARG(T_mult), "by how much each is longer than the one before")
          .opt(NNM_ARG(eta_min), "the smallest lr")
          .opt(NNM_ARG(per), kPer);
  return s;
}

CosineAnnealingWarmRestarts::CosineAnnealingWarmRestarts(const Options& o)
    : Scheduler(o.per), o_(o) {
  if (o.T_0.amount <= 0) {
    throw BindError(fmt::format("Expected positive integer T_0, but got {}",
                                Codec<Duration>::write(o.T_0).config_text()),
                    "", -1, "T_0", ErrorKind::value);
  }
  if (o.T_mult < 1) {
    throw BindError(fmt::format("Expected integer T_mult >= 1, but got {}", o.T_mult), "", -1,
                    "T_mult", ErrorKind::value);
  }
}

void CosineAnnealingWarmRestarts::prepare() { T_0_ = steps(o_.T_0, "T_0"); }

double CosineAnnealingWarmRestarts::get_lr(const ParamGroup& group) const {
  int64_t now = last_epoch(), length = T_0_;
  if (o_.T_mult == 1) now %= length;
  while (now >= length) {
    now -= length;
    length *= o_.T_mult;
  }
  const double t = static_cast<double>(now), n = static_cast<double>(length);
  return o_.eta_min + (group.initial_lr - o_.eta_min) * (1 + std::cos(pi * t / n)) / 2;
}

const Spec<OneCycleLR::Options>& OneCycleLR::spec() {
  static const auto s =
      Spec<Options>("OneCycleLR", "up to max_lr and down again over the whole run")
          .req(NNM_ARG(max_lr), "the largest lr, or a list with one per group")
          .opt(NNM_ARG(total_steps), "length of the cycle; default: the run")
          .opt(NNM_ARG(epochs), "with steps_per_epoch: another way to say total_steps")
          .opt(NNM_ARG(steps_per_epoch), "see epochs")
          .opt(NNM_ARG(pct_start), "share of the cycle spent rising")
          .opt(NNM_ARG(anneal_strategy), "shape of both ways", one_of({"cos", "linear"}))
          .opt(NNM_ARG(cycle_momentum), "let momentum (or beta1) go the other way")
          .opt(NNM_ARG(base_momentum), "the smallest momentum")
          .opt(NNM_ARG(max_momentum), "the largest momentum")
          .opt(NNM_ARG(div_factor), "max_lr / initial lr")
          .opt(NNM_ARG(final_div_factor), "initial lr / last lr")
          .opt(NNM_ARG(three_phase), "fall to the initial lr first, as slowly as it rose")
          .opt(NNM_ARG(per), kPer);
  return s;
}

OneCycleLR::OneCycleLR(const Options& o) : Scheduler(o.per), o_(o) {
  const auto positive = [](const char* name, const Value& v) {
    if (v.is_none() || (v.is(Value::Kind::duration) ? v.amount() : v.real()) > 0) return;
    throw BindError(fmt::format("Expected positive integer {}, but got {}", name, v.config_text()),
                    "", -1, name, ErrorKind::value);
  };
  positive("total_steps", Codec<std::optional<Duration>>::write(o.total_steps));
  positive("epochs", Codec<std::optional<int64_t>>::write(o.epochs));
  positive("steps_per_epoch", Codec<std::optional<int64_t>>::write(o.steps_per_epoch));
  if (!(o.pct_start >= 0 && o.pct_start <= 1)) {
    throw BindError(fmt::format("Expected float between 0 and 1 pct_start, but got {}",
                                python_float(o.pct_start)),
                    "", -1, "pct_start", ErrorKind::value);
  }
  NNM_CHECK(!o.epochs == !o.steps_per_epoch || o.total_steps, value,
            "You must define either total_steps OR (epochs AND steps_per_epoch)");
}

void OneCycleLR::prepare() {
  if (o_.total_steps) total_steps_ = steps(*o_.total_steps, "total_steps");
  else if (o_.epochs) total_steps_ = *o_.epochs * *o_.steps_per_epoch;
  else total_steps_ = total("OneCycleLR");
  std::vector<ParamGroup>& groups = optimizer().groups();
  check_groups(o_.max_lr, "max_lr", groups.size());
  for (size_t g = 0; g < groups.size(); ++g) groups[g].initial_lr = o_.max_lr[g] / o_.div_factor;
  if (!o_.cycle_momentum) return;
  check_momentum(optimizer());
  check_groups(o_.max_momentum, "max_momentum", groups.size());
  check_groups(o_.base_momentum, "base_momentum", groups.size());
}

std::vector<OneCycleLR::Phase> OneCycleLR::phases(size_t group) const {
  const double n = static_cast<double>(total_steps_), rise = o_.pct_start * n;
  const double high = o_.max_lr[group], low = high / o_.div_factor,
               last = low / o_.final_div_factor;
  const double most = o_.max_momentum[group], least = o_.base_momentum[group];
  const Phase up{rise - 1, low, high, most, least};
  if (!o_.three_phase) return {up, {n - 1, high, last, least, most}};
  return {up, {2 * o_.pct_start * n - 2, high, low, least, most}, {n - 1, low, last, most, most}};
}

double OneCycleLR::annealed(const Phase& p, double begin, bool momentum) const {
  const double from = momentum ? p.momentum_from : p.lr_from;
  const double to = momentum ? p.momentum_to : p.lr_to;
  const double way = (static_cast<double>(last_epoch()) - begin) / (p.end - begin);
  if (o_.anneal_strategy == "linear") return (to - from) * way + from;
  return to + (from - to) / 2.0 * (std::cos(pi * way) + 1);
}

double OneCycleLR::at_step(size_t group, bool momentum) const {
  NNM_CHECK(last_epoch() <= total_steps_, value,
            "Tried to step {} times. The specified number of total steps is {}", last_epoch(),
            total_steps_);
  const std::vector<Phase> all = phases(group);
  double begin = 0;
  for (size_t i = 0; i + 1 < all.size(); ++i) {
    if (static_cast<double>(last_epoch()) <= all[i].end) return annealed(all[i], begin, momentum);
    begin = all[i].end;
  }
  return annealed(all.back(), begin, momentum);
}

double OneCycleLR::get_lr(const ParamGroup& group) const { return at_step(index_of(group), false); }

void OneCycleLR::apply() {
  Scheduler::apply();
  if (!o_.cycle_momentum) return;
  for (ParamGroup& group : optimizer().groups()) {
    set_momentum(optimizer(), group, at_step(index_of(group), true));
  }
}

const Spec<CyclicLR::Options>& CyclicLR::spec() {
  static const auto s =
      Spec<Options>("CyclicLR", "triangles between base_lr and max_lr")
          .req(NNM_ARG(base_lr), "the smallest lr, or a list with one per group")
          .req(NNM_ARG(max_lr), "the largest lr, or a list with one per group")
          .opt(NNM_ARG(step_size_up), "length of the rise")
          .opt(NNM_ARG(step_size_down), "length of the fall; default: as the rise")
          .opt(NNM_ARG(mode), "equal triangles, halved ones, or scaled by gamma^step",
               one_of({"triangular", "triangular2", "exp_range"}))
          .opt(NNM_ARG(gamma), "for exp_range")
          .opt(NNM_ARG(cycle_momentum), "let momentum (or beta1) go the other way")
          .opt(NNM_ARG(base_momentum), "the smallest momentum")
          .opt(NNM_ARG(max_momentum), "the largest momentum")
          .opt(NNM_ARG(per), kPer);
  return s;
}

void CyclicLR::prepare() {
  const double up = static_cast<double>(steps(o_.step_size_up, "step_size_up"));
  const double down =
      o_.step_size_down ? static_cast<double>(steps(*o_.step_size_down, "step_size_down")) : up;
  total_size_ = up + down;
  step_ratio_ = up / total_size_;
  std::vector<ParamGroup>& groups = optimizer().groups();
  check_groups(o_.base_lr, "base_lr", groups.size());
  check_groups(o_.max_lr, "max_lr", groups.size());
  for (size_t g = 0; g < groups.size(); ++g) groups[g].initial_lr = o_.base_lr[g];
  if (!o_.cycle_momentum) return;
  check_momentum(optimizer());
  check_groups(o_.base_momentum, "base_momentum", groups.size());
  check_groups(o_.max_momentum, "max_momentum", groups.size());
}

double CyclicLR::height() const {
  const double t = static_cast<double>(last_epoch());
  const double cycle = std::floor(1 + t / total_size_), x = 1.0 + t / total_size_ - cycle;
  const double factor = x <= step_ratio_ ? x / step_ratio_ : (x - 1) / (step_ratio_ - 1);
  if (o_.mode == "triangular") return factor;
  return factor * (o_.mode == "exp_range" ? std::pow(o_.gamma, t) : 1 / std::pow(2.0, cycle - 1));
}

double CyclicLR::get_lr(const ParamGroup& group) const {
  const double low = o_.base_lr[index_of(group)];
  return low + (o_.max_lr[index_of(group)] - low) * height();
}

void CyclicLR::apply() {
  Scheduler::apply();
  if (!o_.cycle_momentum) return;
  std::vector<ParamGroup>& groups = optimizer().groups();
  for (size_t g = 0; g < groups.size(); ++g) {
    const double high = o_.max_momentum[g];
    set_momentum(optimizer(), groups[g], high - (high - o_.base_momentum[g]) * height());
  }
}

const Spec<cosine::Options>& cosine::spec() {
  static const auto s = Spec<Options>("cosine", "half a cosine over the rest of the run")
                            .opt(NNM_ARG(final), "share of lr that is left at the end")
                            .opt(NNM_ARG(per), kPer);
  return s;
}

void cosine::prepare() { total_ = total("cosine"); }

double cosine::get_lr(const ParamGroup& group) const {
  const double least = group.initial_lr * o_.final;
  const double way =
      static_cast<double>(std::min(last_epoch(), total_)) / static_cast<double>(total_);
  return least + (group.initial_lr - least) * (1 + std::cos(pi * way)) / 2;
}

NNM_REGISTER(Scheduler, CosineAnnealingLR);
NNM_REGISTER(Scheduler, CosineAnnealingWarmRestarts);
NNM_REGISTER(Scheduler, OneCycleLR);
NNM_REGISTER(Scheduler, CyclicLR);
NNM_REGISTER(Scheduler, cosine);

}  // namespace nnm::optim
