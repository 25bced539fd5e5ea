// RunFolder: the files of a training run and the rules by which they change.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nnm/base/file.h"
#include "nnm/lang/config.h"
#include "nnm/train/trainer.h"

namespace nnm::run {

/// The newest checkpoint of a run folder, or "".
std::string newest_checkpoint(const std::string& run);

struct FolderOptions {
  std::string path;     ///< --run; "": runs/<stem>/<NNN>, or when resuming the newest there
  bool resume = false;  ///< the folder may hold a run
  bool force = false;   ///< what nnm wrote there is removed first
  /// Of `path`, where the caller has looked into it already.
  std::shared_ptr<FolderLock> lock;
};

/// What a checkpoint says of the program that writes it, and of when.
void put_program(io::Checkpoint& into);
/// The config, the files it is made of and its overrides, as config_of reads them back.
void put_config(const lang::Config& config, io::Checkpoint& into);

/// `config.yaml resolved.yaml events.jsonl metrics.csv status.json checkpoints/*.h5`, held by a
/// lock while it lives. Keeps as many checkpoints as the plan says.
class RunFolder : public train::Store {
 public:
  /// Makes or takes the folder. Throws Error(config) where it is not empty without `resume` or
  /// `force`, Error(output) where another process holds it or it cannot be written.
  RunFolder(const lang::Config& config, const FolderOptions& options);
  /// The path it would have, without making it. Throws Error(config) as the constructor does.
  static std::string preview(const lang::Config& config, const FolderOptions& options);

  const std::string& path() const { return path_; }
  /// A file of the folder.
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  /// What last.h5 and best.h5 stand for, or "".
  std::string last() const;
  std::string best() const;

  /// Writes config.yaml and resolved.yaml.
  void write_config(const lang::Config& config);
  /// Takes over the checkpoints of a run that goes on from `step` at `resumed_from`: later ones are
  /// removed, scores of the others read.
  void go_on(int64_t step, const std::string& resumed_from);

  /// What save() adds to every checkpoint.
  struct Provenance {
    std::string device, parent_run_id;
    std::string hooks;  ///< the active ones, normalised
    Items entries;      ///< argv, threads, resumed_from, …
    Items data;         ///< of the data: the vocabulary of texts
  };
  void prepare(const train::Plan& plan, const lang::Config& config, Provenance provenance);
  void set_hooks(std::string hooks) { provenance_.hooks = std::move(hooks); }
  train::CheckpointEvent save(io::Checkpoint checkpoint, std::optional<double> score) override;
  const std::string& run_id() const { return run_id_; }

 private:
  std::string checkpoints() const { return path_ + "/checkpoints"; }
  const io::CheckpointFile* best_file() const;
  void link_best() const;

  std::string path_, run_id_;
  std::shared_ptr<FolderLock> lock_;
  io::Checkpoint origin_;  ///< what put_config says of the run's config
  Provenance provenance_;
  io::Retention retention_;
  train::Target target_;
  std::string resumed_from_;
  std::vector<io::CheckpointFile> files_;
};

}  // namespace nnm::run
