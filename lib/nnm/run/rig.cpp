// Loaders, optimizer, schedule, trainer.
#include "nnm/run/rig.h"

namespace nnm::run {

namespace {

SessionOptions session_options(const RigOptions& o) {
  SessionOptions s;
  s.check.training = true;
  s.check.split = "train";
  s.check.max = o.max;
  s.check.shapes = o.shapes;
  s.check.hooks = o.hooks;
  s.device = o.device;
  return s;
}

}  // namespace

Rig::Rig(Source source, const RigOptions& options)
    : session_(std::move(source), session_options(options)) {
  (void)session_.data();
}

void Rig::open() {
  data::Data& data = session_.data();
  const train::Plan& plan = session_.plan();
  data::LoadOptions load;
  load.fields = session_.objective().wishes();
  loader_ = data.loader("train", load);
  if (plan.eval) {
    load.training = false;
    eval_loader_ = data.loader(plan.eval_split, load);
    evaluator_.emplace(*eval_loader_, plan.eval_split);
  }
  train::Trainer::Parts parts;
  parts.model = session_.model();
  parts.objective = &session_.objective();
  parts.loader = loader_.get();
  parts.evaluator = evaluator_ ? &*evaluator_ : nullptr;
  Diagnostics d;
  parts.optimizer = train::make_optimizer(plan, *session_.model(), d);
  const int64_t batches = loader_->batches_per_epoch();
  if (batches == 0)
    throw Error(ErrorKind::input_file, "the split `train` has no whole batch",
                "lower `batch`, or set `drop_last: false`");
  parts.schedule = train::make_schedule(plan, parts.optimizer, train::run_length(plan, batches), d);
  d.throw_if_errors();
  if (session_.hooks().size() > 0) {
    hooks_ = std::make_unique<HookWatcher>(session_);
    parts.watchers.push_back(hooks_.get());
  }
  trainer_.emplace(plan, std::move(parts));
}

}  // namespace nnm::run
