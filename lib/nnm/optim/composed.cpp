// Schedules made of others: SequentialLR, which a pipe makes, too, and ChainedScheduler.
#include <algorithm>
#include <cmath>

#include "nnm/optim/schedulers.h"

namespace nnm::optim {

namespace {

constexpr const char* kPartsPer = "what parts without a `per` of their own step by";

}  // namespace

Composed::Composed(const char* name, std::vector<Ref<Scheduler>> parts, std::optional<Duration> per)
    : Scheduler(per), parts_(std::move(parts)) {
  NNM_CHECK(!parts_.empty(), value, "{} expects at least one scheduler, but got no scheduler.",
            name);
  for (size_t i = 0; i < parts_.size(); ++i) {
    NNM_CHECK(parts_[i]->metric().empty(), value,
              "{} does not support `ReduceLROnPlateau` scheduler as it requires additional kwargs "
              "to be specified when calling `step`, but got one at index {} in the given "
              "schedulers sequence.",
              name, i);
    if (per && parts_[i]->per_ == Duration{1, Unit::step}) parts_[i]->per_ = *per;
  }
}

Items Composed::state() const {
  Items out = Scheduler::state();
  for (size_t i = 0; i < parts_.size(); ++i)
    for (auto& [name, value] : parts_[i]->state())
      out.emplace_back(fmt::format("{}.{}", i, name), value);
  return out;
}

void Composed::load_state(const Items& state) {
  Scheduler::load_state(state);
  for (size_t i = 0; i < parts_.size(); ++i) {
    const std::string prefix = fmt::format("{}.", i);
    Items own;
    for (const auto& [name, value] : state)
      if (name.starts_with(prefix)) own.emplace_back(name.substr(prefix.size()), value);
    parts_[i]->load_state(own);
  }
}

void Composed::bind_part(size_t i, int64_t begin) {
  RunLength rest = length_;
  if (rest.total_steps > 0) rest.total_steps = std::max<int64_t>(1, rest.total_steps - begin);
  parts_[i]->bind(optimizer_, rest);
}

void Composed::apply_part(size_t i, bool after_another) {
  parts_[i]->after_another_ = after_another;
  parts_[i]->apply();
  parts_[i]->after_another_ = false;
}

std::optional<int64_t> Composed::length_of(size_t i) const {
  const std::optional<int64_t> n = parts_[i]->duration();
  if (!n) return {};
  return std::llround(static_cast<double>(*n) * parts_[i]->per_steps());
}

int64_t Composed::count_step() { return ++optimizer_steps_; }
int64_t Composed::optimizer_steps() const { return optimizer_steps_; }

int64_t Composed::as_steps(Duration d, const char* argument) const {
  return std::llround(static_cast<double>(steps(d, argument, 0)) * per_steps());
}

int64_t Composed::in_own_unit(int64_t optimizer_steps) const {
  return std::llround(static_cast<double>(optimizer_steps) / per_steps());
}

const Spec<SequentialLR::Options>& SequentialLR::spec() {
  static const auto s = Spec<Options>("SequentialLR", "one schedule after another")
                            .req(NNM_ARG(schedulers), "the schedules, in their order")
                            .req(NNM_ARG(milestones), "where the second, the third … begins")
                            .opt(NNM_ARG(per), kPartsPer);
  return s;
}

SequentialLR::SequentialLR(const Options& o)
    : Composed("SequentialLR", o.schedulers, o.per), given_(o.milestones) {
  NNM_CHECK(o.milestones.size() + 1 == o.schedulers.size(), value,
            "Sequential Schedulers expects number of schedulers provided to be one more than the "
            "number of milestone points, but got number of schedulers {} and the number of "
            "milestones to be equal to {}",
            o.schedulers.size(), o.milestones.size());
}

SequentialLR::SequentialLR(std::vector<Ref<Scheduler>> schedulers)
    : Composed("SequentialLR", std::move(schedulers), std::nullopt) {}

void SequentialLR::step() {
  const int64_t now = count_step();
  const size_t i = active();
  if (i > 0 && milestones_[i - 1] == now) apply_part(i, true);
  else part(i).step();
}

int64_t SequentialLR::milestone(size_t i) const {
  if (given_) return as_steps((*given_)[i], "milestones");
  const std::optional<int64_t> n = length_of(i);
  if (!n) {
    throw Error(
        ErrorKind::value,
        fmt::format("schedule {} of {} does not say when the next one begins", i + 1, parts()),
        "let a schedule with a length stand before `|>`, such as `warmup(500 steps)`");
  }
  return (i ? milestones_[i - 1] : 0) + *n;
}

void SequentialLR::prepare() {
  milestones_.clear();
  for (size_t i = 0; i < parts(); ++i) {
    bind_part(i, i ? milestones_[i - 1] : 0);
    if (i + 1 < parts()) milestones_.push_back(milestone(i));
  }
}

void SequentialLR::apply() {
  for (ParamGroup& group : optimizer().groups()) group.set_lr(group.initial_lr);
  apply_part(active());
}

std::optional<int64_t> SequentialLR::duration() const {
  const std::optional<int64_t> last = length_of(parts() - 1);
  if (!last) return {};
  return in_own_unit((milestones_.empty() ? 0 : milestones_.back()) + *last);
}

size_t SequentialLR::active() const {
  const auto next = std::upper_bound(milestones_.begin(), milestones_.end(), optimizer_steps());
  return static_cast<size_t>(next - milestones_.begin());
}

const Spec<ChainedScheduler::Options>& ChainedScheduler::spec() {
  static const auto s =
      Spec<Options>("ChainedScheduler", "several schedules at once, their factors multiplied")
          .req(NNM_ARG(schedulers), "the schedules, in the order in which they act")
          .opt(NNM_ARG(per), kPartsPer);
  return s;
}

ChainedScheduler::ChainedScheduler(const Options& o)
    : Composed("ChainedScheduler", o.schedulers, o.per) {}

void ChainedScheduler::step() {
  count_step();
  for (size_t i = 0; i < parts(); ++i) part(i).step();
}

void ChainedScheduler::prepare() {
  for (size_t i = 0; i < parts(); ++i) bind_part(i);
}

void ChainedScheduler::apply() {
  for (ParamGroup& group : optimizer().groups()) group.set_lr(group.initial_lr);
  for (size_t i = 0; i < parts(); ++i) apply_part(i);
}

std::optional<int64_t> ChainedScheduler::duration() const {
  int64_t longest = 0;
  for (size_t i = 0; i < parts(); ++i) {
    const std::optional<int64_t> n = length_of(i);
    if (!n) return {};
    longest = std::max(longest, *n);
  }
  return in_own_unit(longest);
}

Ref<Scheduler> sequential(std::vector<Ref<Scheduler>> parts) {
  if (parts.size() == 1) return parts[0];
  return make_ref<SequentialLR>(std::move(parts));
}

NNM_REGISTER(Scheduler, SequentialLR);
NNM_REGISTER(Scheduler, ChainedScheduler);

}  // namespace nnm::optim
