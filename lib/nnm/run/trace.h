// record_trace: a model run over a few batches with hooks that record.
#pragma once

#include <string>

#include "nnm/run/session.h"
#include "nnm/trace/sinks.h"

namespace nnm::run {

struct TraceOptions {
  tracing::CaptureOptions capture;
  std::string input;       ///< --input (input.h); "": the split its check bound
  std::string output;      ///< -o
  std::string checkpoint;  ///< whose weights the model has, "" for fresh ones
  int64_t batch = 0;       ///< 0: that of the data
  int64_t steps = 1;       ///< how many to record …
  int64_t every = 1;       ///< … of each so many batches
  int64_t max_bytes = int64_t{2} << 30;
  bool train = false;        ///< train mode
  bool input_grad = false;   ///< floating inputs require grad
  bool config_hooks = true;  ///< those of the config act, and are told of
};

struct TraceResult {
  int64_t steps = 0, sites = 0, bytes = 0;
  int64_t dropped = 0;                      ///< records that did not fit into max_bytes
  bool fired = false;                       ///< whether any hook saw anything
  bool backward = false;                    ///< whether steps ran backward
  std::optional<tracing::Finding> stopped;  ///< by a rule of the config; the file is whole
  int signal = 0;                           ///< that ended it early; the file is whole all the same
};

/// Records into options.output. With a backward kind, runs the loss backward: --loss, else
/// train.loss, else the output named `loss`; Error(config) where there is none. Throws
/// Error(output) before any work where the file cannot be made.
TraceResult record_trace(Session& session, const TraceOptions& options);

struct TraceList {
  tracing::ListSink sites;  ///< bytes are those of all steps
  int64_t steps = 0;        ///< as far as the data are known to go
};

/// What a run would record, found on the meta device: same hooks, no data, no memory.
TraceList list_trace(Session& session, const TraceOptions& options);

}  // namespace nnm::run
