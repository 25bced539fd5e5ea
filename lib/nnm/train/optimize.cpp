// Groups by selector, and schedules that know the run's length.
#include "nnm/train/optimize.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "nnm/base/items.h"
#include "nnm/lang/model.h"
#include "nnm/train/attempt.h"

namespace nnm::train {

namespace {

constexpr const char* kUnknownType = "E0302";
constexpr const char* kArgument = "E0303";
constexpr const char* kSelector = "E0405";
constexpr const char* kSchedule = "E0422";
constexpr const char* kEpochs = "W0401";
constexpr const char* kTooLong = "W0402";

// What to write for what PyTorch has and configs make another way, or not at all; "" for others.
std::string other_way(const std::string& name) {
  if (name == "LambdaLR" || name == "MultiplicativeLR")
    return "there is no `lambda`; `warmup(…)`, `cosine()`, LinearLR and PolynomialLR have forms of "
           "their own";
  if (name == "LBFGS")
    return "LBFGS asks for the loss of a batch many times in a step, which training here does not "
           "do; a program in C++ has `optim::LBFGS`";
  return "";
}

// The call that an argument is, or null.
const lang::CallSpec* call_of(const Value& v) {
  const auto* value =
      v.is(Value::Kind::object) ? dynamic_cast<const lang::CallValue*>(v.object()) : nullptr;
  return value ? &value->call : nullptr;
}

template <class Base>
Ref<Base> make(const lang::CallSpec& call, Diagnostics& d);

// Puts in place of a call, or of calls in a list, what they make; false where one cannot be.
template <class Base>
bool make_calls(Value& v, Diagnostics& d) {
  if (const lang::CallSpec* call = call_of(v)) {
    const Ref<Base> made = make<Base>(*call, d);
    if (made) v = Value(Value::Kind::object, made.get());
    return static_cast<bool>(made);
  }
  if (!v.is_sequence() || std::none_of(v.items().begin(), v.items().end(), call_of)) return true;
  Values items = v.items();
  bool good = true;
  for (Value& item : items) good &= make_calls<Base>(item, d);
  v = Value::list(std::move(items));
  return good;
}

// An object of a registry by its call, or null with an error at the call.
template <class Base>
Ref<Base> make(const lang::CallSpec& call, Diagnostics& d) {
  const auto* entry = Registry<Base>::find(call.name);
  if (!entry) {
    std::string help = other_way(call.name);
    if (help.empty())
      help = did_you_mean(call.name, Registry<Base>::names(),
                          fmt::format("`nnm list {}s` lists what there is", Base::kRegistryKind));
    report(d, kUnknownType, call.name_span,
           fmt::format("unknown {} `{}`", Base::kRegistryKind, call.name), std::move(help));
    return {};
  }
  Args args = call.args;
  bool good = true;
  for (Value& v : args.pos) good &= make_calls<Base>(v, d);
  for (auto& [name, v] : args.kw) good &= make_calls<Base>(v, d);
  if (!good) return {};
  Ref<Base> made;
  attempt(d, kArgument, call.span, [&] {
    try {
      made = entry->make(entry->signature().bind(args));
    } catch (const BindError& e) {
      lang::throw_at(call, e, kArgument, entry->signature().text());
    }
  });
  return made;
}

// The parameters that train, in the model's order, and what selectors may call them.
class Parameters {
 public:
  explicit Parameters(Module& model) {
    std::vector<NamedModule> modules;
    std::vector<NamedTensor> names;
    std::unordered_map<const TensorImpl*, size_t> index;
    for (const auto& [name, p] : model.named_parameters()) {
      if (!p.requires_grad()) continue;
      index.emplace(p.impl(), list_.size());
      list_.push_back({name, p});
    }
    for (const auto& [path, m] : model.named_modules("", false)) {
      modules.push_back({path, lang::selector_type(*m)});
      for (const auto& slot : m->parameter_slots()) {
        if (!slot->value.defined()) continue;
        names.push_back({path, slot->name});
        const auto at = index.find(slot->value.impl());
        owner_.push_back(at == index.end() ? kFrozen : at->second);
      }
    }
    scope_.emplace(std::move(modules), std::move(names));
    group_.assign(list_.size(), 0);
  }

  bool empty() const { return list_.empty(); }
  /// Puts what the selector matches, and no selector before it, into a group.
  void assign(const std::string& text, size_t group) {
    const Selector s = Selector::parse(text);
    require_matches(*scope_, s,
                    [&](const Selector& item) { return !scope_->tensors(item, true).empty(); });
    for (const size_t i : scope_->tensors(s, true))
      if (owner_[i] != kFrozen && !group_[owner_[i]]) group_[owner_[i]] = group;
  }
  std::vector<optim::NamedParameter> of(size_t group) const {
    std::vector<optim::NamedParameter> out;
    for (size_t i = 0; i < list_.size(); ++i)
      if (group_[i] == group) out.push_back(list_[i]);
    return out;
  }

 private:
  static constexpr size_t kFrozen = static_cast<size_t>(-1);
  std::vector<optim::NamedParameter> list_;
  std::vector<size_t> owner_;  // of each name in the scope: its place in list_
  std::vector<size_t> group_;  // of each of list_; 0: no selector
  std::optional<Scope> scope_;
};

Span part(const lang::Located& text, size_t offset, size_t length = 1) {
  return offset < text.text().size() ? text.span(offset, offset + length) : text.span();
}

bool check_options(const optim::Optimizer& optimizer, const Group& g, Diagnostics& d) {
  Span at = g.selector.span();
  try {
    optimizer.check_options(g.options);
    return true;
  } catch (const BindError& e) {
    for (size_t i = 0; i < g.options.size(); ++i)
      if (g.options[i].first == e.name) at = g.places[i];
    report(d, kArgument, at, e);
  } catch (const Error& e) {
    report(d, kArgument, at, e);
  }
  return false;
}

}  // namespace

optim::RunLength run_length(const Plan& plan, int64_t batches) {
  optim::RunLength length;
  if (batches > 0)
    length.steps_per_epoch = static_cast<double>(batches) / static_cast<double>(plan.accumulate);
  length.total_steps = plan.max.steps;
  if (plan.max.epochs > 0 && batches > 0) {
    const auto micro = std::floor(plan.max.epochs * static_cast<double>(batches) + 1e-9);
    const auto steps = static_cast<int64_t>(micro) / plan.accumulate;
    length.total_steps = plan.max.steps ? std::min(plan.max.steps, steps) : steps;
  }
  return length;
}

Ref<optim::Optimizer> make_optimizer(const Plan& plan, Module& model, Diagnostics& d) {
  if (!plan.optimizer) return {};
  Ref<optim::Optimizer> optimizer = make<optim::Optimizer>(*plan.optimizer, d);
  Parameters parameters(model);
  if (parameters.empty()) {
    report(d, kSelector, plan.optimizer->span, "there is nothing to train",
           "the model has no parameters, or all of them are frozen");
    return {};
  }
  bool good = static_cast<bool>(optimizer);
  for (size_t i = 0; i < plan.groups.size(); ++i) {
    const Group& g = plan.groups[i];
    try {
      parameters.assign(g.selector.text(), i + 1);
    } catch (const SelectorError& e) {
      good = false;
      report(d, kSelector, part(g.selector, e.offset), e);
    } catch (const UnmatchedItem& e) {
      good = false;
      report(d, kSelector, part(g.selector, e.offset, e.length), e);
    }
    if (optimizer) good &= check_options(*optimizer, g, d);
  }
  if (!good) return {};
  attempt(d, kArgument, plan.optimizer->span, [&] {
    if (auto rest = parameters.of(0); !rest.empty()) optimizer->add_param_group(std::move(rest));
    for (size_t i = 0; i < plan.groups.size(); ++i)
      if (auto own = parameters.of(i + 1); !own.empty())
        optimizer->add_param_group(std::move(own), plan.groups[i].options);
  });
  return optimizer;
}

namespace {

// Lengths in steps that would be less than an epoch: more likely meant as epochs.
void warn_of_epochs(const lang::CallSpec& call, double epoch, Diagnostics& d) {
  const Signature& signature = Registry<optim::Scheduler>::find(call.name)->signature();
  const auto looks = [&](const Value& v) {
    if (!v.is_sequence()) return v.is_number() && v.real() > 1 && v.real() < epoch;
    return !v.items().empty() && v.items().back().is_number() && v.items().back().real() < epoch;
  };
  const auto as_epochs = [](const Value& v) {
    const auto one = [](const Value& x) {
      return x.config_text() + (x.is_number() ? " epochs" : "");
    };
    if (!v.is_sequence()) return one(v);
    std::vector<std::string> each;
    for (const Value& item : v.items()) each.push_back(one(item));
    return fmt::format("[{}]", fmt::join(each, ", "));
  };
  const auto say = [&](const std::string& name, const Value& v, const Span& span) {
    const int at = signature.index_of(name);
    if (at < 0 || !looks(v)) return;
    if (signature.params()[static_cast<size_t>(at)].type.base != ArgType::Base::duration) return;
    report(d, kEpochs, span,
           fmt::format("{}={} counts optimizer steps: an epoch has {:g}", name, v.config_text(),
                       epoch),
           fmt::format("write `{}`, or `per=1 epoch` to step once an epoch", as_epochs(v)));
  };
  for (const auto& [name, v] : call.args.kw)
    if (name == "per") return;
  for (size_t i = 0; i < call.args.pos.size() && i < signature.params().size(); ++i)
    say(signature.params()[i].name, call.args.pos[i], call.arg_spans[i]);
  for (size_t i = 0; i < call.args.kw.size(); ++i)
    say(call.args.kw[i].first, call.args.kw[i].second, call.arg_spans[call.args.pos.size() + i]);
  const auto within = [&](const Value& v) {
    if (!v.is_sequence()) return;
    for (const Value& item : v.items())
      if (const lang::CallSpec* part = call_of(item)) warn_of_epochs(*part, epoch, d);
  };
  for (const Value& v : call.args.pos) within(v);
  for (const auto& [name, v] : call.args.kw) within(v);
}

// A run that is over before its rate has warmed up. One that was cut short for a trial may be.
void warn_of_length(const lang::CallSpec& call, const optim::RunLength& length, Diagnostics& d) {
  if (call.name != "warmup" || length.total_steps <= 0) return;
  const Args bound{.pos = call.args.pos, .kw = call.args.kw};
  const Values values = Registry<optim::Scheduler>::find(call.name)->signature().bind(bound);
  const auto steps = [&](const Value& v, double unit) {
    if (!v.is(Value::Kind::duration)) return v.real() * unit;
    return v.amount() * (v.unit() == Unit::epoch ? length.steps_per_epoch : 1);
  };
  const double per = values[1].is_none() ? 1 : steps(values[1], 1);
  const double end = steps(values[0], per);
  if (end <= static_cast<double>(length.total_steps)) return;
  report(d, kTooLong, call.span,
         fmt::format("the rate warms up for {:g} steps, and the run ends after {}", end,
                     length.total_steps),
         "it never reaches its full value: warm up for fewer steps, or train longer");
}

}  // namespace

Ref<optim::Scheduler> make_schedule(const Plan& plan, const Ref<optim::Optimizer>& optimizer,
                                    const optim::RunLength& length, Diagnostics& d) {
  std::vector<Ref<optim::Scheduler>> parts;
  for (const lang::CallSpec& call : plan.schedule) {
    parts.push_back(make<optim::Scheduler>(call, d));
    if (parts.back()) warn_of_epochs(call, length.steps_per_epoch, d);
  }
  if (parts.empty() || !optimizer) return {};
  if (std::find(parts.begin(), parts.end(), nullptr) != parts.end()) return {};
  Ref<optim::Scheduler> schedule;
  const Span& span = plan.schedule[0].span;
  attempt(d, kSchedule, span, [&] {
    schedule = parts.size() == 1 ? parts[0] : optim::sequential(std::move(parts));
    schedule->attach(optimizer, length);
    if (!plan.max.trial) warn_of_length(plan.schedule[0], length, d);
  });
  return schedule;
}

}  // namespace nnm::train
