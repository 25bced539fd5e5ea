// Bench: how long a training step takes and what it holds, as a whole and module by module.
#pragma once

#include <string>
#include <vector>

#include "nnm/run/session.h"

namespace nnm::run {

struct BenchOptions {
  int64_t steps = 10;   ///< measured ones
  int64_t warmup = 2;   ///< steps before them, not measured
  int64_t batch = 0;    ///< 0: that of the data, or of the inputs' shapes
  bool shapes = false;  ///< the session's check was given shapes: made-up inputs have them
};

/// Seconds of the measured steps.
struct Timing {
  double median = 0, min = 0, max = 0;
};

struct ModuleBench {
  std::string name, type;  ///< "" is the root; "(loss)" is what no module does
  int64_t calls = 0;       ///< of one step
  int64_t parameters = 0;  ///< with those of modules below
  /// Seconds of all its calls in a step, medians; `_self` without those of modules below.
  double forward = 0, forward_self = 0, backward = 0, backward_self = 0;
  /// Bytes that its forward leaves allocated: outputs, and what is kept for the backward.
  int64_t memory = 0, memory_self = 0;
};

struct BenchReport {
  std::string config, device, precision, optimizer;  ///< optimizer "": none
  int64_t threads = 0, batch = 0, steps = 0, warmup = 0;
  bool made_up = false;  ///< inputs: no data were read, and the loss is the sum of the outputs
  std::vector<std::pair<std::string, std::vector<int64_t>>> inputs;  ///< shapes
  Timing step, forward, backward, update;  ///< forward with the loss; update: the optimizer's
  double samples_per_s = 0;                ///< batch / step.median
  size_t peak_bytes = 0;                   ///< of tensors, weights and optimizer state included
  std::vector<ModuleBench> modules;        ///< in the order of named_modules, shared ones once

  /// What was measured, in one sentence or two.
  std::string statement() const;
  std::string text() const;
  std::string csv() const;
  std::string json() const;
};

/// How the session of a bench is made: it needs neither data nor an optimizer, and hooks stay out.
SessionOptions bench_session(Device device, const lang::InputShapes& shapes);

/// Takes training steps with the first batch of data.train, again and again, else with made-up
/// inputs: first as they are, for the whole step, then with a clock in every module and in every
/// node of the tape. A node belongs to the innermost module whose forward made it; the
/// accumulation of a gradient to the module that owns the parameter. The session's model is
/// trained.
BenchReport bench(Session& session, const BenchOptions& options);

}  // namespace nnm::run
