// Evaluation of a split, and conditions on its numbers.
#include "nnm/run/evaluate.h"

#include "nnm/train/evaluate.h"

namespace nnm::run {

train::EvalEvent evaluate(Session& session, int64_t batch) {
  data::Data& data = session.data();
  train::Objective& objective = session.objective();
  if (!objective.has_loss() && objective.metrics().empty())
    throw Error(ErrorKind::config, "there is nothing to evaluate: no loss and no metrics",
                "write `loss:` and `metrics:` under `train:`");
  data::LoadOptions load;
  load.training = false;
  load.fields = objective.wishes();
  const lang::Tree* own = session.config().find("eval.batch");
  if (!batch && own && own->is_scalar())
    batch = ArgType::parse("int(1..)")
                .convert(lang::evaluate_constant(own->scalar, session.config().vars()))
                .integer();
  if (batch) load.batch = batch;
  const auto loader = data.loader(session.checked().split, load);
  return train::Evaluator(*loader, session.checked().split).run(*session.model(), objective);
}

namespace {

// `loss`, the metrics, and all of them as those of the split: `acc` and `val.acc`.
Values scope_of(const std::vector<double>& numbers, const std::vector<std::string>& names) {
  Values values;
  Items of_split;
  for (size_t i = 0; i < numbers.size(); ++i) {
    values.emplace_back(numbers[i]);
    of_split.emplace_back(names[i], numbers[i]);
  }
  values.push_back(Value::dict(std::move(of_split)));
  return values;
}

// Whoever names a metric that there is not wants to know of those that there are.
lang::Expression compile_condition(const std::string& text, const std::vector<std::string>& names) {
  try {
    return lang::Expression::compile(text, "--assert", names);
  } catch (const DiagnosticError& e) {
    Diagnostics told;
    for (Diagnostic d : e.diagnostics.all()) {
      if (d.code == "E0301")
        d.notes.push_back({fmt::format("an evaluation has {}", fmt::join(names, ", ")), {}});
      told.add(std::move(d));
    }
    throw DiagnosticError(std::move(told), e.kind());
  }
}

}  // namespace

Conditions::Conditions(const std::vector<std::string>& texts, std::vector<std::string> metrics,
                       const std::string& split)
    : names_(std::move(metrics)) {
  names_.insert(names_.begin(), "loss");
  std::vector<std::string> names = names_;
  names.push_back(split);
  // Any number is true: a condition that lost its comparison must not pass.
  const Values some = scope_of(std::vector<double>(names_.size(), 0.5), names_);
  for (const std::string& text : texts) {
    conditions_.emplace_back(text, compile_condition(text, names));
    if (!conditions_.back().second.run(some).is(Value::Kind::boolean))
      throw Error(ErrorKind::config, fmt::format("--assert: `{}` is no condition", text),
                  "say what must hold, such as `acc >= 0.97`");
  }
}

std::vector<std::string> Conditions::failed(const train::EvalEvent& result) const {
  std::vector<double> numbers = {result.loss};
  for (const auto& metric : result.metrics) numbers.push_back(metric.second);
  const Values values = scope_of(numbers, names_);
  std::vector<std::string> out;
  for (const auto& [text, condition] : conditions_)
    if (!condition.run(values).truthy()) out.push_back(text);
  return out;
}

}  // namespace nnm::run
