// RunFolder: the files of a training run and the rules by which they change.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nnm/base/file.h"
#include "nnm/lang/config.h"
#include "nnm/train/trainer.h"

namespace nnm::run {

struct FolderOptions {
  std::string path;     ///< --run; "": runs/<stem>/<NNN>
  bool resume = false;  ///< the folder may hold a run of before
  bool force = false;   ///< what nnm wrote there is removed
};

/// `config.yaml resolved.yaml events.jsonl metrics.csv status.json checkpoints/`, held by a lock
/// while it lives.
class RunFolder : public train::Store {
 public:
  /// Makes or takes the folder. Throws Error(output): not empty without `resume` or `force`, in use
  /// by another process, not writable.
  RunFolder(const lang::Config& config, const FolderOptions& options);

  const std::string& path() const { return path_; }
  /// A file of the folder.
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  /// The newest whole checkpoint, or "".
  std::string newest_checkpoint() const;
  /// Writes config.yaml and resolved.yaml.
  void write_config(const lang::Config& config);

  /// What save() adds to every checkpoint.
  struct Provenance {
    std::string device, run_id, parent_run_id, hooks;
    Items entries;  ///< argv, threads, resumed_from, …
  };
  void set_provenance(Provenance p) { provenance_ = std::move(p); }
  void set_retention(const io::Retention& r, std::string resumed_from);
  train::CheckpointEvent save(io::Checkpoint checkpoint, std::optional<double> score) override;

 private:
  std::string path_;
  std::unique_ptr<FolderLock> lock_;
  std::string config_text_, resolved_text_;
  Provenance provenance_;
  io::Retention retention_;
  std::string resumed_from_;
  std::vector<io::CheckpointFile> checkpoints_;
};

}  // namespace nnm::run
