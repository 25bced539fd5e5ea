// Rules at work on a model.
#include "nnm/trace/watch.h"

#include <algorithm>

#include "nnm/autograd/node.h"
#include "nnm/io/tree.h"
#include "nnm/nn/onlooker.h"
#include "nnm/ops/ops.h"
#include "nnm/trace/targets.h"

namespace nnm::tracing {

namespace {

constexpr const char* kUnfit = "E0335";

}  // namespace

std::string place_text(const std::string& module, const std::string& what, const std::string& arg,
                       int64_t call) {
  std::string out = module;
  if (!what.empty()) out += "/" + what;
  if (!arg.empty() && arg != "0") out += "/" + arg;
  return call ? fmt::format("{}#{}", out, call) : out;
}

std::string Finding::message() const {
  const std::string place = place_text(module, what, arg, call);
  return fmt::format("hook `{}`: {}: {}{}{} (threshold {:.4g}) in step {}", hook, rule, place,
                     place.empty() ? "" : ": ", text, threshold, step + 1);
}

ErrorKind Finding::kind() const { return nonfinite ? ErrorKind::diverged : ErrorKind::negative; }

std::optional<Reading> Streak::look(const Sight& sight, int64_t patience) {
  std::optional<Reading> reading = rule_->look(sight);
  judged_ = reading.has_value();
  if (!reading) return std::nullopt;
  if (!reading->bad) {
    state_ = {};
    return std::nullopt;
  }
  if (++state_.bad < patience || std::exchange(state_.told, true)) return std::nullopt;
  return reading;
}

struct Watch::Live {
  RuleHook spec;
  Ref<Rule> rule;  // to ask what it is like
  bool due = false;
  int64_t fired = 0;

  bool about_parameters() const {
    if (rule->subject() == Rule::Subject::parameters) return true;
    return rule->compares() && std::all_of(spec.kinds.begin(), spec.kinds.end(), [](HookKind k) {
             return k == HookKind::post_accumulate_grad;
           });
  }
};

/// A module or parameter that a rule looks at.
struct Watch::Spot {
  struct Memory {
    Streak::State streak;
    Tensor before;
  };
  struct Place {
    std::string what, arg;
    int64_t call;
    Streak streak;
    Tensor before;
    std::optional<Memory> settled;  // as of the steps done, within one that is not

    Memory memory() const { return {streak.state(), before}; }
  };
  Live& live;
  std::string name, type;       // of the module
  std::optional<size_t> named;  // the position of the input that `arg` names
  Tensor parameter;             // of rules about parameters
  std::string parameter_name;
  Calls calls;
  std::vector<Place> places;

  Place& place(std::string_view what, const std::string& arg, int64_t call) {
    for (Place& p : places)
      if (p.call == call && p.arg == arg && p.what == what) return p;
    places.push_back({std::string(what), arg, call, Streak(live.spec.make()), {}, {}});
    return places.back();
  }
};

Watch::Watch(Module& root) : root_(root) {}

Watch::~Watch() {
  for (RemovableHandle& h : handles_) h.remove();
}

Watch::Spot& Watch::spot(Live& rule, const std::string& name, const Module& m) {
  spots_.push_back(std::make_unique<Spot>(Spot{.live = rule,
                                               .name = name,
                                               .type = m.type_name(),
                                               .named = input_place(m, rule.spec.arg),
                                               .parameter = {},
                                               .parameter_name = {},
                                               .calls = {},
                                               .places = {}}));
  return *spots_.back();
}

void Watch::add(const RuleHook& hook, Diagnostics& d) {
  rules_.push_back(std::make_unique<Live>(Live{.spec = hook, .rule = hook.make()}));
  Live& live = *rules_.back();
  if (live.rule->subject() == Rule::Subject::loss) {
    spot(live, "", root_);
    return;
  }
  if (live.about_parameters()) {
    for (const Targets::OfParameter& p :
         find_targets(root_, hook, HookKind::post_accumulate_grad, d).parameters) {
      if (p.again) continue;
      Spot& s = spot(live, p.owner.name, *p.owner.module);
      s.parameter = p.parameter;
      s.parameter_name = p.name;
    }
    return;
  }
  for (HookKind kind : hook.kinds) {
    const Targets targets = find_targets(root_, hook, kind, d);
    for (const Targets::OfParameter& p : targets.parameters)
      if (!p.again)
        attach_parameter(spot(live, p.owner.name, *p.owner.module), kind, p.parameter, p.name);
    for (const Targets::OfModule& m : targets.modules) {
      try {
        live.rule->check(m.module->type_name());
      } catch (const Error& e) {
        report_hook(d, kUnfit, hook, e);
        return;
      }
      attach(spot(live, m.name, *m.module), kind, m);
    }
  }
}

void Watch::attach(Spot& s, HookKind kind, const Targets::OfModule& target) {
  Module& m = *target.module;
  const HookOptions options{.prepend = s.live.spec.prepend, .always_call = false};
  switch (kind) {
    case HookKind::forward_pre:
      handles_.push_back(m.register_forward_pre_hook(
          [this, &s](Module&, Args& args) { see(s, "input", s.calls.next(), flatten(args)); },
          options));
      return;
    case HookKind::forward:
      handles_.push_back(m.register_forward_hook(
          [this, &s](Module&, const Args&, const Value& output) {
            see(s, "output", s.calls.next(), flatten(output));
          },
          {.prepend = options.prepend, .always_call = s.live.spec.always_call}));
      return;
    case HookKind::tensor: return attach_tensor(s, m, target.of_input);
    default: return attach_backward(s, kind, m);
  }
}

void Watch::attach_backward(Spot& s, HookKind kind, Module& m) {
  const HookOptions options{.prepend = s.live.spec.prepend, .always_call = false};
  handles_.push_back(m.register_forward_pre_hook([&s](Module&, Args&) { s.calls.next(); }));
  const bool pre = kind == HookKind::full_backward_pre;
  if (pre)
    handles_.push_back(m.register_full_backward_pre_hook(
        [this, &s](Module&, const Tensors& grad_output) {
          see(s, "grad_output", s.calls.of_backward(), flatten(grad_output));
        },
        options));
  // There in any case, so that gradients of the inputs flow past the hooks.
  handles_.push_back(m.register_full_backward_hook(
      BackwardOnlooker{
          [this, &s, pre](Module&, const Tensors& grad_input, const Tensors& grad_output) {
            if (pre) return;
            const int64_t call = s.calls.of_backward();
            see(s, "grad_input", call, flatten(grad_input));
            see(s, "grad_output", call, flatten(grad_output));
          }},
      options));
}

void Watch::attach_tensor(Spot& s, Module& m, bool of_input) {
  const char* what = of_input ? "grad_input" : "grad_output";
  const auto watch = [this, &s, what, of_input](const std::vector<io::TraceArg>& args) {
    const int64_t call = s.calls.next();
    if (!s.live.due) return;
    for (size_t i = 0; i < args.size(); ++i) {
      const io::TraceArg& a = args[i];
      if (!s.live.spec.means(i, a.name, of_input ? s.named : std::nullopt) ||
          !a.tensor.requires_grad())
        continue;
      a.tensor.register_hook([this, &s, what, call, i](const Tensor& g) -> std::optional<Tensor> {
        see(s, what, call, {{std::to_string(i), g}});
        return std::nullopt;
      });
    }
  };
  const HookOptions options{.prepend = s.live.spec.prepend, .always_call = false};
  if (of_input)
    handles_.push_back(m.register_forward_pre_hook(
        [watch](Module&, Args& args) { watch(flatten(args)); }, options));
  else
    handles_.push_back(m.register_forward_hook(
        [watch](Module&, const Args&, const Value& out) { watch(flatten(out)); }, options));
}

void Watch::attach_parameter(Spot& s, HookKind kind, const Tensor& p, const std::string& name) {
  if (!p.requires_grad()) return;
  s.parameter_name = name;
  if (kind == HookKind::tensor)
    handles_.push_back(p.register_hook([this, &s](const Tensor& g) -> std::optional<Tensor> {
      see(s, "weight_grad", 0, {{s.parameter_name, g}});
      return std::nullopt;
    }));
  else
    handles_.push_back(p.register_post_accumulate_grad_hook([this, &s](const Tensor& leaf) {
      see(s, "weight_grad", 0, {{s.parameter_name, leaf.grad()}});
    }));
}

void Watch::begin(int64_t step, bool outside, bool first) {
  step_ = step;
  looking_ = true;
  late_.begin();
  due_.clear();
  if (first && !outside) settle();
  for (const auto& r : rules_)
    r->due =
        (!outside || r->spec.when.training == false) && r->spec.when.holds(step, root_.training());
  for (const auto& s : spots_) {
    s->calls.clear();
    if (!first || !s->parameter.defined() || !s->live.due || outside) continue;
    const NoGradGuard no_grad;
    s->place("weight", s->parameter_name, 0).before = clone(s->parameter);
  }
}

// A step that does not come to its end has not been: who goes on takes it once more.
void Watch::settle() {
  within_ = true;
  for (const auto& s : spots_)
    for (Spot::Place& p : s->places) p.settled = p.memory();
}

void Watch::end() {
  looking_ = false;
  newest_ = {};
  settle_numbers();
}

// Waits once for all that rules look at.
void Watch::settle_numbers() {
  if (due_.empty()) return;
  late_.send();
  for (const Due& d : std::exchange(due_, {}))
    look(*d.spot, d.what, d.arg, d.call,
         Sight(d.spot->type, Numbers::of(late_.get(d.ticket, nullptr))));
}

std::optional<std::vector<bool>> Watch::repeats(int64_t step, bool training,
                                                bool accumulates) const {
  std::vector<bool> out;
  for (const auto& r : rules_) {
    out.push_back(r->spec.when.holds(step, training));
    const bool beside = r->about_parameters() || r->rule->subject() == Rule::Subject::loss;
    const bool late = r->rule->by_numbers() && !(accumulates && r->spec.sees_sums());
    if (out.back() && !beside && !late) return std::nullopt;
  }
  return out;
}

Watch::Script Watch::script() {
  late_.launch();
  return {due_, late_.asked()};
}

void Watch::repeat(const Script& script) {
  late_.begin(script.asked);
  due_ = script.due;
  for (const Due& d : due_) ++d.spot->live.fired;
}

void Watch::ids(std::vector<uint64_t>& out) const {
  for (const RemovableHandle& h : handles_) out.push_back(h.id());
}

void Watch::step_done(double loss) {
  end();
  within_ = false;
  for (const auto& s : spots_) {
    if (!s->live.due) continue;
    if (s->live.rule->subject() == Rule::Subject::loss) {
      ++s->live.fired;
      Sight sight("", Tensor());
      sight.loss = loss;
      if (const auto r = s->place("", "", 0).streak.look(sight, s->live.spec.patience))
        report(*s, "", "", 0, *r);
    } else if (s->parameter.defined()) {
      judge(*s, "weight", s->parameter_name, 0, s->parameter);
    }
  }
}

Items Watch::memory(size_t rule) const {
  const Live& live = *rules_[rule];
  const bool stops = live.spec.action == RuleHook::Action::stop;
  Items out;
  int64_t number = 0;  // of the spot, among those of the rule
  for (const auto& s : spots_) {
    if (&s->live != &live) continue;
    for (const Spot::Place& p : s->places) {
      // A place that is new in a step which is not done has no memory.
      if (within_ && !p.settled) continue;
      const Spot::Memory m = within_ ? *p.settled : p.memory();
      const Items own = p.streak.rule().memory();
      if (m.streak.bad == 0 && !m.before.defined() && own.empty()) continue;
      // What stopped the run is told again, should the run go on and be no better.
      Items place = {{"spot", number},
                     {"module", s->name},
                     {"what", p.what},
                     {"arg", p.arg},
                     {"call", p.call},
                     {"bad", m.streak.bad},
                     {"told", m.streak.told && !stops}};
      if (m.before.defined()) place.emplace_back("before", m.before);
      if (!own.empty()) place.emplace_back("own", Value::dict(own));
      out.emplace_back(std::to_string(out.size()), Value::dict(std::move(place)));
    }
    ++number;
  }
  return out;
}

void Watch::remember(size_t rule, const Items& memory) {
  std::vector<Spot*> spots;
  for (const auto& s : spots_)
    if (&s->live == rules_[rule].get()) spots.push_back(s.get());
  for (const auto& [key, value] : memory) {
    const Items& m = value.entries();
    const auto number = static_cast<size_t>(io::item_at(m, "spot").integer());
    if (number >= spots.size() || spots[number]->name != io::item_at(m, "module").string())
      continue;
    Spot::Place& p =
        spots[number]->place(io::item_at(m, "what").string(), io::item_at(m, "arg").string(),
                             io::item_at(m, "call").integer());
    p.streak.restore({io::item_at(m, "bad").integer(), io::item_at(m, "told").truthy()});
    if (const Value* before = io::find_item(m, "before")) p.before = before->as<Tensor>();
    if (const Value* own = io::find_item(m, "own")) p.streak.rule().remember(own->entries());
  }
}

std::vector<int64_t> Watch::fired() const {
  std::vector<int64_t> out;
  for (const auto& r : rules_) out.push_back(r->fired);
  return out;
}

void Watch::see(Spot& s, const char* what, int64_t call, const std::vector<io::TraceArg>& args) {
  const RuleHook& spec = s.live.spec;
  if (!looking_ || !s.live.due || (spec.call && *spec.call != call)) return;
  const bool of_input = std::string_view(what).ends_with("input");
  const std::optional<size_t> named = of_input ? s.named : std::nullopt;
  for (size_t i = 0; i < args.size(); ++i) {
    const Tensor& t = args[i].tensor;
    if (!t.defined() || t.is_meta() || !is_floating(t.dtype())) continue;
    if (spec.means(i, args[i].name, named)) judge(s, what, args[i].name, call, t);
  }
}

void Watch::judge(Spot& s, const char* what, const std::string& arg, int64_t call,
                  const Tensor& tensor) {
  const NoGradGuard no_grad;
  ++s.live.fired;
  const bool same = newest_.tensor.defined() && newest_.tensor.impl() == tensor.impl() &&
                    newest_.version == tensor.version();
  if (!same) newest_ = {tensor, tensor.version(), {}, {}};
  if (s.live.rule->by_numbers() && late_.takes(tensor)) {
    if (!newest_.ticket) newest_.ticket = late_.add(tensor, true, false);
    due_.push_back({&s, what, arg, call, *newest_.ticket});
    return;
  }
  Sight sight(s.type, tensor);
  if (newest_.numbers) sight.know(*newest_.numbers);
  look(s, what, arg, call, std::move(sight));
}

void Watch::look(Spot& s, const char* what, const std::string& arg, int64_t call, Sight sight) {
  const NoGradGuard no_grad;
  const Tensor& tensor = sight.tensor;
  Spot::Place& place = s.place(what, arg, call);
  // What a checkpoint remembers was read to the CPU.
  if (place.before.defined())
    sight.before = to(place.before, TensorOptions{place.before.dtype(), tensor.device()});
  const std::optional<Reading> reading = place.streak.look(sight, s.live.spec.patience);
  if (tensor.defined()) newest_.numbers = sight.known();
  if (s.live.rule->compares()) place.before = s.parameter.defined() ? Tensor() : clone(tensor);
  if (reading) report(s, what, arg, call, *reading);
}

void Watch::report(const Spot& s, const char* what, const std::string& arg, int64_t call,
                   const Reading& reading) const {
  if (!tell) return;
  const RuleHook& spec = s.live.spec;
  tell({.hook = spec.name,
        .rule = spec.rule.name,
        .action = spec.action,
        .nonfinite = s.live.rule->about_nonfinite(),
        .step = step_,
        .module = s.name,
        .what = what,
        .arg = arg,
        .call = call,
        .value = reading.value,
        .threshold = reading.threshold,
        .text = reading.text});
}

}  // namespace nnm::tracing
