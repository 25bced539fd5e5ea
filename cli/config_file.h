// The file a verb works on — a config, a checkpoint or a run — and the shapes of its inputs.
#pragma once

#include "cli/verb.h"
#include "nnm/lang/model.h"
#include "nnm/run/source.h"

namespace nnm::cli {

/// The positional `file`, `-p`, `--set` and `--unset`.
struct ConfigFile {
  std::string file;
  lang::LoadOptions config;
  bool best = false;

  void declare(App app);
  run::Source open() const { return run::open_source(file, {.config = config, .best = best}); }
};

/// Prints the values in which two configs differ, as text, json or csv; gives the exit code.
int diff_configs(const ConfigFile& first, const ConfigFile& second, const std::string& format);

/// `--weights` and `--fresh`.
void add_weights(App app, run::WeightsOptions& weights);

/// `--shape x=2,3,224,224`, repeatable.
void add_shape(App app, std::vector<std::string>& shapes);
/// Throws Error(config) for what cannot be read.
lang::InputShapes read_shapes(const std::vector<std::string>& shapes);

}  // namespace nnm::cli
