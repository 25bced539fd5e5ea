// Reading `hooks:`.
#include "nnm/trace/hook_config.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "nnm/trace/hook_text.h"
#include "nnm/trace/targets.h"

namespace nnm::tracing {
namespace {

constexpr const char* kNoEffect = "E0331";    // an effect that the hook's kind does not have
constexpr const char* kBadHook = "E0332";     // a part of a hook that cannot be read
constexpr const char* kBadCapture = "E0333";  // a capture of what its kind does not see
constexpr const char* kBadRule = "E0335";     // a rule that is unknown or does not fit

constexpr double kMostSteps = 0x1p53;

constexpr const char* kEffects[] = {"input", "output", "grad", "grad_input", "grad_output"};

/// What a kind of hook can change.
const char* effect_of(HookKind kind) {
  switch (kind) {
    case HookKind::forward_pre: return "input";
    case HookKind::forward: return "output";
    case HookKind::full_backward_pre: return "grad_output";
    case HookKind::full_backward: return "grad_input";
    case HookKind::tensor:
    case HookKind::post_accumulate_grad: return "grad";
  }
  return "";
}

[[noreturn]] void refuse(const char* code, const Span& at, std::string message, std::string help) {
  Diagnostics d;
  d.add({code, std::move(message), at, std::move(help), {}});
  throw DiagnosticError(std::move(d));
}

/// Runs f; a plain error becomes one that points at a place.
template <class F>
void at_place(const char* code, const Span& at, F&& f) {
  try {
    f();
  } catch (const DiagnosticError&) {
    throw;
  } catch (const SelectorError& e) {
    refuse(code, at, e.what(), e.hint());
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::internal) throw;
    refuse(code, at, e.what(), e.hint());
  }
}

std::string joined(const lang::Tree& t) {
  if (t.is_scalar()) return t.text();
  std::string out;
  for (const lang::Tree& item : t.items) out += (out.empty() ? "" : ", ") + item.text();
  return out.empty() ? "none" : out;
}

class Reader {
 public:
  Reader(const lang::Config& config, Diagnostics& d, const std::vector<std::string>& fields)
      : config_(config), d_(d), fields_(fields) {}

  void read(const lang::Tree& t, std::vector<Hook>& out) {
    try {
      if (const lang::Tree* e = t.find("enabled"); e && !constant(*e).truthy()) return;
      Hook hook = t.find("rule")      ? Hook(rule(t))
                  : t.find("capture") ? Hook(capture(t))
                                      : Hook(change(t));
      std::visit([](auto& h) { h.text = hook_text(h); }, hook);
      out.push_back(std::move(hook));
    } catch (const DiagnosticError& e) {
      for (const Diagnostic& one : e.diagnostics.all()) d_.add(one);
    } catch (const Error& e) {
      if (e.kind() == ErrorKind::internal) throw;
      d_.add({kBadHook, e.what(), t.span, e.hint(), {}});
    }
  }

 private:
  Value constant(const lang::Tree& t) const {
    return lang::evaluate_constant(t.scalar, config_.vars());
  }
  int64_t integer(const lang::Tree& t, int64_t least = 0) const {
    int64_t n = 0;
    at_place(kBadHook, t.span, [&] {
      n = constant(t).integer();
      NNM_CHECK(n >= least, config, "{} is too small: at least {}", n, least);
    });
    return n;
  }

  ChangeHook change(const lang::Tree& t) {
    ChangeHook h;
    common(t, h, {}, "");
    for (const char* what : kEffects) {
      const lang::Tree* code = t.find(what);
      if (!code) continue;
      for (HookKind k : h.kinds)
        if (std::string_view(what) != effect_of(k))
          refuse(kNoEffect, code->span,
                 fmt::format("a {} hook cannot change `{}`", name_of(k), what),
                 fmt::format("it changes `{}`", effect_of(k)));
      h.what = what;
      std::vector<std::string> names = {what, "vars"};
      if (const std::string other = beside(h.what); !other.empty()) names.push_back(other);
      const std::vector<std::string> own = names;
      const auto is_own = [&own](const std::string& name) {
        return std::find(own.begin(), own.end(), name) != own.end();
      };
      for (const std::string& f : fields_)
        if (!is_own(f)) names.push_back(f);
      // Compiled over what it reads, so that each run is given no more.
      const lang::Expression all = lang::Expression::compile(code->scalar, names);
      for (const std::string& name : all.uses())
        if (!is_own(name)) h.fields.push_back(name);
      names = own;
      names.insert(names.end(), h.fields.begin(), h.fields.end());
      h.change = lang::Expression::compile(code->scalar, names);
      h.vars = config_.vars();
      h.code = code->text();
    }
    read_keep(t, h);
    return h;
  }

  /// Gradients keep both, as in PyTorch.
  static void read_keep(const lang::Tree& t, ChangeHook& h) {
    const lang::Tree* keep = t.find("keep");
    if (!keep) return;
    if (h.what.starts_with("grad"))
      refuse(kBadHook, keep->span, fmt::format("`keep` is not for `{}`", h.what),
             "a gradient has the shape and dtype of its tensor");
    h.keeps_shape = keep->text() == "shape";
    h.keeps_dtype = keep->text() == "dtype";
  }

  /// Of hooks that change nothing.
  static void refuse_keep(const lang::Tree& t) {
    if (const lang::Tree* keep = t.find("keep"))
      refuse(kBadHook, keep->span, "`keep` is for hooks that change `input` or `output`",
             "leave it out");
  }

  CaptureHook capture(const lang::Tree& t) {
    CaptureHook h;
    refuse_keep(t);
    common(t, h, {}, "");
    const lang::Tree& c = *t.find("capture");
    CaptureOptions& o = h.capture;
    o.tensor.keep = TensorMode::Keep::none;
    // Each word is read alone first, so that a wrong one is pointed at.
    const auto read_words = [](const lang::Tree& t, auto&& set) {
      for (const lang::Tree& word : t.items)
        at_place(kBadCapture, word.span, [&] { set(word.text()); });
      at_place(kBadCapture, t.span, [&] { set(joined(t)); });
    };
    if (const lang::Tree* what = c.find("what"))
      read_words(*what, [&](const std::string& list) { o.set_what(list); });
    if (const lang::Tree* reduce = c.find("reduce"))
      read_words(*reduce, [&](const std::string& list) { o.set_reduce(list); });
    if (const lang::Tree* tensor = c.find("tensor"))
      at_place(kBadCapture, tensor->span, [&] { o.tensor = TensorMode::parse(tensor->text()); });
    if (o.reduce.empty() && o.tensor.keep == TensorMode::Keep::none)
      refuse(kBadCapture, c.span, "the capture keeps nothing",
             "name statistics in `reduce`, or write `tensor: full`");
    for (const std::string& w : o.what) seen(h, w, *c.find("what"));
    o.arg = h.arg;
    o.call = h.call;
    o.place = {.prepend = h.prepend, .always_call = h.always_call};
    o.optional = h.optional;
    for (HookKind k : h.kinds) o.hooks.push_back(h.request(k));
    return h;
  }

  /// Whether any kind of the hook comes with such a value.
  static void seen(const CaptureHook& h, const std::string& what, const lang::Tree& at) {
    if (what == "weight" || what == "weight_grad") return;
    const What w = parse_what(what);
    std::string kinds, mine;
    for (int k = 0; k < kHookKinds; ++k)
      if (sees(static_cast<HookKind>(k), w))
        kinds += (kinds.empty() ? "" : ", ") + std::string(name_of(static_cast<HookKind>(k)));
    for (HookKind k : h.kinds) {
      if (sees(k, w)) return;
      mine += (mine.empty() ? "" : ", ") + std::string(name_of(k));
    }
    refuse(kBadCapture, at.span, fmt::format("`{}` does not come with {}", what, mine),
           fmt::format("it comes with {}", kinds));
  }

  RuleHook rule(const lang::Tree& t) {
    RuleHook h;
    refuse_keep(t);
    h.rule = rule_call(t);
    const Ref<Rule> rule = h.make();
    common(t, h, {rule->kind()}, rule->at());
    if (rule->subject() != Rule::Subject::tensors) {
      const bool of_loss = rule->subject() == Rule::Subject::loss;
      const auto refuse_where = [&](bool useless, const char* key) {
        const lang::Tree* given = t.find(key);
        if (!useless || !given) return;
        refuse(kBadRule, given->span,
               fmt::format("{} is about {}: `{}` says nothing", h.rule.name,
                           of_loss ? "the loss" : "parameters", key),
               "leave it out");
      };
      refuse_where(h.kinds != std::vector<HookKind>{rule->kind()}, "on");
      refuse_where(of_loss && h.select.text() != rule->at(), "at");
      refuse_where(true, "call");
    }
    h.patience = rule->patience();
    if (const lang::Tree* p = t.find("patience")) h.patience = integer(*p, 1);
    if (const lang::Tree* a = t.find("action")) h.action = parse_action(a->text());
    if (!t.find("arg")) h.arg = "all";
    return h;
  }

  lang::CallSpec rule_call(const lang::Tree& t) const {
    const lang::Tree& code = *t.find("rule");
    std::vector<lang::CallSpec> calls = lang::read_calls(code.scalar, config_.vars());
    if (calls.size() != 1)
      refuse(kBadRule, code.span, "a hook has one rule", "write a hook for each");
    lang::CallSpec call = std::move(calls[0]);
    if (const lang::Tree* threshold = t.find("threshold")) {
      const auto* entry = Registry<Rule>::find(call.name);
      if (entry && entry->signature().params().empty())
        refuse(kBadRule, threshold->span, fmt::format("{} has no threshold", call.name), "");
      if (entry)
        call.args.kw.emplace_back(entry->signature().params().front().name, constant(*threshold));
      call.arg_spans.push_back(threshold->span);
    }
    check_rule(call);
    return call;
  }

  static RuleHook::Action parse_action(const std::string& text) {
    using Action = RuleHook::Action;
    for (Action a : {Action::note, Action::warn, Action::stop, Action::checkpoint})
      if (text == name_of(a)) return a;
    fail(ErrorKind::config, "`{}` is no action: note, warn, stop or checkpoint", text);
  }

  /// All but the effect. Kinds and selector have defaults for rules alone.
  void common(const lang::Tree& t, HookSpec& h, std::vector<HookKind> kinds,
              const std::string& where) {
    h.kinds = std::move(kinds);
    if (const lang::Tree* on = t.find("on")) {
      h.kinds.clear();
      if (on->is_scalar()) h.kinds.push_back(parse_kind(on->text()));
      for (const lang::Tree& one : on->items) h.kinds.push_back(parse_kind(one.text()));
      if (h.kinds.empty()) refuse(kBadHook, on->span, "`on` names no kind", "");
    }
    target(t, h, where);
    if (const lang::Tree* arg = t.find("arg")) {
      h.arg = arg->text();
      if (h.arg.starts_with('-'))
        refuse(kBadHook, arg->span, fmt::format("`{}` is no position", h.arg),
               "write a position from 0 on, a name, or all");
    }
    if (const lang::Tree* call = t.find("call")) h.call = integer(*call);
    const auto flag = [&](const char* name, bool& to) {
      if (const lang::Tree* f = t.find(name)) to = constant(*f).truthy();
    };
    flag("prepend", h.prepend);
    flag("always_call", h.always_call);
    if (const bool forward =
            std::find(h.kinds.begin(), h.kinds.end(), HookKind::forward) != h.kinds.end();
        h.always_call && !forward)
      refuse(kBadHook, t.find("always_call")->span,
             fmt::format("a {} hook has no `always_call`", name_of(h.kinds.front())),
             "forward hooks have it");
    flag("optional", h.optional);
    if (const lang::Tree* when = t.find("when")) read_when(*when, h.when);
  }

  void target(const lang::Tree& t, HookSpec& h, std::string text) {
    const lang::Tree* at = t.find("at");
    h.at = at ? at->span : t.span;
    h.of_rule = !at;
    if (at) text = at->text();
    at_place(kBadHook, h.at, [&] { h.select = Selector::parse(text); });
    h.name = fmt::format("{} at {}", name_of(h.kinds.front()), text.empty() ? "the root" : text);
    const lang::Tree* name = t.find("name");
    if (!name) return;
    h.name = name->text();
    if (!names_.insert(h.name).second)
      refuse(kBadHook, name->span, fmt::format("two hooks are called `{}`", h.name),
             "names are what --set and messages tell hooks apart by");
  }

  /// A number of steps, with or without the unit.
  int64_t steps(const lang::Tree& t, const char* key, int64_t least) const {
    lang::Located code = t.scalar;
    // `every 50 steps` may stand here as it does in `eval`.
    if (code.text().starts_with("every ")) code = code.part(6, code.text().size());
    double amount = 0;
    at_place(kBadHook, t.span, [&] {
      const Value v = lang::evaluate_constant(code, config_.vars());
      const bool duration = v.is(Value::Kind::duration);
      NNM_CHECK(!duration || v.unit() == Unit::step, config,
                "`when.{}` counts steps, as in `{}: 50 steps`", key, key);
      amount = duration ? v.amount() : v.real();
      NNM_CHECK(amount == std::floor(amount) && amount >= static_cast<double>(least) &&
                    amount <= kMostSteps,
                config, "`when.{}` is a whole number of steps, from {} to 2^53", key, least);
    });
    return static_cast<int64_t>(amount);
  }

  void read_when(const lang::Tree& t, When& w) const {
    if (const lang::Tree* every = t.find("every")) w.every = steps(*every, "every", 1);
    if (const lang::Tree* start = t.find("start")) w.start = steps(*start, "start", 0);
    if (const lang::Tree* mode = t.find("mode")) w.training = mode->text() == "train";
    const lang::Tree* stop = t.find("stop");
    if (!stop) return;
    w.stop = steps(*stop, "stop", 0);
    if (*w.stop <= w.start)
      refuse(kBadHook, stop->span, "the hook stops before it starts",
             "`start` is the first step that it acts in, `stop` the first one behind them");
  }

  const lang::Config& config_;
  Diagnostics& d_;
  const std::vector<std::string>& fields_;
  std::set<std::string> names_;
};

}  // namespace

HookRequest HookSpec::request(HookKind kind) const {
  const bool tensor = std::find(kinds.begin(), kinds.end(), HookKind::tensor) != kinds.end();
  return {kind, select, tensor};
}

bool HookSpec::backward_only() const {
  return std::all_of(kinds.begin(), kinds.end(), [](HookKind k) { return is_backward(k); });
}

void check_rule(const lang::CallSpec& call) {
  const auto* entry = Registry<Rule>::find(call.name);
  if (!entry) {
    const std::vector<std::string> rules = Registry<Rule>::names();
    refuse(kBadRule, call.name_span, fmt::format("unknown rule `{}`", call.name),
           did_you_mean(call.name, rules, fmt::format("there is {}", fmt::join(rules, ", "))));
  }
  try {
    (void)entry->make(entry->signature().bind(call.args));
  } catch (const BindError& e) {
    lang::throw_at(call, e, kBadRule, entry->signature().text());
  }
}

Ref<Rule> RuleHook::make() const { return Registry<Rule>::make(rule.name, rule.args); }

RuleHook stopping(lang::CallSpec call) {
  RuleHook h;
  h.rule = std::move(call);
  const Ref<Rule> rule = h.make();
  h.name = h.rule.name;
  h.kinds = {rule->kind()};
  h.select = Selector::parse(rule->at());
  h.of_rule = true;
  h.arg = "all";
  h.patience = rule->patience();
  h.action = RuleHook::Action::stop;
  h.text = hook_text(h);
  return h;
}

RuleHook stopping(lang::CallSpec call, const HookRequest& where) {
  RuleHook h = stopping(std::move(call));
  h.kinds = {where.kind};
  h.select = where.select;
  h.of_rule = false;
  h.text = hook_text(h);
  return h;
}

const HookSpec& spec_of(const Hook& hook) {
  return std::visit([](const auto& h) -> const HookSpec& { return h; }, hook);
}

const char* name_of(RuleHook::Action action) {
  switch (action) {
    case RuleHook::Action::note: return "note";
    case RuleHook::Action::warn: return "warn";
    case RuleHook::Action::stop: return "stop";
    case RuleHook::Action::checkpoint: return "checkpoint";
  }
  return "";
}

std::vector<std::string> fields_of(const std::vector<Hook>& hooks) {
  std::vector<std::string> out;
  for (const Hook& h : hooks)
    if (const auto* change = std::get_if<ChangeHook>(&h))
      for (const std::string& f : change->fields)
        if (std::find(out.begin(), out.end(), f) == out.end()) out.push_back(f);
  return out;
}

std::vector<Hook> read_hooks(const lang::Config& config, Diagnostics& d,
                             const std::vector<std::string>& fields) {
  std::vector<Hook> out;
  const lang::Tree* hooks = config.find("hooks");
  if (!hooks) return out;
  Reader reader(config, d, fields);
  for (const lang::Tree& t : hooks->items) reader.read(t, out);
  return out;
}

}  // namespace nnm::tracing
