// Hooks written as flow mappings of YAML, defaults left out.
#include "nnm/trace/hook_text.h"

#include "nnm/base/json.h"

namespace nnm::tracing {
namespace {

std::string as_json(std::string_view text) { return Json().value(text).text(); }

std::string listed(const std::vector<std::string>& words) {
  return fmt::format("[{}]", fmt::join(words, ", "));
}

/// `{every: 50 steps, mode: train}`; nothing where it is always.
std::string when_text(const When& w) {
  std::vector<std::string> parts;
  if (w.every != 1) parts.push_back(fmt::format("every: {} steps", w.every));
  if (w.start) parts.push_back(fmt::format("start: {}", w.start));
  if (w.stop) parts.push_back(fmt::format("stop: {}", *w.stop));
  if (w.training) parts.push_back(fmt::format("mode: {}", *w.training ? "train" : "eval"));
  return parts.empty() ? "" : fmt::format("{{{}}}", fmt::join(parts, ", "));
}

/// Of what its kinds and its selector mean, what alone it takes: `, arg: "1", call: 2`.
std::string narrowing(const HookSpec& h, const std::string& usual_arg) {
  std::string out;
  if (h.arg != usual_arg) out += ", arg: " + as_json(h.arg);
  if (h.call) out += fmt::format(", call: {}", *h.call);
  if (const std::string when = when_text(h.when); !when.empty()) out += ", when: " + when;
  return out;
}

std::string text_of(const HookSpec& h, const std::string& effect, const std::string& usual_arg) {
  std::vector<std::string> kinds;
  for (HookKind k : h.kinds) kinds.emplace_back(name_of(k));
  std::string out = fmt::format("{{name: {}, on: {}, at: {}, {}", as_json(h.name), listed(kinds),
                                as_json(h.select.text()), effect);
  out += narrowing(h, usual_arg);
  if (h.prepend) out += ", prepend: true";
  if (h.always_call) out += ", always_call: true";
  if (h.optional) out += ", optional: true";
  return out + "}";
}

std::string rule_text(const lang::CallSpec& call) {
  std::vector<std::string> args;
  for (const Value& v : call.args.pos) args.push_back(v.config_text());
  for (const auto& [name, v] : call.args.kw) args.push_back(name + "=" + v.config_text());
  return args.empty() ? call.name : fmt::format("{}({})", call.name, fmt::join(args, ", "));
}

}  // namespace

std::string waits_for(const HookSpec& h) {
  const std::string text = narrowing(h, h.arg == "all" ? "all" : "0");
  return text.empty() ? "" : text.substr(2);
}

std::string hook_text(const ChangeHook& h) {
  std::string effect = h.what + ": " + as_json(h.code);
  if (!h.keeps_shape || !h.keeps_dtype)
    effect += fmt::format(", keep: {}", h.keeps_shape ? "shape" : h.keeps_dtype ? "dtype" : "none");
  return text_of(h, effect, "0");
}

std::string hook_text(const CaptureHook& h) {
  const CaptureOptions& o = h.capture;
  std::vector<std::string> parts;
  if (!o.what.empty()) parts.push_back("what: " + listed(o.what));
  parts.push_back("reduce: " + (o.reduce.empty() ? "none" : listed(o.reduce)));
  parts.push_back("tensor: " + as_json(o.tensor.text()));
  return text_of(h, fmt::format("capture: {{{}}}", fmt::join(parts, ", ")), "0");
}

std::string hook_text(const RuleHook& h) {
  const std::string effect = fmt::format("rule: {}, action: {}, patience: {}",
                                         as_json(rule_text(h.rule)), name_of(h.action), h.patience);
  return text_of(h, effect, "all");
}

std::string hooks_text(const std::vector<Hook>& hooks) {
  std::string out;
  for (const Hook& h : hooks) out += "- " + spec_of(h).text + "\n";
  return out;
}

std::string hooks_text(const CaptureOptions& asked) {
  std::string out;
  for (const HookRequest& r : asked.hooks) {
    CaptureHook h;
    h.name = fmt::format("{} at {}", name_of(r.kind), r.select.text());
    h.kinds = {r.kind};
    h.select = r.select;
    h.arg = asked.arg;
    h.capture = asked;
    out += "- " + hook_text(h) + "\n";
  }
  return out;
}

}  // namespace nnm::tracing
