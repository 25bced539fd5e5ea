// Checkpoints: everything a run needs to go on bit for bit, in one HDF5 file that is whole or
// absent.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "nnm/io/manifest.h"

namespace nnm::io {

struct NamedTensor {
  std::string name;
  Tensor tensor;
  std::string stored = {};  ///< where the file has it as another type: "f32 (big-endian)"
};

/// A row of /model/modules: the tree as named_modules gives it.
struct ModuleRow {
  std::string name;    ///< dotted path, "" for the root
  std::string type;    ///< class name
  std::string parent;  ///< path of the parent
  int64_t parameters = 0;
  std::string alias_of;  ///< the canonical path, where a module stands in the tree twice
};

/// One entry of the state_dict.
struct StateEntry {
  std::string name;
  Tensor tensor;
  bool parameter = true;
  bool requires_grad = false;
  std::string alias_of;  ///< the key, earlier in the list, whose tensor this one shares
};

struct ParamGroup {
  Items options;                    ///< lr, betas, … as torch.optim names them
  std::vector<std::string> params;  ///< names
};

struct OptimizerState {
  std::string type;
  Items defaults;
  std::vector<ParamGroup> param_groups;
  /// Per parameter name: exp_avg and the like (tensors) and step (a tensor or a number).
  std::vector<std::pair<std::string, Items>> state;
};

/// A column of /metrics; all columns have the same length.
struct Column {
  std::string name;
  std::variant<std::vector<double>, std::vector<int64_t>, std::vector<std::string>> values;
};

/// The contents of a checkpoint file.
struct Checkpoint {
  std::string kind = "training";  ///< or "weights"
  std::string nnm_version, git_commit, created_utc, device, torch_semantics;
  std::string run_id, parent_run_id;
  int64_t global_step = 0, epoch = 0;

  std::string config, config_resolved;  ///< exact bytes; canonical form
  /// Paths and exact bytes of the files that the config extends and imports.
  std::vector<std::pair<std::string, std::string>> config_files;
  std::string hooks;  ///< the active hooks, normalised
  std::vector<ModuleRow> modules;
  std::vector<StateEntry> state_dict;  ///< in state_dict() order

  std::optional<OptimizerState> optimizer;
  std::vector<NamedTensor> ema;
  Items scheduler, amp, rng, data, provenance;
  Items rules;  ///< what hooks remember: which have fired, what rules have seen so far
  std::vector<Column> metrics;
  Items best;
};

constexpr int64_t kCheckpointVersion = 1;

/// Writes the file: beside its place under another name, checked by reading it back, synced, then
/// renamed over what was there. On any failure what was there stays, and Error(output) says why.
/// Returns the size in bytes.
int64_t save_checkpoint(const Checkpoint& checkpoint, const std::string& path);

/// Which parts to read; the rest stays empty.
struct LoadOptions {
  bool state_dict = true;
  bool training = true;  ///< optimizer, ema, scheduler, rng
  H5Limits limits;
};

/// Reads a checkpoint, checking every byte that it reads. Aliases share their tensor. Throws
/// Error(input_file) for damaged, unfinished, foreign and newer files.
Checkpoint load_checkpoint(const std::string& path, const LoadOptions& options = {});

/// Weights by name out of a checkpoint (its state_dict, checked), any HDF5 file with one dataset
/// per key in a group `state_dict` or at its root, a .safetensors file, or what torch.save wrote of
/// a state_dict, told apart by content.
/// Throws Error(input_file).
std::vector<NamedTensor> load_weights(const std::string& path);

/// A checkpoint of a run, for retention.
struct CheckpointFile {
  std::string path;
  int64_t step = 0;
  std::optional<double> score;  ///< of the metric that `best` goes by
};

struct Retention {
  enum class Keep : uint8_t { newest, best, all };
  Keep keep = Keep::newest;
  int count = 2;
  bool larger_is_better = false;
};

/// The files that a rule gives up: never the newest (just saved, so known to be whole), the best,
/// or the one being resumed from.
std::vector<std::string> to_delete(std::vector<CheckpointFile> files, const Retention& rule,
                                   const std::string& resumed_from = {});

/// Deletes what to_delete names, and the unfinished files of earlier runs in `folder`, whose lock
/// the caller holds. Returns what is gone. Throws Error(output) where a file cannot be deleted.
std::vector<std::string> retire_checkpoints(const std::string& folder,
                                            std::vector<CheckpointFile> files,
                                            const Retention& rule,
                                            const std::string& resumed_from = {});

}  // namespace nnm::io
