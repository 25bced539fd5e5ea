// Steps of hooks: when they begin, when they end, what rules make of them.
#include "nnm/trace/hooks.h"

#include <algorithm>
#include <chrono>

#include "nnm/base/log.h"
#include "nnm/io/tree.h"
#include "nnm/trace/hook_text.h"

namespace nnm::tracing {

namespace {

// FNV-1a.
constexpr uint64_t kHashBegin = 1469598103934665603u, kHashFactor = 1099511628211u;

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
      watch_(root),
      fired_before_(hooks_.size()) {
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
  changes_before_ = changes_.fired();
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

std::optional<uint64_t> Hooks::repeats(const At& at, bool accumulates) const {
  const bool training = root_.training();
  const auto changes = changes_.repeats(at.step, training, accumulates);
  const auto captures = captures_.repeats(at.step, training);
  const auto rules = watch_.repeats(at.step, training, accumulates);
  if (!changes || !captures || !rules) return std::nullopt;
  uint64_t number = kHashBegin;
  for (const auto* due : {&*changes, &*captures, &*rules})
    for (const bool d : *due) number = (number ^ d) * kHashFactor;
  return number;
}

void Hooks::recorded(uint64_t number, bool backward) {
  Scripts& of = scripts_[number];
  (backward ? of.all : of.forward) = {captures_.script(), watch_.script(), changes_.fired()};
  std::vector<int64_t>& fired = (backward ? of.all : of.forward).changes;
  for (size_t i = 0; i < fired.size(); ++i) fired[i] -= changes_before_[i];
}

void Hooks::repeat(uint64_t number, bool backward) {
  const Scripts& of = scripts_.at(number);
  const Script& script = backward ? of.all : of.forward;
  captures_.repeat(script.captures);
  watch_.repeat(script.rules);
  changes_.repeat(script.changes);
}

std::vector<uint64_t> Hooks::ids() const {
  std::vector<uint64_t> out;
  for (const RemovableHandle& h : handles_) out.push_back(h.id());
  changes_.ids(out);
  captures_.ids(out);
  watch_.ids(out);
  std::sort(out.begin(), out.end());
  return out;
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

// How often each has, in this process.
std::vector<int64_t> Hooks::fired() const {
  const std::vector<int64_t> changes = changes_.fired(), captures = captures_.fired(),
                             rules = watch_.fired();
  size_t change = 0, capture = 0, rule = 0;
  std::vector<int64_t> out;
  for (const Hook& h : hooks_)
    out.push_back(std::holds_alternative<ChangeHook>(h)    ? changes[change++]
                  : std::holds_alternative<CaptureHook>(h) ? captures[capture++]
                                                           : rules[rule++]);
  return out;
}

Items Hooks::memory() const {
  const std::vector<int64_t> fired = this->fired();
  Items out;
  size_t rule = 0;
  for (size_t i = 0; i < hooks_.size(); ++i) {
    Items hook = {{"hook", spec_of(hooks_[i]).text}, {"fired", fired[i] > 0 || fired_before_[i]}};
    if (std::holds_alternative<RuleHook>(hooks_[i]))
      hook.emplace_back("places", Value::dict(watch_.memory(rule++)));
    out.emplace_back(std::to_string(i), Value::dict(std::move(hook)));
  }
  return out;
}

void Hooks::remember(const Items& memory) {
  Items left = memory;
  size_t rule = 0;
  for (size_t i = 0; i < hooks_.size(); ++i) {
    const size_t number = std::holds_alternative<RuleHook>(hooks_[i]) ? rule++ : 0;
    const auto own = std::find_if(left.begin(), left.end(), [&](const auto& entry) {
      return io::item_at(entry.second.entries(), "hook").string() == spec_of(hooks_[i]).text;
    });
    if (own == left.end()) continue;
    const Value was = own->second;
    left.erase(own);  // two that are written alike have one each
    fired_before_[i] = io::item_at(was.entries(), "fired").truthy();
    if (const Value* places = io::find_item(was.entries(), "places"))
      watch_.remember(number, places->entries());
  }
}

std::vector<std::string> Hooks::silent(bool backward) const {
  const std::vector<int64_t> fired = this->fired();
  std::vector<std::string> out;
  for (size_t i = 0; i < hooks_.size(); ++i) {
    const HookSpec& spec = spec_of(hooks_[i]);
    const auto* rule = std::get_if<RuleHook>(&hooks_[i]);
    const bool training_alone =
        spec.backward_only() || (rule && rule->make()->subject() != Rule::Subject::tensors);
    const bool could = (backward || !training_alone) && (trained_ || spec.when.training != true);
    if (fired[i] > 0 || fired_before_[i] || !could || spec.optional) continue;
    const std::string waits = waits_for(spec);
    out.push_back(waits.empty() ? fmt::format("`{}`", spec.name)
                                : fmt::format("`{}` ({})", spec.name, waits));
  }
  return out;
}

}  // namespace nnm::tracing
