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

Conditions::Conditions(const std::vector<std::string>& texts,
                       const std::vector<std::string>& metrics) {
  std::vector<std::string> names = {"loss"};
  names.insert(names.end(), metrics.begin(), metrics.end());
  for (const std::string& text : texts)
    conditions_.emplace_back(text, lang::Expression::compile(text, "--assert", names));
}

std::vector<std::string> Conditions::failed(const train::EvalEvent& result) const {
  Values values = {result.loss};
  for (const auto& metric : result.metrics) values.push_back(metric.second);
  std::vector<std::string> out;
  for (const auto& [text, condition] : conditions_)
    if (!condition.run(values).truthy()) out.push_back(text);
  return out;
}

}  // namespace nnm::run
