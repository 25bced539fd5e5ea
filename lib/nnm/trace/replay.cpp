// Rules shown what a trace has recorded.
#include "nnm/trace/replay.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

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
  Site(const io::TraceReader& trace, const io::TraceSite& site, size_t index)
      : trace_(trace), site_(site), index_(index) {
    for (const io::TraceRecords& r : trace.records()) {
      const bool has = std::find(r.args.begin(), r.args.end(), site.arg) != r.args.end();
      if (r.module == site.module && r.what == site.what && has) records_ = &r;
    }
  }

  /// The tensor of a step, undefined where none was kept, or only a part.
  Tensor tensor(int64_t step) {
    if (!records_) return {};
    while (next_ < records_->step.size() && records_->step[next_] < step) ++next_;
    for (size_t i = next_; i < records_->step.size() && records_->step[i] == step; ++i) {
      if (records_->call[i] != site_.call) continue;
      const Tensor t = trace_.tensor(*records_, site_.arg, static_cast<int64_t>(i));
      // A slice of rows says little of the rest.
      const bool whole = t.defined() && (t.dim() == 0 || site_.shape.empty() ||
                                         t.size(0) >= site_.shape[0] || ragged());
      return whole ? t : Tensor();
    }
    return {};
  }
  size_t index() const { return index_; }
  const io::TraceSite& site() const { return site_; }

 private:
  // The last batch may be smaller than the one the site was first seen with.
  bool ragged() const {
    const io::H5Node* node =
        trace_.file().find("/tensors/" + site_.module + "/" + site_.what + "/" + site_.arg);
    return node && node->shape.size() > 1 && node->shape[1] >= site_.shape[0];
  }

  const io::TraceReader& trace_;
  const io::TraceSite& site_;
  size_t index_, next_ = 0;
  const io::TraceRecords* records_ = nullptr;
};

/// The cube of statistics by name.
class Cube {
 public:
  explicit Cube(const io::TraceReader& trace) : cube_(trace.values()) {
    for (const io::TraceStat& s : trace.stats()) columns_.emplace(s.name, columns_.size());
  }
  Numbers numbers(size_t step, const Site& site) const {
    double numel = 1;
    for (int64_t n : site.site().shape) numel *= static_cast<double>(n);
    const auto at = [&](const char* name) { return value(step, site.index(), name); };
    const double own = at("numel");
    return {std::isnan(own) ? numel : own, at("nan") + at("inf"), at("zero"), absmax(step, site),
            at("l2")};
  }
  /// Whether the site was recorded in this step.
  bool has(size_t step, size_t site) const {
    return std::any_of(columns_.begin(), columns_.end(),
                       [&](const auto& c) { return !std::isnan(value(step, site, c.first)); });
  }

 private:
  double value(size_t step, size_t site, const std::string& name) const {
    const auto column = columns_.find(name);
    if (!cube_.defined() || column == columns_.end()) return kUnknown;
    const auto t = static_cast<int64_t>(step), s = static_cast<int64_t>(site);
    if (t >= cube_.size(0) || s >= cube_.size(1)) return kUnknown;
    return cube_.data<double>()[(t * cube_.size(1) + s) * cube_.size(2) +
                                static_cast<int64_t>(column->second)];
  }
  double absmax(size_t step, const Site& site) const {
    const double own = value(step, site.index(), "absmax");
    if (!std::isnan(own)) return own;
    const double low = value(step, site.index(), "min"), high = value(step, site.index(), "max");
    return std::isnan(low) || std::isnan(high) ? kUnknown : std::max(std::abs(low), std::abs(high));
  }

  Tensor cube_;
  std::map<std::string, size_t> columns_;
};

class Player {
 public:
  Player(const io::TraceReader& trace, const std::optional<Selector>& select)
      : trace_(trace), steps_(trace.steps()), sites_(trace.sites()), cube_(trace) {
    std::vector<NamedModule> names;
    for (const io::ModuleRow& m : trace.modules()) {
      names.push_back({m.name, m.type});
      types_.emplace(m.name.empty() ? m.type : m.name, m.type);
      paths_.push_back(m.name.empty() ? m.type : m.name);
    }
    scope_.emplace(std::move(names), std::vector<NamedTensor>());
    if (!select) return;
    chosen_ = modules(*select);
    if (chosen_->empty()) throw scope_->no_match(*select);
  }

  void play(const lang::CallSpec& call, Replay& out) {
    const Ref<Rule> rule = Registry<Rule>::make(call.name, call.args);
    if (rule->subject() == Rule::Subject::loss) {
      out.silent.emplace_back(call.name, "a trace has no loss");
      return;
    }
    const std::vector<std::string> where = modules(Selector::parse(rule->at()));
    int64_t judged = 0;
    bool met = false;
    for (size_t i = 0; i < sites_.size(); ++i) {
      const io::TraceSite& s = sites_[i];
      if (!is_floating(s.dtype) || !has(where, s.module) || !watches(*rule, s.what)) continue;
      if (chosen_ && !has(*chosen_, s.module)) continue;
      met = true;
      judged += play_site(call, Registry<Rule>::make(call.name, call.args), i, out);
    }
    out.judged += judged;
    if (judged == 0)
      out.silent.emplace_back(
          call.name, met ? "it needs whole tensors, more steps, or statistics that were not "
                           "recorded"
                         : "nothing that it watches was recorded");
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

  int64_t play_site(const lang::CallSpec& call, const Ref<Rule>& rule, size_t index, Replay& out) {
    Streak streak(rule);
    Site site(trace_, sites_[index], index);
    Tensor before;
    int64_t judged = 0;
    const std::string type = types_.count(sites_[index].module) ? types_[sites_[index].module] : "";
    for (size_t t = 0; t < steps_.size(); ++t) {
      Sight sight(type, site.tensor(steps_[t].step));
      if (!sight.tensor.defined() && !cube_.has(t, index)) continue;
      if (!sight.tensor.defined()) sight.know(cube_.numbers(t, site));
      sight.before = std::exchange(before, sight.tensor);
      if (!rule->compares()) before = {};
      const std::optional<Reading> reading = streak.look(sight, rule->patience());
      judged += streak.judged();
      if (!reading) continue;
      const io::TraceSite& s = sites_[index];
      out.findings.push_back({.hook = call.name,
                              .rule = call.name,
                              .action = RuleHook::Action::note,
                              .nonfinite = rule->about_nonfinite(),
                              .step = steps_[t].step,
                              .module = s.module,
                              .what = s.what,
                              .arg = s.arg,
                              .call = s.call,
                              .value = reading->value,
                              .threshold = reading->threshold,
                              .text = reading->text});
    }
    return judged;
  }

  const io::TraceReader& trace_;
  std::vector<io::TraceStep> steps_;
  std::vector<io::TraceSite> sites_;
  Cube cube_;
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
