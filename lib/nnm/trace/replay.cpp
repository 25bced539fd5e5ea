// Rules shown what a trace has recorded.
#include "nnm/trace/replay.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "nnm/base/items.h"
#include "nnm/io/link_name.h"
#include "nnm/io/trace_cube.h"

namespace nnm::tracing {

namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

/// The commas outside of parentheses part a list.
std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> out(1);
  int depth = 0;
  for (char c : list) {
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    if (c == ',' && depth == 0) out.emplace_back();
    else if (c != ' ' || !out.back().empty()) out.back() += c;
  }
  std::erase(out, "");
  return out;
}

/// What rules see of one site, step by step.
class Site {
 public:
  Site(const io::TraceReader& trace, const io::TraceSite& site) : trace_(trace), site_(site) {
    for (const io::TraceRecords& r : trace.records()) {
      const bool has = std::find(r.args.begin(), r.args.end(), site.arg) != r.args.end();
      if (r.module == site.module && r.what == site.what && has) records_ = &r;
    }
  }

  /// The next tensor of a step, undefined where none was kept, or only a part.
  Tensor tensor(int64_t step) {
    if (!records_) return {};
    while (next_ < records_->step.size() && records_->step[next_] < step) ++next_;
    for (size_t i = next_; i < records_->step.size() && records_->step[i] == step; ++i) {
      if (records_->call[i] != site_.call) continue;
      next_ = i + 1;
      const Tensor t = trace_.tensor(*records_, site_.arg, static_cast<int64_t>(i));
      // A slice of rows says little of the rest.
      const bool whole = t.defined() && (t.dim() == 0 || site_.shape.empty() ||
                                         t.size(0) >= site_.shape[0] || ragged());
      return whole ? t : Tensor();
    }
    return {};
  }

 private:
  // The last batch may be smaller than the one the site was first seen with.
  bool ragged() const {
    const io::H5Node* node = trace_.group(*records_).find(io::link_name(site_.arg));
    return node && node->shape.size() > 1 && node->shape[1] >= site_.shape[0];
  }

  const io::TraceReader& trace_;
  const io::TraceSite& site_;
  size_t next_ = 0;
  const io::TraceRecords* records_ = nullptr;
};

/// What statistics of a site in a step tell rules.
Numbers numbers_of(const std::vector<double>& row, const std::vector<io::TraceStat>& stats,
                   const io::TraceSite& site) {
  const auto at = [&](std::string_view name) {
    for (size_t k = 0; k < std::min(row.size(), stats.size()); ++k)
      if (stats[k].name == name) return row[k];
    return kUnknown;
  };
  double numel = at("numel"), absmax = at("absmax");
  if (std::isnan(numel)) {
    numel = 1;
    for (int64_t n : site.shape) numel *= static_cast<double>(n);
  }
  if (const double low = at("min"), high = at("max"); std::isnan(absmax))
    absmax = std::isnan(low) ? low : std::max(std::abs(high), std::abs(low));
  return {numel, at("nan") + at("inf"), at("zero"), absmax, at("l2")};
}

class Player {
 public:
  Player(const io::TraceReader& trace, const std::optional<Selector>& select)
      : trace_(trace),
        steps_(trace.steps()),
        sites_(trace.sites()),
        stats_(trace.stats()),
        cube_(trace.file(), "/stats/values") {
    std::vector<NamedModule> names;
    for (const io::ModuleRow& m : trace.modules()) {
      names.push_back({m.name, m.type});
      types_.emplace(m.name.empty() ? m.type : m.name, m.type);
      paths_.push_back(m.name.empty() ? m.type : m.name);
    }
    scope_.emplace(std::move(names), std::vector<NamedTensor>());
    if (!select) return;
    require_matches(*scope_, *select, [&](const Selector& item) { return !modules(item).empty(); });
    chosen_ = modules(*select);
  }

  void play(const lang::CallSpec& call, Replay& out) {
    const Ref<Rule> rule = Registry<Rule>::make(call.name, call.args);
    if (rule->subject() == Rule::Subject::loss) {
      out.silent.emplace_back(call.name, "a trace has no loss");
      return;
    }
    std::vector<Watched> watched = places(call, *rule);
    // Steps are read in their order.
    for (size_t t = 0; t < steps_.size(); ++t)
      for (Watched& w : watched) look(w, t);
    int64_t judged = 0;
    for (const Watched& w : watched) {
      judged += w.judged;
      for (const auto& [t, reading] : w.readings)
        out.findings.push_back(finding(call, w, t, reading));
    }
    out.judged += judged;
    if (judged == 0)
      out.silent.emplace_back(
          call.name, watched.empty() ? "nothing that it watches was recorded"
                                     : "it needs whole tensors, more steps, or statistics that "
                                       "were not recorded");
  }

 private:
  static bool has(const std::vector<std::string>& list, const std::string& name) {
    return std::find(list.begin(), list.end(), name) != list.end();
  }
  std::vector<std::string> modules(const Selector& s) const {
    std::vector<std::string> out;
    for (size_t i : scope_->modules(s)) out.push_back(paths_[i]);
    return out;
  }

  static bool watches(const Rule& rule, const std::string& what) {
    const bool gradient = what.starts_with("grad_") || what == "weight_grad";
    if (rule.subject() == Rule::Subject::parameters) return what == "weight";
    if (is_backward(rule.kind())) return gradient;
    // Those with places of their own look at outputs; the others at everything.
    return std::string_view(rule.at()) == "**" || what == "output";
  }

  /// A rule at a site.
  struct Watched {
    Watched(const Ref<Rule>& rule, std::string type, Site site, size_t index)
        : rule(rule), streak(rule), type(std::move(type)), site(site), index(index) {}
    Ref<Rule> rule;
    Streak streak;
    std::string type;  // of the module
    Site site;
    size_t index;
    Tensor before;
    int64_t judged = 0;
    std::vector<std::pair<size_t, Reading>> readings;  // by entry of the step axis
  };

  std::vector<Watched> places(const lang::CallSpec& call, const Rule& rule) const {
    const std::vector<std::string> where = modules(Selector::parse(rule.at()));
    std::vector<Watched> out;
    for (size_t i = 0; i < sites_.size(); ++i) {
      const io::TraceSite& s = sites_[i];
      if (!is_floating(s.dtype) || !has(where, s.module) || !watches(rule, s.what)) continue;
      if (chosen_ && !has(*chosen_, s.module)) continue;
      const auto type = types_.find(s.module);
      out.emplace_back(Registry<Rule>::make(call.name, call.args),
                       type == types_.end() ? "" : type->second, Site(trace_, s), i);
    }
    return out;
  }

  void look(Watched& w, size_t t) {
    Sight sight(w.type, w.site.tensor(steps_[t].step));
    if (!sight.tensor.defined()) {
      const auto row = cube_.row(static_cast<int64_t>(t), static_cast<int64_t>(w.index));
      if (!row) return;
      sight.know(numbers_of(*row, stats_, sites_[w.index]));
    }
    sight.before = std::exchange(w.before, w.rule->compares() ? sight.tensor : Tensor());
    std::optional<Reading> reading = w.streak.look(sight, w.rule->patience());
    w.judged += w.streak.judged();
    if (reading) w.readings.emplace_back(t, std::move(*reading));
  }

  Finding finding(const lang::CallSpec& call, const Watched& w, size_t t,
                  const Reading& reading) const {
    const io::TraceSite& s = sites_[w.index];
    return {.hook = call.name,
            .rule = call.name,
            .action = RuleHook::Action::note,
            .nonfinite = w.rule->about_nonfinite(),
            .step = steps_[t].step,
            .module = s.module,
            .what = s.what,
            .arg = s.arg,
            .call = s.call,
            .value = reading.value,
            .threshold = reading.threshold,
            .text = reading.text};
  }

  const io::TraceReader& trace_;
  std::vector<io::TraceStep> steps_;
  std::vector<io::TraceSite> sites_;
  std::vector<io::TraceStat> stats_;
  io::TraceCube cube_;
  std::map<std::string, std::string> types_;
  std::vector<std::string> paths_;
  std::optional<Scope> scope_;
  std::optional<std::vector<std::string>> chosen_;
};

}  // namespace

std::vector<lang::CallSpec> parse_rules(const std::string& list, const char* option) {
  std::vector<lang::CallSpec> out;
  const std::vector<std::string> texts = list == "all" ? Registry<Rule>::names() : split(list);
  for (const std::string& text : texts) {
    const lang::Located code(text, std::make_shared<SourceFile>(option, text), 0);
    for (lang::CallSpec& call : lang::read_calls(code, {})) {
      check_rule(call);
      out.push_back(std::move(call));
    }
  }
  if (out.empty())
    throw Error(ErrorKind::config, fmt::format("`{}` names no rule", option),
                fmt::format("there is {}", fmt::join(Registry<Rule>::names(), ", ")));
  return out;
}

Replay replay_rules(const io::TraceReader& trace, const std::vector<lang::CallSpec>& rules,
                    const std::optional<Selector>& select) {
  Replay out;
  Player player(trace, select);
  for (const lang::CallSpec& call : rules) player.play(call, out);
  return out;
}

}  // namespace nnm::tracing
