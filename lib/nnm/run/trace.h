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
  bool train = false;       ///< train mode
  bool input_grad = false;  ///< floating inputs require grad
};

struct TraceResult {
  int64_t steps = 0, sites = 0, bytes = 0;
  int64_t dropped = 0;  ///< records that did not fit into max_bytes
  bool fired = false;   ///< whether any hook saw anything
};

/// Records into options.output. With a backward kind, runs the loss backward: --loss, else
/// train.loss, else the output named `loss`; Error(config) where there is none. Throws
/// Error(output) before any work where the file cannot be made.
TraceResult record_trace(Session& session, const TraceOptions& options);

/// What one step would record, found on the meta device: same hooks, no data, no memory.
tracing::ListSink list_trace(Session& session, const TraceOptions& options);

}  // namespace nnm::run
