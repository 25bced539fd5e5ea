// Reading `hooks:`.
#include "nnm/trace/hook_config.h"

#include <algorithm>

namespace nnm::tracing {
namespace {

constexpr const char* kNoEffect = "E0331";  // an effect that the hook's kind does not have
constexpr const char* kBadHook = "E0332";   // a part of a hook that cannot be read
constexpr const char* kNotBuilt = "E0333";  // captures and rules inside a config

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

class Reader {
 public:
  Reader(const lang::Config& config, Diagnostics& d) : config_(config), d_(d) {}

  std::optional<ChangeHook> read(const lang::Tree& t) {
    if (const lang::Tree* e = t.find("enabled"); e && !constant(*e).truthy()) return std::nullopt;
    ChangeHook h;
    try {
      kinds(t, h);
      target(t, h);
      if (!effect(t, h)) return std::nullopt;
      options(t, h);
      if (const lang::Tree* when = t.find("when")) read_when(*when, h.when);
      return h;
    } catch (const DiagnosticError& e) {
      for (const Diagnostic& one : e.diagnostics.all()) d_.add(one);
    } catch (const Error& e) {
      d_.add({kBadHook, e.what(), t.span, e.hint(), {}});
    }
    return std::nullopt;
  }

 private:
  Value constant(const lang::Tree& t) const {
    return lang::evaluate_constant(t.scalar, config_.vars());
  }
  int64_t integer(const lang::Tree& t) const { return constant(t).integer(); }

  void kinds(const lang::Tree& t, ChangeHook& h) const {
    const lang::Tree& on = *t.find("on");
    if (on.is_scalar()) h.kinds.push_back(parse_kind(on.text()));
    for (const lang::Tree& one : on.items) h.kinds.push_back(parse_kind(one.text()));
  }

  // `fc1.output` means the tensor that fc1 gives; the rest is a selector.
  void target(const lang::Tree& t, ChangeHook& h) const {
    const lang::Tree& at = *t.find("at");
    h.at = at.span;
    std::string text = at.text();
    if (h.kinds.front() == HookKind::tensor) {
      for (const char* part : {"output", "input"}) {
        const std::string ending = std::string(".") + part;
        if (!text.ends_with(ending)) continue;
        h.part = part;
        text.resize(text.size() - ending.size());
      }
    }
    h.select = Selector::parse(text);
    const lang::Tree* name = t.find("name");
    h.name = name ? name->text() : fmt::format("{} at {}", name_of(h.kinds.front()), at.text());
  }

  bool effect(const lang::Tree& t, ChangeHook& h) {
    if (t.find("capture") || t.find("rule")) {
      d_.add({kNotBuilt,
              "captures and rules in a config are not part of this version",
              t.span,
              "`nnm trace --hook` records; `train.nan` watches for NaN and Inf",
              {}});
      return false;
    }
    for (const char* what : kEffects) {
      const lang::Tree* code = t.find(what);
      if (!code) continue;
      for (HookKind k : h.kinds) {
        if (std::string(what) == effect_of(k)) continue;
        d_.add({kNoEffect,
                fmt::format("a {} hook cannot change `{}`", name_of(k), what),
                code->span,
                fmt::format("it changes `{}`", effect_of(k)),
                {}});
        return false;
      }
      h.what = what;
      h.change = lang::Expression::compile(code->scalar, {what});
    }
    return true;
  }

  void options(const lang::Tree& t, ChangeHook& h) const {
    if (const lang::Tree* arg = t.find("arg")) h.arg = arg->text();
    if (const lang::Tree* call = t.find("call")) h.call = integer(*call);
    const auto flag = [&](const char* name, bool& to) {
      if (const lang::Tree* f = t.find(name)) to = constant(*f).truthy();
    };
    flag("prepend", h.prepend);
    flag("always_call", h.always_call);
    flag("optional", h.optional);
  }

  void read_when(const lang::Tree& t, When& w) const {
    if (const lang::Tree* every = t.find("every")) {
      lang::Located code = every->scalar;
      // `every 50 steps` may stand here as it does in `eval`.
      if (code.text().rfind("every ", 0) == 0) code = code.part(6, code.text().size());
      const Value v = lang::evaluate_constant(code, config_.vars());
      const bool duration = v.is(Value::Kind::duration);
      NNM_CHECK(!duration || v.unit() == Unit::step, config,
                "`when.every` counts steps, as in `every: 50 steps`");
      w.every = static_cast<int64_t>(duration ? v.amount() : v.real());
      NNM_CHECK(w.every >= 1, config, "`when.every` must be at least one step");
    }
    if (const lang::Tree* start = t.find("start")) w.start = integer(*start);
    if (const lang::Tree* stop = t.find("stop")) w.stop = integer(*stop);
    if (const lang::Tree* mode = t.find("mode")) w.training = mode->text() == "train";
  }

  const lang::Config& config_;
  Diagnostics& d_;
};

}  // namespace

std::vector<ChangeHook> read_hooks(const lang::Config& config, Diagnostics& d) {
  std::vector<ChangeHook> out;
  const lang::Tree* hooks = config.find("hooks");
  if (!hooks) return out;
  Reader reader(config, d);
  for (const lang::Tree& t : hooks->items)
    if (std::optional<ChangeHook> h = reader.read(t)) out.push_back(std::move(*h));
  return out;
}

}  // namespace nnm::tracing
