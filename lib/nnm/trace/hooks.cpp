// Steps of hooks: when they begin, when they end, what rules make of them.
#include "nnm/trace/hooks.h"

#include <chrono>

#include "nnm/base/log.h"

namespace nnm::tracing {

namespace {

int64_t wall_ns() {
  static const auto began = std::chrono::steady_clock::now();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() -
                                                              began)
      .count();
}

}  // namespace

Hooks::Hooks(Module& root, std::vector<Hook> hooks)
    : root_(root),
      hooks_(std::move(hooks)),
      fields_(fields_of(hooks_)),
      changes_(root),
      captures_(root),
      watch_(root) {
  if (hooks_.empty()) return;
  Diagnostics unmatched;
  for (const Hook& h : hooks_) {
    if (const auto* change = std::get_if<ChangeHook>(&h)) changes_.add(*change, unmatched);
    else if (const auto* capture = std::get_if<CaptureHook>(&h)) captures_.add(*capture, unmatched);
    else watch_.add(std::get<RuleHook>(h), unmatched);
  }
  unmatched.throw_if_errors();
  speak({});
  (void)wall_ns();
  // Around all others.
  handles_.push_back(root.register_forward_pre_hook(
      [this](Module&, Args&) {
        if (evaluating_) start({at_.step, at_.epoch, calls_++}, true);
        else if (!driven_) start({calls_++, 0, 0}, false);
      },
      {.prepend = true, .always_call = false}));
  handles_.push_back(root.register_forward_hook([this](Module&, const Args&, const Value&) {
    if (driven_ && !evaluating_) return;
    end();
    if (driven_ || !stopped_) return;
    throw Error(stopped_->kind(), stopped_->message());
  }));
}

Hooks::~Hooks() {
  for (RemovableHandle& h : handles_) h.remove();
}

void Hooks::begin(const At& at) {
  at_ = at;
  start(at, false);
}

void Hooks::start(const At& at, bool outside) {
  trained_ |= root_.training();
  changes_.begin(at.step);
  if (!watch_.empty()) watch_.begin(at.step, outside, at.micro == 0);
  if (captures_.empty()) return;
  captures_.begin({.step = at.step,
                   .epoch = at.epoch,
                   .micro = at.micro,
                   .wall_ns = wall_ns(),
                   .mode = root_.training() ? "train" : "eval"},
                  outside);
}

void Hooks::end() {
  watch_.end();
  captures_.end();
}

void Hooks::step_done(double loss) { watch_.step_done(loss); }

void Hooks::evaluation(bool begins) {
  evaluating_ = begins;
  calls_ = 0;
}

void Hooks::speak(std::function<void(const Finding&)> found) {
  told_ = std::move(found);
  watch_.tell = [this](const Finding& f) { this->found(f); };
}

void Hooks::found(const Finding& f) {
  using Action = RuleHook::Action;
  switch (f.action) {
    case Action::note: log_note("{}", f.message()); break;
    case Action::warn: log_warning("{}", f.message()); break;
    case Action::checkpoint:
      log_note("{}", f.message());
      checkpoint_ = true;
      break;
    case Action::stop:
      if (!stopped_) stopped_ = f;
      break;
  }
  if (told_) told_(f);
}

std::vector<std::string> Hooks::silent(bool backward) const {
  const std::vector<int64_t> changes = changes_.fired(), captures = captures_.fired(),
                             rules = watch_.fired();
  size_t change = 0, capture = 0, rule = 0;
  std::vector<std::string> out;
  for (const Hook& h : hooks_) {
    const HookSpec& spec = spec_of(h);
    int64_t fired = 0;
    bool training_alone = spec.backward_only();
    if (std::holds_alternative<ChangeHook>(h)) {
      fired = changes[change++];
    } else if (std::holds_alternative<CaptureHook>(h)) {
      fired = captures[capture++];
    } else {
      fired = rules[rule++];
      training_alone |= std::get<RuleHook>(h).make()->subject() != Rule::Subject::tensors;
    }
    const bool could = (backward || !training_alone) && (trained_ || spec.when.training != true);
    if (fired == 0 && could && !spec.optional) out.push_back(spec.name);
  }
  return out;
}

}  // namespace nnm::tracing
