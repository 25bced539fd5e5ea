// Rig: what a Trainer works on, made from a source and in the order in which things can fail.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "nnm/run/hook_watcher.h"
#include "nnm/run/session.h"
#include "nnm/train/trainer.h"

namespace nnm::run {

struct RigOptions {
  Device device;
  std::string max;  ///< --max
  lang::InputShapes shapes;
  bool hooks = true;  ///< those of the config act
};

class Rig {
 public:
  /// Checks the config and builds the model. Throws as Session does, and Error(config) where there
  /// is no split `train`.
  Rig(Source source, const RigOptions& options);
  /// Reads the data, and makes loaders, optimizer, schedule and trainer.
  void open();

  Session& session() { return session_; }
  const Session& session() const { return session_; }
  const Ref<Module>& model() const { return session_.model(); }
  data::Loader& loader() { return *loader_; }
  train::Trainer& trainer() { return *trainer_; }
  /// What ties the config's hooks to the trainer; null where there are none.
  HookWatcher* hooks() { return hooks_.get(); }
  train::Trainer::Parts& parts() { return trainer_->parts(); }

 private:
  Session session_;
  std::unique_ptr<data::Loader> loader_, eval_loader_;
  std::optional<train::Evaluator> evaluator_;
  std::unique_ptr<HookWatcher> hooks_;
  std::optional<train::Trainer> trainer_;
};

}  // namespace nnm::run
