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

bool holds(const std::string& condition, const train::EvalEvent& result) {
  std::vector<std::string> names = {"loss"};
  Values values = {result.loss};
  for (const auto& [name, value] : result.metrics) {
    names.push_back(name);
    values.push_back(value);
  }
  return lang::Expression::compile(condition, "--assert", names).run(values).truthy();
}

}  // namespace nnm::run
