// Comparing files: checkpoints tensor by tensor, traces call by call.
#pragma once

#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "nnm/io/stored.h"

namespace nnm::io {

/// What is said of two tensors.
struct Difference {
  int64_t numel = 0;
  double max_abs = 0;  ///< NaN where one of a differing pair is
  double rel_l2 = 0;   ///< |a - b| / |a|, in f64
  double cosine = 1;
  std::optional<uint64_t> ulp = 0;  ///< none: units in the last place mean nothing here
  double changed = 0;               ///< the share of elements whose bits differ
  double beyond = 0;                ///< the share of those that the tolerance does not let pass
  std::vector<int64_t> worst;       ///< where max_abs is; meaningless where nothing changed
  double squares_a = 0, squares = 0;
};
/// Of sums over tensors of this shape.
Difference conclude(const TensorDifference& sums, const std::vector<int64_t>& shape);

/// A tensor of two files, or of one of them.
struct ComparedTensor {
  std::string name;
  bool equal = true;             ///< within the tolerance
  std::optional<Difference> by;  ///< none where there is nothing to hold against one another
  std::string note;              ///< "only in A", "shape [2] and [3]", "dtype f32 and bf16"
};

/// The tensors of two datasets, wherever they lie. Other dtypes are equal only within a tolerance;
/// other shapes never.
ComparedTensor compare(const std::string& name, const StoredTensor& a, const StoredTensor& b,
                       const Tolerance& tolerance);

struct CompareOptions {
  Tolerance tolerance;
  bool all = false;  ///< of checkpoints also the optimizer's state and averaged weights
  /// Which tensors of checkpoints and files by name, which of traces by "module/what/arg"; none:
  /// all of them.
  std::function<bool(const std::string&)> select;
};

/// A row per entry of the state_dicts of two checkpoints, in A's order, then those of B alone.
/// Throws Error(input_file) for damaged files.
std::vector<ComparedTensor> compare_checkpoints(const std::string& a, const std::string& b,
                                                const CompareOptions& options);
/// The same for the datasets of any two HDF5 files, by path.
std::vector<ComparedTensor> compare_files(const std::string& a, const std::string& b,
                                          const CompareOptions& options);

/// A tensor that two traces have of a call, or its statistics.
struct ComparedRecord : ComparedTensor {
  int64_t step = 0;
  std::string hook, module, what, arg;
  int64_t call = 0;
  bool statistics = false;  ///< the numbers compared are its statistics
  std::string statistic;    ///< the one that differs most
  bool both = true;         ///< false: only one of the traces has it
};

/// A call of a hook, with the errors (relative L2) of what went in and what came out; NaN where not
/// known.
struct ComparedCall {
  int64_t step = 0;
  std::string hook, module;
  int64_t call = 0;
  std::vector<ComparedRecord> rows;
  bool equal = true;
  double error_in = std::numeric_limits<double>::quiet_NaN();
  double error_out = std::numeric_limits<double>::quiet_NaN();
  bool input_recorded = false;  ///< else error_in is that of what the call before gave
  /// What the call itself adds.
  double added() const { return error_out - error_in; }
  /// The first row that differs; null if none does.
  const ComparedRecord* first() const;
};

struct TraceComparison {
  bool equal = true;
  /// The first call, in order of execution, in which both traces have something that differs; where
  /// there is none, the first of which one trace has something that the other lacks.
  std::optional<ComparedCall> first;
  int64_t steps = 0, calls = 0, tensors = 0, statistics = 0;  ///< compared
  int64_t differing_calls = 0;
};

/// Hands each call to `each`, in A's order of execution; parameters follow the calls of their step.
/// Throws Error(input_file) for damaged files.
TraceComparison compare_traces(const std::string& a, const std::string& b,
                               const CompareOptions& options,
                               const std::function<void(const ComparedCall&)>& each);

}  // namespace nnm::io
