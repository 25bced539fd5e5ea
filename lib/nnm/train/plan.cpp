// The keys of `train:`, one function each.
#include "nnm/train/plan.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "nnm/base/registry.h"
#include "nnm/train/attempt.h"
#include "nnm/train/history.h"
#include "nnm/train/metric.h"

namespace nnm::train {

void report(Diagnostics& d, const char* code, const Span& span, const Error& e) {
  if (const auto* own = dynamic_cast<const DiagnosticError*>(&e)) {
    for (const Diagnostic& one : own->diagnostics.all()) d.add(one);
    return;
  }
  report(d, code, span, e.what(), e.hint());
}

namespace {

using lang::Tree;

constexpr const char* kUnknownName = "E0301";  // a name that nothing has
constexpr const char* kFunction = "E0302";     // a call of what is no function here
constexpr const char* kValue = "E0420";        // a value that a key of train cannot have
constexpr const char* kMissing = "E0421";      // a key of train that a run needs

// Steps of a run are whole numbers in a double, epochs of any number of batches as well.
constexpr double kMostSteps = 9e15, kMostEpochs = 1e9;

class Reader {
 public:
  Reader(const lang::Config& config, const PlanOptions& options, Diagnostics& d)
      : config_(config), options_(options), d_(d), train_(config.find("train")) {}

  Plan read() {
    read_max();
    read_objective();
    read_optimizer();
    read_clip();
    read_numbers();
    read_words();
    read_eval();
    read_schedule_metric();
    read_log();
    read_checkpoint();
    read_stop();
    return std::move(plan_);
  }

 private:
  const Tree* find(std::string_view key) const {
    const Tree* t = train_ ? train_->find(key) : nullptr;
    return t && !t->is_null() && !(is_none(*t) && !happens_anyway(key)) ? t : nullptr;
  }
  static bool is_none(const Tree& t) {
    return t.is_scalar() && (t.text() == "none" || t.text() == "None");
  }
  /// What a run does by default: `none` is not the same as nothing there.
  static bool happens_anyway(std::string_view key) {
    constexpr std::array kKeys = {"eval", "log", "checkpoint", "accumulate", "seed"};
    return std::find(kKeys.begin(), kKeys.end(), key) != kKeys.end();
  }
  /// Where a key is missing; without a section, where one could stand.
  Span section() const { return train_ ? train_->span : config_.tree().span; }
  void error(const char* code, const Span& span, std::string message, std::string help = {}) {
    report(d_, code, span, std::move(message), std::move(help));
  }
  template <class F>
  bool attempt(const Span& span, F&& f) {
    return train::attempt(d_, kValue, span, std::forward<F>(f));
  }
  Value constant(const lang::Located& code) const {
    return lang::evaluate_constant(code, config_.vars());
  }
  const lang::Located& code(const Tree& t, const char* key, const char* example) {
    if (!t.is_scalar())
      fail(ErrorKind::config, "train.{} is written on one line, such as `{}`", key, example);
    return t.scalar;
  }
  static Value convert(const char* key, const Value& v, const char* type) {
    try {
      return ArgType::parse(type).convert(v);
    } catch (const Error& e) {
      throw Error(e.kind(), fmt::format("train.{}: {}", key, e.what()), e.hint());
    }
  }

  // `500 steps`, `every 500 steps`.
  Duration every(const Tree& t, const char* key) {
    const lang::Located& all = code(t, key, "every 500 steps");
    lang::Located rest = all;
    if (all.text().starts_with("every ")) rest = all.part(6, all.text().size());
    const Value v = constant(rest);
    if (!v.is(Value::Kind::duration))
      throw Error(
          ErrorKind::config,
          fmt::format("train.{}: expected a length such as `500 steps` or `1 epoch`, got {}", key,
                      v.config_text()));
    if (v.amount() <= 0)
      fail(ErrorKind::config, "train.{}: must be more than 0, got {}", key, v.config_text());
    refuse_batches(v);
    return {v.amount(), v.unit()};
  }

  /// Nothing of a run counts batches, which `accumulate` may make fewer steps of.
  static void refuse_batches(const Value& v) {
    if (v.unit() == Unit::batch)
      throw Error(
          ErrorKind::config,
          fmt::format("training is measured in steps, epochs or time, got {}", v.config_text()),
          fmt::format("did you mean `{}`?", duration_text(v.amount(), Unit::step)));
  }

  void add_max(const Value& v) {
    if (!v.is(Value::Kind::duration))
      throw Error(ErrorKind::config, fmt::format("max: expected a length, got {}", v.config_text()),
                  "such as `10 epochs`, `5000 steps` or `2 h`");
    if (!(v.amount() > 0) || !std::isfinite(v.amount()))
      fail(ErrorKind::config, "max: must be more than 0, got {}", v.config_text());
    refuse_batches(v);
    if (v.unit() != Unit::second &&
        v.amount() > (v.unit() == Unit::epoch ? kMostEpochs : kMostSteps))
      fail(ErrorKind::config, "max: too long: {}", v.config_text());
    if (v.unit() == Unit::epoch) plan_.max.epochs = v.amount();
    if (v.unit() == Unit::second) plan_.max.seconds = v.amount();
    if (v.unit() == Unit::step) plan_.max.steps = static_cast<int64_t>(std::ceil(v.amount()));
  }

  void add_max(const lang::Located& code) {
    const Value v = constant(code);
    if (!v.is_sequence()) return add_max(v);
    refuse_none(v.items().size());
    for (const Value& x : v.items()) add_max(x);
  }

  static void refuse_none(size_t lengths) {
    if (lengths == 0)
      throw Error(ErrorKind::config, "max: an empty list ends no run",
                  "such as `[10 epochs, 2 h]`, of which the first that is reached ends it");
  }

  void read_max() {
    if (!options_.max.empty()) {
      const auto file = std::make_shared<const SourceFile>("--max", options_.max);
      const lang::Located whole(options_.max, file, 0);
      plan_.max.trial = true;
      attempt(whole.span(), [&] { add_max(whole); });
    } else if (const Tree* t = find("max")) {
      plan_.max.trial = !t->origin.empty();
      if (t->is_list()) {
        attempt(t->span, [&] { refuse_none(t->items.size()); });
        for (const Tree& item : t->items)
          attempt(item.span, [&] { add_max(code(item, "max", "10 epochs")); });
      } else {
        attempt(t->span, [&] { add_max(code(*t, "max", "10 epochs")); });
      }
    } else if (options_.training) {
      error(kMissing, section(), "train.max is missing: how long to train",
            "write `max: 10 epochs` under `train:`, or give --max '10 epochs'");
    }
  }

  void read_metrics(const Tree* metrics) {
    if (!metrics) return;
    if (!metrics->is_map())
      return error(kValue, metrics->span, "metrics are a map of names to expressions",
                   "such as `metrics: {acc: accuracy(out, y)}`");
    for (const Tree::Entry& e : metrics->entries) {
      if (e.is_note()) continue;
      if (!e.value.is_scalar()) {
        error(kValue, e.value.span, fmt::format("metric {} is not an expression", e.key.text()));
        continue;
      }
      const auto same = [&](const NamedExpr& m) { return m.name == e.key.text(); };
      std::erase_if(plan_.metrics, same);
      plan_.metrics.push_back({e.key.text(), e.value.scalar});
      check_metric_name(e.key);
    }
  }

  // A metric is a column of metrics.csv, a key of events and a dataset of checkpoints.
  void check_metric_name(const lang::Located& name) {
    if (name.text() == "loss")
      return error(kValue, name.span(), "a metric cannot be named loss: that is the loss itself");
    if (History::reserves(name.text()))
      return error(kValue, name.span(),
                   fmt::format("a metric cannot be named {0}: events and metrics.csv have a {0} of "
                               "their own",
                               name.text()));
    const auto bad = [](unsigned char c) { return c < ' ' || c == '/' || c == ',' || c == '"'; };
    if (name.text().find_first_not_of(". ") == std::string::npos ||
        std::any_of(name.text().begin(), name.text().end(), bad))
      error(kValue, name.span(), "the name of a metric is a word, without `/`, `,` and quotes",
            "such as `metrics: {acc: accuracy(out, y)}`");
  }

  void read_objective() {
    if (!options_.loss.empty()) {
      const auto file = std::make_shared<const SourceFile>("--loss", options_.loss);
      plan_.loss = lang::Located(options_.loss, file, 0);
    } else if (const Tree* t = find("loss")) {
      attempt(t->span, [&] { plan_.loss = code(*t, "loss", "cross_entropy(out, y)"); });
    }
    read_metrics(find("metrics"));
    if (!options_.training) read_metrics(config_.find("eval.metrics"));
  }

  void read_optimizer() {
    if (const Tree* t = find("optimizer")) {
      attempt(t->span, [&] {
        const auto calls =
            lang::read_calls(code(*t, "optimizer", "AdamW(lr=3e-4)"), config_.vars());
        if (calls.size() != 1) fail(ErrorKind::config, "train.optimizer is one call, not a pipe");
        plan_.optimizer = calls[0];
      });
    } else if (options_.training || find("max")) {
      error(kMissing, section(), "train.optimizer is missing",
            "write `optimizer: AdamW(lr=3e-4)` under `train:`");
    }
    if (const Tree* t = find("schedule"))
      attempt(t->span, [&] {
        plan_.schedule =
            lang::read_calls(code(*t, "schedule", "cosine(final=0.1)"), config_.vars());
      });
    if (const Tree* t = find("groups")) read_groups(*t);
  }

  void read_groups(const Tree& groups) {
    if (!groups.is_map())
      return error(kValue, groups.span, "train.groups is a map of selectors to options",
                   "such as `\"**.bias\": {weight_decay: 0}`");
    for (const Tree::Entry& e : groups.entries) {
      if (e.is_note()) continue;
      Group g{e.key, {}, {}};
      if (!e.value.is_map()) {
        error(kValue, e.value.span, fmt::format("group `{}` is not a map of options", e.key.text()),
              "such as `{weight_decay: 0}`");
        continue;
      }
      for (const Tree::Entry& option : e.value.entries) {
        if (option.is_note()) continue;
        attempt(option.value.span, [&] {
          g.options.emplace_back(option.key.text(),
                                 constant(code(option.value, "groups", "{weight_decay: 0}")));
          g.places.push_back(option.key.span());
        });
      }
      plan_.groups.push_back(std::move(g));
    }
  }

  // No calls for what is none, such as a bare number.
  std::vector<lang::CallSpec> calls_of(const lang::Located& code) const {
    Diagnostics ignored;
    const lang::ExprRef e = lang::parse_expr(code, ignored);
    if (e && e->kind == lang::Expr::Kind::literal) return {};
    return lang::read_calls(code, config_.vars());
  }

  struct Bound {
    lang::CallSpec call;
    Values args;  // in the order of the signature
  };
  // One call with a known set of names, its arguments bound to the name's signature.
  Bound call(const Tree& t, const char* key, const char* example,
             const std::vector<const char*>& signatures) {
    const auto calls = calls_of(code(t, key, example));
    std::vector<std::string> names, texts;
    for (const char* text : signatures) {
      const Signature s = Signature::parse(text);
      names.push_back(s.name());
      texts.push_back("`" + s.text() + "`");
      if (calls.size() != 1 || calls[0].name != s.name()) continue;
      try {
        return {calls[0], s.bind(calls[0].args)};
      } catch (const BindError& e) {
        lang::throw_at(calls[0], e, "E0303", s.text());
      }
    }
    Diagnostics d;
    const bool one = calls.size() == 1;
    report(d, kFunction, one ? calls[0].name_span : t.span,
           fmt::format("train.{} is {}", key, fmt::join(texts, " or ")),
           did_you_mean(one ? calls[0].name : "", names, fmt::format("write `{}`", example)));
    throw DiagnosticError(std::move(d));
  }

  void read_clip() {
    const Tree* t = find("clip");
    if (!t) return;
    attempt(t->span, [&] {
      const auto [clip, args] = call(*t, "clip", "norm(1.0)",
                                     {"norm(max_norm: float(>0), norm_type: float(>0) = 2.0)",
                                      "value(clip_value: float(>0))"});
      plan_.clip.kind = clip.name == "norm" ? Clip::Kind::norm : Clip::Kind::value;
      plan_.clip.limit = args[0].real();
      if (clip.name == "norm") plan_.clip.norm_type = args[1].real();
    });
  }

  void read_numbers() {
    if (const Tree* t = find("accumulate"))
      attempt(t->span, [&] {
        plan_.accumulate =
            convert("accumulate", constant(code(*t, "accumulate", "4")), "int(1..)").integer();
      });
    if (const Tree* t = find("ema"))
      attempt(t->span, [&] {
        plan_.ema = convert("ema", constant(code(*t, "ema", "0.999")), "float(0..1)").real();
      });
    if (const Tree* t = find("seed"))
      attempt(t->span, [&] {
        plan_.seed = static_cast<uint64_t>(
            convert("seed", constant(code(*t, "seed", "0")), "int(0..)").integer());
      });
  }

  // A word out of a few; the index of the one.
  size_t word(const Tree& t, const char* key, const std::vector<std::string>& words) {
    const std::string& text = code(t, key, words[0].c_str()).text();
    const auto at = std::find(words.begin(), words.end(), text);
    if (at != words.end()) return static_cast<size_t>(at - words.begin());
    throw Error(ErrorKind::config,
                fmt::format("train.{}: expected {}, got `{}`", key, fmt::join(words, ", "), text),
                did_you_mean(text, words));
  }

  void read_words() {
    if (const Tree* t = find("precision"))
      attempt(t->span, [&] {
        const size_t which = word(*t, "precision", {"f32", "f64", "bf16", "tf32"});
        if (which == 2) plan_.autocast = DType::bf16;
        plan_.tf32 = which == 3;
        plan_.dtype = which == 1 ? DType::f64 : DType::f32;
      });
    if (const Tree* t = find("nan"))
      attempt(t->span, [&] {
        plan_.nan = static_cast<NanPolicy>(word(*t, "nan", {"stop", "skip", "ignore"}));
      });
  }

  bool has_split(const std::string& name) const {
    return std::find(options_.splits.begin(), options_.splits.end(), name) != options_.splits.end();
  }

  void read_eval() {
    const Tree* t = find("eval");
    if (!t) {
      if (has_split("val")) plan_.eval = Duration{1, Unit::epoch};
      return;
    }
    if (is_none(*t) || (t->is_scalar() && t->text() == "false")) return;
    const Tree* period = t->is_map() ? t->find("every") : t;
    const Tree* split = t->is_map() ? t->find("split") : nullptr;
    if (split && split->is_scalar()) plan_.eval_split = split->text();
    plan_.eval = Duration{1, Unit::epoch};
    if (period) attempt(period->span, [&] { plan_.eval = every(*period, "eval"); });
    if (options_.splits.empty() || has_split(plan_.eval_split)) return;
    const std::string near = nearest(plan_.eval_split, options_.splits);
    error(kUnknownName, split ? split->span : t->span,
          fmt::format("train.eval: the data have no split `{}`", plan_.eval_split),
          near.empty()
              ? fmt::format("there is {}; `{}: {{split: 0.1}}` under `data:` takes one out "
                            "of train",
                            fmt::join(options_.splits, ", "), plan_.eval_split)
              : fmt::format("did you mean `{}`?", near));
    // What else goes by the evaluations is checked as if it were right.
    if (!near.empty()) plan_.eval_split = near;
  }

  void read_log() {
    if (const Tree* t = find("log"))
      attempt(t->span, [&] {
        plan_.log = every(t->is_map() && t->find("every") ? *t->find("every") : *t, "log");
      });
  }

  // "val.acc" as something that evaluations give; what is wrong with it is said at the argument.
  Target target(const lang::CallSpec& call, const std::string& name, const Value& mode) {
    Target out;
    Diagnostics d;
    const Span place = call.place_of(0, "metric");
    if (!train::attempt(d, kValue, place ? place : call.span, [&] { out = target(name, mode); }))
      throw DiagnosticError(std::move(d));
    return out;
  }
  Target target(const std::string& name, const Value& mode) const {
    if (!plan_.eval)
      throw Error(ErrorKind::config,
                  fmt::format("`{}` is never known: nothing is evaluated while training", name),
                  has_split(plan_.eval_split)
                      ? "write `eval: every 1 epoch` under `train:`"
                      : "add a `val` split to `data:`, such as `val: {split: 0.1}`");
    std::vector<std::string> names = {plan_.eval_split + ".loss"};
    for (const NamedExpr& m : plan_.metrics) names.push_back(plan_.eval_split + "." + m.name);
    const auto at = std::find(names.begin(), names.end(), name);
    if (at == names.end()) {
      const std::string whole = plan_.eval_split + "." + name;
      const bool bare = std::find(names.begin(), names.end(), whole) != names.end();
      const std::string near = bare ? whole : nearest(name, names);
      throw Error(ErrorKind::config, fmt::format("no evaluation gives `{}`", name),
                  near.empty() ? fmt::format("evaluations give {}", fmt::join(names, ", "))
                               : fmt::format("did you mean `{}`?", near));
    }
    if (!mode.is_none()) return {name, mode.string() == "max"};
    if (at == names.begin()) return {name, false};
    const NamedExpr& metric = plan_.metrics[static_cast<size_t>(at - names.begin()) - 1];
    Diagnostics ignored;  // what is wrong with the metric is said where it is compiled
    const lang::ExprRef expr = lang::parse_expr(metric.code, ignored);
    const std::optional<bool> larger = expr ? larger_is_better(*expr) : std::nullopt;
    if (!larger)
      throw Error(ErrorKind::config, fmt::format("it is not known which way `{}` improves", name),
                  "say mode=\"max\" or mode=\"min\"");
    return {name, *larger};
  }

  /// A schedule that follows a metric has one that evaluations give: their loss by default.
  void read_schedule_metric() {
    if (!options_.training) return;
    for (lang::CallSpec& call : plan_.schedule) {
      const auto* entry = Registry<optim::Scheduler>::find(call.name);
      const int at = entry ? entry->signature().index_of("metric") : -1;
      if (at < 0) continue;
      std::string metric = plan_.eval_split + ".loss";
      const Span place = call.place_of(at, "metric");
      if (place) {
        const Value given = argument(call.args, static_cast<size_t>(at), "metric");
        if (!given.is(Value::Kind::string)) continue;  // binding says what is wrong
        metric = given.string();
      } else {
        call.args.kw.emplace_back("metric", metric);
        call.arg_spans.push_back(call.span);
      }
      attempt(place ? place : call.span, [&] { static_cast<void>(target(metric, "min")); });
    }
  }
  static Value argument(const Args& args, size_t position, std::string_view name) {
    if (position < args.pos.size()) return args.pos[position];
    for (const auto& [key, value] : args.kw)
      if (key == name) return value;
    return {};
  }

  void read_checkpoint() {
    if (plan_.eval) plan_.best = {plan_.eval_split + ".loss", false};
    const Tree* t = find("checkpoint");
    if (!t) return;
    const Tree* period = t->is_map() ? t->find("every") : t;
    if (period) attempt(period->span, [&] { plan_.checkpoint = every(*period, "checkpoint"); });
    const Tree* keep = t->is_map() ? t->find("keep") : nullptr;
    if (!keep) return;
    attempt(keep->span, [&] {
      if (keep->is_scalar() && keep->text() == "all") {
        plan_.keep.keep = io::Retention::Keep::all;
      } else if (keep->is_scalar() && keep->text().find('(') == std::string::npos) {
        plan_.keep.count = static_cast<int>(
            convert("checkpoint.keep", constant(keep->scalar), "int(1..1000000)").integer());
      } else {
        const auto [best, args] = call(
            *keep, "checkpoint.keep", "best(val.loss, 3)",
            {"best(metric: str, count: int(1..1000000) = 1, mode: str(\"min\", \"max\")? = none)"});
        plan_.best = target(best, args[0].string(), args[2]);
        plan_.keep = {io::Retention::Keep::best, static_cast<int>(args[1].integer()),
                      plan_.best.larger_is_better};
      }
    });
  }

  void read_stop() {
    const Tree* t = find("stop");
    if (!t) return;
    attempt(t->span, [&] {
      const auto [patience, args] =
          call(*t, "stop", "patience(val.loss, 5 epochs)",
               {"patience(metric: str, wait: duration, mode: str(\"min\", \"max\")? = none)"});
      const Duration wait = Codec<Duration>::read(args[1]);
      if (!(wait.amount > 0)) fail(ErrorKind::config, "patience: the wait must be more than 0");
      plan_.stop = Patience{target(patience, args[0].string(), args[2]), wait};
    });
  }

  const lang::Config& config_;
  const PlanOptions& options_;
  Diagnostics& d_;
  const Tree* train_;
  Plan plan_;
};

}  // namespace

Plan read_plan(const lang::Config& config, const PlanOptions& options, Diagnostics& d) {
  return Reader(config, options, d).read();
}

double parse_seconds(const std::string& text) {
  // The language has no negative lengths.
  NNM_CHECK(!text.starts_with('-'), config, "a time limit must be more than 0, got `{}`", text);
  const Value v = lang::evaluate_constant(
      lang::Located(text, std::make_shared<const SourceFile>("--time-limit", text), 0), Value());
  NNM_CHECK(v.is(Value::Kind::duration) && v.unit() == Unit::second, config,
            "expected a time such as `55 min` or `2 h`, got `{}`", text);
  NNM_CHECK(v.amount() > 0, config, "a time limit must be more than 0, got `{}`", text);
  return v.amount();
}

}  // namespace nnm::train
