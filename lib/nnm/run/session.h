// Session: a config made real — model, data, loss and weights — which train, eval, predict and
// trace share.
#pragma once

#include <memory>
#include <string>

#include "nnm/ops/matmul_precision.h"
#include "nnm/run/check.h"
#include "nnm/run/source.h"

namespace nnm::run {

struct SessionOptions {
  CheckOptions check;
  Device device;
  bool data = true;  ///< throw where the data's headers cannot be read
};

class Session {
 public:
  /// Checks the config (throws DiagnosticError; a run's warnings go to stderr) and builds the model
  /// with the weights of train.seed, which also seeds the default generator.
  Session(Source source, const SessionOptions& options);

  const lang::Config& config() const { return source_.config; }
  const Source& source() const { return source_; }
  const Ref<Module>& model() const { return model_.module; }
  const lang::Model& description() const { return model_; }
  const train::Plan& plan() const { return checked_.plan; }
  train::Objective& objective() { return checked_.objective; }
  const Checked& checked() const { return checked_; }
  /// Throws Error(config) where the config has no data.
  data::Data& data();

  /// The config's hooks, at work on the model.
  tracing::Hooks& hooks() { return *hooks_; }
  /// Lets hooks see the batches that an objective puts through the model (the session's own does
  /// so).
  void show_fields(train::Objective& objective);
  /// A warning for each hook that never fired and could have, in a run with or without backward
  /// passes; how many there are.
  size_t warn_silent_hooks(bool backward) const;

  /// Loads parameters and buffers by name out of a checkpoint, any HDF5 file or .safetensors:
  /// strictly, or what fits (`partial`, which says what does not). `ema`: the averages of a
  /// checkpoint in place of its parameters. "" loads nothing. Throws Error(input_file).
  void load_weights(const std::string& path, bool partial = false, bool ema = false);

 private:
  Source source_;
  Checked checked_;
  std::unique_ptr<Tf32Guard> tf32_;
  lang::Model model_;
  std::unique_ptr<tracing::Hooks> hooks_;
};

}  // namespace nnm::run
