// The loop, top to bottom.
#include "nnm/train/trainer.h"

#include <cmath>

#include "nnm/autograd/node.h"
#include "nnm/base/log.h"
#include "nnm/ops/ops.h"
#include "nnm/optim/clip.h"
#include "nnm/tensor/generator.h"
#include "nnm/train/nonfinite.h"

namespace nnm::train {

namespace {

constexpr int kDiverged = 5, kTimeLimit = 75, kSignal = 128;
constexpr size_t kMostRepeated = 3;  // each has memory of its own
constexpr double kTick = 0.05;       // seconds between ticks
constexpr double kRounding = 1e-9;   // of positions measured in fractions of an epoch

// How many whole periods lie before a place.
double periods(double at, double period) { return std::floor(at / period + kRounding); }

}  // namespace

Trainer::Trainer(const Plan& plan, Parts parts)
    : plan_(plan), parts_(std::move(parts)), history_(parts_.objective->metrics()) {
  parameters_ = parts_.optimizer->parameters();
  batches_ = parts_.loader->batches_per_epoch();
  total_steps_ = run_length(plan_, batches_).total_steps;
  if (plan_.max.epochs > 0)
    most_micro_ = static_cast<int64_t>(
        std::floor(plan_.max.epochs * static_cast<double>(batches_) + kRounding));
  if (plan_.ema) ema_.emplace(*parts_.model, *plan_.ema);
}

Outcome Trainer::run() {
  step_seconds_ = logged_seconds_ = ticked_seconds_ = now().seconds;
  log_timer_ = eval_timer_ = checkpoint_timer_ = step_seconds_;
  parts_.model->train();
  masks_ = nonfinite_buffers(*parts_.model);
  buffers_.emplace(*parts_.model);
  parts_.loader->seek(micro_ / batches_, micro_ % batches_);
  while (!ended()) {
    if (take_step()) after_step();
    tick();
  }
  finish();
  return outcome_;
}

bool Trainer::take_step() {
  micro_before_ = micro_;
  const Generator random = default_generator();
  buffers_->keep();
  double sum = 0;
  skip_ = false;
  bool stopped = false;
  for (int64_t i = 0; i < plan_.accumulate && !diverged_ && !stopped; ++i) {
    sum += micro_batch(i);
    stopped = consult(true);
  }
  if (!diverged_ && !stopped) clip();
  if (diverged_ || stopped) {
    // The step did not happen: a checkpoint says so.
    parts_.optimizer->zero_grad();
    buffers_->put_back();
    default_generator() = random;
    micro_ = micro_before_;
    return false;
  }
  loss_ = sum / static_cast<double>(plan_.accumulate);
  if (plan_.nan == NanPolicy::skip && (skip_ || !gradients_finite())) pass_over();
  else parts_.optimizer->step();
  parts_.optimizer->zero_grad();
  lr_ = parts_.optimizer->groups()[0].lr();
  if (parts_.schedule) parts_.schedule->step();
  if (ema_ && !skip_) ema_->update();
  ++step_;
  step_seconds_ = earlier_seconds_ + elapsed();
  return true;
}

// Whether a watcher asks the run to end; `at_once`: before this step happens.
bool Trainer::consult(bool at_once) {
  for (const Watcher* w : parts_.watchers) {
    std::optional<Watcher::Stop> stop = w->stop();
    if (!stop || (at_once && !stop->at_once)) continue;
    outcome_.message = stop->message;
    rule_stop_ = std::move(stop);
    return true;
  }
  return false;
}

double Trainer::micro_batch(int64_t index) {
  at_ = {step_, micro_ / batches_, index};
  begun_ = false;
  RepeatedStep* const again = find_repeated();
  batch_ = next_batch(again ? again->inputs() : Tensors());
  random_ = default_generator();
  ++micro_;
  samples_ += static_cast<int64_t>(batch_.samples.size());
  Objective& objective = *parts_.objective;
  std::optional<double> repeated;
  if (again) repeated = again->loss(batch_.fields);
  // What was told of a recording that failed is told anew; a step that is repeated goes first,
  // since the GPU has work then.
  if (!repeated || !begun_) forward_begins();
  const Tensor loss = repeated ? Tensor() : forward();
  const double value = repeated ? *repeated : loss.item().d;
  const bool ends = !std::isfinite(value) && plan_.nan != NanPolicy::ignore;
  if (repeated && again->repeats())
    for (Watcher* w : parts_.watchers) w->repeated(number_, !ends);
  if (ends) {
    objective.clear();
    for (Watcher* w : parts_.watchers) w->backward_done(at_);
    if (plan_.nan == NanPolicy::skip) skip_ = true;
    else if (!consult(true)) diverge_in_forward(value);
    return value;
  }
  if (repeated) again->set_gradients();
  else backward(loss);
  objective.clear();
  for (Watcher* w : parts_.watchers) w->backward_done(at_);
  return value;
}

void Trainer::forward_begins() {
  begun_ = true;
  for (Watcher* w : parts_.watchers) w->forward_begins(at_);
}

// Forward and backward of such a micro-batch as they are repeated on a GPU; null where it is to be
// taken as usual, as hooks must be called.
RepeatedStep* Trainer::find_repeated() {
  if (!may_repeat_) may_repeat_ = RepeatedStep::possible(*parts_.model, parameters_[0].device());
  if (!*may_repeat_) return nullptr;
  number_ = 0;
  // The hooks of a config are one watcher; others watch each step.
  if (parts_.watchers.size() > 1) return nullptr;
  for (const Watcher* w : parts_.watchers) {
    const std::optional<uint64_t> number = w->repeats(at_, plan_.accumulate > 1);
    if (!number) return nullptr;
    number_ = *number;
  }
  const auto known = repeated_.find(number_);
  if (known != repeated_.end()) return &known->second;
  if (repeated_.size() == kMostRepeated) return nullptr;
  std::vector<uint64_t> hooks;
  for (const Watcher* w : parts_.watchers) hooks = w->hooks();
  return &repeated_
              .try_emplace(number_, parts_.model, parameters_, work_of(number_), std::move(hooks))
              .first->second;
}

RepeatedStep::Work Trainer::work_of(uint64_t number) {
  const auto recorded = [this, number](bool backward) {
    for (Watcher* w : parts_.watchers) w->recorded(number, backward);
  };
  return {[this, recorded] {
            forward_begins();
            Tensor loss = forward();
            recorded(false);
            return loss;
          },
          [this, recorded](const Tensor& loss) {
            backward(loss);
            recorded(true);
          },
          [this] { parts_.objective->clear(); }, plan_.accumulate > 1,
          [this] {
            for (Watcher* w : parts_.watchers) w->settle();
          }};
}

// The loss of the batch, which stays in scope.
Tensor Trainer::forward() {
  Objective& objective = *parts_.objective;
  try {
    objective.scope(batch_.fields, objective.forward(*parts_.model, batch_.fields));
    return objective.loss(true);
  } catch (const LabelError& e) {
    throw_with_sample(e, *parts_.loader, batch_);
  }
}

data::Batch Trainer::next_batch(const Tensors& into) {
  std::optional<data::Batch> batch = parts_.loader->next(into);
  if (!batch) batch = parts_.loader->next(into);
  return std::move(*batch);
}

// Starts from the micro-batch's share of the mean over the step.
void Trainer::backward(const Tensor& loss) {
  if (plan_.accumulate == 1) return loss.backward();
  if (!share_.defined() || share_.shape() != loss.shape() || share_.dtype() != loss.dtype())
    share_ = full(loss.shape(), 1.0 / static_cast<double>(plan_.accumulate), loss.options());
  loss.backward(share_);
}

void Trainer::clip() {
  if (plan_.clip.kind == Clip::Kind::none) return;
  if (plan_.clip.kind == Clip::Kind::value) {
    grad_norm_ = optim::grad_norm(parameters_);
    optim::clip_grad_value_(parameters_, plan_.clip.limit);
  } else {
    grad_norm_ = optim::clip_grad_norm_(parameters_, plan_.clip.limit, plan_.clip.norm_type);
  }
  if (std::isfinite(*grad_norm_) || plan_.nan == NanPolicy::ignore) return;
  if (plan_.nan == NanPolicy::skip) skip_ = true;
  else
    diverge(fmt::format("the norm of the gradient is {} in step {}", python_float(*grad_norm_),
                        step_ + 1));
}

bool Trainer::gradients_finite() {
  for (const Tensor& p : parameters_)
    if (!all_finite(p.grad())) skip_ = true;
  return !skip_;
}

void Trainer::pass_over() {
  buffers_->put_back();
  log_warning("step {} skipped: its loss or gradient is not finite", step_ + 1);
}

void Trainer::diverge(std::string message) {
  diverged_ = true;
  outcome_.message = std::move(message);
}

// Runs the micro-batch again with the same random numbers and every module watched.
void Trainer::diverge_in_forward(double value) {
  default_generator() = random_;
  const std::string where = find_nonfinite(*parts_.model, [&] {
    const NoGradGuard no_grad;
    (void)parts_.objective->forward(*parts_.model, batch_.fields);
  });
  diverge(fmt::format("the loss is {} in step {}; it began in {}", python_float(value), step_ + 1,
                      where));
}

void Trainer::after_step() {
  if (std::isfinite(loss_)) {
    loss_sum_ += loss_;
    ++loss_count_;
  }
  const Watcher::At where{step_ - 1, micro_before_ / batches_, plan_.accumulate - 1};
  for (Watcher* w : parts_.watchers) w->step_done(where, loss_);
  const bool planned = due(plan_.log, log_timer_) || step_ == 1;
  if (planned || step_ == total_steps_) log_step(planned);
  if (position() / batches_ > micro_before_ / batches_) {
    const Moment m = now();
    tell([&](Events& e) { e.epoch(m); });
  }
  if (parts_.evaluator && plan_.eval && due(*plan_.eval, eval_timer_)) evaluate();
  consult(false);
  bool asked = parts_.control && parts_.control->checkpoint.exchange(false);
  for (Watcher* w : parts_.watchers) asked |= w->take_checkpoint();
  if (due(plan_.checkpoint, checkpoint_timer_) || asked) save();
}

void Trainer::log_step(bool planned) {
  StepEvent e;
  static_cast<Moment&>(e) = now();
  e.loss = loss_;
  e.loss_mean = loss_count_ ? loss_sum_ / static_cast<double>(loss_count_) : loss_;
  e.lr = lr_;
  e.grad_norm = grad_norm_;
  e.samples_per_s = static_cast<double>(samples_) / std::max(e.seconds - logged_seconds_, 1e-9);
  logged_step_ = step_;
  logged_seconds_ = e.seconds;
  samples_ = 0;
  outcome_.loss = e.loss_mean;
  History::Row row = history_.row(e);
  row.ending = !planned;
  history_.add(std::move(row));
  if (planned) {
    logged_loss_ = e.loss_mean;
    loss_sum_ = 0;
    loss_count_ = 0;
  }
  tell([&](Events& events) { events.step(e); });
}

void Trainer::evaluate() {
  for (Watcher* w : parts_.watchers) w->evaluation(true);
  EvalEvent e = parts_.evaluator->run(*parts_.model, *parts_.objective);
  for (Watcher* w : parts_.watchers) w->evaluation(false);
  static_cast<Moment&>(e) = now();
  logged_seconds_ += e.took;  // samples per second are those of training
  History::Row row = history_.row(e);
  row.ending = position() != micro_;
  history_.add(std::move(row));
  tell([&](Events& events) { events.eval(e); });
  const auto value_of = [&](const std::string& target) {
    const std::string name = target.substr(e.split.size() + 1);
    for (const auto& [metric, value] : e.metrics)
      if (metric == name) return value;
    return e.loss;
  };
  if (!plan_.best.metric.empty()) {
    score_ = value_of(plan_.best.metric);
    if (best_.step < 0 || plan_.best.better(*score_, best_.value)) best_ = {*score_, step_};
  }
  if (plan_.stop) count_patience(value_of(plan_.stop->target.metric));
  if (parts_.schedule && !parts_.schedule->metric().empty())
    parts_.schedule->step_metric(value_of(parts_.schedule->metric()));
  outcome_.eval = std::move(e);
}

void Trainer::count_patience(double value) {
  ++wait_.evaluations;
  if (wait_.step < 0 || plan_.stop->target.better(value, wait_.value)) {
    wait_ = {value, step_seconds_, step_, micro_, 0};
    return;
  }
  double waited = static_cast<double>(wait_.evaluations);
  if (plan_.stop->wait.unit == Unit::step) waited = static_cast<double>(step_ - wait_.step);
  if (plan_.stop->wait.unit == Unit::second) waited = step_seconds_ - wait_.seconds;
  if (plan_.stop->wait.unit == Unit::epoch)
    waited = static_cast<double>(position() - wait_.micro) / static_cast<double>(batches_);
  early_stop_ = waited >= plan_.stop->wait.amount - kRounding;
}

void Trainer::save() {
  if (!parts_.store || saved_step_ == step_) return;
  for (Watcher* w : parts_.watchers) w->saving();
  if (plan_.nan == NanPolicy::stop) {
    const std::string found = nonfinite_state(*parts_.model, masks_);
    // What stopped the run has told already why.
    if (!found.empty() && !diverged_ && !rule_stop_)
      diverge(fmt::format("the state is not finite after step {}: {}", step_, found));
    if (!found.empty()) return;
  }
  CheckpointEvent e = parts_.store->save(snapshot(), score_);
  static_cast<Moment&>(e) = now();
  logged_seconds_ += e.took;
  saved_step_ = step_;
  score_.reset();
  tell([&](Events& events) { events.checkpoint(e); });
}

bool Trainer::ended() {
  const auto end = [&](Reason reason, int code) {
    outcome_.reason = reason;
    outcome_.exit_code = code;
    return true;
  };
  if (rule_stop_) return end(Reason::rule, rule_stop_->exit_code);
  if (diverged_) return end(Reason::diverged, kDiverged);
  if (early_stop_) return end(Reason::early_stop, 0);
  if ((plan_.max.steps || most_micro_) && step_ >= total_steps_)
    return end(plan_.max.steps && step_ >= plan_.max.steps ? Reason::max_steps : Reason::max_epochs,
               0);
  if (plan_.max.seconds > 0 && step_seconds_ >= plan_.max.seconds) return end(Reason::max_time, 0);
  const Control* control = parts_.control;
  if (!control) return false;
  if (control->stop_after && step_ >= control->stop_after) return end(Reason::max_steps, 0);
  if (const int signal = control->signal.load(std::memory_order_relaxed))
    return end(Reason::signal, kSignal + signal);
  if (control->time_limit > 0 && step_seconds_ - earlier_seconds_ >= control->time_limit)
    return end(Reason::max_time, kTimeLimit);
  return false;
}

void Trainer::finish() {
  if (logged_step_ != step_ && step_ > first_step_) log_step(false);
  save();
  if (diverged_) ended();
  outcome_.at = now();
  EndEvent e;
  static_cast<Moment&>(e) = outcome_.at;
  e.reason = outcome_.reason;
  e.exit_code = outcome_.exit_code;
  tell([&](Events& events) { events.end(e); });
}

void Trainer::tick() {
  if (step_seconds_ - ticked_seconds_ < kTick) return;
  ticked_seconds_ = step_seconds_;
  const Moment m = now();
  tell([&](Events& e) { e.tick(m, loss_); });
}

bool Trainer::due(const Duration& every, double& timer) const {
  switch (every.unit) {
    case Unit::second:
      if (step_seconds_ - timer < every.amount) return false;
      timer = step_seconds_;
      return true;
    case Unit::epoch: {
      const double period = every.amount * static_cast<double>(batches_);
      return periods(static_cast<double>(position()), period) >
             periods(static_cast<double>(micro_before_), period);
    }
    default:
      return periods(static_cast<double>(step_), every.amount) >
             periods(static_cast<double>(step_ - 1), every.amount);
  }
}

// Micro-batches done. What is left over at the end of the last epoch, too few for a step, counts.
int64_t Trainer::position() const {
  const bool over = micro_ <= most_micro_ && most_micro_ - micro_ < plan_.accumulate;
  return over && step_ == total_steps_ ? most_micro_ : micro_;
}

Moment Trainer::now() const { return {step_, position() / batches_, earlier_seconds_ + elapsed()}; }

double Trainer::elapsed() const {
  return std::chrono::duration<double>(Clock::now() - began_).count();
}

}  // namespace nnm::train
