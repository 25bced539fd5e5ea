// train: a training run from config to result.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "nnm/run/folder.h"
#include "nnm/run/progress.h"
#include "nnm/run/session.h"

namespace nnm::run {

struct TrainOptions {
  Source source;
  Device device;
  int threads = 0;  ///< of this run, for its record; 0: the default
  std::string run;  ///< --run
  bool resume = false;
  std::string resume_from;  ///< --resume=CKPT
  bool force = false, dry_run = false, verify_resume = false, strict = false, partial = false;
  std::string max, weights, events;
  double time_limit = 0;  ///< seconds
  ProgressStyle progress = ProgressStyle::automatic;
  std::vector<std::string> argv;
  /// Called with the folder once it is held: the first line of stdout.
  std::function<void(const std::string& folder)> announce;
  /// Called when the trainer is about to start, to attach hooks, rules and traces; what it returns
  /// lives as long as the run. Called for the second half of a resume proof, too.
  std::function<std::vector<std::unique_ptr<train::Watcher>>(Session&, const std::string& folder)>
      attach;
};

struct TrainResult {
  std::string run;
  train::Outcome outcome;
  std::string last, best;    ///< checkpoints
  std::string resume_proof;  ///< what --verify-resume found, "" where it was not asked for
  bool resume_exact = true;
  int exit_code = 0;
  /// "10 epochs, 4,500 steps in 12.3 s: loss 0.031, val.acc 0.981 (max_epochs)".
  std::string line() const;
  /// As one JSON object.
  std::string json() const;
};

/// Trains. Installs signal handlers for its time: the first SIGINT or SIGTERM ends the run after
/// its step with a checkpoint, a second one the process; SIGUSR1 and SIGHUP write a checkpoint.
TrainResult train(TrainOptions options);

}  // namespace nnm::run
