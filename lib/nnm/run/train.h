// train: a training run from config to result.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "nnm/run/folder.h"
#include "nnm/run/progress.h"
#include "nnm/run/session.h"

namespace nnm::run {

struct TrainOptions {
  Source source;
  Device device;
  std::string run;          ///< --run
  bool resume = false;      ///< --resume
  std::string resume_from;  ///< --resume=CKPT
  bool force = false, dry_run = false, verify_resume = false, partial = false;
  std::string max, weights;
  std::string events;     ///< --events: a file, or fd:N
  bool hooks = true;      ///< those of the config act
  bool strict = false;    ///< a hook that never fired makes the exit code 1
  double time_limit = 0;  ///< seconds, counted from here; 0: none
  ProgressStyle progress = ProgressStyle::automatic;
  lang::InputShapes shapes;
  /// Called with the folder once it is held: the first line of stdout.
  std::function<void(const std::string& folder)> announce;
  /// Called when the model is ready, to attach hooks, rules and traces of the run; what it returns
  /// lives as long as the run and takes part in its steps. `folder` is "" for the runs of a resume
  /// proof. `hooks` is what checkpoints keep of it.
  struct Attached {
    std::vector<std::unique_ptr<train::Watcher>> watchers;
    std::string hooks;
  };
  std::function<Attached(Session&, const std::string& folder)> attach;
};

struct TrainResult {
  std::string run;
  train::Outcome outcome;
  std::string last, best;  ///< checkpoints, "" where there is none
  /// What --verify-resume found to differ; "" where nothing does, none where it was not asked for.
  std::optional<std::string> resume_difference;
  std::vector<std::string> plan;  ///< of --dry-run: what would be done
  int exit_code = 0;
  /// One line for people, without a newline.
  std::string line() const;
  /// One JSON object.
  std::string json() const;
};

/// Trains. Handles signals for its time (signals.h). Throws DiagnosticError or Error(config) for
/// what is wrong with the config, Error(input_file) for data, weights and checkpoints, and
/// Error(output) for the folder, before any work where that can be known; what comes later ends the
/// run's files properly and then passes through.
TrainResult train(TrainOptions options);

}  // namespace nnm::run
