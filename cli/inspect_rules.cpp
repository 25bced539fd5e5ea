// nnm inspect --rules: what rules find in a finished trace.
#include "cli/inspect.h"
#include "cli/verb.h"
#include "nnm/base/json.h"
#include "nnm/base/log.h"
#include "nnm/base/text_table.h"
#include "nnm/trace/replay.h"

namespace nnm::cli {

namespace {

std::string json(const tracing::Replay& r) {
  Json j(2);
  j.object().entry("kind", "trace").entry("judged", r.judged).key("findings").array();
  for (const tracing::Finding& f : r.findings) {
    j.object().entry("rule", f.rule).entry("step", f.step).entry("module", f.module);
    j.entry("what", f.what).entry("arg", f.arg).entry("call", f.call);
    j.entry("value", f.value).entry("threshold", f.threshold).entry("message", f.text).end();
  }
  j.end().key("silent").array();
  for (const auto& [rule, why] : r.silent) j.object().entry("rule", rule).entry("why", why).end();
  return j.end().end().text() + "\n";
}

}  // namespace

std::string inspect_rules(const std::string& path, const InspectOptions& o) {
  const std::vector<lang::CallSpec> rules = tracing::parse_rules(o.rules);
  std::optional<Selector> select;
  if (!o.select.empty()) select = Selector::parse(o.select);
  const tracing::Replay r = tracing::replay_rules(io::TraceReader(path), rules, select);
  if (o.format == "json") return json(r);
  for (const auto& [rule, why] : r.silent) log_warning("{} says nothing: {}", rule, why);
  TextTable table({"step", "rule", "place", "value", "threshold", "what"}, 0);
  for (const tracing::Finding& f : r.findings)
    table.row({std::to_string(f.step), f.rule, tracing::place_text(f.module, f.what, f.arg, f.call),
               short_number(f.value), short_number(f.threshold), f.text});
  if (o.format == "csv") return table.csv();
  return r.findings.empty() ? fmt::format("{} judged, nothing found\n", r.judged) : table.text();
}

}  // namespace nnm::cli
