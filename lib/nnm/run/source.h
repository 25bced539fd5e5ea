// Source: what a user named on the command line — a config, a checkpoint or a run.
#pragma once

#include <string>
#include <vector>

#include "nnm/lang/config.h"

namespace nnm::run {

/// What a verb works on.
struct Source {
  lang::Config config;
  /// The checkpoint that was named, by itself or by its run; "" for a config.
  std::string checkpoint;
  /// The run folder in which `checkpoint` stands; "" where it stands in none.
  std::string run;
};

struct SourceOptions {
  lang::LoadOptions config;  ///< profiles and --set; after those of a checkpoint's run
  bool best = false;         ///< a run means its best.h5
};

/// Opens a config, a checkpoint (which carries its config) or a run folder (which means its
/// last.h5); "" is ./nnm.yaml, else the newest run under runs/. Throws Error(config) where there is
/// none, DiagnosticError for a bad config, Error(input_file) for a bad checkpoint.
Source open_source(const std::string& file, const SourceOptions& options = {});
/// The config that a checkpoint carries, with the files it extends and imports, as it was run:
/// with its profiles and overrides, and then those of `options`. It needs no other file.
lang::Config config_of(const std::string& checkpoint, const lang::LoadOptions& options = {});
/// Profiles and overrides of a run that goes on: those it was started with, then those of now.
lang::LoadOptions after(lang::LoadOptions run, const lang::LoadOptions& now);

/// Throws Error(config) where files were changed so that a run would go on with another model than
/// it began with: in its classes, in `model`, or in the variables that `model` names.
void refuse_other_model(const lang::Config& begun, const lang::Config& now);

/// "runs/<stem>": where the runs of a config are kept, below the working directory.
std::string runs_folder(const lang::Config& config);
/// The newest run of a config, or the newest that has a checkpoint: its folder, or "".
std::string newest_run(const lang::Config& config, bool with_checkpoint = true);
/// The run folder in which a checkpoint stands, or "".
std::string run_of(const std::string& checkpoint);
/// The checkpoint a path means: itself, or the last (best) of a run folder. Throws
/// Error(input_file) where there is none.
std::string checkpoint_of(const std::string& path, bool best = false);

/// Which weights a verb computes with.
struct WeightsOptions {
  std::string weights;   ///< --weights
  bool fresh = false;    ///< --fresh
  bool best = false;     ///< --best
  bool required = true;  ///< where there is no run: Error(config), else fresh weights
};
/// --weights, else the checkpoint that was named, else the newest run of the config: a file, or ""
/// for fresh ones. Says on stderr what nobody asked for by name.
std::string resolve_weights(const Source& source, const WeightsOptions& options);
/// What verbs about files look at where none was named: the last (best) checkpoint of the newest
/// run of ./nnm.yaml, else of the newest run under runs/; named on stderr. Throws Error(config)
/// where there is none.
std::string newest_of_here(bool best = false);

}  // namespace nnm::run
