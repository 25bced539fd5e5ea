// Session: a config made real — model, data, loss and weights — which train, eval, predict and
// trace share.
#pragma once

#include <memory>
#include <string>

#include "nnm/run/check.h"
#include "nnm/run/source.h"

namespace nnm::run {

struct SessionOptions {
  CheckOptions check;
  Device device;
  bool data = true;  ///< open the config's data
};

class Session {
 public:
  /// Checks the config (throws DiagnosticError, warns), opens the data and builds the model with
  /// the weights of train.seed.
  Session(Source source, const SessionOptions& options);

  const lang::Config& config() const { return source_.config; }
  const Source& source() const { return source_; }
  Module& model() { return *model_.module; }
  const lang::Model& description() const { return model_; }
  const train::Plan& plan() const { return checked_.plan; }
  train::Objective& objective() { return checked_.objective; }
  const Checked& checked() const { return checked_; }

  /// Loads parameters and buffers by name: strictly, or what fits (`partial`, which prints the
  /// rest). `ema`: the averages of a checkpoint in place of its weights. Throws Error(input_file).
  void load_weights(const Weights& weights, bool partial = false, bool ema = false);

 private:
  Source source_;
  Checked checked_;
  lang::Model model_;
};

}  // namespace nnm::run
